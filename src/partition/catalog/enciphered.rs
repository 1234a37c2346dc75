//! A database file of which every page is encrypted.
//!
//! redb sees pages of 4,096 bytes; in the file each is followed by its seal. A page that was never
//! written is zeros in the file, too, and reads as zeros: redb has checksums of all that it will read
//! again, and finds out if a page that it wrote is one.
//!
//! While a file is opened, a page that does not authenticate reads as zeros, too. A crash may have torn
//! it, and whether a commit is whole is what redb compares every page with its checksum for before it
//! believes the file; if one is not, it takes the commit before. From then on such a page is an error.
//!
//! redb writes pages that nobody needs if the write is torn: the last commit does not know them. The
//! one exception is its header, in the first page, which it changes in place and trusts a disk not to
//! tear within a sector. A sealed page is longer than that, and useless if it is torn. So the first
//! page has two slots in turn: one has what was last synced, and is not touched until the other is
//! synced with what came after. Each write of it has a higher generation, and the highest that is
//! whole counts.
//!
//! What comes from another file, another place or another generation does not authenticate. An older
//! page in its own place does. When a file is opened, redb compares every page with the checksum in the
//! page that names it, and an older file as a whole is found by [`super::witness`]. While it is open, redb
//! believes what it reads: so the tag of each page that was read or written is remembered ([`Remembered`]),
//! and another one in its place is an error.

use std::io;
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use redb::StorageBackend;

use super::failures::damage;
use crate::partition::StoreError;
use crate::partition::disk::{Backend, closed_and_locked_as};
use crate::partition::keys::KeyFile;
use crate::partition::segment::checksum;
use crate::secrets::{
    KeyError, PAGE_SEAL_BYTES, PageCipher, PageSeal, SALT_BYTES, Salt, TAG_BYTES, new_salt,
};

/// The first bytes of an encrypted catalog.
pub(in crate::partition) const ENCIPHERED_MAGIC: [u8; 8] = *b"VULTCAT\x1a";
/// The version that is written and read.
const VERSION: u32 = 1;
/// What comes before the pages.
const HEADER_BYTES: usize = 4096;
/// What redb reads and writes whole.
const PAGE_BYTES: usize = 4096;
/// A page, its seal, and its generation.
const SLOT_BYTES: usize = PAGE_BYTES + PAGE_SEAL_BYTES + 8;
/// Pages that are read or written at once.
const RUN_PAGES: usize = 256;
/// What a page belongs to.
const PURPOSE: &[u8] = b"vultus catalog 1";

type Page = [u8; PAGE_BYTES];

/// A database file, encrypted.
#[derive(Debug)]
pub(super) struct Enciphered {
    inner: Backend,
    cipher: PageCipher,
    identity: u64,
    first: Mutex<First>,
    /// Held alone while pages are written, so that a page and what is remembered of it are of one moment.
    remembered: RwLock<Remembered>,
    /// Whether redb has compared all pages with their checksums.
    is_believed: Arc<AtomicBool>,
}

/// What every page was when it was last read or written: a part of its tag, by its number. That takes eight bytes a
/// page. An older copy of a page is one of few, so that it has the same with a chance of 2^-64 for each.
#[derive(Debug, Default)]
struct Remembered(Vec<Option<NonZeroU64>>);

impl Remembered {
    fn get(&self, number: u64) -> Option<NonZeroU64> {
        let at = usize::try_from(number).ok()?;
        *self.0.get(at)?
    }

    fn set(&mut self, number: u64, mark: Option<NonZeroU64>) {
        let at = usize::try_from(number).expect("a page that is written has a place in a file");
        if self.0.len() <= at {
            self.0.resize(at + 1, None);
        }
        self.0[at] = mark;
    }
}

/// What is remembered of a slot; `None` of one that was never written.
fn mark_of(slot: &[u8]) -> Option<NonZeroU64> {
    let tag = slot.get(SLOT_BYTES - 8 - TAG_BYTES..)?.first_chunk()?;
    NonZeroU64::new(u64::from_le_bytes(*tag))
}

