//! Making segments anew: sealing the tail, merging segments, leaving out removed rows.
//!
//! The work is done on a snapshot, beside searches, enrolments and removals. What a crash leaves:
//!
//! 1. The new segment is written, synced and read back. A crash leaves a file that no transaction
//!    names; the next open deletes it.
//! 2. One transaction names it, takes the old ones and the sealed templates away, and buries rows
//!    that were removed in the meantime. A crash leaves the old segments as files that no transaction
//!    names.
//! 3. Readers get a snapshot with the new segment; when the last reader of the old ones is gone,
//!    their removed rows are overwritten and they are deleted.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, PoisonError};

use super::compaction::{Choice, SegmentStats, choose, choose_thoroughly};
use crate::partition::StoreError;
use crate::partition::catalog::{Change, Group, Halt, SegmentEntry};
use crate::partition::files::Files;
use crate::partition::pace::Pace;
use crate::partition::partition::{Partition, insert_segment, push_tail, tail_rows};
use crate::partition::segment::{DeadRows, Segment};
use crate::partition::shared::Shared;
use crate::partition::snapshot::{Block, Snapshot, Source};
use crate::partition::tail::TailBlock;
use crate::secrets::KeyError;
use crate::types::Timestamp;

/// Rows that are copied before the pace is looked at.
const RUN_ROWS: usize = 256;

/// What putting a partition in order did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Compacted {
    /// Segments that were written.
    pub segments_written: usize,
    /// Segments that are no longer there.
    pub segments_removed: usize,
    /// Rows that were written.
    pub rows_written: usize,
    /// Rows of removed templates that are gone.
    pub rows_removed: usize,
    /// Bytes of the files written.
    pub bytes_written: u64,
}

impl Partition {
    /// Moves the tail into a segment, whatever its size.
    ///
    /// # Errors
    ///
    /// If the disk fails. All templates are where they were then.
    pub fn seal(&self) -> Result<(), StoreError> {
        self.seal_tail(&Pace::unlimited())?;
        Ok(())
    }

    fn seal_tail(&self, pace: &Pace) -> Result<Compacted, StoreError> {
        let sealing = self.sealing.lock();
        let _alone = sealing.unwrap_or_else(PoisonError::into_inner);
        self.rewrite(&Choice::Seal, pace)
    }

    /// Does the one thing that is due next, and returns what it did; `None` if nothing is due.
    ///
    /// # Errors
    ///
    /// If the disk fails, a segment is damaged, or the work is to stop. All templates are where they
    /// were then.
    pub(in crate::partition) fn compact_once(
        &self,
        pace: &Pace,
    ) -> Result<Option<Compacted>, StoreError> {
        self.compact_by(choose, pace)
    }

    /// Where there are more than `segments_max` segments, merges those of like size, as maintenance does by
    /// itself: for programs that add much and have no maintenance.
    ///
    /// # Errors
    ///
    /// As [`Partition::compact`].
    pub fn merge_many(&self, segments_max: usize, pace: &Pace) -> Result<Compacted, StoreError> {
        let mut total = Compacted::default();
        if stats(&self.snapshot()).len() > segments_max {
            while let Some(done) = self.compact_once(pace)? {
                total.add(done);
            }
        }
        Ok(total)
    }

    /// Puts the partition in the best order there is: the tail sealed, removed rows gone, as few
    /// segments as their size allows. What others enrol or remove meanwhile may be left as it is:
    /// otherwise there would be no end of it.
    ///
    /// # Errors
    ///
    /// As [`Partition::seal`], and if the work is to stop. What was done until then stays.
    pub fn compact(&self, pace: &Pace) -> Result<Compacted, StoreError> {
        let mut total = Compacted::default();
        // The tail becomes one more. A merge leaves fewer, and each of them is made anew once.
        let segments = stats(&self.snapshot()).len() + 1;
        for _ in 0..=2 * segments {
            match self.compact_by(choose_thoroughly, pace)? {
                Some(done) => total.add(done),
                None => break,
            }
        }
        Ok(total)
    }

    /// Makes every segment anew that has a removed row now.
    pub(in crate::partition) fn rewrite_removed(&self, pace: &Pace) -> Result<(), StoreError> {
        // One that is being made of the tail may hold what was removed since it was begun.
        drop(self.sealing.lock());
        // Those that are made from now on are without what is removed now.
        let mut now: Option<BTreeSet<u64>> = None;
        let mut removed = |_: usize, segments: &[SegmentStats]| {
            let with_removed = segments.iter().filter(|stats| stats.removed > 0);
            let mut with_removed = with_removed.map(|stats| stats.segment);
            let now = now.get_or_insert_with(|| with_removed.clone().collect());
            let found = with_removed.find(|segment| now.contains(segment));
            found.map_or(Choice::Nothing, |segment| Choice::Merge(vec![segment]))
        };
        while self.compact_by(&mut removed, pace)?.is_some() {}
        Ok(())
    }

