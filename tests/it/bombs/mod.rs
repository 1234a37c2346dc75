//! Files of few bytes that take as long as possible, one or more of each format that is read.

mod bytes;
mod gif;
mod jpeg;
mod plain;
mod png;
mod tiff;
mod video;
mod webp;

use std::fs;
use std::time::Duration;

use vultus::face::{Cost, DecodeLimits, FacePipeline, PipelineOptions};

use self::gif::gifs;
use self::jpeg::jpegs;
use self::plain::{bmps, pnms};
use self::png::pngs;
use self::tiff::tiffs;
use self::video::videos;
use self::webp::webps;

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
