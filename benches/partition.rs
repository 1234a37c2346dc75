//! How fast a data directory is written, opened, put in order and copied, beside what the disk does by
//! itself.
//!
//! `cargo bench --bench partition` measures all but the last; names of sections after `--` choose some:
//! `enroll`, `compact`, `search`, `open`, `snapshot`, `many`, `huge`. `OPEN_ROWS` sets the size of the
//! gallery that is opened. `huge` makes one of `HUGE_ROWS` rows (100,000,000; 25 GB) in `HUGE_DIRECTORY` and
//! leaves it there: run again, it only measures. `--test` makes everything small. Not with criterion: what counts here is many callers at once, tails of a distribution, and
//! work that cannot be repeated on the same data.
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on fails")]

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
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
use vultus::search::{Options, Pool, Query, search};
use vultus::types::{ClassId, Clock, Embedding, EncoderId, PartitionId, Timestamp};

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
    let sections: [(&str, Section); 7] = [
        ("enroll", enroll),
        ("compact", compact),
        ("search", search_beside_compaction),
        ("open", open),
        ("snapshot", snapshot),
        ("many", many),
        ("huge", huge),
    ];
    for (name, section) in sections {
        if (named.is_empty() && (small || name != "huge"))
            || named.iter().any(|asked| *asked == name)
        {
            section(small);
        }
    }
}

/// Enrolments of ready embeddings, each on disk when its call returns.
fn enroll(small: bool) {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(directory.path()).unwrap());
    let _maintenance = Maintenance::start(&store, &MaintenanceOptions::default()).unwrap();
    let partition = partition(&store, DIMENSION);
    let template = |random: &mut StdRng| NewTemplate {
        embedding: Embedding::new(row(random, DIMENSION)).unwrap(),
        quality: 0.5,
        portrait: None,
    };

    let mut random = StdRng::seed_from_u64(1);
    let (rounds, in_round) = if small { (1, 10) } else { (15, 200) };
    let (mut times, mut syncs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        // The disk's speed changes: each round is compared with a sync of its own.
        let sync = sync_time(directory.path());
        let mut of_round: Vec<Duration> = (0..in_round)
            .map(|at| {
                let template = template(&mut random);
                let start = Instant::now();
                add(&partition, round * in_round + at, template);
                start.elapsed()
            })
            .collect();
        of_round.sort();
        ratios.push(of_round[of_round.len() / 2].as_secs_f64() / sync.as_secs_f64());
        syncs.push(sync);
        times.extend(of_round);
    }
    times.sort();
    syncs.sort();
    ratios.sort_by(f64::total_cmp);
    println!(
        "enroll: one caller: {:.3} ms at the median, {:.3} ms at the 99th percentile; a sync of 4 KiB on this disk: {:.3} ms; \
         {:.1} syncs, the median of {rounds} rounds ({:.1} to {:.1})",
        ms(times[times.len() / 2]),
        ms(times[times.len() * 99 / 100]),
        ms(syncs[syncs.len() / 2]),
        ratios[ratios.len() / 2],
        ratios[0],
        ratios[ratios.len() - 1]
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
        rounds * in_round + CALLERS as i64 * each
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
            let query = Query::best(&probe, 20);
            search(&snapshot, &[query], &Options::default(), &pool).unwrap();
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
    let rounds = if small { 1 } else { 7 };
    let mut shares = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        let (written, bytes) = seconds(|| {
            let manifest = store.snapshot_to(&at("copy"), true, now(), &mut |_, _| {});
            manifest.unwrap().bytes()
        });
        let (plain, ()) = seconds(|| write_plainly(&at("plain"), bytes));
        let (restored, _) = seconds(|| restore_archive(&at("copy"), &at("back"), &mut |_, _| {}));
        let (plain_again, ()) = seconds(|| write_plainly(&at("plain"), bytes));
        std::fs::remove_dir_all(at("back")).unwrap();
        let rate = |seconds: f64| bytes as f64 / 1e6 / seconds;
        // The disk's speed changes within seconds: each is compared with its neighbours.
        shares[0].push(100.0 * plain / written);
        shares[1].push(100.0 * f64::midpoint(plain, plain_again) / restored);
        println!(
            "snapshot: {:.0} MB: written at {:.0} MB/s, restored at {:.0} MB/s, plainly written at {:.0} and {:.0} MB/s",
            bytes as f64 / 1e6,
            rate(written),
            rate(restored),
            rate(plain),
            rate(plain_again)
        );
    }
    for shares in &mut shares {
        shares.sort_by(f64::total_cmp);
    }
    println!(
        "snapshot: written at {:.0} % of the speed of plain writing, restored at {:.0} %, medians of {rounds}",
        shares[0][rounds / 2],
        shares[1][rounds / 2]
    );
}

