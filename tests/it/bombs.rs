//! Files of few bytes that take as long as possible, one or more of each format that is read.

use std::fs;
use std::io::Write;
use std::time::Duration;

use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};
use vultus::face::{Cost, DecodeLimits, FacePipeline, PipelineOptions};

/// Of what is at most so long, little may come.
const SMALL_BYTES: usize = 100_000;
/// Pictures of a video that are looked at.
const FRAMES: usize = 6;
/// What the allocator and the tables of decoders add to what is known.
const UNKNOWN_BYTES: u64 = 16 << 20;

/// A file, and what it is.
struct Bomb {
    name: String,
    bytes: Vec<u8>,
}

#[test]
fn what_is_let_in_says_that_it_takes_little() {
    let limits = DecodeLimits::default();
    let (mut refused, mut taken) = (0, 0);
    for Bomb { name, bytes } in all().filter(|bomb| bomb.bytes.len() <= SMALL_BYTES) {
        for cost in [
            Cost::of(&bytes, &limits),
            Cost::of_frames(&bytes, &limits, FRAMES),
        ] {
            match cost {
                Ok(cost) => {
                    assert!(cost.time < Duration::from_secs(2), "{name}: {cost:?}");
                    assert!(cost.bytes < 1 << 30, "{name}: {cost:?}");
                    taken += 1;
                }
                Err(error) => {
                    assert!(error.is_callers_fault(), "{name}: {error}");
                    refused += 1;
                }
            }
        }
    }
    assert!(
        refused > 30 && taken > 100,
        "{refused} refused, {taken} taken"
    );
}

/// By the clock of the processor, so that other work does not count; that of one thread, so nothing else
/// may run in this process.
#[test]
#[cfg(target_os = "linux")]
#[ignore = "needs optimised code, and this process for itself; run by name: cargo test --release --test it -- --ignored bombs"]
fn a_hundred_kilobytes_take_less_than_a_second_and_no_more_memory_than_is_known() {
    let pipeline = FacePipeline::new(&PipelineOptions::default()).unwrap();
    // Once, so that what the networks keep is there before anything is measured.
    let portrait = fs::read(super::cli::face("obama-portrait.jpg")).unwrap();
    pipeline.only_face(&portrait).unwrap();
    let mut slowest = (0.0, String::new());
    for Bomb { name, bytes } in all() {
        let (held, before) = (peak_after_reset(), processor_seconds());
        let decoded = pipeline.decode(&bytes);
        if let Ok(picture) = &decoded {
            // There is no face in it, and the search for one is part of the time.
            let _nobody = pipeline.only_face_in(picture);
        }
        let seconds = processor_seconds() - before;
        let peak = status("VmHWM").saturating_sub(held);
        if let Ok(cost) = pipeline.cost(&bytes) {
            let known = cost.bytes + UNKNOWN_BYTES;
            assert!(peak <= known, "{name}: {peak} bytes, {known} known");
        }
        drop(decoded);
        let (held, before) = (peak_after_reset(), processor_seconds());
        let frames = pipeline.decode_frames(&bytes, FRAMES);
        let seconds = seconds.max(processor_seconds() - before);
        let peak = status("VmHWM").saturating_sub(held);
        if let Ok(cost) = pipeline.cost_of_frames(&bytes, FRAMES) {
            let known = cost.bytes + UNKNOWN_BYTES;
            assert!(
                peak <= known,
                "{name} as a video: {peak} bytes, {known} known"
            );
        }
        drop(frames);
        let small = bytes.len() <= SMALL_BYTES;
        if small && seconds > slowest.0 {
            slowest = (seconds, name.clone());
        }
        // Code that is not optimised takes ten times as long.
        let is_optimised = !cfg!(debug_assertions);
        assert!(
            !small || !is_optimised || seconds < 1.0,
            "{name}: {seconds} s"
        );
    }
    println!("the slowest takes {:.2} s: {}", slowest.0, slowest.1);
}

