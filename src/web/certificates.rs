//! What the service proves with who it is: a certificate with its key, which can be replaced while
//! it serves.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ProducesTickets;
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, ServerConfig};
use x509_cert::certificate::Version;
use x509_cert::der::Decode;

use crate::types::Timestamp;

/// Far above any chain of certificates: what is larger is another file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A certificate that ends within this time is told of.
const SOON_MILLISECONDS: i128 = 30 * 86_400_000;

/// The only protocol that is spoken. Classic clients read the reason phrases that HTTP/2 lacks.
const PROTOCOL: &[u8] = b"http/1.1";

/// A certificate with its key. Clones share it, and what it is replaced with.
#[derive(Clone)]
pub struct Certificates(Arc<RwLock<Held>>);

struct Held {
    config: Arc<ServerConfig>,
    validity: Validity,
}

/// From when to when a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first moment.
    pub from: Timestamp,
    /// The last one.
    pub until: Timestamp,
}

/// How the present moment lies to a [`Validity`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Before it: clients refuse the certificate.
    TooEarly,
    /// Within it.
    Valid,
    /// Within it, but it ends in 30 days, or in the last third of a shorter validity.
    EndsSoon,
    /// After it: clients refuse the certificate.
    Over,
}

/// A certificate and its key cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("cannot read the {what} from `{path}`")]
    Io {
        /// What should be in it.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A file has something else in it.
    #[error("cannot read the {what} from `{path}`: expected {expected}, found {found}")]
    Wrong {
        /// What should be in it.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The form of what should be in it.
        expected: &'static str,
        /// What is in it.
        found: String,
    },
    /// The key belongs to another certificate.
    #[error("the key in `{key}` is not that of the first certificate in `{certificate}`")]
    Mismatch {
        /// The file of the key.
        key: PathBuf,
        /// The file of the certificate.
        certificate: PathBuf,
    },
}

const CERTIFICATE: &str = "TLS certificate";
const KEY: &str = "key of the TLS certificate";
const CERTIFICATE_EXPECTED: &str =
    "certificates in PEM, that of the service first (`-----BEGIN CERTIFICATE-----`)";
const KEY_EXPECTED: &str = "a key of RSA with 2048 to 4096 bits, of ECDSA with P-256 or P-384, or of \
    Ed25519, in PEM without a password (`-----BEGIN PRIVATE KEY-----`)";

/// What keys of other kinds are called, by how they say it: identifiers in ASN.1.
const OTHER_KEYS: [(&[u8], &str); 8] = [
    (b"\x06\x05\x2b\x81\x04\x00\x23", "one of ECDSA with P-521"),
    (b"\x06\x05\x2b\x81\x04\x00\x21", "one of ECDSA with P-224"),
    (
        b"\x06\x05\x2b\x81\x04\x00\x0a",
        "one of ECDSA with secp256k1",
    ),
    (
        b"\x06\x09\x2b\x24\x03\x03\x02\x08\x01\x01",
        "one of ECDSA with a Brainpool curve",
    ),
    (b"\x06\x03\x2b\x65\x71", "one of Ed448"),
    (b"\x06\x07\x2a\x86\x48\xce\x38\x04\x01", "one of DSA"),
    (
        b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a",
        "one for RSASSA-PSS alone",
    ),
    (
        b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01",
        "one of RSA with another number of bits",
    ),
];

