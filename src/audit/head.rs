//! A place in the log, by which it is known whether what is before it is still the same.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What the first line of a log has in place of the digest of a line before it.
pub(super) const NOTHING_BEFORE: &str =
    "0000000000000000000000000000000000000000000000000000000000000000";

/// A place in the log: all that is before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The number of the line that comes next.
    pub sequence: u64,
    /// SHA-256 of the line before that.
    pub previous: String,
}

impl Head {
    /// That of a log without a line.
    pub(super) fn beginning() -> Head {
        Head {
            sequence: 1,
            previous: NOTHING_BEFORE.to_owned(),
        }
    }

    /// That behind the line `text`, which has the number of this one.
    pub(super) fn behind(&self, text: &[u8]) -> Head {
        Head {
            sequence: self.sequence + 1,
            previous: digest(text),
        }
    }
}

fn digest(line: &[u8]) -> String {
    hex(&Sha256::digest(line))
}

/// Hexadecimal digits of bytes, in lower case.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