/// Forgets the highest memory until now; returns what there is.
fn peak_after_reset() -> u64 {
    fs::write("/proc/self/clear_refs", "5").unwrap();
    status("VmRSS")
}

/// A line of what the system knows of this process, in bytes.
fn status(name: &str) -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    let mut lines = text.lines();
    let line = lines.find(|line| line.starts_with(name)).unwrap();
    let kibibytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kibibytes << 10
}

/// What this thread took.
fn processor_seconds() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanoseconds: f64 = text.split_whitespace().next().unwrap().parse().unwrap();
    nanoseconds / 1e9
}

fn bomb(name: impl Into<String>, bytes: Vec<u8>) -> Bomb {
    Bomb {
        name: name.into(),
        bytes,
    }
}

/// All of them, made format by format.
fn all() -> impl Iterator<Item = Bomb> {
    let makers: [fn(&mut Vec<Bomb>); 8] = [pngs, gifs, tiffs, webps, bmps, pnms, jpegs, videos];
    makers.into_iter().flat_map(|make| {
        let mut all = Vec::new();
        make(&mut all);
        all
    })
}

/// The highest byte first.
fn backwards<const N: usize>(mut bytes: [u8; N]) -> [u8; N] {
    bytes.reverse();
    bytes
}

fn zlib(write: impl FnOnce(&mut dyn Write)) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    write(&mut encoder);
    encoder.finish().unwrap()
}

/// Many rows of so many bytes, each with this one before it.
fn rows(out: &mut dyn Write, rows: usize, bytes: usize, first: Option<u8>, fill: u8) {
    let mut row = vec![fill; bytes + usize::from(first.is_some())];
    if let Some(first) = first {
        row[0] = first;
    }
    for _ in 0..rows {
        out.write_all(&row).unwrap();
    }
}

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

fn png(side: u32, depth: u8, colour: u8, interlaced: bool, filter: u8) -> Vec<u8> {
    let channels = [1, 0, 3, 1, 2, 0, 4][usize::from(colour)];
    let data = png_data(side, u32::from(depth) * channels, interlaced, filter, 0);
    [
        png_head(side, depth, colour, interlaced),
        chunk(b"IDAT", &data),
        chunk(b"IEND", &[]),
    ]
    .concat()
}

fn pngs(all: &mut Vec<Bomb>) {
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

fn apng(side: u32, frames: u32) -> Vec<u8> {
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

/// Bits, the lowest of each byte first.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    fn put(&mut self, value: u32, count: u32) {
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

fn gif(side: u16, frames: &[(u16, bool)]) -> Vec<u8> {
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

fn gifs(all: &mut Vec<Bomb>) {
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

fn zeros(count: usize) -> Vec<u8> {
    zlib(|out| rows(out, count.div_ceil(8000), 8000, None, 0))
}

fn tiffs(all: &mut Vec<Bomb>) {
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

fn noise(count: usize, seed: u32) -> Vec<u8> {
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

fn riff(chunks: &[(&[u8; 4], Vec<u8>)]) -> Vec<u8> {
    let mut body = b"WEBP".to_vec();
    for (kind, data) in chunks {
        body.extend(riff_chunk(kind, data));
    }
    [b"RIFF", &(body.len() as u32).to_le_bytes()[..], &body].concat()
}

fn riff_chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut chunk = [&kind[..], &(data.len() as u32).to_le_bytes(), data].concat();
    chunk.resize(chunk.len() + data.len() % 2, 0);
    chunk
}

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

fn webps(all: &mut Vec<Bomb>) {
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

fn animated_webp(side: u32, frames: usize) -> Vec<u8> {
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

fn bmps(all: &mut Vec<Bomb>) {
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

fn pnms(all: &mut Vec<Bomb>) {
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
fn progressive(width: u16, height: u16, scans: usize, components: u8) -> Vec<u8> {
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
fn baseline(width: u16, height: u16, components: u8) -> Vec<u8> {
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

fn jpegs(all: &mut Vec<Bomb>) {
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

fn videos(all: &mut Vec<Bomb>) {
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
