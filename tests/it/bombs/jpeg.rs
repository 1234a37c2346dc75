//! JPEG, baseline and progressive.

use super::bytes::backwards;
use super::{Bomb, bomb};

/// Bits of a JPEG, the highest of each byte first, filled with ones.
#[derive(Default)]
struct Coded {
    bytes: Vec<u8>,
    held: u32,
    used: u32,
}

impl Coded {
    fn put(&mut self, value: u32, count: u32) {
        for bit in (0..count).rev() {
            self.held = self.held << 1 | (value >> bit & 1);
            self.used += 1;
            if self.used == 8 {
                self.flush_byte();
            }
        }
    }

    fn flush_byte(&mut self) {
        let byte = self.held as u8;
        self.bytes.push(byte);
        if byte == 0xFF {
            self.bytes.push(0);
        }
        (self.held, self.used) = (0, 0);
    }

    fn finish(mut self) -> Vec<u8> {
        while self.used != 0 {
            self.put(1, 1);
        }
        self.bytes
    }
}

fn segment(kind: u8, data: &[u8]) -> Vec<u8> {
    [
        &[0xFF, kind][..],
        &backwards((data.len() as u16 + 2).to_le_bytes()),
        data,
    ]
    .concat()
}

/// A table with codes `0` and `10` for these.
fn table(class: u8, symbols: [u8; 2]) -> Vec<u8> {
    let mut table = vec![class << 4, 1, 1];
    table.extend([0; 14]);
    table.extend(symbols);
    segment(0xC4, &table)
}

fn jpeg_head(frame: u8, width: u16, height: u16, components: u8) -> Vec<u8> {
    let mut jpeg = vec![0xFF, 0xD8];
    jpeg.extend(segment(0xDB, &[&[0][..], &[1; 64]].concat()));
    let mut header = vec![8];
    header.extend(backwards(height.to_le_bytes()));
    header.extend(backwards(width.to_le_bytes()));
    header.push(components);
    for id in 1..=components {
        header.extend([id, 0x11, 0]);
    }
    jpeg.extend(segment(frame, &header));
    // A mean that is that of the last square, or one more; and the end of a square, or of 16,384.
    jpeg.extend(table(0, [0, 1]));
    jpeg.extend(table(1, [0xE0, 0]));
    jpeg
}

fn scan_head(components: &[u8], first: u8, last: u8, bits: u8) -> Vec<u8> {
    let mut header = vec![components.len() as u8];
    for id in components {
        header.extend([*id, 0]);
    }
    header.extend([first, last, bits]);
    segment(0xDA, &header)
}

/// The means, and then so many scans that add nothing.
pub(super) fn progressive(width: u16, height: u16, scans: usize, components: u8) -> Vec<u8> {
    let squares = u32::from(width).div_ceil(8) * u32::from(height).div_ceil(8);
    let ids: Vec<u8> = (1..=components).collect();
    let mut jpeg = jpeg_head(0xC2, width, height, components);
    jpeg.extend(scan_head(&ids, 0, 0, 0));
    let mut coded = Coded::default();
    for _ in 0..squares * u32::from(components) {
        coded.put(0, 1);
    }
    jpeg.extend(coded.finish());
    for scan in 0..scans {
        jpeg.extend(scan_head(
            &[1 + (scan % usize::from(components)) as u8],
            1,
            63,
            0,
        ));
        let mut coded = Coded::default();
        let mut left = squares;
        while left > 0 {
            let run = left.min(32_767);
            if run >= 16_384 {
                coded.put(0, 1);
                coded.put(run - 16_384, 14);
                left -= run;
            } else {
                coded.put(2, 2);
                left -= 1;
            }
        }
        jpeg.extend(coded.finish());
    }
    jpeg.extend([0xFF, 0xD9]);
    jpeg
}

/// Squares of two bits each.
pub(super) fn baseline(width: u16, height: u16, components: u8) -> Vec<u8> {
    let squares = u32::from(width).div_ceil(8) * u32::from(height).div_ceil(8);
    let ids: Vec<u8> = (1..=components).collect();
    let mut jpeg = jpeg_head(0xC0, width, height, components);
    // The end of a square is the short code here.
    jpeg.extend(table(1, [0, 1]));
    jpeg.extend(scan_head(&ids, 0, 63, 0));
    let mut coded = Coded::default();
    for _ in 0..squares * u32::from(components) {
        coded.put(0, 2);
    }
    jpeg.extend(coded.finish());
    jpeg.extend([0xFF, 0xD9]);
    jpeg
}

pub(super) fn jpegs(all: &mut Vec<Bomb>) {
    all.push(bomb("jpeg baseline grey", baseline(4800, 4800, 1)));
    all.push(bomb("jpeg baseline", baseline(2800, 2800, 3)));
    for (side, scans, components) in [
        (7000, 60, 1),
        (6400, 99, 1),
        (6900, 15, 1),
        (6900, 9, 1),
        (3900, 99, 3),
        (3900, 30, 3),
        (3900, 15, 3),
        (2000, 99, 3),
    ] {
        let name = format!("jpeg progressive {side} {scans} {components}");
        all.push(bomb(name, progressive(side, side, scans, components)));
    }
}
