//! A zstd frame whose blocks are stored as they are.
//!
//! Templates hardly compress: zstd's fastest levels find nothing in them, and take a second of a
//! processor for each gigabyte to find that out, which is longer than a good disk takes to write
//! it. The format (RFC 8878, section 3.1.1) has blocks that are not compressed, and blocks of one
//! byte over and over, which is what the empty pages of a catalog are. Any zstd reads them.

use std::hash::Hasher;
use std::io::{self, Write};

use twox_hash::XxHash64;

use super::ZSTD_MAGIC;

/// The most that a block holds.
const BLOCK_BYTES: usize = 128 << 10;
/// A checksum at the end, no length, no dictionary.
const DESCRIPTOR: u8 = 0b0000_0100;
/// A window of 2^(10 + 7) bytes: no block may be longer.
const WINDOW: u8 = 7 << 3;

/// What a block header says of what follows.
#[derive(Clone, Copy)]
enum Kind {
    /// The bytes.
    Raw = 0,
    /// One byte, that many times.
    Repeated = 1,
}

/// A frame being written. What is written at once makes blocks of its own, so that it had better be
/// long.
pub(super) struct StoredFrame<W> {
    out: W,
    checksum: XxHash64,
}

impl<W: Write> StoredFrame<W> {
    pub(super) fn begin(mut out: W) -> io::Result<StoredFrame<W>> {
        out.write_all(&ZSTD_MAGIC)?;
        out.write_all(&[DESCRIPTOR, WINDOW])?;
        let checksum = XxHash64::with_seed(0);
        Ok(StoredFrame { out, checksum })
    }

    /// Ends the frame, and gives back where it went.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.header(true, Kind::Raw, 0)?;
        // The lower half of it, as the format has it.
        let checksum = self.checksum.finish() as u32;
        self.out.write_all(&checksum.to_le_bytes())?;
        Ok(self.out)
    }

    fn header(&mut self, is_last: bool, kind: Kind, length: usize) -> io::Result<()> {
        let header = u32::from(is_last) | (kind as u32) << 1 | (length as u32) << 3;
        self.out.write_all(&header.to_le_bytes()[..3])
    }
}

impl<W: Write> Write for StoredFrame<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for block in bytes.chunks(BLOCK_BYTES) {
            let first = block[0];
            if block.iter().all(|byte| *byte == first) {
                self.header(false, Kind::Repeated, block.len())?;
                self.out.write_all(&[first])?;
            } else {
                self.header(false, Kind::Raw, block.len())?;
                self.out.write_all(block)?;
            }
        }
        self.checksum.write(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_zstd_reads_it() {
        let mixed: Vec<u8> = (0..300_000_usize).map(|at| (at * at / 7) as u8).collect();
        let pieces: [&[u8]; 6] = [&[], &[1], &mixed, &[0; 400_000], &mixed[..131_073], &[9; 3]];
        for count in 0..=pieces.len() {
            let mut frame = StoredFrame::begin(Vec::new()).unwrap();
            for piece in &pieces[..count] {
                frame.write_all(piece).unwrap();
            }
            let bytes = frame.finish().unwrap();
            let expected = pieces[..count].concat();
            // The library compares the checksum.
            assert!(zstd::decode_all(&bytes[..]).unwrap() == expected, "{count}");
            let mut damaged = bytes;
            *damaged.last_mut().unwrap() ^= 1;
            assert!(zstd::decode_all(&damaged[..]).is_err());
        }
    }

    #[test]
    fn runs_take_no_room() {
        let mut frame = StoredFrame::begin(Vec::new()).unwrap();
        frame.write_all(&vec![0; 64 << 20]).unwrap();
        assert!(frame.finish().unwrap().len() < 4096);
    }
}
