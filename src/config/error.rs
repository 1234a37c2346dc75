//! Why settings cannot be used.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::ListenAddress;
use crate::kernel::Isa;

/// Why settings cannot be used. Each text is one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The settings file cannot be read.
    #[error("cannot read settings from `{path}`")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// What should be the settings file is something else.
    #[error("cannot read settings from `{path}`: expected a TOML file, found {found}")]
    NoSettingsFile {
        /// What was named.
        path: PathBuf,
        /// What it is.
        found: String,
    },
    /// The settings file is no TOML.
    #[error("`{path}` is no TOML at line {line}, column {column}: {what}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The byte in the line, from 1.
        column: usize,
        /// What is wrong.
        what: String,
    },
    /// The settings file sets something that does not exist.
    #[error("`{key}` in `{path}`, line {line}, sets nothing: the nearest known key is `{nearest}`")]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The key, with the table that it stands in.
        key: String,
        /// The key that was perhaps meant.
        nearest: &'static str,
    },
    /// A value is of the wrong type, out of range, or in another way not what is needed.
    #[error("{place} is {found}: expected {expected}")]
    Wrong {
        /// Where it stands.
        place: Place,
        /// The value, cut where it is long.
        found: String,
        /// What is needed.
        expected: String,
    },
    /// One setting is given twice in one place.
    #[error("{place} is given more than once: expected it once")]
    Twice {
        /// Where it stands.
        place: Place,
    },
    /// The processor lacks the instruction set that was asked for.
    #[error("this processor has no `{isa}`: it has {available}")]
    Isa {
        /// What was asked for.
        isa: Isa,
        /// What there is.
        available: String,
    },
    /// The metrics would be told where the service listens.
    #[error(
        "`metrics-listen` is `{address}`, and so is `listen`: expected an address of its own, such as \
         `127.0.0.1:9040`"
    )]
    SameAddress {
        /// Both.
        address: ListenAddress,
    },
    /// One of two settings that need each other is missing.
    #[error("`{given}` is set and `{missing}` is not: expected both or neither")]
    Half {
        /// The one that is set.
        given: &'static str,
        /// The one that is not.
        missing: &'static str,
    },
}

/// Where a value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a settings file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The key, with the table that it stands in.
        key: String,
    },
    /// In an environment variable.
    Variable {
        /// Its name.
        name: String,
    },
    /// On the command line.
    Flag {
        /// Its name, without hyphens.
        name: String,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File { path, line, key } => {
                write!(f, "`{key}` in `{}`, line {line},", path.display())
            }
            Place::Variable { name } => write!(f, "environment variable `{name}`"),
            Place::Flag { name } => write!(f, "`--{name}`"),
        }
    }
}
