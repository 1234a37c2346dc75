//! `vultus bench --nist`: what NIST's table of identification has for each algorithm, of this one.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rayon::prelude::*;
use serde::Serialize;

use super::gallery::ROWS_PER_BATCH;
use super::machine::{Machine, median};
use crate::cli::args::Bench;
use crate::cli::demo::PORTRAIT;
use crate::cli::doctor::data::scanned_bytes_per_row;
use crate::cli::exit::Exit;
use crate::cli::machine::{Disk, Memory, bytes_text};
use crate::cli::made_up::direction;
use crate::cli::{open, output};
use crate::code::{Layout, Probe};
use crate::config::Settings;
use crate::engine::{Engine, Gallery, IdentifyOptions};
use crate::intake::Care;
use crate::partition::{NewTemplate, Partition, Store};
use crate::search::Pool;
use crate::types::{Bcid, ClassId, Clock, Embedding, EncoderId, PartitionId};

/// Galleries, up to that of NIST's table.
const ROWS: [usize; 6] = [
    100_000, 300_000, 1_000_000, 3_000_000, 6_000_000, 12_000_000,
];
/// Lists of candidates that are timed.
const LISTS: [usize; 2] = [1, 50];
/// So much of the memory that is free may be scanned, and of the disk be written.
const SHARE_MAX: f64 = 0.8;
/// Bytes of a row on disk for each value, and besides.
const FILE_BYTES: (usize, usize) = (6, 200);
/// Templates and pictures that are enrolled.
const ENROLLED: usize = 20;
const PICTURES: usize = 7;
/// Single precision.
const VALUE_BYTES: usize = 4;

/// What is printed.
#[derive(Serialize)]
struct Report {
    version: &'static str,
    machine: Machine,
    dimension: usize,
    seed: u64,
    rounds: usize,
    template: TemplateBytes,
    enrolment: Enrolment,
    searches: Vec<Searches>,
    /// What the times of one thread and the longer list follow.
    power_law: Option<PowerLaw>,
    /// Why no larger gallery was searched; none if the largest was.
    stopped_by: Option<String>,
}

/// How large a template is.
#[derive(Serialize)]
struct TemplateBytes {
    /// Its values, in single precision: what two programs exchange.
    values: usize,
    /// What a scan reads of it.
    scanned: usize,
    /// What it takes up on disk, with all that is known of it and checksums.
    on_disk: f64,
}

/// How long it takes until somebody can be found.
#[derive(Serialize)]
struct Enrolment {
    /// A picture to a template, by the encoder of pictures.
    picture_ms: f64,
    /// A ready template into a gallery, synced to disk.
    template_ms: f64,
    /// One of many that come together, synced once.
    bulk_template_us: f64,
}

/// How long searches take among so many.
#[derive(Serialize)]
struct Searches {
    rows: usize,
    /// Times of one thread, as NIST measures, and of all, by length of the list.
    one_thread_ms: ByList,
    all_threads_ms: ByList,
    threads: usize,
    /// Of one thread and the longer list.
    ns_per_row: f64,
}

#[derive(Clone, Copy, Serialize)]
struct ByList {
    list_1: f64,
    list_50: f64,
}

/// `a` times the number of templates to the power of `b`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct PowerLaw {
    a_us: f64,
    b: f64,
}

pub(super) fn run(verb: &Bench, settings: &Settings) -> anyhow::Result<Exit> {
    let parent = verb.directory.clone().unwrap_or_else(std::env::temp_dir);
    let (sizes, stopped_by) = sizes(verb, &parent)?;
    let picture_ms = picture_ms(settings)?;
    let mut growing = Growing::begin(verb, settings, &parent)?;
    let template_ms = growing.enroll_some()?;
    let bar = output::progress(sizes.last().copied().unwrap_or(0), "making rows");
    let (mut searches, mut bulk) = (Vec::new(), Vec::new());
    for rows in sizes {
        bulk.push(growing.grow(rows, |done| bar.set_position(done as u64))?);
        searches.push(growing.search(verb.rounds)?);
    }
    bar.finish_and_clear();
    let points: Vec<(f64, f64)> = searches
        .iter()
        .map(|it| (it.rows as f64, it.one_thread_ms.list_50 * 1e3))
        .collect();
    let report = Report {
        version: env!("CARGO_PKG_VERSION"),
        machine: Machine::describe(settings.kernel()?),
        dimension: verb.dim,
        seed: verb.seed,
        rounds: verb.rounds,
        template: TemplateBytes {
            values: verb.dim * VALUE_BYTES,
            scanned: scanned_bytes_per_row(Layout::new(verb.dim)),
            on_disk: growing.bytes_per_row(),
        },
        enrolment: Enrolment {
            picture_ms,
            template_ms,
            bulk_template_us: median(&bulk),
        },
        searches,
        power_law: PowerLaw::fit(&points),
        stopped_by,
    };
    growing.end()?;
    print(&report, verb.json)?;
    Ok(Exit::Success)
}

