//! Connections, counted.

use crate::counts::Count;

/// What became of connections since the start.
#[derive(Debug, Default)]
pub(in crate::web) struct ConnectionCounts {
    /// Those that got a seat.
    pub(in crate::web) accepted: Count,
    /// Those of them that have ended.
    pub(in crate::web) ended: Count,
    /// Those that got none.
    pub(in crate::web) refused: Count,
    /// Those whose head took too long.
    pub(in crate::web) slow: Count,
}

impl ConnectionCounts {
    /// How many there are now.
    pub(in crate::web) fn open(&self) -> u64 {
        let ended = self.ended.get();
        self.accepted.get().saturating_sub(ended)
    }
}