    /// Makes the blocks of the tail anew that have removed rows, so that memory does not hold them either.
    pub(in crate::partition) fn drop_removed_of_tail(&self) -> Result<(), StoreError> {
        let has_removed =
            |block: &Block| matches!(block.source, Source::Tail(_)) && block.removed_rows() > 0;
        if !self.snapshot().blocks.iter().any(has_removed) {
            return Ok(());
        }
        let shared = self.shared().clone();
        self.commits().commit(move |group| {
            let now = group.snapshot(&shared)?;
            let mut blocks = Vec::new();
            for block in now.blocks.iter() {
                match &block.source {
                    Source::Tail(tail) if block.removed_rows() > 0 => {
                        push_tail(&mut blocks, left_of(block, tail, &HashSet::new()));
                    }
                    _ => blocks.push(block.clone()),
                }
            }
            let blocks = Arc::new(blocks);
            group.republish(&shared, Snapshot { blocks, ..now });
            Ok(())
        })
    }

    /// Waits for those who make segments now: whoever begins afterwards has the keys that there are now.
    pub(in crate::partition) fn wait_for_rewriting(&self) {
        drop(self.rewriting.lock());
        drop(self.sealing.lock());
    }

    /// Makes every segment anew that is not encrypted, one after the other. Returns how many there were. The
    /// caller has waited for those that were begun when there were no keys; what others were writing then is
    /// refused ([`Files::refuse_replaced_key`]).
    pub(in crate::partition) fn encrypt(&self, pace: &Pace) -> Result<usize, StoreError> {
        let mut done = 0;
        loop {
            let plain = self.snapshot().plain_segment();
            let Some(plain) = plain else {
                return Ok(done);
            };
            let written = self.compact_by(|_, stats| of_one(plain, stats), pace)?;
            done += usize::from(written.is_some());
        }
    }

    /// Makes every segment anew that is not sealed with the key that the partition has now, one after the
    /// other, and then destroys the key before, durably. Returns how many segments there were.
    ///
    /// The key before is needed until the catalog names nothing, durably, that is sealed with it, and nothing
    /// can come: what is made of the tail or of segments is waited for, and what others were writing is
    /// refused ([`Files::refuse_replaced_key`]).
    pub(in crate::partition) fn leave_key_before(&self, pace: &Pace) -> Result<usize, StoreError> {
        let (files, number) = (self.files(), self.shared().number());
        let Some(keys) = files.keys() else {
            return Err(StoreError::keys(files.directory(), KeyError::NothingSealed));
        };
        // Those that were begun with the key before.
        self.wait_for_rewriting();
        let mut written = 0;
        loop {
            if let Some(segment) = sealed_before(files, &self.snapshot(), number)? {
                let done = self.compact_by(|_, stats| of_one(segment, stats), pace)?;
                written += usize::from(done.is_some());
                continue;
            }
            let (files, shared) = (files.clone(), self.shared().clone());
            // Behind every change that was let in before the partition had another key.
            let left = self.commits().commit(move |group| {
                let now = group.snapshot(&shared)?;
                Ok(sealed_before(&files, &now, shared.number())?)
            })?;
            if left.is_none() {
                break;
            }
        }
        keys.destroy_before(number, &**files.disk())?;
        self.commits().commit(|group| {
            group.count_keys();
            Ok(())
        })?;
        Ok(written)
    }

    fn compact_by(
        &self,
        choose: impl FnOnce(usize, &[SegmentStats]) -> Choice,
        pace: &Pace,
    ) -> Result<Option<Compacted>, StoreError> {
        // A panic of the last one left at most a file that nobody names.
        let _alone = self
            .rewriting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let snapshot = self.snapshot();
        match choose(tail_rows(&snapshot), &stats(&snapshot)) {
            Choice::Nothing => Ok(None),
            Choice::Seal => self.seal_tail(pace).map(Some),
            choice => self.rewrite(&choice, pace).map(Some),
        }
    }

