//! How fast a data directory is written, opened, put in order and copied, beside what the disk does by
//! itself.
//!
//! `cargo bench --bench partition` measures all; names of sections after `--` choose some: `enroll`,
//! `compact`, `search`, `open`, `snapshot`. `OPEN_ROWS` sets the size of the gallery that is opened, `--test` makes everything
//! small. Not with criterion: what counts here is many callers at once, tails of a distribution, and
//! work that cannot be repeated on the same data.
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on fails")]

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use vultus::code::Probe;
use vultus::partition::{
    Maintenance, MaintenanceOptions, NewTemplate, Pace, Partition, Store, StoreError,
    TemplateBatch, restore_archive,
};
use vultus::search::{Options, Pool, search};
use vultus::types::{ClassId, Clock, Embedding, EncoderId, Timestamp};

const CALLERS: usize = 16;
const DIMENSION: usize = 512;

/// Measures, or only tries it out on little.
type Section = fn(bool);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let small = arguments.iter().any(|argument| argument == "--test");
    let named: Vec<&String> = arguments
        .iter()
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    let sections: [(&str, Section); 5] = [
        ("enroll", enroll),
        ("compact", compact),
        ("search", search_beside_compaction),
        ("open", open),
        ("snapshot", snapshot),
    ];
    for (name, section) in sections {
        if named.is_empty() || named.iter().any(|asked| *asked == name) {
            section(small);
        }
    }
}

/// Enrolments of ready embeddings, each on disk when its call returns.
fn enroll(small: bool) {
    let directory = tempfile::tempdir().unwrap();
    let sync = sync_time(directory.path());
    println!("enroll: sync of 4 KiB on this disk: {:.3} ms", ms(sync));
    let store = Arc::new(Store::open(directory.path()).unwrap());
    let _maintenance = Maintenance::start(&store, &MaintenanceOptions::default()).unwrap();
    let partition = partition(&store, DIMENSION);
    let template = |random: &mut StdRng| NewTemplate {
        embedding: Embedding::new(row(random, DIMENSION)).unwrap(),
        quality: 0.5,
    };

    let mut random = StdRng::seed_from_u64(1);
    let rounds = if small { 10 } else { 1_000 };
    let mut times: Vec<Duration> = (0..rounds)
        .map(|class| {
            let template = template(&mut random);
            let start = Instant::now();
            add(&partition, class, template);
            start.elapsed()
        })
        .collect();
    times.sort();
    let one = times[times.len() / 2];
    println!(
        "enroll: one caller: {:.3} ms at the median, {:.1} syncs; {:.3} ms at the 99th percentile",
        ms(one),
        one.as_secs_f64() / sync.as_secs_f64(),
        ms(times[times.len() * 99 / 100])
    );

    let each = if small { 10 } else { 2_000 };
    let start = Instant::now();
    thread::scope(|scope| {
        for caller in 0..CALLERS {
            let partition = &partition;
            scope.spawn(move || {
                let mut random = StdRng::seed_from_u64(caller as u64 + 2);
                for at in 0..each {
                    let class = 1_000_000 * (caller as i64 + 1) + at;
                    add(partition, class, template(&mut random));
                }
            });
        }
    });
    let rate = (CALLERS as i64 * each) as f64 / start.elapsed().as_secs_f64();
    println!("enroll: {CALLERS} callers: {rate:.0} a second");
    assert_eq!(
        partition.snapshot().templates() as i64,
        rounds + CALLERS as i64 * each
    );
}

/// Merging segments as fast as it goes.
fn compact(small: bool) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let partition = partition(&store, DIMENSION);
    let rows = if small { 100 } else { 65_536 };
    for segment in 0..8 {
        add_batch(&partition, segment, rows);
    }
    let start = Instant::now();
    let done = partition.compact(&Pace::unlimited()).unwrap();
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "compact: {} segments of {rows} rows into {}: {:.0} MB/s, synced and read back",
        done.segments_removed,
        done.segments_written,
        done.bytes_written as f64 / 1e6 / seconds
    );
}

/// One search after another, with a merge at its usual pace beside it and without.
fn search_beside_compaction(small: bool) {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(directory.path()).unwrap());
    let partition = partition(&store, DIMENSION);
    let (rows, rounds) = if small { (100, 2) } else { (65_536, 5) };
    for segment in 0..4 {
        add_batch(&partition, segment, rows);
    }
    let mut random = StdRng::seed_from_u64(99);
    let probe = Probe::new(&Embedding::new(row(&mut random, DIMENSION)).unwrap());
    let pool = Pool::new(2);
    let searches = |count: usize, stop: &dyn Fn() -> bool| {
        let mut times = Vec::new();
        while times.len() < count && !stop() {
            let start = Instant::now();
            let snapshot = partition.snapshot();
            search(
                &snapshot,
                std::slice::from_ref(&probe),
                &Options::best(20),
                &pool,
            )
            .unwrap();
            times.push(start.elapsed());
        }
        times
    };
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    let count = if small { 3 } else { 400 };
    for round in 0..rounds {
        alone.extend(searches(count, &|| false));
        let pace = Pace::new(MaintenanceOptions::default().compaction_bytes_per_second);
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                // A row more, so that there is something to merge.
                add_batch(&partition, 100 + round, 1);
                match partition.compact(&pace) {
                    Ok(_) | Err(StoreError::Interrupted) => done.store(true, Ordering::Relaxed),
                    Err(error) => panic!("{error}"),
                }
            });
            beside.extend(searches(count, &|| done.load(Ordering::Relaxed)));
            pace.stop();
        });
    }
    let percentile = |times: &mut Vec<Duration>, percent: usize| {
        times.sort();
        times[(times.len() - 1) * percent / 100]
    };
    for percent in [50, 99] {
        let (one, other) = (
            percentile(&mut alone, percent),
            percentile(&mut beside, percent),
        );
        println!(
            "search: {} rows, percentile {percent}: {:.2} ms alone, {:.2} ms beside a merge, {:.2} times",
            4 * rows,
            ms(one),
            ms(other),
            other.as_secs_f64() / one.as_secs_f64()
        );
    }
    println!(
        "search: {} alone, {} beside a merge",
        alone.len(),
        beside.len()
    );
}

