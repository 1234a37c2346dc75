//! A database file that is written a little ahead of where it is used.
//!
//! redb lets its file grow by a hole at the end. Where a page is the first to be written into a
//! hole, the file system has to find a place for it, and the next sync has to wait for the journal
//! that says where besides the page itself: two waits instead of one, for every enrolment that
//! makes the catalog longer. So holes are filled with zeros, many pages at a time.

use std::io;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use redb::StorageBackend;

use crate::partition::disk::{Backend, closed_and_locked_as};

/// Bytes that are filled at once: some hundred commits find their pages in them, and the one that
/// writes them is not late for long.
const STEP_BYTES: usize = 1 << 20;

/// A database file, filled ahead of the writes.
#[derive(Debug)]
pub(super) struct FilledAhead {
    inner: Backend,
    /// What was never written, from somewhere to the end of the file.
    hole: Mutex<Range<u64>>,
}

impl FilledAhead {
    /// # Errors
    ///
    /// If the end of the file cannot be read.
    pub(in crate::partition) fn new(inner: Backend) -> io::Result<FilledAhead> {
        let hole = Mutex::new(zeros_at_the_end(&inner)?);
        Ok(FilledAhead { inner, hole })
    }

    /// Fills what lies before and behind a write into the hole.
    fn fill_around(&self, write: Range<u64>) -> io::Result<()> {
        let mut hole = self.hole.lock().unwrap_or_else(PoisonError::into_inner);
        if hole.is_empty() || write.end <= hole.start {
            return Ok(());
        }
        let until = hole.start.saturating_add(STEP_BYTES as u64);
        let until = until.max(write.end).min(hole.end);
        self.fill(hole.start..write.start)?;
        self.fill(write.end..until)?;
        hole.start = until;
        Ok(())
    }

    fn fill(&self, range: Range<u64>) -> io::Result<()> {
        let length = range.end.saturating_sub(range.start);
        let zeros = vec![0; STEP_BYTES.min(usize::try_from(length).unwrap_or(STEP_BYTES))];
        for start in range.clone().step_by(STEP_BYTES) {
            let count = zeros.len().min((range.end - start) as usize);
            self.inner.write(start, &zeros[..count])?;
        }
        Ok(())
    }
}

/// The end of a file from where on it reads as zeros. Writing zeros there changes nothing, whether
/// it is a hole or was written.
fn zeros_at_the_end(file: &Backend) -> io::Result<Range<u64>> {
    let length = file.len()?;
    let mut start = length;
    let mut chunk = vec![0; STEP_BYTES.min(usize::try_from(length).unwrap_or(STEP_BYTES))];
    while start > 0 {
        let count = chunk
            .len()
            .min(usize::try_from(start).unwrap_or(usize::MAX));
        let begin = start - count as u64;
        file.read(begin, &mut chunk[..count])?;
        if let Some(last) = chunk[..count].iter().rposition(|byte| *byte != 0) {
            start = begin + last as u64 + 1;
            break;
        }
        start = begin;
    }
    Ok(start..length)
}

impl StorageBackend for FilledAhead {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut hole = self.hole.lock().unwrap_or_else(PoisonError::into_inner);
        self.inner.set_len(length)?;
        *hole = hole.start.min(length)..length;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.inner.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.fill_around(offset..offset.saturating_add(data.len() as u64))?;
        self.inner.write(offset, data)
    }

    closed_and_locked_as!(inner);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};
    use redb::backends::InMemoryBackend;

    use super::*;

    /// A file of which every write is remembered. Clones are the same file.
    #[derive(Clone, Debug, Default)]
    struct Recorded {
        bytes: Arc<InMemoryBackend>,
        writes: Arc<Mutex<Vec<Range<u64>>>>,
    }

    impl StorageBackend for Recorded {
        fn len(&self) -> io::Result<u64> {
            self.bytes.len()
        }

        fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            self.bytes.read(offset, out)
        }

        fn set_len(&self, length: u64) -> io::Result<()> {
            self.bytes.set_len(length)
        }

        fn sync_data(&self) -> io::Result<()> {
            Ok(())
        }

        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            let range = offset..offset + data.len() as u64;
            self.writes.lock().unwrap().push(range);
            self.bytes.write(offset, data)
        }
    }

    fn contents(file: &impl StorageBackend) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
        file.read(0, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn any_writes_leave_what_they_leave_without_it() {
        let mut random = StdRng::seed_from_u64(3);
        let (filled, plain) = (Recorded::default(), InMemoryBackend::new());
        let mut ahead = FilledAhead::new(Backend(Box::new(filled.clone()))).unwrap();
        let mut length = 0_u64;
        for round in 0..400 {
            match round % 8 {
                0 => {
                    length = random.random_range(0..6 << 20);
                    ahead.set_len(length).unwrap();
                    plain.set_len(length).unwrap();
                }
                // As when the data directory is opened again.
                1 => ahead = FilledAhead::new(Backend(Box::new(filled.clone()))).unwrap(),
                _ if length > 5_000 => {
                    let offset = random.random_range(0..length - 5_000);
                    let data = vec![round as u8; random.random_range(1..5_000)];
                    ahead.write(offset, &data).unwrap();
                    plain.write(offset, &data).unwrap();
                }
                _ => {}
            }
            assert!(contents(&ahead) == contents(&plain), "round {round}");
        }
    }

    #[test]
    fn pages_that_follow_find_their_place_written() {
        let file = Recorded::default();
        let ahead = FilledAhead::new(Backend(Box::new(file.clone()))).unwrap();
        ahead.set_len(4 << 20).unwrap();
        for page in 0..1024_u64 {
            let before = file.writes.lock().unwrap().clone();
            let place = page * 4096;
            ahead.write(place, &[7; 4096]).unwrap();
            let was_written = before.iter().any(|range| range.contains(&place));
            // The first page of each step is the one that fills it.
            assert_eq!(
                was_written,
                !place.is_multiple_of(STEP_BYTES as u64),
                "page {page}"
            );
        }
    }
}
