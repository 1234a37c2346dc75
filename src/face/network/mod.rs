//! Running networks, each on threads of its caller's choosing.
//!
//! All networks run on rten, which is part of the program. Those that find faces can run on ONNX
//! Runtime instead, which is several times as fast at them; see [`Runtime`].

pub(crate) mod built_in;
mod idle;
#[cfg(feature = "onnxruntime")]
mod onnx_runtime;
mod rten;

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;

pub(crate) use self::rten::{Lanes, Network};
use super::error::{FaceError, FaceSetupError};

/// What runs the network that finds faces.
///
/// The embedder always runs on rten: there it is as fast as on ONNX Runtime, and embeddings of one
/// gallery are then made by one program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Runtime {
    /// rten.
    #[default]
    BuiltIn,
    /// ONNX Runtime 1.17 or newer, in the shared library of this path. It is loaded into the
    /// process, which it can do anything with. Needs the feature `onnxruntime`.
    OnnxRuntime(PathBuf),
}

impl Runtime {
    /// ONNX Runtime if there is a library of it, or else the built-in one.
    pub fn with(library: Option<impl Into<PathBuf>>) -> Runtime {
        library.map_or(Runtime::BuiltIn, |library| {
            Runtime::OnnxRuntime(library.into())
        })
    }
}

/// A loaded network with one input of single-precision numbers.
pub(crate) trait Inference: Debug + Send + Sync {
    /// Runs it on `values` of `shape` and returns its outputs, in the order that was asked for when
    /// it was loaded.
    fn run(&self, shape: &[usize], values: Vec<f32>) -> Result<Vec<Vec<f32>>, FaceError>;

    /// The error that its output makes no sense.
    fn failed(&self, reason: String) -> FaceError;
}

/// Loads a built-in network on `runtime`, to run on the threads of `lanes`; its outputs are those
/// called `outputs`, in that order.
pub(super) fn load(
    runtime: &Runtime,
    name: &'static str,
    onnx: Vec<u8>,
    outputs: &[&'static str],
    lanes: &Arc<Lanes>,
) -> Result<Box<dyn Inference>, FaceSetupError> {
    match runtime {
        Runtime::BuiltIn => {
            let origin = format!("built-in {name}");
            let network = Network::load(name, onnx, &origin, outputs, lanes)?;
            Ok(Box::new(network))
        }
        #[cfg(feature = "onnxruntime")]
        Runtime::OnnxRuntime(library) => {
            let threads = lanes.threads();
            let sessions = onnx_runtime::Sessions::load(library, name, onnx, outputs, threads)?;
            Ok(Box::new(sessions))
        }
        #[cfg(not(feature = "onnxruntime"))]
        Runtime::OnnxRuntime(library) => Err(FaceSetupError::OnnxRuntime {
            library: library.clone(),
            reason: "this program was built without the feature `onnxruntime`".to_owned(),
        }),
    }
}
