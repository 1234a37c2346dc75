//! Where the report of an import begins: said by whoever reads, done by whoever writes it.

use serde::{Deserialize, Serialize};

/// How the report of an import begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportBegun {
    /// Anew, in place of another one or not: [`RefusedFile::begin`](super::RefusedFile::begin).
    Anew {
        /// Whether one that is there is removed.
        overwrite: bool,
    },
    /// Where it was left: [`RefusedFile::resume`](super::RefusedFile::resume).
    Resumed {
        /// Items of which it is certain what became of them.
        items: u64,
        /// Those of them that were refused.
        refused: u64,
    },
}
