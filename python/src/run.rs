//! How work is done beside the interpreter.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3::prelude::*;

use crate::errors::Failure;

/// Does `work` with the interpreter's lock released. A panic becomes an `InternalError`.
pub(crate) fn run<T: Send>(
    py: Python<'_>,
    work: impl FnOnce() -> Result<T, Failure> + Send,
) -> PyResult<T> {
    let done = py.detach(|| catch_unwind(AssertUnwindSafe(work)));
    let done = done.unwrap_or_else(|panic| Err(Failure::new("InternalError", text_of(&*panic))));
    done.map_err(|failure| failure.into_exception(py))
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    format!(
        "a defect of Vultus, please report it: {}",
        text.unwrap_or("no text")
    )
}

/// Fails if Ctrl-C was pressed, and tells `progress`, if there is one, how much is done.
///
/// # Errors
///
/// The exception of the handler of the signal, or of `progress`.
pub(crate) fn go_on(progress: Option<&Py<PyAny>>, done: u64) -> Result<(), Failure> {
    Python::attach(|py| {
        py.check_signals()?;
        if let Some(progress) = progress {
            progress.call1(py, (done,))?;
        }
        Ok(())
    })
}

/// What was said when it was asked whether to go on, where the library has no room for it.
#[derive(Default)]
pub(crate) struct Told {
    /// Why not.
    pub(crate) failure: Option<Failure>,
}
