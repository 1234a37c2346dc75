//! The most similar of rows that are in no gallery.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::estimated::Estimator;
use super::number_rows::{self, NumberRows, RowsError};
use super::{Options, Pool, Query, TopK, search};
use crate::code::Probe;
use crate::kernel::Kernel;
use crate::partition::Snapshot;
use crate::types::Match;

/// Values that are coded at once, about 160 MB with their codes.
const CODED_VALUES: usize = 1 << 25;
/// Products of values that are computed between two times that `go_on` is asked.
const PRODUCTS_PER_STEP: usize = 1 << 30;
/// Rows that a thread takes at once.
const ROWS_PER_RUN: usize = 288;
/// Probes that share one pass over what is coded.
const PROBES_PER_PASS: usize = 1024;

/// A search for the rows that are most similar to each of some probes, among rows that are shown to
/// it one part after the other and kept nowhere.
///
/// The answer is that of a full sort of all similarities, as [`search`] gives it: the class of a row
/// is its number, so that ties go to the smaller number.
#[derive(Debug)]
pub struct RowSearch {
    probes: Vec<Probe>,
    threshold: f64,
    kernel: Kernel,
    best: Vec<TopK>,
}

impl RowSearch {
    /// A search for all of `probes`, each for the `limit` most similar rows that reach the threshold.
    ///
    /// # Errors
    ///
    /// If a probe is no embedding.
    pub fn new(
        probes: &impl NumberRows,
        limit: usize,
        threshold: Option<f64>,
        kernel: Kernel,
        pool: &Pool,
    ) -> Result<RowSearch, RowsError> {
        RowsError::check_dimension(probes)?;
        let probes = number_rows::probes(probes, 0..probes.rows(), pool)?;
        Ok(RowSearch {
            best: vec![TopK::new(limit); probes.len()],
            threshold: threshold.unwrap_or(f64::NEG_INFINITY),
            kernel,
            probes,
        })
    }

    /// Looks at all rows. `go_on` is told now and then how many comparisons of a row and a probe are done,
    /// and may end the search by an error.
    ///
    /// # Errors
    ///
    /// If rows have another dimension than the probes, a row is no embedding, or `go_on` fails.
    pub fn look<E: From<RowsError>>(
        &mut self,
        rows: &impl NumberRows,
        pool: &Pool,
        mut go_on: impl FnMut(u64) -> Result<(), E>,
    ) -> Result<(), E> {
        RowsError::check_dimension(rows)?;
        let dimension = rows.dimension();
        if let Some(probe) = self.probes.first()
            && probe.dimension() != dimension
        {
            let (expected, found) = (dimension, probe.dimension());
            return Err(RowsError::OtherDimension { expected, found }.into());
        }
        let probes = self.probes.len();
        if probes > self.kernel.estimate_probes_max() {
            self.look_coded(rows, CODED_VALUES / dimension, pool, &mut go_on)?;
        } else {
            let step = PRODUCTS_PER_STEP / dimension / (probes + 1);
            self.look_estimated(rows, step.max(1), pool, &mut go_on)?;
        }
        go_on((rows.rows() * probes) as u64)
    }

    /// What was found for each probe, best first.
    pub fn into_matches(self) -> Vec<Vec<Match>> {
        self.best.into_iter().map(TopK::into_matches).collect()
    }

    /// Codes so many rows at a time and searches them. What was found before cuts what is looked at.
    fn look_coded<E: From<RowsError>>(
        &mut self,
        rows: &impl NumberRows,
        step: usize,
        pool: &Pool,
        mut go_on: impl FnMut(u64) -> Result<(), E>,
    ) -> Result<(), E> {
        for start in (0..rows.rows()).step_by(step) {
            let part = start..rows.rows().min(start + step);
            let (count, mut done) = (part.len(), (start * self.probes.len()) as u64);
            let coded = number_rows::code(rows, part, pool)?;
            let probes = self.probes.chunks(PROBES_PER_PASS);
            for (probes, best) in probes.zip(self.best.chunks_mut(PROBES_PER_PASS)) {
                go_on(done)?;
                done += (count * probes.len()) as u64;
                search_coded(&coded, probes, best, self.threshold, self.kernel, pool);
            }
        }
        Ok(())
    }

    /// Searches so many rows at a time where they lie.
    fn look_estimated<E: From<RowsError>>(
        &mut self,
        rows: &impl NumberRows,
        step: usize,
        pool: &Pool,
        mut go_on: impl FnMut(u64) -> Result<(), E>,
    ) -> Result<(), E> {
        let estimator = Estimator::new(&self.probes, rows.dimension(), self.kernel);
        for start in (0..rows.rows()).step_by(step) {
            go_on((start * self.probes.len()) as u64)?;
            let part = start..rows.rows().min(start + step);
            estimate(&estimator, &mut self.best, self.threshold, rows, part, pool)?;
        }
        Ok(())
    }
}

