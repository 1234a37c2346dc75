//! ONNX Runtime, in a shared library that is loaded when the program runs.

use std::error::Error as _;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use object::{Object, ObjectSegment};
use ort::LoadDynamicError;
use ort::environment::Environment;
use ort::session::Session;
use ort::value::TensorRef;

use super::super::error::{FaceError, FaceSetupError};
use super::Inference;
use super::idle::Idle;

/// One network, as often as it was ever run at once: a session runs one input at a time.
pub(super) struct Sessions {
    name: &'static str,
    onnx: Vec<u8>,
    outputs: Vec<&'static str>,
    threads: usize,
    environment: Environment,
    idle: Idle<Session>,
}

impl Sessions {
    pub(super) fn load(
        library: &Path,
        name: &'static str,
        onnx: Vec<u8>,
        outputs: &[&'static str],
        threads: usize,
    ) -> Result<Sessions, FaceSetupError> {
        let sessions = Sessions {
            name,
            onnx,
            outputs: outputs.to_vec(),
            threads,
            environment: environment(library)?,
            idle: Idle::new(),
        };
        let refuse = |reason: String| FaceSetupError::Network {
            origin: format!("built-in {name}"),
            reason,
        };
        let first = sessions.open().map_err(|error| refuse(error.to_string()))?;
        if first.inputs().len() != 1 {
            let reason = format!("it has {} inputs, expected 1", first.inputs().len());
            return Err(refuse(reason));
        }
        let has = |name: &str| first.outputs().iter().any(|output| output.name() == name);
        if let Some(missing) = outputs.iter().find(|name| !has(name)) {
            return Err(refuse(format!("it has no output `{missing}`")));
        }
        sessions.idle.give_back(first);
        Ok(sessions)
    }

    fn open(&self) -> Result<Session, ort::Error> {
        Session::builder(&self.environment)?
            .with_intra_threads(self.threads)?
            .commit_from_memory(&self.onnx)
    }

    fn outputs_of(
        &self,
        session: &mut Session,
        shape: &[usize],
        values: &[f32],
    ) -> Result<Vec<Vec<f32>>, ort::Error> {
        let input = TensorRef::from_array_view((shape, values))?;
        let outputs = session.run(ort::inputs![input])?;
        let read = |name: &&'static str| -> Result<Vec<f32>, ort::Error> {
            // The names were looked up when it was loaded.
            let (_, values) = outputs[*name].try_extract_tensor::<f32>()?;
            Ok(values.to_vec())
        };
        self.outputs.iter().map(read).collect()
    }
}

impl Inference for Sessions {
    fn run(&self, shape: &[usize], values: Vec<f32>) -> Result<Vec<Vec<f32>>, FaceError> {
        let failed = |error: ort::Error| self.failed(error.to_string());
        let idle = self.idle.take();
        let mut session = idle.map_or_else(|| self.open(), Ok).map_err(failed)?;
        let outputs = self.outputs_of(&mut session, shape, &values);
        // A session that failed at one input is as good as before for another.
        self.idle.give_back(session);
        outputs.map_err(failed)
    }

    fn failed(&self, reason: String) -> FaceError {
        FaceError::Inference {
            network: self.name,
            reason,
        }
    }
}

/// The name alone: weights are long and tell nobody anything.
impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sessions({})", self.name)
    }
}

/// The library of this process and what it was loaded from. ONNX Runtime can be loaded once.
static LOADED: Mutex<Option<(PathBuf, Environment)>> = Mutex::new(None);

fn environment(library: &Path) -> Result<Environment, FaceSetupError> {
    let refuse = |reason: String| FaceSetupError::OnnxRuntime {
        library: library.to_owned(),
        reason,
    };
    // A path without a folder would be looked for among the libraries of the system.
    let path = library
        .canonicalize()
        .map_err(|error| refuse(error.to_string()))?;
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((running, environment)) = &*loaded {
        if *running == path {
            return Ok(environment.clone());
        }
        let running = running.display();
        return Err(refuse(format!("this process already runs `{running}`")));
    }
    check_whole(&path).map_err(refuse)?;
    let environment = ort::init_from(&path)
        .map_err(|error| refuse(told(&error)))?
        .with_name("vultus")
        // The library of some vendors reports what it runs.
        .with_telemetry(false)
        .build()
        .map_err(|error| refuse(error.to_string()))?;
    *loaded = Some((path, environment.clone()));
    Ok(environment)
}

/// Fails if the file is no library, or ends before it should: the system would map what is missing
/// all the same, and the process would be killed when it came to it.
fn check_whole(path: &Path) -> Result<(), String> {
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    let library = object::File::parse(&*bytes)
        .map_err(|error| format!("it is not a whole library: {error}"))?;
    for segment in library.segments() {
        let (start, length) = segment.file_range();
        let end = start.saturating_add(length);
        if end > bytes.len() as u64 {
            let found = bytes.len();
            return Err(format!("it ends after {found} bytes, expected {end}"));
        }
    }
    Ok(())
}

/// What the system says of a library that it cannot load.
fn told(error: &LoadDynamicError) -> String {
    let cause = match error {
        LoadDynamicError::Dlopen { error, .. } => error.source(),
        _ => None,
    };
    cause.map_or_else(|| error.to_string(), ToString::to_string)
}
