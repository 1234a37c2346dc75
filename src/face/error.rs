//! What can go wrong with a picture, and what can go wrong when setting up.

use std::path::PathBuf;

use super::profile::ProfileError;

/// Why a picture gave no face.
///
/// Most of these are the fault of whoever sent the picture; [`FaceError::is_callers_fault`] tells
/// which. No message contains anything from the picture but its format and its size.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FaceError {
    /// There are no bytes at all.
    #[error("the picture is empty: 0 bytes")]
    Empty,
    /// The bytes are not the beginning of any picture known here.
    #[error(
        "the {found} bytes are no picture: expected JPEG, PNG, BMP, GIF, TIFF, WebP or PGM/PPM"
    )]
    NotAPicture {
        /// How many bytes there are.
        found: usize,
    },
    /// A picture, but of a kind that is not read.
    #[error("{format} is not supported: expected JPEG, PNG, BMP, GIF, TIFF, WebP or PGM/PPM")]
    UnsupportedFormat {
        /// The kind of picture, with the feature that is missing if that is narrower.
        format: String,
    },
    /// A picture of a kind that telephones take and that is not read.
    #[error("{format} is not read here: convert it to JPEG first, {how}")]
    ConvertFirst {
        /// The kind of picture.
        format: &'static str,
        /// With what.
        how: &'static str,
    },
    /// The picture ends too early.
    #[error("the {format} picture is truncated: its data ends after {found} bytes")]
    Truncated {
        /// The format.
        format: &'static str,
        /// How many bytes there are.
        found: usize,
    },
    /// Something in the middle of the bytes is not what it was.
    #[error(
        "the {format} picture is damaged: it has a hole of zeros, and not all bytes behind are used"
    )]
    Hole {
        /// The format.
        format: &'static str,
    },
    /// The pixels are gone over more often than in any picture that somebody made to be looked at.
    #[error("the JPEG picture has {found} scans, at most {scans_max} are allowed for its size")]
    TooManyScans {
        /// How many there are.
        found: usize,
        /// How many are allowed.
        scans_max: u64,
    },
    /// Next to nothing is said of so many pixels.
    #[error(
        "the {format} picture has {width} x {height} pixels in {found} bytes, fewer than any photograph"
    )]
    TooFewBytes {
        /// The format.
        format: &'static str,
        /// Pixels from left to right, as the file says.
        width: u32,
        /// Pixels from top to bottom.
        height: u32,
        /// How many bytes there are.
        found: usize,
    },
    /// The bytes contradict their own format.
    #[error("the {format} picture is damaged")]
    Damaged {
        /// The format.
        format: &'static str,
        /// What the decoder says.
        #[source]
        source: image::ImageError,
    },
    /// More bytes than allowed.
    #[error("the picture has {found} bytes, at most {bytes_max} are allowed")]
    TooManyBytes {
        /// How many bytes there are.
        found: usize,
        /// How many are allowed.
        bytes_max: usize,
    },
    /// More pixels than allowed, on one side or in all.
    #[error(
        "the picture has {width} x {height} pixels, at most {side_max} on a side and {pixels_max} \
         in all are allowed"
    )]
    TooManyPixels {
        /// Pixels from left to right, as the file says.
        width: u32,
        /// Pixels from top to bottom.
        height: u32,
        /// The most that are allowed on a side.
        side_max: u32,
        /// The most that are allowed in all.
        pixels_max: u64,
    },
    /// An animation goes over more pixels than allowed.
    #[error(
        "the pictures of the animation have {width} x {height} pixels each, and more than          {pixels_max} together: more than is allowed for its bytes"
    )]
    AnimationTooLong {
        /// Pixels from left to right.
        width: u32,
        /// Pixels from top to bottom.
        height: u32,
        /// The most that are allowed together.
        pixels_max: u64,
    },
    /// Too few pixels for any face.
    #[error(
        "the picture has {width} x {height} pixels, a face needs at least {side_min} on a side"
    )]
    TooSmall {
        /// Pixels from left to right.
        width: u32,
        /// Pixels from top to bottom.
        height: u32,
        /// The fewest on a side.
        side_min: u32,
    },
    /// It took longer than it may.
    #[error("looking at the picture took longer than {seconds_max} s")]
    TooSlow {
        /// How long it may take.
        seconds_max: f64,
    },
    /// Nobody wants to know any more.
    #[error("the caller has left")]
    CallerLeft,
    /// No face in the picture.
    #[error("no face was found in the picture, expected one")]
    NoFaceFound,
    /// Several people in a picture that should show one.
    #[error("{count} faces were found in the picture, expected one")]
    MultipleFacesFound {
        /// How many.
        count: usize,
    },
    /// A box in which a face is to be lies beyond the edges of the picture.
    #[error(
        "the box lies outside of the picture, which has {width} x {height} pixels as it is shown upright"
    )]
    BoxOutside {
        /// Pixels from left to right.
        width: usize,
        /// Pixels from top to bottom.
        height: usize,
    },
    /// No face overlaps a box in which one is to be.
    #[error("no face was found in the box")]
    NoFaceInBox,
    /// A network failed. This is our fault, or that of the configured embedder.
    #[error("the {network} network failed: {reason}")]
    Inference {
        /// Which network.
        network: &'static str,
        /// What it, or the check of its output, says.
        reason: String,
    },
}

impl FaceError {
    /// Whether another picture would have helped. If not, the fault is ours and worth a log line.
    pub fn is_callers_fault(&self) -> bool {
        !matches!(self, FaceError::Inference { .. })
    }
}

/// Why the pipeline could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FaceSetupError {
    /// A file of the configured embedder cannot be read.
    #[error("cannot read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The profile of an embedder makes no sense.
    #[error("the profile of the embedder, `{origin}`, is not valid")]
    Profile {
        /// The file, or the name of the built-in profile.
        origin: String,
        /// Why.
        #[source]
        source: ProfileError,
    },
    /// A network cannot be loaded.
    #[error("`{origin}` is not a network that can be run: {reason}")]
    Network {
        /// The file, or the name of the built-in network.
        origin: String,
        /// Why.
        reason: String,
    },
    /// The network does not do what its profile says.
    #[error(
        "`{origin}` does not fit its profile: {what} is {expected} there, the network has {found}"
    )]
    Mismatch {
        /// The file, or the name of the built-in network.
        origin: String,
        /// What was compared.
        what: &'static str,
        /// What the profile says.
        expected: String,
        /// What the network says.
        found: String,
    },
    /// ONNX Runtime cannot be used.
    #[error("cannot run networks with ONNX Runtime, from `{library}`: {reason}")]
    OnnxRuntime {
        /// The file of its shared library.
        library: PathBuf,
        /// Why.
        reason: String,
    },
    /// No thread at all was asked for.
    #[error("networks need at least 1 thread, found 0")]
    NoThreads,
}
