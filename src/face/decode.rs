//! Picture bytes to upright RGB pixels, within limits.
//!
//! Every limit is checked against what the file *says* before memory for its pixels is asked for,
//! since a file of a few bytes may claim any size. Which format it is, is read from the bytes:
//! names and content types lie.

use std::fmt;
use std::io::{self, Cursor};

use image::error::{ImageError, LimitErrorKind, UnsupportedErrorKind};
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use super::error::FaceError;

/// How large a picture may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeLimits {
    /// The most bytes of the undecoded picture.
    pub bytes_max: usize,
    /// The most pixels in all. A decoder may ask for 4 bytes for each, and for a fixed allowance
    /// besides; a picture of 16 bits a channel may therefore have about half as many.
    pub pixels_max: u64,
    /// The most pixels on either side.
    pub side_max: u32,
}

/// 20 MiB, 50 million pixels, 16,384 on a side: any camera, no bomb.
impl Default for DecodeLimits {
    fn default() -> DecodeLimits {
        DecodeLimits {
            bytes_max: 20 << 20,
            pixels_max: 50_000_000,
            side_max: 16_384,
        }
    }
}

/// The fewest pixels on a side in which a face could be found.
const SIDE_MIN: u32 = 16;

/// What a decoder may ask for beyond pixels: tables, colour profiles, one row of input.
const ALLOWANCE_BYTES: u64 = 16 << 20;

/// A decoded picture: upright, RGB, 8 bits a channel.
///
/// `Debug` shows its size only.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl Picture {
    /// Reads JPEG, PNG, BMP, GIF (the first frame), TIFF, WebP (the first frame), PGM and PPM.
    ///
    /// The orientation in EXIF or TIFF tags is applied, 16 bits become 8, grey and CMYK become RGB,
    /// and what is transparent is laid over white.
    ///
    /// # Errors
    ///
    /// If the bytes are no such picture, are damaged or end early, or if `limits` are exceeded.
    pub fn decode(bytes: &[u8], limits: &DecodeLimits) -> Result<Picture, FaceError> {
        if bytes.is_empty() {
            return Err(FaceError::Empty);
        }
        if bytes.len() > limits.bytes_max {
            return Err(FaceError::TooManyBytes {
                found: bytes.len(),
                bytes_max: limits.bytes_max,
            });
        }
        let (format, name) = format_of(bytes)?;

        let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
        // Sides are checked below, where the error can say what was found.
        let mut alloc = Limits::no_limits();
        alloc.max_alloc = Some(
            limits
                .pixels_max
                .saturating_mul(4)
                .saturating_add(ALLOWANCE_BYTES),
        );
        reader.limits(alloc.clone());
        let fault = |source| fault(source, name, bytes.len(), None, limits);
        let mut decoder = reader.into_decoder().map_err(fault)?;

        let (width, height) = decoder.dimensions();
        let pixels = u64::from(width) * u64::from(height);
        if width.max(height) > limits.side_max
            || pixels > limits.pixels_max
            || alloc.reserve(decoder.total_bytes()).is_err()
        {
            return Err(too_many_pixels(width, height, limits));
        }
        if width.min(height) < SIDE_MIN {
            return Err(FaceError::TooSmall {
                width,
                height,
                side_min: SIDE_MIN,
            });
        }
        // The JPEG decoder fills what is missing with grey and says nothing.
        if format == ImageFormat::Jpeg && !jpeg_is_complete(bytes) {
            return Err(FaceError::Truncated {
                format: name,
                found: bytes.len(),
            });
        }

        let fault = |source| self::fault(source, name, bytes.len(), Some((width, height)), limits);
        // A picture with nonsense in its metadata is still a picture.
        let orientation = decoder
            .orientation()
            .unwrap_or(image::metadata::Orientation::NoTransforms);
        let mut image = DynamicImage::from_decoder(decoder).map_err(fault)?;
        image.apply_orientation(orientation);
        Ok(Picture::from_image(image))
    }

    /// A picture of `width` x `height` pixels, three bytes each, row by row.
    ///
    /// # Panics
    ///
    /// Panics if the number of bytes does not fit the size, or a side is 0.
    pub fn from_rgb(width: usize, height: usize, rgb: Vec<u8>) -> Picture {
        assert!(width > 0 && height > 0, "a picture has at least one pixel");
        assert_eq!(rgb.len(), width * height * 3, "three bytes for every pixel");
        Picture { width, height, rgb }
    }

    fn from_image(image: DynamicImage) -> Picture {
        let has_alpha = image.color().has_alpha();
        let (width, height) = (image.width() as usize, image.height() as usize);
        let rgb = if has_alpha {
            over_white(image.into_rgba8().as_raw())
        } else {
            image.into_rgb8().into_raw()
        };
        Picture::from_rgb(width, height, rgb)
    }

    /// Pixels from left to right.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Pixels from top to bottom.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Red, green and blue of every pixel, row by row.
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// The same picture with its outermost pixels repeated `margin` times on every side.
    pub(super) fn with_border(&self, margin: usize) -> Picture {
        let (width, height) = (self.width + 2 * margin, self.height + 2 * margin);
        let mut rgb = Vec::with_capacity(width * height * 3);
        for y in 0..height {
            let y = y.saturating_sub(margin).min(self.height - 1);
            let row = &self.rgb[y * self.width * 3..(y + 1) * self.width * 3];
            for _ in 0..margin {
                rgb.extend_from_slice(&row[..3]);
            }
            rgb.extend_from_slice(row);
            for _ in 0..margin {
                rgb.extend_from_slice(&row[row.len() - 3..]);
            }
        }
        Picture { width, height, rgb }
    }
}

