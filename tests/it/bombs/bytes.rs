//! Bytes that several formats are made of.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;

/// The highest byte first.
pub(super) fn backwards<const N: usize>(mut bytes: [u8; N]) -> [u8; N] {
    bytes.reverse();
    bytes
}

pub(super) fn zlib(write: impl FnOnce(&mut dyn Write)) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    write(&mut encoder);
    encoder.finish().unwrap()
}

/// Many rows of so many bytes, each with this one before it.
pub(super) fn rows(out: &mut dyn Write, rows: usize, bytes: usize, first: Option<u8>, fill: u8) {
    let mut row = vec![fill; bytes + usize::from(first.is_some())];
    if let Some(first) = first {
        row[0] = first;
    }
    for _ in 0..rows {
        out.write_all(&row).unwrap();
    }
}

/// Bits, the lowest of each byte first.
#[derive(Default)]
pub(super) struct Bits {
    pub(super) bytes: Vec<u8>,
    pub(super) used: u32,
}

impl Bits {
    pub(super) fn put(&mut self, value: u32, count: u32) {
        for bit in 0..count {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let last = self.bytes.len() - 1;
            self.bytes[last] |= ((value >> bit & 1) as u8) << (self.used % 8);
            self.used += 1;
        }
    }
}

pub(super) fn zeros(count: usize) -> Vec<u8> {
    zlib(|out| rows(out, count.div_ceil(8000), 8000, None, 0))
}

pub(super) fn noise(count: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9) | 1;
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 8) as u8
        })
        .collect()
}

pub(super) fn riff(chunks: &[(&[u8; 4], Vec<u8>)]) -> Vec<u8> {
    let mut body = b"WEBP".to_vec();
    for (kind, data) in chunks {
        body.extend(riff_chunk(kind, data));
    }
    [b"RIFF", &(body.len() as u32).to_le_bytes()[..], &body].concat()
}

pub(super) fn riff_chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut chunk = [&kind[..], &(data.len() as u32).to_le_bytes(), data].concat();
    chunk.resize(chunk.len() + data.len() % 2, 0);
    chunk
}
