//! A disk that records every write and sync, fails when told, and shows what a crash would leave.
//!
//! Faults that it injects, and that a data directory must survive:
//!
//! * A crash between any two calls. Of what was not synced, everything is kept, nothing, or any
//!   part: later writes without earlier ones, and single sectors of a write.
//! * The name of a file is as durable as its directory: a new file may be gone though its contents
//!   were synced, a removed or renamed one may be back.
//! * Any call fails, once (`EIO`) or from then on (`ENOSPC`); a failed write may have written a
//!   part, and after a failed sync the bytes may be there or not.
//!
//! Not injected: bytes that change by themselves, which checksums are tested for elsewhere.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rand::rngs::StdRng;
use rand::{Rng, RngExt};
use redb::{BackendError, StorageBackend};

use crate::partition::disk::{Backend, Disk, DiskFile, RealDisk};

/// A disk keeps or loses what was not synced in pieces of this size.
const SECTOR_BYTES: usize = 512;

/// Something that was done to a disk, in order.
#[derive(Clone, Debug)]
pub(super) enum Event {
    CreateDirectory(PathBuf),
    /// A name now stands for an empty file.
    Create(PathBuf, usize),
    Write(usize, u64, Arc<[u8]>),
    SetLength(usize, u64),
    Sync(usize),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
    /// Two files have got each other's name.
    Exchange(PathBuf, PathBuf),
    SyncDirectory(PathBuf),
    /// So many operations of the workload have returned.
    Acknowledged(usize),
}

/// What to do with one call.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// The call fails, and all others succeed.
    Once,
    /// The call fails, and every one after it, until [`FaultyDisk::make_room`].
    FromThenOn,
}

#[derive(Debug, Default)]
struct State {
    events: Vec<Event>,
    /// Which file a name stands for.
    names: BTreeMap<PathBuf, usize>,
    files: usize,
    calls: usize,
    fault: Option<(usize, Fault)>,
    failed: bool,
}

/// The real disk, with every call recorded.
#[derive(Clone, Debug, Default)]
pub(super) struct FaultyDisk(Arc<Mutex<State>>);

impl FaultyDisk {
    /// A disk on which the call numbered `at` (from 0) fails.
    pub(super) fn failing(at: usize, fault: Fault) -> FaultyDisk {
        let disk = FaultyDisk::default();
        disk.0.lock().unwrap().fault = Some((at, fault));
        disk
    }

    /// Records that the workload was told that its operation numbered `count` (from 1) is done.
    pub(super) fn acknowledge(&self, count: usize) {
        self.record(Event::Acknowledged(count));
    }

    pub(super) fn events(&self) -> Vec<Event> {
        self.0.lock().unwrap().events.clone()
    }

    /// How many calls could have failed so far.
    pub(super) fn calls(&self) -> usize {
        self.0.lock().unwrap().calls
    }

    /// No call fails from now on.
    pub(super) fn make_room(&self) {
        self.0.lock().unwrap().fault = None;
    }

    /// Whether the call that was to fail has been made.
    pub(super) fn has_failed(&self) -> bool {
        self.0.lock().unwrap().failed
    }

    fn record(&self, event: Event) {
        self.0.lock().unwrap().events.push(event);
    }

    /// Counts a call, and fails it if it is the one.
    fn call(&self) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        let call = state.calls;
        state.calls += 1;
        let errno = match state.fault {
            Some((at, Fault::Once)) if at == call => EIO,
            Some((at, Fault::FromThenOn)) if at <= call => ENOSPC,
            _ => return Ok(()),
        };
        state.failed = true;
        Err(io::Error::from_raw_os_error(errno))
    }

    fn name(&self, path: &Path, is_new: bool) -> usize {
        let mut state = self.0.lock().unwrap();
        if let (false, Some(file)) = (is_new, state.names.get(path)) {
            return *file;
        }
        let file = state.files;
        state.files += 1;
        state.names.insert(path.to_owned(), file);
        state.events.push(Event::Create(path.to_owned(), file));
        file
    }
}

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

