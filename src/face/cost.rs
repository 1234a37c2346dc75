//! What it takes to look at a picture, known before it is decoded.

use std::time::Duration;

use image::metadata::Orientation;
use image::{ColorType, ExtendedColorType, ImageDecoder, ImageFormat};

use super::decode::{DecodeLimits, Source};
use super::error::FaceError;
use super::frames::{self, Frames};
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
        let head = Head::of(&source, &mut *decoder);
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

/// How long one core probably takes to decode a picture.
pub(super) fn decoding_time(source: &Source<'_>, decoder: &mut dyn ImageDecoder) -> Duration {
    Head::of(source, decoder).time()
}

/// What the head of a file says.
struct Head {
    format: ImageFormat,
    file_bytes: u64,
    pixels: u64,
    /// Of all pixels as the decoder gives them.
    decoded_bytes: u64,
    colour: ColorType,
    is_cmyk: bool,
    is_turned: bool,
    /// How often the pixels of a progressive JPEG are gone over.
    scans: Option<u64>,
}

impl Head {
    fn of(source: &Source<'_>, decoder: &mut dyn ImageDecoder) -> Head {
        let (width, height) = decoder.dimensions();
        let original = decoder.original_color_type();
        let orientation = decoder.orientation();
        Head {
            format: source.format,
            file_bytes: source.bytes.len() as u64,
            pixels: u64::from(width) * u64::from(height),
            decoded_bytes: decoder.total_bytes(),
            colour: decoder.color_type(),
            is_cmyk: [ExtendedColorType::Cmyk8, ExtendedColorType::Cmyk16].contains(&original),
            is_turned: orientation.is_ok_and(|found| found != Orientation::NoTransforms),
            scans: source.extent.as_ref().and_then(|extent| {
                let scans = extent.scans() as u64;
                extent.is_progressive().then_some(scans)
            }),
        }
    }

    /// The most memory of the steps, one after the other.
    fn bytes(&self) -> u64 {
        let Head {
            pixels,
            decoded_bytes,
            ..
        } = *self;
        let decoding = match self.format {
            // A second decoding beside the first tells whether all of it was there. What scans add to one
            // another is kept in two bytes for each value, of which there may be four.
            ImageFormat::Jpeg => {
                let values = if self.colour == ColorType::L8 { 1 } else { 4 };
                let added = self.scans.map_or(0, |_| 2 * values * pixels);
                2 * decoded_bytes + added + 3 * self.file_bytes
            }
            // The first picture and what it is laid upon.
            ImageFormat::Gif => 8 * pixels,
            ImageFormat::WebP => 12 * pixels,
            ImageFormat::Tiff | ImageFormat::Pnm => {
                2 * decoded_bytes + if self.is_cmyk { 2 * pixels } else { 0 }
            }
            _ => decoded_bytes,
        };
        let turning = if self.is_turned { 2 * decoded_bytes } else { 0 };
        let converting = match self.colour {
            ColorType::Rgb8 => decoded_bytes,
            ColorType::Rgb32F | ColorType::Rgba32F => decoded_bytes + 7 * pixels,
            _ => decoded_bytes + 3 * pixels,
        };
        decoding.max(turning).max(converting)
    }

    fn time(&self) -> Duration {
        let nanoseconds_a_pixel = match self.format {
            // Twice, to know whether it is whole.
            ImageFormat::Jpeg => self.scans.map_or(10, |scans| 12 + 3 * scans / 2),
            ImageFormat::Gif | ImageFormat::Tiff => 12,
            ImageFormat::WebP => 20,
            _ => 8,
        };
        Duration::from_nanos(self.pixels.saturating_mul(nanoseconds_a_pixel))
    }
}
