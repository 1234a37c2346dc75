//! A read-only view of a file. The one place outside `kernel` with `unsafe`.
#![allow(unsafe_code, reason = "mapping a file is unsafe whatever wraps it")]

use std::fs::File;
use std::io;
use std::ops::Deref;

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
