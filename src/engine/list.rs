//! Who is enrolled?

use std::collections::BinaryHeap;

use super::{Engine, EngineError};
use crate::partition::{Row, Snapshot};
use crate::types::{Bcid, ClassId, EncoderId, PartitionId, Timestamp};

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

impl Engine {
    /// What there is of a partition, or `None` where nobody was ever enrolled.
    ///
    /// Reads every class number: about eight bytes a template.
    ///
    /// # Errors
    ///
    /// If the partition cannot be read.
    pub fn contents(&self, id: &PartitionId) -> Result<Option<Contents>, EngineError> {
        let Some(partition) = self.store.partition(id)? else {
            return Ok(None);
        };
        let snapshot = partition.snapshot();
        Ok(Some(Contents {
            encoder: partition.encoder().clone(),
            classes: snapshot.count_classes()?,
            templates: snapshot.templates(),
        }))
    }

    /// The `count` classes with the smallest numbers above `after`, in order; from the smallest number on
    /// without one. `None` where nobody was ever enrolled.
    ///
    /// Reads every class number: about eight bytes a template.
    ///
    /// # Errors
    ///
    /// If the partition cannot be read.
    pub fn classes(
        &self,
        id: &PartitionId,
        after: Option<ClassId>,
        count: usize,
    ) -> Result<Option<Vec<ClassSummary>>, EngineError> {
        let Some(partition) = self.store.partition(id)? else {
            return Ok(None);
        };
        let snapshot = partition.snapshot();
        let mut classes = Vec::new();
        for class in smallest(&snapshot, after, count)? {
            classes.extend(summary(&snapshot, class)?);
        }
        Ok(Some(classes))
    }

    /// What there is of a class, or `None` if it is not enrolled.
    ///
    /// # Errors
    ///
    /// If the partition cannot be read.
    pub fn class(&self, bcid: &Bcid) -> Result<Option<ClassSummary>, EngineError> {
        match self.store.partition(&bcid.partition)? {
            Some(partition) => summary(&partition.snapshot(), bcid.class),
            None => Ok(None),
        }
    }
}

/// Holds no more than `count` classes at a time, however many there are.
fn smallest(
    snapshot: &Snapshot,
    after: Option<ClassId>,
    count: usize,
) -> Result<Vec<ClassId>, EngineError> {
    // The largest of those kept is on top.
    let mut kept: BinaryHeap<ClassId> = BinaryHeap::new();
    let mut known = std::collections::HashSet::new();
    for row in snapshot.live_rows() {
        let class = row.class()?;
        let full = kept.len() == count;
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

fn summary(snapshot: &Snapshot, class: ClassId) -> Result<Option<ClassSummary>, EngineError> {
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
    use crate::partition::{NewTemplate, Store};
    use crate::search::Pool;
    use crate::types::Embedding;

    fn engine() -> (tempfile::TempDir, Engine) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        (directory, Engine::new(Arc::new(store), Pool::Here))
    }

    fn enroll(engine: &Engine, class: i64, quality: f32, second: i64) {
        let partition: PartitionId = "a.1".parse().unwrap();
        let encoder = EncoderId::new("e", "1", 16).unwrap();
        let mut values = vec![0.0; 16];
        values[0] = 1.0;
        let embedding = Embedding::new(values).unwrap();
        let template = NewTemplate { embedding, quality };
        let bcid = Bcid::new(partition, ClassId(class));
        let now = Timestamp::from_unix_seconds(second);
        engine.enroll(&bcid, &encoder, &[template], now).unwrap();
    }

    #[test]
    fn pages_follow_each_other_without_gaps() {
        let (_directory, engine) = engine();
        let id: PartitionId = "a.1".parse().unwrap();
        assert_eq!(engine.classes(&id, None, 5).unwrap(), None);
        let all = [i64::MIN, -7, 0, 3, 4, i64::MAX];
        for class in [3, i64::MAX, -7, 0, i64::MIN, 4, 3] {
            enroll(&engine, class, f32::NAN, 1);
        }
        for count in 1..8 {
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let page = engine.classes(&id, after, count).unwrap().unwrap();
                let Some(last) = page.last() else { break };
                assert!(page.len() <= count);
                after = Some(last.class);
                found.extend(page.iter().map(|class| class.class.0));
            }
            assert_eq!(found, all, "{count} at a time");
        }
        assert_eq!(engine.classes(&id, None, 0).unwrap(), Some(Vec::new()));
    }

    #[test]
    fn a_class_has_its_times_and_its_best_quality() {
        let (_directory, engine) = engine();
        let bcid: Bcid = "a.1.5".parse().unwrap();
        assert_eq!(engine.class(&bcid).unwrap(), None);
        for (quality, second) in [(0.25, 20), (f32::NAN, 10), (0.75, 15)] {
            enroll(&engine, 5, quality, second);
        }
        enroll(&engine, 6, 1.0, 99);
        let expected = ClassSummary {
            class: ClassId(5),
            templates: 3,
            first_enrolled: Timestamp::from_unix_seconds(10),
            last_enrolled: Timestamp::from_unix_seconds(20),
            best_quality: Some(0.75),
        };
        assert_eq!(engine.class(&bcid).unwrap(), Some(expected));
        let contents = engine.contents(&bcid.partition).unwrap().unwrap();
        assert_eq!((contents.classes, contents.templates), (2, 4));
        engine.delete_class(&bcid).unwrap();
        assert_eq!(engine.class(&bcid).unwrap(), None);
        let left = engine.classes(&bcid.partition, None, 9).unwrap().unwrap();
        assert_eq!(left.len(), 1);
    }
}
