//! Who was removed, and since when nothing is stored of them any more.
//!
//! What a receipt says is kept beside the catalog's other small values, from the transaction that removes
//! somebody on; whoever hands it out signs it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Engine, EngineError};
use crate::partition::{Pace, Removed, StateValue};
use crate::types::{Bcid, ClassId, PartitionId, Timestamp};

/// Where receipts are kept in the store.
const AREA: &str = "receipts";

/// How long a receipt can be asked for.
pub const RECEIPTS_KEPT: Duration = Duration::from_secs(365 * 86_400);

/// Of more than this the oldest go.
pub const RECEIPTS_MAX: usize = 100_000;

/// That somebody was removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemovalReceipt {
    /// By which it is asked for: 28 hexadecimal digits, rising with the time.
    pub id: String,
    /// From where.
    pub partition: PartitionId,
    /// Who.
    pub class: ClassId,
    /// How many templates there were.
    pub templates: usize,
    /// When it was asked for.
    pub asked: Timestamp,
    /// When all that was stored of them was overwritten, if it is.
    pub erased: Option<Timestamp>,
    /// Until when at most snapshots have copies, if that is known.
    pub snapshots_until: Option<Timestamp>,
    /// The number of the catalog's change that removed them.
    change: u64,
}

/// A receipt as it is stored. Field names are part of the file format.
#[derive(Serialize, Deserialize)]
struct Stored {
    partition: String,
    class: i64,
    templates: usize,
    asked_unix_milliseconds: i64,
    change: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    erased_unix_milliseconds: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    snapshots_until_unix_milliseconds: Option<i64>,
}

impl RemovalReceipt {
    fn read(id: &str, value: &[u8]) -> Option<RemovalReceipt> {
        let stored: Stored = serde_json::from_slice(value).ok()?;
        let time = |unix_milliseconds| Timestamp { unix_milliseconds };
        Some(RemovalReceipt {
            id: id.to_owned(),
            partition: stored.partition.parse().ok()?,
            class: ClassId(stored.class),
            templates: stored.templates,
            asked: time(stored.asked_unix_milliseconds),
            erased: stored.erased_unix_milliseconds.map(time),
            snapshots_until: stored.snapshots_until_unix_milliseconds.map(time),
            change: stored.change,
        })
    }

    fn value(&self) -> StateValue {
        let stored = Stored {
            partition: self.partition.to_string(),
            class: self.class.0,
            templates: self.templates,
            asked_unix_milliseconds: self.asked.unix_milliseconds,
            change: self.change,
            erased_unix_milliseconds: self.erased.map(|it| it.unix_milliseconds),
            snapshots_until_unix_milliseconds: self.snapshots_until.map(|it| it.unix_milliseconds),
        };
        StateValue {
            area: AREA,
            key: self.id.clone(),
            value: serde_json::to_vec(&stored).expect("plain structures always serialise"),
        }
    }

    /// Notes that nothing is stored any more since `erased`, and that no snapshot has it when `copies` have
    /// passed since.
    fn settle(&mut self, erased: Timestamp, copies: Option<Duration>) {
        self.erased = Some(erased);
        self.snapshots_until = copies.map(|copies| erased.after(copies));
    }
}

/// The name of a receipt of this moment. `chance` tells those of one moment apart, and is not to be
/// guessed.
fn id(now: Timestamp, chance: u64) -> String {
    // 48 bits of milliseconds last until the year 10889.
    format!(
        "{:012x}{chance:016x}",
        now.unix_milliseconds & 0xffff_ffff_ffff
    )
}

impl Engine {
    /// Removes a class and all that is known of the person, and keeps a receipt in the same write. There is
    /// none for somebody who was not enrolled. Every later search is without them; what is stored is
    /// overwritten later, or by [`Engine::overwrite`].
    ///
    /// # Errors
    ///
    /// If a segment is damaged, or the disk fails.
    pub fn remove(
        &self,
        bcid: &Bcid,
        now: Timestamp,
        chance: u64,
    ) -> Result<(Removed, Option<RemovalReceipt>), EngineError> {
        let Some(partition) = self.store().partition(&bcid.partition)? else {
            return Ok((Removed::default(), None));
        };
        let receipt = RemovalReceipt {
            id: id(now, chance),
            partition: bcid.partition.clone(),
            class: bcid.class,
            templates: 0,
            asked: now,
            erased: None,
            snapshots_until: None,
            change: 0,
        };
        let id = receipt.id.clone();
        let note = move |removed: &Removed, change| {
            let receipt = RemovalReceipt {
                templates: removed.templates,
                change,
                ..receipt
            };
            receipt.value()
        };
        let removed = partition.remove_noting(bcid.class, note)?;
        let receipt = match removed.was_enrolled() {
            true => self.receipt(&id)?,
            false => None,
        };
        Ok((removed, receipt))
    }

