//! Changing the catalog: changes that come at once share one transaction and one sync.
//!
//! Whoever wants a change puts it into a queue. If nobody leads, they do: they take the whole
//! queue, make all changes in one transaction, commit it, show the new snapshots to readers and
//! hand out the results. Whoever comes meanwhile waits, and one of them leads the next group.
//!
//! What a crash leaves: before the commit returns, all changes of the group or none; redb's commit
//! is atomic. After it, all of them. Each group counts itself, by which an older catalog is known
//! ([`super::witness`]).

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use redb::{ReadableTable, WriteTransaction};
use serde::Serialize;

use super::failures::{damage, failure};
use super::opened::Catalog;
use super::removals::{Removals, Said};
use super::sealed::{key_of_name, key_of_numbers, key_of_state, parse, sealed, unsealed};
use super::tables::{
    META_CHANGES, META_KEYS_WRITTEN, META_NEXT, PARTITIONS, PartitionEntry, RETIRED, SEGMENTS,
    STATE, SegmentEntry, TAIL, TOMBSTONES, put_keys, put_number,
};
use crate::partition::StoreError;
use crate::partition::filter::RecordEvent;
use crate::partition::shared::Shared;
use crate::partition::snapshot::Snapshot;
use crate::partition::tail::TailTemplate;
use crate::types::{EncoderId, PartitionId, RecordError};

/// Numbers are reserved in runs; an open forgets the rest of a run.
const NUMBERS_RESERVED: u64 = 4096;

/// The one way to change a catalog.
#[derive(Debug)]
pub(in crate::partition) struct Commits {
    catalog: Catalog,
    queue: Mutex<Queue>,
    /// Wakes those who wait, when a group is done.
    done: Condvar,
    lead: Mutex<Lead>,
    /// Written by the one who leads. Apart, since whoever asks must not wait for a change.
    broken: Mutex<Option<Broken>>,
    /// Written by the one who leads. Apart, as above.
    removals: Mutex<Removals>,
    /// The numbers of partitions that were removed since the catalog was opened. Written by the one who
    /// leads. Apart, as above.
    gone: Mutex<HashSet<u64>>,
}

/// Changes that wait for the next group.
#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<Arc<dyn Waiting>>,
    /// Whether somebody leads. The others must not wait for the lead itself: those whose change is
    /// made would wait for a group that they have no part in.
    led: bool,
}

/// What only the one who leads may touch.
#[derive(Debug)]
struct Lead {
    /// The next number that nobody has or had.
    next_number: u64,
    /// The number that the catalog says is next, and that an open begins with. It is ahead of what
    /// is given away, so that few commits have to write it.
    reserved: u64,
    /// How many groups the catalog has seen.
    changes: u64,
    /// How often the key file was written, by the catalog.
    keys_written: u64,
}

/// Why nothing is written any more. After a failed write or sync nobody knows what is on disk
/// until it is read again from the start (Rebello et al., "Can Applications Recover from fsync
/// Failures?", USENIX ATC 2020).
#[derive(Clone, Debug)]
struct Broken {
    cause: Arc<StoreError>,
    /// Whether only opening the data directory again mends it.
    is_final: bool,
}

/// Why a change was not made.
pub(in crate::partition) enum Halt {
    /// It cannot be; the others of its group can. Nothing was written for it.
    Refused(StoreError),
    /// The group cannot be written.
    Broken(StoreError),
}

impl From<StoreError> for Halt {
    fn from(error: StoreError) -> Halt {
        Halt::Refused(error)
    }
}

impl From<RecordError> for Halt {
    fn from(error: RecordError) -> Halt {
        Halt::Refused(StoreError::Record(error))
    }
}

/// A group of changes in the making.
pub(in crate::partition) struct Group<'a> {
    pub(super) path: &'a Path,
    transaction: &'a WriteTransaction,
    next_number: u64,
    pub(super) changed: bool,
    pub(super) removals: Said,
    /// The number that this change of the catalog has, if it comes to be.
    number: u64,
    /// The numbers of partitions that were removed before.
    gone_before: &'a Mutex<HashSet<u64>>,
    /// Those that this group removes.
    pub(super) gone: Vec<u64>,
    snapshots: Vec<(Arc<Shared>, Snapshot)>,
    /// What became of records, in order; each of a partition that has a snapshot above.
    pub(super) events: Vec<(Arc<Shared>, RecordEvent)>,
}

