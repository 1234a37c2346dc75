//! How many people are searched?

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::partition::{Snapshot, StoreError};
use crate::types::PartitionId;

/// So many templates are counted whenever somebody asks.
const COUNTED_AT_ONCE: usize = 4096;
/// Of more, people are counted again when there are so many hundredths more or fewer templates.
const DRIFT_SHARE: f64 = 0.01;

/// How many people and templates there were in a gallery when they were last counted.
#[derive(Clone, Copy, Debug)]
struct Counted {
    classes: usize,
    templates: usize,
}

/// What was counted. Clones of an engine share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Populations(Arc<Mutex<HashMap<PartitionId, Counted>>>);

impl Counted {
    fn is_near(&self, templates: usize) -> bool {
        let drift = self.templates.abs_diff(templates) as f64;
        drift <= DRIFT_SHARE * self.templates as f64
    }

    /// How many people have so many templates, if they have as many each as all.
    fn classes_of(&self, templates: usize) -> usize {
        let share = self.classes as f64 / self.templates.max(1) as f64;
        ((templates as f64 * share).round() as usize).max(1)
    }
}

impl Populations {
    /// How many people are in `searched`, which are some or `all` of those in the gallery `id`.
    pub(super) fn count(
        &self,
        id: &PartitionId,
        searched: &Snapshot,
        all: &Snapshot,
    ) -> Result<usize, StoreError> {
        let templates = searched.templates();
        if templates <= COUNTED_AT_ONCE {
            return searched.count_classes();
        }
        let known = self.get(id).filter(|known| known.is_near(all.templates()));
        let counted = match known {
            Some(known) => known,
            None => {
                let counted = Counted {
                    classes: all.count_classes()?,
                    templates: all.templates(),
                };
                self.put(id, counted);
                counted
            }
        };
        Ok(counted.classes_of(templates))
    }

    /// Whether nobody counts for long in a gallery with so many templates.
    pub(super) fn knows(&self, id: &PartitionId, templates: usize) -> bool {
        templates <= COUNTED_AT_ONCE || self.get(id).is_some_and(|it| it.is_near(templates))
    }

    /// Forgets what was counted of a gallery.
    pub(super) fn forget(&self, id: &PartitionId) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.remove(id);
    }

    fn get(&self, id: &PartitionId) -> Option<Counted> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(id).copied()
    }

    fn put(&self, id: &PartitionId, counted: Counted) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(id.clone(), counted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_counted_again_when_a_hundredth_has_changed() {
        let counted = Counted {
            classes: 5_000,
            templates: 10_000,
        };
        for (templates, is_near, classes) in [
            (10_000, true, 5_000),
            (10_100, true, 5_050),
            (9_900, true, 4_950),
            (10_101, false, 5_051),
            (0, false, 1),
        ] {
            assert_eq!(counted.is_near(templates), is_near, "{templates}");
            assert_eq!(counted.classes_of(templates), classes, "{templates}");
        }
    }

    #[test]
    fn what_would_be_counted_for_long_is_not_known() {
        let (populations, id) = (Populations::default(), "a.1".parse().unwrap());
        assert!(populations.knows(&id, COUNTED_AT_ONCE));
        assert!(!populations.knows(&id, COUNTED_AT_ONCE + 1));
        let counted = Counted {
            classes: 5_000,
            templates: 10_000,
        };
        populations.put(&id, counted);
        assert!(populations.knows(&id, 10_100));
        assert!(!populations.knows(&id, 10_101));
        assert!(!populations.knows(&"a.2".parse().unwrap(), 10_000));
        populations.forget(&id);
        assert!(!populations.knows(&id, 10_000));
    }
}
