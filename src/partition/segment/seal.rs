//! What makes a segment an encrypted one: its salt, the tag of its header, and its cipher.
//!
//! Every block is sealed by itself, in its place and as long as before, so that a segment is read
//! block by block as ever. The tags of blocks stand behind the checksums, which are those of the
//! encrypted bytes: whoever has no key can still tell whether a file is whole.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::secrets::{BlockCipher, DataKey, Forged, SALT_BYTES, Salt, TAG_BYTES, Tag};

/// What the key of a segment is made for.
const PURPOSE: &str = "vultus segment 2";
/// The number under which the header is sealed; blocks count from 0.
const HEADER: u64 = u64::MAX;

/// What the catalog keeps of an encrypted segment, so that no other file can take its place.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(in crate::partition) struct Seal {
    pub(in crate::partition) salt: Salt,
    pub(super) tag: Tag,
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from(*self))
    }
}

impl From<Seal> for String {
    fn from(seal: Seal) -> String {
        let bytes = seal.salt.iter().chain(&seal.tag);
        bytes.map(|byte| format!("{byte:02x}")).collect()
    }
}

impl TryFrom<String> for Seal {
    type Error = String;

    fn try_from(text: String) -> Result<Seal, String> {
        let refused = || {
            format!(
                "a seal is {} hexadecimal digits",
                2 * (SALT_BYTES + TAG_BYTES)
            )
        };
        if text.len() != 2 * (SALT_BYTES + TAG_BYTES) || !text.is_ascii() {
            return Err(refused());
        }
        let mut bytes = [0; SALT_BYTES + TAG_BYTES];
        for (at, byte) in bytes.iter_mut().enumerate() {
            let digits = text.get(2 * at..2 * at + 2).unwrap_or_default();
            *byte = u8::from_str_radix(digits, 16).map_err(|_| refused())?;
        }
        let (salt, tag) = bytes.split_at(SALT_BYTES);
        Ok(Seal {
            salt: salt.try_into().map_err(|_| refused())?,
            tag: tag.try_into().map_err(|_| refused())?,
        })
    }
}

/// Which segment a block is of.
#[derive(Clone, Copy, Debug)]
pub(in crate::partition) struct Owner {
    pub(in crate::partition) identity: u64,
    pub(in crate::partition) partition: u64,
    pub(in crate::partition) segment: u64,
}

/// The cipher of one segment.
#[derive(Debug)]
pub(in crate::partition) struct SegmentCipher {
    cipher: BlockCipher,
    owner: Owner,
}

impl SegmentCipher {
    pub(in crate::partition) fn new(key: &DataKey, salt: &Salt, owner: Owner) -> SegmentCipher {
        SegmentCipher {
            cipher: key.block_cipher(salt, PURPOSE),
            owner,
        }
    }

    /// Encrypts a block of a plane of this kind, by its number among all of the segment. Each is sealed
    /// once.
    pub(super) fn seal(&self, kind: u32, block: usize, bytes: &mut [u8]) -> Tag {
        let associated = self.associated(kind, bytes.len());
        self.cipher.seal(block as u64, &associated, bytes)
    }

    pub(in crate::partition) fn open(
        &self,
        kind: u32,
        block: usize,
        tag: &Tag,
        bytes: &mut [u8],
    ) -> Result<(), Forged> {
        let associated = self.associated(kind, bytes.len());
        self.cipher.open(block as u64, &associated, tag, bytes)
    }

    /// The tag of a header.
    pub(super) fn seal_header(&self, associated: &[u8]) -> Tag {
        self.cipher.seal(HEADER, associated, &mut [])
    }

    pub(super) fn check_header(&self, associated: &[u8], tag: &Tag) -> Result<(), Forged> {
        self.cipher.open(HEADER, associated, tag, &mut [])
    }

    /// What a block belongs to: the kind of file with its version, the data directory, the
    /// partition, the segment, the plane, and how long the block is. Its number is the nonce.
    fn associated(&self, kind: u32, bytes: usize) -> [u8; PURPOSE.len() + 32] {
        let mut associated = [0; PURPOSE.len() + 32];
        let (purpose, rest) = associated.split_at_mut(PURPOSE.len());
        purpose.copy_from_slice(PURPOSE.as_bytes());
        let Owner {
            identity,
            partition,
            segment,
        } = self.owner;
        let of_block = u64::from(kind) << 32 | bytes as u64;
        let numbers = [identity, partition, segment, of_block];
        for (place, number) in rest.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        associated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_comes_back_from_its_text() {
        let seal = Seal {
            salt: [0xab; SALT_BYTES],
            tag: [7; TAG_BYTES],
        };
        let text = String::from(seal);
        assert_eq!(Seal::try_from(text.clone()), Ok(seal));
        for wrong in [
            "",
            &text[1..],
            &format!("{text}0"),
            &text.replace('a', "g"),
            &"é".repeat(32),
        ] {
            assert!(Seal::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }
}
