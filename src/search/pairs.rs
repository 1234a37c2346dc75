//! All pairs of rows that are alike, of rows that are in no gallery.

use std::ops::Range;

use super::number_rows::{self, NumberRows, RowsError};
use super::{Options, Pool, Query, search};
use crate::code::Probe;
use crate::kernel::Kernel;
use crate::partition::Snapshot;
use crate::types::{ClassId, Pair};

/// Values that are coded at once, about 160 MB with their codes.
const CODED_VALUES: usize = 1 << 25;
/// Probes that share one pass over what is coded.
const PROBES_PER_PASS: usize = 1024;

/// In which steps the work is done.
struct Steps {
    /// Rows that are coded at once.
    rows: usize,
    /// Probes that share a pass.
    probes: usize,
}

/// Which pairs are listed.
#[derive(Clone, Copy, Debug)]
pub struct PairOptions {
    /// How similar the rows of a pair are at least.
    pub threshold: f64,
    /// How many pairs there may be: more are an error, since a threshold below what strangers reach
    /// gives almost as many pairs as there can be.
    pub pairs_max: usize,
    /// What computes.
    pub kernel: Kernel,
}

/// Why there is no list of pairs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PairsError {
    /// A row cannot be compared.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// A row of the other side cannot be compared.
    #[error("of the other rows, {0}")]
    Others(RowsError),
    /// Too many are alike.
    #[error("more than {pairs_max} pairs reach the threshold: raise the threshold or the limit")]
    TooMany {
        /// How many there may be.
        pairs_max: usize,
    },
}

/// Lists all pairs of a row of `rows` (`class`) and a row of `others` (`other`) that reach the
/// threshold, exactly: by falling similarity, ties by the two numbers.
///
/// Without `others` the pairs are those of two of `rows`, each once, the smaller number first, none of a
/// row with itself. Time grows with the number of all pairs, memory with the number of those found
/// (24 bytes each). `go_on` is told now and then how many of all pairs are done, in units of
/// one row of `rows` against one of `others`, and may end the work by an error.
///
/// # Errors
///
/// If rows differ in dimension, a row is no embedding, too many are found, or `go_on` fails.
pub fn pairs_above<X: NumberRows, Y: NumberRows, E: From<PairsError>>(
    rows: &X,
    others: Option<&Y>,
    options: &PairOptions,
    pool: &Pool,
    go_on: impl FnMut(u64) -> Result<(), E>,
) -> Result<Vec<Pair>, E> {
    RowsError::check_dimension(rows).map_err(PairsError::Rows)?;
    if let Some(others) = others
        && others.dimension() != rows.dimension()
    {
        let (expected, found) = (rows.dimension(), others.dimension());
        let error = RowsError::OtherDimension { expected, found };
        return Err(PairsError::Rows(error).into());
    }
    let steps = Steps {
        rows: CODED_VALUES / rows.dimension(),
        probes: PROBES_PER_PASS,
    };
    in_steps(&steps, rows, others, options, pool, go_on)
}

fn in_steps<X: NumberRows, Y: NumberRows, E: From<PairsError>>(
    steps: &Steps,
    rows: &X,
    others: Option<&Y>,
    options: &PairOptions,
    pool: &Pool,
    mut go_on: impl FnMut(u64) -> Result<(), E>,
) -> Result<Vec<Pair>, E> {
    let mut found = Vec::new();
    let mut done = 0;
    for start in (0..rows.rows()).step_by(steps.rows) {
        let part = start..rows.rows().min(start + steps.rows);
        go_on(done)?;
        let coded = number_rows::code(rows, part.clone(), pool).map_err(PairsError::Rows)?;
        // A pair of two of the same rows is found from the one that comes first.
        let probes = others.map_or(part.end, Y::rows);
        for first in (0..probes).step_by(steps.probes) {
            let pass = first..probes.min(first + steps.probes);
            go_on(done)?;
            let made = match others {
                Some(others) => {
                    number_rows::probes(others, pass.clone(), pool).map_err(PairsError::Others)?
                }
                None => number_rows::probes(rows, pass.clone(), pool).map_err(PairsError::Rows)?,
            };
            done += (pass.len() * part.len()) as u64;
            let is_self = others.is_none();
            keep(&coded, &made, pass, is_self, options, pool, &mut found)?;
        }
    }
    go_on(done)?;
    found.sort_unstable_by(Pair::rank_order);
    Ok(found)
}