/// Searches coded rows, and adds what is better than what was found for each probe.
fn search_coded(
    coded: &Snapshot,
    probes: &[Probe],
    best: &mut [TopK],
    threshold: f64,
    kernel: Kernel,
    pool: &Pool,
) {
    let query = |(probe, best): (_, &TopK)| Query {
        limit: best.limit(),
        // What was found before these rows cuts from the start.
        threshold: Some(threshold.max(best.threshold())),
        probe,
    };
    let queries: Vec<Query<'_>> = probes.iter().zip(&*best).map(query).collect();
    let answers = search(coded, &queries, &Options::with(kernel), pool).unwrap_or_else(|error| {
        unreachable!("rows in memory of the same dimension are always found: {error}")
    });
    for (best, answer) in best.iter_mut().zip(answers) {
        let matches = answer.matches.into_iter();
        matches.for_each(|found| best.offer(found));
    }
}

/// Searches rows where they lie, on all threads.
fn estimate(
    estimator: &Estimator<'_>,
    best: &mut [TopK],
    threshold: f64,
    rows: &impl NumberRows,
    part: Range<usize>,
    pool: &Pool,
) -> Result<(), RowsError> {
    let next = AtomicUsize::new(part.start);
    let on_this_thread = || -> Result<Vec<TopK>, (usize, RowsError)> {
        let mut work = estimator.work(best.to_vec(), threshold);
        loop {
            let start = next.fetch_add(ROWS_PER_RUN, Ordering::Relaxed);
            if start >= part.end {
                return Ok(work.into_best());
            }
            work.look(rows, start..part.end.min(start + ROWS_PER_RUN))?;
        }
    };
    let parts = pool.on_each_thread(on_this_thread);
    // The first row that is wrong is named, whichever thread met another first.
    let mut found = Vec::new();
    let mut wrong: Option<(usize, RowsError)> = None;
    for part in parts {
        match part {
            Ok(best) => found.push(best),
            Err(error) if wrong.as_ref().is_none_or(|(first, _)| error.0 < *first) => {
                wrong = Some(error);
            }
            Err(_) => {}
        }
    }
    if let Some((_, error)) = wrong {
        return Err(error);
    }
    for part in found {
        for (best, part) in best.iter_mut().zip(part) {
            let matches = part.into_matches();
            matches.into_iter().for_each(|found| best.offer(found));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use proptest::prelude::*;

    use super::*;
    use crate::code::{length, similarity};
    use crate::kernel::Isa;
    use crate::types::{ClassId, EmbeddingError};

    /// Few different directions, so that many rows tie, and lengths of every kind: of values that are too
    /// small to be told from zero when they are squared, and of such as cannot be squared. All are
    /// powers of two, so that rows of one direction tie to the bit.
    fn matrix(rows: usize, seed: u64) -> Array2<f32> {
        use rand::{RngExt, SeedableRng};
        let mut random = rand::rngs::StdRng::seed_from_u64(seed);
        let lengths = [
            1.0,
            0.5,
            4096.0,
            2.0_f32.powi(-149),
            2.0_f32.powi(-70),
            2.0_f32.powi(120),
        ];
        let lengths: Vec<f32> = (0..rows)
            .map(|_| lengths[random.random_range(0..18_usize).saturating_sub(12)])
            .collect();
        Array2::from_shape_fn((rows, 16), |(row, at)| match at {
            0 => lengths[row],
            1..4 => lengths[row] * random.random_range(-1..=1) as f32,
            _ => 0.0,
        })
    }

    /// Rows in all directions, of which some are copies of others but for the last bit of a value.
    fn spread(rows: usize, dimension: usize, seed: u64) -> Array2<f32> {
        use rand::{RngExt, SeedableRng};
        let mut random = rand::rngs::StdRng::seed_from_u64(seed);
        let mut spread =
            Array2::from_shape_fn((rows, dimension), |_| random.random_range(-1.0_f32..1.0));
        for row in (1..rows).step_by(3) {
            let mut copy = spread.row(row - 1).to_owned();
            copy[row % dimension] = copy[row % dimension].next_up();
            spread.row_mut(row).assign(&copy);
        }
        spread
    }

    fn by_sorting(rows: &Array2<f32>, probe: &[f32], limit: usize, least: f64) -> Vec<Match> {
        let scored = rows.outer_iter().enumerate().map(|(at, row)| {
            let row = row.to_slice().unwrap();
            Match {
                class: ClassId(at as i64),
                similarity: similarity(probe, length(probe), row, length(row)),
            }
        });
        let mut scored: Vec<Match> = scored.filter(|found| found.similarity >= least).collect();
        scored.sort_by(Match::rank_order);
        scored.truncate(limit);
        scored
    }

    /// Looks in one way or the other, so many rows at a time, with one kernel.
    fn look(search: &mut RowSearch, rows: &Array2<f32>, coded: bool, step: usize, pool: &Pool) {
        let go_on = |_| Ok::<(), RowsError>(());
        match coded {
            true => search.look_coded(&rows.view(), step, pool, go_on),
            false => search.look_estimated(&rows.view(), step, pool, go_on),
        }
        .unwrap();
    }

    #[derive(Debug, PartialEq)]
    enum Stopped {
        Asked,
        Rows(RowsError),
    }

    impl From<RowsError> for Stopped {
        fn from(error: RowsError) -> Stopped {
            Stopped::Rows(error)
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// In steps so short that what was found in one must cut rightly in the next.
        #[test]
        fn every_way_finds_what_sorting_finds(
            count in 0_usize..700,
            probes in prop_oneof![1_usize..4, Just(16), 17_usize..70],
            limit in prop_oneof![Just(0_usize), 1_usize..6, Just(1000)],
            threshold in prop_oneof![Just(None), (-1.0..1.0).prop_map(Some), Just(Some(1.0))],
            (coded, isa) in (any::<bool>(), prop::sample::select(Isa::available().collect::<Vec<_>>())),
            (step, threads) in (prop_oneof![1_usize..300, Just(1000)], 1_usize..4),
            seed: u64,
        ) {
            let (rows, asked) = (matrix(count, seed), matrix(probes, seed ^ 1));
            let pool = Pool::new(threads);
            let kernel = Kernel::for_isa(isa).unwrap();
            let mut search = RowSearch::new(&asked.view(), limit, threshold, kernel, &pool).unwrap();
            // A pass over coded rows costs much, however few they are.
            look(&mut search, &rows, coded, if coded { step.max(150) } else { step }, &pool);
            for (probe, found) in asked.outer_iter().zip(search.into_matches()) {
                let least = threshold.unwrap_or(f64::NEG_INFINITY);
                let expected = by_sorting(&rows, probe.to_slice().unwrap(), limit, least);
                prop_assert_eq!(found, expected);
            }
        }

        /// Rows whose similarities differ by less than single precision can tell, and a threshold that
        /// is one of them.
        #[test]
        fn estimates_lose_nobody(
            dimension in prop_oneof![Just(17_usize), Just(64), Just(513)],
            count in 1_usize..400,
            (limit, probes) in (1_usize..12, prop_oneof![Just(3_usize), Just(20), Just(40)]),
            rank in prop_oneof![Just(None), (0_usize..20).prop_map(Some)],
            isa in prop::sample::select(Isa::available().collect::<Vec<_>>()),
            seed: u64,
        ) {
            let (rows, asked) = (spread(count, dimension, seed), spread(probes, dimension, seed ^ 1));
            let first = asked.row(0).to_vec();
            let all = by_sorting(&rows, &first, count, -2.0);
            let threshold = rank.map(|rank: usize| all[rank % count].similarity);
            let kernel = Kernel::for_isa(isa).unwrap();
            let pool = Pool::Here;
            let mut search = RowSearch::new(&asked.view(), limit, threshold, kernel, &pool).unwrap();
            look(&mut search, &rows, false, 1000, &pool);
            for (probe, found) in asked.outer_iter().zip(search.into_matches()) {
                let least = threshold.unwrap_or(-2.0);
                let expected = by_sorting(&rows, probe.to_slice().unwrap(), limit, least);
                prop_assert_eq!(found, expected);
            }
        }
    }

    #[test]
    fn what_is_no_embedding_is_named_with_its_number() {
        for (probes, threads) in [(1, 1), (1, 3), (60, 2), (1100, 2)] {
            let (mut rows, asked) = (matrix(3000, 5), matrix(probes, 6));
            rows[[2100, 9]] = f32::INFINITY;
            rows.row_mut(1400).fill(0.0);
            let pool = Pool::new(threads);
            let mut search =
                RowSearch::new(&asked.view(), 3, None, Kernel::detect(), &pool).unwrap();
            let error = search.look(&rows.view(), &pool, |_| Ok::<(), RowsError>(()));
            let source = EmbeddingError::Zero;
            assert_eq!(error.unwrap_err(), RowsError::Row { at: 1400, source });
        }
    }

    #[test]
    fn other_dimensions_are_refused() {
        let pool = Pool::Here;
        let search = |dimension: usize| {
            let probes = Array2::from_elem((2, dimension), 1.0_f32);
            RowSearch::new(&probes.view(), 3, None, Kernel::detect(), &pool)
        };
        let short = search(15).unwrap_err();
        assert_eq!(short.to_string(), "rows of 15 values, expected 16 to 4096");
        let rows = Array2::from_elem((2, 17), 1.0_f32);
        let found = search(16)
            .unwrap()
            .look(&rows.view(), &pool, |_| Ok::<(), RowsError>(()));
        assert_eq!(
            found.unwrap_err().to_string(),
            "probes of 16 values, expected 17, as many as the rows have"
        );
    }

    #[test]
    fn whoever_is_asked_may_stop_it() {
        let (rows, asked) = (matrix(100, 1), matrix(60, 2));
        let pool = Pool::Here;
        let mut search = RowSearch::new(&asked.view(), 3, None, Kernel::detect(), &pool).unwrap();
        let stopped = search.look(&rows.view(), &pool, |_| Err(Stopped::Asked));
        assert_eq!(stopped, Err(Stopped::Asked));
    }
}
