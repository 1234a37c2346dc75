//! What came of a token's last task, for the app that issued it.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::lifetimes;
use super::{Attempt, Attempts, Claims, Task};
use crate::partition::{StateValue, Store, StoreError};
use crate::types::{Bcid, Timestamp};

/// Where results are kept in the store.
const AREA: &str = "results";

/// Keeps the result of the last task of every token, durably.
#[derive(Debug)]
pub struct Results {
    store: Arc<Store>,
}

/// What came of a task.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskResult {
    /// Which task it was.
    pub task: Task,
    /// The class of the token.
    pub bcid: Bcid,
    /// Whether it could be carried out; for a verification, whether the person was recognised.
    pub success: bool,
    /// Why not, as a code that clients know.
    pub error: Option<String>,
    /// The people that an identification listed, best first.
    pub matches: Vec<TaskMatch>,
}

/// One person in the result of an identification.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskMatch {
    /// Who.
    pub bcid: Bcid,
    /// How alike, from 0 to 1.
    pub score: f64,
}

/// A result as it is stored. Field names are part of the file format.
#[derive(Serialize, Deserialize)]
struct StoredResult {
    task: String,
    bcid: String,
    success: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    matches: Vec<(String, f64)>,
    readable_until_unix_milliseconds: i64,
}

impl Results {
    /// How long a result can be read after its token has expired. Whoever sent a user to another
    /// page asks when the user is back; a result is about a person and is not kept for longer
    /// than that takes.
    pub const READABLE_AFTER_EXPIRY: Duration = lifetimes::RESULT_AFTER_EXPIRY;

    /// The results kept in `store`.
    pub fn new(store: Arc<Store>) -> Results {
        Results { store }
    }

    /// Keeps `result` as that of the token's last task. It is on disk when this returns.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub fn put(&self, claims: &Claims, result: &TaskResult) -> Result<(), StoreError> {
        let StateValue { area, key, value } = state_value(claims, result);
        self.store.state_put(area, &key, &value)
    }

    /// As [`Results::put`], and counts the try that led to it in the same write.
    ///
    /// # Errors
    ///
    /// If the store fails; then neither is kept.
    pub fn put_and_count(
        &self,
        claims: &Claims,
        result: &TaskResult,
        attempts: &Attempts,
        attempt: Attempt,
    ) -> Result<(), StoreError> {
        attempts.count_with(claims, attempt, state_value(claims, result))
    }

    /// The result of the last task of a token, if there was one and it can still be read.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub fn last(&self, token: Uuid, now: Timestamp) -> Result<Option<TaskResult>, StoreError> {
        let key = key(token);
        let Some(value) = self.store.state_get(AREA, &key)? else {
            return Ok(None);
        };
        let Some((result, until)) = parse(&value) else {
            tracing::warn!(token = key, "the result of this token is unreadable");
            return Ok(None);
        };
        Ok((now < until).then_some(result))
    }

    /// Removes results that are too old to be read at `now`. Reads all of them: for once a minute.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub fn purge(&self, now: Timestamp) -> Result<(), StoreError> {
        let listed = self.store.state_list(AREA)?.into_iter();
        let stale = listed.filter(|(_, value)| parse(value).is_none_or(|(_, until)| until <= now));
        let stale = stale.map(|(key, _)| key).collect();
        self.store.state_remove_all(AREA, stale)?;
        Ok(())
    }
}

fn state_value(claims: &Claims, result: &TaskResult) -> StateValue {
    let until = claims.expires.after(Results::READABLE_AFTER_EXPIRY);
    StateValue {
        area: AREA,
        key: key(claims.id),
        value: serde_json::to_vec(&StoredResult::new(result, until))
            .expect("texts and finite numbers become JSON"),
    }
}

impl StoredResult {
    fn new(result: &TaskResult, until: Timestamp) -> StoredResult {
        let matches = result.matches.iter();
        StoredResult {
            task: result.task.to_string(),
            bcid: result.bcid.to_string(),
            success: result.success,
            error: result.error.clone(),
            matches: matches
                .map(|found| (found.bcid.to_string(), found.score))
                .collect(),
            readable_until_unix_milliseconds: until.unix_milliseconds,
        }
    }
}

/// A stored result and until when it can be read; `None` if it is damaged.
fn parse(value: &[u8]) -> Option<(TaskResult, Timestamp)> {
    let record: StoredResult = serde_json::from_slice(value).ok()?;
    let matches = record.matches.iter().map(|(bcid, score)| {
        let bcid = bcid.parse().ok()?;
        Some(TaskMatch {
            bcid,
            score: *score,
        })
    });
    let result = TaskResult {
        task: record.task.parse().ok()?,
        bcid: record.bcid.parse().ok()?,
        success: record.success,
        error: record.error,
        matches: matches.collect::<Option<_>>()?,
    };
    let until = Timestamp {
        unix_milliseconds: record.readable_until_unix_milliseconds,
    };
    Some((result, until))
}

fn key(token: Uuid) -> String {
    token.hyphenated().to_string()
}

#[cfg(test)]
mod tests {
    use super::super::apps::tests::store;
    use super::super::tokens::tests::claims;
    use super::*;

    const NOW: Timestamp = Timestamp {
        unix_milliseconds: 1_000_000,
    };

    fn result(task: Task) -> TaskResult {
        TaskResult {
            task,
            bcid: "bws.1.-2".parse().unwrap(),
            success: true,
            error: None,
            matches: vec![TaskMatch {
                bcid: "bws.1.7".parse().unwrap(),
                // No short decimal fraction: it must come back as it was.
                score: 0.1 + 0.2,
            }],
        }
    }

    #[test]
    fn the_last_result_is_there_after_a_restart() {
        let (_directory, store) = store();
        let claims = claims(NOW, 3);
        let results = Results::new(store.clone());
        assert_eq!(results.last(claims.id, NOW).unwrap(), None);
        let failed = TaskResult {
            success: false,
            error: Some("NoTemplateAvailable".to_owned()),
            matches: Vec::new(),
            ..result(Task::Verify)
        };
        results.put(&claims, &failed).unwrap();
        let last = result(Task::LivenessDetection);
        results.put(&claims, &last).unwrap();
        let found = Results::new(store).last(claims.id, NOW).unwrap();
        assert_eq!(found, Some(last));
    }

    #[test]
    fn a_result_outlives_its_token_by_an_hour_and_is_then_removed() {
        let (_directory, store) = store();
        let results = Results::new(store.clone());
        let old = claims(NOW, 3);
        results.put(&old, &result(Task::Identify)).unwrap();
        let end = old.expires.after(Results::READABLE_AFTER_EXPIRY);
        let last = Timestamp {
            unix_milliseconds: end.unix_milliseconds - 1,
        };
        assert!(results.last(old.id, last).unwrap().is_some());
        assert!(results.last(old.id, end).unwrap().is_none());
        let new = claims(end, 3);
        results.put(&new, &result(Task::Identify)).unwrap();
        results.purge(last).unwrap();
        assert_eq!(store.state_list(AREA).unwrap().len(), 2);
        results.purge(end).unwrap();
        let kept = store.state_list(AREA).unwrap();
        assert_eq!(kept.len(), 1);
        assert_eq!(kept[0].0, key(new.id));
    }

    #[test]
    fn a_damaged_result_is_none() {
        let (_directory, store) = store();
        let claims = claims(NOW, 3);
        store.state_put(AREA, &key(claims.id), b"{}").unwrap();
        let found = Results::new(store).last(claims.id, NOW).unwrap();
        assert_eq!(found, None);
    }
}
