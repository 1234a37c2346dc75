//! Exceptions, which `vultus/errors.py` defines.

use std::error::Error;

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
        Failure::new(class, with_causes(&error))
    }
}

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
        let (class, text) = match self {
            Failure::Python(error) => return error,
            Failure::Of(class, text) => (class, text),
        };
        let exception = py
            .import("vultus.errors")
            .and_then(|errors| errors.getattr(class))
            .and_then(|class| class.call1((text,)));
        match exception {
            Ok(exception) => PyErr::from_value(exception),
            Err(error) => error,
        }
    }
}
