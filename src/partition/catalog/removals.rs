//! What was removed and may still be in files: since when, and until which change nothing is any more.
//!
//! A removal and the note that there is one are one transaction, so that a crash cannot part them. The
//! catalog does not know what time it is: whoever does says soon after since when it has to be counted.

use redb::WriteTransaction;

use super::tables::{META_ERASED_AT, META_ERASED_CHANGE, META_UNERASED, Tables, put_number};
use crate::partition::StoreError;
use crate::types::Timestamp;

/// What the catalog says where nothing is left to be overwritten.
const NOTHING: u64 = 0;
/// What it says where something is, and nobody has said since when.
const UNTOLD: u64 = 1;
/// What is added to milliseconds since 1970, so that they are none of the above.
const FIRST_TIME: u64 = 2;

/// Since when something waits to be overwritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::partition) enum Unerased {
    /// Nothing does.
    Nothing,
    /// Something does. A catalog of an earlier build, which says nothing of it, counts as one that does.
    Untold,
    /// Something does since this moment at the earliest.
    Since(Timestamp),
}

/// What removals have left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::partition) struct Removals {
    /// Since when something waits to be overwritten.
    pub(in crate::partition) unerased: Unerased,
    /// The number of the change that removed something last; of the last change there was, where that
    /// was before this process.
    pub(in crate::partition) last: u64,
}

/// That files hold nothing any more of what was removed until a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::partition) struct ErasedUntil {
    /// The number of the change.
    pub(in crate::partition) change: u64,
    /// When the work was begun.
    pub(in crate::partition) began: Timestamp,
    /// When it was done.
    pub(in crate::partition) done: Timestamp,
}

/// What a group of changes says of removals.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Said {
    /// Whether one of them removed something.
    pub(super) removes: bool,
    pub(super) since: Option<Timestamp>,
    pub(super) erased: Option<ErasedUntil>,
}

impl Unerased {
    fn of(number: Option<u64>) -> Unerased {
        match number {
            Some(NOTHING) => Unerased::Nothing,
            Some(number) if number >= FIRST_TIME => Unerased::Since(Timestamp {
                unix_milliseconds: i64::try_from(number - FIRST_TIME).unwrap_or(i64::MAX),
            }),
            _ => Unerased::Untold,
        }
    }

    fn number(self) -> u64 {
        match self {
            Unerased::Nothing => NOTHING,
            Unerased::Untold => UNTOLD,
            Unerased::Since(time) => FIRST_TIME + milliseconds(time),
        }
    }
}

/// As the catalog keeps a time here. There is nothing to be kept of one before 1970.
fn milliseconds(time: Timestamp) -> u64 {
    u64::try_from(time.unix_milliseconds).unwrap_or(0)
}

impl Removals {
    /// What the catalog says, whose last change was number `changes`.
    pub(super) fn read(tables: &Tables<'_>, changes: u64) -> Result<Removals, StoreError> {
        Ok(Removals {
            unerased: Unerased::of(tables.number(META_UNERASED)?),
            last: changes,
        })
    }

    /// What is left after the change number `change`, of which `said` is said.
    fn after(self, change: u64, said: &Said) -> Removals {
        let mut after = self;
        if let Some(since) = said.since
            && after.unerased != Unerased::Nothing
        {
            after.unerased = Unerased::Since(since);
        }
        if let Some(erased) = said.erased {
            after.unerased = match self.last <= erased.change {
                true => Unerased::Nothing,
                // What was removed meanwhile was removed after the work was begun.
                false => Unerased::Since(erased.began),
            };
        }
        if said.removes {
            after.last = change;
            if after.unerased == Unerased::Nothing {
                after.unerased = Unerased::Untold;
            }
        }
        after
    }
}

impl Said {
    /// Writes what is left after the change number `change`, and returns it.
    pub(super) fn write(
        &self,
        before: Removals,
        change: u64,
        transaction: &WriteTransaction,
    ) -> Result<Removals, redb::Error> {
        let after = before.after(change, self);
        if after.unerased != before.unerased {
            put_number(transaction, META_UNERASED, after.unerased.number())?;
        }
        if let Some(erased) = self.erased {
            put_number(transaction, META_UNERASED, after.unerased.number())?;
            put_number(transaction, META_ERASED_CHANGE, erased.change)?;
            put_number(transaction, META_ERASED_AT, milliseconds(erased.done))?;
        }
        Ok(after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(unix_milliseconds: i64) -> Timestamp {
        Timestamp { unix_milliseconds }
    }

    #[test]
    fn a_removal_waits_until_work_that_began_after_it_is_done() {
        let removes = Said {
            removes: true,
            ..Said::default()
        };
        let since = |time| Said {
            since: Some(at(time)),
            ..Said::default()
        };
        let erased = |change, began, removes| Said {
            removes,
            since: None,
            erased: Some(ErasedUntil {
                change,
                began: at(began),
                done: at(began + 5),
            }),
        };
        let nothing = Removals {
            unerased: Unerased::Nothing,
            last: 3,
        };
        // Nobody says since when of what is not there.
        assert_eq!(nothing.after(4, &since(7)), nothing);
        let removed = nothing.after(4, &removes);
        assert_eq!((removed.unerased, removed.last), (Unerased::Untold, 4));
        let counted = removed.after(5, &since(70));
        assert_eq!(counted.unerased, Unerased::Since(at(70)));
        // A second one does not make the first one younger.
        let again = counted.after(6, &removes);
        assert_eq!((again.unerased, again.last), (Unerased::Since(at(70)), 6));
        assert_eq!(
            again.after(7, &erased(6, 90, false)).unerased,
            Unerased::Nothing
        );
        // Work that began before the second one, and one in the group that says so.
        let meanwhile = again.after(7, &erased(5, 90, false));
        assert_eq!(meanwhile.unerased, Unerased::Since(at(90)));
        let beside = again.after(7, &erased(6, 90, true));
        assert_eq!((beside.unerased, beside.last), (Unerased::Untold, 7));
    }

    #[test]
    fn what_is_left_survives_the_catalog() {
        for unerased in [
            Unerased::Nothing,
            Unerased::Untold,
            Unerased::Since(at(0)),
            Unerased::Since(at(1_790_000_000_123)),
        ] {
            assert_eq!(Unerased::of(Some(unerased.number())), unerased);
        }
        assert_eq!(Unerased::of(None), Unerased::Untold);
        let before_1970 = Unerased::Since(at(-5)).number();
        assert_eq!(Unerased::of(Some(before_1970)), Unerased::Since(at(0)));
        assert_eq!(Unerased::of(Some(u64::MAX)), Unerased::Since(at(i64::MAX)));
    }
}
