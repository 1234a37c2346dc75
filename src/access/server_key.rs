//! The key of this installation, in a file of its own.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use hmac::{Hmac, KeyInit, Mac};
use rand::{CryptoRng, RngExt};
use sha2::{Digest, Sha256};

use super::lifetimes;
use crate::partition::{StoreError, private};
use crate::types::Timestamp;

/// What the file begins with: what it is, and the version of its form.
const TITLE: &str = "vultus server key 1";
/// The same for a file with retired keys.
const TITLE_RETIRED: &str = "vultus server key 2";
/// What the line of a retired key begins with.
const RETIRED: &str = "retired";
/// Far more than the file has, so that a wrong file is not read whole.
const FILE_BYTES_MAX: u64 = 16 << 10;
const PART_BYTES: usize = 32;
/// What the name of a key in the making begins with; sixteen hexadecimal digits follow.
const DRAFT_PREFIX: &str = "server.key.";
/// More than anybody needs in the time that a retired key is kept for.
const RETIRED_MAX: usize = 64;

/// The two keys of an installation: one for the hashes of app secrets, one that signs tokens.
///
/// They live in the file `server.key` of the data directory, readable by its owner only. Without
/// that file no app can authenticate any more, and whoever reads it can issue tokens: back it up,
/// and keep it secret. `Debug` shows neither key.
///
/// The key that signs tokens can be replaced at any time ([`ServerKey::rotate`]), also while a
/// service runs. The hashes of app secrets have a key of their own, which stays, so apps notice
/// nothing; and a retired key is still good for the tokens that it signed.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerKey {
    secrets: [u8; PART_BYTES],
    tokens: [u8; PART_BYTES],
    /// The latest first.
    retired: Vec<RetiredKey>,
}

/// A key that signs no more tokens.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct RetiredKey {
    pub(super) key: [u8; PART_BYTES],
    /// When it was replaced.
    pub(super) since: Timestamp,
}