/// The galleries that there is room for, and what there is no room for beyond.
fn sizes(verb: &Bench, parent: &Path) -> anyhow::Result<(Vec<usize>, Option<String>)> {
    let file_bytes = FILE_BYTES.0 * verb.dim + FILE_BYTES.1;
    let scanned = scanned_bytes_per_row(Layout::new(verb.dim));
    let room = |free: u64, bytes: usize| (free as f64 * SHARE_MAX / bytes as f64) as usize;
    let disk = Disk::of(parent).ok().map(|disk| disk.free_bytes);
    let memory = Memory::read().map(|memory| memory.available_bytes);
    let limits = [
        (verb.rows_max, "--rows-max".to_owned()),
        (
            disk.map(|free| room(free, file_bytes)),
            "room on disk".to_owned(),
        ),
        (memory.map(|free| room(free, scanned)), "memory".to_owned()),
    ];
    let limits = limits
        .into_iter()
        .filter_map(|(rows, why)| Some((rows?, why)));
    let least = limits.min_by_key(|(rows, _)| *rows);
    let (rows, why) = least.map_or((usize::MAX, None), |(rows, why)| (rows, Some(why)));
    let mut sizes: Vec<usize> = ROWS.into_iter().filter(|size| *size <= rows).collect();
    if verb
        .rows_max
        .is_some_and(|typed| typed == rows && !sizes.contains(&rows) && rows < ROWS[5])
    {
        sizes.push(rows);
    }
    ensure!(
        !sizes.is_empty(),
        "there is room for {rows} templates, and the smallest gallery has {}: {} on disk and {} of memory",
        ROWS[0],
        bytes_text((ROWS[0] * file_bytes) as u64),
        bytes_text((ROWS[0] * scanned) as u64)
    );
    let is_whole = sizes.last() == ROWS.last();
    Ok((sizes, why.filter(|_| !is_whole)))
}

/// How long a picture takes to become a template.
fn picture_ms(settings: &Settings) -> anyhow::Result<f64> {
    let intake = open::intake(settings)?;
    let mut times = Vec::new();
    for round in 0..=PICTURES {
        let start = Instant::now();
        intake.look(PORTRAIT, Care::Glance)?;
        // The first fills caches.
        if round > 0 {
            times.push(milliseconds(start.elapsed()));
        }
    }
    Ok(median(&times))
}

/// A gallery of made-up templates that grows.
struct Growing {
    folder: tempfile::TempDir,
    engine: Engine,
    /// The same data, searched by one thread.
    alone: Engine,
    partition: Arc<Partition>,
    id: PartitionId,
    encoder: EncoderId,
    dimension: usize,
    seed: u64,
    /// Templates that are made up so far.
    rows: usize,
}

impl Growing {
    fn begin(verb: &Bench, settings: &Settings, parent: &Path) -> anyhow::Result<Growing> {
        let folder = tempfile::Builder::new()
            .prefix("vultus-bench-")
            .tempdir_in(parent);
        let folder = folder.with_context(|| {
            format!(
                "cannot create a folder for the gallery in `{}`",
                parent.display()
            )
        })?;
        let store = Arc::new(Store::open(folder.path())?);
        let kernel = settings.kernel()?;
        let engine =
            |threads: usize| Engine::new(store.clone(), Pool::new(threads)).with_kernel(kernel);
        let encoder = EncoderId::new("bench", "1", verb.dim)?;
        let id: PartitionId = "bench.1".parse()?;
        let partition = store.partition_for(&id, &encoder, Clock::System.now())?;
        Ok(Growing {
            engine: engine(settings.threads),
            alone: engine(1),
            partition,
            id,
            encoder,
            dimension: verb.dim,
            seed: verb.seed,
            rows: 0,
            folder,
        })
    }

