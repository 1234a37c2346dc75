//! The keys of the native API: who holds one may do what its scopes say, where it reaches.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine};
use hmac::Mac;
use rand::{CryptoRng, RngExt};
use serde::{Deserialize, Serialize};

use super::ServerKey;
use crate::partition::{Store, StoreError};
use crate::types::{ParseBcidError, PartitionId, StorageName, Timestamp, is_direction, is_seen};

/// Where keys are kept in the store.
pub(super) const AREA: &str = "api keys";
/// What every key begins with, so that a scanner for leaked secrets can find one.
const PREFIX: &str = "vk_";
const ID_BYTES: usize = 8;
const SECRET_BYTES: usize = 24;
/// What is hashed beside the secret, so that a hash fits one key and one purpose only.
const SECRET_PURPOSE: &[u8] = b"api key";

/// The public name of a key: 16 hexadecimal digits, which also stand in the key itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiKeyId([u8; ID_BYTES]);

/// A text is not the id of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the id of a key is 16 hexadecimal digits")]
pub struct ParseApiKeyIdError;

/// The whole key, `vk_`, its id, `_` and 32 characters that nobody can guess. Shown once, when the
/// key is created.
pub struct ApiKeySecret(String);

/// One kind of thing that a key may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Add people, and templates of people.
    Enroll,
    /// Ask who somebody is.
    Identify,
    /// Ask whether somebody is a certain person.
    Verify,
    /// List partitions and classes.
    Read,
    /// Remove people.
    Delete,
    /// Make and fetch snapshots of everything.
    Snapshot,
    /// Take the embeddings of one's own pictures.
    Embed,
    /// Look for people with ready embeddings, of whatever numbers.
    Embeddings,
    /// Be told exactly how alike people are, and take people for alike below the usual threshold.
    Scores,
    /// Confirm identifications, as one of two people.
    Confirm,
    /// See what was decided of whom.
    Audit,
    /// See what people look like, where portraits are stored.
    Portraits,
}

/// A text is not a scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{found}` is no scope: expected enroll, identify, verify, read, delete, snapshot, embed, \
     embeddings, scores, confirm, audit or portraits"
)]
pub struct ParseScopeError {
    /// The first characters of the text.
    pub found: String,
}

/// A set of scopes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scopes(u16);

/// What a key can be used on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The whole data directory.
    Everything,
    /// All partitions of one storage.
    Storage(StorageName),
    /// One partition.
    Partition(PartitionId),
}

/// A key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Its public name.
    pub id: ApiKeyId,
    /// What people call it.
    pub name: String,
    /// What it may be used for.
    pub scopes: Scopes,
    /// And on what.
    pub reach: Reach,
    /// When it was created.
    pub created: Timestamp,
    /// The first moment at which it is no longer valid, if it ends.
    pub expires: Option<Timestamp>,
}

/// What a new key is to be.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    /// What people call it.
    pub name: String,
    /// What it may be used for.
    pub scopes: Scopes,
    /// And on what.
    pub reach: Reach,
    /// The first moment at which it is no longer valid, if it ends.
    pub expires: Option<Timestamp>,
}

/// The keys of an installation, kept in its store.
#[derive(Debug)]
pub struct ApiKeys {
    store: Arc<Store>,
    key: ServerKey,
}

/// Why keys cannot be created, listed or checked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiKeyError {
    /// The name of a new key has the wrong length or a control character.
    #[error("the name of a key has 1 to {LENGTH_MAX} characters of which something is seen, no control characters and none that turn the direction of writing", LENGTH_MAX = ApiKey::NAME_LENGTH_MAX)]
    Name,
    /// A key that may do nothing is of no use.
    #[error("a key needs at least one scope")]
    NoScope,
    /// A snapshot holds everything, so a key for less must not make one.
    #[error(
        "the scope `snapshot` needs a key for everything: a snapshot holds the templates of all \
         storages, and the server key"
    )]
    SnapshotReach,
    /// A new key would never be valid.
    #[error("the key would expire before it was created")]
    Expired,
    /// The entry of a key cannot be read.
    #[error("the entry of key `{id}` is damaged: {problem}")]
    Damaged {
        /// The id of the entry.
        id: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The store failed.
    #[error("the keys cannot be read or written")]
    Store(#[from] StoreError),
}

/// What a text that is sent as a key proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiKeyProof {
    /// This key.
    Valid(ApiKey),
    /// This key, whose time is over.
    Expired(ApiKey),
    /// Nothing: it is malformed, wrong, or revoked.
    Nothing,
}