/// How the kind stands at the beginning of every key, before its secret, or within an old one.
fn kind_of_other(key: &PrivateKeyDer<'_>) -> &'static str {
    let bytes = key.secret_der();
    let has = |id: &&[u8]| bytes.windows(id.len()).any(|window| window == *id);
    let found = OTHER_KEYS.iter().find(|(id, _)| has(id));
    match (found, key) {
        (Some((_, kind)), _) => kind,
        (None, PrivateKeyDer::Pkcs1(_)) => "one of RSA with another number of bits",
        _ => "one of another kind",
    }
}

impl Certificates {
    /// Reads the chain of certificates in the file `certificate`, that of the service first, and
    /// the key of that in the file `key`, both in PEM.
    ///
    /// # Errors
    ///
    /// If a file cannot be read or has something else in it, or if the two do not belong together.
    /// Whether the certificate is valid now is for the caller to see: [`Certificates::validity`].
    pub fn read(certificate: &Path, key: &Path) -> Result<Certificates, CertificateError> {
        let chain = read_chain(certificate)?;
        let validity = validity(&chain[0]).map_err(|found| wrong_chain(certificate, found))?;
        let provider = ring::default_provider();
        let read = read_key(key)?;
        let other = kind_of_other(&read);
        let certified = CertifiedKey::from_der(chain, read, &provider);
        let certified = certified.map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                CertificateError::Mismatch {
                    key: key.to_owned(),
                    certificate: certificate.to_owned(),
                }
            }
            rustls::Error::InvalidCertificate(error) => {
                wrong_chain(certificate, format!("one that cannot be used ({error})"))
            }
            // It may quote the key.
            _ => wrong_key(key, other),
        })?;
        let config = config(certified).map_err(|error| {
            wrong_chain(certificate, format!("one that cannot be used ({error})"))
        })?;
        Ok(Certificates(Arc::new(RwLock::new(Held {
            config: Arc::new(config),
            validity,
        }))))
    }

    /// From when to when the certificate is valid: the shortest of the chain is not looked for,
    /// since clients need not use all of it.
    pub fn validity(&self) -> Validity {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .validity
    }

    /// Goes on with `other`. Connections that there are keep what they began with.
    pub fn replace_with(&self, other: &Certificates) {
        let (config, validity) = (other.config(), other.validity());
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Held { config, validity };
    }

    pub(super) fn config(&self) -> Arc<ServerConfig> {
        let held = self.0.read().unwrap_or_else(PoisonError::into_inner);
        held.config.clone()
    }
}

impl Validity {
    /// How `now` lies to it.
    pub fn standing(self, now: Timestamp) -> Standing {
        let [from, until, now] =
            [self.from, self.until, now].map(|time| time.unix_milliseconds as i128);
        let soon = SOON_MILLISECONDS.min((until - from) / 3);
        match now {
            _ if now < from => Standing::TooEarly,
            _ if now > until => Standing::Over,
            _ if until - now < soon => Standing::EndsSoon,
            _ => Standing::Valid,
        }
    }

    /// Says in the log if clients refuse the certificate at `now`, or will soon.
    pub fn warn(self, now: Timestamp) {
        let Validity { from, until } = self;
        match self.standing(now) {
            Standing::Valid => {}
            Standing::TooEarly => tracing::error!(
                %from, "the TLS certificate is not valid yet: clients refuse it; is the clock right?"
            ),
            Standing::EndsSoon => tracing::warn!(
                %until, "the TLS certificate ends soon: replace its file and send SIGHUP"
            ),
            Standing::Over => tracing::error!(
                %until, "the TLS certificate has ended: clients refuse it; replace its file and send SIGHUP"
            ),
        }
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A key is behind it.
        f.debug_struct("Certificates")
            .field("validity", &self.validity())
            .finish_non_exhaustive()
    }
}

fn config(certified: CertifiedKey) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let resolver = rustls::sign::SingleCertAndKey::from(certified);
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    // So that a client that comes again needs no new proof, which takes a millisecond.
    let ticketer: Arc<dyn ProducesTickets> = ring::Ticketer::new()?;
    config.ticketer = ticketer;
    Ok(config)
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let text = read_file(path, CERTIFICATE, CERTIFICATE_EXPECTED)?;
    let chain: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&text).collect();
    match chain {
        Ok(chain) if chain.is_empty() => Err(wrong_chain(path, "none".to_owned())),
        Ok(chain) => Ok(chain),
        // What stands in the file is not told: it may be the key.
        Err(_) => Err(wrong_chain(path, "broken PEM".to_owned())),
    }
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, CertificateError> {
    let text = read_file(path, KEY, KEY_EXPECTED)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
        pem::Error::NoItemsFound if is_encrypted(&text) => {
            wrong_key(path, "one that is encrypted with a password")
        }
        pem::Error::NoItemsFound => wrong_key(path, "none"),
        _ => wrong_key(path, "broken PEM"),
    })
}