    /// Enrols some templates, each by itself; returns the median time.
    fn enroll_some(&self) -> anyhow::Result<f64> {
        let mut times = Vec::new();
        for at in 0..=ENROLLED {
            let template = NewTemplate {
                embedding: Embedding::new(self.made_up(u64::MAX - at as u64))?,
                quality: f32::NAN,
                portrait: None,
            };
            let bcid = Bcid {
                partition: self.id.clone(),
                // Beside those that are made up later.
                class: ClassId(-1 - at as i64),
            };
            let start = Instant::now();
            self.engine
                .enroll(&bcid, &self.encoder, &[template], Clock::System.now())?;
            if at > 0 {
                times.push(milliseconds(start.elapsed()));
            }
        }
        Ok(median(&times))
    }

    fn made_up(&self, row: u64) -> Vec<f32> {
        direction(self.dimension, self.seed, row)
    }

    /// Adds templates until there are so many; returns the microseconds for each, without those
    /// that making it up took.
    fn grow(&mut self, rows: usize, done: impl Fn(usize)) -> anyhow::Result<f64> {
        let new = rows - self.rows;
        let mut import = self
            .partition
            .import(&self.encoder, new, Clock::System.now())?;
        let mut spent = Duration::ZERO;
        for first in (self.rows..rows).step_by(ROWS_PER_BATCH) {
            let batch = first..rows.min(first + ROWS_PER_BATCH);
            let made: Vec<Vec<f32>> = batch
                .clone()
                .into_par_iter()
                .map(|row| self.made_up(row as u64))
                .collect();
            let start = Instant::now();
            for (row, values) in batch.zip(&made) {
                import.push(ClassId(row as i64 + 1), values, f32::NAN)?;
            }
            spent += start.elapsed();
            done(first);
        }
        let start = Instant::now();
        import.finish()?;
        spent += start.elapsed();
        self.rows = rows;
        Ok(spent.as_secs_f64() * 1e6 / new as f64)
    }

    /// Searches with new probes each time, of which every other one is an enrolled template with
    /// noise.
    fn search(&self, rounds: usize) -> anyhow::Result<Searches> {
        let gallery = |engine: &Engine| -> anyhow::Result<Gallery> {
            let found = engine.gallery(&self.id, &self.encoder)?;
            found.context("the gallery was just made")
        };
        let (all, alone) = (gallery(&self.engine)?, gallery(&self.alone)?);
        let mut times: [Vec<f64>; 4] = Default::default();
        for round in 0..=2 * rounds {
            for (at, (gallery, list)) in [(&alone, 0), (&alone, 1), (&all, 0), (&all, 1)]
                .into_iter()
                .enumerate()
            {
                let probe = Probe::new(&self.probe(4 * round + at)?);
                let options = IdentifyOptions {
                    limit: LISTS[list],
                    threshold: None,
                };
                let start = Instant::now();
                let found = gallery.identify_many(&[options.query(&probe)])?;
                let spent = milliseconds(start.elapsed());
                ensure!(found[0].matches.len() == LISTS[list], "a list is not whole");
                // The first reads checksums, and what is not in memory yet.
                if round > 0 {
                    times[at].push(spent);
                }
            }
        }
        let [a, b, c, d] = times.map(|times| median(&times));
        Ok(Searches {
            rows: self.rows,
            one_thread_ms: ByList {
                list_1: a,
                list_50: b,
            },
            all_threads_ms: ByList {
                list_1: c,
                list_50: d,
            },
            threads: self.engine.pool().threads(),
            ns_per_row: b * 1e6 / self.rows as f64,
        })
    }

