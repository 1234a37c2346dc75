//! The key of this installation, in a file of its own.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use base64::prelude::{BASE64_STANDARD, Engine};
use hmac::{Hmac, KeyInit, Mac};
use rand::{CryptoRng, RngExt};
use sha2::{Digest, Sha256};

/// What the file begins with: what it is, and the version of its form.
const TITLE: &str = "vultus server key 1";
/// Far more than the file has, so that a wrong file is not read whole.
const FILE_BYTES_MAX: u64 = 4096;
const PART_BYTES: usize = 32;

/// The two keys of an installation: one for the hashes of app secrets, one that signs tokens.
///
/// They live in the file `server.key` of the data directory, readable by its owner only. Without
/// that file no app can authenticate any more, and whoever reads it can issue tokens: back it up,
/// and keep it secret. `Debug` shows neither key.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerKey {
    secrets: [u8; PART_BYTES],
    tokens: [u8; PART_BYTES],
}

/// Why there is no server key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerKeyError {
    /// The file is there, but is not what was written.
    #[error(
        "server key `{path}` is damaged: {problem}; restore it from a backup, or move it away to \
         have a new one made, after which every app needs a new secret"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was expected and is not so.
        problem: &'static str,
    },
    /// The file could not be read.
    #[error("cannot read the server key `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file could not be made.
    #[error("cannot make the server key `{path}`")]
    Make {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl ServerKey {
    /// The name of the file in the data directory.
    pub const FILE_NAME: &str = "server.key";

    /// Reads the key of the data directory `directory`, or makes it if there is none yet.
    ///
    /// When several processes begin at once, all get the same key: the file appears complete or not
    /// at all, and the first one stays.
    ///
    /// # Errors
    ///
    /// If the file is damaged, or cannot be read or made.
    pub fn open_or_create(
        directory: &Path,
        rng: &mut impl CryptoRng,
    ) -> Result<ServerKey, ServerKeyError> {
        let path = directory.join(ServerKey::FILE_NAME);
        match read(&path) {
            Err(ServerKeyError::Read { source, .. })
                if source.kind() == io::ErrorKind::NotFound => {}
            found => return found,
        }
        let key = ServerKey::random(rng);
        match key.install(directory, &path, rng) {
            Ok(()) => Ok(key),
            Err(source) if source.kind() == io::ErrorKind::AlreadyExists => read(&path),
            Err(source) => Err(ServerKeyError::Make { path, source }),
        }
    }

    /// A key that no file holds, for tests and for services that keep nothing.
    pub fn random(rng: &mut impl CryptoRng) -> ServerKey {
        let mut key = ServerKey {
            secrets: [0; PART_BYTES],
            tokens: [0; PART_BYTES],
        };
        rng.fill(&mut key.secrets);
        rng.fill(&mut key.tokens);
        key
    }

    /// A short text that tells keys apart and reveals nothing of them.
    pub fn fingerprint(&self) -> String {
        let digest = self.hash(&[b"fingerprint"]).finalize().into_bytes();
        hex(&digest[..8])
    }

    /// The signing key of tokens.
    pub(super) fn for_tokens(&self) -> &[u8] {
        &self.tokens
    }

    /// A keyed hash over `parts`, each preceded by its length so that no two lists look alike.
    pub(super) fn hash(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secrets)
            .expect("this hash takes a key of any length");
        for part in parts {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        mac
    }

    fn install(&self, directory: &Path, path: &Path, rng: &mut impl CryptoRng) -> io::Result<()> {
        let draft = directory.join(format!("server.key.{:016x}", rng.next_u64()));
        let written = write_synced(&draft, &self.to_text())
            // A link never replaces a file, which a rename would.
            .and_then(|()| fs::hard_link(&draft, path));
        // Whether or not that worked, the draft has no further use.
        let removed = fs::remove_file(&draft);
        written?;
        removed?;
        sync_directory(directory)
    }

    fn to_text(&self) -> String {
        let bytes = [self.secrets, self.tokens].concat();
        let body = BASE64_STANDARD.encode(&bytes);
        format!("{TITLE}\n{body}\n{}\n", checksum(&bytes))
    }

    fn from_text(text: &str) -> Result<ServerKey, &'static str> {
        let mut lines = text.lines();
        if lines.next() != Some(TITLE) {
            return Err("its first line is not that of a server key");
        }
        let (Some(body), Some(expected), None) = (lines.next(), lines.next(), lines.next()) else {
            return Err("it does not have three lines");
        };
        let bytes = BASE64_STANDARD.decode(body);
        let Some((secrets, tokens)) = bytes.as_deref().ok().and_then(halves) else {
            return Err("its second line is not 64 bytes in base64");
        };
        if checksum(&[secrets, tokens].concat()) != expected {
            return Err("its checksum does not match");
        }
        Ok(ServerKey { secrets, tokens })
    }
}