impl fmt::Debug for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Picture({} x {})", self.width, self.height)
    }
}

fn over_white(rgba: &[u8]) -> Vec<u8> {
    let mut rgb = Vec::with_capacity(rgba.len() / 4 * 3);
    for pixel in rgba.chunks_exact(4) {
        let alpha = u32::from(pixel[3]);
        for &channel in &pixel[..3] {
            let blended = (u32::from(channel) * alpha + 255 * (255 - alpha) + 127) / 255;
            rgb.push(blended as u8);
        }
    }
    rgb
}

/// The format of `bytes`, and what people call it.
fn format_of(bytes: &[u8]) -> Result<(ImageFormat, &'static str), FaceError> {
    // Telephones take these; whoever sends one should read more than "no picture".
    if bytes.len() >= 12 && &bytes[4..8] == b"ftyp" {
        let format = match &bytes[8..12] {
            b"avif" | b"avis" => "AVIF",
            b"heic" | b"heix" | b"hevc" | b"hevx" | b"heim" | b"heis" | b"mif1" | b"msf1" => "HEIF",
            _ => "this kind of media file",
        };
        return Err(FaceError::UnsupportedFormat {
            format: format.to_owned(),
        });
    }
    let format = image::guess_format(bytes)
        .map_err(|_ignored| FaceError::NotAPicture { found: bytes.len() })?;
    let name = match format {
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Png => "PNG",
        ImageFormat::Bmp => "BMP",
        ImageFormat::Gif => "GIF",
        ImageFormat::Tiff => "TIFF",
        ImageFormat::WebP => "WebP",
        ImageFormat::Pnm => "PNM",
        other => {
            return Err(FaceError::UnsupportedFormat {
                format: format!("{other:?}"),
            });
        }
    };
    Ok((format, name))
}

fn too_many_pixels(width: u32, height: u32, limits: &DecodeLimits) -> FaceError {
    FaceError::TooManyPixels {
        width,
        height,
        side_max: limits.side_max,
        pixels_max: limits.pixels_max,
    }
}

fn fault(
    source: ImageError,
    format: &'static str,
    found: usize,
    size: Option<(u32, u32)>,
    limits: &DecodeLimits,
) -> FaceError {
    if ends_early(&source) {
        return FaceError::Truncated { format, found };
    }
    match &source {
        ImageError::Unsupported(unsupported) => {
            let feature = match unsupported.kind() {
                UnsupportedErrorKind::GenericFeature(feature) => feature,
                other => format!("{other:?}"),
            };
            FaceError::UnsupportedFormat {
                format: format!("{format} with {feature}"),
            }
        }
        ImageError::Limits(limit) => match (limit.kind(), size) {
            (LimitErrorKind::DimensionError | LimitErrorKind::InsufficientMemory, Some((w, h))) => {
                too_many_pixels(w, h, limits)
            }
            _ => FaceError::Damaged { format, source },
        },
        _ => FaceError::Damaged { format, source },
    }
}

/// Whether the end of the bytes is what stopped the decoder.
fn ends_early(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>()
            && error.kind() == io::ErrorKind::UnexpectedEof
        {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Whether a JPEG goes on to its end marker.
///
/// Segments before the coded data are skipped by their length, so the end marker of a thumbnail
/// inside one does not count.
fn jpeg_is_complete(bytes: &[u8]) -> bool {
    const END: u8 = 0xD9;
    let mut at = 2;
    loop {
        // To the next marker: 0xFF and something that is neither a stuffed zero, a restart marker
        // nor filling.
        let Some(rest) = bytes.get(at..) else {
            return false;
        };
        let marker = rest.windows(2).position(|pair| {
            pair[0] == 0xFF && !matches!(pair[1], 0x00 | 0x01 | 0xD0..=0xD7 | 0xFF)
        });
        let Some(offset) = marker else { return false };
        let kind = rest[offset + 1];
        at += offset + 2;
        match kind {
            END => return true,
            // A second start of image does not occur in a sound file; its length would be noise.
            0xD8 => {}
            _ => {
                let Some(length) = bytes.get(at..at + 2) else {
                    return false;
                };
                at += usize::from(u16::from_be_bytes([length[0], length[1]]));
                // Coded data follows the segment of a scan, and the search above passes over it.
            }
        }
    }
}
