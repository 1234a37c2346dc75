//! Rates that calls of this API ask for.

use std::str::FromStr;

use super::super::error::Error;
use super::super::parameters::Parameters;
use crate::intake::JudgeError;
use crate::rates::TargetRate;

/// The rate that a call asks for by a parameter.
pub(super) fn target(parameters: &Parameters, name: &str) -> Result<Option<TargetRate>, Error> {
    let target = parameters.text(name).map(TargetRate::from_str);
    let wrong = |error| Error::bad_request(format!("the parameter `{name}`: {error}"));
    target.transpose().map_err(wrong)
}

/// Why nothing is decided by the rate that a parameter asks for.
pub(super) fn undecided(name: &str, error: JudgeError) -> Error {
    match error {
        JudgeError::Engine(error) => error.into(),
        error => Error::bad_request(format!("the parameter `{name}`: {error}")),
    }
}
