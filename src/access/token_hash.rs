//! The one algorithm that tokens are signed with, for the library that reads them.
//!
//! `jsonwebtoken` can bring its cryptography along, but only all of it: RSA and three kinds of
//! elliptic curves, which no token of this service uses, twenty-five packages in all. So it is
//! given the one function that it needs, from the packages that hash secrets here anyway.

use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result};
use jsonwebtoken::signature::{Error, Signer, Verifier};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, EncodingKey};
use sha2::Sha256;

/// HMAC with SHA-256, and a key.
struct Hs256(Hmac<Sha256>);

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key: &EncodingKey| {
        let is_ours = *algorithm == Algorithm::HS256 && key.family() == AlgorithmFamily::Hmac;
        let key = is_ours.then(|| key.as_bytes());
        Ok(Box::new(Hs256::new(
            key.ok_or(ErrorKind::InvalidAlgorithm)?,
        )?))
    },
    verifier_factory: |algorithm, key: &DecodingKey| {
        let is_ours = *algorithm == Algorithm::HS256 && key.family() == AlgorithmFamily::Hmac;
        let key = is_ours.then(|| key.try_get_as_bytes());
        Ok(Box::new(Hs256::new(
            key.ok_or(ErrorKind::InvalidAlgorithm)??,
        )?))
    },
    // Keys in JSON, which nothing here reads.
    key_utils: KeyUtils::new_unimplemented(),
};

/// Must be called before a token is signed or read. Further calls change nothing, and a program
/// that has installed an implementation of its own keeps it.
pub(super) fn install() {
    let _ = PROVIDER.install_default();
}

impl Hs256 {
    fn new(key: &[u8]) -> Result<Hs256> {
        let mac = Hmac::new_from_slice(key).map_err(|_| ErrorKind::InvalidKeyFormat)?;
        Ok(Hs256(mac))
    }
}

impl Signer<Vec<u8>> for Hs256 {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, Error> {
        let mac = self.0.clone().chain_update(message);
        Ok(mac.finalize().into_bytes().to_vec())
    }
}

impl Verifier<Vec<u8>> for Hs256 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), Error> {
        // Compares all of it in constant time, and refuses one that was cut short.
        let mac = self.0.clone().chain_update(message);
        mac.verify_slice(signature).map_err(Error::from_source)
    }
}

impl JwtSigner for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl JwtVerifier for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7515, appendix A.1.
    const KEY: &str =
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow==";
    const MESSAGE: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    const SIGNATURE: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

    #[test]
    fn signs_and_verifies_the_example_of_the_standard() {
        install();
        let key = EncodingKey::from_urlsafe_base64_secret(KEY).unwrap();
        let message = MESSAGE.as_bytes();
        let signature = jsonwebtoken::crypto::sign(message, &key, Algorithm::HS256).unwrap();
        assert_eq!(signature, SIGNATURE);
        let key = DecodingKey::from_secret(key.as_bytes());
        let is_right = |signature: &str, message: &[u8]| {
            jsonwebtoken::crypto::verify(signature, message, &key, Algorithm::HS256).unwrap()
        };
        assert!(is_right(SIGNATURE, message));
        assert!(!is_right(SIGNATURE, &message[1..]));
        // Cut short, empty, and of another key.
        for wrong in [
            &SIGNATURE[..40],
            "",
            "AAjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        ] {
            assert!(!is_right(wrong, message), "{wrong}");
        }
    }

    #[test]
    fn refuses_every_other_algorithm() {
        install();
        let key = EncodingKey::from_secret(b"key");
        for other in [
            Algorithm::HS384,
            Algorithm::HS512,
            Algorithm::RS256,
            Algorithm::EdDSA,
        ] {
            assert!(jsonwebtoken::crypto::sign(b"text", &key, other).is_err());
            let key = DecodingKey::from_secret(b"key");
            assert!(jsonwebtoken::crypto::verify("", b"text", &key, other).is_err());
        }
        let rsa = EncodingKey::from_rsa_der(b"key");
        assert!(jsonwebtoken::crypto::sign(b"text", &rsa, Algorithm::HS256).is_err());
    }
}
