//! What comes of a task.

use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{Claims, TaskMatch, TaskResult};

/// Why a task could not be carried out although the call was right. Answered with status 200.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(super) enum Failure {
    /// The samples do not show a live person.
    LiveDetectionFailed,
    /// The head did not move as was demanded.
    ChallengeResponseFailed,
    /// Nobody is enrolled.
    NoTemplateAvailable,
    /// There are too few samples.
    NotEnoughSamples,
    /// The server is too busy.
    ExecutionOfJobTimedOut,
}

/// What came of a task.
#[derive(Clone, Debug, Default)]
pub(super) struct Done {
    pub(super) success: bool,
    /// Why it could not be carried out. A verification that did not recognise the person has none.
    pub(super) error: Option<Failure>,
    /// The people that an identification found.
    pub(super) matches: Vec<TaskMatch>,
    /// By how much later it is to be told.
    pub(super) delay: Duration,
}

impl Failure {
    /// The code that clients know.
    fn code(self) -> &'static str {
        match self {
            Failure::LiveDetectionFailed => "LiveDetectionFailed",
            Failure::ChallengeResponseFailed => "ChallengeResponseFailed",
            Failure::NoTemplateAvailable => "NoTemplateAvailable",
            Failure::NotEnoughSamples => "NotEnoughSamples",
            Failure::ExecutionOfJobTimedOut => "ExecutionOfJobTimedOut",
        }
    }
}

impl Done {
    pub(super) fn succeeded() -> Done {
        Done {
            success: true,
            ..Done::default()
        }
    }

    pub(super) fn failed(error: Failure) -> Done {
        Done {
            error: Some(error),
            ..Done::default()
        }
    }

    /// The same, to be kept as the result of a token.
    pub(super) fn result(&self, claims: &Claims) -> TaskResult {
        TaskResult {
            task: claims.task,
            bcid: claims.bcid.clone(),
            success: self.success,
            error: self.error.map(|error| error.code().to_owned()),
            matches: self.matches.clone(),
        }
    }
}
