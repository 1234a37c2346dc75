//! Whether what is stored can be read by whoever has the files.

use serde::Serialize;

/// How much of a data directory, or of a partition, is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Encryption {
    /// Nothing.
    #[default]
    Off,
    /// All of it.
    On,
    /// The catalog and some segments. The others are plain still: `vultus gallery encrypt` is at work, or was broken
    /// off; a service goes on with it, and so does the command when it is run again.
    Partly,
}

impl Encryption {
    /// That of so many plain segments in a data directory that has keys or not.
    pub(super) fn of(has_keys: bool, plain_segments: usize) -> Encryption {
        match (has_keys, plain_segments) {
            (false, _) => Encryption::Off,
            (true, 0) => Encryption::On,
            (true, _) => Encryption::Partly,
        }
    }
}
