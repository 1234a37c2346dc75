//! Whether opening a catalog would leave out its last change.
//!
//! A change that a crash has torn is left out by redb, which goes on with the one before. That is right
//! if nobody was told that it was made, and [`super::witness`] knows. Where the witness says nothing, a
//! change that was acknowledged and damaged since looks the same. So then it is tried on a copy in
//! memory what redb would do, before it does it to the file.
//!
//! How redb tells: it repairs in three steps, reports 0.3 only if the newest commit is not whole, and
//! ends with a commit of its own, into the slot that it has not taken. So the bit of its header that says
//! which slot counts is another one after an open, unless it has taken the other slot
//! (`docs/design.md` of redb, "Commit slots" and "Repair").

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use redb::backends::InMemoryBackend;
use redb::{Database, ReadableDatabase, StorageBackend};

use super::database::{builder, fill, readable};
use super::enciphered::Enciphered;
use super::failures::{failure, guarded};
use super::tables::{FIRST_CHANGE, Tables};
use crate::partition::StoreError;
use crate::partition::disk::{Backend, Disk, closed_and_locked_as};
use crate::partition::keys::KeyFile;

/// Where the header of redb says which slot counts, and by which bit.
const SLOT_BYTE: usize = 9;
const SLOT_BIT: u8 = 1;

/// What redb reports of its progress when the newest commit is not whole, and when it goes on.
const FELL_BACK: std::ops::Range<f64> = 0.15..0.45;

/// Whether the last change that a catalog has, whole or not, is not the one that would be opened.
///
/// `false` also where it cannot be opened at all: whoever opens it is told why.
pub(super) fn leaves_out_a_change(
    path: &Path,
    disk: &dyn Disk,
    keys: Option<&KeyFile>,
) -> Result<bool, StoreError> {
    let failed = |error| StoreError::io("read", path, error);
    let mut file = disk
        .open(path)
        .map_err(|error| StoreError::io("open", path, error))?;
    let copy = InMemoryBackend::new();
    fill(&copy, &mut file).map_err(failed)?;
    let copy = Backend(Box::new(copy));
    let (copy, has_torn_page) = match keys {
        Some(keys) => {
            let pages = Enciphered::open(copy, path, keys)?;
            let is_torn = pages.has_torn_first();
            (Backend(Box::new(pages)), is_torn)
        }
        None => (readable(copy, path, None)?.0, false),
    };
    let mut start = [0; SLOT_BYTE + 1];
    if copy.len().map_err(failed)? < start.len() as u64 {
        return Ok(false);
    }
    copy.read(0, &mut start).map_err(failed)?;
    let before = start[SLOT_BYTE] & SLOT_BIT;
    let slot = Arc::new(AtomicU8::new(before));
    let fell_back = Arc::new(AtomicBool::new(false));
    let watched = Watched {
        inner: copy,
        slot: slot.clone(),
    };
    let noted = fell_back.clone();
    let opened = guarded(path, || {
        let mut builder = builder();
        builder.set_repair_callback(move |session| {
            if FELL_BACK.contains(&session.progress()) {
                noted.store(true, Ordering::Relaxed);
            }
        });
        let database = builder.create_with_backend(watched);
        database.map_err(|error| failure("open", path, error))
    });
    let Ok(opened) = opened else {
        return Ok(false);
    };
    let after = slot.load(Ordering::Relaxed);
    let is_left_out = has_torn_page || fell_back.load(Ordering::Relaxed) || after == before;
    // The witness comes after the first one, and before any other.
    Ok(is_left_out && changes_of(&opened, path).is_ok_and(|changes| changes > FIRST_CHANGE))
}

/// How many changes a catalog counts.
fn changes_of(database: &Database, path: &Path) -> Result<u64, StoreError> {
    let transaction = database.begin_read();
    let transaction = transaction.map_err(|error| failure("read", path, error))?;
    let (_, changes) = Tables { path, transaction }.age()?;
    Ok(changes)
}

/// A file of which it is noted which slot counts, as its header is written.
#[derive(Debug)]
struct Watched {
    inner: Backend,
    slot: Arc<AtomicU8>,
}

impl StorageBackend for Watched {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.inner.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if let (0, Some(byte)) = (offset, data.get(SLOT_BYTE)) {
            self.slot.store(byte & SLOT_BIT, Ordering::Relaxed);
        }
        self.inner.write(offset, data)
    }

    closed_and_locked_as!(inner);
}
