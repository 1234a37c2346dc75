//! What a token demands of a live person.

use std::borrow::Cow;

use super::super::error::Error;
use super::super::state::AppState;
use super::done::Failure;
use crate::access::Claims;
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
    let thresholds = state.intake().liveness_thresholds();
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
        let demanded = claims.challenge.as_ref()?.sequences();
        let tagged = samples.iter().zip(&observations);
        let tagged: Vec<Tagged<'_>> = tagged
            .map(|(sample, observation)| Tagged {
                observation,
                tag: sample.tag.as_deref(),
                index: sample.index,
            })
            .collect();
        failed(&moved(&tagged, demanded, attempt, &thresholds))
    });
    Ok(failure)
}

/// Whether the head moved as one of the token's sequences demands: that of this try, or another one, since a
/// page that was loaded again counts its tries anew.
fn moved(
    samples: &[Tagged<'_>],
    sequences: &[Vec<Direction>],
    attempt: u8,
    thresholds: &liveness::Thresholds,
) -> Decision {
    let own = usize::from(attempt).saturating_sub(1);
    let own = sequences.get(own).map(Vec::as_slice);
    let first = challenge(samples, own, thresholds);
    if first.live {
        return first;
    }
    let others = sequences.iter().map(Vec::as_slice);
    let other = others
        .map(|sequence| challenge(samples, Some(sequence), thresholds))
        .find(|decision| decision.live);
    other.unwrap_or(first)
}

fn failed(decision: &Decision) -> Option<Failure> {
    decision.failure.map(|failure| match failure {
        liveness::LivenessFailure::LiveDetectionFailed => Failure::LiveDetectionFailed,
        liveness::LivenessFailure::ChallengeResponseFailed => Failure::ChallengeResponseFailed,
        liveness::LivenessFailure::NotEnoughSamples => Failure::NotEnoughSamples,
    })
}
