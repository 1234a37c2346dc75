//! What the head of a picture says of what decoding it takes.

use std::time::Duration;

use image::metadata::Orientation;
use image::{ColorType, ExtendedColorType, ImageDecoder, ImageFormat};

use super::jpeg::Extent;

/// What the head of a file says.
pub(super) struct Head {
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
    /// Of a file of this format and length; `extent` is that of a JPEG.
    pub(super) fn of(
        format: ImageFormat,
        file_bytes: usize,
        extent: Option<&Extent>,
        decoder: &mut dyn ImageDecoder,
    ) -> Head {
        let (width, height) = decoder.dimensions();
        let original = decoder.original_color_type();
        let orientation = decoder.orientation();
        Head {
            format,
            file_bytes: file_bytes as u64,
            pixels: u64::from(width) * u64::from(height),
            decoded_bytes: decoder.total_bytes(),
            colour: decoder.color_type(),
            is_cmyk: [ExtendedColorType::Cmyk8, ExtendedColorType::Cmyk16].contains(&original),
            is_turned: orientation.is_ok_and(|found| found != Orientation::NoTransforms),
            scans: extent.and_then(|extent| {
                let scans = extent.scans() as u64;
                extent.is_progressive().then_some(scans)
            }),
        }
    }

    /// The most memory of the steps, one after the other.
    pub(super) fn bytes(&self) -> u64 {
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

    /// How long one core is probably busy with decoding it.
    pub(super) fn time(&self) -> Duration {
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
