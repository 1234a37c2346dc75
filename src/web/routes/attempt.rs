//! A try of a token, from the moment that it is granted until its result is kept.
//!
//! Each step takes the try and gives it back further on, so that none is counted twice and none is
//! forgotten: it is counted with its result, or before that, once a task is about to change
//! templates.

use std::sync::Arc;

use super::super::error::Error;
use super::super::state::AppState;
use super::done::{Done, Failure};
use crate::access::{Attempt, Claims};
use crate::partition::StoreError;
use crate::samples::UploadedSample;

/// A try that has begun. It must end with [`Try::end`] before anybody learns what came of it.
#[must_use = "a try that does not end is not counted"]
pub(super) struct Try {
    state: AppState,
    claims: Arc<Claims>,
    /// Which try of the token it is, from 1.
    number: u8,
    counting: Counting,
}

/// Whether the disk knows of a try.
enum Counting {
    /// Not yet: only this process does.
    Granted(Attempt),
    Counted,
}

impl Try {
    /// Takes the token's samples, and grants it a try unless there are none.
    pub(super) fn begin(
        state: &AppState,
        claims: &Arc<Claims>,
    ) -> Result<(Try, Vec<UploadedSample>), Error> {
        let samples = take_samples(state, claims)?;
        let attempt = state.attempts().take(claims)?;
        let begun = Try {
            state: state.clone(),
            claims: claims.clone(),
            number: attempt.number,
            counting: Counting::Granted(attempt),
        };
        Ok((begun, samples))
    }

    /// Which try of the token it is, from 1.
    pub(super) fn number(&self) -> u8 {
        self.number
    }

    /// Counts the try now instead of with its result. It is over if that fails.
    pub(super) fn count(self) -> Result<Try, Error> {
        if let Counting::Granted(attempt) = self.counting {
            count(&self.state, &self.claims, attempt)?;
        }
        Ok(Try {
            counting: Counting::Counted,
            ..self
        })
    }

    /// Keeps what came of the task as the result of the token, and counts the try unless it is
    /// counted. What failed for a reason of ours has no result, and is a try all the same.
    pub(super) fn end(self, done: Result<Done, Error>) -> Result<Done, Error> {
        let (state, claims) = (&self.state, &*self.claims);
        match (self.counting, &done) {
            (Counting::Granted(attempt), Ok(done)) => {
                let (results, result) = (state.results(), done.result(claims));
                let kept = results.put_and_count(claims, &result, state.attempts(), attempt);
                kept.map_err(|error| not_kept(&error))?;
            }
            (Counting::Counted, Ok(done)) => keep(state, claims, done)?,
            (Counting::Granted(attempt), Err(_)) => count(state, claims, attempt)?,
            (Counting::Counted, Err(_)) => {}
        }
        done
    }
}

/// Ends a task for which there was no time. Its samples are gone; no try is counted.
///
/// Without samples, or tries, it is the same answer as ever, and no result.
pub(super) fn end_unbegun(state: &AppState, claims: &Claims) -> Result<Done, Error> {
    take_samples(state, claims)?;
    state.attempts().check(claims)?;
    let done = Done::failed(Failure::ExecutionOfJobTimedOut);
    keep(state, claims, &done)?;
    Ok(done)
}

fn take_samples(state: &AppState, claims: &Claims) -> Result<Vec<UploadedSample>, Error> {
    let samples = state.samples().take(claims.id, state.clock().now());
    if samples.is_empty() {
        // Not counted, but a token that is used up says so rather than asking for samples.
        state.attempts().check(claims)?;
        let message = "no samples have been uploaded with this token";
        return Err(Error::bad_request(message));
    }
    Ok(samples)
}

fn count(state: &AppState, claims: &Claims, attempt: Attempt) -> Result<(), Error> {
    let counted = state.attempts().count(claims, attempt);
    counted.map_err(|error| Error::internal("to count an attempt", &error))
}

fn keep(state: &AppState, claims: &Claims, done: &Done) -> Result<(), Error> {
    let kept = state.results().put(claims, &done.result(claims));
    kept.map_err(|error| not_kept(&error))
}

fn not_kept(error: &StoreError) -> Error {
    Error::internal("to keep the result of a task", error)
}