impl fmt::Debug for ServerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerKey(hidden)")
    }
}

fn halves(bytes: &[u8]) -> Option<([u8; PART_BYTES], [u8; PART_BYTES])> {
    let (secrets, tokens) = bytes.split_at_checked(PART_BYTES)?;
    Some((secrets.try_into().ok()?, tokens.try_into().ok()?))
}

fn checksum(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes)[..8])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read(path: &Path) -> Result<ServerKey, ServerKeyError> {
    let mut text = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut text))
        .map_err(|source| ServerKeyError::Read {
            path: path.to_owned(),
            source,
        })?;
    let damaged = |problem| ServerKeyError::Damaged {
        path: path.to_owned(),
        problem,
    };
    let text = str::from_utf8(&text).map_err(|_not_utf8| damaged("it is not text"))?;
    let key = ServerKey::from_text(text).map_err(damaged)?;
    warn_if_open(path);
    Ok(key)
}

fn write_synced(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Makes the new name in `directory` survive a loss of power. Only Unix lets a directory be synced.
fn sync_directory(directory: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(directory)?.sync_all()?;
    }
    Ok(())
}

/// A restored backup may have lost its permissions: worth a word, not a refusal to start.
fn warn_if_open(path: &Path) {
    #[cfg(unix)]
    if let Ok(metadata) = fs::metadata(path) {
        let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions());
        if mode & 0o077 != 0 {
            tracing::warn!(
                path = %path.display(),
                "the server key can be read by others; make it private with `chmod 600`"
            );
        }
    }
    #[cfg(not(unix))]
    let _ = path;
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn the_second_start_finds_the_key_of_the_first() {
        let directory = tempfile::tempdir().unwrap();
        let first = ServerKey::open_or_create(directory.path(), &mut rand::rng()).unwrap();
        let second = ServerKey::open_or_create(directory.path(), &mut rand::rng()).unwrap();
        assert!(first == second);
        assert!(first.secrets != first.tokens);
        let names: Vec<_> = fs::read_dir(directory.path()).unwrap().collect();
        assert_eq!(names.len(), 1, "a draft was left behind");
    }

    #[test]
    fn many_first_starts_at_once_agree_on_one_key() {
        let directory = tempfile::tempdir().unwrap();
        let prints: Vec<String> = thread::scope(|scope| {
            let starts: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        ServerKey::open_or_create(directory.path(), &mut rand::rng())
                            .unwrap()
                            .fingerprint()
                    })
                })
                .collect();
            starts
                .into_iter()
                .map(|start| start.join().unwrap())
                .collect()
        });
        assert!(prints.iter().all(|print| *print == prints[0]));
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_may_read_the_file() {
        use std::os::unix::fs::PermissionsExt;

        let directory = tempfile::tempdir().unwrap();
        ServerKey::open_or_create(directory.path(), &mut rand::rng()).unwrap();
        let metadata = fs::metadata(directory.path().join(ServerKey::FILE_NAME)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn any_changed_or_missing_byte_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(ServerKey::FILE_NAME);
        let original = ServerKey::open_or_create(directory.path(), &mut rand::rng()).unwrap();
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut changed = good.clone();
            changed[at] ^= 0x01;
            fs::write(&path, &changed).unwrap();
            // Only what separates the lines may change without harm, and then the key is the same.
            match ServerKey::open_or_create(directory.path(), &mut rand::rng()) {
                Ok(key) => assert!(key == original, "byte {at}"),
                Err(ServerKeyError::Damaged { .. }) => {}
                Err(other) => panic!("byte {at}: {other}"),
            }
        }
        for length in [0, 1, TITLE.len(), good.len() / 2] {
            fs::write(&path, &good[..length]).unwrap();
            let error = ServerKey::open_or_create(directory.path(), &mut rand::rng()).unwrap_err();
            assert!(
                error.to_string().contains("restore it from a backup"),
                "{error}"
            );
            assert_eq!(
                fs::read(&path).unwrap(),
                &good[..length],
                "a damaged key was replaced"
            );
        }
    }

    #[test]
    fn debug_shows_no_key() {
        assert_eq!(
            format!("{:?}", ServerKey::random(&mut rand::rng())),
            "ServerKey(hidden)"
        );
    }
}
