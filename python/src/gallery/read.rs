//! Searching, and looking at what is there.

use numpy::ndarray::Array2;
use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadwriteArray2};
use pyo3::prelude::*;
use vultus::code::Probe;
use vultus::engine::{CalibrationOptions, EngineError, IdentifyOptions, PROBES_PER_PASS};
use vultus::partition::StoreError;
use vultus::rates::{Calibration, TargetRate};
use vultus::search::{NumberRows, RowsError};
use vultus::types::{ClassId, Embedding, ExternalId};

use super::{Handle, asked, now};
use crate::arrays::FloatArray;
use crate::errors::Failure;
use crate::run::{Told, go_on, run};
use crate::search::{PairArrays, fill};

/// A threshold, how often a stranger reaches it, the range of that, and whether it is extrapolated.
type Rate = (f64, f64, f64, f64, bool);

/// The class of each template, and its values, a row for each.
type TemplateArrays<'py> = (Bound<'py, PyArray1<i64>>, Bound<'py, PyArray2<f32>>);

#[pymethods]
impl Handle {
    /// Writes the best classes of each probe into `similarities` and `classes`, both of shape (probes, k).
    #[expect(
        clippy::too_many_arguments,
        reason = "what Python calls with, all of it"
    )]
    #[expect(clippy::needless_pass_by_value, reason = "arguments come from Python")]
    fn search(
        &self,
        py: Python<'_>,
        probes: FloatArray<'_>,
        mut similarities: PyReadwriteArray2<'_, f64>,
        mut classes: PyReadwriteArray2<'_, i64>,
        threshold: Option<f64>,
        threads: usize,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        let probes = probes.rows();
        let (mut similarities, mut classes) = (similarities.as_array_mut(), classes.as_array_mut());
        let options = IdentifyOptions {
            limit: classes.ncols(),
            threshold,
        };
        run(py, || {
            let Some(gallery) = self.opened(Some(threads))?.gallery()? else {
                return Ok(());
            };
            let mut room = vec![0.0; probes.dimension()];
            for start in (0..probes.rows()).step_by(PROBES_PER_PASS) {
                go_on(progress.as_ref(), start as u64)?;
                let end = probes.rows().min(start + PROBES_PER_PASS);
                let probe = |at: usize| {
                    let embedding = Embedding::new(probes.read(at, &mut room));
                    let embedding = embedding.map_err(|source| RowsError::Row { at, source })?;
                    Ok(Probe::new(&embedding))
                };
                let made: Result<Vec<Probe>, RowsError> = (start..end).map(probe).collect();
                let made = made.map_err(|error| Failure::from(error).of_argument("Q"))?;
                let queries: Vec<_> = made.iter().map(|probe| options.query(probe)).collect();
                let found = gallery.identify_many(&queries)?;
                let found: Vec<_> = found.into_iter().map(|found| found.matches).collect();
                let rows = numpy::ndarray::s![start..end, ..];
                fill(
                    &found,
                    similarities.slice_mut(rows),
                    classes.slice_mut(rows),
                );
            }
            go_on(progress.as_ref(), probes.rows() as u64)
        })
    }

    /// All pairs of classes that reach the threshold.
    #[expect(clippy::needless_pass_by_value, reason = "arguments come from Python")]
    fn duplicates<'py>(
        &self,
        py: Python<'py>,
        threshold: f64,
        threads: usize,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<PairArrays<'py>> {
        let pairs = run(py, || {
            let Some(gallery) = self.opened(Some(threads))?.gallery()? else {
                return Ok(Vec::new());
            };
            gallery.duplicates_while(threshold, |done| go_on(progress.as_ref(), done as u64))
        })?;
        let firsts: Vec<i64> = pairs.iter().map(|pair| pair.class.0).collect();
        let seconds: Vec<i64> = pairs.iter().map(|pair| pair.other.0).collect();
        let similarities: Vec<f64> = pairs.iter().map(|pair| pair.similarity).collect();
        Ok((
            firsts.into_pyarray(py),
            seconds.into_pyarray(py),
            similarities.into_pyarray(py),
        ))
    }

    /// The classes, rising.
    fn classes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<i64>>> {
        let classes = run(py, || {
            let Some(partition) = self.opened(None)?.partition()? else {
                return Ok(Vec::new());
            };
            let snapshot = partition.snapshot();
            let classes = snapshot.live_rows().map(|row| Ok(row.class()?.0));
            let mut classes = classes.collect::<Result<Vec<i64>, StoreError>>()?;
            classes.sort_unstable();
            classes.dedup();
            Ok(classes)
        })?;
        Ok(classes.into_pyarray(py))
    }

    /// How many files of templates there are.
    fn segments(&self, py: Python<'_>) -> PyResult<usize> {
        run(py, || {
            let opened = self.opened(None)?;
            match opened.partition()? {
                Some(partition) => Ok(opened.store.summary(&partition)?.segments),
                None => Ok(0),
            }
        })
    }

    /// How many templates there are.
    fn templates(&self, py: Python<'_>) -> PyResult<usize> {
        run(py, || {
            let partition = self.opened(None)?.partition()?;
            Ok(partition.map_or(0, |partition| partition.snapshot().templates()))
        })
    }

    fn contains(&self, py: Python<'_>, class: i64) -> PyResult<bool> {
        run(py, || {
            let partition = self.opened(None)?.partition()?;
            match partition {
                Some(partition) => Ok(partition.snapshot().contains(ClassId(class))?),
                None => Ok(false),
            }
        })
    }

    /// The templates of some classes: the class of each, and its values, shape (templates, dimension).
    /// Classes that have none have no row.
    fn templates_of<'py>(
        &self,
        py: Python<'py>,
        classes: Vec<i64>,
    ) -> PyResult<TemplateArrays<'py>> {
        let (owners, values) = run(py, || {
            let Some(partition) = self.opened(None)?.partition()? else {
                return Ok((Vec::new(), Array2::zeros((0, 0))));
            };
            let snapshot = partition.snapshot();
            let (mut owners, mut values) = (Vec::new(), Vec::new());
            for class in classes {
                for row in snapshot.rows_of(ClassId(class))? {
                    owners.push(class);
                    values.extend_from_slice(row.values()?);
                }
            }
            let shape = (owners.len(), snapshot.encoder().dimension());
            let values = Array2::from_shape_vec(shape, values);
            Ok((owners, values.expect("rows are as long as the dimension")))
        })?;
        Ok((owners.into_pyarray(py), values.into_pyarray(py)))
    }

    /// Name, external id and metadata of each of some classes.
    #[expect(clippy::type_complexity, reason = "what Python unpacks at once")]
    fn people(
        &self,
        py: Python<'_>,
        classes: Vec<i64>,
    ) -> PyResult<Vec<(Option<String>, Option<String>, Vec<(String, String)>)>> {
        run(py, || {
            let Some(gallery) = self.opened(None)?.gallery()? else {
                return Ok(vec![(None, None, Vec::new()); classes.len()]);
            };
            let classes: Vec<ClassId> = classes.into_iter().map(ClassId).collect();
            let records = gallery.records(&classes)?.into_iter().map(|record| {
                let labels = record.labels.iter();
                let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
                (
                    record.name.map(|name| name.as_str().to_owned()),
                    record.external_id.map(|id| id.as_str().to_owned()),
                    labels.collect(),
                )
            });
            Ok(records.collect())
        })
    }

    /// The classes of external ids.
    fn classes_of(&self, py: Python<'_>, ids: Vec<String>) -> PyResult<Vec<Option<i64>>> {
        run(py, || {
            let Some(gallery) = self.opened(None)?.gallery()? else {
                return Ok(vec![None; ids.len()]);
            };
            let class = |id: String| match id.parse::<ExternalId>() {
                Ok(id) => Ok(gallery.class_of(&id)?.map(|class| class.0)),
                // What is no id is nobody's.
                Err(_) => Ok(None),
            };
            ids.into_iter().map(class).collect()
        })
    }

    /// Texts as they are kept as external ids; as they are if they can be none.
    #[staticmethod]
    fn ids_as_kept(py: Python<'_>, ids: Vec<String>) -> PyResult<Vec<String>> {
        run(py, || {
            let kept = |id: String| match id.parse::<ExternalId>() {
                Ok(kept) => kept.as_str().to_owned(),
                Err(_) => id,
            };
            Ok(ids.into_iter().map(kept).collect())
        })
    }

    /// Measures what strangers reach, and keeps it where the gallery may be changed. Returns how many people
    /// were compared.
    #[expect(clippy::needless_pass_by_value, reason = "arguments come from Python")]
    fn calibrate(
        &self,
        py: Python<'_>,
        probes: usize,
        seed: u64,
        threads: usize,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<usize> {
        run(py, || {
            let opened = self.opened(Some(threads))?;
            let options = CalibrationOptions {
                probes,
                seed,
                ..CalibrationOptions::default()
            };
            let mut told = Told::default();
            let measured = opened.filled()?.calibrate(&options, now(), |done, _| {
                match asked(&mut told, progress.as_ref(), done as u64) {
                    true => Ok(()),
                    false => Err(EngineError::Store(StoreError::Interrupted)),
                }
            });
            if let Some(failure) = told.failure {
                return Err(failure);
            }
            let calibration: Calibration = measured?;
            opened.engine.keep_calibration(&opened.id, &calibration)?;
            Ok(calibration.probes())
        })
    }

    /// The threshold that strangers reach as often as `rate` with somebody here; none where nothing is known
    /// of them.
    fn threshold(&self, py: Python<'_>, rate: f64) -> PyResult<Option<Rate>> {
        run(py, || {
            let opened = self.opened(None)?;
            let rate = TargetRate::new(rate)
                .map_err(|error| Failure::new("InputError", format!("target_fpir: {error}")))?;
            let (Some(gallery), Some(known)) =
                (opened.gallery()?, opened.engine.calibration(&opened.id)?)
            else {
                return Ok(None);
            };
            let found = known.threshold(rate, gallery.population()?);
            Ok(Some((
                found.similarity,
                found.fpir,
                found.low,
                found.high,
                found.extrapolated,
            )))
        })
    }

    /// How often strangers reach a similarity with somebody here.
    fn fpir(&self, py: Python<'_>, similarity: f64) -> PyResult<Option<Rate>> {
        run(py, || {
            let opened = self.opened(None)?;
            let (Some(gallery), Some(known)) =
                (opened.gallery()?, opened.engine.calibration(&opened.id)?)
            else {
                return Ok(None);
            };
            let found = known.fpir(similarity, gallery.population()?);
            Ok(Some((
                similarity,
                found.rate,
                found.low,
                found.high,
                found.extrapolated,
            )))
        })
    }
}