    fn probe(&self, at: usize) -> anyhow::Result<Embedding> {
        let mut probe = self.made_up(u64::MAX / 2 - at as u64);
        if at.is_multiple_of(2) {
            let row = self.made_up((at.wrapping_mul(7_919) % self.rows) as u64);
            probe
                .iter_mut()
                .zip(row)
                .for_each(|(value, row)| *value += row);
        }
        Ok(Embedding::new(probe)?)
    }

    fn bytes_per_row(&self) -> f64 {
        let segments = super::gallery::bytes_in(&self.folder.path().join("segments"));
        segments as f64 / self.rows.max(1) as f64
    }

    fn end(self) -> anyhow::Result<()> {
        let Growing { folder, .. } = self;
        folder
            .close()
            .context("cannot remove the folder of the gallery")
    }
}

impl PowerLaw {
    /// The line through the logarithms of times in microseconds with the least squares.
    fn fit(points: &[(f64, f64)]) -> Option<PowerLaw> {
        if points.len() < 2 {
            return None;
        }
        let count = points.len() as f64;
        let logarithms = points.iter().map(|(rows, time)| (rows.ln(), time.ln()));
        let (sum_x, sum_y) = logarithms
            .clone()
            .fold((0.0, 0.0), |(a, b), (x, y)| (a + x, b + y));
        let (mean_x, mean_y) = (sum_x / count, sum_y / count);
        let (above, below) = logarithms.fold((0.0, 0.0), |(above, below), (x, y)| {
            let across = x - mean_x;
            (above + across * (y - mean_y), below + across * across)
        });
        let b = above / below;
        let a_us = (mean_y - b * mean_x).exp();
        (a_us.is_finite() && b.is_finite()).then_some(PowerLaw { a_us, b })
    }
}

fn milliseconds(spent: Duration) -> f64 {
    spent.as_secs_f64() * 1e3
}

fn print(report: &Report, json: bool) -> anyhow::Result<()> {
    if json {
        return Ok(output::json_line(report)?);
    }
    let mut table = output::table(&[
        "templates",
        "1 thread, list of 1",
        "list of 50",
        "a template",
        "all threads, list of 1",
        "list of 50 ",
    ]);
    let told = |time: f64| format!("{time:.2} ms");
    for it in &report.searches {
        table.add_row([
            it.rows.to_string(),
            told(it.one_thread_ms.list_1),
            told(it.one_thread_ms.list_50),
            format!("{:.1} ns", it.ns_per_row),
            told(it.all_threads_ms.list_1),
            told(it.all_threads_ms.list_50),
        ]);
    }
    output::line(table.to_string())?;
    let TemplateBytes {
        values,
        scanned,
        on_disk,
    } = report.template;
    output::line(format!(
        "template: {values} bytes of values, {scanned} are scanned, {on_disk:.0} on disk"
    ))?;
    let Enrolment {
        picture_ms,
        template_ms,
        bulk_template_us,
    } = report.enrolment;
    output::line(format!(
        "enrolment: {picture_ms:.1} ms from a picture to a template; {template_ms:.2} ms for a template, synced, or \
         {bulk_template_us:.1} us for each of many"
    ))?;
    if let Some(PowerLaw { a_us, b }) = report.power_law {
        output::line(format!(
            "1 thread, list of 50: {a_us:.4} us * N^{b:.3}, at 12,000,000 templates {:.0} ms",
            a_us * 12e6_f64.powf(b) / 1e3
        ))?;
    }
    if let Some(why) = &report.stopped_by {
        output::say!("no larger gallery was searched: {why} is what there is no more of");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_law_is_found_again() {
        let points = |a: f64, b: f64| {
            let rows = [1e5, 3e5, 1e6, 12e6];
            rows.map(|rows: f64| (rows, a * rows.powf(b))).to_vec()
        };
        for (a, b) in [(0.05, 1.0), (2.0, 0.4), (0.01, 1.1)] {
            let law = PowerLaw::fit(&points(a, b)).unwrap();
            assert!(
                (law.a_us / a - 1.0).abs() < 1e-9 && (law.b - b).abs() < 1e-9,
                "{law:?}"
            );
        }
        assert_eq!(PowerLaw::fit(&points(1.0, 1.0)[..1]), None);
        assert_eq!(PowerLaw::fit(&[(1e5, 0.0), (1e6, 1.0)]), None);
    }
}
