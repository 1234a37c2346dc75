//! The networks, loaded once, and what they are asked.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use pyo3::prelude::*;
use vultus::face::{EmbedderSource, FacePipeline, Patience, PipelineOptions};
use vultus::intake::{Care, FACES_MAX, Intake, Policy, Seen};
use vultus::liveness::LivenessDetector;

use crate::failure::Failure;
use crate::picture::{Given, Source, of_pixels, read};
use crate::seen::SeenPicture;
use crate::turns::each;

/// The first process that loaded networks. What runs them keeps threads from then on, of which a fork
/// has none, and would wait for them for ever.
static FIRST: OnceLock<u32> = OnceLock::new();

/// All networks.
#[pyclass(frozen)]
pub(crate) struct Networks {
    picture_time_max: Duration,
    /// Nothing in a fork that lets go of its copy.
    intake: Option<Arc<Intake>>,
}

/// What is asked of a picture.
#[derive(Clone, Copy)]
enum Wanted {
    Everybody,
    Only(Care),
    Live,
}

impl Wanted {
    fn of(text: &str) -> Result<Wanted, Failure> {
        match text {
            "everybody" => Ok(Wanted::Everybody),
            "only" => Ok(Wanted::Only(Care::Glance)),
            "closely" => Ok(Wanted::Only(Care::Close)),
            "live" => Ok(Wanted::Live),
            other => Err(Failure::new(
                "InternalError",
                format!("`{other}` is not asked"),
            )),
        }
    }
}

#[pymethods]
impl Networks {
    /// Loads them. Another embedder needs its profile as well.
    #[new]
    fn new(
        py: Python<'_>,
        embedder: Option<PathBuf>,
        embedder_profile: Option<PathBuf>,
        picture_seconds_max: f64,
    ) -> PyResult<Networks> {
        refuse_fork().map_err(|failure| failure.into_exception(py))?;
        let embedder = embedder.zip(embedder_profile);
        let options = PipelineOptions {
            embedder: embedder.map(|(onnx, profile)| EmbedderSource { onnx, profile }),
            ..PipelineOptions::default()
        };
        let time_max = Duration::try_from_secs_f64(picture_seconds_max);
        let picture_time_max = time_max.unwrap_or(Duration::MAX);
        let load = || load(&options, picture_time_max);
        let intake = py
            .detach(|| catch_unwind(AssertUnwindSafe(load)))
            .unwrap_or_else(|panic| Err(Failure::of_panic(&*panic)))
            .map_err(|failure| failure.into_exception(py))?;
        Ok(Networks {
            picture_time_max,
            intake: Some(Arc::new(intake)),
        })
    }

    /// `name@version` of the encoder, and how many values its embeddings have.
    fn encoder(&self, py: Python<'_>) -> PyResult<(String, usize)> {
        let intake = self.intake(py)?;
        let encoder = intake.encoder();
        let text = format!("{}@{}", encoder.name(), encoder.version());
        Ok((text, encoder.dimension()))
    }

    /// The similarity from which on two faces are one person, by the encoder's profile.
    fn verification_threshold(&self, py: Python<'_>) -> PyResult<f64> {
        Ok(self.intake(py)?.comparison_threshold())
    }

    /// What is seen in each picture, or the name of an exception, its text and the number of the error of
    /// the system, if it is one.
    #[expect(clippy::needless_pass_by_value, reason = "arguments come from Python")]
    fn look<'py>(
        &self,
        py: Python<'py>,
        pictures: Vec<Given<'py>>,
        wanted: &str,
        threads: usize,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let wanted = Wanted::of(wanted).map_err(|failure| failure.into_exception(py))?;
        let intake = self.intake(py)?;
        let sources: Vec<Source<'_>> = pictures.iter().map(Given::source).collect();
        let left = Arc::new(AtomicBool::new(false));
        let patience = Patience::of(self.picture_time_max).until_left(Arc::clone(&left));
        let look = |at: usize| look(&intake, &sources[at], wanted, &patience);
        let progress = progress.as_ref();
        let looked = py.detach(|| each(sources.len(), threads, &left, look, progress))?;
        let told = looked.into_iter().map(|one| match one {
            Ok(seen) => seen.into_pyobject(py).map(Bound::into_any),
            Err(failure) => {
                let told = (failure.class, failure.text, failure.number).into_pyobject(py)?;
                Ok(told.into_any())
            }
        });
        told.collect()
    }
}