/// One atomic change of a partition.
#[derive(Debug, Default)]
pub(in crate::partition) struct Change<'a> {
    pub(in crate::partition) add_to_tail: &'a [TailTemplate],
    pub(in crate::partition) remove_from_tail: &'a [u64],
    /// (segment, row) of rows that are removed.
    pub(in crate::partition) bury: &'a [(u64, u64)],
    pub(in crate::partition) add_segment: Option<(u64, &'a SegmentEntry)>,
    /// Segments that another one replaces, with all their tombstones.
    pub(in crate::partition) remove_segments: &'a [u64],
}

impl Commits {
    /// Prepares to change `catalog`.
    pub(in crate::partition) fn new(catalog: Catalog) -> Result<Commits, StoreError> {
        let number = |name| catalog.read(|tables| tables.number(name));
        let next_number = number(META_NEXT)?.unwrap_or(1);
        let changes = number(META_CHANGES)?.unwrap_or(0);
        let removals = catalog.read(|tables| Removals::read(tables, changes))?;
        let lead = Lead {
            next_number,
            reserved: next_number,
            changes,
            keys_written: number(META_KEYS_WRITTEN)?.unwrap_or(0),
        };
        Ok(Commits {
            catalog,
            queue: Mutex::default(),
            done: Condvar::new(),
            lead: Mutex::new(lead),
            broken: Mutex::default(),
            removals: Mutex::new(removals),
            gone: Mutex::default(),
        })
    }

    /// The catalog, to be read.
    pub(in crate::partition) fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Takes `count` numbers that nobody has or had, and returns the first.
    pub(in crate::partition) fn take_numbers(&self, count: u64) -> Result<u64, StoreError> {
        let mut lead = self.lead.lock().map_err(|_| self.stopped(None))?;
        let first = lead.next_number;
        lead.next_number += count;
        Ok(first)
    }

    /// What removals have left. Does not wait for a change that is being made.
    pub(in crate::partition) fn removals(&self) -> Removals {
        *self.removals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the partition of this number was removed since the catalog was opened.
    pub(in crate::partition) fn is_gone(&self, partition: u64) -> bool {
        let gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        gone.contains(&partition)
    }

    /// The number of the last change that was made. Whoever takes a snapshot now sees all of them.
    pub(in crate::partition) fn changes(&self) -> Result<u64, StoreError> {
        let lead = self.lead.lock().map_err(|_| self.stopped(None))?;
        Ok(lead.changes)
    }

    /// Sees to it that nobody gets a number up to `number`.
    pub(in crate::partition) fn skip(&self, number: u64) -> Result<(), StoreError> {
        let mut lead = self.lead.lock().map_err(|_| self.stopped(None))?;
        lead.next_number = lead.next_number.max(number.saturating_add(1));
        Ok(())
    }

    /// Makes a change, together with whatever else is waiting. When this returns, it is durable,
    /// and what it published is seen.
    ///
    /// `change` must decide whether it can be made before it writes anything.
    pub(in crate::partition) fn commit<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Group<'_>) -> Result<T, Halt> + Send + 'static,
    ) -> Result<T, StoreError> {
        let ticket = Arc::new(Ticket(Mutex::new(State::Waiting(Box::new(change)))));
        let waiting: Arc<dyn Waiting> = ticket.clone();
        self.settle(&waiting)?;
        ticket
            .result()
            .expect("whoever leads settles every change that it took")
    }

    /// Waits until a change is settled, or leads and settles all that wait. `Err` if it did not come to be
    /// tried.
    fn settle(&self, ticket: &Arc<dyn Waiting>) -> Result<(), StoreError> {
        if self.catalog.is_read_only() {
            let path = self.catalog.path().to_owned();
            return Err(StoreError::ReadOnly { path });
        }
        let mut queue = self.queue();
        queue.waiting.push(ticket.clone());
        while queue.led {
            queue = self
                .done
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
            if ticket.is_settled() {
                return Ok(());
            }
        }
        queue.led = true;
        drop(queue);
        // Whatever happens, others must be able to lead after this.
        let _led = Led(self);
        // A panic of whoever led before may have left a group half done.
        let mut lead = self.lead.lock().map_err(|_| self.stopped(None))?;
        let group = std::mem::take(&mut self.queue().waiting);
        self.make(&mut lead, &group);
        Ok(())
    }