/// Thousands of partitions in one data directory, each asked for once.
fn many(small: bool) {
    let directory = tempfile::tempdir().unwrap();
    let (partitions, rows) = if small { (20, 2) } else { (5_000, 100) };
    let encoder = EncoderId::new("bench", "1", 128).unwrap();
    let ids: Vec<PartitionId> = (0..partitions)
        .map(|number| format!("bench.{number}").parse().unwrap())
        .collect();
    let store = Store::open(directory.path()).unwrap();
    let (made, ()) = seconds(|| {
        for (seed, id) in (0..).zip(&ids) {
            let partition = store.partition_for(id, &encoder, now()).unwrap();
            let mut batch = TemplateBatch::new(&encoder);
            let mut random = StdRng::seed_from_u64(seed);
            for class in 0..rows {
                batch.push(ClassId(class), &row(&mut random, 128), f32::NAN, now());
            }
            partition
                .add_batch(&batch, Vec::new(), None, now())
                .unwrap();
        }
    });
    drop(store);
    let before = (open_files(), resident_mib());
    let (opened, store) = seconds(|| Store::open(directory.path()).unwrap());
    let mut most_files = 0;
    let mut times: Vec<Duration> = ids
        .iter()
        .map(|id| {
            let start = Instant::now();
            let partition = store.partition(id).unwrap().unwrap();
            assert_eq!(partition.snapshot().templates() as i64, rows);
            let time = start.elapsed();
            most_files = most_files.max(open_files());
            time
        })
        .collect();
    times.sort();
    println!(
        "many: {partitions} partitions of {rows} rows: made in {made:.1} s, data directory opened in {:.1} ms, a \
         partition in {:.3} ms at the median, {:.3} ms at the 99th percentile; files open {} before, {most_files} at most; \
         resident {:.0} MiB before, {:.0} MiB after",
        opened * 1e3,
        ms(times[times.len() / 2]),
        ms(times[times.len() * 99 / 100]),
        before.0,
        before.1,
        resident_mib()
    );
}

const HUGE_DIMENSION: usize = 16;
/// As many as the background merges into one segment.
const HUGE_SEGMENT_ROWS: usize = 4_000_000;

