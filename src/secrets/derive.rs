//! Random bytes, and keys that are made of keys.

use ring::aead::{AES_256_GCM, LessSafeKey, UnboundKey};
use ring::hkdf::{self, HKDF_SHA256};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

/// Bytes of every key.
pub(super) const KEY_BYTES: usize = 32;

/// Random bytes of the system.
///
/// # Panics
///
/// Panics if the system has none: no key could be made.
pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.expect("the system has random numbers");
    bytes
}

/// A number that tells some bytes from any others, to whoever has the key: HMAC-SHA-256, cut to 64 bits.
pub(super) fn digest(key: &[u8], bytes: &[u8]) -> u64 {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), bytes);
    let first = tag.as_ref().first_chunk();
    u64::from_le_bytes(*first.expect("a tag has 32 bytes"))
}

/// The first step of HKDF.
pub(super) fn extract(secret: &[u8], salt: &[u8]) -> hkdf::Prk {
    hkdf::Salt::new(HKDF_SHA256, salt).extract(secret)
}

/// The second step of HKDF: a key of AES-256-GCM.
pub(super) fn expand(secret: &hkdf::Prk, purpose: &[&[u8]]) -> LessSafeKey {
    let expanded = secret.expand(purpose, &AES_256_GCM);
    let expanded = expanded.expect("a key is shorter than 255 hashes");
    LessSafeKey::new(UnboundKey::from(expanded))
}