impl Disk for FaultyDisk {
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.call()?;
        RealDisk.create_directory(path)?;
        // The real one syncs the directory above before it returns.
        self.record(Event::CreateDirectory(path.to_owned()));
        Ok(())
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        self.call()?;
        RealDisk.list(directory)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.call()?;
        let file = RealDisk.create(path)?;
        let (disk, number) = (self.clone(), self.name(path, true));
        Ok(Box::new(FaultyFile { disk, number, file }))
    }

    fn modify(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.call()?;
        let file = RealDisk.modify(path)?;
        let (disk, number) = (self.clone(), self.name(path, false));
        Ok(Box::new(FaultyFile { disk, number, file }))
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        self.call()?;
        RealDisk.open(path)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call()?;
        RealDisk.remove(path)?;
        self.0.lock().unwrap().names.remove(path);
        self.record(Event::Remove(path.to_owned()));
        Ok(())
    }

    fn remove_directory(&self, path: &Path) -> io::Result<bool> {
        self.call()?;
        // A crash may leave it, and here always does.
        RealDisk.remove_directory(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call()?;
        RealDisk.rename(from, to)?;
        let mut state = self.0.lock().unwrap();
        let file = state.names.remove(from).unwrap();
        state.names.insert(to.to_owned(), file);
        let event = Event::Rename(from.to_owned(), to.to_owned());
        state.events.push(event);
        Ok(())
    }

    fn replace(&self, new: &Path, old: &Path) -> io::Result<bool> {
        self.call()?;
        let is_named = RealDisk.replace(new, old)?;
        let mut state = self.0.lock().unwrap();
        let file = state.names.remove(new).unwrap();
        let replaced = state.names.insert(old.to_owned(), file);
        let (new, old) = (new.to_owned(), old.to_owned());
        let event = match (is_named, replaced) {
            (true, Some(replaced)) => {
                state.names.insert(new.clone(), replaced);
                Event::Exchange(new, old)
            }
            _ => Event::Rename(new, old),
        };
        state.events.push(event);
        Ok(is_named)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.call()?;
        self.record(Event::SyncDirectory(path.to_owned()));
        Ok(())
    }

    fn database(&self, path: &Path) -> io::Result<Backend> {
        self.call()?;
        let inner = RealDisk.database(path)?;
        let (disk, number) = (self.clone(), self.name(path, false));
        Ok(Backend(Box::new(FaultyDatabase {
            disk,
            number,
            inner,
        })))
    }

    fn new_identity(&self) -> u64 {
        RealDisk.new_identity()
    }
}

#[derive(Debug)]
struct FaultyFile {
    disk: FaultyDisk,
    number: usize,
    file: Box<dyn DiskFile>,
}

impl DiskFile for FaultyFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let called = self.disk.call();
        // A write that fails may have begun.
        let written = if called.is_ok() {
            bytes
        } else {
            &bytes[..bytes.len() / 2]
        };
        self.file.write_at(written, offset)?;
        self.disk
            .record(Event::Write(self.number, offset, written.into()));
        called
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.disk.call()?;
        self.file.set_length(length)?;
        self.disk.record(Event::SetLength(self.number, length));
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        self.disk.call()?;
        self.file.length()
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.call()?;
        self.disk.record(Event::Sync(self.number));
        Ok(())
    }
}

#[derive(Debug)]
struct FaultyDatabase {
    disk: FaultyDisk,
    number: usize,
    inner: Backend,
}

type Bound = std::ops::Bound<u64>;

impl StorageBackend for FaultyDatabase {
    fn len(&self) -> io::Result<u64> {
        self.disk.call()?;
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.disk.call()?;
        self.inner.read(offset, out)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.disk.call()?;
        self.inner.set_len(length)?;
        self.disk.record(Event::SetLength(self.number, length));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.call()?;
        self.disk.record(Event::Sync(self.number));
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let called = self.disk.call();
        let written = if called.is_ok() {
            data
        } else {
            &data[..data.len() / 2]
        };
        self.inner.write(offset, written)?;
        self.disk
            .record(Event::Write(self.number, offset, written.into()));
        called
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }

    fn try_lock_range(&self, start: Bound, end: Bound) -> Result<bool, BackendError> {
        self.inner.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound, end: Bound) -> Result<bool, BackendError> {
        self.inner.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound, end: Bound) -> Result<(), BackendError> {
        self.inner.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound, end: Bound) -> Result<(), BackendError> {
        self.inner.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound, end: Bound) -> Result<(), BackendError> {
        self.inner.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound, end: Bound) -> Result<bool, BackendError> {
        self.inner.query_lock_range(start, end)
    }
}

/// What a crash does to that which was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Crash {
    /// All of it reached the disk.
    Keep,
    /// None of it did.
    Drop,
    /// Any of the writes did, and of each any sectors.
    Tear,
}

/// What the disk holds after some events: what is certain, and what is not synced.
#[derive(Clone, Default)]
pub(super) struct World {
    directories: Vec<PathBuf>,
    /// Durable contents, and the events after them.
    files: BTreeMap<usize, (Vec<u8>, Vec<Event>)>,
    /// Durable names, and the events after them by directory.
    names: BTreeMap<PathBuf, usize>,
    renamed: BTreeMap<PathBuf, Vec<Event>>,
}

