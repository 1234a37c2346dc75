//! What can be wrong with files of other programs, and with those written for them.

use std::io;
use std::path::{Path, PathBuf};

use crate::types::EmbeddingError;

/// Why a file cannot be read as embeddings or classes, or answers cannot be written to one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExchangeError {
    /// The operating system refused.
    #[error("cannot {action} `{path}`")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The file is none of its format, or not a whole one.
    #[error("`{path}` is not a whole `{format}` file: {what}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The format, as names of files end in it.
        format: &'static str,
        /// What was expected and found.
        what: String,
    },
    /// The file holds something else than what was asked for.
    #[error("`{path}` holds {found}; expected {expected}")]
    Contents {
        /// The file.
        path: PathBuf,
        /// What is needed.
        expected: String,
        /// What it holds.
        found: String,
    },
    /// Some items are none, where all must be embeddings.
    #[error("{refused} of {items} rows of `{path}` are no embeddings:{first}")]
    Items {
        /// The source.
        path: PathBuf,
        /// How many items are none.
        refused: usize,
        /// Of how many.
        items: usize,
        /// The first of them, a line for each.
        first: String,
    },
    /// A row is no embedding.
    #[error("row {row} of `{path}` is no embedding")]
    Row {
        /// The file.
        path: PathBuf,
        /// Which row, from 0.
        row: usize,
        /// What is wrong with it.
        #[source]
        source: EmbeddingError,
    },
    /// An item is none that can be imported, and none was to be refused.
    #[error("row {item} of `{path}` is no embedding: {reason}")]
    Item {
        /// The source.
        path: PathBuf,
        /// Which item, from 0.
        item: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The name of a file to be read does not say how it is written.
    #[error(
        "cannot tell the format of `{path}` by its name: known are `.npy`, `.npz`, `.parquet` and `.jsonl`"
    )]
    SourceFormat {
        /// The name.
        path: PathBuf,
    },
    /// The name of a gallery to be written does not say how.
    #[error(
        "cannot tell the format of `{path}` by its name: end it in `.npz`, `.parquet` or `.jsonl`"
    )]
    GalleryFormat {
        /// The name.
        path: PathBuf,
    },
    /// The name of a file does not say how faces are to be written.
    #[error(
        "cannot tell the format of `{path}` by its name: end it in `.npy`, `.parquet` or `.jsonl`"
    )]
    FaceFormat {
        /// The name.
        path: PathBuf,
    },
    /// The name of a file asks for a format which this build leaves out.
    #[error(
        "`{path}` is of a format that this build leaves out: build it with the feature `{feature}`"
    )]
    NoFeature {
        /// The name.
        path: PathBuf,
        /// What to build with.
        feature: &'static str,
    },
    /// The name of an output does not say how it is to be written.
    #[error(
        "cannot tell the format of `{path}` by its name: end it in `.jsonl`, `.csv`, `.npz` or `.parquet`"
    )]
    Format {
        /// The name.
        path: PathBuf,
    },
    /// The name of an output asks for Parquet, which this build leaves out.
    #[error(
        "cannot write `{path}`: this build has no Parquet; build it with the feature `parquet`, or end the name in `.jsonl`"
    )]
    NoParquet {
        /// The name.
        path: PathBuf,
    },
    /// An output is there already, and nobody said what to do with it.
    #[error("`{path}` exists: replace it with --overwrite, or name another file")]
    Exists {
        /// The output.
        path: PathBuf,
    },
    /// A run with this output stopped early, and nobody said what to do with its answers.
    #[error("`{path}` was left by a run that did not finish: resume that run, or overwrite it")]
    Unfinished {
        /// The answers so far.
        path: PathBuf,
    },
    /// A run with this output cannot be resumed, since it was asked something else.
    #[error(
        "`{path}` was begun with another `{name}`: then {begun}, now {now}; ask the same again, or overwrite it"
    )]
    OtherJob {
        /// The output.
        path: PathBuf,
        /// What differs.
        name: String,
        /// What it was.
        begun: String,
        /// What it is.
        now: String,
    },
    /// A run with this output cannot be resumed, since what it left is not as it left it.
    #[error("cannot resume `{path}`: {what}; overwrite it to start again")]
    NotResumable {
        /// The output.
        path: PathBuf,
        /// What was expected and found.
        what: String,
    },
}

impl ExchangeError {
    pub(super) fn malformed(
        path: &Path,
        format: &'static str,
        what: impl Into<String>,
    ) -> ExchangeError {
        ExchangeError::Malformed {
            path: path.to_owned(),
            format,
            what: what.into(),
        }
    }

    /// As [`ExchangeError::io`], for many errors.
    #[cfg(any(feature = "npz", feature = "parquet"))]
    pub(super) fn io_in(action: &'static str, path: &Path) -> impl Fn(io::Error) -> ExchangeError {
        let path = path.to_owned();
        move |source| ExchangeError::io(action, &path)(source)
    }

    /// For `map_err`, so that an error of the operating system gets the place and the purpose.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ExchangeError {
        move |source| ExchangeError::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }
}
