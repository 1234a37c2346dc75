//! The programs that use the service, and how they prove who they are.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64::prelude::{BASE64_STANDARD, Engine};
use hmac::Mac;
use rand::{CryptoRng, RngExt};
use serde::{Deserialize, Serialize};
use uuid::{Builder, Uuid};

use super::ServerKey;
use crate::partition::{Store, StoreError};
use crate::types::{
    ParseBcidError, PartitionId, StorageName, Timestamp, is_direction, is_ignorable, is_seen,
};

/// Where apps are kept in the store.
pub(super) const AREA: &str = "apps";
const SECRET_BYTES: usize = 18;
/// What is hashed beside the secret, so that a hash fits one app and one purpose only.
const SECRET_PURPOSE: &[u8] = b"app secret";
/// The same where the id is no GUID: the bytes of one may be those of the other.
const OTHER_SECRET_PURPOSE: &[u8] = b"app secret of another id";

/// The public name of an app: a GUID, written in lower case, or one that another service gave it,
/// such as `1234567890.12345.app.bioid.com`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppId(Arc<str>);

/// A text is not an App-ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseAppIdError {
    /// There is nothing, or too much.
    #[error("an App-ID has 1 to {max} bytes", max = AppId::BYTES_MAX)]
    Length,
    /// Basic credentials end it there.
    #[error("an App-ID has no colon: Basic credentials could not carry it")]
    Colon,
    /// A space, or a character that cannot be seen.
    #[error("an App-ID has no spaces and no control characters")]
    Odd,
}

/// What an app proves itself with: 24 base64 characters, or what it had at another service. Shown
/// once, when the app is created.
pub struct AppSecret(String);

/// A text cannot be the secret of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AppSecretError {
    /// Too short to be hard to guess, or too long.
    #[error(
        "the secret has {found} characters, and {min} to {max} are allowed",
        min = AppSecret::LENGTH_MIN,
        max = AppSecret::LENGTH_MAX
    )]
    Length {
        /// How many it has.
        found: usize,
    },
    /// More than one line, or a character that cannot be seen.
    #[error("the secret is one line without control characters")]
    Odd,
}

/// A program that uses the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// Its public name.
    pub id: AppId,
    /// What people call it.
    pub name: String,
    /// The storage whose classes it may use.
    pub storage: StorageName,
    /// The one partition it may use; all of the storage if there is none.
    pub partition: Option<i32>,
    /// When it was created.
    pub created: Timestamp,
}

/// The apps of an installation, kept in its store.
#[derive(Debug)]
pub struct Apps {
    store: Arc<Store>,
    key: ServerKey,
}

