//! Why the audit log cannot be written or read.

use std::io;
use std::path::{Path, PathBuf};

/// Why the audit log cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The system failed.
    #[error("{doing} `{path}`", path = .path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// Why that failed.
        source: io::Error,
    },
    /// The end of the log cannot be gone on from.
    #[error(
        "the end of the audit log `{path}` is damaged, and nothing is written behind it: {problem}; \
         `vultus audit verify` says more, and a log that is moved away begins anew",
        path = .path.display()
    )]
    Damaged {
        /// The last file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

impl AuditError {
    /// For `map_err`.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> AuditError {
        let path = path.to_owned();
        move |source| AuditError::Io {
            doing,
            path,
            source,
        }
    }
}
