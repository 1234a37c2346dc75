//! Why there is no answer: exceptions that `vultus/errors.py` defines, by name.

use std::any::Any;
use std::error::Error;
use std::io;

use pyo3::prelude::*;
use vultus::face::{FaceError, FaceSetupError};
use vultus::intake::{Cause, IntakeError};

/// The name of an exception, its text, and the number of the error of the system if it is one: what
/// Python raises for that is a base of the exception, too.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) class: &'static str,
    pub(crate) text: String,
    pub(crate) number: Option<i32>,
}

/// `ETIMEDOUT`, by which Python knows a `TimeoutError`.
#[cfg(target_os = "linux")]
const TIME_OVER: i32 = 110;
#[cfg(not(target_os = "linux"))]
const TIME_OVER: i32 = 60;

impl Failure {
    pub(crate) fn new(class: &'static str, text: impl ToString) -> Failure {
        let text = text.to_string();
        let number = None;
        Failure {
            class,
            text,
            number,
        }
    }

    /// The same where the system refused something.
    pub(crate) fn of_io(class: &'static str, text: impl ToString, error: &io::Error) -> Failure {
        let number = error.raw_os_error();
        Failure {
            number,
            ..Failure::new(class, text)
        }
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
        let exception = py.import("vultus.errors").and_then(|errors| {
            let class = errors.getattr(self.class)?;
            match self.number {
                None => class.call1((self.text,)),
                Some(number) => errors.call_method1("of_system", (class, self.text, number)),
            }
        });
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
        let is_time_over = matches!(error.cause, Cause::Picture(FaceError::TooSlow { .. }));
        Failure {
            number: is_time_over.then_some(TIME_OVER),
            ..Failure::new(class, with_causes(&error))
        }
    }
}

impl From<FaceError> for Failure {
    fn from(error: FaceError) -> Failure {
        IntakeError::from(error).into()
    }
}

impl From<FaceSetupError> for Failure {
    fn from(error: FaceSetupError) -> Failure {
        let text = with_causes(&error);
        match io_of(&error) {
            Some(io) => Failure::of_io("InputFileError", text, io),
            None => Failure::new("InputError", text),
        }
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

/// What the system said, if it was that.
fn io_of<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(io) = cause.downcast_ref() {
            return Some(io);
        }
        next = cause.source();
    }
    None
}
