//! What an evaluation was made of.

use serde::Serialize;

use crate::eval::recognition::Protocol;

/// Who was enrolled.
#[derive(Clone, Debug, Serialize)]
pub(super) struct GalleryFacts {
    /// Where they are enrolled, if not in a part of the samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) partition: Option<String>,
    /// How people were parted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) protocol: Option<Protocol>,
    /// The fewest and the most classes that were searched.
    pub(super) classes: [usize; 2],
    /// Templates, of the largest.
    pub(super) templates: usize,
    pub(super) rank: usize,
}

/// What was compared.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ComparedFacts {
    /// The gallery whose classes samples were compared with, if it was not each with each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) partition: Option<String>,
    /// Samples that were compared.
    #[serde(rename = "samples_compared")]
    pub(super) samples: usize,
    /// Of so many.
    #[serde(rename = "samples_compared_of")]
    pub(super) samples_of: usize,
    pub(super) seed: u64,
}
