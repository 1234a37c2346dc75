//! The keys of a data directory, and the bytes of the file that they are kept in.
//!
//! The file holds the same record twice, so that one bad sector does not take every template with
//! it. `docs/file-format.md` has the bytes.

use std::collections::BTreeMap;

use crc_fast::CrcAlgorithm;
use zeroize::Zeroizing;

use super::blocks::{TAG_BYTES, Tag};
use super::derive::{KEY_BYTES, digest};
use super::error::KeyError;
use super::keys::{DataKey, SALT_BYTES, Salt, new_salt};
use super::master::MasterKey;

/// The first bytes of a key file.
const MAGIC: [u8; 8] = *b"VULTKEYS";
/// The version of a file in which every gallery, and the directory, has one key.
const VERSION: u32 = 1;
/// That of one which also has keys of before: whoever does not try those must not open it.
const VERSION_CHANGING: u32 = 2;
/// What comes before the sealed keys.
const HEAD_BYTES: usize = 8 + 4 + 4 + 8 + 8 + SALT_BYTES + TAG_BYTES;
/// A gallery's number and key.
const ENTRY_BYTES: usize = 8 + KEY_BYTES;
/// Far more galleries than a data directory has.
const GALLERIES_MAX: usize = 1 << 24;
/// Added to the number of a gallery for the key that it had before, until all is written anew that was sealed
/// with it.
const BEFORE: u64 = 1 << 63;
/// What stands for the number of a gallery for the key of the directory before.
const DIRECTORY_BEFORE: u64 = u64::MAX;
/// Numbers of what is sealed in a record.
const PROOF: u64 = 0;
const KEYS: u64 = 1;

/// The keys of one data directory.
#[derive(Clone, Debug)]
pub struct KeyRing {
    identity: u64,
    written: u64,
    directory: DataKey,
    galleries: BTreeMap<u64, DataKey>,
}

impl KeyRing {
    /// The keys of a new data directory, `identity`.
    pub fn new(identity: u64) -> KeyRing {
        KeyRing {
            identity,
            written: 0,
            directory: DataKey::random(),
            galleries: BTreeMap::new(),
        }
    }

    /// Which data directory they are of.
    pub fn identity(&self) -> u64 {
        self.identity
    }

    /// How often they were written so far, by which an older file is known.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Counts as if they had been written so often, if that is more: the file that was is an older one then.
    pub fn count_from(&mut self, written: u64) {
        self.written = self.written.max(written);
    }

    /// What tells these keys from any others, to whoever has them: with which master key they are sealed,
    /// and how often they were, makes no difference. It gives no key away (HMAC-SHA-256).
    pub fn digest(&self) -> u64 {
        let mut keys = Zeroizing::new(Vec::with_capacity(self.galleries.len() * ENTRY_BYTES));
        for (number, key) in &self.galleries {
            keys.extend_from_slice(&number.to_le_bytes());
            keys.extend_from_slice(key.bytes());
        }
        digest(self.directory.bytes(), &keys)
    }

    /// The key of what belongs to no gallery alone.
    pub fn directory(&self) -> &DataKey {
        &self.directory
    }

    /// The key of a gallery, by its number.
    pub fn gallery(&self, number: u64) -> Option<&DataKey> {
        self.galleries.get(&number)
    }

    /// Makes a key for a gallery that has none.
    pub fn add(&mut self, number: u64) {
        self.galleries.entry(number).or_insert_with(DataKey::random);
    }

    /// Takes a key of a gallery that another process has made.
    pub fn adopt(&mut self, number: u64, key: DataKey) {
        self.galleries.insert(number, key);
    }

    /// Whether a gallery or the directory has another key, and the one before is needed still.
    pub fn is_changing(&self) -> bool {
        self.galleries.keys().any(|number| *number >= BEFORE)
    }

    /// Forgets the key of a gallery: without it nobody can read what was sealed with it. Returns whether
    /// there was one.
    pub fn destroy(&mut self, number: u64) -> bool {
        self.destroy_before(number) | self.galleries.remove(&number).is_some()
    }