    /// Writes the live rows of what was chosen into a new segment. The caller holds the lock for it.
    fn rewrite(&self, choice: &Choice, pace: &Pace) -> Result<Compacted, StoreError> {
        let inputs = inputs(&self.snapshot(), choice);
        let live = |block: &Block| block.rows() - block.removed_rows();
        let rows: usize = inputs.iter().map(live).sum();
        let mut done = Compacted {
            rows_removed: inputs.iter().map(Block::removed_rows).sum(),
            rows_written: rows,
            ..Compacted::default()
        };
        let written = match rows {
            0 => None,
            _ => Some(self.write_segment(&inputs, rows, pace)?),
        };
        if let Some(new) = &written {
            done.segments_written = 1;
            done.bytes_written = new.segment.bytes();
        }
        let number = written.as_ref().map(|new| new.number);
        let (shared, old) = (self.shared().clone(), inputs.clone());
        let segment = written
            .as_ref()
            .map(|new| (new.number, new.segment.clone()));
        let installed = self
            .commits()
            .commit(move |group| install(group, &shared, &old, written));
        let discarded = installed.inspect_err(|error| self.discard_unnamed(segment, error))?;
        if let Some(number) = number {
            self.give_name(number);
        }
        for (block, dead) in inputs.into_iter().zip(discarded) {
            if let Source::Segment(number, segment) = block.source {
                done.segments_removed += 1;
                let path = self.files().path(self.shared().number(), number);
                self.files().discard(path, segment, dead);
            }
        }
        Ok(done)
    }

    fn write_segment(&self, inputs: &[Block], rows: usize, pace: &Pace) -> Result<New, StoreError> {
        let number = self.commits().take_numbers(1)?;
        let created = newest(&self.snapshot(), inputs)?;
        let mut writer = self.new_segment(number, rows, created)?;
        for block in inputs {
            let row_bytes = block.row_bytes();
            let mut pass = block.pass(&**self.files().disk())?;
            for run in block.live_runs(RUN_ROWS) {
                if self.commits().is_gone(self.shared().number()) {
                    writer.discard();
                    let partition = self.id().clone();
                    return Err(StoreError::PartitionRemoved { partition });
                }
                let count = run.len();
                // Of this moment only: whoever erases somebody waits for the last reader.
                let snapshot = self.snapshot();
                writer.append(&snapshot.reader(block).stored_by(&mut pass, run)?)?;
                drop(snapshot);
                pace.spend(count * row_bytes)?;
            }
        }
        let (entry, segment) = self.complete(number, writer, pace)?;
        let segment = Arc::new(segment);
        Ok(New {
            number,
            entry,
            segment,
        })
    }
}

impl Compacted {
    /// Adds what was done after it.
    pub(in crate::partition) fn add(&mut self, other: Compacted) {
        self.segments_written += other.segments_written;
        self.segments_removed += other.segments_removed;
        self.rows_written += other.rows_written;
        self.rows_removed += other.rows_removed;
        self.bytes_written += other.bytes_written;
    }
}

/// A segment that is whole, and not named yet.
#[derive(Debug)]
struct New {
    number: u64,
    entry: SegmentEntry,
    segment: Arc<Segment>,
}

/// A segment of a snapshot that is not sealed with the key that the partition has now.
fn sealed_before(
    files: &Files,
    snapshot: &Snapshot,
    partition: u64,
) -> Result<Option<u64>, StoreError> {
    let segments = snapshot
        .blocks
        .iter()
        .filter_map(|block| match &block.source {
            Source::Segment(number, segment) => Some((*number, &**segment)),
            Source::Tail(_) => None,
        });
    files.sealed_before(partition, segments)
}

/// Makes one segment anew, if nobody has merged it since.
fn of_one(segment: u64, stats: &[SegmentStats]) -> Choice {
    match stats.iter().any(|stats| stats.segment == segment) {
        true => Choice::Merge(vec![segment]),
        false => Choice::Nothing,
    }
}

/// What is known of the segments of a snapshot.
fn stats(snapshot: &Snapshot) -> Vec<SegmentStats> {
    let blocks = snapshot.blocks.iter();
    let stats = blocks.filter_map(|block| match &block.source {
        Source::Segment(segment, _) => Some(SegmentStats {
            segment: *segment,
            rows: block.rows(),
            removed: block.removed_rows(),
        }),
        Source::Tail(_) => None,
    });
    stats.collect()
}

/// The blocks that are to be made anew.
fn inputs(snapshot: &Snapshot, choice: &Choice) -> Vec<Block> {
    let chosen = |block: &&Block| match (&block.source, choice) {
        (Source::Tail(_), Choice::Seal) => true,
        (Source::Segment(number, _), Choice::Merge(chosen)) => chosen.contains(number),
        _ => false,
    };
    snapshot.blocks.iter().filter(chosen).cloned().collect()
}

