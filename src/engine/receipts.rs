//! Who was removed, and since when nothing is stored of them any more.
//!
//! What a receipt says is kept beside the catalog's other small values, from the transaction that removes
//! somebody on; whoever hands it out signs it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Engine, EngineError, calibrate, import};
use crate::partition::{Pace, Removed, RemovedPartition, StateValue, StoreError};
use crate::types::{Bcid, ClassId, PartitionId, RemovalReason, Timestamp};

/// Where receipts are kept in the store.
const AREA: &str = "receipts";

/// How long a receipt can be asked for.
pub const RECEIPTS_KEPT: Duration = Duration::from_secs(365 * 86_400);

/// Of more than this the oldest go.
pub const RECEIPTS_MAX: usize = 100_000;

/// Of how many digits the id of a receipt is.
const ID_DIGITS: usize = 28;

/// So many receipts are read at once.
const RECEIPTS_AT_ONCE: usize = 1_000;

/// That somebody was removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemovalReceipt {
    /// By which it is asked for: 28 hexadecimal digits, rising with the time.
    pub id: String,
    /// From where.
    pub partition: PartitionId,
    /// Who; `None` if it was the whole partition.
    pub class: Option<ClassId>,
    /// Why.
    pub reason: RemovalReason,
    /// To which class the templates went, if they did.
    pub into: Option<ClassId>,
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    class: Option<i64>,
    /// Missing where somebody asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    into: Option<i64>,
    templates: usize,
    asked_unix_milliseconds: i64,
    change: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    erased_unix_milliseconds: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    snapshots_until_unix_milliseconds: Option<i64>,
}

/// Which receipts may be completed. Clones of an engine share it.
#[derive(Clone, Debug, Default)]
pub(super) struct WaitingReceipts(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    /// All receipts of changes up to this one are complete.
    settled: u64,
    /// None up to this one waits.
    after: String,
}

impl RemovalReceipt {
    /// Whether a text has the form of an id.
    pub fn is_id(text: &str) -> bool {
        let is_digit = |at: u8| matches!(at, b'0'..=b'9' | b'a'..=b'f');
        text.len() == ID_DIGITS && text.bytes().all(is_digit)
    }

    /// What is kept of it once it is known how many templates there were, and which change it is.
    pub(super) fn of_change(&self, templates: usize, change: u64) -> StateValue {
        let receipt = RemovalReceipt {
            templates,
            change,
            ..self.clone()
        };
        receipt.value()
    }

    fn read(id: &str, value: &[u8]) -> Option<RemovalReceipt> {
        let stored: Stored = serde_json::from_slice(value).ok()?;
        let time = |unix_milliseconds| Timestamp { unix_milliseconds };
        let reason = stored.reason.as_deref();
        Some(RemovalReceipt {
            id: id.to_owned(),
            partition: stored.partition.parse().ok()?,
            class: stored.class.map(ClassId),
            reason: reason.map_or(Some(RemovalReason::Deleted), RemovalReason::of_name)?,
            into: stored.into.map(ClassId),
            templates: stored.templates,
            asked: time(stored.asked_unix_milliseconds),
            erased: stored.erased_unix_milliseconds.map(time),
            snapshots_until: stored.snapshots_until_unix_milliseconds.map(time),
            change: stored.change,
        })
    }

