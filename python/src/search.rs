//! Searches among arrays, without a gallery.

use ndarray::ArrayViewMut2;
use numpy::{IntoPyArray, PyArray1, PyReadwriteArray2};
use pyo3::prelude::*;
use vultus::kernel::Kernel;
use vultus::search::{PairOptions, RowSearch, pairs_above as pairs_of_rows};
use vultus::types::Match;

use crate::arrays::FloatArray;
use crate::errors::Failure;
use crate::run::{go_on, run};
use crate::threads::pool;

/// Writes the `k` most similar of `rows` for each of `probes` into `similarities` and `labels`, both of
/// shape (probes, k) and filled with what stands where there are fewer.
#[pyfunction]
#[pyo3(signature = (rows, probes, similarities, labels, threshold, threads, progress))]
#[expect(
    clippy::too_many_arguments,
    reason = "what Python calls with, all of it"
)]
#[expect(clippy::needless_pass_by_value, reason = "arguments come from Python")]
pub(crate) fn exact_search(
    py: Python<'_>,
    rows: FloatArray<'_>,
    probes: FloatArray<'_>,
    mut similarities: PyReadwriteArray2<'_, f64>,
    mut labels: PyReadwriteArray2<'_, i64>,
    threshold: Option<f64>,
    threads: usize,
    progress: Option<Py<PyAny>>,
) -> PyResult<()> {
    let (rows, probes) = (rows.rows(), probes.rows());
    let (similarities, labels) = (similarities.as_array_mut(), labels.as_array_mut());
    let limit = labels.ncols();
    run(py, || {
        let (pool, kernel) = (pool(threads), Kernel::detect());
        let search = RowSearch::new(&probes, limit, threshold, kernel, &pool);
        let mut search = search.map_err(|error| Failure::from(error).of_argument("Q"))?;
        let done = search.look(&rows, &pool, |done| {
            Ok::<(), OfRows>(go_on(progress.as_ref(), done)?)
        });
        done.map_err(|OfRows(failure)| failure)?;
        fill(&search.into_matches(), similarities, labels);
        Ok(())
    })
}

/// A failure while rows are looked at: what is wrong with them is said of `X`.
struct OfRows(Failure);

impl From<Failure> for OfRows {
    fn from(failure: Failure) -> OfRows {
        OfRows(failure)
    }
}

impl From<vultus::search::RowsError> for OfRows {
    fn from(error: vultus::search::RowsError) -> OfRows {
        OfRows(Failure::from(error).of_argument("X"))
    }
}

/// Writes what was found, a row for each probe.
pub(crate) fn fill(
    answers: &[Vec<Match>],
    mut similarities: ArrayViewMut2<'_, f64>,
    mut labels: ArrayViewMut2<'_, i64>,
) {
    for (probe, matches) in answers.iter().enumerate() {
        for (at, found) in matches.iter().enumerate() {
            similarities[[probe, at]] = found.similarity;
            labels[[probe, at]] = found.class.0;
        }
    }
}

/// The two rows of each pair, and how similar they are.
pub(crate) type PairArrays<'py> = (
    Bound<'py, PyArray1<i64>>,
    Bound<'py, PyArray1<i64>>,
    Bound<'py, PyArray1<f64>>,
);

/// All pairs of a row and one of the others, or of two rows, that reach the threshold.
#[pyfunction]
#[pyo3(signature = (rows, others, threshold, pairs_max, threads, progress))]
#[expect(clippy::needless_pass_by_value, reason = "arguments come from Python")]
pub(crate) fn pairs_above<'py>(
    py: Python<'py>,
    rows: FloatArray<'py>,
    others: Option<FloatArray<'py>>,
    threshold: f64,
    pairs_max: usize,
    threads: usize,
    progress: Option<Py<PyAny>>,
) -> PyResult<PairArrays<'py>> {
    let (rows, others) = (rows.rows(), others.as_ref().map(FloatArray::rows));
    let options = PairOptions {
        threshold,
        pairs_max,
        kernel: Kernel::detect(),
    };
    let (mut firsts, mut seconds, mut similarities) = (Vec::new(), Vec::new(), Vec::new());
    run(py, || {
        let go_on = |done| go_on(progress.as_ref(), done);
        let pairs = pairs_of_rows(&rows, others.as_ref(), &options, &pool(threads), go_on)?;
        for pair in pairs {
            firsts.push(pair.class.0);
            seconds.push(pair.other.0);
            similarities.push(pair.similarity);
        }
        Ok(())
    })?;
    Ok((
        firsts.into_pyarray(py),
        seconds.into_pyarray(py),
        similarities.into_pyarray(py),
    ))
}
