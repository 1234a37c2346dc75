//! The most similar of rows that are in no gallery.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::number_rows::{self, NumberRows, RowsError};
use super::{Options, Pool, Query, TopK, search};
use crate::code::{Probe, length};
use crate::kernel::Kernel;
use crate::types::{ClassId, Embedding, Match};

/// With fewer probes than this every row is scored exactly at once: coding a row takes as long as
/// scoring it for about so many.
const CODED_PROBES_MIN: usize = 40;
/// Values that are coded at once, about 160 MB with their codes.
const CODED_VALUES: usize = 1 << 25;
/// Products of values that are computed between two times that `go_on` is asked.
const PRODUCTS_PER_STEP: usize = 1 << 28;
/// Rows that a thread scores at once.
const ROWS_PER_RUN: usize = 256;
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
        let is_coded = self.probes.len() >= CODED_PROBES_MIN;
        let step = match is_coded {
            true => CODED_VALUES / dimension,
            false => (PRODUCTS_PER_STEP / dimension / (self.probes.len() + 1)).max(1),
        };
        let probes = self.probes.len() as u64;
        for start in (0..rows.rows()).step_by(step) {
            let done = start as u64 * probes;
            go_on(done)?;
            let part = start..rows.rows().min(start + step);
            match is_coded {
                true => self.search_coded(rows, part, pool, |now| go_on(done + now))?,
                false => self.score(rows, part, pool)?,
            }
        }
        go_on(rows.rows() as u64 * probes)
    }

    /// What was found for each probe, best first.
    pub fn into_matches(self) -> Vec<Vec<Match>> {
        self.best.into_iter().map(TopK::into_matches).collect()
    }

    /// Codes rows and searches them. What was found before cuts what is looked at.
    fn search_coded<E: From<RowsError>>(
        &mut self,
        rows: &impl NumberRows,
        part: Range<usize>,
        pool: &Pool,
        mut go_on: impl FnMut(u64) -> Result<(), E>,
    ) -> Result<(), E> {
        let (count, mut done) = (part.len(), 0);
        let coded = number_rows::code(rows, part, pool)?;
        let options = Options::with(self.kernel);
        let probes = self.probes.chunks(PROBES_PER_PASS);
        for (probes, best) in probes.zip(self.best.chunks_mut(PROBES_PER_PASS)) {
            go_on(done)?;
            done += (count * probes.len()) as u64;
            let query = |(probe, best): (_, &TopK)| Query {
                limit: best.limit(),
                // What was found before these rows cuts from the start.
                threshold: Some(self.threshold.max(best.threshold())),
                probe,
            };
            let queries: Vec<Query<'_>> = probes.iter().zip(&*best).map(query).collect();
            let answers = search(&coded, &queries, &options, pool);
            let answers = answers.unwrap_or_else(|error| {
                unreachable!("rows in memory of the same dimension are always found: {error}")
            });
            for (best, answer) in best.iter_mut().zip(answers) {
                answer
                    .matches
                    .into_iter()
                    .for_each(|found| best.offer(found));
            }
        }
        Ok(())
    }

    /// Scores every row exactly.
    fn score(
        &mut self,
        rows: &impl NumberRows,
        part: Range<usize>,
        pool: &Pool,
    ) -> Result<(), RowsError> {
        let next = AtomicUsize::new(part.start);
        let parts = pool.on_each_thread(|| self.score_runs(rows, part.end, &next));
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
        for (at, best) in self.best.iter_mut().enumerate() {
            for part in &mut found {
                let part = std::mem::replace(&mut part[at], TopK::new(0));
                part.into_matches()
                    .into_iter()
                    .for_each(|found| best.offer(found));
            }
        }
        Ok(())
    }

    /// Takes runs of rows until there are none left. Every thread does this. Returns the best rows of
    /// each probe, or the number of a row that is wrong and what it is.
    fn score_runs(
        &self,
        rows: &impl NumberRows,
        end: usize,
        next: &AtomicUsize,
    ) -> Result<Vec<TopK>, (usize, RowsError)> {
        let mut best: Vec<TopK> = self
            .best
            .iter()
            .map(|best| TopK::new(best.limit()))
            .collect();
        let reached = self
            .best
            .iter()
            .map(|best| self.threshold.max(best.threshold()));
        let mut least: Vec<f64> = reached.collect();
        let mut room = vec![0.0; rows.dimension()];
        loop {
            let start = next.fetch_add(ROWS_PER_RUN, Ordering::Relaxed);
            if start >= end {
                return Ok(best);
            }
            for at in start..end.min(start + ROWS_PER_RUN) {
                let row = rows.read(at, &mut room);
                let length = length(row);
                // An embedding has a length: only what has none is looked at closely.
                if !(length.is_finite() && length > 0.0) {
                    Embedding::check(row).map_err(|source| (at, RowsError::Row { at, source }))?;
                }
                for (probe, query) in self.probes.iter().enumerate() {
                    let similarity = query.similarity(row, length);
                    if similarity >= least[probe] {
                        let class = ClassId(at as i64);
                        best[probe].offer(Match { class, similarity });
                        least[probe] = least[probe].max(best[probe].threshold());
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use proptest::prelude::*;

    use super::*;
    use crate::code::similarity;
    use crate::types::EmbeddingError;

    /// Few different numbers, so that many rows tie.
    fn matrix(rows: usize, seed: u64) -> Array2<f32> {
        use rand::{RngExt, SeedableRng};
        let mut random = rand::rngs::StdRng::seed_from_u64(seed);
        Array2::from_shape_fn((rows, 16), |(_, at)| match at {
            0 => 1.0,
            1..4 => random.random_range(-1..=1) as f32,
            _ => 0.0,
        })
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
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn every_way_finds_what_sorting_finds(
            count in 0_usize..700,
            probes in prop_oneof![1_usize..4, Just(CODED_PROBES_MIN), 41_usize..70],
            limit in prop_oneof![Just(0_usize), 1_usize..6, Just(1000)],
            threshold in prop_oneof![Just(None), (-1.0..1.0).prop_map(Some), Just(Some(1.0))],
            threads in 1_usize..4,
            seed: u64,
        ) {
            let (rows, asked) = (matrix(count, seed), matrix(probes, seed ^ 1));
            let pool = Pool::new(threads);
            let kernel = Kernel::detect();
            let mut search = RowSearch::new(&asked.view(), limit, threshold, kernel, &pool).unwrap();
            search.look(&rows.view(), &pool, |_| Ok::<(), RowsError>(())).unwrap();
            for (probe, found) in asked.outer_iter().zip(search.into_matches()) {
                let least = threshold.unwrap_or(f64::NEG_INFINITY);
                let expected = by_sorting(&rows, probe.to_slice().unwrap(), limit, least);
                prop_assert_eq!(found, expected);
            }
        }

        /// What was found in one part must cut rightly in the next.
        #[test]
        fn parts_make_a_whole(
            probes in prop_oneof![Just(2_usize), Just(44)],
            limit in 1_usize..9,
            cuts in prop::collection::vec(0_usize..600, 0..4),
            seed: u64,
        ) {
            let (rows, asked) = (matrix(600, seed), matrix(probes, seed ^ 1));
            let pool = Pool::Here;
            let mut search =
                RowSearch::new(&asked.view(), limit, None, Kernel::detect(), &pool).unwrap();
            let mut cuts = cuts;
            cuts.extend([0, 600]);
            cuts.sort_unstable();
            for part in cuts.windows(2) {
                let part = part[0]..part[1];
                match probes >= CODED_PROBES_MIN {
                    true => search.search_coded(&rows.view(), part, &pool, |_| Ok::<(), RowsError>(())),
                    false => search.score(&rows.view(), part, &pool),
                }
                .unwrap();
            }
            for (probe, found) in asked.outer_iter().zip(search.into_matches()) {
                let expected = by_sorting(&rows, probe.to_slice().unwrap(), limit, -2.0);
                prop_assert_eq!(found, expected);
            }
        }
    }

    #[test]
    fn what_is_no_embedding_is_named_with_its_number() {
        for (probes, threads) in [(1, 1), (1, 3), (60, 2)] {
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
