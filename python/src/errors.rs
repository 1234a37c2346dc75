//! Exceptions, which `vultus/errors.py` defines.

use std::error::Error;
use std::io;

use pyo3::prelude::*;
use vultus::engine::{EngineError, Fault};
use vultus::partition::StoreError;
use vultus::search::{PairsError, RowsError, SearchError};
use vultus::secrets::KeyError;

/// Why a call has no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// An exception of `vultus.errors`, by its name, with its text.
    Of(&'static str, String),
    /// The same where the system refused something, with its number: what Python raises for that is a
    /// base of the exception, too.
    OfSystem(&'static str, String, i32),
    /// An exception that Python code raised while it was asked: Ctrl-C, or that of a callback.
    Python(PyErr),
}

impl Failure {
    /// An exception of `vultus.errors`.
    pub(crate) fn new(class: &'static str, text: impl ToString) -> Failure {
        Failure::Of(class, text.to_string())
    }

    /// The same with what it is about before the text: an argument, by its name.
    #[must_use]
    pub(crate) fn of_argument(self, name: &str) -> Failure {
        match self {
            Failure::Of(class, text) => Failure::Of(class, format!("{name}: {text}")),
            Failure::OfSystem(class, text, number) => {
                Failure::OfSystem(class, format!("{name}: {text}"), number)
            }
            other => other,
        }
    }
}

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Failure {
        Failure::Python(error)
    }
}

impl From<RowsError> for Failure {
    fn from(error: RowsError) -> Failure {
        let class = match error {
            RowsError::Row { .. } => "RowError",
            _ => "DimensionError",
        };
        Failure::new(class, with_causes(&error))
    }
}

impl From<PairsError> for Failure {
    fn from(error: PairsError) -> Failure {
        match error {
            PairsError::Rows(error) => Failure::from(error).of_argument("X"),
            PairsError::Others(error) => Failure::from(error).of_argument("Y"),
            error => Failure::new("TooManyPairsError", error),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        let class = match &error {
            StoreError::Locked { .. } | StoreError::Busy { .. } => "LockedError",
            StoreError::ReadOnly { .. } => "ReadOnlyError",
            StoreError::Encoder { .. } => "EncoderError",
            StoreError::Keys { cause, .. } if is_of_master_key(cause) => "MasterKeyError",
            error if error.is_callers_fault() => "InputError",
            _ => "StorageError",
        };
        let text = with_causes(&error);
        match number_of(&error) {
            Some(number) if class == "StorageError" => Failure::OfSystem(class, text, number),
            _ => Failure::Of(class, text),
        }
    }
}

/// What the system said, as a number: that of a file that is not there, and so on.
fn number_of(error: &StoreError) -> Option<i32> {
    if matches!(
        error,
        StoreError::Exists { .. } | StoreError::Occupied { .. } | StoreError::NotOurs { .. }
    ) {
        return Some(EXISTS);
    }
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(cause) = next {
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            return error.raw_os_error().or(match error.kind() {
                io::ErrorKind::NotFound => Some(MISSING),
                io::ErrorKind::PermissionDenied => Some(DENIED),
                io::ErrorKind::AlreadyExists => Some(EXISTS),
                io::ErrorKind::NotADirectory => Some(NO_DIRECTORY),
                _ => None,
            });
        }
        next = cause.source();
    }
    None
}

/// `ENOENT`, `EACCES`, `EEXIST` and `ENOTDIR`, which are the same on all systems.
const MISSING: i32 = 2;
const DENIED: i32 = 13;
const EXISTS: i32 = 17;
const NO_DIRECTORY: i32 = 20;

/// Whether it is the key that was given or not, and nothing is wrong with what is on disk.
fn is_of_master_key(error: &KeyError) -> bool {
    matches!(
        error,
        KeyError::NotAKey { .. } | KeyError::NoMasterKey | KeyError::WrongMasterKey
    )
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Failure {
        match error {
            EngineError::Store(error) | EngineError::Search(SearchError::Store(error)) => {
                error.into()
            }
            error => {
                let class = match (&error, error.fault()) {
                    (EngineError::Search(SearchError::Dimension { .. }), _) => "DimensionError",
                    (_, Fault::Caller) => "InputError",
                    (_, Fault::Ours) => "StorageError",
                };
                Failure::new(class, with_causes(&error))
            }
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

impl Failure {
    /// The exception to be raised.
    pub(crate) fn into_exception(self, py: Python<'_>) -> PyErr {
        let (class, text, number) = match self {
            Failure::Python(error) => return error,
            Failure::Of(class, text) => (class, text, None),
            Failure::OfSystem(class, text, number) => (class, text, Some(number)),
        };
        let exception = py.import("vultus.errors").and_then(|errors| {
            let class = errors.getattr(class)?;
            match number {
                None => class.call1((text,)),
                Some(number) => errors.call_method1("of_system", (class, text, number)),
            }
        });
        match exception {
            Ok(exception) => PyErr::from_value(exception),
            Err(error) => error,
        }
    }
}
