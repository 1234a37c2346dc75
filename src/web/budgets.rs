//! What callers have been told today, and how often that mattered.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::budgets::{Ledger, Spent, Told};
use crate::counts::Count;
use crate::partition::{Store, StoreError};
use crate::types::{Match, Timestamp};

/// Where the catalog keeps the ledger.
const AREA: &str = "budgets";
const TODAY: &str = "today";

/// The ledger of today, and how often it mattered.
#[derive(Debug, Default)]
pub(super) struct Budgets {
    ledger: Mutex<Ledger>,
    /// Series of probes that were found to climb.
    pub(super) found: Count,
    /// Answers that were sent later.
    pub(super) slowed: Count,
    /// Questions that were not answered since a budget was spent.
    pub(super) spent: Count,
    /// Questions that were not answered since probes climb.
    pub(super) refused: Count,
}

/// A call is not answered today.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{spent}; it is answered again in {again_after_seconds} seconds, when the day of UTC ends")]
pub(super) struct BudgetSpent {
    spent: Spent,
    pub(super) again_after_seconds: u64,
}

impl Budgets {
    /// What `store` has kept; nothing if it cannot be read.
    pub(super) fn of(store: &Store) -> Budgets {
        let kept = store.state_get(AREA, TODAY).unwrap_or_else(|error| {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(
                error,
                "what callers were told today cannot be read: budgets begin anew"
            );
            None
        });
        let ledger = kept.and_then(|bytes| {
            let ledger = Ledger::from_bytes(&bytes);
            if ledger.is_none() {
                tracing::warn!(
                    "what callers were told today is kept in another form: budgets begin anew"
                );
            }
            ledger
        });
        Budgets {
            ledger: Mutex::new(ledger.unwrap_or_default()),
            ..Budgets::default()
        }
    }

    /// The ledger. Nothing waits while it is held.
    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has `store` keep the ledger, if it changed.
    ///
    /// # Errors
    ///
    /// If the catalog cannot be written.
    pub(super) fn keep(&self, store: &Store) -> Result<(), StoreError> {
        let kept = self.ledger().to_bytes();
        if store.state_get(AREA, TODAY)?.as_ref() != Some(&kept) {
            store.state_put(AREA, TODAY, &kept)?;
        }
        Ok(())
    }

    /// Counts that a question is not answered, and says until when.
    pub(super) fn refuse(&self, spent: Spent, now: Timestamp) -> BudgetSpent {
        const DAY: i64 = 24 * 3_600_000;
        match spent {
            Spent::Climb => self.refused.one(),
            _ => self.spent.one(),
        }
        let left = DAY - now.unix_milliseconds.rem_euclid(DAY);
        BudgetSpent {
            spent,
            again_after_seconds: left.unsigned_abs().div_ceil(1000),
        }
    }
}

/// What lists tell of the first `limit` in each, with similarities as they are, before they are told in steps.
pub(super) fn told_of<'a>(lists: impl IntoIterator<Item = &'a [Match]>, limit: usize) -> Vec<Told> {
    let told = |found: &Match| Told {
        class: found.class,
        similarity: Some(found.similarity),
    };
    let lists = lists.into_iter();
    lists
        .flat_map(|list| list.iter().take(limit).map(told))
        .collect()
}