    /// Runs `work` while no change is being made.
    pub(super) fn pause<T>(&self, work: impl FnOnce() -> Result<T, Halt>) -> Result<T, StoreError> {
        let _lead = self.lead.lock().map_err(|_| self.stopped(None))?;
        if let Some(broken) = self.broken() {
            return Err(self.refusal(&broken));
        }
        match work() {
            Ok(done) => Ok(done),
            Err(Halt::Refused(error)) => Err(error),
            Err(Halt::Broken(error)) => {
                let source = self.break_off(error, true);
                Err(StoreError::NotWritten { source })
            }
        }
    }

    /// Runs `work` while no change is being made, if changes ended because there was no room. It
    /// gets the number of changes that were acknowledged, and says whether there can be others
    /// again; if not, there are none until the catalog is opened again. Returns what it says.
    pub(super) fn mend(
        &self,
        work: impl FnOnce(u64) -> Result<bool, StoreError>,
    ) -> Result<bool, StoreError> {
        let lead = self.lead.lock().map_err(|_| self.stopped(None))?;
        if !self.is_out_of_room() {
            return Ok(false);
        }
        let is_mended = work(lead.changes)?;
        let mut broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
        if is_mended {
            *broken = None;
        } else if let Some(broken) = &mut *broken {
            broken.is_final = true;
        }
        Ok(is_mended)
    }

    /// Whether changes ended because there was no room, and may be taken again when there is.
    pub(in crate::partition) fn is_out_of_room(&self) -> bool {
        let broken = self.broken();
        broken.is_some_and(|broken| !broken.is_final && broken.cause.is_no_room())
    }

    /// Why nothing can be changed now, if that is so. Does not wait for a change that is being made.
    pub(in crate::partition) fn failure(&self) -> Option<StoreError> {
        if self.lead.is_poisoned() {
            return Some(self.stopped(None));
        }
        match self.broken() {
            Some(broken) => Some(self.refusal(&broken)),
            None => self.catalog.still_there().err(),
        }
    }

    fn broken(&self) -> Option<Broken> {
        let broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
        broken.clone()
    }

    /// Takes no changes from now on.
    fn break_off(&self, error: StoreError, is_final: bool) -> Arc<StoreError> {
        let cause = Arc::new(error);
        let mut broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
        *broken = Some(Broken {
            cause: cause.clone(),
            is_final,
        });
        cause
    }

    fn make(&self, lead: &mut Lead, waiting: &[Arc<dyn Waiting>]) {
        if let Some(broken) = self.broken() {
            for ticket in waiting {
                ticket.fail(self.refusal(&broken));
            }
        } else if let Err(error) = self.write(lead, waiting) {
            let cause = self.break_off(error, false);
            for ticket in waiting {
                let source = cause.clone();
                ticket.fail(StoreError::NotWritten { source });
            }
        }
    }

