//! Reading a file in a thread of its own, so that the disk works while the processor does.

use std::io::{self, BufRead, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::CHUNK_BYTES;

/// So many chunks wait at most.
const CHUNKS: usize = 4;

/// A reader whose next bytes are being read already.
pub(in crate::partition) struct ReadAhead {
    /// Chunks with bytes in them, in order; closed after the last, or after an error.
    full: Receiver<io::Result<Vec<u8>>>,
    /// Chunks to be used again.
    empty: SyncSender<Vec<u8>>,
    current: Vec<u8>,
    position: usize,
}

impl ReadAhead {
    pub(in crate::partition) fn new(mut source: impl Read + Send + 'static) -> ReadAhead {
        let (full_sender, full) = sync_channel(CHUNKS);
        let (empty, empty_receiver) = sync_channel::<Vec<u8>>(CHUNKS);
        for _ in 0..CHUNKS {
            // There is room for all of them.
            let _ = empty.try_send(Vec::with_capacity(CHUNK_BYTES));
        }
        // Ends with its source, or when nobody takes chunks any more.
        thread::spawn(move || {
            for mut chunk in empty_receiver {
                chunk.clear();
                let limit = CHUNK_BYTES as u64;
                let read = (&mut source).take(limit).read_to_end(&mut chunk);
                let is_last = !matches!(read, Ok(count) if count > 0);
                if full_sender.send(read.map(|_| chunk)).is_err() || is_last {
                    return;
                }
            }
        });
        ReadAhead {
            full,
            empty,
            current: Vec::new(),
            position: 0,
        }
    }
}

impl Read for ReadAhead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let ready = self.fill_buf()?;
        let count = ready.len().min(buffer.len());
        buffer[..count].copy_from_slice(&ready[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for ReadAhead {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.position == self.current.len()
            && let Ok(next) = self.full.recv()
        {
            let used = std::mem::replace(&mut self.current, next?);
            self.position = 0;
            if used.capacity() > 0 {
                // Refused only after the end.
                let _ = self.empty.try_send(used);
            }
        }
        Ok(&self.current[self.position..])
    }

    fn consume(&mut self, count: usize) {
        self.position += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bytes_come_in_order_and_the_end_stays_the_end() {
        for length in [
            0,
            1,
            CHUNK_BYTES - 1,
            CHUNK_BYTES,
            CHUNK_BYTES + 1,
            9 * CHUNK_BYTES + 5,
        ] {
            let bytes: Vec<u8> = (0..length).map(|at| (at * 31 / 1000) as u8).collect();
            let mut reader = ReadAhead::new(io::Cursor::new(bytes.clone()));
            let mut found = Vec::new();
            reader.read_to_end(&mut found).unwrap();
            assert!(found == bytes, "{length}");
            assert_eq!(reader.read(&mut [0; 8]).unwrap(), 0);
        }
    }

    #[test]
    fn an_error_comes_where_it_happened() {
        let directory = tempfile::tempdir().unwrap();
        let broken = std::fs::File::open(directory.path()).unwrap();
        let mut reader = ReadAhead::new(io::Cursor::new(vec![1; CHUNK_BYTES]).chain(broken));
        reader.read_exact(&mut vec![0; CHUNK_BYTES]).unwrap();
        let error = reader.read(&mut [0; 8]).unwrap_err();
        assert!(error.raw_os_error().is_some(), "{error}");
    }
}