/// When the newest of some rows was enrolled: the same rows make the same file whenever they are
/// written.
fn newest(snapshot: &Snapshot, blocks: &[Block]) -> Result<Timestamp, StoreError> {
    let mut newest = i64::MIN;
    for block in blocks {
        for run in block.live_runs(RUN_ROWS) {
            let infos = snapshot.reader(block).stored_infos(run)?;
            let times = infos.iter().map(|info| info.enrolled_unix_milliseconds);
            newest = times.fold(newest, i64::max);
        }
    }
    Ok(Timestamp {
        unix_milliseconds: newest,
    })
}

/// Puts a new segment, if there are rows to be in it, in the place of the blocks `old` that it was
/// made of. Returns which rows of each are removed by now.
fn install(
    group: &mut Group<'_>,
    shared: &Arc<Shared>,
    old: &[Block],
    new: Option<New>,
) -> Result<Vec<DeadRows>, Halt> {
    let now = group.snapshot(shared)?;
    let mut dead = DeadRows::default();
    let mut discarded = Vec::new();
    let (mut sealed, mut segments) = (HashSet::new(), Vec::new());
    let mut base = 0;
    let in_tail = live_in_tail(&now);
    for block in old {
        match &block.source {
            Source::Segment(number, _) => {
                let by_now = removed_by_now(&now, *number);
                for row in by_now.rows().filter(|row| !block.is_removed(*row)) {
                    dead.insert(base + row - block.dead.count_below(row));
                }
                segments.push(*number);
                discarded.push(by_now);
            }
            Source::Tail(tail) => {
                for (at, row) in block.live_rows().enumerate() {
                    let template = tail.infos[row].template;
                    sealed.insert(template);
                    if !in_tail.contains(&template) {
                        dead.insert(base + at);
                    }
                }
                discarded.push(DeadRows::default());
            }
        }
        base += block.rows() - block.removed_rows();
    }
    let remove_from_tail: Vec<u64> = sealed.intersection(&in_tail).copied().collect();
    let number = new.as_ref().map(|new| new.number).unwrap_or_default();
    let bury: Vec<(u64, u64)> = dead.rows().map(|row| (number, row as u64)).collect();
    let change = Change {
        remove_from_tail: &remove_from_tail,
        remove_segments: &segments,
        add_segment: new.as_ref().map(|new| (new.number, &new.entry)),
        bury: &bury,
        ..Change::default()
    };
    group.apply(shared.number(), &change)?;
    let new = new.map(|new| (new.number, new.segment));
    let blocks = replaced(&now, &segments, &sealed, new, dead);
    let blocks = Arc::new(blocks);
    group.publish(shared, Snapshot { blocks, ..now });
    Ok(discarded)
}

/// The blocks of a snapshot without some segments and some templates of the tail, and with a new
/// segment.
pub(super) fn replaced(
    now: &Snapshot,
    segments: &[u64],
    sealed: &HashSet<u64>,
    new: Option<(u64, Arc<Segment>)>,
    dead: DeadRows,
) -> Vec<Block> {
    let mut blocks = Vec::new();
    for block in now.blocks.iter() {
        match &block.source {
            Source::Segment(number, _) if segments.contains(number) => {}
            // There is nothing to seal of such a block, and it would be due for ever.
            Source::Tail(tail) if block.removed_rows() == tail.rows() => {}
            Source::Tail(tail) if !sealed.is_empty() => {
                push_tail(&mut blocks, left_of(block, tail, sealed));
            }
            _ => blocks.push(block.clone()),
        }
    }
    if let Some((number, segment)) = new {
        let source = Source::Segment(number, segment);
        insert_segment(&mut blocks, Block { source, dead });
    }
    blocks
}

/// The live rows of a tail block that were not sealed.
fn left_of(block: &Block, tail: &TailBlock, sealed: &HashSet<u64>) -> TailBlock {
    let mut left = TailBlock::new(tail.planes.layout().dimension());
    for row in block.live_runs(1) {
        if !sealed.contains(&tail.infos[row.start].template) {
            left.append(tail, row);
        }
    }
    left
}

fn live_in_tail(snapshot: &Snapshot) -> HashSet<u64> {
    let mut live = HashSet::new();
    for block in snapshot.blocks.iter() {
        if let Source::Tail(tail) = &block.source {
            live.extend(block.live_rows().map(|row| tail.infos[row].template));
        }
    }
    live
}

/// The rows of a segment that are removed in a snapshot which has it.
///
/// # Panics
///
/// Panics if the snapshot does not have it.
pub(super) fn removed_by_now(snapshot: &Snapshot, segment: u64) -> DeadRows {
    let mut blocks = snapshot.blocks.iter();
    let found = blocks
        .find(|block| matches!(&block.source, Source::Segment(number, _) if *number == segment));
    let block = found.expect("segments are replaced by one at a time, who has not replaced it yet");
    block.dead.clone()
}
