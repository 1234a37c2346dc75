//! What can go wrong, and whose fault it is.

use crate::exchange::ExchangeError;
use crate::partition::StoreError;
use crate::search::SearchError;
use crate::types::{EmbeddingError, EncoderId, PartitionId};

/// Whose fault an error is: that decides what happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// What was asked cannot be done; asking differently may help.
    Caller,
    /// The disk failed or holds damaged data; the operator must look.
    Ours,
}

/// Why the engine did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// There is nothing to enrol or to identify.
    #[error("no samples were given")]
    NoSamples,
    /// There is no such partition.
    #[error("nobody was ever enrolled in `{partition}`")]
    NoPartition {
        /// The partition asked for.
        partition: PartitionId,
    },
    /// An embedding has not the dimension of its encoder.
    #[error("an embedding has {found} values, and encoder `{encoder}` makes {expected}", expected = encoder.dimension())]
    Dimension {
        /// How many values it has.
        found: usize,
        /// The encoder it is said to be of.
        encoder: EncoderId,
    },
    /// Samples of one person cancel each other out, so that no direction is left.
    #[error("the samples contradict each other: their mean has no direction")]
    Contradiction,
    /// A stored template cannot be compared, although its checksum is right.
    #[error("a stored template is no embedding")]
    Template {
        /// What is wrong with it.
        #[source]
        source: EmbeddingError,
    },
    /// A file of embeddings cannot be read.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// The search failed.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl EngineError {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        let callers = match self {
            EngineError::NoSamples
            | EngineError::NoPartition { .. }
            | EngineError::Dimension { .. }
            | EngineError::Contradiction
            | EngineError::Exchange(_)
            | EngineError::Search(SearchError::Dimension { .. }) => true,
            EngineError::Template { .. } => false,
            EngineError::Search(SearchError::Store(error)) | EngineError::Store(error) => {
                error.is_callers_fault()
            }
        };
        if callers { Fault::Caller } else { Fault::Ours }
    }
}