/// Searches coded rows for some probes, of which `pass` are the numbers, and keeps the pairs.
fn keep(
    coded: &Snapshot,
    probes: &[Probe],
    pass: Range<usize>,
    is_self: bool,
    options: &PairOptions,
    pool: &Pool,
    found: &mut Vec<Pair>,
) -> Result<(), PairsError> {
    let query = |probe| Query {
        probe,
        // None: it would cut pairs off.
        limit: usize::MAX,
        threshold: Some(options.threshold),
    };
    let queries: Vec<Query<'_>> = probes.iter().map(query).collect();
    let answers =
        search(coded, &queries, &Options::with(options.kernel), pool).unwrap_or_else(|error| {
            unreachable!("rows in memory of the same dimension are always found: {error}")
        });
    for (number, answer) in pass.zip(answers) {
        let probe = ClassId(number as i64);
        let pair = |class, other, similarity| Pair {
            class,
            other,
            similarity,
        };
        let matches = answer.matches.iter();
        match is_self {
            true => found.extend(
                matches
                    .filter(|row| row.class > probe)
                    .map(|row| pair(probe, row.class, row.similarity)),
            ),
            false => found.extend(matches.map(|row| pair(row.class, probe, row.similarity))),
        }
        if found.len() > options.pairs_max {
            let pairs_max = options.pairs_max;
            return Err(PairsError::TooMany { pairs_max });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, ArrayView2};
    use proptest::prelude::*;

    use super::*;
    use crate::code::{length, similarity};

    fn matrix(rows: usize, seed: u64) -> Array2<f32> {
        use rand::{RngExt, SeedableRng};
        let mut random = rand::rngs::StdRng::seed_from_u64(seed);
        Array2::from_shape_fn((rows, 16), |(_, at)| match at {
            0 => 1.0,
            1..5 => random.random_range(-2..=2) as f32,
            _ => 0.0,
        })
    }

    fn options(threshold: f64) -> PairOptions {
        PairOptions {
            threshold,
            pairs_max: 1_000_000,
            kernel: Kernel::detect(),
        }
    }

    fn by_comparing(rows: &Array2<f32>, others: Option<&Array2<f32>>, least: f64) -> Vec<Pair> {
        let mut pairs = Vec::new();
        for (class, row) in rows.outer_iter().enumerate() {
            for (other, column) in others.unwrap_or(rows).outer_iter().enumerate() {
                let (a, b) = (row.to_slice().unwrap(), column.to_slice().unwrap());
                let similarity = similarity(a, length(a), b, length(b));
                if similarity >= least && (others.is_some() || class < other) {
                    pairs.push(Pair {
                        class: ClassId(class as i64),
                        other: ClassId(other as i64),
                        similarity,
                    });
                }
            }
        }
        pairs.sort_by(Pair::rank_order);
        pairs
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        /// In steps so short that pairs lie on both sides of their ends.
        #[test]
        fn all_pairs_and_no_others_are_found(
            count in 0_usize..200,
            others in prop_oneof![Just(None), (0_usize..100).prop_map(Some)],
            threshold in prop_oneof![Just(1.0), 0.5_f64..1.0, Just(-1.0)],
            steps in (1_usize..250, 1_usize..250),
            seed: u64,
        ) {
            let rows = matrix(count, seed);
            let others = others.map(|count| matrix(count, seed ^ 1));
            let expected = by_comparing(&rows, others.as_ref(), threshold);
            let others = others.as_ref().map(|others| others.view());
            let steps = Steps { rows: steps.0, probes: steps.1 };
            let (rows, options, pool) = (rows.view(), options(threshold), Pool::new(2));
            let go_on = |_| Ok::<(), PairsError>(());
            let found = in_steps(&steps, &rows, others.as_ref(), &options, &pool, go_on);
            prop_assert_eq!(found.unwrap(), expected);
        }
    }

    #[test]
    fn too_many_are_an_error() {
        let rows = Array2::from_elem((40, 16), 1.0_f32);
        let others: Option<&ArrayView2<'_, f32>> = None;
        let options = PairOptions {
            pairs_max: 779,
            ..options(0.5)
        };
        let go_on = |_| Ok::<(), PairsError>(());
        let found = pairs_above(&rows.view(), others, &options, &Pool::Here, go_on);
        assert_eq!(found, Err(PairsError::TooMany { pairs_max: 779 }));
        let options = PairOptions {
            pairs_max: 780,
            ..options
        };
        let found = pairs_above(&rows.view(), others, &options, &Pool::Here, go_on);
        assert_eq!(found.unwrap().len(), 780);
    }
}