    fn value(&self) -> StateValue {
        let is_usual = self.reason == RemovalReason::Deleted;
        let stored = Stored {
            partition: self.partition.to_string(),
            class: self.class.map(|class| class.0),
            reason: (!is_usual).then(|| self.reason.name().to_owned()),
            into: self.into.map(|class| class.0),
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

/// The name of a receipt of this moment.
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
        let of = (&bcid.partition, Some(bcid.class));
        let receipt = self.begin_receipt(of, RemovalReason::Deleted, now, chance);
        let id = receipt.id.clone();
        let note = move |removed: &Removed, change| receipt.of_change(removed.templates, change);
        let removed = match partition.remove_noting(bcid.class, note) {
            // With all that was in it.
            Err(StoreError::PartitionRemoved { .. }) => Removed::default(),
            removed => removed?,
        };
        let receipt = match removed.was_enrolled() {
            true => self.receipt(&id)?,
            false => None,
        };
        Ok((removed, receipt))
    }

    /// Removes a gallery: everybody in it, all that is known of them, and what was kept of the gallery
    /// itself. The key of an encrypted one is destroyed when this returns, so that nobody can read what is
    /// left of its templates; the rest is overwritten later, or by [`Engine::overwrite`]. `None` if there is
    /// no such gallery.
    ///
    /// What waits for two people to confirm it in that gallery is for the layers above to remove.
    ///
    /// # Errors
    ///
    /// As [`crate::partition::Store::remove_partition`].
    pub fn remove_gallery(
        &self,
        id: &PartitionId,
        now: Timestamp,
        chance: u64,
    ) -> Result<Option<(RemovedPartition, RemovalReceipt)>, EngineError> {
        let reason = RemovalReason::PartitionRemoved;
        let receipt = self.begin_receipt((id, None), reason, now, chance);
        let receipt_id = receipt.id.clone();
        let with_it = vec![calibrate::state_of(id), import::state_of(id)];
        let note = move |templates, change| {
            let templates = usize::try_from(templates).unwrap_or(usize::MAX);
            receipt.of_change(templates, change)
        };
        let removed = self.store().remove_partition(id, with_it, note)?;
        self.populations.forget(id);
        let Some(removed) = removed else {
            return Ok(None);
        };
        Ok(self.receipt(&receipt_id)?.map(|receipt| (removed, receipt)))
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
        let is_of_all = receipt.as_ref().is_some_and(|it| it.class.is_none());
        let partition = match is_of_all {
            // Another one may have its name already.
            true => None,
            false => self.store().partition(partition)?,
        };
        let overwritten = match partition {
            Some(partition) => self.store().overwrite_removed(&partition, pace)?,
            // It was removed, or nothing was ever stored there.
            None => self.store().overwrite_partitions()?,
        };
        let receipts: Vec<RemovalReceipt> = receipt.into_iter().collect();
        let receipt = match overwritten {
            true => self.settle(receipts, copies)?.pop(),
            false => receipts.into_iter().next(),
        };
        Ok((overwritten, receipt))
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

    /// At most `limit` receipts behind the id `after`, the oldest first.
    ///
    /// # Errors
    ///
    /// If the catalog cannot be read.
    pub fn receipts(&self, after: &str, limit: usize) -> Result<Vec<RemovalReceipt>, EngineError> {
        let listed = self.store().state_page(AREA, after, limit)?;
        let read = |(id, value): (String, Vec<u8>)| RemovalReceipt::read(&id, &value);
        Ok(listed.into_iter().filter_map(read).collect())
    }

    /// Notes in receipts what the background has overwritten since. `copies` is how long snapshots stay, if
    /// that is known. Returns how many receipts are complete since. Reads those alone that wait, but for the
    /// first time: cheap where nothing was overwritten.
    ///
    /// # Errors
    ///
    /// If the catalog cannot be read or written. It can be tried again.
    pub fn settle_receipts(&self, copies: Option<Duration>) -> Result<usize, EngineError> {
        let Some((until, done)) = self.store().erased_until()? else {
            return Ok(0);
        };
        let mut waiting = self.waiting_receipts();
        if until <= waiting.settled {
            return Ok(0);
        }
        let (mut settled, mut first_left) = (0, None);
        let mut after = waiting.after.clone();
        loop {
            let page = self.receipts(&after, RECEIPTS_AT_ONCE)?;
            let Some(last) = page.last().map(|receipt| receipt.id.clone()) else {
                break;
            };
            let mut complete = Vec::new();
            for mut receipt in page {
                match receipt.erased {
                    Some(_) => {}
                    None if receipt.change <= until => {
                        receipt.settle(done, copies);
                        complete.push(receipt.value());
                    }
                    None => drop(first_left.get_or_insert(after.clone())),
                }
                after = receipt.id;
            }
            settled += complete.len();
            self.store().state_put_all(complete)?;
            after = last;
        }
        waiting.after = first_left.unwrap_or(after);
        waiting.settled = until;
        Ok(settled)
    }

    /// Forgets receipts that are older than [`RECEIPTS_KEPT`], and the oldest of more than
    /// [`RECEIPTS_MAX`]. Returns how many those were. Counts all: for once a minute.
    ///
    /// # Errors
    ///
    /// If the catalog cannot be read or written. It can be tried again.
    pub fn forget_receipts(&self, now: Timestamp) -> Result<usize, EngineError> {
        let store = self.store();
        let mut too_many = store.state_count(AREA)?.saturating_sub(RECEIPTS_MAX);
        let mut forgotten = 0;
        loop {
            let page = self.receipts("", RECEIPTS_AT_ONCE)?;
            let is_old = |receipt: &RemovalReceipt| receipt.asked.after(RECEIPTS_KEPT) <= now;
            let gone = page.iter().enumerate();
            let gone = gone.filter(|(at, receipt)| *at < too_many || is_old(receipt));
            let gone: Vec<String> = gone.map(|(_, receipt)| receipt.id.clone()).collect();
            let count = store.state_remove_all(AREA, gone)?;
            forgotten += count;
            too_many = too_many.saturating_sub(count);
            if count < RECEIPTS_AT_ONCE {
                return Ok(forgotten);
            }
        }
    }

    /// That somebody is about to be removed, by a change of the catalog that is not made yet. `chance` tells
    /// receipts of one moment apart, and is not to be guessed.
    pub(super) fn begin_receipt(
        &self,
        (partition, class): (&PartitionId, Option<ClassId>),
        reason: RemovalReason,
        now: Timestamp,
        chance: u64,
    ) -> RemovalReceipt {
        let id = id(now, chance);
        let mut waiting = self.waiting_receipts();
        if id <= waiting.after {
            // The clock was set back.
            waiting.after.clear();
        }
        RemovalReceipt {
            id,
            partition: partition.clone(),
            class,
            reason,
            into: None,
            templates: 0,
            asked: now,
            erased: None,
            snapshots_until: None,
            change: 0,
        }
    }

    fn waiting_receipts(&self) -> MutexGuard<'_, Waiting> {
        // What it says holds, whatever came after it.
        self.receipts
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes in these receipts that all is overwritten now.
    pub(super) fn settle(
        &self,
        mut receipts: Vec<RemovalReceipt>,
        copies: Option<Duration>,
    ) -> Result<Vec<RemovalReceipt>, EngineError> {
        let now = self.clock.now();
        for receipt in &mut receipts {
            receipt.settle(now, copies);
        }
        let values = receipts.iter().map(RemovalReceipt::value).collect();
        self.store().state_put_all(values)?;
        Ok(receipts)
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(engine.settle_receipts(None).unwrap(), 0);
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
        assert_eq!(engine.settle_receipts(None).unwrap(), 1);
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
        let all = engine.receipts("", 9).unwrap();
        assert!(all.len() == 3 && all.is_sorted_by_key(|receipt| receipt.id.clone()));

        clock.advance(RECEIPTS_KEPT - Duration::from_secs(100));
        assert_eq!(engine.settle_receipts(None).unwrap(), 0);
        assert_eq!(engine.forget_receipts(clock.now()).unwrap(), 2);
        assert_eq!(
            engine.receipts("", 9).unwrap().len(),
            1,
            "the others are a year old"
        );
        assert_eq!(engine.receipt("no such").unwrap(), None);
    }
}