    fn write(&self, lead: &mut Lead, waiting: &[Arc<dyn Waiting>]) -> Result<(), StoreError> {
        let path = self.catalog.path();
        let failed = |error: redb::Error| failure("write", path, error);
        let database = self.catalog.database()?;
        self.catalog.still_there()?;
        self.catalog.make_way();
        let transaction = database.begin_write().map_err(|e| failed(e.into()))?;
        let mut group = Group {
            path,
            transaction: &transaction,
            next_number: lead.next_number,
            changed: false,
            removals: Said::default(),
            number: lead.changes + 1,
            gone_before: &self.gone,
            gone: Vec::new(),
            snapshots: Vec::new(),
            events: Vec::new(),
        };
        for ticket in waiting {
            ticket.run(&mut group)?;
        }
        let Group {
            next_number,
            changed,
            removals: said,
            number: changes,
            gone,
            snapshots,
            mut events,
            ..
        } = group;
        if !changed {
            // Nothing to make durable: all were refused, or asked for what is so already.
            transaction.abort().map_err(|e| failed(e.into()))?;
            waiting.iter().for_each(|ticket| ticket.settle());
            return Ok(());
        }
        let mut reserved = lead.reserved;
        if next_number > reserved {
            reserved = next_number + NUMBERS_RESERVED;
            put_number(&transaction, META_NEXT, reserved).map_err(failed)?;
        }
        // Keys are durable before anything is sealed with them, so that this is never ahead of them.
        let keys = self.catalog.keys().map(|keys| keys.written_and_digest());
        let keys_written = keys.map_or(0, |(written, _)| written);
        if let Some(keys) = keys.filter(|_| keys_written != lead.keys_written) {
            put_keys(&transaction, keys).map_err(failed)?;
        }
        put_number(&transaction, META_CHANGES, changes).map_err(failed)?;
        let removals = said.write(self.removals(), changes, &transaction);
        let removals = removals.map_err(failed)?;
        transaction.commit().map_err(|e| failed(e.into()))?;
        // Also after it: whoever is told of the change believes that it stays.
        self.catalog.still_there()?;
        self.catalog.bear_witness(changes)?;
        lead.changes = changes;
        lead.keys_written = keys_written;
        lead.next_number = next_number;
        lead.reserved = reserved;
        *self.removals.lock().unwrap_or_else(PoisonError::into_inner) = removals;
        let mut gone_before = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        gone_before.extend(gone);
        drop(gone_before);
        for (shared, snapshot) in snapshots {
            let own = events.extract_if(.., |(of, _)| Arc::ptr_eq(of, &shared));
            let own: Vec<RecordEvent> = own.map(|(_, event)| event).collect();
            shared.publish(snapshot, &own);
        }
        // Not before: whoever is told believes that it is durable, and that everybody sees it.
        waiting.iter().for_each(|ticket| ticket.settle());
        Ok(())
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing that can panic is done with the queue in hand.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refusal(&self, broken: &Broken) -> StoreError {
        match !broken.is_final && broken.cause.is_no_room() {
            true => StoreError::NoRoom {
                path: self.catalog.path().to_owned(),
                source: broken.cause.clone(),
            },
            false => self.stopped(Some(&broken.cause)),
        }
    }

    fn stopped(&self, cause: Option<&Arc<StoreError>>) -> StoreError {
        StoreError::Stopped {
            path: self.catalog.path().to_owned(),
            source: cause.cloned(),
        }
    }
}

/// Ends a lead when it is dropped.
struct Led<'a>(&'a Commits);

impl Drop for Led<'_> {
    fn drop(&mut self) {
        self.0.queue().led = false;
        self.0.done.notify_all();
    }
}

impl<'a> Group<'a> {
    /// A partition as the changes before this one in the group leave it. Whatever changes a partition
    /// begins with this, so that nothing is added to one that was removed.
    ///
    /// # Errors
    ///
    /// If it was removed.
    pub(in crate::partition) fn snapshot(&self, shared: &Arc<Shared>) -> Result<Snapshot, Halt> {
        let number = shared.number();
        let gone_before = self.gone_before.lock();
        let gone_before = gone_before.unwrap_or_else(PoisonError::into_inner);
        if gone_before.contains(&number) || self.gone.contains(&number) {
            let partition = PartitionId::clone(&shared.snapshot().partition);
            return Err(StoreError::PartitionRemoved { partition }.into());
        }
        let mut pending = self.snapshots.iter();
        Ok(match pending.find(|(of, _)| Arc::ptr_eq(of, shared)) {
            Some((_, snapshot)) => snapshot.clone(),
            None => shared.snapshot(),
        })
    }

    /// What readers of a partition see once the group is durable.
    pub(in crate::partition) fn publish(&mut self, shared: &Arc<Shared>, snapshot: Snapshot) {
        self.snapshots.retain(|(of, _)| !Arc::ptr_eq(of, shared));
        self.snapshots.push((shared.clone(), snapshot));
    }

    /// The same, of a snapshot that shows the same templates in another way.
    pub(in crate::partition) fn republish(&mut self, shared: &Arc<Shared>, snapshot: Snapshot) {
        // Only a group that changes something publishes.
        self.changed = true;
        self.publish(shared, snapshot);
    }

    /// The number of this change, by which it is known whether what it removes is overwritten.
    pub(in crate::partition) fn number(&self) -> u64 {
        self.number
    }

    /// Takes `count` numbers that nobody has or had, and returns the first.
    pub(in crate::partition) fn take_numbers(&mut self, count: u64) -> u64 {
        let first = self.next_number;
        self.next_number += count;
        first
    }

