//! What was done, for whoever watches.

use crate::counts::{Count, Histogram};

/// What was done since the scheduler began.
#[derive(Debug)]
pub struct SearchCounts {
    /// How long questions waited for their pass.
    pub waits: Histogram,
    /// How long passes took.
    pub times: Histogram,
    /// How many people were looked for in each pass.
    pub probes: Histogram,
    /// Templates that passes went over, each once for all who shared the pass.
    pub rows: Count,
    /// Bytes of templates that passes read.
    pub bytes: Count,
}

impl SearchCounts {
    pub(super) fn new() -> SearchCounts {
        SearchCounts {
            waits: Histogram::of_times(),
            times: Histogram::of_times(),
            probes: Histogram::of_sizes(),
            rows: Count::new(),
            bytes: Count::new(),
        }
    }
}