    /// The key that a gallery had before, while there may be something that was sealed with it.
    pub fn gallery_before(&self, number: u64) -> Option<&DataKey> {
        self.galleries.get(&(number | BEFORE))
    }

    /// Gives a gallery another key, and keeps the one before, unless it has none, or an earlier one is kept
    /// still. Returns whether it has got one.
    pub fn begin_anew(&mut self, number: u64) -> bool {
        if self.galleries.contains_key(&(number | BEFORE)) {
            return false;
        }
        let Some(key) = self.galleries.get_mut(&number) else {
            return false;
        };
        let before = std::mem::replace(key, DataKey::random());
        self.galleries.insert(number | BEFORE, before);
        true
    }

    /// Forgets the key that a gallery had before. Returns whether there was one.
    pub fn destroy_before(&mut self, number: u64) -> bool {
        self.galleries.remove(&(number | BEFORE)).is_some()
    }

    /// The key of the directory before, while something may be sealed with it.
    pub fn directory_before(&self) -> Option<&DataKey> {
        self.galleries.get(&DIRECTORY_BEFORE)
    }

    /// Gives the directory another key, and keeps the one before, unless an earlier one is kept still.
    /// Returns whether it has got one.
    pub fn begin_directory_anew(&mut self) -> bool {
        if self.galleries.contains_key(&DIRECTORY_BEFORE) {
            return false;
        }
        let before = std::mem::replace(&mut self.directory, DataKey::random());
        self.galleries.insert(DIRECTORY_BEFORE, before);
        true
    }

    /// Forgets the key of the directory before.
    pub fn destroy_directory_before(&mut self) {
        self.galleries.remove(&DIRECTORY_BEFORE);
    }

    /// The bytes of the next file, sealed with `master`. From then on the keys count as written once more.
    pub fn seal(&mut self, master: &MasterKey) -> Vec<u8> {
        self.written += 1;
        self.sealed(master)
    }

    /// The bytes of a file that counts as often written as these keys, sealed with `master`.
    pub fn sealed(&self, master: &MasterKey) -> Vec<u8> {
        let salt = new_salt();
        let cipher = master.cipher(&salt, "vultus key file 1");
        let mut record = Vec::with_capacity(HEAD_BYTES + self.galleries.len() * ENTRY_BYTES);
        record.extend_from_slice(&MAGIC);
        let version = match self.is_changing() {
            true => VERSION_CHANGING,
            false => VERSION,
        };
        record.extend_from_slice(&version.to_le_bytes());
        record.extend_from_slice(&(self.galleries.len() as u32).to_le_bytes());
        record.extend_from_slice(&self.identity.to_le_bytes());
        record.extend_from_slice(&self.written.to_le_bytes());
        record.extend_from_slice(&salt);
        // Of nothing: it tells another master key from bytes that were changed.
        record.extend_from_slice(&cipher.seal(PROOF, b"", &mut []));
        let mut keys = Zeroizing::new(Vec::with_capacity(
            KEY_BYTES + self.galleries.len() * ENTRY_BYTES,
        ));
        keys.extend_from_slice(self.directory.bytes());
        for (number, key) in &self.galleries {
            keys.extend_from_slice(&number.to_le_bytes());
            keys.extend_from_slice(key.bytes());
        }
        let tag = cipher.seal(KEYS, &record, &mut keys);
        record.extend_from_slice(&keys);
        record.extend_from_slice(&tag);
        record.extend_from_slice(&checksum(&record).to_le_bytes());
        [&record[..], &record].concat()
    }