/// Opening a gallery, from the catalog to the first snapshot.
fn open(small: bool) {
    let directory = tempfile::tempdir().unwrap();
    let rows = std::env::var("OPEN_ROWS").map_or(1_000_000, |rows| rows.parse().unwrap());
    let rows = if small { 1_000 } else { rows };
    let dimension = 128;
    let store = Store::open(directory.path()).unwrap();
    let gallery = partition(&store, dimension);
    let mut import = gallery.import(gallery.encoder(), rows, now()).unwrap();
    let mut random = StdRng::seed_from_u64(5);
    for class in 0..rows {
        let row = row(&mut random, dimension);
        import.push(ClassId(class as i64), &row, f32::NAN).unwrap();
    }
    import.finish().unwrap();
    drop((gallery, store));
    let mut times: Vec<Duration> = (0..11)
        .map(|_| {
            let start = Instant::now();
            let store = Store::open(directory.path()).unwrap();
            let opened = partition(&store, dimension);
            assert_eq!(opened.snapshot().templates(), rows);
            start.elapsed()
        })
        .collect();
    times.sort();
    println!("open: {rows} rows x {dimension}: {:.2} ms", ms(times[5]));
}

/// A snapshot and back, beside writing and reading as many bytes from front to back.
fn snapshot(small: bool) {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let store = Store::open(&at("data")).unwrap();
    let partition = partition(&store, DIMENSION);
    let rows = if small { 100 } else { 65_536 };
    for segment in 0..8 {
        add_batch(&partition, segment, rows);
    }
    let rounds = if small { 1 } else { 3 };
    for _ in 0..rounds {
        let (written, bytes) = seconds(|| {
            let manifest = store.snapshot_to(&at("copy"), true, now(), &mut |_, _| {});
            manifest.unwrap().bytes()
        });
        let (plain, ()) = seconds(|| write_plainly(&at("plain"), bytes));
        let (restored, _) = seconds(|| restore_archive(&at("copy"), &at("back"), &mut |_, _| {}));
        let (read, ()) = seconds(|| read_plainly(&at("plain")));
        std::fs::remove_dir_all(at("back")).unwrap();
        let rate = |seconds: f64| bytes as f64 / 1e6 / seconds;
        println!(
            "snapshot: {:.0} MB: written at {:.0} MB/s, {:.0} % of plain writing at {:.0}; \
             restored at {:.0} MB/s, {:.0} % of it (plain reading: {:.0} MB/s)",
            bytes as f64 / 1e6,
            rate(written),
            100.0 * plain / written,
            rate(plain),
            rate(restored),
            100.0 * plain / restored,
            rate(read)
        );
    }
}

fn write_plainly(path: &Path, bytes: u64) {
    let mut file = File::create(path).unwrap();
    let mut chunk = vec![0_u8; 1 << 20];
    StdRng::seed_from_u64(7).fill(&mut chunk[..]);
    for _ in 0..bytes >> 20 {
        file.write_all(&chunk).unwrap();
    }
    file.sync_all().unwrap();
}

fn read_plainly(path: &Path) {
    let mut file = File::open(path).unwrap();
    let mut chunk = vec![0_u8; 1 << 20];
    while file.read(&mut chunk).unwrap() > 0 {}
}

/// The median time of writing 4 KiB in place and syncing it.
fn sync_time(directory: &Path) -> Duration {
    let file = File::create(directory.join("sync")).unwrap();
    let mut times: Vec<Duration> = (0..301)
        .map(|at| {
            let start = Instant::now();
            file.write_all_at(&[at as u8; 4096], 0).unwrap();
            file.sync_data().unwrap();
            start.elapsed()
        })
        .collect();
    times.sort();
    times[150]
}

fn partition(store: &Store, dimension: usize) -> Arc<Partition> {
    let encoder = EncoderId::new("bench", "1", dimension).unwrap();
    let id = "bench.1".parse().unwrap();
    store.partition_for(&id, &encoder, now()).unwrap()
}

fn add(partition: &Partition, class: i64, template: NewTemplate) {
    let encoder = partition.encoder().clone();
    let class = ClassId(class);
    partition
        .enroll(class, &encoder, &[template], usize::MAX, now())
        .unwrap();
}

fn add_batch(partition: &Partition, seed: u64, rows: usize) {
    let mut batch = TemplateBatch::new(partition.encoder());
    let mut random = StdRng::seed_from_u64(seed);
    for at in 0..rows {
        let class = ClassId((seed as usize * rows + at) as i64);
        batch.push(class, &row(&mut random, DIMENSION), f32::NAN, now());
    }
    partition.add_batch(&batch, None, now()).unwrap();
}

fn row(random: &mut StdRng, dimension: usize) -> Vec<f32> {
    (0..dimension)
        .map(|_| random.random_range(-1.0..1.0))
        .collect()
}

fn now() -> Timestamp {
    Clock::System.now()
}

fn seconds<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let start = Instant::now();
    let result = work();
    (start.elapsed().as_secs_f64(), result)
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
