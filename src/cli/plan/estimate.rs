//! What so many templates and questions need, of what a calibration measured: arithmetic alone.

use serde::Serialize;

use crate::cli::doctor::OWN_BYTES;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) rows: usize,
    pub(super) dimension: usize,
    /// Identifications a second.
    pub(super) qps: f64,
}

/// Probes that are searched for in one pass, in the calibration.
pub(super) const PROBES: [usize; 3] = [1, 8, 64];

/// What was measured of a gallery.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    pub(super) rows: usize,
    /// The median of a pass for each of [`PROBES`].
    pub(super) pass_seconds: [f64; PROBES.len()],
    /// How far the rounds of the first of them lay apart, as a part of their median.
    pub(super) spread: f64,
}

/// What was measured of this machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Calibration {
    /// A smaller gallery; nothing where the other one is as large as what is asked for.
    pub(super) small: Option<Measured>,
    pub(super) large: Measured,
    /// What its files take up.
    pub(super) file_bytes_per_row: f64,
    /// What searches read of a row.
    pub(super) scanned_bytes_per_row: usize,
    /// How long one thread looks at a picture.
    pub(super) picture_seconds: f64,
    pub(super) threads: usize,
}

/// What is to be expected.
#[derive(Clone, Debug, Serialize, PartialEq)]
pub(super) struct Plan {
    pub(super) memory: MemoryPlan,
    pub(super) disk: DiskPlan,
    pub(super) cores: CoresPlan,
    pub(super) latency: LatencyPlan,
}

#[derive(Clone, Debug, Serialize, PartialEq)]
pub(super) struct MemoryPlan {
    /// What all searches read, so that it should stay in memory.
    pub(super) galleries_bytes: u64,
    pub(super) program_bytes: u64,
    pub(super) pictures_bytes: u64,
    pub(super) bytes: u64,
}

#[derive(Clone, Debug, Serialize, PartialEq)]
pub(super) struct DiskPlan {
    pub(super) galleries_bytes: u64,
    /// While segments are merged, the old ones and the new are there.
    pub(super) merging_bytes: u64,
    pub(super) bytes: u64,
    /// Each snapshot that is kept, wherever.
    pub(super) snapshot_bytes: u64,
}

/// Cores like those of this machine.
#[derive(Clone, Debug, Serialize, PartialEq)]
pub(super) struct CoresPlan {
    /// Busy with searches.
    pub(super) searching: f64,
    /// Busy with pictures, if every question comes as one.
    pub(super) looking: f64,
    /// For questions of ready embeddings, with a reserve.
    pub(super) with_embeddings: usize,
    /// For questions of pictures, with a reserve.
    pub(super) with_pictures: usize,
}

/// Of a search by itself: without the network, and without looking at a picture.
#[derive(Clone, Debug, Serialize, PartialEq)]
pub(super) struct LatencyPlan {
    /// Of one question when nobody else asks.
    pub(super) alone_ms: f64,
    /// At so many a second, with the wait for the pass before; nothing if that is too many.
    pub(super) expected_ms: Option<f64>,
    /// Questions that then share a pass.
    pub(super) probes_per_pass: Option<usize>,
    /// The most a second that this machine can answer with its threads.
    pub(super) capacity_qps: f64,
    /// How long a picture is looked at before.
    pub(super) picture_ms: f64,
    /// How far off this may be, as a part of it.
    pub(super) error: f64,
}

/// Nobody runs a machine fuller than this for long.
const FULL: f64 = 0.9;
/// Of busy cores, with a reserve for peaks.
const BUSY: f64 = 0.7;
/// What the fit has been seen to be off by, on a machine that does nothing else.
const ERROR_MIN: f64 = 0.15;
/// Beyond this multiple of the calibrated size each further doubling adds as much.
const ERROR_PER_DOUBLING: f64 = 0.03;

