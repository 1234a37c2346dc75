//! The networks, loaded once for all tests: that takes long, and they do not change.

use std::sync::{Arc, OnceLock};

use vultus::face::{FacePipeline, PipelineOptions};
use vultus::liveness::LivenessDetector;

pub(crate) fn faces() -> Arc<FacePipeline> {
    static FACES: OnceLock<Arc<FacePipeline>> = OnceLock::new();
    FACES
        .get_or_init(|| Arc::new(FacePipeline::new(&PipelineOptions::default()).unwrap()))
        .clone()
}

pub(crate) fn liveness() -> Arc<LivenessDetector> {
    static LIVENESS: OnceLock<Arc<LivenessDetector>> = OnceLock::new();
    LIVENESS
        .get_or_init(|| Arc::new(LivenessDetector::new(1).unwrap()))
        .clone()
}