    /// Overwrites what is stored of those who were removed from a partition until now, at once. Returns
    /// whether it is overwritten, and the receipt with that; it is not while another process reads it.
    ///
    /// # Errors
    ///
    /// If the disk fails or a segment is damaged. What was removed stays removed.
    pub fn overwrite(
        &self,
        partition: &PartitionId,
        receipt: Option<RemovalReceipt>,
        copies: Option<Duration>,
        pace: &Pace,
    ) -> Result<(bool, Option<RemovalReceipt>), EngineError> {
        let overwritten = match self.store().partition(partition)? {
            Some(partition) => self.store().overwrite_removed(&partition, pace)?,
            // Nothing was ever stored there.
            None => true,
        };
        let now = self.clock.now();
        let settled = receipt.map(|mut receipt| {
            if overwritten {
                receipt.settle(now, copies);
            }
            receipt
        });
        if let Some(receipt) = settled.as_ref().filter(|_| overwritten) {
            let value = receipt.value();
            self.store()
                .state_put(value.area, &value.key, &value.value)?;
        }
        Ok((overwritten, settled))
    }

    /// The receipt of this id, if there is one.
    ///
    /// # Errors
    ///
    /// If the catalog cannot be read.
    pub fn receipt(&self, id: &str) -> Result<Option<RemovalReceipt>, EngineError> {
        let value = self.store().state_get(AREA, id)?;
        Ok(value.and_then(|value| RemovalReceipt::read(id, &value)))
    }

    /// All receipts, the oldest first.
    ///
    /// # Errors
    ///
    /// If the catalog cannot be read.
    pub fn receipts(&self) -> Result<Vec<RemovalReceipt>, EngineError> {
        let listed = self.store().state_list(AREA)?;
        let read = |(id, value): (String, Vec<u8>)| RemovalReceipt::read(&id, &value);
        Ok(listed.into_iter().filter_map(read).collect())
    }

