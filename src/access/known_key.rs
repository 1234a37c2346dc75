//! Whether the server key is the one that the secrets of a data directory were hashed with.

use rand::CryptoRng;

use super::server_key::{ServerKey, ServerKeyError};
use super::{api_keys, apps};
use crate::partition::Store;

/// Where the catalog remembers which key it is.
const AREA: &str = "server key";
const MARK: &str = "mark";

impl ServerKey {
    /// As [`ServerKey::open_or_create`] in the data directory of `store`, which remembers by what
    /// key the secrets of its apps and API keys were hashed: with another, none of them is good.
    /// `store` is open to be changed, so that nobody else makes the key. What a kill left of making it
    /// is removed.
    ///
    /// # Errors
    ///
    /// As there; also if there are apps or API keys and the file is missing or has another key.
    pub fn of_store(store: &Store, rng: &mut impl CryptoRng) -> Result<ServerKey, ServerKeyError> {
        let key = match ServerKey::good_for(store)? {
            Some(key) => key,
            None => ServerKey::open_or_create(store.directory(), rng)?,
        };
        let mark = key.mark();
        if store.state_get(AREA, MARK)?.as_ref() != Some(&mark) {
            store.state_put(AREA, MARK, &mark)?;
        }
        // Not before: of a key that is lost it may be all that is left.
        ServerKey::remove_drafts(store.directory());
        Ok(key)
    }

    /// The key in the data directory of `store`, or `None` if there is none and none is missing.
    /// Changes nothing, so that the store may be open to be read only.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or there are apps or API keys and the file is missing or has another key.
    pub fn good_for(store: &Store) -> Result<Option<ServerKey>, ServerKeyError> {
        let path = store.directory().join(ServerKey::FILE_NAME);
        let is_needed = !store.state_list(apps::AREA)?.is_empty()
            || !store.state_list(api_keys::AREA)?.is_empty();
        let known = store.state_get(AREA, MARK)?;
        match ServerKey::open(store.directory())? {
            None if is_needed => Err(ServerKeyError::Missing { path }),
            Some(key) if is_needed && known.is_some_and(|known| known != key.mark()) => {
                Err(ServerKeyError::Other { path })
            }
            key => Ok(key),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use super::*;
    use crate::access::Apps;
    use crate::types::{StorageName, Timestamp};

    /// A data directory with an app, and its key.
    fn with_app() -> (tempfile::TempDir, Arc<Store>) {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(directory.path()).unwrap());
        let mut random = rand::rng();
        let key = ServerKey::of_store(&store, &mut random).unwrap();
        let storage: StorageName = "bws".parse().unwrap();
        let now = Timestamp::from_unix_seconds(1);
        let apps = Apps::new(store.clone(), &key);
        apps.create("an app", storage, None, now, &mut random)
            .unwrap();
        (directory, store)
    }

    fn open(store: &Store) -> Result<ServerKey, ServerKeyError> {
        ServerKey::of_store(store, &mut rand::rng())
    }

    #[test]
    fn a_key_that_is_lost_swapped_or_older_is_refused_while_secrets_depend_on_it() {
        let (directory, store) = with_app();
        let (other, _other_store) = with_app();
        let path = directory.path().join(ServerKey::FILE_NAME);
        let good = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let error = open(&store).unwrap_err();
        assert!(matches!(error, ServerKeyError::Missing { .. }), "{error}");
        assert!(!path.exists(), "none is made in its place");
        fs::copy(other.path().join(ServerKey::FILE_NAME), &path).unwrap();
        let error = open(&store).unwrap_err();
        assert!(matches!(error, ServerKeyError::Other { .. }), "{error}");
        fs::write(&path, &good[..20]).unwrap();
        let error = open(&store).unwrap_err();
        assert!(matches!(error, ServerKeyError::Damaged { .. }), "{error}");
        fs::write(&path, &good).unwrap();
        open(&store).unwrap();
    }

    #[test]
    fn a_rotated_key_is_the_same_and_without_secrets_any_key_is_good() {
        let (directory, store) = with_app();
        let now = Timestamp::from_unix_seconds(2);
        let keep = crate::access::Retire::Keep;
        ServerKey::rotate(directory.path(), keep, now, &mut rand::rng()).unwrap();
        open(&store).unwrap();
        let key = open(&store).unwrap();
        let apps = Apps::new(store.clone(), &key);
        for app in apps.list().unwrap() {
            assert!(apps.remove(&app.id).unwrap());
        }
        fs::remove_file(directory.path().join(ServerKey::FILE_NAME)).unwrap();
        let new = open(&store).unwrap();
        assert!(new != key);
        assert!(open(&store).unwrap() == new);
    }

    #[test]
    fn what_a_kill_left_of_making_a_key_is_removed_and_nothing_else() {
        let (directory, store) = with_app();
        let at = |name: &str| directory.path().join(name);
        let key = fs::read(at(ServerKey::FILE_NAME)).unwrap();
        let drafts = ["server.key.0123456789abcdef", "server.key.00000000000000ff"];
        fs::write(at(drafts[0]), &key).unwrap();
        fs::hard_link(at(ServerKey::FILE_NAME), at(drafts[1])).unwrap();
        let others = [
            "server.key",
            "server.key.old",
            "server.key.2026-11-28",
            "server.key.0123456789ABCDEF",
            "server.key.0123456789abcdef0",
            "server.keyring",
        ];
        for name in &others[1..] {
            fs::write(at(name), b"somebody's own").unwrap();
        }
        fs::create_dir(at("server.key.aaaaaaaaaaaaaaaa")).unwrap();
        // Not while the key is missing, of which a draft may be all that is left.
        fs::rename(at(ServerKey::FILE_NAME), at("aside")).unwrap();
        assert!(open(&store).is_err());
        assert!(drafts.iter().all(|name| at(name).exists()));
        fs::rename(at("aside"), at(ServerKey::FILE_NAME)).unwrap();
        // Nor while somebody replaces it.
        let lock = fs::File::open(at(ServerKey::FILE_NAME)).unwrap();
        lock.lock().unwrap();
        open(&store).unwrap();
        assert!(drafts.iter().all(|name| at(name).exists()));
        drop(lock);
        open(&store).unwrap();
        assert!(drafts.iter().all(|name| !at(name).exists()));
        assert!(others.iter().all(|name| at(name).exists()));
        assert!(at("server.key.aaaaaaaaaaaaaaaa").exists());
        assert_eq!(fs::read(at(ServerKey::FILE_NAME)).unwrap(), key);
    }
}