    /// What is wrong with one half of a file that [`KeyRing::open`] reads by the other; `None` if both are
    /// whole and the same.
    pub fn damaged_half(bytes: &[u8]) -> Option<&'static str> {
        let Ok(first) = Record::find(bytes) else {
            return Some("its first half is damaged, and the second one is whole");
        };
        // Where it was cut, the middle of the file is not where the second one begins.
        let (first, second) = bytes.split_at(first.length_bytes());
        match Record::find(second) {
            Ok(_) if first == second => None,
            Ok(_) => Some("its halves are not the same"),
            Err(_) => Some("its second half is damaged, and the first one is whole"),
        }
    }

    /// Reads the keys of a file, of which one half may be damaged.
    ///
    /// # Errors
    ///
    /// If the master key is another one, or the file is damaged or newer than this build.
    pub fn open(bytes: &[u8], master: &MasterKey) -> Result<KeyRing, KeyError> {
        match Record::find(bytes) {
            Ok(record) => record.open(master),
            Err(first) => {
                let second = Record::find(&bytes[bytes.len() / 2..]).map_err(|_| first)?;
                second.open(master)
            }
        }
    }
}

/// A record whose checksum is right.
struct Record<'a> {
    head: &'a [u8],
    identity: u64,
    written: u64,
    salt: Salt,
    proof: Tag,
    keys: &'a [u8],
    tag: Tag,
}

impl Record<'_> {
    /// The record that some bytes begin with.
    fn find(bytes: &[u8]) -> Result<Record<'_>, KeyError> {
        let damaged = |what: &str| KeyError::Damaged {
            what: what.to_owned(),
        };
        if !bytes.starts_with(&MAGIC) {
            return Err(damaged("its first bytes are not those of a key file"));
        }
        let cut = || damaged(&format!("it ends after {} bytes", bytes.len()));
        let head = bytes.get(..HEAD_BYTES).ok_or_else(cut)?;
        let mut rest = &head[MAGIC.len()..];
        let version = u32::from_le_bytes(take(&mut rest));
        let galleries = u32::from_le_bytes(take(&mut rest)) as usize;
        if galleries > GALLERIES_MAX {
            return Err(damaged("it has more keys than a data directory"));
        }
        let keys_end = HEAD_BYTES + KEY_BYTES + galleries * ENTRY_BYTES;
        let end = keys_end + TAG_BYTES;
        let record = bytes.get(..end + 8).ok_or_else(cut)?;
        let (mut tag, mut expected) = (&record[keys_end..], &record[end..]);
        if checksum(&record[..end]) != u64::from_le_bytes(take(&mut expected)) {
            return Err(damaged("its checksum is another one"));
        }
        if !(VERSION..=VERSION_CHANGING).contains(&version) {
            return Err(KeyError::Version { found: version });
        }
        Ok(Record {
            head,
            identity: u64::from_le_bytes(take(&mut rest)),
            written: u64::from_le_bytes(take(&mut rest)),
            salt: take(&mut rest),
            proof: take(&mut rest),
            keys: &record[HEAD_BYTES..keys_end],
            tag: take(&mut tag),
        })
    }

    /// How long it is in the file.
    fn length_bytes(&self) -> usize {
        self.head.len() + self.keys.len() + TAG_BYTES + 8
    }

    fn open(&self, master: &MasterKey) -> Result<KeyRing, KeyError> {
        let cipher = master.cipher(&self.salt, "vultus key file 1");
        if cipher.open(PROOF, b"", &self.proof, &mut []).is_err() {
            return Err(KeyError::WrongMasterKey);
        }
        let mut keys = Zeroizing::new(self.keys.to_vec());
        let opened = cipher.open(KEYS, self.head, &self.tag, &mut keys);
        opened.map_err(|forged| KeyError::Damaged {
            what: forged.to_string(),
        })?;
        let mut rest = &keys[..];
        let directory = DataKey::from_bytes(&Zeroizing::new(take(&mut rest)));
        let mut galleries = BTreeMap::new();
        while !rest.is_empty() {
            let number = u64::from_le_bytes(take(&mut rest));
            let key = DataKey::from_bytes(&Zeroizing::new(take(&mut rest)));
            galleries.insert(number, key);
        }
        Ok(KeyRing {
            identity: self.identity,
            written: self.written,
            directory,
            galleries,
        })
    }
}

