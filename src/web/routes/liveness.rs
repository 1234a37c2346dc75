//! What a token demands of a live person.

use std::borrow::Cow;

use super::super::error::Error;
use super::super::state::AppState;
use super::done::Failure;
use crate::access::{Challenge, Claims};
use crate::liveness::{self, Decision, Observation, Tagged, challenge};
use crate::samples::{Presence, UploadedSample};
use crate::types::Direction;

/// Why samples are not those of a live person who did what the token demands; `None` if they are.
///
/// `attempt` is the number of the try, from 1; `samples` are in the order of their index.
pub(super) fn failure(
    state: &AppState,
    claims: &Claims,
    attempt: u8,
    samples: &[UploadedSample],
) -> Result<Option<Failure>, Error> {
    let mut thresholds = state.intake().liveness_thresholds();
    thresholds.mirrored = claims.mirrored.unwrap_or(thresholds.mirrored);
    let mut seen = Vec::with_capacity(samples.len());
    for sample in samples {
        seen.push(match &sample.presence {
            Some(Presence::Seen(observation)) => Cow::Borrowed(&**observation),
            Some(Presence::Unseen(view)) => Cow::Owned(state.intake().observe_view(view)?),
            // It came another way than by an upload.
            None => return Ok(Some(Failure::LiveDetectionFailed)),
        });
    }
    let observations: Vec<&Observation> = seen.iter().map(Cow::as_ref).collect();
    // Who it is comes first, and then what was done. So one picture is no live person, challenge or
    // not: browsers end the session when there are not enough samples, although tries are left.
    let failure = failed(&state.intake().active(&observations)).or_else(|| {
        let demanded = demanded(claims.challenge.as_ref()?, attempt);
        let tagged = samples.iter().zip(&observations);
        let tagged: Vec<Tagged<'_>> = tagged
            .map(|(sample, observation)| Tagged {
                observation,
                tag: sample.tag.as_deref(),
                index: sample.index,
            })
            .collect();
        failed(&challenge(&tagged, Some(demanded), &thresholds))
    });
    Ok(failure)
}

/// What a token demands in this try, counted from 1, and in no other: a sequence that was seen before
/// proves nothing of the moment.
fn demanded(challenge: &Challenge, attempt: u8) -> &[Direction] {
    let own = usize::from(attempt).saturating_sub(1);
    let sequences = challenge.sequences();
    // There are as many as there are tries.
    let sequence = sequences.get(own).or(sequences.last());
    sequence.map_or(&[], Vec::as_slice)
}

fn failed(decision: &Decision) -> Option<Failure> {
    decision.failure.map(|failure| match failure {
        liveness::LivenessFailure::LiveDetectionFailed => Failure::LiveDetectionFailed,
        liveness::LivenessFailure::ChallengeResponseFailed => Failure::ChallengeResponseFailed,
        liveness::LivenessFailure::NotEnoughSamples => Failure::NotEnoughSamples,
    })
}