impl Calibration {
    pub(super) fn plan(&self, asked: Asked, picture_bytes_max: u64) -> Plan {
        let rows = asked.rows as f64;
        let galleries_bytes = (rows * self.file_bytes_per_row) as u64;
        let scanned = (asked.rows as u64).saturating_mul(self.scanned_bytes_per_row as u64);
        let latency = self.latency(asked);
        let probes = latency.probes_per_pass.unwrap_or(PROBES[PROBES.len() - 1]);
        let searching =
            asked.qps * self.pass_seconds(asked.rows, probes) / probes as f64 * self.threads as f64;
        let looking = asked.qps * self.picture_seconds;
        let cores = |busy: f64| ((busy / BUSY).ceil() as usize).max(1);
        let memory = OWN_BYTES
            .saturating_add(picture_bytes_max)
            .saturating_add(scanned);
        Plan {
            memory: MemoryPlan {
                galleries_bytes: scanned,
                program_bytes: OWN_BYTES,
                pictures_bytes: picture_bytes_max,
                bytes: memory,
            },
            disk: DiskPlan {
                galleries_bytes,
                merging_bytes: galleries_bytes,
                bytes: galleries_bytes.saturating_mul(2),
                snapshot_bytes: galleries_bytes,
            },
            cores: CoresPlan {
                searching,
                looking,
                with_embeddings: cores(searching),
                with_pictures: cores(searching + looking),
            },
            latency,
        }
    }

    fn latency(&self, asked: Asked) -> LatencyPlan {
        let most = PROBES[PROBES.len() - 1];
        let pass = |probes| self.pass_seconds(asked.rows, probes);
        let is_enough = |probes: &usize| asked.qps * pass(*probes) <= *probes as f64 * FULL;
        let probes = (1..=most).find(is_enough);
        // Who comes while a pass runs waits for half of it in the mean, and shares the next one.
        let expected = probes.map(|probes| {
            let busy = asked.qps * pass(probes) / probes as f64;
            pass(probes) * (1.0 + busy / 2.0)
        });
        LatencyPlan {
            alone_ms: pass(1) * 1e3,
            expected_ms: expected.map(|seconds| seconds * 1e3),
            probes_per_pass: probes,
            capacity_qps: most as f64 * FULL / pass(most),
            picture_ms: self.picture_seconds * 1e3,
            error: self.error(asked.rows),
        }
    }

    /// How long a pass for so many probes takes: along the line through both galleries, and between
    /// the numbers of probes that were measured.
    fn pass_seconds(&self, rows: usize, probes: usize) -> f64 {
        let at = |index: usize| self.line(rows, index);
        let upper = PROBES.iter().position(|measured| *measured >= probes);
        match upper {
            Some(0) => at(0),
            Some(upper) => {
                let (before, after) = (PROBES[upper - 1], PROBES[upper]);
                let part = (probes - before) as f64 / (after - before) as f64;
                at(upper - 1) + (at(upper) - at(upper - 1)) * part
            }
            None => at(PROBES.len() - 1),
        }
    }

    fn line(&self, rows: usize, index: usize) -> f64 {
        let large = &self.large;
        let (large_rows, large_seconds) = (large.rows as f64, large.pass_seconds[index]);
        let whole = large_seconds / large_rows;
        let slope = match &self.small {
            Some(small) if small.rows < large.rows => {
                let between = large_seconds - small.pass_seconds[index];
                // Noise must not make a large gallery cheap: most of a pass grows with the rows.
                (between / (large.rows - small.rows) as f64).clamp(whole / 2.0, whole)
            }
            _ => whole,
        };
        (large_seconds + slope * (rows as f64 - large_rows)).max(0.0)
    }