/// What becomes of the key that is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retire {
    /// It goes on being good for the tokens that it signed.
    Keep,
    /// It is forgotten, with all that were retired before, and all tokens are worthless at once:
    /// for a key that others may know.
    Forget,
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
    /// The file is gone, and others than it are left.
    #[error(
        "server key `{path}` is missing, and there are apps or API keys whose secrets are good with it \
         only: put it back from a backup, or remove them (`vultus app remove`, `vultus key revoke`) to \
         have a new one made"
    )]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file has a key, and apps were made with another.
    #[error(
        "server key `{path}` is not the one that the secrets of the apps and API keys here were made \
         with: it is of another data directory, or older; put the right one back, or remove them \
         (`vultus app remove`, `vultus key revoke`)"
    )]
    Other {
        /// The file.
        path: PathBuf,
    },
    /// What the data directory remembers of its key cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file could not be read.
    #[error("cannot read the server key `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The key was replaced so often of late that the file would grow without end.
    #[error(
        "the server key `{path}` was replaced {RETIRED_MAX} times in the last {minutes} minutes; wait, or \
         forget the keys that were retired",
        minutes = ServerKey::KEPT.as_secs() / 60
    )]
    TooManyRetired {
        /// The file.
        path: PathBuf,
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
    /// How long after a key was retired a service may still sign with it, because it has not looked
    /// at the file since.
    pub const RENEWED_WITHIN: Duration = Duration::from_secs(60);
    /// How long a retired key is good for anything: until the last token that it can have signed
    /// has expired, and the result of that token can no longer be read.
    pub const KEPT: Duration = Duration::from_secs(
        ServerKey::RENEWED_WITHIN.as_secs()
            + lifetimes::TOKEN.as_secs()
            + lifetimes::RESULT_AFTER_EXPIRY.as_secs(),
    );

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
        if let Some(key) = ServerKey::open(directory)? {
            return Ok(key);
        }
        let path = directory.join(ServerKey::FILE_NAME);
        let key = ServerKey::random(rng);
        match key.install(directory, &path, rng) {
            Ok(()) => Ok(key),
            Err(source) if source.kind() == io::ErrorKind::AlreadyExists => read(&path),
            Err(source) => Err(ServerKeyError::Make { path, source }),
        }
    }

    /// What tells this key from others, and nothing of it: a hash of what stays when it is rotated.
    pub(super) fn mark(&self) -> Vec<u8> {
        let mut hash = Sha256::new();
        hash.update(b"the server key of a data directory");
        hash.update(self.secrets);
        hash.finalize().to_vec()
    }

    /// A key that no file holds, for tests and for services that keep nothing.
    pub fn random(rng: &mut impl CryptoRng) -> ServerKey {
        let mut key = ServerKey {
            secrets: [0; PART_BYTES],
            tokens: [0; PART_BYTES],
            retired: Vec::new(),
        };
        rng.fill(&mut key.secrets);
        rng.fill(&mut key.tokens);
        key
    }

    /// Reads the key of the data directory `directory`; `None` if there is none.
    ///
    /// # Errors
    ///
    /// If the file is damaged or cannot be read.
    pub fn open(directory: &Path) -> Result<Option<ServerKey>, ServerKeyError> {
        match read(&directory.join(ServerKey::FILE_NAME)) {
            Ok(key) => Ok(Some(key)),
            Err(ServerKeyError::Read { source, .. })
                if source.kind() == io::ErrorKind::NotFound =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Replaces the key that signs tokens, in the file of the data directory `directory`, and
    /// returns the new one. The file has the old or the new content at every moment, and a service
    /// that runs may go on running: it has to look at the file again within
    /// [`ServerKey::RENEWED_WITHIN`].
    ///
    /// # Errors
    ///
    /// If there is no key, it is damaged, it was replaced too often of late, or the file cannot be
    /// read or written. The old key holds then.
    pub fn rotate(
        directory: &Path,
        retire: Retire,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<ServerKey, ServerKeyError> {
        let path = directory.join(ServerKey::FILE_NAME);
        let unreadable = |source| ServerKeyError::Read {
            path: path.clone(),
            source,
        };
        // Two that replace the key at once must not lose each other's: the lock is on the file that
        // is replaced, so it counts only if that is still the one under the name.
        let lock = loop {
            let file = private::open_file(&path).map_err(unreadable)?;
            file.lock().map_err(unreadable)?;
            if is_at(&file, &path).map_err(unreadable)? {
                break file;
            }
        };
        let key = read(&path)?.rotated(retire, now, rng);
        if key.retired.len() > RETIRED_MAX {
            return Err(ServerKeyError::TooManyRetired { path });
        }
        let replaced = key.replace(directory, &path, rng);
        drop(lock);
        match replaced {
            Ok(()) => Ok(key),
            Err(source) => Err(ServerKeyError::Make { path, source }),
        }
    }

    /// Removes what a kill left of keys in the making, while nobody makes one: the caller sees to it
    /// that none is made for the first time, and whoever replaces one holds a lock on the file.
    pub(super) fn remove_drafts(directory: &Path) {
        let path = directory.join(ServerKey::FILE_NAME);
        let Ok(lock) = private::open_file(&path) else {
            return;
        };
        if lock.try_lock().is_err() || !is_at(&lock, &path).unwrap_or(false) {
            return;
        }
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
            if !is_file || !is_draft(&entry.file_name()) {
                continue;
            }
            let path = entry.path();
            match fs::remove_file(&path) {
                Ok(()) => {
                    tracing::info!(path = %path.display(), "removed what was left of making a server key");
                }
                Err(error) => {
                    tracing::warn!(%error, path = %path.display(), "cannot remove what was left of making a server key");
                }
            }
        }
    }

    /// The same with a new key for tokens.
    fn rotated(&self, retire: Retire, now: Timestamp, rng: &mut impl CryptoRng) -> ServerKey {
        let mut next = ServerKey {
            tokens: [0; PART_BYTES],
            retired: Vec::new(),
            ..*self
        };
        rng.fill(&mut next.tokens);
        if retire == Retire::Keep {
            next.retired.push(RetiredKey {
                key: self.tokens,
                since: now,
            });
            let good = |old: &&RetiredKey| old.is_good(now);
            next.retired
                .extend(self.retired.iter().filter(good).cloned());
        }
        next
    }

    /// Whether the hashes of app secrets made with `other` are also made with this one.
    pub fn knows_secrets_of(&self, other: &ServerKey) -> bool {
        self.fingerprint() == other.fingerprint()
    }

    /// A short text that tells keys apart and reveals nothing of them. Replacing the key for tokens
    /// does not change it.
    pub fn fingerprint(&self) -> String {
        let digest = self.hash(&[b"fingerprint"]).finalize().into_bytes();
        hex(&digest[..8])
    }

    /// A keyed digest of `bytes` for another purpose than those of the keys themselves: 32 bytes that nobody can
    /// compute or turn back who has not this key. Replacing the key for tokens does not change it.
    pub fn digest(&self, purpose: &str, bytes: &[u8]) -> [u8; 32] {
        let parts = [b"digest", purpose.as_bytes(), bytes];
        self.hash(&parts).finalize().into_bytes().into()
    }

    /// The seed of the key that signs the audit log.
    pub fn audit_seed(&self) -> [u8; 32] {
        self.digest("audit signing", b"")
    }

    /// The signing key of tokens.
    pub(super) fn for_tokens(&self) -> &[u8] {
        &self.tokens
    }

    /// The keys that signed tokens before, the latest first.
    pub(super) fn retired(&self) -> &[RetiredKey] {
        &self.retired
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
        // A link never replaces a file, which a rename would.
        self.place(directory, rng, |draft| fs::hard_link(draft, path))
    }

    fn replace(&self, directory: &Path, path: &Path, rng: &mut impl CryptoRng) -> io::Result<()> {
        self.place(directory, rng, |draft| fs::rename(draft, path))
    }

    /// Writes the key beside its file, and lets `put` give it the name.
    fn place(
        &self,
        directory: &Path,
        rng: &mut impl CryptoRng,
        put: impl FnOnce(&Path) -> io::Result<()>,
    ) -> io::Result<()> {
        let draft = directory.join(format!("{DRAFT_PREFIX}{:016x}", rng.next_u64()));
        let written = write_synced(&draft, &self.to_text()).and_then(|()| put(&draft));
        // Whether or not that worked, the draft has no further use.
        let removed = match fs::remove_file(&draft) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        };
        written?;
        removed?;
        sync_directory(directory)
    }

    fn to_text(&self) -> String {
        let bytes = [self.secrets, self.tokens].concat();
        let body = BASE64_STANDARD.encode(&bytes);
        if self.retired.is_empty() {
            return format!("{TITLE}\n{body}\n{}\n", checksum(&bytes));
        }
        let mut text = format!("{TITLE_RETIRED}\n{body}\n");
        for old in &self.retired {
            let key = BASE64_STANDARD.encode(old.key);
            text += &format!("{RETIRED} {} {key}\n", old.since.unix_milliseconds);
        }
        let checksum = checksum(text.as_bytes());
        text + &checksum + "\n"
    }

    fn from_text(text: &str) -> Result<ServerKey, &'static str> {
        match text.lines().next() {
            Some(TITLE) => ServerKey::from_plain(text),
            Some(TITLE_RETIRED) => ServerKey::from_retired(text),
            _ => Err("its first line is not that of a server key"),
        }
    }

    fn from_plain(text: &str) -> Result<ServerKey, &'static str> {
        let mut lines = text.lines().skip(1);
        let (Some(body), Some(expected), None) = (lines.next(), lines.next(), lines.next()) else {
            return Err("it does not have three lines");
        };
        let (secrets, tokens) = pair(body)?;
        if checksum(&[secrets, tokens].concat()) != expected {
            return Err("its checksum does not match");
        }
        Ok(ServerKey {
            secrets,
            tokens,
            retired: Vec::new(),
        })
    }

    fn from_retired(text: &str) -> Result<ServerKey, &'static str> {
        let (above, expected) = text
            .trim_end_matches('\n')
            .rsplit_once('\n')
            .ok_or("it has no checksum")?;
        if checksum(format!("{above}\n").as_bytes()) != expected {
            return Err("its checksum does not match");
        }
        let mut lines = above.lines().skip(1);
        let (secrets, tokens) = pair(lines.next().unwrap_or_default())?;
        let retired = lines
            .map(|line| RetiredKey::from_line(line).ok_or("a line is not that of a retired key"));
        Ok(ServerKey {
            secrets,
            tokens,
            retired: retired.collect::<Result<_, _>>()?,
        })
    }
}