/// Why apps cannot be created, listed or checked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppError {
    /// The name of a new app has the wrong length or a control character.
    #[error("the name of an app has 1 to {LENGTH_MAX} characters of which something is seen, no control characters and none that turn the direction of writing", LENGTH_MAX = App::NAME_LENGTH_MAX)]
    Name,
    /// The id of an app that is taken over has a character that turns the direction of writing, or one
    /// that nobody sees.
    #[error("an App-ID has no characters that turn the direction of writing or that nobody sees")]
    Id,
    /// There is an app of this id.
    #[error("there is an app `{id}` already: remove it first, or leave it as it is")]
    Exists {
        /// The id.
        id: AppId,
    },
    /// The entry of an app cannot be read.
    #[error("the entry of app `{id}` is damaged: {problem}")]
    Damaged {
        /// The key of the entry.
        id: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The store failed.
    #[error("the apps cannot be read or written")]
    Store(#[from] StoreError),
}

/// An app as it is stored. Field names are part of the file format.
#[derive(Serialize, Deserialize)]
struct StoredApp {
    name: String,
    storage: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    partition: Option<i32>,
    created_unix_milliseconds: i64,
    /// HMAC-SHA-256 of the secret in base64.
    secret_hash: String,
    /// Which server key the hash was made with.
    key_fingerprint: String,
}

impl AppId {
    /// The most bytes of an id.
    pub const BYTES_MAX: usize = 128;

    fn random(rng: &mut impl CryptoRng) -> AppId {
        let mut bytes = [0; 16];
        rng.fill(&mut bytes);
        AppId::of(Builder::from_random_bytes(bytes).into_uuid())
    }

    fn of(guid: Uuid) -> AppId {
        AppId(guid.hyphenated().to_string().into())
    }
}

/// A GUID with hyphens. The length excludes the other forms that the parser knows: braces, URNs, no
/// hyphens.
fn guid(text: &str) -> Option<Uuid> {
    let is_long = text.len() == uuid::fmt::Hyphenated::LENGTH;
    is_long.then(|| Uuid::try_parse(text).ok()).flatten()
}

impl FromStr for AppId {
    type Err = ParseAppIdError;

    /// Reads a GUID with hyphens, in any letter case, or another id as it is.
    fn from_str(text: &str) -> Result<AppId, ParseAppIdError> {
        if let Some(guid) = guid(text) {
            return Ok(AppId::of(guid));
        }
        if !(1..=AppId::BYTES_MAX).contains(&text.len()) {
            return Err(ParseAppIdError::Length);
        }
        if text.contains(':') {
            return Err(ParseAppIdError::Colon);
        }
        if text.chars().any(|it| it.is_control() || it.is_whitespace()) {
            return Err(ParseAppIdError::Odd);
        }
        Ok(AppId(text.into()))
    }
}

impl fmt::Display for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AppSecret {
    /// The fewest characters of a secret that another service gave an app.
    pub const LENGTH_MIN: usize = 8;
    /// The most.
    pub const LENGTH_MAX: usize = 256;

    /// A secret that an app has already. The end of its line does not count.
    ///
    /// # Errors
    ///
    /// If it is too short or too long, or has more than a line. The error does not show it.
    pub fn known(text: &str) -> Result<AppSecret, AppSecretError> {
        let line = text.strip_suffix('\n').unwrap_or(text);
        let line = line.strip_suffix('\r').unwrap_or(line);
        let found = line.chars().count();
        if !(AppSecret::LENGTH_MIN..=AppSecret::LENGTH_MAX).contains(&found) {
            return Err(AppSecretError::Length { found });
        }
        if line.chars().any(char::is_control) {
            return Err(AppSecretError::Odd);
        }
        Ok(AppSecret(line.to_owned()))
    }

    /// The secret in plain text, to be shown to the person who created the app.
    pub fn expose(&self) -> &str {
        &self.0
    }

    fn random(rng: &mut impl CryptoRng) -> AppSecret {
        let mut bytes = [0; SECRET_BYTES];
        rng.fill(&mut bytes);
        AppSecret(BASE64_STANDARD.encode(bytes))
    }
}

impl fmt::Debug for AppSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AppSecret(hidden)")
    }
}

impl App {
    /// The most characters in the name of an app.
    pub const NAME_LENGTH_MAX: usize = 100;

    /// Whether the app may use the classes of `partition`.
    pub fn permits(&self, partition: &PartitionId) -> bool {
        self.storage == partition.storage
            && self
                .partition
                .is_none_or(|number| number == partition.number)
    }
}

impl Apps {
    /// The apps in `store`, whose secrets are hashed with `key`.
    pub fn new(store: Arc<Store>, key: &ServerKey) -> Apps {
        Apps {
            store,
            key: key.clone(),
        }
    }

    /// Creates an app called `name` that may use `storage`, or only `partition` of it.
    ///
    /// The secret exists in what this returns and nowhere else.
    ///
    /// # Errors
    ///
    /// If the name has the wrong length or control characters, or the store fails.
    pub fn create(
        &self,
        name: &str,
        storage: StorageName,
        partition: Option<i32>,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<(App, AppSecret), AppError> {
        let secret = AppSecret::random(rng);
        let app = App {
            id: AppId::random(rng),
            name: name.to_owned(),
            storage,
            partition,
            created: now,
        };
        self.take_over(&app, &secret)?;
        Ok((app, secret))
    }

    /// Adds an app with a secret that it has already, so that its clients need not be changed.
    ///
    /// # Errors
    ///
    /// If there is an app of this id, the name has the wrong length or control characters, or the
    /// store fails.
    pub fn take_over(&self, app: &App, secret: &AppSecret) -> Result<(), AppError> {
        let length = app.name.chars().count();
        let allowed = 1..=App::NAME_LENGTH_MAX;
        // A character that turns the direction makes one name look like another.
        let is_odd = |c: char| c.is_control() || is_direction(c);
        let is_printable = !app.name.chars().any(is_odd) && is_seen(&app.name);
        if !allowed.contains(&length) || !is_printable {
            return Err(AppError::Name);
        }
        if app.id.0.chars().any(|c| is_direction(c) || is_ignorable(c)) {
            return Err(AppError::Id);
        }
        let hash = self.hash(&app.id, secret.expose()).finalize().into_bytes();
        let record = StoredApp {
            name: app.name.clone(),
            storage: app.storage.to_string(),
            partition: app.partition,
            created_unix_milliseconds: app.created.unix_milliseconds,
            secret_hash: BASE64_STANDARD.encode(hash),
            key_fingerprint: self.key.fingerprint(),
        };
        let value = serde_json::to_vec(&record).expect("texts and numbers become JSON");
        let key = app.id.to_string();
        let is_new = self
            .store
            .state_update(AREA, &key, move |there| match there {
                Some(there) => (Some(there.to_vec()), false),
                None => (Some(value), true),
            })?;
        match is_new {
            true => Ok(()),
            false => Err(AppError::Exists { id: app.id.clone() }),
        }
    }

    /// All apps, by name and then by id.
    ///
    /// # Errors
    ///
    /// If an entry is damaged or the store fails.
    pub fn list(&self) -> Result<Vec<App>, AppError> {
        let mut apps = Vec::new();
        for (id, value) in self.store.state_list(AREA)? {
            apps.push(parse(&id, &value)?.0);
        }
        apps.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        Ok(apps)
    }

    /// The app with this id, if there is one.
    ///
    /// # Errors
    ///
    /// If the entry is damaged or the store fails.
    pub fn find(&self, id: &AppId) -> Result<Option<App>, AppError> {
        Ok(self.record(id)?.map(|(app, _)| app))
    }

    /// Removes an app. Its tokens are refused from now on. Tells whether there was one.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub fn remove(&self, id: &AppId) -> Result<bool, AppError> {
        Ok(self.store.state_remove(AREA, &id.to_string())?)
    }