/// The first page, and where it is.
#[derive(Debug)]
struct First {
    page: Box<Page>,
    generation: u64,
    /// The slot, 0 or 1, of what was last synced.
    synced: usize,
    /// Whether the other slot has something newer.
    is_ahead: bool,
    /// Whether the other slot had something that is not whole when the file was opened.
    is_other_torn: bool,
}

impl Enciphered {
    /// Opens a file, or begins one where it is empty.
    ///
    /// # Errors
    ///
    /// If it is not encrypted, of another data directory, newer than this build, or cannot be read.
    pub(super) fn open(
        inner: Backend,
        path: &Path,
        keys: &KeyFile,
    ) -> Result<Enciphered, StoreError> {
        let failed = |error| StoreError::io("read", path, error);
        let length = inner.len().map_err(failed)?;
        let salt = match length {
            0 => begin(&inner, keys.identity()).map_err(failed)?,
            _ => read_header(&inner, length, path, keys.identity())?,
        };
        let (cipher, cipher_before) = keys.catalog_ciphers(&salt);
        let mut file = Enciphered {
            inner,
            cipher,
            identity: keys.identity(),
            first: Mutex::new(First::empty()),
            remembered: RwLock::default(),
            is_believed: Arc::default(),
        };
        // The newest first page may be in the memory of the system alone, and the slot of the one before
        // is the next to be written.
        file.inner.sync_data().map_err(failed)?;
        let mut first = file.find_first().map_err(failed)?;
        if let (None, Some(cipher)) = (&first, cipher_before) {
            // Another key was begun with, and the catalog was not written anew yet.
            file.cipher = cipher;
            first = file.find_first().map_err(failed)?;
        }
        let what = || {
            "its first page is not what was sealed with the keys of this data directory, unless the key file is \
             an older one"
        };
        let first = first.ok_or_else(|| damage(path, what().to_owned()))?;
        file.first = Mutex::new(first);
        Ok(file)
    }

    /// What is set when redb has opened the file: it has compared all pages with their checksums.
    pub(super) fn belief(&self) -> Arc<AtomicBool> {
        self.is_believed.clone()
    }

    /// Whether one of the first pages was not whole when the file was opened: it may have been the newest.
    pub(super) fn has_torn_first(&self) -> bool {
        self.first().is_other_torn
    }

    /// The newest whole first page; `None` if there is one and it is not whole.
    fn find_first(&self) -> io::Result<Option<First>> {
        let mut found: Option<First> = None;
        let (mut is_written, mut is_torn) = (false, false);
        if self.len()? == 0 {
            return Ok(Some(First::empty()));
        }
        for slot in 0..2 {
            let mut bytes = vec![0; SLOT_BYTES];
            self.inner.read(offset_of_first(slot), &mut bytes)?;
            if bytes.iter().all(|byte| *byte == 0) {
                continue;
            }
            is_written = true;
            let Some((page, generation)) = self.opened(0, &bytes) else {
                is_torn = true;
                continue;
            };
            if found
                .as_ref()
                .is_none_or(|found| found.generation < generation)
            {
                found = Some(First {
                    page,
                    generation,
                    synced: slot,
                    is_ahead: false,
                    is_other_torn: false,
                });
            }
        }
        Ok(match (found, is_written) {
            (None, false) => Some(First::empty()),
            (found, _) => found.map(|first| First {
                is_other_torn: is_torn,
                ..first
            }),
        })
    }

    /// Writes the first page into the slot that is not needed.
    fn write_first(&self, first: &mut First) -> io::Result<()> {
        first.generation += 1;
        let sealed = self.sealed(0, first.generation, &first.page[..]);
        first.is_ahead = true;
        self.inner.write(offset_of_first(1 - first.synced), &sealed)
    }

