//! A read-only view of a file, and memory that is filled block by block while it is read. The one
//! place outside `kernel` with `unsafe`.
#![allow(unsafe_code, reason = "mapping a file is unsafe whatever wraps it")]

use std::fs::File;
use std::io;
use std::ops::{Deref, Range};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use memmap2::{MmapOptions, MmapRaw};

use super::format::{BLOCK_BYTES, Plan, Plane};

/// A file mapped into memory: `Deref` gives its bytes.
#[derive(Debug)]
pub(super) struct Map(memmap2::Mmap);

impl Map {
    /// Maps the whole of `file`.
    pub(in crate::partition) fn new(file: &File) -> io::Result<Map> {
        // SAFETY: A mapping is sound as long as nobody changes the bytes beneath it. Segments are
        // written once, before the catalog names them, and never changed or cut afterwards; the
        // lock that the catalog holds keeps other processes of this program out of the data
        // directory, and a deleted file lives on until it is unmapped. The bytes are plain numbers,
        // valid whatever they are, and each block is checked against its checksum before it is
        // used. A stranger who writes into the data directory can still end this process (`SIGBUS`
        // when a file is cut), as `docs/file-format.md` says.
        let map = unsafe { memmap2::Mmap::map(file)? };
        Ok(Map(map))
    }

    /// Lets the system take back the memory in which the bytes are seen: whoever reads them again
    /// gets them from the file. For whoever reads all once, so that a process does not look as
    /// large as its files.
    pub(in crate::partition) fn release(&self) {
        // SAFETY: What is unchecked of this advice is that it drops changes to memory that is
        // private to this process. The mapping is shared and read-only: the bytes stay what they
        // are in the file, also for those who hold references to them.
        let advised = unsafe { self.0.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) };
        // It is advice: if it is not taken, memory is all that is lost.
        if let Err(error) = advised {
            tracing::debug!(%error, "cannot release the memory of a segment");
        }
    }
}

impl Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// Blocks are filled side by side unless they share one of so many locks.
const LOCKS: usize = 32;

/// Memory for the planes of a segment, where they lie in its file. A block is there once
/// [`Place::fill`] has filled it, and never changes again. Pages that nobody has filled take no
/// memory.
///
/// It is kept from dumps of the process and from being swapped out, where the system allows that.
#[derive(Debug)]
pub(super) struct Place {
    memory: MmapRaw,
    plan: Plan,
    /// One bit for each block: whether it is filled.
    filled: Vec<AtomicU64>,
    locks: [Mutex<()>; LOCKS],
}

impl Place {
    /// Reserves as much as the file of `plan` is long.
    pub(in crate::partition) fn reserve(plan: Plan) -> io::Result<Place> {
        let mut options = MmapOptions::new();
        let memory = MmapRaw::from(options.len(plan.end()).no_reserve_swap().map_anon()?);
        #[cfg(target_os = "linux")]
        advise(&memory, &plan);
        lock(&memory);
        let bits = plan.blocks().div_ceil(64);
        Ok(Place {
            memory,
            plan,
            filled: (0..bits).map(|_| AtomicU64::new(0)).collect(),
            locks: std::array::from_fn(|_| Mutex::new(())),
        })
    }

    /// Has `fill` write a block, by its place in the plane, unless that was done before. After an
    /// error the block counts as empty, whatever was written to it.
    pub(in crate::partition) fn fill<E>(
        &self,
        plane: Plane,
        block: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let number = self.plan.plane(plane).first_block + block;
        if self.is_filled(number) {
            return Ok(());
        }
        let lock = &self.locks[number % LOCKS];
        // A fill that panicked has not marked its block.
        let _filling = lock.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_filled(number) {
            return Ok(());
        }
        let range = self.plan.block(plane, block);
        // SAFETY: `Plan::block` lies within the memory, whose length is the plan's end, and no two
        // blocks overlap. Nobody else has a reference to these bytes: `bytes` gives none to a block
        // that is not filled, and whoever else would fill this one waits for its lock. The memory is
        // this process's own, initialised with zeros by the system, and stays mapped as long as
        // `self`.
        let bytes = unsafe {
            let start = self.memory.as_mut_ptr().add(range.start);
            std::slice::from_raw_parts_mut(start, range.len())
        };
        fill(bytes)?;
        // Whoever sees the bit sees the bytes, too.
        self.filled[number / 64].fetch_or(1 << (number % 64), Ordering::Release);
        Ok(())
    }

