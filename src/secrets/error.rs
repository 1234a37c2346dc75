//! What can be wrong with keys.

/// Bytes that do not authenticate: they are not what was sealed with this key in this place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are not what was sealed here with this key")]
pub struct Forged;

/// Why a key cannot be used. No message has a part of a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// What was given is no master key.
    #[error("a master key is 64 hexadecimal digits, or 32 bytes; there are {found} bytes")]
    NotAKey {
        /// How many bytes there are, blanks at the ends not counted.
        found: usize,
    },
    /// The data directory is encrypted, and no master key was given.
    #[error("it is encrypted, and no master key is given: set `master-key`")]
    NoMasterKey,
    /// The data directory is to be encrypted, and no master key was given.
    #[error("it is to be encrypted, and no master key is given: set `master-key`")]
    NothingToEncryptWith,
    /// The master key is not the one that the key file was sealed with.
    #[error(
        "the master key is another one than the keys were sealed with: set `master-key` to that one (a file of before `change-master-key` is opened by the key of then)"
    )]
    WrongMasterKey,
    /// The key file is cut, or has other bytes than were written.
    #[error("the key file is damaged: {what}; put back a copy of it, from a snapshot for example")]
    Damaged {
        /// What was found.
        what: String,
    },
    /// The key file was made by a newer version.
    #[error("the key file has version {found}, and this build reads 1 to 2: use a newer build")]
    Version {
        /// The version found.
        found: u32,
    },
    /// Another master key is to be set where none is needed.
    #[error("it is not encrypted: there are no keys to be sealed")]
    NothingSealed,
    /// What is encrypted is there, and the key file is not.
    #[error("the key file is missing: put it back, or restore a snapshot into another directory")]
    Missing,
    /// The key file was put here from another data directory.
    #[error(
        "the key file is of data directory {found:016x}, and the rest of {expected:016x}: put back the one that belongs here"
    )]
    Foreign {
        /// Which data directory the rest is of.
        expected: u64,
        /// Which one the key file is of.
        found: u64,
    },
    /// An older key file was put in the place of the last one.
    #[error(
        "the key file is an older one: it was written {found} times, and the last one {expected} times, with other keys: put the last one back, or restore a snapshot into another directory"
    )]
    Older {
        /// How often the last one was written.
        expected: u64,
        /// How often this one was written.
        found: u64,
    },
    /// A gallery has no key, so that nobody can read it any more.
    #[error(
        "the key file has no key of gallery number {gallery}: put the last one back if this is an older one; if the key was destroyed, nobody can read that gallery"
    )]
    NoKeyOfGallery {
        /// The number of the gallery in the data directory.
        gallery: u64,
    },
    /// Another key took the place of that of a gallery while something was sealed with it, or of none.
    #[error("the gallery has got another key while this was written: try again")]
    Replaced,
    /// What is asked for cannot be told of an encrypted file.
    #[error(
        "it is encrypted: with the master key, `vultus gallery verify` reads a data directory, and `vultus gallery restore --check` a snapshot"
    )]
    Unreadable,
    /// A part that must be encrypted is not, so that anybody may have made it.
    #[error(
        "it is not encrypted, and the data directory is: somebody else may have made it, or `vultus gallery encrypt` did not come to its end, and goes on when it is run again"
    )]
    NotEncrypted,
    /// A part is encrypted and does not authenticate.
    #[error("it is not what was sealed with the keys of this data directory: {what}")]
    Forged {
        /// What was looked at.
        what: String,
    },
}