    /// The bytes of a slot.
    fn sealed(&self, number: u64, generation: u64, page: &[u8]) -> Vec<u8> {
        let mut slot = Vec::with_capacity(SLOT_BYTES);
        slot.extend_from_slice(page);
        let seal = self
            .cipher
            .seal(&self.associated(number, generation), &mut slot);
        slot.extend_from_slice(&seal);
        slot.extend_from_slice(&generation.to_le_bytes());
        slot
    }

    /// The page in a slot, and its generation; `None` if it is not what was sealed there.
    fn opened(&self, number: u64, slot: &[u8]) -> Option<(Box<Page>, u64)> {
        let mut page: Box<Page> = Box::new(*slot.first_chunk()?);
        let seal: &PageSeal = slot.get(PAGE_BYTES..)?.first_chunk()?;
        let generation = u64::from_le_bytes(*slot.last_chunk()?);
        let associated = self.associated(number, generation);
        let opened = self.cipher.open(&associated, seal, &mut page[..]);
        opened.ok().map(|()| (page, generation))
    }

    fn associated(&self, number: u64, generation: u64) -> [u8; PURPOSE.len() + 24] {
        let mut associated = [0; PURPOSE.len() + 24];
        let (kind, rest) = associated.split_at_mut(PURPOSE.len());
        kind.copy_from_slice(PURPOSE);
        let numbers = [self.identity, number, generation];
        for (place, number) in rest.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        associated
    }

    /// Some whole pages, the first of the file not among them, one behind the other.
    fn read_pages(&self, first: u64, out: &mut [u8]) -> io::Result<()> {
        let mut slots = vec![0; SLOT_BYTES * RUN_PAGES.min(out.len() / PAGE_BYTES)];
        let runs = out.chunks_mut(PAGE_BYTES * RUN_PAGES);
        for (run, pages) in (first..).step_by(RUN_PAGES).zip(runs) {
            let slots = &mut slots[..pages.len() / PAGE_BYTES * SLOT_BYTES];
            let expected = self.read_slots(run, slots)?;
            let slots = slots.chunks(SLOT_BYTES).zip(expected);
            let mut new = Vec::new();
            for ((number, (slot, expected)), page) in
                (run..).zip(slots).zip(pages.chunks_mut(PAGE_BYTES))
            {
                let is_believed = self.is_believed.load(Ordering::Relaxed);
                match self.opened(number, slot) {
                    Some((opened, _)) => page.copy_from_slice(&opened[..]),
                    None if slot.iter().all(|byte| *byte == 0) => page.fill(0),
                    None if !is_believed => page.fill(0),
                    None => return Err(forged(number)),
                }
                match expected {
                    Some(_) if expected == mark_of(slot) => {}
                    Some(_) => return Err(rolled_back(number)),
                    None => new.push((number, mark_of(slot))),
                }
            }
            self.remember(&new);
        }
        Ok(())
    }

    /// Some slots, and what is remembered of each, of one moment.
    fn read_slots(&self, first: u64, slots: &mut [u8]) -> io::Result<Vec<Option<NonZeroU64>>> {
        let remembered = self.remembered();
        self.inner.read(offset_of(first), slots)?;
        let numbers = (first..).take(slots.len() / SLOT_BYTES);
        Ok(numbers.map(|number| remembered.get(number)).collect())
    }

    /// Remembers pages that were read, unless they were written since.
    fn remember(&self, read: &[(u64, Option<NonZeroU64>)]) {
        if read.iter().all(|(_, mark)| mark.is_none()) {
            return;
        }
        let mut remembered = self.remembered_alone();
        for (number, mark) in read {
            if remembered.get(*number).is_none() {
                remembered.set(*number, *mark);
            }
        }
    }

