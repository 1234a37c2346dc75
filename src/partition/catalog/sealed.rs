//! Values of the catalog, each with a checksum of its key and itself behind it: redb verifies its own
//! pages only when a database is opened.

use std::path::Path;

use serde::de::DeserializeOwned;

use super::failures::damage;
use crate::partition::StoreError;
use crate::partition::segment::checksum;

/// A value as it is stored: with a checksum of its key and itself behind it, so that neither can
/// change, nor two values change places.
pub(in crate::partition) fn sealed(key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(value.len() + size_of::<u64>());
    bytes.extend_from_slice(value);
    bytes.extend_from_slice(&checksum_of(key, value).to_le_bytes());
    bytes
}

/// Takes the checksum off a value, or says what is wrong with it.
pub(in crate::partition) fn unsealed<'v>(key: &[u8], bytes: &'v [u8]) -> Result<&'v [u8], String> {
    let Some((value, expected)) = bytes.split_last_chunk::<8>() else {
        let found = bytes.len();
        return Err(format!(
            "a value has {found} bytes, fewer than its checksum"
        ));
    };
    let (expected, found) = (u64::from_le_bytes(*expected), checksum_of(key, value));
    if expected != found {
        return Err(format!(
            "a value has the checksum {found:016x}, expected {expected:016x}"
        ));
    }
    Ok(value)
}

fn checksum_of(key: &[u8], value: &[u8]) -> u64 {
    checksum(&[key, value].concat())
}

/// The bytes of a key that is a name, for its checksum.
pub(in crate::partition) fn key_of_name(name: &str) -> Vec<u8> {
    name.as_bytes().to_vec()
}

/// The bytes of a key that is some numbers, for its checksum.
pub(in crate::partition) fn key_of_numbers(numbers: &[u64]) -> Vec<u8> {
    numbers
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect()
}

/// The bytes of a key that is an area and a key within, for its checksum.
pub(in crate::partition) fn key_of_state(area: &str, key: &str) -> Vec<u8> {
    [area.as_bytes(), &[0], key.as_bytes()].concat()
}

/// Reads a number of the table `meta`.
pub(super) fn number_of(path: &Path, name: &str, bytes: &[u8]) -> Result<u64, StoreError> {
    let value = unsealed(&key_of_name(name), bytes).map_err(|what| damage(path, what))?;
    let number = value.try_into().map(u64::from_le_bytes);
    number.map_err(|_| damage(path, format!("`{name}` has {} bytes, not 8", value.len())))
}

/// Reads a value that is JSON.
pub(in crate::partition) fn parse<T: DeserializeOwned>(
    path: &Path,
    key: &[u8],
    bytes: &[u8],
) -> Result<T, StoreError> {
    let value = unsealed(key, bytes).map_err(|what| damage(path, what))?;
    let parsed = serde_json::from_slice(value);
    parsed.map_err(|error| damage(path, format!("an entry cannot be read: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_belongs_to_its_key() {
        let key = key_of_state("area", "key");
        let bytes = sealed(&key, b"value");
        assert_eq!(unsealed(&key, &bytes), Ok(&b"value"[..]));
        assert!(unsealed(&key_of_state("area", "kez"), &bytes).is_err());
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(unsealed(&key, &damaged).is_err(), "byte {at}");
            assert!(unsealed(&key, &bytes[..at]).is_err(), "length {at}");
        }
    }
}
