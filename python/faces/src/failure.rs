//! Why there is no answer: exceptions that `vultus/errors.py` defines, by name.

use std::any::Any;
use std::error::Error;

use pyo3::prelude::*;
use vultus::face::{FaceError, FaceSetupError};
use vultus::intake::{Cause, IntakeError};

/// The name of an exception, and its text.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) class: &'static str,
    pub(crate) text: String,
}

impl Failure {
    pub(crate) fn new(class: &'static str, text: impl ToString) -> Failure {
        let text = text.to_string();
        Failure { class, text }
    }

    /// What a panic is to those who call.
    pub(crate) fn of_panic(panic: &(dyn Any + Send)) -> Failure {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no text");
        let text = format!("a defect of Vultus, please report it: {text}");
        Failure::new("InternalError", text)
    }

    /// The exception to be raised.
    pub(crate) fn into_exception(self, py: Python<'_>) -> PyErr {
        let exception = py
            .import("vultus.errors")
            .and_then(|errors| errors.getattr(self.class))
            .and_then(|class| class.call1((self.text,)));
        match exception {
            Ok(exception) => PyErr::from_value(exception),
            Err(error) => error,
        }
    }
}

impl From<IntakeError> for Failure {
    fn from(error: IntakeError) -> Failure {
        let class = match error.cause {
            Cause::NoFace(_) => "NoFaceError",
            Cause::SeveralFaces(_) => "SeveralFacesError",
            Cause::Network(_) | Cause::NoDetector => "InternalError",
            _ => "PictureError",
        };
        Failure::new(class, with_causes(&error))
    }
}

impl From<FaceError> for Failure {
    fn from(error: FaceError) -> Failure {
        IntakeError::from(error).into()
    }
}

impl From<FaceSetupError> for Failure {
    fn from(error: FaceSetupError) -> Failure {
        Failure::new("InputError", with_causes(&error))
    }
}

/// An error and all that caused it, on one line.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        // A transparent error says what its cause says.
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}