/// A key as it is stored. Field names are part of the file format.
#[derive(Serialize, Deserialize)]
struct StoredKey {
    name: String,
    scopes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    storage: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    partition: Option<i32>,
    created_unix_milliseconds: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_unix_milliseconds: Option<i64>,
    /// HMAC-SHA-256 of the secret in base64.
    secret_hash: String,
    /// Which server key the hash was made with.
    key_fingerprint: String,
}

impl FromStr for ApiKeyId {
    type Err = ParseApiKeyIdError;

    /// Reads 16 hexadecimal digits in lower case, as they are written.
    fn from_str(text: &str) -> Result<ApiKeyId, ParseApiKeyIdError> {
        let digits = text.as_bytes();
        let lower = |digit: &u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
        if digits.len() != 2 * ID_BYTES || !digits.iter().all(lower) {
            return Err(ParseApiKeyIdError);
        }
        let mut id = [0; ID_BYTES];
        for (byte, at) in id.iter_mut().zip((0..digits.len()).step_by(2)) {
            let digits = &text[at..at + 2];
            *byte = u8::from_str_radix(digits, 16).map_err(|_no_digit| ParseApiKeyIdError)?;
        }
        Ok(ApiKeyId(id))
    }
}

impl fmt::Display for ApiKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl ApiKeySecret {
    /// The key in plain text, to be shown to the person who created it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiKeySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKeySecret(hidden)")
    }
}

impl Scope {
    /// All, in the order in which they are listed.
    pub const ALL: [Scope; 12] = [
        Scope::Enroll,
        Scope::Identify,
        Scope::Verify,
        Scope::Read,
        Scope::Delete,
        Scope::Snapshot,
        Scope::Embed,
        Scope::Embeddings,
        Scope::Scores,
        Scope::Confirm,
        Scope::Audit,
        Scope::Portraits,
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Enroll => "enroll",
            Scope::Identify => "identify",
            Scope::Verify => "verify",
            Scope::Read => "read",
            Scope::Delete => "delete",
            Scope::Snapshot => "snapshot",
            Scope::Embed => "embed",
            Scope::Embeddings => "embeddings",
            Scope::Scores => "scores",
            Scope::Confirm => "confirm",
            Scope::Audit => "audit",
            Scope::Portraits => "portraits",
        }
    }

    fn bit(self) -> u16 {
        1 << self as u16
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = ParseScopeError;

    fn from_str(text: &str) -> Result<Scope, ParseScopeError> {
        let mut all = Scope::ALL.into_iter();
        all.find(|scope| scope.as_str() == text)
            .ok_or_else(|| ParseScopeError {
                found: text.escape_default().take(40).collect(),
            })
    }
}

impl Scopes {
    /// Whether `scope` is in the set.
    pub fn contains(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// The scopes of the set.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL
            .into_iter()
            .filter(move |scope| self.contains(*scope))
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<T: IntoIterator<Item = Scope>>(scopes: T) -> Scopes {
        let bits = scopes.into_iter().map(Scope::bit);
        Scopes(bits.fold(0, |set, bit| set | bit))
    }
}

impl Reach {
    /// Whether a key with this reach may be used on `partition`.
    pub fn permits(&self, partition: &PartitionId) -> bool {
        match self {
            Reach::Everything => true,
            Reach::Storage(storage) => *storage == partition.storage,
            Reach::Partition(only) => only == partition,
        }
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reach::Everything => f.write_str("everything"),
            Reach::Storage(storage) => storage.fmt(f),
            Reach::Partition(partition) => partition.fmt(f),
        }
    }
}

impl ApiKey {
    /// The most characters in the name of a key.
    pub const NAME_LENGTH_MAX: usize = 100;

    /// Whether the time of the key is over.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| now >= expires)
    }
}

impl ApiKeys {
    /// The keys in `store`, whose secrets are hashed with `key`.
    pub fn new(store: Arc<Store>, key: &ServerKey) -> ApiKeys {
        ApiKeys {
            store,
            key: key.clone(),
        }
    }