    /// The app that `id` and `secret` prove, or `None` if they prove nothing.
    ///
    /// The time this takes does not depend on how much of the secret is right, and hardly on
    /// whether there is such an app.
    ///
    /// # Errors
    ///
    /// If the entry of the app is damaged or the store fails.
    pub fn authenticate(&self, id: &str, secret: &str) -> Result<Option<App>, AppError> {
        let Ok(id) = id.parse::<AppId>() else {
            return Ok(None);
        };
        let Some((app, record)) = self.record(&id)? else {
            // As much work as for an app that exists, so that the time does not tell which do.
            let nothing = self.hash(&id, secret).verify_slice(&[0; 32]);
            debug_assert!(nothing.is_err());
            return Ok(None);
        };
        let expected = BASE64_STANDARD
            .decode(&record.secret_hash)
            .map_err(|error| damaged(&id.to_string(), &error))?;
        if self.hash(&id, secret).verify_slice(&expected).is_ok() {
            return Ok(Some(app));
        }
        if record.key_fingerprint != self.key.fingerprint() {
            tracing::warn!(
                app = %id,
                "the secret of this app was hashed with another server key; restore that key, or \
                 create the app anew"
            );
        }
        Ok(None)
    }

    fn record(&self, id: &AppId) -> Result<Option<(App, StoredApp)>, AppError> {
        let key = id.to_string();
        match self.store.state_get(AREA, &key)? {
            Some(value) => parse(&key, &value).map(Some),
            None => Ok(None),
        }
    }

    fn hash(&self, id: &AppId, secret: &str) -> hmac::Hmac<sha2::Sha256> {
        let (purpose, id) = match guid(&id.0) {
            Some(guid) => (SECRET_PURPOSE, guid.as_bytes().to_vec()),
            None => (OTHER_SECRET_PURPOSE, id.0.as_bytes().to_vec()),
        };
        self.key.hash(&[purpose, &id, secret.as_bytes()])
    }
}

fn parse(key: &str, value: &[u8]) -> Result<(App, StoredApp), AppError> {
    let record: StoredApp = serde_json::from_slice(value).map_err(|error| damaged(key, &error))?;
    let app = App {
        id: key.parse().map_err(|error| damaged(key, &error))?,
        name: record.name.clone(),
        storage: record
            .storage
            .parse()
            .map_err(|error: ParseBcidError| damaged(key, &error))?,
        partition: record.partition,
        created: Timestamp {
            unix_milliseconds: record.created_unix_milliseconds,
        },
    };
    Ok((app, record))
}