    fn error(&self, rows: usize) -> f64 {
        let times = (rows as f64 / self.large.rows as f64).max(1.0);
        let noise = self
            .large
            .spread
            .max(self.small.map_or(0.0, |small| small.spread));
        ERROR_MIN.max(noise) + ERROR_PER_DOUBLING * times.log2()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pass of 1 ms and 1 us for every thousand rows; eight probes cost twice one, 64 eight times.
    fn measured(rows: usize) -> Measured {
        let one = 0.001 + rows as f64 * 1e-9;
        Measured {
            rows,
            pass_seconds: [one, 2.0 * one, 8.0 * one],
            spread: 0.05,
        }
    }

    fn calibration() -> Calibration {
        Calibration {
            small: Some(measured(1_000_000)),
            large: measured(4_000_000),
            file_bytes_per_row: 2_600.0,
            scanned_bytes_per_row: 528,
            picture_seconds: 0.05,
            threads: 2,
        }
    }

    fn asked(rows: usize, qps: f64) -> Asked {
        Asked {
            rows,
            dimension: 512,
            qps,
        }
    }

    fn near(found: f64, expected: f64) {
        let off = (found - expected).abs();
        assert!(off <= 1e-6 * expected.abs(), "{found}, not {expected}");
    }

    #[test]
    fn time_grows_along_the_line_and_bytes_with_the_rows() {
        let plan = calibration().plan(asked(10_000_000, 1.0), 1_000);
        near(plan.latency.alone_ms, 11.0);
        assert_eq!(plan.memory.galleries_bytes, 5_280_000_000);
        assert_eq!(plan.memory.bytes, 5_280_000_000 + 1_000 + OWN_BYTES);
        assert_eq!(plan.disk.galleries_bytes, 26_000_000_000);
        assert_eq!(plan.disk.bytes, 52_000_000_000);
        near(plan.cores.searching, 0.022);
        near(plan.cores.looking, 0.05);
        assert_eq!(
            (plan.cores.with_embeddings, plan.cores.with_pictures),
            (1, 1)
        );
    }

    #[test]
    fn more_questions_share_passes_until_there_are_too_many() {
        let of = |qps| calibration().plan(asked(9_000_000, qps), 0).latency;
        // A pass takes 10 ms alone, 20 ms for 8 probes, and 80 ms for 64.
        assert_eq!(of(90.0).probes_per_pass, Some(1));
        near(of(90.0).expected_ms.unwrap(), 10.0 * 1.45);
        assert_eq!(of(360.0).probes_per_pass, Some(8));
        near(of(360.0).expected_ms.unwrap(), 20.0 * 1.45);
        near(of(1.0).capacity_qps, 720.0);
        assert_eq!(of(720.1).probes_per_pass, None);
        assert_eq!(of(720.1).expected_ms, None);
        let busy = calibration().plan(asked(9_000_000, 7_200.0), 0).cores;
        near(busy.searching, 7_200.0 * 0.080 / 64.0 * 2.0);
        assert_eq!(busy.with_embeddings, 26);
    }

    #[test]
    fn noise_makes_no_gallery_cheap_or_free() {
        let mut noisy = calibration();
        // The smaller one took longer than the larger one.
        noisy.small = Some(Measured {
            rows: 1_000_000,
            pass_seconds: [1.0; 3],
            spread: 0.4,
        });
        let plan = noisy.plan(asked(8_000_000, 1.0), 0).latency;
        near(plan.alone_ms, 5.0 + 2.5);
        near(plan.error, 0.4 + 0.03);
        for rows in [1, 1_000, 4_000_000, 1_000_000_000_000] {
            assert!(noisy.plan(asked(rows, 1.0), 0).latency.alone_ms >= 0.0);
        }
        // Without a smaller one the time is that of the rows.
        noisy.small = None;
        near(noisy.plan(asked(8_000_000, 1.0), 0).latency.alone_ms, 10.0);
        near(noisy.plan(asked(4_000_000, 1.0), 0).latency.error, 0.15);
    }

    #[test]
    fn what_is_asked_for_cannot_overflow() {
        let plan = calibration().plan(asked(usize::MAX, 1e6), u64::MAX);
        assert_eq!(plan.memory.bytes, u64::MAX);
        assert_eq!(plan.disk.bytes, u64::MAX);
        assert_eq!(plan.latency.expected_ms, None);
    }
}