    /// Creates a key.
    ///
    /// The secret exists in what this returns and nowhere else.
    ///
    /// # Errors
    ///
    /// If the name has the wrong length or control characters, there is no scope, the scope
    /// `snapshot` is asked for less than everything, the key would expire at once, or the store
    /// fails.
    pub fn create(
        &self,
        new: &NewApiKey,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<(ApiKey, ApiKeySecret), ApiKeyError> {
        check(new, now)?;
        let (mut id, mut secret) = ([0; ID_BYTES], [0; SECRET_BYTES]);
        rng.fill(&mut id);
        rng.fill(&mut secret);
        let (id, secret) = (ApiKeyId(id), BASE64_URL_SAFE_NO_PAD.encode(secret));
        let key = ApiKey {
            id,
            name: new.name.clone(),
            scopes: new.scopes,
            reach: new.reach.clone(),
            created: now,
            expires: new.expires,
        };
        let record = self.record(&key, &secret);
        let value = serde_json::to_vec(&record).expect("texts and numbers become JSON");
        self.store.state_put(AREA, &id.to_string(), &value)?;
        Ok((key, ApiKeySecret(format!("{PREFIX}{id}_{secret}"))))
    }

    /// All keys, by name and then by id; expired ones too.
    ///
    /// # Errors
    ///
    /// If an entry is damaged or the store fails.
    pub fn list(&self) -> Result<Vec<ApiKey>, ApiKeyError> {
        let mut keys = Vec::new();
        for (id, value) in self.store.state_list(AREA)? {
            keys.push(parse(&id, &value)?.0);
        }
        keys.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
        Ok(keys)
    }

    /// Revokes a key: it proves nothing from now on. Tells whether there was one.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub fn revoke(&self, id: ApiKeyId) -> Result<bool, ApiKeyError> {
        Ok(self.store.state_remove(AREA, &id.to_string())?)
    }

    /// What `text`, sent as a key, proves at `now`.
    ///
    /// The time this takes does not depend on how much of the secret is right.
    ///
    /// # Errors
    ///
    /// If the entry of the key is damaged or the store fails.
    pub fn authenticate(&self, text: &str, now: Timestamp) -> Result<ApiKeyProof, ApiKeyError> {
        let Some((id, secret)) = split(text) else {
            return Ok(ApiKeyProof::Nothing);
        };
        let name = id.to_string();
        let Some(value) = self.store.state_get(AREA, &name)? else {
            return Ok(ApiKeyProof::Nothing);
        };
        let (key, record) = parse(&name, &value)?;
        let expected = BASE64_STANDARD
            .decode(&record.secret_hash)
            .map_err(|error| damaged(&name, &error))?;
        if self.hash(id, secret).verify_slice(&expected).is_err() {
            if record.key_fingerprint != self.key.fingerprint() {
                tracing::warn!(
                    key = %id,
                    "this key was hashed with another server key; restore that one, or create the \
                     key anew"
                );
            }
            return Ok(ApiKeyProof::Nothing);
        }
        Ok(if key.is_expired(now) {
            ApiKeyProof::Expired(key)
        } else {
            ApiKeyProof::Valid(key)
        })
    }

    fn record(&self, key: &ApiKey, secret: &str) -> StoredKey {
        let hash = self.hash(key.id, secret).finalize().into_bytes();
        let (storage, partition) = match &key.reach {
            Reach::Everything => (None, None),
            Reach::Storage(storage) => (Some(storage.to_string()), None),
            Reach::Partition(id) => (Some(id.storage.to_string()), Some(id.number)),
        };
        let scopes = key.scopes.iter().map(|scope| scope.to_string());
        StoredKey {
            name: key.name.clone(),
            scopes: scopes.collect(),
            storage,
            partition,
            created_unix_milliseconds: key.created.unix_milliseconds,
            expires_unix_milliseconds: key.expires.map(|expires| expires.unix_milliseconds),
            secret_hash: BASE64_STANDARD.encode(hash),
            key_fingerprint: self.key.fingerprint(),
        }
    }

    fn hash(&self, id: ApiKeyId, secret: &str) -> hmac::Hmac<sha2::Sha256> {
        self.key.hash(&[SECRET_PURPOSE, &id.0, secret.as_bytes()])
    }
}

