//! What can go wrong, and whose fault it is.

use std::path::PathBuf;

use crate::exchange::ExchangeError;
use crate::partition::StoreError;
use crate::rates::RatesError;
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
    #[error("there is no gallery `{partition}`: nobody was enrolled in it, or it was removed")]
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
    /// An import of a source stopped early, and nobody said whether to go on.
    #[error(
        "an import of `{path}` into `{partition}` stopped after {items} items, and what was accepted of them stays: resume it, or overwrite it to import all of them once more"
    )]
    Unfinished {
        /// The source.
        path: PathBuf,
        /// The partition.
        partition: PartitionId,
        /// How many items were done.
        items: u64,
    },
    /// An import of a source cannot be resumed, since its record cannot be read.
    #[error("cannot resume the import of `{path}`: its record is damaged or not of this version")]
    ImportRecord {
        /// The source.
        path: PathBuf,
    },
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
    /// What strangers reach cannot be said.
    #[error(transparent)]
    Rates(#[from] RatesError),
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
            | EngineError::Unfinished { .. }
            | EngineError::ImportRecord { .. }
            | EngineError::Exchange(_)
            | EngineError::Search(SearchError::Dimension { .. }) => true,
            EngineError::Template { .. } | EngineError::Rates(RatesError::Stored { .. }) => false,
            EngineError::Rates(_) => true,
            EngineError::Search(SearchError::Store(error)) | EngineError::Store(error) => {
                error.is_callers_fault()
            }
        };
        if callers { Fault::Caller } else { Fault::Ours }
    }
}
