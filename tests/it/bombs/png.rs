//! PNG, still and animated.

use flate2::Crc;

use super::bytes::{backwards, rows, zlib};
use super::{Bomb, bomb};

fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut crc = Crc::new();
    crc.update(kind);
    crc.update(data);
    [
        &backwards((data.len() as u32).to_le_bytes())[..],
        kind,
        data,
        &backwards(crc.sum().to_le_bytes()),
    ]
    .concat()
}

const PNG_SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";

fn png_head(side: u32, depth: u8, colour: u8, interlaced: bool) -> Vec<u8> {
    let mut header = [backwards(side.to_le_bytes()), backwards(side.to_le_bytes())].concat();
    header.extend([depth, colour, 0, 0, u8::from(interlaced)]);
    let mut png = [&PNG_SIGNATURE[..], &chunk(b"IHDR", &header)].concat();
    if colour == 3 {
        png.extend(chunk(b"PLTE", &[9, 8, 7, 200, 100, 0]));
        png.extend(chunk(b"tRNS", &[255, 100]));
    }
    png
}

/// The rows of all passes.
fn png_data(side: u32, bits: u32, interlaced: bool, filter: u8, fill: u8) -> Vec<u8> {
    let bytes = |width: u32| (u64::from(width) * u64::from(bits)).div_ceil(8) as usize;
    zlib(|out| {
        if !interlaced {
            rows(out, side as usize, bytes(side), Some(filter), fill);
            return;
        }
        for (x, y, step_x, step_y) in [
            (0, 0, 8, 8),
            (4, 0, 8, 8),
            (0, 4, 4, 8),
            (2, 0, 4, 4),
            (0, 2, 2, 4),
            (1, 0, 2, 2),
            (0, 1, 1, 2),
        ] {
            let width = (side - x).div_ceil(step_x);
            let height = (side - y).div_ceil(step_y);
            rows(out, height as usize, bytes(width), Some(filter), fill);
        }
    })
}

pub(super) fn png(side: u32, depth: u8, colour: u8, interlaced: bool, filter: u8) -> Vec<u8> {
    let channels = [1, 0, 3, 1, 2, 0, 4][usize::from(colour)];
    let data = png_data(side, u32::from(depth) * channels, interlaced, filter, 0);
    [
        png_head(side, depth, colour, interlaced),
        chunk(b"IDAT", &data),
        chunk(b"IEND", &[]),
    ]
    .concat()
}

pub(super) fn pngs(all: &mut Vec<Bomb>) {
    for (side, depth, colour) in [
        // What is let in, with this many bytes, and what is not.
        (6100, 1, 0),
        (6000, 8, 0),
        (6000, 16, 0),
        (5400, 8, 2),
        (3900, 16, 2),
        (5800, 1, 3),
        (6000, 8, 3),
        (6000, 8, 4),
        (4900, 16, 4),
        (4700, 8, 6),
        (3400, 16, 6),
        (8000, 8, 0),
    ] {
        for (interlaced, filter) in [(false, 3), (true, 4)] {
            let name = format!("png {side} {depth} {colour} {interlaced} {filter}");
            all.push(bomb(name, png(side, depth, colour, interlaced, filter)));
        }
    }
    for (side, frames) in [(8000, 5), (3000, 5), (1700, 4), (500, 600), (150, 550)] {
        all.push(bomb(format!("apng {side}"), apng(side, frames)));
    }
    // Many pieces of a byte each.
    let data = png_data(5600, 1, false, 0, 0);
    let mut bytes = png_head(5600, 1, 0, false);
    for byte in data.chunks(2) {
        bytes.extend(chunk(b"IDAT", byte));
    }
    bytes.extend(chunk(b"IEND", &[]));
    all.push(bomb("png pieces", bytes));
}

pub(super) fn apng(side: u32, frames: u32) -> Vec<u8> {
    let data = png_data(side, 1, false, 4, 0);
    let mut png = png_head(side, 1, 0, false);
    png.extend(chunk(
        b"acTL",
        &[backwards(frames.to_le_bytes()), [0; 4]].concat(),
    ));
    let mut number = 0_u32;
    for frame in 0..frames {
        let mut control = backwards(number.to_le_bytes()).to_vec();
        number += 1;
        control.extend(backwards(side.to_le_bytes()));
        control.extend(backwards(side.to_le_bytes()));
        control.extend([0; 8]);
        control.extend([0, 1, 0, 10, 1, 1]);
        png.extend(chunk(b"fcTL", &control));
        if frame == 0 {
            png.extend(chunk(b"IDAT", &data));
        } else {
            png.extend(chunk(
                b"fdAT",
                &[&backwards(number.to_le_bytes())[..], &data].concat(),
            ));
            number += 1;
        }
    }
    png.extend(chunk(b"IEND", &[]));
    png
}
