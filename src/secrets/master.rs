//! The key that comes from outside.

use std::fmt;

use zeroize::Zeroizing;

use super::blocks::BlockCipher;
use super::derive::{KEY_BYTES, digest, expand, extract, random};
use super::error::KeyError;
use super::keys::Salt;

/// The key that the keys of a data directory are sealed with. It is kept nowhere in that directory.
#[derive(Clone)]
pub struct MasterKey(Zeroizing<[u8; KEY_BYTES]>);

impl MasterKey {
    /// Reads a key: 64 hexadecimal digits with any blanks around them, or 32 bytes.
    ///
    /// # Errors
    ///
    /// If it is neither.
    pub fn parse(text: &[u8]) -> Result<MasterKey, KeyError> {
        if let Ok(bytes) = <&[u8; KEY_BYTES]>::try_from(text) {
            return Ok(MasterKey(Zeroizing::new(*bytes)));
        }
        let digits = text.trim_ascii();
        let refused = KeyError::NotAKey {
            found: digits.len(),
        };
        if digits.len() != 2 * KEY_BYTES {
            return Err(refused);
        }
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |digit: u8| char::from(digit).to_digit(16);
            let (Some(high), Some(low)) = (digit(pair[0]), digit(pair[1])) else {
                return Err(refused);
            };
            *byte = (high << 4 | low) as u8;
        }
        Ok(MasterKey(bytes))
    }

    /// A new random key, and the digits that [`MasterKey::parse`] reads it from.
    pub fn random() -> (MasterKey, Zeroizing<String>) {
        let bytes = Zeroizing::new(random::<KEY_BYTES>());
        let mut digits = Zeroizing::new(String::with_capacity(2 * KEY_BYTES));
        for byte in bytes.iter() {
            for digit in [byte >> 4, byte & 15] {
                digits.extend(char::from_digit(u32::from(digit), 16));
            }
        }
        (MasterKey(bytes), digits)
    }

    /// What tells this key from any others, and gives nothing of it away (HMAC-SHA-256, cut to 64 bits): by it two
    /// processes find out whether they were given the same one.
    pub fn mark(&self) -> u64 {
        digest(&self.0[..], b"vultus mark of a master key")
    }

    pub(super) fn cipher(&self, salt: &Salt, purpose: &'static str) -> BlockCipher {
        BlockCipher::new(expand(&extract(&self.0[..], salt), &[purpose.as_bytes()]))
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_from_digits_and_from_bytes() {
        let (key, digits) = MasterKey::random();
        assert_eq!(digits.len(), 64);
        for text in [
            digits.to_string(),
            format!("  {}\r\n", digits.to_uppercase()),
        ] {
            assert_eq!(MasterKey::parse(text.as_bytes()).unwrap().0, key.0);
        }
        let again = MasterKey::parse(&key.0[..]).unwrap();
        assert_eq!(again.0, key.0);
        assert_eq!(again.mark(), key.mark());
        assert_ne!(MasterKey::random().0.mark(), key.mark());
        assert_eq!(format!("{key:?}"), "MasterKey");
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_shown() {
        let digits = "ab".repeat(32);
        for text in [
            "",
            "\n",
            "ab",
            &digits[1..],
            &format!("{digits}a"),
            &format!("{}g", &digits[1..]),
        ] {
            let error = MasterKey::parse(text.as_bytes()).unwrap_err();
            let found = text.trim().len();
            assert_eq!(error, KeyError::NotAKey { found }, "{text}");
            assert!(text.len() < 8 || !error.to_string().contains(text));
        }
        assert!(MasterKey::parse(&[0; 31]).is_err());
        assert!(MasterKey::parse(&[0; 33]).is_err());
    }
}
