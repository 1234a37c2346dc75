//! GIF.

use super::bytes::Bits;
use super::{Bomb, bomb};

/// So many pixels of the first colour, as GIF packs them.
fn lzw_zeros(count: usize, size: u32) -> Vec<u8> {
    let clear = 1_u32 << size;
    let mut bits = Bits::default();
    let (mut width, mut next, mut run, mut done) = (size + 1, clear + 2, 1, 0);
    bits.put(clear, width);
    bits.put(0, width);
    done += 1;
    while done < count {
        // Each code is the run that is one longer than the last, until the table is full.
        if next < 4096 {
            run += 1;
            bits.put(next, width);
            next += 1;
            if next == 1 << width && width < 12 {
                width += 1;
            }
        } else {
            bits.put(4095, width);
        }
        done += run;
    }
    bits.put(clear + 1, width);
    let blocks = bits.bytes.chunks(255).flat_map(|block| {
        let mut all = vec![block.len() as u8];
        all.extend(block);
        all
    });
    let mut all = vec![size as u8];
    all.extend(blocks);
    all.push(0);
    all
}

pub(super) fn gif(side: u16, frames: &[(u16, bool)]) -> Vec<u8> {
    let mut gif = b"GIF89a".to_vec();
    gif.extend(side.to_le_bytes());
    gif.extend(side.to_le_bytes());
    gif.extend([0x80, 0, 0, 1, 2, 3, 4, 5, 6]);
    for &(side, interlaced) in frames {
        gif.extend([0x21, 0xF9, 4, 0, 1, 0, 0, 0]);
        gif.extend([0x2C, 0, 0, 0, 0]);
        gif.extend(side.to_le_bytes());
        gif.extend(side.to_le_bytes());
        gif.push(u8::from(interlaced) << 6);
        let pixels = usize::from(side) * usize::from(side);
        gif.extend(lzw_zeros(pixels, 2));
    }
    gif.push(0x3B);
    gif
}

pub(super) fn gifs(all: &mut Vec<Bomb>) {
    all.push(bomb("gif", gif(5700, &[(5700, false)])));
    all.push(bomb("gif interlaced", gif(5700, &[(5700, true)])));
    all.push(bomb("gif, most of it", gif(5700, &[(5690, true)])));
    all.push(bomb("gif of two", gif(2500, &[(2500, false); 2])));
    all.push(bomb("gif of twelve", gif(1000, &[(1000, false); 12])));
    all.push(bomb("gif of small ones", gif(140, &[(16, false); 600])));
    all.push(bomb("gif 8000", gif(8000, &[(8000, false)])));
    all.push(bomb("gif 8000 of 6 small", gif(8000, &[(16, false); 6])));
    all.push(bomb("gif 3000 of 40 small", gif(3000, &[(16, false); 40])));
    all.push(bomb("gif 800 of 600 small", gif(800, &[(16, false); 600])));
    all.push(bomb("gif 8000 from a small one", gif(8000, &[(16, false)])));
}
