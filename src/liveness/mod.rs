//! Presence: whether samples are of a live person, or of a print, a screen or a waved photo.
//!
//! ```text
//! Picture, Face -> FaceView       what the networks will be shown, and a thumbnail
//! FaceView      -> Observation    LivenessDetector: three networks
//! Observation   -> Decision       passive: one picture, by its texture
//! Observations  -> Decision       active: two or more, by the motion between them as well
//! Tagged        -> Decision       challenge: whether the head moved where it was asked to
//! ```
//!
//! Networks run once for each sample, and only if a decision is wanted; decisions are arithmetic,
//! and the same samples always get the same one. `docs/liveness.md` says how good they are, and how
//! that was measured.
//!
//! Nothing here knows tokens, uploads or HTTP. No `Debug` shows what was seen of a face.

mod active;
mod blur;
mod challenge;
mod crop;
mod decision;
mod detector;
mod fringes;
mod least_squares;
mod observation;
mod parallax;
mod quiet;
mod thresholds;
mod thumbnail;
mod view;

pub use active::{active, passive};
pub use challenge::{Tagged, challenge};
pub use decision::{Decision, LivenessFailure, Motion, Movement, Parts, Reason, SamplePart};
pub use detector::LivenessDetector;
pub use observation::{Observation, Pose};
pub use thresholds::Thresholds;
pub use view::FaceView;