    /// Adds a partition unless it is there, and returns what the catalog now says of it.
    pub(in crate::partition) fn create_partition(
        &mut self,
        name: &str,
        encoder: &EncoderId,
        created_unix_milliseconds: i64,
    ) -> Result<PartitionEntry, Halt> {
        let mut table = self.write(|transaction| Ok(transaction.open_table(PARTITIONS)?))?;
        let key = key_of_name(name);
        let present = table.get(name).map_err(|error| self.broken(error))?;
        if let Some(value) = present {
            return Ok(parse(self.path, &key, value.value())?);
        }
        drop(present);
        let entry = PartitionEntry {
            partition: self.take_numbers(1),
            encoder: encoder.clone(),
            created_unix_milliseconds,
        };
        self.write(|_| {
            table.insert(name, &*sealed(&key, &json(&entry)))?;
            Ok(())
        })?;
        self.changed = true;
        Ok(entry)
    }

    /// Changes a partition.
    pub(in crate::partition) fn apply(
        &mut self,
        partition: u64,
        change: &Change<'_>,
    ) -> Result<(), Halt> {
        self.changed = true;
        self.write(|transaction| {
            let mut tail = transaction.open_table(TAIL)?;
            for template in change.add_to_tail {
                let key = key_of_numbers(&[partition, template.info.template]);
                let value = sealed(&key, &template.to_bytes());
                tail.insert((partition, template.info.template), &*value)?;
            }
            for template in change.remove_from_tail {
                tail.remove((partition, *template))?;
            }
            drop(tail);
            if change.add_segment.is_some() || !change.remove_segments.is_empty() {
                let mut segments = transaction.open_table(SEGMENTS)?;
                if let Some((segment, entry)) = change.add_segment {
                    let key = key_of_numbers(&[partition, segment]);
                    segments.insert((partition, segment), &*sealed(&key, &json(entry)))?;
                }
                let mut retired = transaction.open_table(RETIRED)?;
                for segment in change.remove_segments {
                    // What is said of it, with its checksum, stays the same.
                    if let Some(entry) = segments.remove((partition, *segment))? {
                        retired.insert((partition, *segment), entry.value())?;
                    }
                }
            }
            if !change.bury.is_empty() || !change.remove_segments.is_empty() {
                let mut tombstones = transaction.open_table(TOMBSTONES)?;
                for segment in change.remove_segments {
                    let all = (partition, *segment, 0)..=(partition, *segment, u64::MAX);
                    tombstones.retain_in(all, |_, _| false)?;
                }
                for (segment, row) in change.bury {
                    let key = key_of_numbers(&[partition, *segment, *row]);
                    tombstones.insert((partition, *segment, *row), &*sealed(&key, &[]))?;
                }
            }
            Ok(())
        })
    }

    /// Has the catalog know how often the key file was written, though nothing else changes.
    pub(in crate::partition) fn count_keys(&mut self) {
        self.changed = true;
    }

    /// Forgets retired segments of a partition, whose files are gone.
    pub(in crate::partition) fn forget_retired(
        &mut self,
        partition: u64,
        segments: &[u64],
    ) -> Result<(), Halt> {
        self.changed = true;
        self.write(|transaction| {
            let mut retired = transaction.open_table(RETIRED)?;
            for segment in segments {
                retired.remove((partition, *segment))?;
            }
            Ok(())
        })
    }

    /// Replaces a value of the layers above by what `change` makes of it; `None` is no value.
    pub(in crate::partition) fn update_state<T>(
        &mut self,
        area: &str,
        key: &str,
        change: impl FnOnce(Option<&[u8]>) -> (Option<Vec<u8>>, T),
    ) -> Result<T, Halt> {
        let mut table = self.write(|transaction| Ok(transaction.open_table(STATE)?))?;
        let sealing = key_of_state(area, key);
        let present = table.get((area, key)).map_err(|error| self.broken(error))?;
        let present = present.map(|value| value.value().to_vec());
        let value = match &present {
            Some(bytes) => {
                let value = unsealed(&sealing, bytes);
                Some(value.map_err(|what| damage(self.path, what))?)
            }
            None => None,
        };
        let (next, result) = change(value);
        if next.as_deref() == value {
            return Ok(result);
        }
        self.write(|_| {
            match next {
                Some(value) => drop(table.insert((area, key), &*sealed(&sealing, &value))?),
                None => drop(table.remove((area, key))?),
            }
            Ok(())
        })?;
        self.changed = true;
        Ok(result)
    }