/// Takes bytes off the beginning of some whose length was compared before.
fn take<const N: usize>(bytes: &mut &[u8]) -> [u8; N] {
    let (taken, rest) = bytes.split_first_chunk().expect("the length was compared");
    *bytes = rest;
    *taken
}

/// CRC-64/NVME: whether bytes are those that were written, by accident only.
fn checksum(bytes: &[u8]) -> u64 {
    crc_fast::checksum(CrcAlgorithm::Crc64Nvme, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(one: &KeyRing, other: &KeyRing) -> bool {
        let keys = |ring: &KeyRing| -> Vec<(u64, [u8; KEY_BYTES])> {
            let galleries = ring.galleries.iter();
            galleries
                .map(|(number, key)| (*number, *key.bytes()))
                .collect()
        };
        (one.identity, one.written, one.directory.bytes(), keys(one))
            == (
                other.identity,
                other.written,
                other.directory.bytes(),
                keys(other),
            )
    }

    fn ring() -> (KeyRing, MasterKey, Vec<u8>) {
        let mut ring = KeyRing::new(77);
        ring.add(3);
        ring.add(1);
        ring.add(3);
        let master = MasterKey::random().0;
        let bytes = ring.seal(&master);
        (ring, master, bytes)
    }

    #[test]
    fn keys_come_back_and_can_be_destroyed_and_sealed_anew() {
        let (mut ring, master, bytes) = ring();
        let found = KeyRing::open(&bytes, &master).unwrap();
        assert!(same(&found, &ring));
        assert_eq!((found.written(), found.identity()), (1, 77));
        // Wrapping anew changes no key, and nobody needs the old master key.
        let other = MasterKey::random().0;
        let again = ring.seal(&other);
        let mut found = KeyRing::open(&again, &other).unwrap();
        assert!(same(&found, &ring) && found.written() == 2);
        assert_eq!(
            KeyRing::open(&again, &master).unwrap_err(),
            KeyError::WrongMasterKey
        );
        assert!(found.destroy(3) && !found.destroy(3));
        let found = KeyRing::open(&found.seal(&other), &other).unwrap();
        assert!(found.gallery(3).is_none() && found.gallery(1).is_some());
    }

    #[test]
    fn the_same_keys_are_known_whatever_seals_them_and_others_are_told() {
        let (mut ring, _, _) = ring();
        let digest = ring.digest();
        let other = MasterKey::random().0;
        ring.count_from(7);
        ring.count_from(5);
        let found = KeyRing::open(&ring.seal(&other), &other).unwrap();
        assert_eq!((found.written(), found.digest()), (8, digest));
        ring.add(9);
        let with_another = ring.digest();
        assert!(ring.destroy(9) && ring.digest() == digest && with_another != digest);
        ring.destroy(1);
        assert_ne!(ring.digest(), digest);
        // The same number, and another key.
        ring.add(1);
        assert_ne!(ring.digest(), digest);
        assert_ne!(KeyRing::new(77).digest(), KeyRing::new(77).digest());
    }

    #[test]
    fn a_key_is_kept_until_all_is_written_anew_that_was_sealed_with_it() {
        let (mut ring, master, _) = ring();
        let bytes = |key: Option<&DataKey>| key.map(|key| *key.bytes());
        let (first, directory) = (bytes(ring.gallery(3)), *ring.directory().bytes());
        assert!(ring.begin_anew(3) && !ring.begin_anew(9));
        let second = bytes(ring.gallery(3));
        assert!(second.is_some() && second != first);
        // Again, where it was broken off.
        assert!(!ring.begin_anew(3));
        assert!(ring.begin_directory_anew() && !ring.begin_directory_anew());
        assert_eq!(bytes(ring.gallery(3)), second);
        let mut found = KeyRing::open(&ring.seal(&master), &master).unwrap();
        assert!(same(&found, &ring));
        assert_eq!(
            (bytes(found.gallery(3)), bytes(found.gallery_before(3))),
            (second, first)
        );
        assert_eq!(bytes(found.directory_before()), Some(directory));
        assert_ne!(*found.directory().bytes(), directory);
        assert_eq!(bytes(found.gallery_before(1)), None);
        assert!(found.destroy_before(3) && !found.destroy_before(3));
        found.destroy_directory_before();
        assert_eq!(
            (bytes(found.gallery(3)), found.galleries.len()),
            (second, 2)
        );
        assert!(found.begin_anew(3) && found.destroy(3) && !found.destroy(3));
        assert_eq!(bytes(found.gallery_before(3)), None);
    }

    #[test]
    fn no_key_stands_in_the_file() {
        let (ring, _, bytes) = ring();
        let keys = ring.galleries.values().chain([&ring.directory]);
        for key in keys {
            for part in key.bytes().windows(8) {
                assert!(!bytes.windows(8).any(|window| window == part));
            }
        }
    }

    #[test]
    fn one_damaged_half_is_no_loss_and_two_are_found() {
        let (ring, master, bytes) = ring();
        assert_eq!(KeyRing::damaged_half(&bytes), None);
        let half = bytes.len() / 2;
        for at in 0..half {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x20;
            assert!(
                same(&KeyRing::open(&damaged, &master).unwrap(), &ring),
                "byte {at}"
            );
            damaged[half + at] ^= 0x20;
            assert!(KeyRing::open(&damaged, &master).is_err(), "byte {at}");
            let mut damaged = bytes.clone();
            damaged[half + at] ^= 0x20;
            let told = KeyRing::damaged_half(&damaged).unwrap();
            assert!(told.contains("second half is damaged"), "{told}");
            damaged[half + at] ^= 0x20;
            damaged[at] ^= 0x20;
            let told = KeyRing::damaged_half(&damaged).unwrap();
            assert!(told.contains("first half is damaged"), "{told}");
            assert!(
                same(&KeyRing::open(&damaged, &master).unwrap(), &ring),
                "byte {at}"
            );
        }
    }

    #[test]
    fn two_whole_halves_that_differ_are_told() {
        let (mut ring, master, bytes) = ring();
        let again = ring.seal(&master);
        let half = bytes.len() / 2;
        let mixed = [&bytes[..half], &again[half..]].concat();
        let told = KeyRing::damaged_half(&mixed).unwrap();
        assert!(told.contains("not the same"), "{told}");
        // Of such a file the first one counts, of one with something behind it, too.
        assert_eq!(KeyRing::open(&mixed, &master).unwrap().written(), 1);
        let longer = [&again[..], b"and more"].concat();
        assert!(KeyRing::damaged_half(&longer).is_some());
    }

    #[test]
    fn a_file_that_was_cut_is_found() {
        let (ring, master, bytes) = ring();
        for length in 0..bytes.len() {
            match KeyRing::open(&bytes[..length], &master) {
                Ok(found) => {
                    assert!(length >= bytes.len() / 2 && same(&found, &ring));
                    let told = KeyRing::damaged_half(&bytes[..length]).unwrap();
                    assert!(told.contains("second half"), "{length}: {told}");
                }
                Err(error) => {
                    assert!(length < bytes.len() / 2, "{length}");
                    assert!(matches!(error, KeyError::Damaged { .. }), "{error}");
                }
            }
        }
    }

    #[test]
    fn changes_behind_a_right_checksum_are_found() {
        let (_, master, bytes) = ring();
        let end = bytes.len() / 2 - 8;
        for at in 8..end {
            let mut record = bytes[..end].to_vec();
            record[at] ^= 1;
            let checksum = checksum(&record);
            record.extend_from_slice(&checksum.to_le_bytes());
            assert!(KeyRing::open(&record, &master).is_err(), "byte {at}");
        }
    }
}
