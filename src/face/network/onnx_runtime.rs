//! ONNX Runtime, in a shared library that is loaded when the program runs.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ort::environment::Environment;
use ort::session::Session;
use ort::value::TensorRef;

use super::super::error::{FaceError, FaceSetupError};
use super::Inference;

/// One network, as often as it was ever run at once.
///
/// A session runs one input at a time, whatever the number of processors. So each run borrows a session
/// of its own, and there come to be as many as there were runs at once.
pub(super) struct Sessions {
    name: &'static str,
    onnx: &'static [u8],
    outputs: Vec<&'static str>,
    threads: usize,
    environment: Environment,
    idle: Mutex<Vec<Session>>,
}

impl Sessions {
    pub(super) fn load(
        library: &Path,
        name: &'static str,
        onnx: &'static [u8],
        outputs: &[&'static str],
        threads: usize,
    ) -> Result<Sessions, FaceSetupError> {
        let sessions = Sessions {
            name,
            onnx,
            outputs: outputs.to_vec(),
            threads,
            environment: environment(library)?,
            idle: Mutex::new(Vec::new()),
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
        sessions.give_back(first);
        Ok(sessions)
    }

    fn open(&self) -> Result<Session, ort::Error> {
        Session::builder(&self.environment)?
            .with_intra_threads(self.threads)?
            .commit_from_memory(self.onnx)
    }

    fn borrow(&self) -> Result<Session, ort::Error> {
        // A panic elsewhere leaves at worst a session fewer in the list.
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        idle.map_or_else(|| self.open(), Ok)
    }

    fn give_back(&self, session: Session) {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(session);
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
        let mut session = self.borrow().map_err(failed)?;
        let outputs = self.outputs_of(&mut session, shape, &values);
        // A session that failed at one input is as good as before for another.
        self.give_back(session);
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
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((path, environment)) = &*loaded {
        return if path == library {
            Ok(environment.clone())
        } else {
            Err(refuse(format!(
                "this process already runs `{}`",
                path.display()
            )))
        };
    }
    // A path without a folder would be looked for among the libraries of the system.
    let path = library
        .canonicalize()
        .map_err(|error| refuse(error.to_string()))?;
    let environment = ort::init_from(&path)
        .map_err(|error| refuse(error.to_string()))?
        .with_name("vultus")
        // The library of some vendors reports what it runs.
        .with_telemetry(false)
        .build()
        .map_err(|error| refuse(error.to_string()))?;
    *loaded = Some((library.to_owned(), environment.clone()));
    Ok(environment)
}
