//! BMP and PNM.

use super::{Bomb, bomb};

fn bmp(side: i32, bits: u16, compression: u32, data: &[u8]) -> Vec<u8> {
    let colours = 1_u32 << bits.min(8);
    let from = 54 + 4 * colours;
    let mut bmp = b"BM".to_vec();
    bmp.extend((from + data.len() as u32).to_le_bytes());
    bmp.extend([0; 4]);
    bmp.extend(from.to_le_bytes());
    bmp.extend(40_u32.to_le_bytes());
    bmp.extend(side.to_le_bytes());
    bmp.extend(side.to_le_bytes());
    bmp.extend(1_u16.to_le_bytes());
    bmp.extend(bits.to_le_bytes());
    bmp.extend(compression.to_le_bytes());
    bmp.extend([0; 12]);
    bmp.extend(colours.to_le_bytes());
    bmp.extend([0; 4]);
    bmp.extend([77].repeat(4 * colours as usize));
    bmp.extend(data);
    bmp
}

pub(super) fn bmps(all: &mut Vec<Bomb>) {
    for (bits, compression) in [(8, 1), (4, 2)] {
        let mut push = |name: &str, data: Vec<u8>| {
            all.push(bomb(
                format!("bmp rle{bits} {name}"),
                bmp(5600, bits, compression, &data),
            ));
        };
        push("ends", vec![0, 1]);
        push("lines", [[0, 0].repeat(8000), vec![0, 1]].concat());
        push("jumps", [[0, 2, 255, 255].repeat(20), vec![0, 1]].concat());
        push("runs", [255, 3].repeat(45_000));
    }
    all.push(bomb("bmp 1", bmp(800, 1, 0, &vec![0; 80_000])));
    all.push(bomb("bmp 1 short", bmp(8000, 1, 0, &vec![0; 80_000])));
}

pub(super) fn pnms(all: &mut Vec<Bomb>) {
    for (name, head, fill) in [
        ("p1", "P1 300 300\n", &b"1 "[..]),
        ("p2", "P2 220 220 255\n", b"1 "),
        ("p2 wide", "P2 8000 8000 255\n", b"1 "),
        ("p3", "P3 120 120 255\n", b"1 "),
        ("p4", "P4 880 880\n", b"\x55"),
        ("p5", "P5 300 300 255\n", b"x"),
        ("p5 16", "P5 200 200 65535\n", b"x"),
        ("p6", "P6 180 180 255\n", b"x"),
        ("p6 short", "P6 8000 8000 255\n", b"x"),
        ("comments", "P5 300 300 255\n", b"#\n"),
    ] {
        let data = fill.repeat(99_000 / fill.len());
        all.push(bomb(
            format!("pnm {name}"),
            [head.as_bytes(), &data].concat(),
        ));
    }
}
