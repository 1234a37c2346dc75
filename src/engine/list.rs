//! Who is enrolled?

use std::collections::BinaryHeap;

use super::{EngineError, Gallery};
use crate::partition::{Row, Snapshot};
use crate::types::{ClassId, EncoderId, Timestamp};

/// What there is of a class, without its templates.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassSummary {
    /// The class.
    pub class: ClassId,
    /// How many templates it has, at least one.
    pub templates: usize,
    /// When the oldest of them was enrolled.
    pub first_enrolled: Timestamp,
    /// When the newest of them was enrolled.
    pub last_enrolled: Timestamp,
    /// The best quality of their samples, from 0 to 1, if any is known.
    pub best_quality: Option<f32>,
}

/// What there is of a partition.
#[derive(Clone, Debug, PartialEq)]
pub struct Contents {
    /// The encoder whose embeddings it holds.
    pub encoder: EncoderId,
    /// How many classes are enrolled.
    pub classes: usize,
    /// How many templates they have.
    pub templates: usize,
}

impl Gallery {
    /// What there is of the gallery. Reads every class number: about eight bytes a template.
    ///
    /// # Errors
    ///
    /// If a segment is damaged.
    pub fn contents(&self) -> Result<Contents, EngineError> {
        let snapshot = self.partition.snapshot();
        Ok(Contents {
            encoder: self.encoder().clone(),
            classes: snapshot.count_classes()?,
            templates: snapshot.templates(),
        })
    }

    /// The `limit` classes with the smallest numbers above `after`, in order; from the smallest
    /// number on without one. Reads every class number: about eight bytes a template.
    ///
    /// # Errors
    ///
    /// If a segment is damaged.
    pub fn classes(
        &self,
        after: Option<ClassId>,
        limit: usize,
    ) -> Result<Vec<ClassSummary>, EngineError> {
        let snapshot = self.partition.snapshot();
        let mut classes = Vec::new();
        for class in smallest(&snapshot, after, limit)? {
            classes.extend(summary(&snapshot, class)?);
        }
        Ok(classes)
    }

    /// What there is of a class, or `None` if it is not enrolled.
    ///
    /// # Errors
    ///
    /// If a segment is damaged.
    pub fn class(&self, class: ClassId) -> Result<Option<ClassSummary>, EngineError> {
        summary(&self.partition.snapshot(), class)
    }
}

/// Holds no more than `limit` classes at a time, however many there are.
fn smallest(
    snapshot: &Snapshot,
    after: Option<ClassId>,
    limit: usize,
) -> Result<Vec<ClassId>, EngineError> {
    // The largest of those kept is on top.
    let mut kept: BinaryHeap<ClassId> = BinaryHeap::new();
    let mut known = std::collections::HashSet::new();
    for row in snapshot.live_rows() {
        let class = row.class()?;
        let full = kept.len() == limit;
        if after.is_some_and(|after| class <= after)
            || (full && kept.peek().is_none_or(|largest| class >= *largest))
            || !known.insert(class)
        {
            continue;
        }
        kept.push(class);
        if full && let Some(largest) = kept.pop() {
            known.remove(&largest);
        }
    }
    Ok(kept.into_sorted_vec())
}

pub(super) fn summary(
    snapshot: &Snapshot,
    class: ClassId,
) -> Result<Option<ClassSummary>, EngineError> {
    let rows = snapshot.rows_of(class)?.into_iter();
    let infos = rows.map(Row::info).collect::<Result<Vec<_>, _>>()?;
    let times = infos.iter().map(|info| info.enrolled_unix_milliseconds);
    let (Some(first), Some(last)) = (times.clone().min(), times.max()) else {
        return Ok(None);
    };
    let qualities = infos.iter().map(|info| info.quality);
    let known = qualities.filter(|quality| !quality.is_nan());
    let time = |unix_milliseconds| Timestamp { unix_milliseconds };
    Ok(Some(ClassSummary {
        class,
        templates: infos.len(),
        first_enrolled: time(first),
        last_enrolled: time(last),
        best_quality: known.reduce(f32::max),
    }))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::engine::Engine;
    use crate::partition::{NewTemplate, Store};
    use crate::search::Pool;
    use crate::types::{Bcid, Embedding, PartitionId};

    fn engine() -> (tempfile::TempDir, Engine) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        (directory, Engine::new(Arc::new(store), Pool::Here))
    }

    fn enroll(engine: &Engine, class: i64, quality: f32, second: i64) {
        let partition: PartitionId = "a.1".parse().unwrap();
        let encoder = EncoderId::new("e", "1", 16).unwrap();
        let mut values = vec![0.0; 16];
        // Each time another: a class keeps none twice.
        (values[0], values[1]) = (1.0, second as f32);
        let embedding = Embedding::new(values).unwrap();
        let template = NewTemplate {
            embedding,
            quality,
            portrait: None,
        };
        let bcid = Bcid::new(partition, ClassId(class));
        let now = Timestamp::from_unix_seconds(second);
        engine.enroll(&bcid, &encoder, &[template], now).unwrap();
    }

    #[test]
    fn pages_follow_each_other_without_gaps() {
        let (_directory, engine) = engine();
        let id: PartitionId = "a.1".parse().unwrap();
        assert!(engine.enrolled(&id).unwrap().is_none());
        let all = [i64::MIN, -7, 0, 3, 4, i64::MAX];
        for class in [3, i64::MAX, -7, 0, i64::MIN, 4, 3] {
            enroll(&engine, class, f32::NAN, 1);
        }
        let gallery = engine.enrolled(&id).unwrap().unwrap();
        for limit in 1..8 {
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let page = gallery.classes(after, limit).unwrap();
                let Some(last) = page.last() else { break };
                assert!(page.len() <= limit);
                after = Some(last.class);
                found.extend(page.iter().map(|class| class.class.0));
            }
            assert_eq!(found, all, "{limit} at a time");
        }
        assert_eq!(gallery.classes(None, 0).unwrap(), []);
    }

    #[test]
    fn a_class_has_its_times_and_its_best_quality() {
        let (_directory, engine) = engine();
        let id = "a.1".parse().unwrap();
        enroll(&engine, 6, 1.0, 99);
        let gallery = engine.enrolled(&id).unwrap().unwrap();
        assert_eq!(gallery.class(ClassId(5)).unwrap(), None);
        for (quality, second) in [(0.25, 20), (f32::NAN, 10), (0.75, 15)] {
            enroll(&engine, 5, quality, second);
        }
        let expected = ClassSummary {
            class: ClassId(5),
            templates: 3,
            first_enrolled: Timestamp::from_unix_seconds(10),
            last_enrolled: Timestamp::from_unix_seconds(20),
            best_quality: Some(0.75),
        };
        assert_eq!(gallery.class(ClassId(5)).unwrap(), Some(expected));
        let contents = gallery.contents().unwrap();
        assert_eq!((contents.classes, contents.templates), (2, 4));
        assert!(gallery.remove(ClassId(5)).unwrap().was_enrolled());
        assert_eq!(gallery.class(ClassId(5)).unwrap(), None);
        let left = gallery.classes(None, 9).unwrap();
        assert_eq!(left.len(), 1);
    }
}