fn damaged(id: &str, problem: &dyn fmt::Display) -> AppError {
    AppError::Damaged {
        id: id.to_owned(),
        problem: problem.to_string(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A store in a directory that lives as long as the test.
    pub(crate) fn store() -> (tempfile::TempDir, Arc<Store>) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        (directory, Arc::new(store))
    }

    fn apps() -> (tempfile::TempDir, Apps) {
        let (directory, store) = store();
        let key = ServerKey::random(&mut rand::rng());
        (directory, Apps::new(store, &key))
    }

    fn create(apps: &Apps, name: &str, partition: Option<i32>) -> (App, AppSecret) {
        let now = Timestamp::from_unix_seconds(1_000);
        apps.create(
            name,
            "bws".parse().unwrap(),
            partition,
            now,
            &mut rand::rng(),
        )
        .unwrap()
    }

    #[test]
    fn only_the_right_pair_authenticates() {
        let (_directory, apps) = apps();
        let (app, secret) = create(&apps, "One", None);
        let (other, other_secret) = create(&apps, "Two", None);
        let id = app.id.to_string();
        let found = apps.authenticate(&id, secret.expose()).unwrap();
        assert_eq!(found, Some(app));
        let upper = apps.authenticate(&id.to_uppercase(), secret.expose());
        assert!(upper.unwrap().is_some(), "GUIDs have no letter case");
        let other_id = other.id.to_string();
        let nobody = Uuid::nil().to_string();
        for (id, secret) in [
            (id.as_str(), other_secret.expose()),
            (&other_id, secret.expose()),
            (&id, ""),
            (&id, &secret.expose()[..23]),
            (&id, &secret.expose().to_lowercase()),
            (&nobody, secret.expose()),
            ("", secret.expose()),
            ("no guid", secret.expose()),
        ] {
            assert_eq!(apps.authenticate(id, secret).unwrap(), None, "{id}");
        }
    }

    #[test]
    fn an_app_of_another_service_keeps_its_id_and_its_secret() {
        let (_directory, apps) = apps();
        let app = |id: &str| App {
            id: id.parse().unwrap(),
            name: "old".to_owned(),
            storage: "bws".parse().unwrap(),
            partition: None,
            created: Timestamp::from_unix_seconds(1),
        };
        let known = [
            ("1234567890.12345.app.bioid.com", "Yd3/8+kQ1w=="),
            (
                "3B241101-E2BB-4255-8CAF-4136C566A962",
                "a secret: with a colon",
            ),
            ("sixteen-letters-", "pässword"),
            ("{3b241101-e2bb-4255-8caf-4136c566a962}", "Yd3/8+kQ1w==\r\n"),
        ];
        for (id, secret) in known {
            let secret = AppSecret::known(secret).unwrap();
            apps.take_over(&app(id), &secret).unwrap();
            assert_eq!(
                apps.authenticate(id, secret.expose()).unwrap(),
                Some(app(id))
            );
            let other = apps.authenticate(id, "another secret").unwrap();
            assert_eq!(other, None, "{id}");
            let again = apps.take_over(&app(id), &AppSecret::known("a new one").unwrap());
            assert!(matches!(again, Err(AppError::Exists { .. })), "{id}");
            let found = apps.authenticate(id, secret.expose()).unwrap();
            assert!(found.is_some(), "{id}: the old secret stays");
        }
        // GUIDs have no letter case, other ids have.
        let lower = "3b241101-e2bb-4255-8caf-4136c566a962";
        assert!(
            apps.authenticate(lower, "a secret: with a colon")
                .unwrap()
                .is_some()
        );
        let upper = "1234567890.12345.APP.bioid.com";
        assert!(apps.authenticate(upper, "Yd3/8+kQ1w==").unwrap().is_none());
        assert_eq!(apps.list().unwrap().len(), known.len());
    }

    #[test]
    fn odd_ids_and_secrets_are_refused_by_name() {
        let long = "i".repeat(AppId::BYTES_MAX + 1);
        for (id, expected) in [
            ("", ParseAppIdError::Length),
            (&long, ParseAppIdError::Length),
            ("a:b", ParseAppIdError::Colon),
            ("a b", ParseAppIdError::Odd),
            (" a", ParseAppIdError::Odd),
            ("a\u{a0}b", ParseAppIdError::Odd),
            ("a\nb", ParseAppIdError::Odd),
            ("a\0", ParseAppIdError::Odd),
        ] {
            assert_eq!(id.parse::<AppId>(), Err(expected), "{id:?}");
        }
        let long = "s".repeat(AppSecret::LENGTH_MAX + 1);
        for secret in ["", "\n", "\r\n", "1234567", "1234567\r\n", &long] {
            let error = AppSecret::known(secret).unwrap_err();
            assert!(matches!(error, AppSecretError::Length { .. }), "{secret:?}");
        }
        for secret in [
            "two lines\nof it",
            "a tab\tin it",
            "ends twice\n\n",
            "a nul\0 in it",
        ] {
            let error = AppSecret::known(secret).unwrap_err();
            assert_eq!(error, AppSecretError::Odd, "{secret:?}");
        }
        let longest = "s".repeat(AppSecret::LENGTH_MAX);
        for (given, kept) in [
            ("12345678", "12345678"),
            ("a secret\r\n", "a secret"),
            (&longest, &longest),
        ] {
            assert_eq!(AppSecret::known(given).unwrap().expose(), kept);
        }
    }

    #[test]
    fn a_secret_has_24_characters_and_is_not_stored() {
        let (_directory, apps) = apps();
        let (app, secret) = create(&apps, "One", None);
        assert_eq!(secret.expose().len(), 24);
        let value = apps.store.state_get(AREA, &app.id.to_string()).unwrap();
        let text = String::from_utf8(value.unwrap()).unwrap();
        assert!(!text.contains(secret.expose()));
        assert_eq!(format!("{secret:?}"), "AppSecret(hidden)");
    }

    #[test]
    fn without_its_server_key_a_stored_hash_is_worth_nothing() {
        let (_directory, apps) = apps();
        let (app, secret) = create(&apps, "One", None);
        let stranger = Apps::new(apps.store, &ServerKey::random(&mut rand::rng()));
        let found = stranger.authenticate(&app.id.to_string(), secret.expose());
        assert_eq!(found.unwrap(), None);
    }

    #[test]
    fn an_app_reaches_its_storage_or_its_one_partition() {
        let (_directory, apps) = apps();
        let whole = create(&apps, "Whole", None).0;
        let one = create(&apps, "One", Some(112)).0;
        let partition = |text: &str| text.parse::<PartitionId>().unwrap();
        assert!(whole.permits(&partition("bws.112")) && whole.permits(&partition("bws.-1")));
        assert!(one.permits(&partition("bws.112")) && !one.permits(&partition("bws.113")));
        for other in ["bws2.112", "BWS.112", "other.112"] {
            assert!(!whole.permits(&partition(other)) && !one.permits(&partition(other)));
        }
    }

    #[test]
    fn apps_are_listed_by_name_and_gone_when_removed() {
        let (_directory, apps) = apps();
        let second = create(&apps, "b", None).0;
        let first = create(&apps, "a", Some(-5)).0;
        assert_eq!(apps.list().unwrap(), [first.clone(), second]);
        assert!(apps.remove(&first.id).unwrap());
        assert!(!apps.remove(&first.id).unwrap());
        assert_eq!(apps.find(&first.id).unwrap(), None);
        assert_eq!(apps.list().unwrap().len(), 1);
    }

    #[test]
    fn a_name_must_be_printable() {
        let (_directory, apps) = apps();
        let long = "n".repeat(101);
        let turned = [
            "pay\u{202e}ssap",
            "\u{2066}a\u{2069}",
            "a\u{202a}",
            "\u{2067}",
        ];
        let unseen = ["  ", "\u{200b}", "\u{e0041}", "\u{301}"];
        let nothing = ["", long.as_str(), "a\nb"].into_iter().chain(unseen);
        for name in nothing.chain(turned) {
            let storage = "bws".parse().unwrap();
            let now = Timestamp::from_unix_seconds(0);
            let refused = apps.create(name, storage, None, now, &mut rand::rng());
            assert!(matches!(refused, Err(AppError::Name)), "{name:?}");
        }
        create(&apps, &"ü".repeat(100), None);
        // Names that are written from right to left need no such character.
        create(&apps, "\u{5e9}\u{5dc}\u{5d5}\u{5dd}", None);
    }

    #[test]
    fn an_id_that_is_taken_over_looks_like_no_other() {
        let (_directory, apps) = apps();
        let secret = AppSecret::known("a long secret").unwrap();
        for id in [
            "door\u{202e}1",
            "door\u{200b}1",
            "\u{200b}",
            "door\u{e0041}",
        ] {
            let app = App {
                id: id.parse().unwrap(),
                name: "Door".to_owned(),
                storage: "bws".parse().unwrap(),
                partition: None,
                created: Timestamp::from_unix_seconds(0),
            };
            let refused = apps.take_over(&app, &secret);
            assert!(matches!(refused, Err(AppError::Id)), "{id:?}");
        }
        assert!(apps.list().unwrap().is_empty());
    }

    #[test]
    fn a_damaged_entry_is_named() {
        let (_directory, apps) = apps();
        let id = create(&apps, "One", None).0.id;
        apps.store.state_put(AREA, &id.to_string(), b"{}").unwrap();
        let error = apps.find(&id).unwrap_err();
        assert!(error.to_string().contains(&id.to_string()), "{error}");
    }
}
