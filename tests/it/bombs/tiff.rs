//! TIFF.

use super::bytes::{noise, zeros};
use super::jpeg::progressive;
use super::{Bomb, bomb};

struct Tiff {
    side: u32,
    bits: u16,
    samples: u16,
    compression: u16,
    rows_per_strip: u32,
    photometric: u16,
    tile: u32,
    predictor: u16,
    planar: u16,
}

const TIFF: Tiff = Tiff {
    side: 5600,
    bits: 8,
    samples: 1,
    compression: 8,
    rows_per_strip: 5600,
    photometric: 1,
    tile: 0,
    predictor: 1,
    planar: 1,
};

/// All strips or tiles are one, said again and again.
fn tiff(of: &Tiff, data: &[u8]) -> Vec<u8> {
    let strips = match of.tile {
        0 => of.side.div_ceil(of.rows_per_strip),
        tile => of.side.div_ceil(tile).pow(2),
    } * if of.planar == 2 {
        u32::from(of.samples)
    } else {
        1
    };
    let data_at = 8_u32;
    let lists_at = data_at + data.len() as u32;
    let mut bytes = b"II*\0".to_vec();
    let bits_at = lists_at + 8 * strips;
    let directory = (bits_at + 8).next_multiple_of(2);
    bytes.extend(directory.to_le_bytes());
    bytes.extend(data);
    for value in [data_at, data.len() as u32] {
        for _ in 0..strips {
            bytes.extend(value.to_le_bytes());
        }
    }
    for _ in 0..4 {
        bytes.extend(of.bits.to_le_bytes());
    }
    bytes.resize(directory as usize, 0);
    let mut entries: Vec<(u16, u16, u32, u32)> = vec![(256, 4, 1, of.side), (257, 4, 1, of.side)];
    let bits = match of.samples {
        1 => (258, 3, 1, u32::from(of.bits)),
        2 => (258, 3, 2, u32::from(of.bits) * 0x10001),
        count => (258, 3, u32::from(count), bits_at),
    };
    entries.push(bits);
    entries.push((259, 3, 1, u32::from(of.compression)));
    entries.push((262, 3, 1, u32::from(of.photometric)));
    let list = |at: u32, value: u32| if strips == 1 { value } else { at };
    let offsets = list(lists_at, data_at);
    let lengths = list(lists_at + 4 * strips, data.len() as u32);
    if of.tile == 0 {
        entries.push((273, 4, strips, offsets));
    }
    entries.push((277, 3, 1, u32::from(of.samples)));
    if of.tile == 0 {
        entries.push((278, 4, 1, of.rows_per_strip));
        entries.push((279, 4, strips, lengths));
    }
    entries.push((284, 3, 1, u32::from(of.planar)));
    if of.predictor != 1 {
        entries.push((317, 3, 1, u32::from(of.predictor)));
    }
    if of.tile != 0 {
        entries.push((322, 4, 1, of.tile));
        entries.push((323, 4, 1, of.tile));
        entries.push((324, 4, strips, offsets));
        entries.push((325, 4, strips, lengths));
    }
    bytes.extend((entries.len() as u16).to_le_bytes());
    for (tag, kind, count, value) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        bytes.extend(count.to_le_bytes());
        bytes.extend(value.to_le_bytes());
    }
    bytes.extend([0; 4]);
    bytes
}

/// So many zeros, as TIFF packs them with LZW.
fn tiff_lzw_zeros(count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (mut held, mut used) = (0_u32, 0);
    let mut put = |value: u32, width: u32| {
        held = held << width | value;
        used += width;
        while used >= 8 {
            bytes.push((held >> (used - 8)) as u8);
            used -= 8;
            held &= (1 << used) - 1;
        }
    };
    let (mut width, mut next, mut run, mut done) = (9, 258, 1, 1);
    put(256, width);
    put(0, width);
    while done < count {
        run += 1;
        put(next, width);
        done += run;
        next += 1;
        if next + 1 == 1 << width && width < 12 {
            width += 1;
        }
        if next == 4093 {
            put(256, width);
            (width, next, run) = (9, 258, 1);
            put(0, width);
            done += 1;
        }
    }
    put(257, width);
    put(0, 8);
    bytes
}

pub(super) fn tiffs(all: &mut Vec<Bomb>) {
    let side = TIFF.side as usize;
    let mut push = |name: &str, of: Tiff, data: Vec<u8>| {
        all.push(bomb(format!("tiff {name}"), tiff(&of, &data)));
    };
    let grey = |rows_per_strip| Tiff {
        rows_per_strip,
        ..TIFF
    };
    let rgb = |rows_per_strip| Tiff {
        rows_per_strip,
        samples: 3,
        photometric: 2,
        ..TIFF
    };
    let packed = |of: Tiff, compression| Tiff { compression, ..of };
    let tiles = |of: Tiff, tile| Tiff { tile, ..of };
    push("deflate", TIFF, zeros(side * side));
    let predicted = Tiff {
        predictor: 2,
        ..TIFF
    };
    push("deflate predictor", predicted, zeros(side * side));
    push("deflate rows", grey(1), zeros(side));
    push("deflate tiles", tiles(TIFF, 64), zeros(64 * 64));
    let small = Tiff {
        side: 1500,
        ..tiles(TIFF, 16)
    };
    push("deflate tiles 16", small, zeros(16 * 16));
    push("deflate rgb rows", rgb(1), zeros(3 * side));
    push(
        "deflate rgb tiles",
        tiles(rgb(1), 128),
        zeros(3 * 128 * 128),
    );
    let planar = Tiff {
        planar: 2,
        ..rgb(8)
    };
    push("deflate rgb planar", planar, zeros(8 * side));
    let cmyk = Tiff {
        samples: 4,
        photometric: 5,
        ..grey(4)
    };
    push("deflate cmyk rows", cmyk, zeros(4 * 4 * side));
    let deep = Tiff { bits: 16, ..rgb(4) };
    push("deflate rgb 16", deep, zeros(4 * 6 * side));
    let bits = Tiff { bits: 1, ..TIFF };
    push("deflate 1", bits, zeros(side * side / 8));
    push("lzw", packed(TIFF, 5), tiff_lzw_zeros(side * side));
    push("lzw rows", packed(grey(8), 5), tiff_lzw_zeros(8 * side));
    push("lzw rgb rows", packed(rgb(2), 5), tiff_lzw_zeros(6 * side));
    let runs = [0x81, 0].repeat(8 * side / 128 + 1);
    push("packed bits", packed(grey(8), 32773), runs);
    push("not packed", packed(grey(1), 1), vec![7; side]);
    push("not packed rgb", packed(rgb(1), 1), vec![7; 3 * side]);
    for compression in [2, 3, 4] {
        let fax = |rows_per_strip| Tiff {
            bits: 1,
            photometric: 0,
            compression,
            ..grey(rows_per_strip)
        };
        push(&format!("fax {compression}"), fax(5600), vec![0xFF; 60_000]);
        push(
            &format!("fax {compression} rows"),
            fax(4),
            vec![0xFF; 20_000],
        );
        push(
            &format!("fax {compression} noise"),
            fax(5600),
            noise(60_000, 3),
        );
    }
    push("jpeg", packed(TIFF, 7), progressive(5600, 5600, 60, 1));
    push(
        "jpeg strips",
        packed(grey(8), 7),
        progressive(5600, 8, 99, 1),
    );
}