impl RetiredKey {
    /// Whether the key is good for anything at all.
    pub(super) fn is_good(&self, now: Timestamp) -> bool {
        now < self.since.after(ServerKey::KEPT)
    }

    /// Whether the key can have signed a token that expires then.
    pub(super) fn can_have_signed(&self, expires: Timestamp) -> bool {
        let last = self.since.after(ServerKey::RENEWED_WITHIN);
        expires <= last.after(lifetimes::TOKEN)
    }

    fn from_line(line: &str) -> Option<RetiredKey> {
        let (since, key) = line
            .strip_prefix(RETIRED)?
            .strip_prefix(' ')?
            .split_once(' ')?;
        Some(RetiredKey {
            key: BASE64_STANDARD.decode(key).ok()?.try_into().ok()?,
            since: Timestamp {
                unix_milliseconds: since.parse().ok()?,
            },
        })
    }
}

impl fmt::Debug for ServerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerKey(hidden)")
    }
}

/// The two keys in the second line of the file.
fn pair(body: &str) -> Result<([u8; PART_BYTES], [u8; PART_BYTES]), &'static str> {
    let bytes = BASE64_STANDARD.decode(body);
    let found = bytes.as_deref().ok().and_then(halves);
    found.ok_or("its second line is not 64 bytes in base64")
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
    private::open_file(path)
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

/// Whether a name is that of a key in the making.
fn is_draft(name: &OsStr) -> bool {
    let digits = name
        .to_str()
        .and_then(|name| name.strip_prefix(DRAFT_PREFIX));
    digits.is_some_and(|digits| {
        let is_digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        digits.len() == 16 && digits.bytes().all(is_digit)
    })
}