/// One gallery of a hundred million rows. Its rows follow from their numbers, so that an answer can be
/// compared with a full scan of all of them without reading what was stored.
fn huge(small: bool) {
    let rows = std::env::var("HUGE_ROWS").map_or(100_000_000, |rows| rows.parse().unwrap());
    let rows = if small { 5_000 } else { rows };
    let temporary = tempfile::tempdir().unwrap();
    let directory = std::env::var("HUGE_DIRECTORY");
    let directory = directory.map_or(temporary.path().to_owned(), PathBuf::from);
    let store = Store::open(&directory).unwrap();
    let gallery = partition(&store, HUGE_DIMENSION);
    let (made, begun) = (Instant::now(), gallery.snapshot().templates());
    for first in (begun..rows).step_by(HUGE_SEGMENT_ROWS) {
        let count = HUGE_SEGMENT_ROWS.min(rows - first);
        let mut import = gallery.import(gallery.encoder(), count, now()).unwrap();
        for number in first..first + count {
            let class = ClassId(number as i64);
            import
                .push(class, &huge_row(number as u64), f32::NAN)
                .unwrap();
        }
        import.finish().unwrap();
    }
    if begun < rows {
        let seconds = made.elapsed().as_secs_f64();
        let rate = (rows - begun) as f64 / seconds;
        println!(
            "huge: {} rows made in {seconds:.0} s, {rate:.0} a second",
            rows - begun
        );
    }
    drop((gallery, store));

    let (opened, store) = seconds(|| Store::open(&directory).unwrap());
    let (first, gallery) = seconds(|| partition(&store, HUGE_DIMENSION));
    let summary = store.summary(&gallery).unwrap();
    println!(
        "huge: {} rows x {HUGE_DIMENSION} in {} segments, {:.1} GB: data directory opened in {:.2} ms, gallery in {:.2} ms",
        summary.templates,
        summary.segments,
        summary.segment_bytes as f64 / 1e9,
        opened * 1e3,
        first * 1e3
    );
    let probe = huge_row(u64::MAX);
    let pool = Pool::new(2);
    let find = |probe: &[f32]| {
        let probe = Probe::new(&Embedding::new(probe.to_vec()).unwrap());
        let snapshot = gallery.snapshot();
        let query = Query::best(&probe, 20);
        let answers = search(&snapshot, &[query], &Options::default(), &pool);
        answers.unwrap().remove(0).matches
    };
    let searches: Vec<f64> = (0..3).map(|_| seconds(|| find(&probe)).0).collect();
    let (scanned, expected) = seconds(|| best_of_huge(&probe, rows, 20));
    let found = find(&probe);
    assert_eq!(found.len(), expected.len());
    for (found, (similarity, number)) in found.iter().zip(&expected) {
        assert_eq!(found.class, ClassId(*number as i64));
        assert!((found.similarity - similarity).abs() < 1e-12);
    }
    println!(
        "huge: best 20: {:.2} s for the first search, {:.2} and {:.2} s for the next, {:.0} MiB resident; all as a full \
         scan in double precision says ({scanned:.0} s)",
        searches[0],
        searches[1],
        searches[2],
        resident_mib()
    );

    let class = -1;
    let template = NewTemplate {
        embedding: Embedding::new(probe.to_vec()).unwrap(),
        quality: 0.5,
        portrait: None,
    };
    let (enrolled, ()) = seconds(|| add(&gallery, class, template));
    assert_eq!(find(&probe)[0].class, ClassId(class));
    let (removed, was_there) = seconds(|| gallery.remove(ClassId(class)).unwrap());
    let (buried, was_sealed) = seconds(|| gallery.remove(ClassId(expected[0].1 as i64)).unwrap());
    assert!(was_there.was_enrolled() && was_sealed.was_enrolled());
    assert_eq!(find(&probe)[0].class, ClassId(expected[1].1 as i64));
    println!(
        "huge: enrolled in {:.2} ms and found; removed in {:.2} ms, a sealed one in {:.2} ms, and not found any more",
        enrolled * 1e3,
        removed * 1e3,
        buried * 1e3
    );
    // So that the next run finds the gallery as it was.
    let back = NewTemplate {
        embedding: Embedding::new(huge_row(expected[0].1).to_vec()).unwrap(),
        quality: 0.5,
        portrait: None,
    };
    add(&gallery, expected[0].1 as i64, back);
}

/// The row of a number: SplitMix64, 16 bits a value.
fn huge_row(number: u64) -> [f32; HUGE_DIMENSION] {
    let mut state = number.wrapping_mul(0xd6e8_feb8_6659_fd93);
    std::array::from_fn(|at| {
        if at % 4 == 0 {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        }
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let bits = (mixed >> (16 * (at % 4))) as u16;
        // Never zero, so that no row is.
        (f32::from(bits) - 32_767.5) / 32_768.0
    })
}

/// The best rows for a probe, by falling similarity, and their numbers.
fn best_of_huge(probe: &[f32; HUGE_DIMENSION], rows: usize, count: usize) -> Vec<(f64, u64)> {
    let dot = |a: &[f32; HUGE_DIMENSION], b: &[f32; HUGE_DIMENSION]| -> f64 {
        a.iter()
            .zip(b)
            .map(|(a, b)| f64::from(*a) * f64::from(*b))
            .sum()
    };
    let length = dot(probe, probe).sqrt();
    let mut best: Vec<(f64, u64)> = Vec::new();
    for number in 0..rows as u64 {
        let row = huge_row(number);
        let similarity = dot(probe, &row) / (length * dot(&row, &row).sqrt());
        if best.len() < count || similarity > best[count - 1].0 {
            let at = best.partition_point(|better| better.0 >= similarity);
            best.insert(at, (similarity, number));
            best.truncate(count);
        }
    }
    best
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| {
        line.trim()
            .trim_end_matches("kB")
            .trim()
            .parse::<f64>()
            .ok()
    });
    kib.unwrap_or(f64::NAN) / 1024.0
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

/// The median time of writing 4 KiB in place and syncing it.
fn sync_time(directory: &Path) -> Duration {
    let file = File::create(directory.join("sync")).unwrap();
    let mut times: Vec<Duration> = (0..101)
        .map(|at| {
            let start = Instant::now();
            file.write_all_at(&[at as u8; 4096], 0).unwrap();
            file.sync_data().unwrap();
            start.elapsed()
        })
        .collect();
    times.sort();
    times[50]
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
    partition
        .add_batch(&batch, Vec::new(), None, now())
        .unwrap();
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
