//! What it takes to look at a picture, known before it is decoded.

use std::time::Duration;

use super::decode::{DecodeLimits, Source};
use super::error::FaceError;
use super::frames::{self, Frames};
use super::head::Head;
use super::patience::Patience;

/// What it takes to decode a picture and to look for faces in it, by what the file says of itself.
///
/// The same bytes never take more memory than this, but for a few megabytes; many take less, up to a
/// half. The time is a guess within a factor of three: on one core of a server of 2022, and more on
/// slower ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// The most memory at any moment, in bytes, beside the bytes of the picture themselves.
    pub bytes: u64,
    /// How long one core is busy.
    pub time: Duration,
}

/// What the networks take for a picture of any size, and tables of decoders.
const LOOK_BYTES: u64 = 64 << 20;
/// How long they take where a face is found at once.
const LOOK_TIME: Duration = Duration::from_millis(60);

impl Cost {
    /// What [`Picture::decode`](super::Picture::decode) and one look at the picture take.
    ///
    /// Reads the head of the file alone, of a JPEG also its markers: less than a millisecond for a
    /// megabyte. What would be refused for its size, its limits or its format is refused here.
    ///
    /// # Errors
    ///
    /// If the bytes are no picture that would be decoded. Whether they are damaged is not known yet.
    pub fn of(picture: &[u8], limits: &DecodeLimits) -> Result<Cost, FaceError> {
        let patience = Patience::endless();
        let source = Source::of(picture, limits)?;
        let mut decoder = source.open(limits, &patience)?;
        let (bytes, extent) = (source.bytes.len(), source.extent.as_ref());
        let head = Head::of(source.format, bytes, extent, &mut *decoder);
        Ok(Cost {
            bytes: head.bytes().saturating_add(LOOK_BYTES),
            time: head.time() + LOOK_TIME,
        })
    }

    /// What it takes to decode at most `count` pictures of a video and to look at each of them.
    ///
    /// # Errors
    ///
    /// As [`Cost::of`].
    pub fn of_frames(video: &[u8], limits: &DecodeLimits, count: usize) -> Result<Cost, FaceError> {
        let count = count.max(1) as u64;
        match frames::announced(video, limits)? {
            Frames::One => Cost::of(video, limits),
            Frames::Jpegs(pictures) => {
                let chosen = frames::spread_of(&pictures, count as usize);
                let mut whole = Cost::default();
                let mut kept = 0;
                for picture in chosen {
                    let cost = Cost::of(picture, limits)?;
                    whole.bytes = whole.bytes.max(cost.bytes);
                    whole.time += cost.time;
                    // Of what decoding took, three bytes of at least four stay.
                    kept += cost.bytes.saturating_sub(LOOK_BYTES);
                }
                whole.bytes = whole.bytes.saturating_add(kept);
                Ok(whole)
            }
            Frames::Animation { pixels, most } => {
                let first = Cost::of(video, limits)?;
                // Twice as many as are asked for are kept until the last is known, and the canvas, what
                // was on it before, and the picture that comes next.
                let kept = (2 * count + 1).saturating_mul(pixels * 3) + 12 * pixels;
                let each = Duration::from_nanos(pixels.saturating_mul(ANIMATED_NANOSECONDS));
                let decoded = each.saturating_mul(u32::try_from(most).unwrap_or(u32::MAX));
                Ok(Cost {
                    bytes: first.bytes.max(kept.saturating_add(LOOK_BYTES)),
                    time: first.time + decoded + LOOK_TIME.saturating_mul(count as u32),
                })
            }
        }
    }
}

impl Default for Cost {
    fn default() -> Cost {
        Cost {
            bytes: 0,
            time: Duration::ZERO,
        }
    }
}

/// For one pixel of one picture of an animation.
const ANIMATED_NANOSECONDS: u64 = 30;
