//! Sealing a file that is written once, block by block.

use std::fmt;

use ring::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce};

use super::error::Forged;

/// Bytes by which a block is authenticated.
pub const TAG_BYTES: usize = 16;

/// What a block is authenticated by.
pub type Tag = [u8; TAG_BYTES];

/// The cipher of one file. Whoever seals with it gives each number once.
pub struct BlockCipher(LessSafeKey);

impl BlockCipher {
    pub(super) fn new(key: LessSafeKey) -> BlockCipher {
        BlockCipher(key)
    }

    /// Encrypts a block in its place. `associated` is what it belongs to. No other block of the file
    /// was or will be sealed under this number.
    pub fn seal(&self, number: u64, associated: &[u8], bytes: &mut [u8]) -> Tag {
        seal(&self.0, nonce(number), associated, bytes)
    }

    /// Decrypts a block in its place.
    ///
    /// # Errors
    ///
    /// If it is not what was sealed under this number, with what is associated. Nothing that `bytes`
    /// holds then means anything.
    pub fn open(
        &self,
        number: u64,
        associated: &[u8],
        tag: &Tag,
        bytes: &mut [u8],
    ) -> Result<(), Forged> {
        open(&self.0, nonce(number), associated, tag, bytes)
    }
}

impl fmt::Debug for BlockCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlockCipher")
    }
}

/// The number as a nonce: little-endian, with four zeros behind it.
fn nonce(number: u64) -> [u8; NONCE_LEN] {
    let mut nonce = [0; NONCE_LEN];
    nonce[..8].copy_from_slice(&number.to_le_bytes());
    nonce
}

pub(super) fn seal(
    key: &LessSafeKey,
    nonce: [u8; NONCE_LEN],
    associated: &[u8],
    bytes: &mut [u8],
) -> Tag {
    let nonce = Nonce::assume_unique_for_key(nonce);
    let tag = key.seal_in_place_separate_tag(nonce, Aad::from(associated), bytes);
    let tag = tag.expect("a block is shorter than 64 GiB");
    let mut copy = [0; TAG_BYTES];
    copy.copy_from_slice(tag.as_ref());
    copy
}

pub(super) fn open(
    key: &LessSafeKey,
    nonce: [u8; NONCE_LEN],
    associated: &[u8],
    tag: &Tag,
    bytes: &mut [u8],
) -> Result<(), Forged> {
    let nonce = Nonce::assume_unique_for_key(nonce);
    let tag = (*tag).into();
    let opened = key.open_in_place_separate_tag(nonce, Aad::from(associated), tag, bytes, 0..);
    opened.map(drop).map_err(|_| Forged)
}

#[cfg(test)]
mod tests {
    use super::super::keys::DataKey;

    #[test]
    fn a_block_opens_only_as_it_was_sealed() {
        let key = DataKey::random();
        let cipher = key.block_cipher(&[1; 16], "test");
        let mut bytes = *b"a template, say";
        let tag = cipher.seal(7, b"file", &mut bytes);
        assert_ne!(&bytes, b"a template, say");
        let open = |key: &DataKey, salt: u8, purpose, number, associated: &[u8]| {
            let mut copy = bytes;
            let cipher = key.block_cipher(&[salt; 16], purpose);
            cipher
                .open(number, associated, &tag, &mut copy)
                .map(|()| copy)
        };
        assert_eq!(open(&key, 1, "test", 7, b"file"), Ok(*b"a template, say"));
        assert!(open(&key, 2, "test", 7, b"file").is_err());
        assert!(open(&key, 1, "tess", 7, b"file").is_err());
        assert!(open(&key, 1, "test", 8, b"file").is_err());
        assert!(open(&key, 1, "test", 7, b"life").is_err());
        assert!(open(&DataKey::random(), 1, "test", 7, b"file").is_err());
        for at in 0..bytes.len() * 8 {
            let mut copy = bytes;
            copy[at / 8] ^= 1 << (at % 8);
            assert!(
                cipher.open(7, b"file", &tag, &mut copy).is_err(),
                "bit {at}"
            );
        }
        for at in 0..tag.len() * 8 {
            let (mut copy, mut tag) = (bytes, tag);
            tag[at / 8] ^= 1 << (at % 8);
            assert!(
                cipher.open(7, b"file", &tag, &mut copy).is_err(),
                "bit {at}"
            );
        }
    }

    #[test]
    fn equal_blocks_look_different_everywhere() {
        let key = DataKey::random();
        let sealed = |salt, number| {
            let mut bytes = [0; 64];
            let cipher = key.block_cipher(&[salt; 16], "test");
            cipher.seal(number, b"", &mut bytes);
            bytes
        };
        assert_ne!(sealed(1, 1), sealed(1, 2));
        assert_ne!(sealed(1, 1), sealed(2, 1));
    }
}