    /// Removes values of the layers above, whatever they are. Returns how many there were.
    pub(in crate::partition) fn remove_state(
        &mut self,
        area: &str,
        keys: &[String],
    ) -> Result<usize, Halt> {
        let removed = self.write(|transaction| {
            let mut table = transaction.open_table(STATE)?;
            let mut removed = 0;
            for key in keys {
                removed += usize::from(table.remove((area, key.as_str()))?.is_some());
            }
            Ok(removed)
        })?;
        self.changed |= removed > 0;
        Ok(removed)
    }

    /// Keeps a value of the layers above, whatever was there before.
    pub(in crate::partition) fn put_state(
        &mut self,
        area: &str,
        key: &str,
        value: &[u8],
    ) -> Result<(), Halt> {
        self.write(|transaction| {
            let mut table = transaction.open_table(STATE)?;
            table.insert((area, key), &*sealed(&key_of_state(area, key), value))?;
            Ok(())
        })?;
        self.changed = true;
        Ok(())
    }

    pub(super) fn write<T>(
        &self,
        write: impl FnOnce(&'a WriteTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, Halt> {
        write(self.transaction).map_err(|error| self.broken(error))
    }

    pub(super) fn broken(&self, error: impl Into<redb::Error>) -> Halt {
        Halt::Broken(failure("write", self.path, error))
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain structures always serialise")
}

/// A change in the queue, whatever its result is.
trait Waiting: std::fmt::Debug + Send + Sync {
    /// Makes the change, and keeps the result to itself; an error ends the whole group.
    fn run(&self, group: &mut Group<'_>) -> Result<(), StoreError>;
    /// Tells the result, once the group is durable.
    fn settle(&self);
    /// Ends the change with an error that ended its group.
    fn fail(&self, error: StoreError);
    /// Whether the result is told, or the change has ended.
    fn is_settled(&self) -> bool;
}

type Make<T> = Box<dyn FnOnce(&mut Group<'_>) -> Result<T, Halt> + Send>;

struct Ticket<T>(Mutex<State<T>>);

enum State<T> {
    Waiting(Make<T>),
    /// Also while it is being made.
    Taken,
    /// The group is not durable yet, and may fail.
    Made(Result<T, StoreError>),
    Settled(Result<T, StoreError>),
}

impl<T> Ticket<T> {
    fn replace(&self, state: State<T>) -> State<T> {
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *place, state)
    }

    /// The result, once. Whoever leads may be settling it at the same time.
    fn result(&self) -> Option<Result<T, StoreError>> {
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*place {
            State::Settled(_) => match std::mem::replace(&mut *place, State::Taken) {
                State::Settled(result) => Some(result),
                _ => unreachable!("it was settled a moment ago"),
            },
            _ => None,
        }
    }
}

impl<T: Send> Waiting for Ticket<T> {
    fn run(&self, group: &mut Group<'_>) -> Result<(), StoreError> {
        let State::Waiting(make) = self.replace(State::Taken) else {
            unreachable!("a change is made once");
        };
        let result = match make(group) {
            Ok(value) => Ok(value),
            Err(Halt::Refused(error)) => Err(error),
            Err(Halt::Broken(error)) => return Err(error),
        };
        self.replace(State::Made(result));
        Ok(())
    }

    fn settle(&self) {
        let State::Made(result) = self.replace(State::Taken) else {
            unreachable!("a change is settled after it was made");
        };
        self.replace(State::Settled(result));
    }

    fn fail(&self, error: StoreError) {
        self.replace(State::Settled(Err(error)));
    }

    fn is_settled(&self) -> bool {
        let place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(*place, State::Settled(_))
    }
}

impl<T> std::fmt::Debug for Ticket<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ticket")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::tables::META_VERSION;
    use super::*;
    use crate::partition::Keys;
    use crate::partition::disk::RealDisk;

    fn open(directory: &Path) -> Result<Commits, StoreError> {
        Commits::new(Catalog::open(directory, &RealDisk, &Keys::default())?)
    }

    #[test]
    fn a_catalog_of_a_newer_version_is_refused_and_left_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let commits = open(directory.path()).unwrap();
        let transaction = commits.catalog.database().unwrap().begin_write().unwrap();
        put_number(&transaction, META_VERSION, 4).unwrap();
        transaction.commit().unwrap();
        drop(commits);
        for _ in 0..2 {
            let error = open(directory.path()).unwrap_err();
            let StoreError::Version { found, newest, .. } = error else {
                panic!("{error}");
            };
            assert_eq!((found, newest), (4, 3));
            assert!(error.to_string().contains("use a newer build"), "{error}");
        }
    }

    #[test]
    fn a_number_that_something_durable_bears_never_comes_back() {
        let directory = tempfile::tempdir().unwrap();
        let commits = open(directory.path()).unwrap();
        assert_eq!(commits.take_numbers(5).unwrap(), 1);
        let taken = commits.commit(|group| {
            group.update_state("area", "key", |_| (Some(vec![1]), ()))?;
            Ok(group.take_numbers(2))
        });
        assert_eq!(taken.unwrap(), 6);
        drop(commits);
        assert!(open(directory.path()).unwrap().take_numbers(1).unwrap() >= 8);
    }

    #[test]
    fn a_refused_change_does_not_harm_its_group() {
        let directory = tempfile::tempdir().unwrap();
        let commits = Arc::new(open(directory.path()).unwrap());
        commits.queue().led = true;
        let put = |key: &'static str, refuse: bool| {
            let commits = commits.clone();
            std::thread::spawn(move || {
                commits.commit(move |group| {
                    if refuse {
                        return Err(Halt::Refused(StoreError::Interrupted));
                    }
                    group.update_state("area", key, |_| (Some(vec![1]), ()))
                })
            })
        };
        let threads = [put("a", false), put("b", true), put("c", false)];
        while commits.queue().waiting.len() < 3 {
            std::thread::yield_now();
        }
        drop(Led(&commits));
        let results = threads.map(|thread| thread.join().unwrap());
        assert!(results[0].is_ok() && results[2].is_ok());
        assert!(matches!(results[1], Err(StoreError::Interrupted)));
        let listed = commits.catalog.read(|tables| tables.state_list("area"));
        assert_eq!(listed.unwrap().len(), 2);
    }