fn check(new: &NewApiKey, now: Timestamp) -> Result<(), ApiKeyError> {
    let lengths = 1..=ApiKey::NAME_LENGTH_MAX;
    let is_odd = |c: char| c.is_control() || is_direction(c);
    let is_printable = !new.name.chars().any(is_odd) && is_seen(&new.name);
    if !lengths.contains(&new.name.chars().count()) || !is_printable {
        return Err(ApiKeyError::Name);
    }
    if new.scopes == Scopes::default() {
        return Err(ApiKeyError::NoScope);
    }
    if new.scopes.contains(Scope::Snapshot) && new.reach != Reach::Everything {
        return Err(ApiKeyError::SnapshotReach);
    }
    if new.expires.is_some_and(|expires| now >= expires) {
        return Err(ApiKeyError::Expired);
    }
    Ok(())
}

/// The id and the secret in the text of a key.
fn split(text: &str) -> Option<(ApiKeyId, &str)> {
    let (id, rest) = text.strip_prefix(PREFIX)?.split_at_checked(2 * ID_BYTES)?;
    Some((id.parse().ok()?, rest.strip_prefix('_')?))
}

fn parse(id: &str, value: &[u8]) -> Result<(ApiKey, StoredKey), ApiKeyError> {
    let record: StoredKey = serde_json::from_slice(value).map_err(|error| damaged(id, &error))?;
    let scopes: Result<Scopes, ParseScopeError> =
        record.scopes.iter().map(|scope| scope.parse()).collect();
    let storage = record.storage.as_deref().map(str::parse).transpose();
    let storage: Option<StorageName> =
        storage.map_err(|error: ParseBcidError| damaged(id, &error))?;
    let reach = match (storage, record.partition) {
        (None, None) => Reach::Everything,
        (Some(storage), None) => Reach::Storage(storage),
        (Some(storage), Some(number)) => Reach::Partition(PartitionId::new(storage, number)),
        (None, Some(_)) => return Err(damaged(id, &"a partition without its storage")),
    };
    let time = |unix_milliseconds| Timestamp { unix_milliseconds };
    let key = ApiKey {
        id: id.parse().map_err(|error| damaged(id, &error))?,
        name: record.name.clone(),
        scopes: scopes.map_err(|error| damaged(id, &error))?,
        reach,
        created: time(record.created_unix_milliseconds),
        expires: record.expires_unix_milliseconds.map(time),
    };
    Ok((key, record))
}