fn is_encrypted(text: &[u8]) -> bool {
    let label = b"BEGIN ENCRYPTED PRIVATE KEY";
    text.windows(label.len()).any(|window| window == label)
}

/// A file of certificates or keys, if it is not absurdly large.
fn read_file(
    path: &Path,
    what: &'static str,
    expected: &'static str,
) -> Result<Vec<u8>, CertificateError> {
    let failed = |source| CertificateError::Io {
        what,
        path: path.to_owned(),
        source,
    };
    let metadata = fs::metadata(path).map_err(failed)?;
    // A pipe would be waited for, and a device may have no end.
    if !metadata.is_file() {
        return Err(CertificateError::Wrong {
            what,
            path: path.to_owned(),
            expected,
            found: match metadata.is_dir() {
                true => "a directory".to_owned(),
                false => "something that is no plain file".to_owned(),
            },
        });
    }
    let length = metadata.len();
    if length > FILE_BYTES_MAX {
        return Err(CertificateError::Wrong {
            what,
            path: path.to_owned(),
            expected,
            found: format!("{length} bytes"),
        });
    }
    fs::read(path).map_err(failed)
}

fn wrong_chain(path: &Path, found: String) -> CertificateError {
    CertificateError::Wrong {
        what: CERTIFICATE,
        path: path.to_owned(),
        expected: CERTIFICATE_EXPECTED,
        found,
    }
}

fn wrong_key(path: &Path, found: &str) -> CertificateError {
    CertificateError::Wrong {
        what: KEY,
        path: path.to_owned(),
        expected: KEY_EXPECTED,
        found: found.to_owned(),
    }
}

fn validity(certificate: &CertificateDer<'_>) -> Result<Validity, String> {
    let certificate = x509_cert::Certificate::from_der(certificate)
        .map_err(|_| "what is no certificate of X.509".to_owned())?;
    let version = certificate.tbs_certificate().version();
    if version != Version::V3 {
        let version = version as u8 + 1;
        return Err(format!(
            "one of X.509 version {version}, which browsers and TLS libraries refuse; `openssl req -x509` makes \
             version 3, and so does `openssl x509 -req` with `-extfile`"
        ));
    }
    let validity = certificate.tbs_certificate().validity();
    let [from, until] = [validity.not_before, validity.not_after]
        .map(|time| Timestamp::from_unix_seconds(0).after(time.to_unix_duration()));
    Ok(Validity { from, until })
}

#[cfg(test)]
mod tests {
    use base64::Engine;

    use super::*;

    #[test]
    fn the_end_is_told_in_good_time() {
        const DAY: i64 = 86_400;
        let at = Timestamp::from_unix_seconds;
        // A year, and the six days of the shortest that are issued.
        for (days, soon_days) in [(365, 30), (6, 2)] {
            let (from, until) = (at(0), at(days * DAY));
            let validity = Validity { from, until };
            for (seconds, standing) in [
                (-1, Standing::TooEarly),
                (0, Standing::Valid),
                ((days - soon_days) * DAY, Standing::Valid),
                ((days - soon_days) * DAY + 1, Standing::EndsSoon),
                (days * DAY, Standing::EndsSoon),
                (days * DAY + 1, Standing::Over),
                (i64::MAX, Standing::Over),
                (i64::MIN, Standing::TooEarly),
            ] {
                assert_eq!(validity.standing(at(seconds)), standing, "{days} {seconds}");
            }
        }
    }