    fn write_pages(&self, first: u64, bytes: &[u8]) -> io::Result<()> {
        for (run, pages) in (first..)
            .step_by(RUN_PAGES)
            .zip(bytes.chunks(PAGE_BYTES * RUN_PAGES))
        {
            let mut slots = Vec::with_capacity(pages.len() / PAGE_BYTES * SLOT_BYTES);
            for (number, page) in (run..).zip(pages.chunks(PAGE_BYTES)) {
                slots.extend(self.sealed(number, 0, page));
            }
            let mut remembered = self.remembered_alone();
            self.inner.write(offset_of(run), &slots)?;
            for (number, slot) in (run..).zip(slots.chunks(SLOT_BYTES)) {
                remembered.set(number, mark_of(slot));
            }
        }
        Ok(())
    }

    fn remembered(&self) -> RwLockReadGuard<'_, Remembered> {
        // A page is remembered as a whole.
        self.remembered
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn remembered_alone(&self) -> RwLockWriteGuard<'_, Remembered> {
        // As above.
        self.remembered
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn first(&self) -> MutexGuard<'_, First> {
        // A page that was not written as a whole is written again, or is not synced.
        self.first.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl First {
    fn empty() -> First {
        First {
            page: Box::new([0; PAGE_BYTES]),
            generation: 0,
            synced: 0,
            is_ahead: false,
            is_other_torn: false,
        }
    }
}

/// Whether a file begins as an encrypted catalog does.
pub(super) fn is_enciphered(file: &Backend) -> io::Result<bool> {
    let mut magic = [0; ENCIPHERED_MAGIC.len()];
    if file.len()? < magic.len() as u64 {
        return Ok(false);
    }
    file.read(0, &mut magic)?;
    Ok(magic == ENCIPHERED_MAGIC)
}

/// Writes the header of a new file. Until the file has its name, nobody misses one that is torn.
fn begin(inner: &Backend, identity: u64) -> io::Result<Salt> {
    let salt = new_salt();
    let mut header = [0; HEADER_BYTES];
    let fields = [
        &ENCIPHERED_MAGIC[..],
        &VERSION.to_le_bytes(),
        &(PAGE_BYTES as u32).to_le_bytes(),
        &identity.to_le_bytes(),
        &salt,
    ];
    let fields = fields.concat();
    header[..fields.len()].copy_from_slice(&fields);
    let checksum = checksum(&header[..HEADER_BYTES - 8]);
    header[HEADER_BYTES - 8..].copy_from_slice(&checksum.to_le_bytes());
    inner.set_len(HEADER_BYTES as u64)?;
    inner.write(0, &header)?;
    Ok(salt)
}

fn read_header(
    inner: &Backend,
    length: u64,
    path: &Path,
    identity: u64,
) -> Result<Salt, StoreError> {
    let failed = |error| StoreError::io("read", path, error);
    if !is_enciphered(inner).map_err(failed)? {
        let mut start = [0; ENCIPHERED_MAGIC.len()];
        let read = inner.read(0, &mut start[..ENCIPHERED_MAGIC.len().min(length as usize)]);
        read.map_err(failed)?;
        return Err(match start.starts_with(b"redb") {
            true => StoreError::keys(path, KeyError::NotEncrypted),
            false => damage(path, "it has no header".to_owned()),
        });
    }
    let mut header = [0; HEADER_BYTES];
    if length < HEADER_BYTES as u64 {
        return Err(damage(path, "it ends within its header".to_owned()));
    }
    inner.read(0, &mut header).map_err(failed)?;
    let number = |at: usize| header[at..].first_chunk().copied().map(u64::from_le_bytes);
    if number(HEADER_BYTES - 8) != Some(checksum(&header[..HEADER_BYTES - 8])) {
        return Err(damage(path, "its header has another checksum".to_owned()));
    }
    let version = header[8..].first_chunk().copied().map(u32::from_le_bytes);
    if version != Some(VERSION) {
        return Err(StoreError::Version {
            path: path.to_owned(),
            found: version.unwrap_or_default(),
            oldest: VERSION,
            newest: VERSION,
        });
    }
    let expected = number(16).unwrap_or_default();
    if expected != identity {
        let found = identity;
        return Err(StoreError::keys(
            path,
            KeyError::Foreign { expected, found },
        ));
    }
    let salt: Option<&[u8; SALT_BYTES]> = header[24..].first_chunk();
    Ok(*salt.expect("the header is longer"))
}

fn forged(number: u64) -> io::Error {
    let what = format!("page {number} is not what was sealed with the keys of this data directory");
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn rolled_back(number: u64) -> io::Error {
    let what = format!(
        "page {number} is not the one that was last read or written there: somebody has put an older copy of it back"
    );
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn offset_of_first(slot: usize) -> u64 {
    (HEADER_BYTES + slot * SLOT_BYTES) as u64
}

/// Where a page is in the file that is not the first.
fn offset_of(page: u64) -> u64 {
    HEADER_BYTES as u64 + (page + 1) * SLOT_BYTES as u64
}

/// The whole pages that some bytes touch: the number of the first, and where the bytes begin in it.
fn pages_of(offset: u64, length: usize) -> (u64, usize, usize) {
    let first = offset / PAGE_BYTES as u64;
    let start = (offset % PAGE_BYTES as u64) as usize;
    (first, start, (start + length).div_ceil(PAGE_BYTES))
}

impl StorageBackend for Enciphered {
    fn len(&self) -> io::Result<u64> {
        let pages = self.inner.len()?.saturating_sub(HEADER_BYTES as u64) / SLOT_BYTES as u64;
        Ok(pages.saturating_sub(1) * PAGE_BYTES as u64)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        // redb asks for whole pages.
        let pages = length.div_ceil(PAGE_BYTES as u64);
        let mut first = self.first();
        if pages == 0 {
            *first = First::empty();
        }
        let mut remembered = self.remembered_alone();
        let kept = usize::try_from(pages).unwrap_or(usize::MAX);
        remembered.0.truncate(kept);
        self.inner.set_len(match pages {
            0 => HEADER_BYTES as u64,
            _ => offset_of(pages),
        })
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let (first, start, count) = pages_of(offset, out.len());
        let mut pages = vec![0; count * PAGE_BYTES];
        let rest = match pages.split_first_chunk_mut::<PAGE_BYTES>() {
            Some((page, rest)) if first == 0 => {
                page.copy_from_slice(&self.first().page[..]);
                rest
            }
            _ => &mut pages[..],
        };
        self.read_pages(first.max(1), rest)?;
        out.copy_from_slice(&pages[start..start + out.len()]);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let (first, start, count) = pages_of(offset, data.len());
        let is_whole = start == 0 && data.len().is_multiple_of(PAGE_BYTES);
        let mut pages = vec![0; count * PAGE_BYTES];
        if !is_whole {
            self.read(first * PAGE_BYTES as u64, &mut pages)?;
        }
        pages[start..start + data.len()].copy_from_slice(data);
        if first > 0 {
            return self.write_pages(first, &pages);
        }
        let Some((page, rest)) = pages.split_first_chunk::<PAGE_BYTES>() else {
            return Ok(());
        };
        self.write_pages(1, rest)?;
        let mut first = self.first();
        first.page.copy_from_slice(page);
        self.write_first(&mut first)
    }

    fn sync_data(&self) -> io::Result<()> {
        // Nobody writes it meanwhile: a slot is only called synced if all that was written into it is.
        let mut first = self.first();
        self.inner.sync_data()?;
        if std::mem::take(&mut first.is_ahead) {
            first.synced = 1 - first.synced;
        }
        Ok(())
    }

    closed_and_locked_as!(inner);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};
    use redb::backends::InMemoryBackend;
    use redb::{Builder, Database, ReadableDatabase, ReadableTable, TableDefinition};

    use super::super::failures::{failure, guarded};
    use super::*;
    use crate::partition::disk::RealDisk;
    use crate::partition::keys::Keys;
    use crate::secrets::MasterKey;

    /// A file that outlives whoever opens it.
    #[derive(Clone, Debug, Default)]
    struct Shared(Arc<InMemoryBackend>);

    impl StorageBackend for Shared {
        fn len(&self) -> io::Result<u64> {
            self.0.len()
        }
        fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            self.0.read(offset, out)
        }
        fn set_len(&self, length: u64) -> io::Result<()> {
            self.0.set_len(length)
        }
        fn sync_data(&self) -> io::Result<()> {
            Ok(())
        }
        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            self.0.write(offset, data)
        }
    }