fn damaged(id: &str, problem: &dyn fmt::Display) -> ApiKeyError {
    ApiKeyError::Damaged {
        id: id.to_owned(),
        problem: problem.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::apps::tests::store;
    use super::*;

    const NOW: Timestamp = Timestamp {
        unix_milliseconds: 1_000_000,
    };

    fn keys() -> (tempfile::TempDir, ApiKeys) {
        let (directory, store) = store();
        let key = ServerKey::random(&mut rand::rng());
        (directory, ApiKeys::new(store, &key))
    }

    fn new(scopes: &[Scope], reach: Reach) -> NewApiKey {
        NewApiKey {
            name: "Gate".to_owned(),
            scopes: scopes.iter().copied().collect(),
            reach,
            expires: None,
        }
    }

    fn create(keys: &ApiKeys, new: &NewApiKey) -> Result<(ApiKey, ApiKeySecret), ApiKeyError> {
        keys.create(new, NOW, &mut rand::rng())
    }

    fn partition(text: &str) -> PartitionId {
        text.parse().unwrap()
    }

    #[test]
    fn only_the_whole_right_text_proves_anything() {
        let (_directory, keys) = keys();
        let (key, secret) = create(&keys, &new(&[Scope::Read], Reach::Everything)).unwrap();
        let (_, other) = create(&keys, &new(&[Scope::Read], Reach::Everything)).unwrap();
        let text = secret.expose();
        assert_eq!(text.len(), 3 + 16 + 1 + 32);
        let proof = |text: &str| keys.authenticate(text, NOW).unwrap();
        assert_eq!(proof(text), ApiKeyProof::Valid(key));
        let swapped = format!("{}{}", &text[..20], &other.expose()[20..]);
        for wrong in [
            "",
            "vk_",
            &text[1..],
            &text[..51],
            &format!("{text}A"),
            &text.to_uppercase(),
            &format!("vk_{}", "0".repeat(49)),
            "vk_000000000000000\u{fc}_",
            &swapped,
        ] {
            assert_eq!(proof(wrong), ApiKeyProof::Nothing, "{wrong}");
        }
    }

    #[test]
    fn neither_the_store_nor_debug_shows_the_secret() {
        let (_directory, keys) = keys();
        let (key, secret) = create(&keys, &new(&[Scope::Read], Reach::Everything)).unwrap();
        let value = keys.store.state_get(AREA, &key.id.to_string()).unwrap();
        let text = String::from_utf8(value.unwrap()).unwrap();
        assert!(!text.contains(&secret.expose()[20..]));
        assert_eq!(format!("{secret:?}"), "ApiKeySecret(hidden)");
    }

    #[test]
    fn a_key_ends_when_it_expires_and_when_it_is_revoked() {
        let (_directory, keys) = keys();
        let later = Timestamp {
            unix_milliseconds: NOW.unix_milliseconds + 1,
        };
        let ends = NewApiKey {
            expires: Some(later),
            ..new(&[Scope::Read], Reach::Everything)
        };
        let (key, secret) = create(&keys, &ends).unwrap();
        let proof = |now| keys.authenticate(secret.expose(), now).unwrap();
        assert_eq!(proof(NOW), ApiKeyProof::Valid(key.clone()));
        assert_eq!(proof(later), ApiKeyProof::Expired(key.clone()));
        assert!(keys.revoke(key.id).unwrap());
        assert!(!keys.revoke(key.id).unwrap());
        assert_eq!(proof(NOW), ApiKeyProof::Nothing);
        assert_eq!(proof(later), ApiKeyProof::Nothing);
    }

    #[test]
    fn keys_come_back_as_they_were_created() {
        let (_directory, keys) = keys();
        let mut created = Vec::new();
        for (name, reach) in [
            ("c", Reach::Everything),
            ("a", Reach::Storage("bws".parse().unwrap())),
            ("b", Reach::Partition(partition("bws.-1"))),
        ] {
            let new = NewApiKey {
                name: name.to_owned(),
                ..new(&[Scope::Verify, Scope::Enroll], reach)
            };
            created.push(create(&keys, &new).unwrap().0);
        }
        created.rotate_left(1);
        assert_eq!(keys.list().unwrap(), created);
    }

    #[test]
    fn a_key_reaches_what_it_is_bound_to() {
        for (reach, inside, outside) in [
            (Reach::Everything, ["a.1", "b.2"], None),
            (
                Reach::Storage("a".parse().unwrap()),
                ["a.1", "a.-2"],
                Some("b.1"),
            ),
            (
                Reach::Partition(partition("a.1")),
                ["a.1", "a.1"],
                Some("a.2"),
            ),
        ] {
            for name in inside {
                assert!(reach.permits(&partition(name)), "{reach}: {name}");
            }
            if let Some(name) = outside {
                assert!(!reach.permits(&partition(name)), "{reach}: {name}");
            }
        }
    }

    #[test]
    fn a_key_that_makes_no_sense_is_not_created() {
        let (_directory, keys) = keys();
        let everything = || new(&[Scope::Read], Reach::Everything);
        let nameless = NewApiKey {
            name: String::new(),
            ..everything()
        };
        assert!(matches!(create(&keys, &nameless), Err(ApiKeyError::Name)));
        let idle = new(&[], Reach::Everything);
        assert!(matches!(create(&keys, &idle), Err(ApiKeyError::NoScope)));
        let over = NewApiKey {
            expires: Some(NOW),
            ..everything()
        };
        assert!(matches!(create(&keys, &over), Err(ApiKeyError::Expired)));
        let storage = new(&[Scope::Snapshot], Reach::Storage("a".parse().unwrap()));
        let refused = create(&keys, &storage);
        assert!(matches!(refused, Err(ApiKeyError::SnapshotReach)));
        assert!(keys.list().unwrap().is_empty());
    }

    #[test]
    fn scopes_are_read_as_they_are_written() {
        for scope in Scope::ALL {
            assert_eq!(scope.to_string().parse(), Ok(scope));
            let only: Scopes = [scope].into_iter().collect();
            assert_eq!(only.iter().collect::<Vec<_>>(), [scope]);
        }
        assert!("Enroll".parse::<Scope>().is_err());
        assert!("".parse::<Scope>().is_err());
    }

    #[test]
    fn a_damaged_entry_is_named() {
        let (_directory, keys) = keys();
        let made = create(&keys, &new(&[Scope::Read], Reach::Everything)).unwrap();
        let (id, secret) = (made.0.id.to_string(), made.1);
        keys.store.state_put(AREA, &id, b"{}").unwrap();
        let error = keys.authenticate(secret.expose(), NOW).unwrap_err();
        assert!(error.to_string().contains(&id), "{error}");
    }
}
