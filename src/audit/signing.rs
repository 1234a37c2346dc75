//! Signatures of heads: Ed25519 (RFC 8032), so that whoever has the public key can check a log without
//! being able to write one.

use std::fmt;
use std::str::FromStr;

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use super::head::{Head, hex};
use crate::types::Timestamp;

/// Before everything that is signed, so that a signature of anything else is none of a head.
const PURPOSE: &str = "vultus audit head 1";

/// What signs heads.
pub struct AuditKey(Ed25519KeyPair);

/// What heads are checked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

/// A text is no public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a public key is 64 hexadecimal digits")]
pub struct ParsePublicKeyError;

/// It signs.
impl fmt::Debug for AuditKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuditKey(hidden)")
    }
}

impl AuditKey {
    /// The key that follows from 32 secret bytes.
    pub fn from_seed(seed: &[u8; 32]) -> AuditKey {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed);
        AuditKey(pair.expect("32 bytes are a seed"))
    }

    /// What its signatures are checked with.
    pub fn public(&self) -> PublicKey {
        let bytes = self.0.public_key().as_ref();
        PublicKey(bytes.try_into().expect("public keys have 32 bytes"))
    }

    /// The signature of a text, in hexadecimal digits. What it begins with says what it is.
    pub(super) fn sign_text(&self, text: &str) -> String {
        hex(self.0.sign(text.as_bytes()).as_ref())
    }

    /// The signature of a head, in hexadecimal digits.
    pub(super) fn sign(&self, head: &Head, time: Timestamp) -> String {
        self.sign_text(&signed(head, time))
    }
}

impl PublicKey {
    /// Whether a signature is of this head, and by the key of this one.
    pub(super) fn has_signed(&self, head: &Head, time: Timestamp, signature: &str) -> bool {
        self.has_signed_text(&signed(head, time), signature)
    }

    /// Whether a signature is of this text, and by the key of this one.
    pub(super) fn has_signed_text(&self, text: &str, signature: &str) -> bool {
        let key = UnparsedPublicKey::new(&ED25519, self.0);
        let signature = unhex(signature);
        signature.is_some_and(|it| key.verify(text.as_bytes(), &it).is_ok())
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl FromStr for PublicKey {
    type Err = ParsePublicKeyError;

    fn from_str(text: &str) -> Result<PublicKey, ParsePublicKeyError> {
        let bytes = unhex(text).and_then(|bytes| bytes.try_into().ok());
        bytes.map(PublicKey).ok_or(ParsePublicKeyError)
    }
}

fn signed(head: &Head, time: Timestamp) -> String {
    format!(
        "{PURPOSE}\n{}\n{}\n{}\n",
        head.sequence, head.previous, time.unix_milliseconds
    )
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    if text
        .bytes()
        .any(|digit| !matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
    {
        // One way to write each: what is changed is to be seen.
        return None;
    }
    let digits = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    (0..text.len()).step_by(2).map(digits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_of_one_head_by_one_key() {
        let (key, other) = (AuditKey::from_seed(&[1; 32]), AuditKey::from_seed(&[2; 32]));
        let (now, later) = (
            Timestamp::from_unix_seconds(9),
            Timestamp::from_unix_seconds(10),
        );
        let head = |sequence, previous: &str| Head {
            sequence,
            previous: previous.to_owned(),
        };
        let own = head(7, "ab");
        let signature = key.sign(&own, now);
        assert!(key.public().has_signed(&own, now, &signature));
        assert!(!key.public().has_signed(&head(8, "ab"), now, &signature));
        assert!(!key.public().has_signed(&head(7, "ac"), now, &signature));
        assert!(!key.public().has_signed(&own, later, &signature));
        assert!(!other.public().has_signed(&own, now, &signature));
        let loud = signature.to_uppercase();
        for wrong in ["", "0", "zz", &signature[2..], &"0".repeat(128), &loud] {
            assert!(!key.public().has_signed(&own, now, wrong), "{wrong}");
        }
        let public = key.public();
        assert_eq!(public.to_string().parse(), Ok(public));
        assert!("12".parse::<PublicKey>().is_err());
        assert!(!format!("{key:?}").contains(&public.to_string()[..8]));
    }
}
