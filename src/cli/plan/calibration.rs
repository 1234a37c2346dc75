//! A few seconds of measuring with the real engine.

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use anyhow::Context;

use super::estimate::{Asked, Calibration, Measured, PROBES};
use crate::cli::bench::gallery::{Gallery, MadeUp};
use crate::cli::bench::machine::median;
use crate::cli::demo::PORTRAIT;
use crate::cli::doctor::data::scanned_bytes_per_row;
use crate::cli::{open, output};
use crate::code::Layout;
use crate::config::Settings;
use crate::search::{Options, Pool, search};

/// How many values are made up at most: some seconds of work, and some hundred MB among the temporary
/// files.
const VALUES_MAX: usize = 50_000_000;
/// The smaller gallery has a part of the rows of the larger one.
const PART: usize = 4;
const ROUNDS: usize = 7;
/// More than any cache holds, so that rows are read from memory as those of a large gallery are.
const FLUSH_BYTES: usize = 512 << 20;
/// Of a gallery that is smaller than it need be, to be quick about it.
const FLUSH_TIMES: usize = 64;
/// As `serve` answers by default.
const LIMIT: usize = 20;
const PICTURES: usize = 3;

/// Measures what `asked` needs to be known.
pub(super) fn measure(
    asked: Asked,
    calibration_rows: Option<usize>,
    folder: &Path,
    settings: &Settings,
) -> anyhow::Result<Calibration> {
    let pool = Pool::new(settings.threads);
    let options = Options::with(settings.kernel()?);
    let rows_max = calibration_rows.unwrap_or(VALUES_MAX / asked.dimension);
    let large_rows = asked.rows.min(rows_max);
    let is_whole = large_rows == asked.rows;
    let scanned_bytes_per_row = scanned_bytes_per_row(Layout::new(asked.dimension));
    // The gallery that is asked for is searched as it is: if it fits into caches, so be it.
    let flush_bytes = match is_whole {
        true => 0,
        false => FLUSH_BYTES.min(FLUSH_TIMES * large_rows * scanned_bytes_per_row),
    };
    let mut flush = vec![1_u64; flush_bytes / size_of::<u64>()];
    let measured = |rows: usize, flush: &mut [u64]| {
        let made = MadeUp {
            rows,
            dimension: asked.dimension,
            seed: 1,
        };
        let probes = PROBES[PROBES.len() - 1] * 2;
        let gallery = Gallery::made_up(folder, made, probes, LIMIT)?;
        let measured = passes(&gallery, &options, &pool, flush)?;
        anyhow::Ok((measured, gallery.file_bytes))
    };
    let (large, bytes) = measured(large_rows, &mut flush)?;
    let small_rows = large_rows / PART;
    let small = match is_whole || small_rows == 0 {
        true => None,
        false => Some(measured(small_rows, &mut flush)?.0),
    };
    Ok(Calibration {
        small,
        large,
        file_bytes_per_row: bytes as f64 / large_rows as f64,
        scanned_bytes_per_row,
        picture_seconds: picture_seconds(settings)?,
        threads: pool.threads(),
    })
}

/// Searches for all numbers of probes in turn, so that a noisy neighbour slows all alike.
fn passes(
    gallery: &Gallery,
    options: &Options,
    pool: &Pool,
    flush: &mut [u64],
) -> anyhow::Result<Measured> {
    let mut seconds = [const { Vec::new() }; PROBES.len()];
    let bar = output::progress(ROUNDS, "calibrating");
    // One more: the first reads every block for the first time, and compares its checksum.
    for round in 0..=ROUNDS {
        for (count, seconds) in PROBES.iter().zip(&mut seconds) {
            let first = round * count % (gallery.probes.len() - count + 1);
            let queries = gallery.queries(&gallery.probes[first..first + count]);
            pool.on_each_thread(|| black_box(flush.iter().step_by(8).sum::<u64>()));
            let began = Instant::now();
            search(&gallery.snapshot, &queries, options, pool)?;
            if round > 0 {
                seconds.push(began.elapsed().as_secs_f64());
            }
        }
        bar.set_position(round as u64);
    }
    bar.finish_and_clear();
    Ok(Measured {
        rows: gallery.snapshot.templates(),
        spread: spread(&seconds[0]),
        pass_seconds: seconds.map(|seconds| median(&seconds)),
    })
}

/// How far the middle half of some numbers lies apart, as a part of the median.
pub(super) fn spread(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |part: usize| sorted.get(sorted.len() * part / 4).copied().unwrap_or(0.0);
    (at(3) - at(1)) / median(numbers)
}

/// How long one thread looks at a portrait of usual size.
fn picture_seconds(settings: &Settings) -> anyhow::Result<f64> {
    let faces = open::faces(settings)?;
    let look = || {
        let began = Instant::now();
        faces
            .only_face(PORTRAIT)
            .context("looking at the built-in portrait")?;
        Ok(began.elapsed().as_secs_f64())
    };
    let seconds = (0..PICTURES)
        .map(|_| look())
        .collect::<anyhow::Result<Vec<f64>>>()?;
    Ok(median(&seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_half_says_how_noisy_it_was() {
        assert_eq!(spread(&[2.0; 7]), 0.0);
        assert_eq!(spread(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 100.0]), 1.0);
    }
}