impl Networks {
    fn intake(&self, py: Python<'_>) -> PyResult<Arc<Intake>> {
        refuse_fork().map_err(|failure| failure.into_exception(py))?;
        let intake = self.intake.as_ref();
        Ok(Arc::clone(
            intake.expect("it is there until this is let go"),
        ))
    }
}

/// A fork must not end threads that it has not.
impl Drop for Networks {
    fn drop(&mut self) {
        if refuse_fork().is_err() {
            std::mem::forget(self.intake.take());
        }
    }
}

fn refuse_fork() -> Result<(), Failure> {
    let here = std::process::id();
    if *FIRST.get_or_init(|| here) == here {
        return Ok(());
    }
    let text = "networks were loaded by the process that this one was forked from, and cannot run here: start \
                processes by `spawn` (multiprocessing.get_context(\"spawn\")), or load none before the fork";
    Err(Failure::new("ForkedError", text))
}

fn load(options: &PipelineOptions, picture_time_max: Duration) -> Result<Intake, Failure> {
    let faces = FacePipeline::new(options)?;
    let liveness = LivenessDetector::new(options.threads)?;
    let policy = Policy {
        picture_time_max,
        ..Policy::default()
    };
    Ok(Intake::new(
        Arc::new(faces),
        Some(Arc::new(liveness)),
        policy,
    ))
}

/// Looks at one picture. Time runs from here on.
fn look(
    intake: &Intake,
    source: &Source<'_>,
    wanted: Wanted,
    patience: &Patience,
) -> Result<SeenPicture, Failure> {
    let patience = &patience.from_now();
    let care = match wanted {
        Wanted::Everybody => return everybody(intake, source, patience),
        Wanted::Only(care) => care,
        // As the service does: whichever way a picture comes, it is as live.
        Wanted::Live => Care::Glance,
    };
    let seen = only(intake, source, care, patience)?;
    if !matches!(wanted, Wanted::Live) {
        return Ok(SeenPicture::of_one(seen, None));
    }
    let observation = intake.observe(&seen)?;
    let decision = intake.passive(&observation);
    Ok(SeenPicture::of_one(seen, Some(&decision)))
}

fn everybody(
    intake: &Intake,
    source: &Source<'_>,
    patience: &Patience,
) -> Result<SeenPicture, Failure> {
    let limits = intake.faces().limits();
    let of_bytes = |bytes: &[u8]| intake.look_at_all(bytes, patience);
    let crowd = match source {
        Source::Bytes(bytes) => of_bytes(bytes)?,
        Source::Path(path) => of_bytes(&read(path, limits)?)?,
        Source::Pixels(pixels) => {
            let picture = of_pixels(pixels, limits)?;
            let looking = intake.faces().within(patience);
            let everybody = looking.everybody_in(&picture, FACES_MAX)?;
            return Ok(SeenPicture::of_everybody(&picture, &everybody));
        }
    };
    Ok(SeenPicture::of_crowd(&crowd))
}

fn only(
    intake: &Intake,
    source: &Source<'_>,
    care: Care,
    patience: &Patience,
) -> Result<Seen, Failure> {
    let limits = intake.faces().limits();
    let of_bytes = |bytes: &[u8]| intake.look_within(bytes, care, patience);
    Ok(match source {
        Source::Bytes(bytes) => of_bytes(bytes)?,
        Source::Path(path) => of_bytes(&read(path, limits)?)?,
        Source::Pixels(pixels) => {
            intake.look_at_within(of_pixels(pixels, limits)?, care, patience)?
        }
    })
}
