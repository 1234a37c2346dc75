//! How a run ended.

use std::process::ExitCode;

/// The exit code of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// All was done; `identify` found somebody.
    Success,
    /// The answer is no: nobody was found, or something was refused while the rest was done.
    No,
    /// It could not be done. The command line itself being wrong has the same code.
    Error,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(match exit {
            Exit::Success => 0,
            Exit::No => 1,
            Exit::Error => 2,
        })
    }
}