    #[test]
    fn nobody_is_told_before_the_group_is_durable() {
        let directory = tempfile::tempdir().unwrap();
        let commits = Arc::new(open(directory.path()).unwrap());
        commits.queue().led = true;
        let told = Arc::new(AtomicUsize::new(0));
        let put = |key: &'static str| {
            let (commits, told) = (commits.clone(), told.clone());
            let (waking, told_meanwhile) = (commits.clone(), told.clone());
            std::thread::spawn(move || {
                let done = commits.commit(move |group| {
                    // Whoever is not leading gets every chance to go on.
                    waking.done.notify_all();
                    std::thread::sleep(std::time::Duration::from_millis(50));
                    assert_eq!(told_meanwhile.load(Ordering::SeqCst), 0);
                    group.update_state("area", key, |_| (Some(vec![1]), ()))
                });
                told.fetch_add(1, Ordering::SeqCst);
                done
            })
        };
        let threads = [put("a"), put("b"), put("c")];
        while commits.queue().waiting.len() < 3 {
            std::thread::yield_now();
        }
        drop(Led(&commits));
        for thread in threads {
            thread.join().unwrap().unwrap();
        }
    }

    #[test]
    fn many_at_once_are_each_made_once() {
        let directory = tempfile::tempdir().unwrap();
        let commits = Arc::new(open(directory.path()).unwrap());
        let count = |value: Option<&[u8]>| {
            let before = value.map_or(0, |value| u16::from_le_bytes([value[0], value[1]]));
            (Some((before + 1).to_le_bytes().to_vec()), before + 1)
        };
        let callers = [(); 16].map(|()| {
            let commits = commits.clone();
            std::thread::spawn(move || -> Vec<u16> {
                let one = |_| commits.commit(move |group| group.update_state("a", "k", count));
                (0..200).map(one).collect::<Result<_, _>>().unwrap()
            })
        });
        let mut told: Vec<u16> = callers
            .into_iter()
            .flat_map(|it| it.join().unwrap())
            .collect();
        told.sort_unstable();
        assert_eq!(told, (1..=3200).collect::<Vec<u16>>());
    }

    #[test]
    fn a_panic_stops_all_later_changes() {
        let directory = tempfile::tempdir().unwrap();
        let commits = Arc::new(open(directory.path()).unwrap());
        let panicking = commits.clone();
        let thread = std::thread::spawn(move || panicking.commit::<()>(|_| panic!("a mistake")));
        assert!(thread.join().is_err());
        let error = commits.commit(|_| Ok(())).unwrap_err();
        assert!(matches!(error, StoreError::Stopped { .. }), "{error}");
    }
}