impl World {
    pub(super) fn add(&mut self, event: &Event) {
        match event {
            Event::CreateDirectory(path) => {
                // One above another, as they were made.
                let mut above: Vec<&Path> = path.ancestors().collect();
                above.reverse();
                self.directories
                    .extend(above.into_iter().map(Path::to_owned));
            }
            Event::Write(file, ..) | Event::SetLength(file, _) => {
                let (_, pending) = self.files.entry(*file).or_default();
                pending.push(event.clone());
            }
            Event::Sync(file) => {
                let (bytes, pending) = self.files.entry(*file).or_default();
                pending.drain(..).for_each(|event| apply(bytes, &event));
            }
            Event::Create(path, _)
            | Event::Remove(path)
            | Event::Rename(path, _)
            | Event::Exchange(path, _) => {
                let directory = path.parent().unwrap().to_owned();
                self.renamed
                    .entry(directory)
                    .or_default()
                    .push(event.clone());
            }
            Event::SyncDirectory(path) => {
                let pending = self.renamed.remove(path).unwrap_or_default();
                pending
                    .iter()
                    .for_each(|event| rename(&mut self.names, event));
            }
            Event::Acknowledged(_) => {}
        }
    }

    /// Writes what a crash would leave into `to`, for names below `from`.
    pub(super) fn crash(&self, crash: Crash, random: &mut StdRng, from: &Path, to: &Path) {
        let moved = |path: &Path| to.join(path.strip_prefix(from).unwrap());
        for directory in self
            .directories
            .iter()
            .filter(|path| path.starts_with(from))
        {
            std::fs::create_dir_all(moved(directory)).unwrap();
        }
        let mut names = self.names.clone();
        for pending in self.renamed.values() {
            // Names change in order, and some of the last changes may be lost.
            let kept = match crash {
                Crash::Keep => pending.len(),
                Crash::Drop => 0,
                Crash::Tear => random.random_range(0..=pending.len()),
            };
            pending[..kept]
                .iter()
                .for_each(|event| rename(&mut names, event));
        }
        for (path, file) in names {
            let (bytes, pending) = self.files.get(&file).cloned().unwrap_or_default();
            std::fs::write(moved(&path), torn(bytes, &pending, crash, random)).unwrap();
        }
    }
}

fn torn(mut bytes: Vec<u8>, pending: &[Event], crash: Crash, random: &mut StdRng) -> Vec<u8> {
    for event in pending {
        match (crash, event) {
            (Crash::Drop, _) => {}
            (Crash::Keep, event) => apply(&mut bytes, event),
            // Half of the writes come whole or not at all, so that whole ones out of order are met
            // too.
            (Crash::Tear, Event::Write(..)) if random.random_bool(0.5) => {
                if random.random_bool(0.5) {
                    apply(&mut bytes, event);
                }
            }
            (Crash::Tear, Event::Write(file, offset, written)) => {
                for (at, sector) in written.chunks(SECTOR_BYTES).enumerate() {
                    if random.random_bool(0.5) {
                        let offset = offset + (at * SECTOR_BYTES) as u64;
                        apply(&mut bytes, &Event::Write(*file, offset, sector.into()));
                    }
                }
            }
            (Crash::Tear, event) => {
                if random.random_bool(0.5) {
                    apply(&mut bytes, event);
                }
            }
        }
    }
    bytes
}

fn apply(bytes: &mut Vec<u8>, event: &Event) {
    match event {
        Event::Write(_, offset, written) => {
            let start = usize::try_from(*offset).unwrap();
            let end = start + written.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[start..end].copy_from_slice(written);
        }
        Event::SetLength(_, length) => bytes.resize(usize::try_from(*length).unwrap(), 0),
        other => unreachable!("{other:?} does not change a file"),
    }
}

fn rename(names: &mut BTreeMap<PathBuf, usize>, event: &Event) {
    match event {
        Event::Create(path, file) => drop(names.insert(path.clone(), *file)),
        Event::Remove(path) => drop(names.remove(path)),
        Event::Rename(from, to) => {
            if let Some(file) = names.remove(from) {
                names.insert(to.clone(), file);
            }
        }
        Event::Exchange(one, other) => {
            let (of_one, of_other) = (names.remove(one), names.remove(other));
            names.extend(of_one.map(|file| (other.clone(), file)));
            names.extend(of_other.map(|file| (one.clone(), file)));
        }
        other => unreachable!("{other:?} does not change a name"),
    }
}

/// A seed that nobody chose, printed so that a failure can be repeated; `VULTUS_SEED` sets it.
pub(super) fn seed() -> u64 {
    let chosen = std::env::var("VULTUS_SEED").ok();
    let seed = chosen.map(|text| text.parse().expect("VULTUS_SEED is a whole number"));
    let seed = seed.unwrap_or_else(|| rand::rng().next_u64());
    println!("VULTUS_SEED={seed}");
    seed
}