    /// Notes in receipts what the background has overwritten since, and forgets receipts that are older
    /// than [`RECEIPTS_KEPT`], or the oldest of more than [`RECEIPTS_MAX`]. `copies` is how long snapshots
    /// stay, if that is known. Returns how many receipts are complete since.
    ///
    /// # Errors
    ///
    /// If the catalog cannot be read or written. It can be tried again.
    pub fn settle_receipts(
        &self,
        copies: Option<Duration>,
        now: Timestamp,
    ) -> Result<usize, EngineError> {
        let receipts = self.receipts()?;
        let erased = self.store().erased_until()?;
        let too_many = receipts.len().saturating_sub(RECEIPTS_MAX);
        let is_old = |receipt: &RemovalReceipt| receipt.asked.after(RECEIPTS_KEPT) <= now;
        let (mut settled, mut gone) = (0, Vec::new());
        for (at, mut receipt) in receipts.into_iter().enumerate() {
            if at < too_many || is_old(&receipt) {
                gone.push(receipt.id);
                continue;
            }
            let done = erased.filter(|(until, _)| receipt.change <= *until);
            if let (None, Some((_, done))) = (receipt.erased, done) {
                receipt.settle(done, copies);
                let value = receipt.value();
                self.store()
                    .state_put(value.area, &value.key, &value.value)?;
                settled += 1;
            }
        }
        self.store().state_remove_all(AREA, gone)?;
        Ok(settled)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::partition::{NewTemplate, Store};
    use crate::search::Pool;
    use crate::types::{Clock, Embedding, EncoderId};

    const DAY: Duration = Duration::from_secs(86_400);

    fn engine(directory: &std::path::Path, clock: &Clock) -> Engine {
        let store = Arc::new(Store::open(directory).unwrap());
        Engine::new(store, Pool::new(1)).with_clock(clock.clone())
    }

    fn enroll(engine: &Engine, class: i64, clock: &Clock) -> Bcid {
        let bcid = Bcid::new("bws.1".parse().unwrap(), ClassId(class));
        let encoder = EncoderId::new("test", "1", 16).unwrap();
        let template = NewTemplate {
            embedding: Embedding::new(
                (0..16)
                    .map(|at| at as f32 + class as f32)
                    .collect::<Vec<_>>(),
            )
            .unwrap(),
            quality: 0.5,
            portrait: None,
        };
        engine
            .enroll(&bcid, &encoder, &[template], clock.now())
            .unwrap();
        bcid
    }

    #[test]
    fn a_receipt_is_complete_when_what_was_stored_is_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let clock = Clock::manual(Timestamp::from_unix_seconds(1_000_000));
        let engine = engine(directory.path(), &clock);
        let one = enroll(&engine, 1, &clock);
        let (two, three) = (enroll(&engine, 2, &clock), enroll(&engine, 3, &clock));
        let (removed, receipt) = engine.remove(&one, clock.now(), 7).unwrap();
        let receipt = receipt.unwrap();
        assert_eq!((removed.templates, receipt.templates), (1, 1));
        assert_eq!((receipt.erased, receipt.snapshots_until), (None, None));
        assert_eq!(engine.receipt(&receipt.id).unwrap().unwrap(), receipt);
        // Once more, and somebody where nobody ever was.
        assert_eq!(
            engine.remove(&one, clock.now(), 8).unwrap(),
            (Removed::default(), None)
        );
        let nowhere = Bcid::new("bws.9".parse().unwrap(), ClassId(1));
        assert_eq!(engine.remove(&nowhere, clock.now(), 9).unwrap().1, None);

        let (_, waiting) = engine.remove(&two, clock.now(), 9).unwrap();
        clock.advance(Duration::from_secs(5));
        let copies = Some(14 * DAY);
        let pace = Pace::unlimited();
        let done = engine
            .overwrite(&one.partition, Some(receipt), copies, &pace)
            .unwrap();
        let (true, Some(done)) = done else {
            panic!("{done:?}")
        };
        assert_eq!(done.erased, Some(clock.now()));
        assert_eq!(done.snapshots_until, Some(clock.now().after(14 * DAY)));
        assert_eq!(engine.receipt(&done.id).unwrap(), Some(done.clone()));
        // Nobody has said of the other one that it is.
        assert_eq!(engine.settle_receipts(None, clock.now()).unwrap(), 0);
        clock.advance(Duration::from_secs(1_801));
        let store = engine.store();
        while store
            .erase_due(Duration::from_secs(3_600), &clock, &pace)
            .unwrap()
        {}
        clock.advance(Duration::from_secs(1_801));
        while store
            .erase_due(Duration::from_secs(3_600), &clock, &pace)
            .unwrap()
        {}
        // This one is removed after it.
        let (_, later) = engine.remove(&three, clock.now(), 1).unwrap();
        let erased = clock.now();
        clock.advance(Duration::from_secs(60));
        assert_eq!(engine.settle_receipts(None, clock.now()).unwrap(), 1);
        let settled = engine.receipt(&waiting.unwrap().id).unwrap().unwrap();
        assert_eq!(
            (settled.erased, settled.snapshots_until),
            (Some(erased), None)
        );
        assert_eq!(
            engine.receipt(&later.unwrap().id).unwrap().unwrap().erased,
            None
        );
        assert_eq!(
            engine.receipt(&done.id).unwrap(),
            Some(done),
            "it stays as it was"
        );
        let all = engine.receipts().unwrap();
        assert!(all.len() == 3 && all.is_sorted_by_key(|receipt| receipt.id.clone()));

        clock.advance(RECEIPTS_KEPT - Duration::from_secs(100));
        engine.settle_receipts(None, clock.now()).unwrap();
        assert_eq!(
            engine.receipts().unwrap().len(),
            1,
            "the others are a year old"
        );
        assert_eq!(engine.receipt("no such").unwrap(), None);
    }
}
