//! rten, which is part of the program.

use std::fmt;
use std::sync::Arc;

use rten::{Model, ModelOptions, NodeId, RunOptions, ThreadPool, Value};
use rten_tensor::{AsView, Tensor};

use super::super::error::{FaceError, FaceSetupError};
use super::Inference;
use super::idle::Idle;

/// Lends thread pools to runs of networks. An idle pool costs a sleeping thread for each of its
/// threads.
#[derive(Debug)]
pub(crate) struct Lanes {
    threads: usize,
    idle: Idle<Arc<ThreadPool>>,
}

impl Lanes {
    pub(crate) fn new(threads: usize) -> Arc<Lanes> {
        Arc::new(Lanes {
            threads,
            idle: Idle::new(),
        })
    }

    /// The threads of each run.
    #[cfg(feature = "onnxruntime")]
    pub(super) fn threads(&self) -> usize {
        self.threads
    }

    fn with<T>(&self, run: impl FnOnce(Arc<ThreadPool>) -> T) -> T {
        let new = || Arc::new(ThreadPool::with_num_threads(self.threads));
        let pool = self.idle.take().unwrap_or_else(new);
        let result = run(Arc::clone(&pool));
        self.idle.give_back(pool);
        result
    }
}

/// A loaded network with one input.
pub(crate) struct Network {
    name: &'static str,
    model: Model,
    input: NodeId,
    outputs: Vec<NodeId>,
    lanes: Arc<Lanes>,
}

impl Network {
    /// Loads `onnx`, which came from `origin`, with the outputs called `outputs` in that order, or
    /// with all that it has if none is named. It will run on threads of `lanes`.
    pub(crate) fn load(
        name: &'static str,
        onnx: Vec<u8>,
        origin: &str,
        outputs: &[&str],
        lanes: &Arc<Lanes>,
    ) -> Result<Network, FaceSetupError> {
        let refuse = |reason: String| FaceSetupError::Network {
            origin: origin.to_owned(),
            reason,
        };
        let mut options = ModelOptions::with_all_ops();
        // Rearranges weights once here and not in every run.
        options.prepack_weights(true);
        let model = options
            .load(onnx)
            .map_err(|error| refuse(error.to_string()))?;
        let &[input] = model.input_ids() else {
            return Err(refuse(format!(
                "it has {} inputs, expected 1",
                model.input_ids().len()
            )));
        };
        let outputs = if outputs.is_empty() {
            model.output_ids().to_vec()
        } else {
            outputs
                .iter()
                .map(|name| {
                    let missing = || refuse(format!("it has no output `{name}`"));
                    model.find_node(name).ok_or_else(missing)
                })
                .collect::<Result<_, _>>()?
        };
        Ok(Network {
            name,
            model,
            input,
            outputs,
            lanes: Arc::clone(lanes),
        })
    }

    /// The sides of its input if it fixes all of them.
    pub(crate) fn input_shape(&self) -> Option<Vec<usize>> {
        let shape = self.model.node_info(self.input)?.shape()?;
        shape
            .into_iter()
            .map(|side| match side {
                rten::Dimension::Fixed(side) => Some(side),
                rten::Dimension::Symbolic(_) => None,
            })
            .collect()
    }
}

impl Inference for Network {
    fn run(&self, shape: &[usize], values: Vec<f32>) -> Result<Vec<Vec<f32>>, FaceError> {
        let input = Tensor::from_data(shape, values);
        let outputs: Result<Vec<Value>, _> = self.lanes.with(|pool| {
            let options = RunOptions::default().with_thread_pool(Some(pool));
            self.model.run(
                vec![(self.input, input.into())],
                &self.outputs,
                Some(options),
            )
        });
        outputs
            .map_err(|error| self.failed(error.to_string()))?
            .into_iter()
            .map(|value| {
                let tensor: Tensor<f32> = value
                    .try_into()
                    .map_err(|_ignored| self.failed("an output is not f32".to_owned()))?;
                Ok(tensor.to_vec())
            })
            .collect()
    }

    fn failed(&self, reason: String) -> FaceError {
        FaceError::Inference {
            network: self.name,
            reason,
        }
    }
}

/// The name alone: weights are long and tell nobody anything.
impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Network({})", self.name)
    }
}