fn write_synced(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    private::leave_to_owner_of_folder(path, &file)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Whether `file` is what is under the name `path` now.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let (ours, theirs) = (file.metadata()?, fs::metadata(path)?);
        Ok((ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino()))
    }
    #[cfg(not(unix))]
    {
        // A file that is open and locked cannot be replaced there.
        let _ = (file, path);
        Ok(true)
    }
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

    fn now(minutes: i64) -> Timestamp {
        Timestamp::from_unix_seconds(1_000_000 + 60 * minutes)
    }

    fn rotate(directory: &Path, retire: Retire, minutes: i64) -> ServerKey {
        ServerKey::rotate(directory, retire, now(minutes), &mut rand::rng()).unwrap()
    }

    #[test]
    fn a_rotation_keeps_the_hashes_and_the_retired_key_and_only_as_long_as_it_is_needed() {
        let directory = tempfile::tempdir().unwrap();
        let first = ServerKey::open_or_create(directory.path(), &mut rand::rng()).unwrap();
        let second = rotate(directory.path(), Retire::Keep, 0);
        assert!(second == ServerKey::open(directory.path()).unwrap().unwrap());
        assert!(second.tokens != first.tokens && second.retired[0].key == first.tokens);
        assert!(second.secrets == first.secrets && second.knows_secrets_of(&first));
        let third = rotate(directory.path(), Retire::Keep, 70);
        let keys: Vec<_> = third.retired.iter().map(|old| old.key).collect();
        assert!(keys == [second.tokens, first.tokens]);
        let fourth = rotate(directory.path(), Retire::Keep, 71);
        let keys: Vec<_> = fourth.retired.iter().map(|old| old.key).collect();
        assert!(
            keys == [third.tokens, second.tokens],
            "a key was kept for too long"
        );
        let fifth = rotate(directory.path(), Retire::Forget, 72);
        assert!(fifth.retired.is_empty() && fifth.tokens != fourth.tokens);
        assert!(fifth == ServerKey::open(directory.path()).unwrap().unwrap());
        let names: Vec<_> = fs::read_dir(directory.path()).unwrap().collect();
        assert_eq!(names.len(), 1, "a draft was left behind");
    }

    #[test]
    fn rotations_at_once_lose_no_key() {
        let directory = tempfile::tempdir().unwrap();
        ServerKey::open_or_create(directory.path(), &mut rand::rng()).unwrap();
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| rotate(directory.path(), Retire::Keep, 0));
            }
        });
        let key = ServerKey::open(directory.path()).unwrap().unwrap();
        assert_eq!(key.retired.len(), 8);
    }

    #[test]
    fn there_is_an_end_to_rotations_and_forgetting_makes_room() {
        let directory = tempfile::tempdir().unwrap();
        ServerKey::open_or_create(directory.path(), &mut rand::rng()).unwrap();
        for _ in 0..RETIRED_MAX {
            rotate(directory.path(), Retire::Keep, 0);
        }
        let last = ServerKey::open(directory.path()).unwrap().unwrap();
        let refused = ServerKey::rotate(directory.path(), Retire::Keep, now(1), &mut rand::rng());
        assert!(matches!(
            refused,
            Err(ServerKeyError::TooManyRetired { .. })
        ));
        assert!(last == ServerKey::open(directory.path()).unwrap().unwrap());
        rotate(directory.path(), Retire::Forget, 1);
    }

    #[test]
    fn what_is_not_there_cannot_be_rotated() {
        let directory = tempfile::tempdir().unwrap();
        let refused = ServerKey::rotate(directory.path(), Retire::Keep, now(0), &mut rand::rng());
        assert!(matches!(refused, Err(ServerKeyError::Read { .. })));
        assert!(ServerKey::open(directory.path()).unwrap().is_none());
    }

    #[test]
    fn any_changed_byte_of_a_file_with_retired_keys_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(ServerKey::FILE_NAME);
        ServerKey::open_or_create(directory.path(), &mut rand::rng()).unwrap();
        let original = rotate(directory.path(), Retire::Keep, 0);
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() - 1 {
            let mut changed = good.clone();
            changed[at] ^= 0x01;
            fs::write(&path, &changed).unwrap();
            let found = ServerKey::open(directory.path());
            assert!(
                matches!(found, Err(ServerKeyError::Damaged { .. })),
                "byte {at}"
            );
        }
        fs::write(&path, &good).unwrap();
        assert!(original == ServerKey::open(directory.path()).unwrap().unwrap());
    }

    #[test]
    fn debug_shows_no_key() {
        assert_eq!(
            format!("{:?}", ServerKey::random(&mut rand::rng())),
            "ServerKey(hidden)"
        );
    }
}
