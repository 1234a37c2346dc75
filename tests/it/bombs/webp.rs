//! WebP, lossless, lossy and animated.

use super::bytes::{Bits, noise, riff, riff_chunk};
use super::{Bomb, bomb};

/// Five codes of one symbol each: pixels without a bit.
fn simple_codes(bits: &mut Bits, symbols: [u32; 5]) {
    for symbol in symbols {
        bits.put(1, 1);
        bits.put(0, 1);
        bits.put(1, 1);
        bits.put(symbol, 8);
    }
}

/// A lossless picture without a bit of pixels, after these transforms.
fn lossless(width: u32, height: u32, transforms: &[u32]) -> Vec<u8> {
    let mut bits = Bits::default();
    bits.put(0x2F, 8);
    bits.put(width - 1, 14);
    bits.put(height - 1, 14);
    bits.put(0, 4);
    for &kind in transforms {
        bits.put(1, 1);
        bits.put(kind, 2);
        match kind {
            // Predictors and colours, of squares of four pixels.
            0 | 1 => {
                bits.put(0, 3);
                bits.put(0, 1);
                simple_codes(&mut bits, [11, 11, 11, 255, 0]);
            }
            2 => {}
            // Two colours: eight pixels in one.
            _ => {
                bits.put(1, 8);
                bits.put(0, 1);
                simple_codes(&mut bits, [3, 2, 1, 255, 0]);
            }
        }
    }
    // No more transforms, no cache of colours, one set of codes.
    bits.put(0, 3);
    simple_codes(&mut bits, [1, 2, 3, 255, 0]);
    bits.bytes.extend([0; 16]);
    bits.bytes
}

/// A lossy key frame whose coded data is whatever stands there.
fn lossy(width: u16, height: u16, data: &[u8]) -> Vec<u8> {
    let first = (data.len() / 2) as u32;
    let tag = first << 5 | 1 << 4;
    let mut frame = tag.to_le_bytes()[..3].to_vec();
    frame.extend([0x9D, 0x01, 0x2A]);
    frame.extend(width.to_le_bytes());
    frame.extend(height.to_le_bytes());
    frame.extend(data);
    frame
}

pub(super) fn webps(all: &mut Vec<Bomb>) {
    for transforms in [&[][..], &[0], &[1], &[2], &[3], &[0, 1, 2], &[3, 0, 1, 2]] {
        let name = format!("webp lossless {transforms:?}");
        let data = lossless(5650, 5650, transforms);
        all.push(bomb(name, riff(&[(b"VP8L", data)])));
    }
    for (name, data) in [
        ("zeros", vec![0; 90_000]),
        ("ones", vec![255; 90_000]),
        ("noise", noise(90_000, 1)),
        ("noise 2", noise(90_000, 2)),
        ("noise then zeros", [noise(20, 5), vec![0; 90_000]].concat()),
        (
            "noise then zeros 2",
            [noise(40, 6), vec![0; 90_000]].concat(),
        ),
    ] {
        for side in [5600, 4000] {
            let frame = lossy(side, side, &data);
            all.push(bomb(
                format!("webp lossy {name} {side}"),
                riff(&[(b"VP8 ", frame)]),
            ));
        }
    }
    for (side, frames) in [(8000, 5), (3000, 40), (1700, 4), (600, 600), (145, 600)] {
        all.push(bomb(
            format!("webp animated {side}"),
            animated_webp(side, frames),
        ));
    }
    // A lossy picture whose transparency is packed without loss.
    let mut alpha = vec![1];
    alpha.extend(&lossless(4000, 4000, &[])[5..]);
    let head = [
        &[0x10, 0, 0, 0][..],
        &3999_u32.to_le_bytes()[..3],
        &3999_u32.to_le_bytes()[..3],
    ]
    .concat();
    let frame = lossy(4000, 4000, &vec![0; 60_000]);
    all.push(bomb(
        "webp alpha",
        riff(&[(b"VP8X", head), (b"ALPH", alpha), (b"VP8 ", frame)]),
    ));
}

pub(super) fn animated_webp(side: u32, frames: usize) -> Vec<u8> {
    let size = |value: u32| value.to_le_bytes()[..3].to_vec();
    let head = [vec![0x12, 0, 0, 0], size(side - 1), size(side - 1)].concat();
    let mut chunks = vec![(b"VP8X", head), (b"ANIM", vec![0; 6])];
    let picture = riff_chunk(b"VP8L", &lossless(side, side, &[0]));
    let frame = [
        vec![0; 6],
        size(side - 1),
        size(side - 1),
        vec![1, 0, 0, 0],
        picture,
    ]
    .concat();
    for _ in 0..frames {
        chunks.push((b"ANMF", frame.clone()));
    }
    riff(&chunks)
}
