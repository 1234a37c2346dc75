//! How many of which size.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Stages;

/// Times and sizes, counted by the range that they are in.
#[derive(Debug)]
pub struct Histogram {
    /// The upper ends of all ranges but the last, each within its range.
    ends: &'static [u64],
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

/// What a histogram holds at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistogramRead {
    /// The upper end of each range but the last, and how many there are up to it.
    pub up_to: Vec<(u64, u64)>,
    /// How many there are in all.
    pub count: u64,
    /// All together.
    pub sum: u64,
}

const MICROSECOND: u64 = 1_000;
const MILLISECOND: u64 = 1_000 * MICROSECOND;
const SECOND: u64 = 1_000 * MILLISECOND;

/// From what a search of a small gallery takes to what nobody waits for, in nanoseconds.
const TIMES: [u64; 16] = [
    100 * MICROSECOND,
    250 * MICROSECOND,
    500 * MICROSECOND,
    MILLISECOND,
    2_500 * MICROSECOND,
    5 * MILLISECOND,
    10 * MILLISECOND,
    25 * MILLISECOND,
    50 * MILLISECOND,
    100 * MILLISECOND,
    250 * MILLISECOND,
    500 * MILLISECOND,
    SECOND,
    2_500 * MILLISECOND,
    5 * SECOND,
    10 * SECOND,
];

/// From one to as many as are worked on together.
const SIZES: [u64; 10] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];

impl Histogram {
    /// Of times, in nanoseconds.
    pub fn of_times() -> Histogram {
        Histogram::new(&TIMES)
    }

    /// Of numbers of things that are done together.
    pub fn of_sizes() -> Histogram {
        Histogram::new(&SIZES)
    }

    fn new(ends: &'static [u64]) -> Histogram {
        Histogram {
            ends,
            counts: (0..=ends.len()).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
        }
    }

    /// One more of this size.
    pub fn add(&self, size: u64) {
        let range = self.ends.partition_point(|&end| end < size);
        self.counts[range].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(size, Ordering::Relaxed);
    }

    /// One more that took so long.
    pub fn took(&self, time: Duration) {
        self.add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Does `work`, and adds how long it took; to the steps of what this thread does at the moment, too,
    /// as a step of this name.
    pub fn time<T>(&self, step: &'static str, work: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let done = work();
        self.step(step, began, Instant::now());
        done
    }

    /// The same of work that is done.
    pub fn step(&self, step: &'static str, began: Instant, ended: Instant) {
        self.took(ended.saturating_duration_since(began));
        Stages::current().add(step, began, ended);
    }

    /// What there is by now. Counts that are added meanwhile may be in it or not, each as a whole.
    pub fn read(&self) -> HistogramRead {
        let mut count = 0;
        let mut up_to = Vec::with_capacity(self.ends.len());
        for (at, number) in self.counts.iter().enumerate() {
            count += number.load(Ordering::Relaxed);
            if let Some(&end) = self.ends.get(at) {
                up_to.push((end, count));
            }
        }
        let sum = self.sum.load(Ordering::Relaxed);
        HistogramRead { up_to, count, sum }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_is_in_one_range_and_an_end_belongs_to_its_range() {
        let sizes = Histogram::of_sizes();
        for size in [0, 1, 2, 3, 4, 512, 513, 10_000] {
            sizes.add(size);
        }
        let read = sizes.read();
        assert_eq!((read.count, read.sum), (8, 11_035));
        let of = |end: u64| read.up_to.iter().find(|found| found.0 == end).unwrap().1;
        assert_eq!([of(1), of(2), of(4), of(256), of(512)], [2, 3, 5, 5, 6]);
    }

    #[test]
    fn times_are_told_from_a_tenth_of_a_millisecond_to_ten_seconds() {
        let times = Histogram::of_times();
        times.took(Duration::ZERO);
        times.took(Duration::from_micros(100));
        times.took(Duration::from_secs(10));
        times.took(Duration::MAX);
        let read = times.read();
        assert_eq!(read.up_to[0], (100_000, 2));
        assert_eq!(read.up_to[15], (10_000_000_000, 3));
        assert_eq!(read.count, 4);
        assert_eq!(times.time("work", || 7), 7);
        assert_eq!(times.read().count, 5);
    }
}