    /// Some bytes of a plane, all of whose blocks are filled.
    ///
    /// # Panics
    ///
    /// Panics if they are not, or the range is past the end of the plane.
    pub(in crate::partition) fn bytes(&self, plane: Plane, range: Range<usize>) -> &[u8] {
        let entry = self.plan.plane(plane);
        assert!(
            range.start <= range.end && range.end <= entry.length,
            "the range is within the plane"
        );
        let blocks = match range.is_empty() {
            // Of the block in which it lies nothing is asked for: nobody need have filled it.
            true => 0..0,
            false => range.start / BLOCK_BYTES..range.end.div_ceil(BLOCK_BYTES),
        };
        for block in blocks {
            assert!(
                self.is_filled(entry.first_block + block),
                "a block is filled before it is read"
            );
        }
        // SAFETY: The range lies in a plane, and so within the memory. Every block that it touches is
        // filled, as was just seen with `Acquire`, so that its bytes are there for this thread; `fill`
        // makes no reference to a block that is filled, and nobody else writes.
        unsafe {
            let start = self.memory.as_ptr().add(entry.offset + range.start);
            std::slice::from_raw_parts(start, range.len())
        }
    }

    fn is_filled(&self, number: usize) -> bool {
        self.filled[number / 64].load(Ordering::Acquire) >> (number % 64) & 1 == 1
    }
}

/// Keeps memory out of dumps, and has what is scanned in large pages: scans of small ones took a
/// twelfth longer. The values are looked up here and there, where a large page would be made, and
/// kept, for the sake of one row.
#[cfg(target_os = "linux")]
fn advise(memory: &MmapRaw, plan: &Plan) {
    if let Err(error) = memory.advise(memmap2::Advice::DontDump) {
        tracing::debug!(%error, "cannot keep templates out of dumps");
    }
    let scanned = plan.plane(Plane::Values).offset;
    if let Err(error) = memory.advise_range(memmap2::Advice::HugePage, 0, scanned) {
        tracing::debug!(%error, "templates lie in small pages");
    }
}

/// Keeps memory from being swapped out once it is used, as far as the process may (`ulimit -l`).
#[cfg(target_os = "linux")]
fn lock(memory: &MmapRaw) {
    // SAFETY: The range is that of a mapping that is alive. Locking changes no bytes, and ends with
    // the mapping.
    let locked = unsafe { libc::mlock2(memory.as_ptr().cast(), memory.len(), libc::MLOCK_ONFAULT) };
    if locked != 0 {
        let error = io::Error::last_os_error();
        tracing::debug!(%error, "templates may be swapped out: the process may not lock its memory");
    }
}

#[cfg(not(target_os = "linux"))]
fn lock(_memory: &MmapRaw) {}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::code::Layout;

    #[test]
    fn a_block_is_filled_once_by_many_threads_and_not_after_an_error() {
        let place = Place::reserve(Plan::new(Layout::new(128), 5_000).sealed()).unwrap();
        let blocks = place.plan.plane(Plane::Values).length.div_ceil(BLOCK_BYTES);
        let failed = place.fill(Plane::Values, 0, |bytes| {
            bytes.fill(99);
            Err(())
        });
        assert_eq!(failed, Err(()));
        let fills = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for block in 0..blocks {
                        let filled = place.fill(Plane::Values, block, |bytes| {
                            fills.fetch_add(1, Ordering::Relaxed);
                            bytes.fill(block as u8 + 1);
                            Ok::<(), ()>(())
                        });
                        assert_eq!(filled, Ok(()));
                        let start = block * BLOCK_BYTES;
                        let end = (start + 100).min(place.plan.plane(Plane::Values).length);
                        let bytes = place.bytes(Plane::Values, start..end);
                        assert!(bytes.iter().all(|byte| *byte == block as u8 + 1));
                    }
                });
            }
        });
        assert_eq!(fills.into_inner(), blocks);
    }

    #[test]
    #[should_panic(expected = "filled before it is read")]
    fn nothing_is_read_that_was_not_filled() {
        let place = Place::reserve(Plan::new(Layout::new(128), 5_000).sealed()).unwrap();
        let filled = place.fill(Plane::Low, 0, |_| Ok::<(), ()>(()));
        assert_eq!(filled, Ok(()));
        place.bytes(Plane::Low, 0..BLOCK_BYTES + 1);
    }

    #[test]
    fn no_bytes_are_there_wherever_they_are_asked_for() {
        let place = Place::reserve(Plan::new(Layout::new(128), 5_000).sealed()).unwrap();
        let length = place.plan.plane(Plane::Low).length;
        for at in [0, 8, BLOCK_BYTES - 8, BLOCK_BYTES, BLOCK_BYTES + 8, length] {
            let bytes = place.bytes(Plane::Low, at..at);
            // Aligned as all others are, too.
            assert!(bytemuck::cast_slice::<u8, f64>(bytes).is_empty(), "{at}");
        }
    }
}
