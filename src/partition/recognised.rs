//! When classes were last recognised: in memory, coarse, and written when there is time.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::types::{ClassId, Timestamp};

/// Whoever is recognised again sooner than this keeps the moment that is known.
const COARSE_MILLISECONDS: i64 = 3_600_000;
/// So many classes are remembered; then those that are written are forgotten.
const CLASSES_MAX: usize = 1 << 20;

/// When classes of a partition were last recognised.
#[derive(Default)]
pub(super) struct Recognised(Mutex<HashMap<ClassId, Moment>>);

#[derive(Clone, Copy)]
struct Moment {
    unix_milliseconds: i64,
    is_written: bool,
}

impl Recognised {
    /// A class is recognised. Takes a moment, and waits for no disk.
    pub(super) fn note(&self, class: ClassId, now: Timestamp) {
        let now = now.unix_milliseconds;
        let mut moments = self.moments();
        if moments.len() >= CLASSES_MAX {
            moments.retain(|_, moment| !moment.is_written);
        }
        let known = moments.get(&class);
        let is_fresh =
            |known: &Moment| now.saturating_sub(known.unix_milliseconds) < COARSE_MILLISECONDS;
        if !known.is_some_and(is_fresh) && moments.len() < CLASSES_MAX {
            let moment = Moment {
                unix_milliseconds: now,
                is_written: false,
            };
            moments.insert(class, moment);
        }
    }

    /// When a class was last recognised, as far as this process knows.
    pub(super) fn of(&self, class: ClassId) -> Option<Timestamp> {
        let moment = self.moments().get(&class).copied();
        moment.map(|moment| Timestamp {
            unix_milliseconds: moment.unix_milliseconds,
        })
    }

    /// What is to be written. It counts as written from now on.
    pub(super) fn take_unwritten(&self) -> Vec<(ClassId, Timestamp)> {
        let mut moments = self.moments();
        let unwritten = moments.iter_mut().filter(|(_, moment)| !moment.is_written);
        let take = |(class, moment): (&ClassId, &mut Moment)| {
            moment.is_written = true;
            let unix_milliseconds = moment.unix_milliseconds;
            (*class, Timestamp { unix_milliseconds })
        };
        unwritten.map(take).collect()
    }

    /// A class is no more.
    pub(super) fn forget(&self, class: ClassId) {
        self.moments().remove(&class);
    }

    fn moments(&self) -> MutexGuard<'_, HashMap<ClassId, Moment>> {
        // Nothing here panics half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Recognised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recognised({} classes)", self.moments().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_coarse_and_written_once() {
        let recognised = Recognised::default();
        let at = |unix_milliseconds| Timestamp { unix_milliseconds };
        recognised.note(ClassId(1), at(10));
        recognised.note(ClassId(1), at(COARSE_MILLISECONDS));
        assert_eq!(recognised.of(ClassId(1)), Some(at(10)));
        assert_eq!(recognised.take_unwritten(), [(ClassId(1), at(10))]);
        assert_eq!(recognised.take_unwritten(), []);
        recognised.note(ClassId(1), at(COARSE_MILLISECONDS + 10));
        assert_eq!(recognised.take_unwritten().len(), 1);
        recognised.forget(ClassId(1));
        assert_eq!(recognised.of(ClassId(1)), None);
    }
}