    fn key_file(directory: &Path, identity: u64) -> Arc<KeyFile> {
        let keys = Keys {
            master: Some(MasterKey::random().0),
            encrypt_new: true,
        };
        KeyFile::create(directory, &RealDisk, &keys, identity).unwrap()
    }

    fn open(file: &Shared, keys: &KeyFile) -> Result<Enciphered, StoreError> {
        Enciphered::open(Backend(Box::new(file.clone())), Path::new("c"), keys)
    }

    fn contents(file: &impl StorageBackend) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
        file.read(0, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn any_writes_leave_what_they_leave_without_it_and_nothing_that_can_be_read() {
        let directory = tempfile::tempdir().unwrap();
        let keys = key_file(directory.path(), 5);
        let mut random = StdRng::seed_from_u64(3);
        let (file, plain) = (Shared::default(), InMemoryBackend::new());
        let mut enciphered = open(&file, &keys).unwrap();
        let mut length = 0_u64;
        for round in 0..300 {
            match round % 8 {
                0 => {
                    length = random.random_range(0..300) * PAGE_BYTES as u64;
                    enciphered.set_len(length).unwrap();
                    plain.set_len(length).unwrap();
                    // As redb, which writes its header at once.
                    if length > 0 {
                        enciphered.write(0, &[7; 320]).unwrap();
                        plain.write(0, &[7; 320]).unwrap();
                    }
                }
                1 => enciphered.sync_data().unwrap(),
                2 => enciphered = open(&file, &keys).unwrap(),
                _ if length > 10_000 => {
                    let offset = random.random_range(0..length - 10_000);
                    let data = vec![round as u8 | 1; random.random_range(1..10_000)];
                    enciphered.write(offset, &data).unwrap();
                    plain.write(offset, &data).unwrap();
                }
                _ => {}
            }
            assert!(contents(&enciphered) == contents(&plain), "round {round}");
        }
        let stored = contents(&file);
        let repeated = |window: &[u8]| window[0] != 0 && window.iter().all(|b| *b == window[0]);
        assert!(!stored.windows(12).any(repeated));
    }

    #[test]
    fn a_torn_first_page_leaves_the_one_that_was_synced() {
        let directory = tempfile::tempdir().unwrap();
        let keys = key_file(directory.path(), 5);
        let file = Shared::default();
        let enciphered = open(&file, &keys).unwrap();
        enciphered.set_len(8192).unwrap();
        for round in 1..6 {
            enciphered.write(0, &[round; 320]).unwrap();
            enciphered.sync_data().unwrap();
            let before = contents(&file);
            enciphered.write(0, &[99; 320]).unwrap();
            enciphered.write(0, &[98; 320]).unwrap();
            let after = contents(&file);
            let changed: Vec<usize> = (0..after.len())
                .filter(|at| before[*at] != after[*at])
                .collect();
            // Any sector of it alone, and all of it.
            for sector in changed.chunk_by(|one, other| one / 512 == other / 512) {
                let torn = Shared::default();
                torn.set_len(before.len() as u64).unwrap();
                torn.write(0, &before).unwrap();
                for at in sector {
                    torn.write(*at as u64, &after[*at..=*at]).unwrap();
                }
                let found = contents(&open(&torn, &keys).unwrap());
                assert_eq!(found[..320], [round; 320]);
            }
            assert_eq!(contents(&open(&file, &keys).unwrap())[..320], [98; 320]);
        }
    }

    #[test]
    fn what_is_of_another_place_or_key_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let keys = key_file(directory.path(), 5);
        let file = Shared::default();
        let enciphered = open(&file, &keys).unwrap();
        enciphered.set_len(5 * 4096).unwrap();
        enciphered.write(0, &[1; 5 * 4096]).unwrap();
        enciphered.sync_data().unwrap();
        let stored = contents(&file);
        // As it is while redb opens it.
        file.write(offset_of(3), &[9]).unwrap();
        let mut page = [1; 4096];
        enciphered.read(3 * 4096, &mut page).unwrap();
        assert_eq!(page, [0; 4096]);
        enciphered.belief().store(true, Ordering::Relaxed);
        let slot = |page| usize::try_from(offset_of(page)).unwrap();
        // A page in the place of another, and any byte of one.
        file.write(offset_of(3), &stored[slot(2)..slot(3)]).unwrap();
        let error = enciphered.read(3 * 4096, &mut [0; 4096]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        file.write(offset_of(3), &stored[slot(3)..slot(4)]).unwrap();
        for at in slot(3)..slot(4) {
            file.write(at as u64, &[stored[at] ^ 1]).unwrap();
            assert!(
                enciphered.read(3 * 4096, &mut [0; 4096]).is_err(),
                "byte {at}"
            );
            file.write(at as u64, &stored[at..=at]).unwrap();
        }
        enciphered.read(3 * 4096, &mut [0; 4096]).unwrap();
        for at in 0..HEADER_BYTES {
            file.write(at as u64, &[stored[at] ^ 1]).unwrap();
            assert!(open(&file, &keys).is_err(), "byte {at}");
            file.write(at as u64, &stored[at..=at]).unwrap();
        }
        let (same, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let error = open(&file, &key_file(same.path(), 5)).unwrap_err();
        assert!(matches!(error, StoreError::Catalog { .. }), "{error}");
        let error = open(&file, &key_file(other.path(), 6)).unwrap_err();
        let foreign = KeyError::Foreign {
            expected: 5,
            found: 6,
        };
        assert!(matches!(error, StoreError::Keys { cause, .. } if cause == foreign));
    }

    const TABLE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("rows");
    const ROWS: u64 = 120;

    /// Opens a file as a catalog is opened, but for a cache: whatever is read is read from the file.
    fn uncached(file: &Shared, keys: &KeyFile) -> Database {
        let enciphered = open(file, keys).unwrap();
        let belief = enciphered.belief();
        let mut builder = Builder::new();
        builder.set_cache_size(0).set_check_integrity_on_open(true);
        let database = builder.create_with_backend(enciphered).unwrap();
        belief.store(true, Ordering::Relaxed);
        database
    }

    fn put(database: &Database, round: u8) -> Result<(), redb::Error> {
        let transaction = database.begin_write()?;
        let mut table = transaction.open_table(TABLE)?;
        // Some at a time, so that pages are of several rounds.
        for row in (u64::from(round) % 3..ROWS).step_by(3) {
            table.insert(row, &[round; 300][..])?;
        }
        drop(table);
        Ok(transaction.commit()?)
    }

    fn rows(database: &Database) -> Result<Vec<u8>, redb::Error> {
        let table = database.begin_read()?.open_table(TABLE)?;
        let rows = table.iter()?.map(|row| Ok(row?.1.value()[0]));
        rows.collect()
    }

    #[test]
    fn an_older_copy_of_a_page_is_an_error_while_the_file_is_open() {
        let directory = tempfile::tempdir().unwrap();
        let keys = key_file(directory.path(), 5);
        let file = Shared::default();
        let (mut older, mut expected) = (Vec::new(), Vec::new());
        for round in 1..9 {
            let database = uncached(&file, &keys);
            put(&database, round).unwrap();
            expected = rows(&database).unwrap();
            drop(database);
            older.push(contents(&file));
        }
        let now = older.pop().unwrap();
        assert_eq!(expected.len() as u64, ROWS);
        let (mut refused, mut harmless) = (0, 0);
        for older in &older {
            for page in 1..200 {
                let slot = usize::try_from(offset_of(page)).unwrap();
                let slot = slot..slot + SLOT_BYTES;
                let Some(old) = older.get(slot.clone()).filter(|old| old[0] != 0) else {
                    continue;
                };
                if now.get(slot.clone()).is_none_or(|now| now == old) {
                    continue;
                }
                let changed = Shared::default();
                changed.set_len(now.len() as u64).unwrap();
                changed.write(0, &now).unwrap();
                let database = uncached(&changed, &keys);
                changed.write(slot.start as u64, old).unwrap();
                match guarded(Path::new("c"), || {
                    rows(&database).map_err(|error| failure("read", Path::new("c"), error))
                }) {
                    Ok(found) => {
                        assert_eq!(found, expected, "page {page}");
                        harmless += 1;
                    }
                    Err(StoreError::Catalog { what, .. }) => {
                        assert!(what.contains("an older copy"), "page {page}: {what}");
                        refused += 1;
                    }
                    Err(error) => panic!("page {page}: {error}"),
                }
                // Whoever opens it next finds it by the checksum in the page that names it.
                drop(database);
            }
        }
        assert!(refused > 5, "{refused}, and {harmless} of nobody");
    }

    #[test]
    fn a_page_that_is_put_back_or_wiped_is_an_error_and_one_that_is_written_again_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let keys = key_file(directory.path(), 5);
        let file = Shared::default();
        let enciphered = open(&file, &keys).unwrap();
        enciphered.set_len(5 * 4096).unwrap();
        enciphered.write(0, &[1; 5 * 4096]).unwrap();
        let slot = |page| usize::try_from(offset_of(page)).unwrap();
        let old = contents(&file)[slot(3)..slot(4)].to_vec();
        enciphered.write(3 * 4096, &[2; 4096]).unwrap();
        let new = contents(&file)[slot(3)..slot(4)].to_vec();
        let read = || {
            let mut page = [0; 4096];
            let read = enciphered.read(3 * 4096, &mut page);
            read.map(|()| page[0]).map_err(|error| error.kind())
        };
        let refused = Err(io::ErrorKind::InvalidData);
        // Also before redb has compared all pages: what it compares is what it reads later.
        for is_believed in [false, true] {
            enciphered.belief().store(is_believed, Ordering::Relaxed);
            assert_eq!(read(), Ok(2));
            for other in [&old, &vec![0; SLOT_BYTES]] {
                file.write(offset_of(3), other).unwrap();
                assert_eq!(read(), refused);
            }
            file.write(offset_of(3), &new).unwrap();
        }
        enciphered.write(3 * 4096, &[3; 4096]).unwrap();
        assert_eq!(read(), Ok(3));
        // A file that was shortened has zeros where it grows again.
        enciphered.set_len(2 * 4096).unwrap();
        enciphered.set_len(5 * 4096).unwrap();
        assert_eq!(read(), Ok(0));
        // What was read first counts for whoever opens it, too.
        enciphered.write(3 * 4096, &[4; 4096]).unwrap();
        enciphered.sync_data().unwrap();
        let newest = contents(&file)[slot(3)..slot(4)].to_vec();
        let again = open(&file, &keys).unwrap();
        again.read(3 * 4096, &mut [0; 4096]).unwrap();
        file.write(offset_of(3), &old).unwrap();
        assert!(again.read(3 * 4096, &mut [0; 4096]).is_err());
        file.write(offset_of(3), &newest).unwrap();
        again.read(3 * 4096, &mut [0; 4096]).unwrap();
    }
}