    /// Keys that were made for this test alone.
    const OTHERS: [(&str, &str); 4] = [
        (
            "P-521",
            "MIHuAgEAMBAGByqGSM49AgEGBSuBBAAjBIHWMIHTAgEBBEIAR8vGnEkN6ENcoViYExq6jBASZ/0XBKBN20vY700AVLVCct2O\
             Xe+5NqyPPgI7wnKyyaFNwk+FarqYVHZRYeF3PvehgYkDgYYABAGkRxaLjYZi5N8ScFosX/cq9dh6Fl2OOXSc8pK5oNl+JiDh\
             1Pgq59Of67KQ2VpqNJYTjrfh0Z9pbhZCbABWofFmfgEmR0/KAA8bn4u/ernBoOhjPOYupu2VKrtVUQl3aF5Ze/JKPCFDiL+v\
             ugmmf4oEAVtSVkJmAzBjmpbXl0ktsm7pWg==",
        ),
        (
            "P-224",
            "MHgCAQAwEAYHKoZIzj0CAQYFK4EEACEEYTBfAgEBBBzY/QYxtuNjDpg1MCJ9UXRaqoFyucX806tyS00QoTwDOgAEXQGvYWsd\
             irPVsnfpC0m3zWvNAEKGMxymNEWPVs4OOvszBOflFv531IbPSzOBFrgSkRlRZ0MThOw=",
        ),
        (
            "secp256k1",
            "MIGEAgEAMBAGByqGSM49AgEGBSuBBAAKBG0wawIBAQQgUJgP71ehoV64dVzCN+JEoyvcvpYV6K2sOIwRTqdIImOhRANCAAS4\
             GQipduvJFeYqV5l7y+JvxApAEkvcrjI2nXd3cSnaIhNFEp+omYDQXEXcIy3zb4CYDY7bmPoBcUIu1RWRFANL",
        ),
        (
            "Ed448",
            "MEcCAQAwBQYDK2VxBDsEOXwigJvKPRhtWiYJMVsaPAOVbDl6fC4RKnNJfh+KgGLylzVyyC03Vxc6ahnYuda0OKTgHWuY3ZFz\
             vw==",
        ),
    ];

    /// What `openssl x509 -req` makes without `-extfile`.
    const VERSION_1: &str = "\
-----BEGIN CERTIFICATE-----
MIIBJTCBywIUIWcQfY2JU7RwaLA2msG0VBbGTkswCgYIKoZIzj0EAwIwFDESMBAG
A1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyOTE5MDk0MFoYDzIxMjYxMTA1MTkwOTQw
WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AASbnjQ45afDHyzfm371yuGfWH6ZWSE2pzHEoxCTdOagqokenguINYqo4LduqYRG
rUJP2ZT8rYIJVWMTYc0tVl1mMAoGCCqGSM49BAMCA0kAMEYCIQCRaj00hOsfi62S
3xIk6t80mq9luCRz7XQAxUlAX0S5NwIhAPF92u++pYoC8XGdjAfh6+IVDFzJdi94
29ElO07XlGrf
-----END CERTIFICATE-----
";

    #[test]
    fn a_certificate_of_an_old_version_is_refused_in_words() {
        let directory = tempfile::tempdir().unwrap();
        let chain = directory.path().join("cert");
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        // The version is the only difference.
        let mut second = made.cert.der().to_vec();
        let version = [0xa0, 3, 2, 1, 2];
        let at = second
            .windows(5)
            .position(|found| found == version)
            .unwrap();
        second[at + 4] = 1;
        let second = base64::engine::general_purpose::STANDARD.encode(second);
        let second = format!("-----BEGIN CERTIFICATE-----\n{second}\n-----END CERTIFICATE-----\n");
        for (pem, version) in [(VERSION_1, "1"), (second.as_str(), "2")] {
            fs::write(&chain, pem).unwrap();
            let error = Certificates::read(&chain, Path::new("key"))
                .unwrap_err()
                .to_string();
            assert!(
                error.contains(&format!("X.509 version {version}, ")),
                "{error}"
            );
            assert!(error.contains("-extfile"), "{error}");
        }
    }

    #[test]
    fn a_key_of_another_kind_is_named_with_those_that_are_taken() {
        let directory = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (chain, key) = (directory.path().join("cert"), directory.path().join("key"));
        fs::write(&chain, made.cert.pem()).unwrap();
        for (name, base64) in OTHERS {
            let pem = format!("-----BEGIN PRIVATE KEY-----\n{base64}\n-----END PRIVATE KEY-----\n");
            fs::write(&key, pem).unwrap();
            let error = Certificates::read(&chain, &key).unwrap_err().to_string();
            for part in [name, "P-256 or P-384", "Ed25519", "2048 to 4096 bits"] {
                assert!(error.contains(part), "{part}: {error}");
            }
            assert!(!error.contains(&base64[20..60]), "{error}");
        }
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        assert!(Certificates::read(&chain, &key).is_ok());
    }
}
