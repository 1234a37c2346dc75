//! Videos of several pictures.

use super::bytes::riff_chunk;
use super::jpeg::progressive;
use super::{Bomb, bomb};

pub(super) fn videos(all: &mut Vec<Bomb>) {
    for (side, scans, count) in [(1400, 60, 19), (800, 99, 30), (300, 99, 60), (2800, 10, 5)] {
        let one = progressive(side, side, scans, 1);
        let name = format!("mjpeg {side} {scans} {count}");
        all.push(bomb(name, one.repeat(count)));
    }
    let empty = [0xFF, 0xD8, 0xFF, 0xD9];
    all.push(bomb("mjpeg empty", empty.repeat(25_000)));
    let one = progressive(300, 300, 99, 1);
    let mut body = b"LIST\0\0\0\0movi".to_vec();
    for _ in 0..50 {
        body.extend(riff_chunk(b"00dc", &one));
    }
    all.push(bomb(
        "avi",
        [b"RIFF\0\0\0\0AVI ".as_slice(), &body].concat(),
    ));
}
