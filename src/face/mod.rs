//! Pictures: from the bytes of a picture to the faces in it, their embeddings, and what is wrong
//! with them.
//!
//! ```text
//! bytes -> Picture            decode: limits before memory, orientation applied, RGB
//!       -> Detection          detect: where the faces are, five landmarks each
//!                             looking: a glance first, where one face is expected
//!       -> Detection          everybody: in pieces, where many are
//!       -> Detection          looking: a second look at faces that need one
//!                             upright: which way is up
//!       -> AlignedFace        align: eyes, nose and mouth moved to where the embedder wants them
//!       -> Embedding          embed: a unit vector
//!       -> Quality, Warning   quality: what a caller should be told about the sample
//!       -> Portrait           miniature: what people see of it, where that is wanted
//! ```
//!
//! [`FacePipeline`] does all of it; the steps are open for those who need one alone, such as the
//! liveness check, which looks at the same decoded picture.
//!
//! The networks are part of the program, so it runs from any folder. Another embedder, any ONNX
//! file with a profile beside it, may take the place of the built-in one ([`EmbedderSource`]).
//!
//! Nothing here knows galleries, samples or HTTP. No `Debug` shows a pixel or a value of an
//! embedding.

mod align;
mod annotate;
mod cost;
mod decode;
mod detect;
mod embed;
mod error;
mod everybody;
mod fitness;
mod frames;
mod head;
mod jpeg;
mod looking;
mod miniature;
mod network;
mod patience;
mod pipeline;
mod portrait;
mod profile;
mod quality;
mod upright;

pub use align::{AlignedFace, Similarity};
pub use annotate::{Mark, PictureKind, annotate};
pub use cost::Cost;
pub use decode::{DecodeLimits, PIXELS_MAX, Picture};
pub use detect::{Bounds, Canvas, Detection, Landmarks, ParseBoundsError, Point};
pub use error::{FaceError, FaceSetupError};
pub use everybody::{Everybody, FoundFace};
pub use looking::Looking;
pub use miniature::miniature;
// For the other networks that look at a face.
pub use network::Runtime;
pub(crate) use network::{Inference, Lanes, Network, built_in};
pub use patience::Patience;
pub use pipeline::{EmbedderSource, Face, FacePipeline, FaceStages, PipelineOptions};
pub use portrait::{PortraitFault, PortraitRules, portrait_bmp, portrait_faults};
pub use profile::{
    ChannelOrder, EncoderProfile, OutputLengths, PhotoThresholds, ProfileError, ScoreMap,
};
pub use quality::{Quality, Warning};
