//! Keys that other keys are made of.

use std::fmt;

use zeroize::Zeroizing;

use super::blocks::BlockCipher;
use super::derive::{KEY_BYTES, expand, extract, random};
use super::pages::PageCipher;

/// Bytes of a salt.
pub const SALT_BYTES: usize = 16;

/// What makes the key of a file differ from those of all others. Not secret.
pub type Salt = [u8; SALT_BYTES];

/// A salt for a new file.
pub fn new_salt() -> Salt {
    random()
}

/// A key of a data directory or of a gallery, of which keys of files are made.
#[derive(Clone)]
pub struct DataKey(Zeroizing<[u8; KEY_BYTES]>);

impl DataKey {
    /// A new random key.
    pub fn random() -> DataKey {
        DataKey(Zeroizing::new(random()))
    }

    pub(super) fn from_bytes(bytes: &[u8; KEY_BYTES]) -> DataKey {
        DataKey(Zeroizing::new(*bytes))
    }

    pub(super) fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// The cipher of one file that is written once, whose salt is its own. `purpose` says what kind of
    /// file it is.
    pub fn block_cipher(&self, salt: &Salt, purpose: &'static str) -> BlockCipher {
        BlockCipher::new(expand(&extract(&self.0[..], salt), &[purpose.as_bytes()]))
    }

    /// The cipher of one file whose pages are written again and again.
    pub fn page_cipher(&self, salt: &Salt, purpose: &'static str) -> PageCipher {
        PageCipher::new(extract(&self.0[..], salt), purpose)
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_shows_nothing_of_itself() {
        let key = DataKey::from_bytes(&[0xab; KEY_BYTES]);
        assert_eq!(format!("{key:?}"), "DataKey");
        assert_ne!(DataKey::random().bytes(), DataKey::random().bytes());
        assert_ne!(new_salt(), new_salt());
    }
}
