//! Picture bytes to upright RGB pixels, within limits.
//!
//! Every limit is checked against what the file *says* before memory for its pixels is asked for,
//! since a file of a few bytes may claim any size. Which format it is, is read from the bytes:
//! names and content types lie.

use std::borrow::Cow;
use std::fmt;
use std::io;

use image::error::{ImageError, LimitErrorKind, UnsupportedErrorKind};
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use super::error::FaceError;
use super::head::Head;
use super::jpeg::{Extent, Wholeness};
use super::patience::{Patience, Watched};

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

/// 20 MiB, 64 million pixels, 16,384 on a side: any camera, telephones with "50 megapixels" (8192 x
/// 6144) among them, and no bomb.
impl Default for DecodeLimits {
    fn default() -> DecodeLimits {
        DecodeLimits {
            bytes_max: 20 << 20,
            pixels_max: PIXELS_MAX,
            side_max: 16_384,
        }
    }
}

impl DecodeLimits {
    /// Fails unless a picture of so many pixels from left to right and from top to bottom may be looked
    /// at: what is asked of every picture before it is decoded, and of pixels that somebody else decoded.
    ///
    /// # Errors
    ///
    /// [`FaceError::TooManyPixels`], or [`FaceError::TooSmall`] for a face.
    pub fn check(&self, width: usize, height: usize) -> Result<(), FaceError> {
        let [width, height] = [width, height].map(|side| u32::try_from(side).unwrap_or(u32::MAX));
        let pixels = u64::from(width) * u64::from(height);
        if width.max(height) > self.side_max || pixels > self.pixels_max {
            return Err(too_many_pixels(width, height, self));
        }
        if width.min(height) < SIDE_MIN {
            return Err(FaceError::TooSmall {
                width,
                height,
                side_min: SIDE_MIN,
            });
        }
        Ok(())
    }
}

/// The most pixels of a picture unless something else is set.
pub const PIXELS_MAX: u64 = 64_000_000;

/// The fewest pixels on a side in which a face could be found.
const SIDE_MIN: u32 = 16;

/// How many pixels all scans of a JPEG may go over together.
const SCANNED_PIXELS_MAX: u64 = 500_000_000;
/// Every picture may have so many scans, and none more: the usual progressive ones have ten.
const SCANS_MAX: (u64, u64) = (16, 100);

/// A picture that is no JPEG may have so many pixels however few bytes it has, and so many more for each
/// byte. One colour is packed into next to nothing, and each pixel takes 5 to 15 ns to unpack; a
/// photograph has a bit for ten pixels at least.
const PIXELS_OF_ANY_SIZE: u64 = 32_000_000;
const PIXELS_PER_BYTE: u64 = 64;

/// Values that lie no further apart are of one colour: no decoder of ours makes more of a colour than
/// that, and no camera less of a face.
const ONE_COLOUR_RANGE: u8 = 3;
/// So many bytes of a picture are read before it is asked whether they were of one colour: whole pixels.
const ONE_COLOUR_BYTES: usize = 3 * 1024;

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
        Picture::decode_within(bytes, limits, &Patience::endless())
    }

    /// As [`Picture::decode`], as long as there is patience.
    ///
    /// # Errors
    ///
    /// Also if there is none left.
    pub fn decode_within(
        bytes: &[u8],
        limits: &DecodeLimits,
        patience: &Patience,
    ) -> Result<Picture, FaceError> {
        let decoded = Picture::decode_watched(bytes, limits, patience);
        // What a decoder says that was stopped is of no interest.
        decoded.map_err(|error| patience.check().err().unwrap_or(error))
    }

    fn decode_watched(
        bytes: &[u8],
        limits: &DecodeLimits,
        patience: &Patience,
    ) -> Result<Picture, FaceError> {
        patience.check()?;
        let source = Source::of(bytes, limits)?;
        let mut decoder = source.open(limits, patience)?;
        if let Some(extent) = &source.extent {
            // Once begun it cannot be stopped.
            let head = Head::of(source.format, bytes.len(), Some(extent), &mut *decoder);
            patience.check_for(head.time())?;
        }
        let size = decoder.dimensions();
        let fault = |error| fault(error, source.name, bytes.len(), Some(size), limits);
        // A picture with nonsense in its metadata is still a picture.
        let orientation = decoder
            .orientation()
            .unwrap_or(image::metadata::Orientation::NoTransforms);
        let mut image = DynamicImage::from_decoder(decoder).map_err(fault)?;
        patience.check()?;
        if let Some(extent) = &source.extent {
            check_whole(extent, bytes, &image)?;
            patience.check()?;
        }
        image.apply_orientation(orientation);
        patience.check()?;
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

    pub(super) fn from_image(image: DynamicImage) -> Picture {
        let (width, height) = (image.width() as usize, image.height() as usize);
        Picture::from_rgb(width, height, rgb_of(image))
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

    /// Whether there is nothing in it to be seen, not even noise: such pictures are made of few bytes,
    /// and looking for faces in a large one takes seconds.
    pub(super) fn is_of_one_colour(&self) -> bool {
        let (mut least, mut most) = ([u8::MAX; 3], [0; 3]);
        self.rgb.chunks(ONE_COLOUR_BYTES).all(|pixels| {
            for pixel in pixels.as_chunks::<3>().0 {
                for (channel, value) in pixel.iter().enumerate() {
                    least[channel] = (*value).min(least[channel]);
                    most[channel] = (*value).max(most[channel]);
                }
            }
            let mut ranges = least.iter().zip(&most);
            ranges.all(|(least, most)| most.saturating_sub(*least) <= ONE_COLOUR_RANGE)
        })
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

/// The bytes of a picture, and what is known of them before they are decoded.
pub(super) struct Source<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) format: ImageFormat,
    /// What people call the format.
    pub(super) name: &'static str,
    /// Of a JPEG.
    pub(super) extent: Option<Extent>,
    /// What is handed to the decoder: a JPEG has an end mark there.
    closed: Cow<'a, [u8]>,
}

impl<'a> Source<'a> {
    pub(super) fn of(bytes: &'a [u8], limits: &DecodeLimits) -> Result<Source<'a>, FaceError> {
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
        check_tiff(format, bytes)?;
        let extent = match format {
            ImageFormat::Jpeg => Some(Extent::of(bytes).ok_or(FaceError::Truncated {
                format: name,
                found: bytes.len(),
            })?),
            _ => None,
        };
        let closed = match &extent {
            Some(extent) if extent.length().is_none() => Cow::Owned(extent.closed(bytes)),
            _ => Cow::Borrowed(bytes),
        };
        Ok(Source {
            bytes,
            format,
            name,
            extent,
            closed,
        })
    }

    /// A decoder that has read the head of the picture, of which all that it says is within limits.
    pub(super) fn open<'s>(
        &'s self,
        limits: &DecodeLimits,
        patience: &'s Patience,
    ) -> Result<Box<dyn ImageDecoder + 's>, FaceError> {
        let found = self.bytes.len();
        let watched = Watched::new(&self.closed, patience);
        let mut reader = ImageReader::with_format(watched, self.format);
        // Sides are checked below, where the error can say what was found.
        let mut alloc = Limits::no_limits();
        alloc.max_alloc = Some(
            limits
                .pixels_max
                .saturating_mul(4)
                .saturating_add(ALLOWANCE_BYTES),
        );
        reader.limits(alloc.clone());
        let decoder = reader
            .into_decoder()
            .map_err(|error| fault(error, self.name, found, None, limits))?;

        let (width, height) = decoder.dimensions();
        limits.check(width as usize, height as usize)?;
        if alloc.reserve(decoder.total_bytes()).is_err() {
            return Err(too_many_pixels(width, height, limits));
        }
        let pixels = u64::from(width) * u64::from(height);
        match &self.extent {
            Some(extent) => check_squares(extent, width, height, self)?,
            None if pixels > most_pixels_of(found) => {
                return Err(FaceError::TooFewBytes {
                    format: self.name,
                    width,
                    height,
                    found,
                });
            }
            None => {}
        }
        Ok(Box::new(decoder))
    }
}

/// How many pixels a picture of so many bytes may have that is no JPEG.
fn most_pixels_of(bytes: usize) -> u64 {
    PIXELS_OF_ANY_SIZE.saturating_add((bytes as u64).saturating_mul(PIXELS_PER_BYTE))
}

impl fmt::Debug for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Picture({} x {})", self.width, self.height)
    }
}

/// Red, green and blue of every pixel, over white. In one go: the way of the library over a picture with
/// transparency takes several times as long, and as much memory again.
fn rgb_of(image: DynamicImage) -> Vec<u8> {
    match image {
        DynamicImage::ImageRgb8(image) => image.into_raw(),
        DynamicImage::ImageLuma8(image) => grey(image.as_raw(), |value| value),
        DynamicImage::ImageLuma16(image) => grey(image.as_raw(), eight_bits),
        DynamicImage::ImageLumaA8(image) => grey_over_white(image.as_raw(), |value| value),
        DynamicImage::ImageLumaA16(image) => grey_over_white(image.as_raw(), eight_bits),
        DynamicImage::ImageRgb16(image) => {
            image.as_raw().iter().map(|&it| eight_bits(it)).collect()
        }
        DynamicImage::ImageRgba8(image) => over_white(image.as_raw(), |value| value),
        DynamicImage::ImageRgba16(image) => over_white(image.as_raw(), eight_bits),
        other => over_white(other.into_rgba8().as_raw(), |value| value),
    }
}

/// As the library rounds it.
fn eight_bits(value: u16) -> u8 {
    ((u32::from(value) + 128) / 257) as u8
}

fn grey<S: Copy>(grey: &[S], eight_bits: impl Fn(S) -> u8) -> Vec<u8> {
    let mut rgb = vec![0; grey.len() * 3];
    for (pixel, &value) in rgb.chunks_exact_mut(3).zip(grey) {
        pixel.fill(eight_bits(value));
    }
    rgb
}

fn grey_over_white<S: Copy>(pairs: &[S], eight_bits: impl Fn(S) -> u8) -> Vec<u8> {
    let mut rgb = vec![0; pairs.len() / 2 * 3];
    for (pixel, pair) in rgb.chunks_exact_mut(3).zip(pairs.chunks_exact(2)) {
        pixel.fill(blended(eight_bits(pair[0]), eight_bits(pair[1])));
    }
    rgb
}

fn over_white<S: Copy>(rgba: &[S], eight_bits: impl Fn(S) -> u8) -> Vec<u8> {
    let mut rgb = vec![0; rgba.len() / 4 * 3];
    for (pixel, from) in rgb.chunks_exact_mut(3).zip(rgba.chunks_exact(4)) {
        let alpha = eight_bits(from[3]);
        for (channel, &from) in pixel.iter_mut().zip(&from[..3]) {
            *channel = blended(eight_bits(from), alpha);
        }
    }
    rgb
}

fn blended(channel: u8, alpha: u8) -> u8 {
    let (channel, alpha) = (u32::from(channel), u32::from(alpha));
    ((channel * alpha + 255 * (255 - alpha) + 127) / 255) as u8
}

/// What is said of a media file by its brands: the first decides or, where that says "pictures" alone,
/// the others.
///
/// HEIC and AVIF are not read: of the decoders that are Rust alone, none bounds what a few bytes may
/// make it take of memory, as all that are used here do.
fn of_brands(brands: &[u8]) -> FaceError {
    const BRANDS_MAX: usize = 16;
    let kind = |brand: &[u8; 4]| match brand {
        b"avif" | b"avis" => Some("AVIF"),
        b"heic" | b"heix" | b"hevc" | b"hevx" | b"heim" | b"heis" => Some("HEIC"),
        _ => None,
    };
    let (brands, _) = brands.as_chunks::<4>();
    let brands = &brands[..brands.len().min(BRANDS_MAX)];
    let found = match brands.first() {
        Some(b"mif1" | b"msf1" | b"mif2" | b"miaf") => {
            Some(brands.iter().find_map(kind).unwrap_or("HEIC"))
        }
        first => first.and_then(kind),
    };
    match found {
        Some(format) => FaceError::ConvertFirst {
            format,
            how: match format {
                "AVIF" => "with `avifdec a.avif a.png` or `magick a.avif a.jpg`",
                _ => {
                    "with `heif-convert a.heic a.jpg` or `magick a.heic a.jpg`; an iPhone takes JPEG \
                     by Settings > Camera > Formats > Most Compatible"
                }
            },
        },
        None => FaceError::UnsupportedFormat {
            format: "this kind of media file".to_owned(),
        },
    }
}

/// The format of `bytes`, and what people call it.
fn format_of(bytes: &[u8]) -> Result<(ImageFormat, &'static str), FaceError> {
    // Telephones take these; whoever sends one should read more than "no picture".
    if bytes.len() >= 12 && &bytes[4..8] == b"ftyp" {
        return Err(of_brands(&bytes[8..]));
    }
    let video = match bytes {
        [0x1A, 0x45, 0xDF, 0xA3, ..] => Some("WebM or Matroska"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'A', b'V', b'I', ..] => Some("this kind of AVI"),
        _ => None,
    };
    if let Some(format) = video {
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

pub(super) fn fault(
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

/// Makes sure that no JPEG is in a TIFF: each of its strips could be one of any size and any number of
/// scans, of which nothing is known before it is decoded.
fn check_tiff(format: ImageFormat, bytes: &[u8]) -> Result<(), FaceError> {
    if format == ImageFormat::Tiff && may_have_jpeg(bytes) {
        return Err(FaceError::UnsupportedFormat {
            format: "TIFF with JPEG in it".to_owned(),
        });
    }
    Ok(())
}

/// Whether the first picture of a TIFF says that it is packed as JPEG, or says how in another way than
/// all do.
fn may_have_jpeg(tiff: &[u8]) -> bool {
    const COMPRESSION: u64 = 259;
    const SHORT: u64 = 3;
    const LONG: u64 = 4;
    const OLD_JPEG: u64 = 6;
    const JPEG: u64 = 7;
    let is_little = tiff.starts_with(b"II");
    let number = |at: u64, length: u64| -> Option<u64> {
        let (from, to) = (usize::try_from(at).ok()?, at.checked_add(length)?);
        let part = tiff.get(from..usize::try_from(to).ok()?)?.iter();
        let join = |number, byte: &u8| number << 8 | u64::from(*byte);
        Some(match is_little {
            true => part.rev().fold(0, join),
            false => part.fold(0, join),
        })
    };
    // That of 64 bits has longer offsets and counts.
    let is_big = number(2, 2) == Some(43);
    let (offset_at, length) = if is_big { (8, 8) } else { (4, 4) };
    let directory = number(offset_at, length).unwrap_or(u64::MAX);
    let entries = number(directory, if is_big { 8 } else { 2 }).unwrap_or(0);
    let first = directory.saturating_add(if is_big { 8 } else { 2 });
    let entry_at = |at: u64| at.checked_mul(4 + 2 * length)?.checked_add(first);
    let packing = |at: u64| {
        let at = entry_at(at)?;
        let value_at = at.checked_add(4 + length)?;
        let value = match (number(at + 2, 2)?, number(at + 4, length)?) {
            (SHORT, 1) => number(value_at, 2)?,
            (LONG, 1) => number(value_at, 4)?,
            // Of which the value may stand elsewhere.
            _ => JPEG,
        };
        Some((number(at, 2)?, value))
    };
    (0..entries)
        .map_while(packing)
        .any(|(tag, value)| tag == COMPRESSION && (value == OLD_JPEG || value == JPEG))
}

/// Makes sure that a JPEG does not go over its pixels more often than any that somebody made for
/// its looks, since each scan takes as long as its pixels, however few bytes it has; and that it has a
/// bit for each square.
fn check_squares(
    extent: &Extent,
    width: u32,
    height: u32,
    source: &Source<'_>,
) -> Result<(), FaceError> {
    let pixels = u64::from(width) * u64::from(height);
    let found = extent.scans();
    let most = (SCANNED_PIXELS_MAX / pixels.max(1)).clamp(SCANS_MAX.0, SCANS_MAX.1);
    if found as u64 > most {
        return Err(FaceError::TooManyScans {
            found,
            scans_max: most,
        });
    }
    if !extent.can_hold(width, height) {
        return Err(FaceError::Truncated {
            format: source.name,
            found: source.bytes.len(),
        });
    }
    Ok(())
}

/// Makes sure that the bytes of a JPEG are those of all its pixels.
fn check_whole(extent: &Extent, bytes: &[u8], image: &DynamicImage) -> Result<(), FaceError> {
    let format = "JPEG";
    match extent.judge(bytes, image) {
        Wholeness::Whole => Ok(()),
        Wholeness::Truncated => Err(FaceError::Truncated {
            format,
            found: bytes.len(),
        }),
        Wholeness::LeftOver => Err(FaceError::Hole { format }),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::super::cost::Cost;
    use super::*;
    use image::{ImageBuffer, Rgb, RgbImage};

    const WIDTH: u32 = 40;
    const HEIGHT: u32 = 24;

    /// Few colours, none of them grey, and no symmetry.
    fn pattern() -> RgbImage {
        ImageBuffer::from_fn(WIDTH, HEIGHT, |x, y| {
            Rgb([
                (x / 8 * 40) as u8,
                (y / 8 * 80) as u8,
                if x < y { 200 } else { 30 },
            ])
        })
    }

    fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn decode(bytes: &[u8]) -> Result<Picture, FaceError> {
        Picture::decode(bytes, &DecodeLimits::default())
    }

    /// One file of each format, of the same picture.
    fn files() -> Vec<(&'static str, Vec<u8>)> {
        let rgb = DynamicImage::from(pattern());
        let grey = DynamicImage::from(rgb.to_luma8());
        vec![
            ("png", encoded(&rgb, ImageFormat::Png)),
            (
                "png rgba",
                encoded(&rgb.to_rgba8().into(), ImageFormat::Png),
            ),
            ("png 16", encoded(&rgb.to_rgb16().into(), ImageFormat::Png)),
            ("bmp", encoded(&rgb, ImageFormat::Bmp)),
            ("gif", encoded(&rgb.to_rgba8().into(), ImageFormat::Gif)),
            ("tiff", encoded(&rgb, ImageFormat::Tiff)),
            (
                "tiff 16",
                encoded(&rgb.to_rgb16().into(), ImageFormat::Tiff),
            ),
            ("webp", encoded(&rgb, ImageFormat::WebP)),
            ("ppm", encoded(&rgb, ImageFormat::Pnm)),
            ("pgm", encoded(&grey, ImageFormat::Pnm)),
            ("jpeg", encoded(&rgb, ImageFormat::Jpeg)),
        ]
    }

    #[test]
    fn pixels_that_somebody_else_decoded_have_the_same_limits() {
        let limits = DecodeLimits::default();
        for (width, height, expected) in [
            (16, 16, "ok"),
            (16_384, 3_906, "ok"),
            (15, 900, "15 x 900 pixels, a face needs at least 16"),
            (0, 0, "0 x 0 pixels, a face needs"),
            (16_385, 16, "16385 x 16 pixels, at most 16384"),
            (16_384, 3_907, "at most 16384 on a side and 64000000 in all"),
            (usize::MAX, usize::MAX, "at most 16384"),
        ] {
            let found = limits.check(width, height);
            let found = found.map_or_else(|error| error.to_string(), |()| "ok".to_owned());
            assert!(found.contains(expected), "{width} x {height}: {found}");
        }
    }

    #[test]
    fn every_format_gives_the_same_pixels() {
        let pattern = DynamicImage::from(pattern());
        let grey: Vec<u8> = pattern
            .to_luma8()
            .into_raw()
            .iter()
            .flat_map(|&v| [v; 3])
            .collect();
        for (name, bytes) in files() {
            let picture = decode(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!((picture.width(), picture.height()), (40, 24), "{name}");
            match name {
                "jpeg" => {
                    let pairs = picture.rgb().iter().zip(pattern.as_bytes());
                    let sum: u32 = pairs.map(|(&a, &b)| u32::from(a.abs_diff(b))).sum();
                    assert!(sum / (40 * 24 * 3) < 12, "the mean difference is small");
                }
                "pgm" => assert_eq!(picture.rgb(), grey),
                _ => assert_eq!(picture.rgb(), pattern.as_bytes(), "{name}"),
            }
        }
    }

    #[test]
    fn every_kind_of_pixels_becomes_what_the_library_makes_of_it() {
        use image::buffer::ConvertBuffer;
        // All values, opaque: then nothing is blended.
        let all = ImageBuffer::from_fn(256, 256, |x, y| image::Luma([(x + 256 * y) as u16]));
        let rgb = ImageBuffer::from_fn(256, 256, |x, y| {
            Rgb([(x + 256 * y) as u16, (x * y) as u16, (y * 200) as u16])
        });
        let (grey, rgb) = (
            DynamicImage::ImageLuma16(all),
            DynamicImage::ImageRgb16(rgb),
        );
        let opaque: image::Rgba32FImage = rgb.to_rgba32f();
        for image in [
            grey.clone(),
            grey.to_luma8().into(),
            grey.to_luma_alpha8().into(),
            grey.to_luma_alpha16().into(),
            rgb.clone(),
            rgb.to_rgb8().into(),
            rgb.to_rgba8().into(),
            rgb.to_rgba16().into(),
            opaque.into(),
            DynamicImage::ImageRgb32F(rgb.to_rgba32f().convert()),
        ] {
            let kind = image.color();
            let expected = image.to_rgb8().into_raw();
            assert!(rgb_of(image) == expected, "{kind:?}");
        }
        for alpha in 0..=255 {
            let expected = |channel: u8| {
                let share = f64::from(alpha) / 255.0;
                (f64::from(channel) * share + 255.0 * (1.0 - share)).round() as u8
            };
            for channel in [0, 1, 100, 254, 255] {
                assert_eq!(blended(channel, alpha), expected(channel), "{alpha}");
            }
            let pair = image::GrayAlphaImage::from_pixel(1, 1, image::LumaA([100, alpha]));
            assert_eq!(rgb_of(pair.into()), [expected(100); 3]);
        }
    }

    /// The highest byte first.
    fn backwards<const N: usize>(mut bytes: [u8; N]) -> [u8; N] {
        bytes.reverse();
        bytes
    }

    /// A GIF of one small picture on a canvas with sides of this length.
    fn small_on_canvas(side: u16) -> Vec<u8> {
        let mut gif = encoded(
            &DynamicImage::from(pattern()).to_rgba8().into(),
            ImageFormat::Gif,
        );
        gif[6..8].copy_from_slice(&side.to_le_bytes());
        gif[8..10].copy_from_slice(&side.to_le_bytes());
        gif
    }

    #[test]
    fn one_colour_is_told_from_the_faintest_picture() {
        let of = |change: &dyn Fn(usize) -> u8| {
            let rgb = (0..300 * 200 * 3).map(change).collect();
            Picture::from_rgb(300, 200, rgb).is_of_one_colour()
        };
        // The colours themselves may lie far apart.
        assert!(of(&|at| [0, 100, 255][at % 3]));
        assert!(of(&|at| 100 + (at / 3 % 4) as u8));
        assert!(!of(&|at| 100 + (at / 3 % 5) as u8));
        for different in [0, 1, 3 * 1024, 300 * 200 * 3 - 1] {
            assert!(!of(&|at| if at == different { 104 } else { 100 }));
        }
        assert!(Picture::from_rgb(1, 1, vec![0, 9, 255]).is_of_one_colour());
    }

    #[test]
    fn few_bytes_of_many_pixels_are_no_photograph() {
        // A BMP whose coded lines all end at once, and a PNG of which only the head is there.
        let mut bmp = b"BM\0\0\0\0\0\0\0\0".to_vec();
        for number in [1078, 40, 8000, 8000, 0x0008_0001, 1, 0, 0, 0, 256, 0] {
            bmp.extend(u32::to_le_bytes(number));
        }
        bmp.resize(1078, 0);
        bmp.extend([0, 1]);
        let mut png =
            b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x1F\x40\0\0\x1F\x40\x08\0\0\0\0".to_vec();
        let mut crc = flate2::Crc::new();
        crc.update(&png[12..]);
        png.extend(backwards(crc.sum().to_le_bytes()));
        let mut empty = flate2::Crc::new();
        empty.update(b"IDAT");
        png.extend(b"\0\0\0\0IDAT");
        png.extend(backwards(empty.sum().to_le_bytes()));
        for bytes in [small_on_canvas(8000), bmp, png] {
            let expected = format!("8000 x 8000 pixels in {} bytes, fewer than", bytes.len());
            for error in [
                decode(&bytes).unwrap_err(),
                Cost::of(&bytes, &DecodeLimits::default()).unwrap_err(),
            ] {
                assert!(error.to_string().contains(&expected), "{error}");
                assert!(error.is_callers_fault());
            }
        }
        // The same with fewer, or with more bytes behind it, is read.
        assert_eq!(decode(&small_on_canvas(2000)).unwrap().width(), 2000);
        assert!(most_pixels_of(600_000) > 8192 * 6144);
    }

    /// A TIFF of one strip that says in this way how it is packed.
    fn tiff_that_says(is_little: bool, is_big: bool, kind: u16, value: &[u8]) -> Vec<u8> {
        let number = |number: u64, length: usize| -> Vec<u8> {
            match is_little {
                true => number.to_le_bytes()[..length].to_vec(),
                false => backwards(number.to_le_bytes())[8 - length..].to_vec(),
            }
        };
        let wide = if is_big { 8 } else { 4 };
        let mut tiff = if is_little {
            b"II".to_vec()
        } else {
            b"MM".to_vec()
        };
        if is_big {
            tiff.extend([number(43, 2), number(8, 2), number(0, 2)].concat());
            tiff.extend([number(16, 8), number(2, 8)].concat());
        } else {
            tiff.extend([number(42, 2), number(8, 4), number(2, 2)].concat());
        }
        for (tag, kind, value) in [
            (256, 3, [number(40, 2), vec![0; 6]].concat()),
            (259, kind, {
                let mut value = value.to_vec();
                if !is_little {
                    value.reverse();
                }
                value.resize(8, 0);
                value
            }),
        ] {
            tiff.extend([number(tag, 2), number(u64::from(kind), 2), number(1, wide)].concat());
            tiff.extend(&value[..wide]);
        }
        tiff.extend([0; 64]);
        tiff
    }

    #[test]
    fn a_jpeg_in_a_tiff_is_not_decoded() {
        for is_little in [true, false] {
            for is_big in [true, false] {
                let says = |kind, value: &[u8]| {
                    let tiff = tiff_that_says(is_little, is_big, kind, value);
                    let may = may_have_jpeg(&tiff);
                    // What has 64 bits is no picture at all to the library.
                    let error = decode(&tiff).unwrap_err().to_string();
                    let is_said = error.contains("TIFF with JPEG in it");
                    assert_eq!(is_said, may && !is_big, "{error}");
                    may
                };
                for jpeg in [6, 7] {
                    assert!(says(3, &[jpeg, 0]));
                    assert!(says(4, &[jpeg, 0, 0, 0]));
                }
                // Where the number may stand elsewhere, nobody looks for it.
                for kind in [1, 8, 9, 13, 16] {
                    assert!(says(kind, &[1]), "{kind}");
                }
                for other in [1, 5, 8] {
                    assert!(!says(3, &[other, 0]));
                    assert!(!says(4, &[other, 0, 0, 0]));
                }
                assert!(!says(3, &[0x05, 0x80]), "packed bits");
            }
        }
        // However few bytes there are, and wherever they say that something is.
        let whole = tiff_that_says(true, true, 3, &[7, 0]);
        for end in 0..whole.len() {
            let _any = may_have_jpeg(&whole[..end]);
        }
        let mut far = whole;
        far[8..16].fill(0xFF);
        assert!(!may_have_jpeg(&far));
    }

    #[test]
    fn nothing_is_decoded_without_patience() {
        let over = Patience::of(std::time::Duration::ZERO);
        let left = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
        let left = Patience::endless().until_left(left);
        for (name, bytes) in files() {
            let decode =
                |patience| Picture::decode_within(&bytes, &DecodeLimits::default(), patience);
            assert!(
                matches!(decode(&over), Err(FaceError::TooSlow { .. })),
                "{name}"
            );
            assert!(
                matches!(decode(&left), Err(FaceError::CallerLeft)),
                "{name}"
            );
            assert!(decode(&Patience::endless()).is_ok(), "{name}");
        }
    }

    #[test]
    fn decoding_stops_when_there_is_no_more_patience() {
        // Fifty megapixels in a hundred pieces and more, which take long even where code is optimised.
        let noise = ImageBuffer::from_fn(3000, 3000, |x, y| {
            image::Luma([(x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40_503)) as u8])
        });
        let noise = DynamicImage::ImageLuma8(noise);
        for format in [ImageFormat::Png, ImageFormat::Tiff, ImageFormat::Pnm] {
            let bytes = encoded(&noise, format);
            let patience = Patience::of(std::time::Duration::from_micros(200));
            let decoded = Picture::decode_within(&bytes, &DecodeLimits::default(), &patience);
            let error = decoded.unwrap_err();
            assert!(
                matches!(error, FaceError::TooSlow { .. }),
                "{format:?}: {error}"
            );
        }
    }

    #[test]
    fn a_cost_is_known_where_a_picture_would_be_decoded_and_covers_its_pixels() {
        let limits = DecodeLimits::default();
        for (name, bytes) in files() {
            let cost = Cost::of(&bytes, &limits).unwrap();
            let pixels = u64::from(WIDTH * HEIGHT);
            let look = cost.bytes - (64 << 20);
            assert!((3 * pixels..100_000).contains(&look), "{name}: {cost:?}");
            assert!(cost.time.as_millis() < 100, "{name}");
            // What is refused for its size is refused here, in the same words.
            for limits in [
                DecodeLimits {
                    pixels_max: pixels - 1,
                    ..limits
                },
                DecodeLimits {
                    side_max: WIDTH - 1,
                    ..limits
                },
                DecodeLimits {
                    bytes_max: bytes.len() - 1,
                    ..limits
                },
            ] {
                let error = Cost::of(&bytes, &limits).unwrap_err().to_string();
                let decoded = Picture::decode(&bytes, &limits).unwrap_err();
                assert_eq!(error, decoded.to_string(), "{name}");
            }
        }
        for bytes in [&b""[..], b"nothing", b"\0\0\0\x18ftypheic\0\0\0\0"] {
            let error = Cost::of(bytes, &limits).unwrap_err().to_string();
            assert_eq!(error, decode(bytes).unwrap_err().to_string());
        }
        // A larger one takes more.
        let large = encoded(&DynamicImage::new_rgb8(1000, 1000), ImageFormat::Png);
        let cost = Cost::of(&large, &limits).unwrap();
        assert!(cost.bytes >= (64 << 20) + 3_000_000, "{cost:?}");
    }

    #[test]
    fn what_is_transparent_is_white() {
        let mut rgba = DynamicImage::from(pattern()).to_rgba8();
        for pixel in rgba.pixels_mut() {
            *pixel = image::Rgba([100, 0, 200, if pixel[0] == 0 { 0 } else { 128 }]);
        }
        let picture = decode(&encoded(&rgba.into(), ImageFormat::Png)).unwrap();
        assert_eq!(picture.rgb()[..3], [255, 255, 255]);
        assert_eq!(picture.rgb()[30..33], [177, 127, 227]);
    }

    #[test]
    fn ink_colours_become_screen_colours() {
        // Bands of magenta + yellow, cyan + yellow, and half black, written by another program.
        let picture = decode(include_bytes!("fixtures/cmyk.jpg")).unwrap();
        for (x, expected) in [(8, [255, 0, 0]), (24, [0, 255, 0]), (40, [127, 127, 127])] {
            let at = (8 * picture.width() + x) * 3;
            for (&found, expected) in picture.rgb()[at..at + 3].iter().zip(expected) {
                assert!(
                    found.abs_diff(expected) < 12,
                    "{:?}",
                    &picture.rgb()[at..at + 3]
                );
            }
        }
    }

    #[test]
    fn an_animation_is_its_first_frame() {
        let first = DynamicImage::from(pattern()).to_rgba8();
        let mut second = first.clone();
        image::imageops::invert(&mut second);
        let mut bytes = Vec::new();
        {
            let mut encoder = image::codecs::gif::GifEncoder::new(&mut bytes);
            let frames = [first, second].map(image::Frame::new);
            encoder.encode_frames(frames).unwrap();
        }
        assert_eq!(decode(&bytes).unwrap().rgb(), pattern().as_raw().as_slice());
    }

    /// Which stored pixel the upright picture shows at (x, y), by the definition of the tag.
    fn stored_place(orientation: u8, x: u32, y: u32) -> (u32, u32) {
        let (right, bottom) = (WIDTH - 1, HEIGHT - 1);
        match orientation {
            1 => (x, y),
            2 => (right - x, y),
            3 => (right - x, bottom - y),
            4 => (x, bottom - y),
            5 => (y, x),
            6 => (y, bottom - x),
            7 => (right - y, bottom - x),
            _ => (right - y, x),
        }
    }

    fn assert_upright(picture: &Picture, orientation: u8, tolerance: u8) {
        let turned = orientation >= 5;
        let size = if turned {
            (HEIGHT, WIDTH)
        } else {
            (WIDTH, HEIGHT)
        };
        assert_eq!(
            (picture.width() as u32, picture.height() as u32),
            size,
            "{orientation}"
        );
        let stored = pattern();
        let mut far = 0;
        for y in 0..size.1 {
            for x in 0..size.0 {
                let (u, v) = stored_place(orientation, x, y);
                let at = (y as usize * picture.width() + x as usize) * 3;
                let pairs = picture.rgb()[at..at + 3]
                    .iter()
                    .zip(stored.get_pixel(u, v).0);
                far += u32::from(pairs.into_iter().any(|(&a, b)| a.abs_diff(b) > tolerance));
            }
        }
        // JPEG smears the edges between colours.
        let allowed = if tolerance == 0 {
            0
        } else {
            WIDTH * HEIGHT / 4
        };
        assert!(
            far <= allowed,
            "orientation {orientation}: {far} pixels are wrong"
        );
    }

    #[test]
    fn the_orientation_of_a_photograph_is_applied() {
        let plain = encoded(&pattern().into(), ImageFormat::Jpeg);
        for orientation in 1..=8 {
            // An EXIF segment with the one entry, right after the start of the image.
            let mut exif = b"Exif\0\0MM\0\x2A\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
            exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
            let mut bytes = plain[..2].to_vec();
            bytes.extend([0xFF, 0xE1, 0, exif.len() as u8 + 2]);
            bytes.extend(exif);
            bytes.extend(&plain[2..]);
            assert_upright(&decode(&bytes).unwrap(), orientation, 40);
        }
    }

    #[test]
    fn the_orientation_of_a_scan_is_applied() {
        for orientation in 1..=8_u8 {
            // A TIFF by hand: header, one directory, pixels.
            const ENTRIES: u16 = 10;
            let pixels_at = 8 + 2 + 12 * u32::from(ENTRIES) + 4 + 6;
            let mut bytes = b"II\x2A\0\x08\0\0\0".to_vec();
            bytes.extend(ENTRIES.to_le_bytes());
            let depth_at = pixels_at - 6;
            for (tag, kind, count, value) in [
                (256_u16, 4_u16, 1_u32, WIDTH),
                (257, 4, 1, HEIGHT),
                (258, 3, 3, depth_at),
                (259, 3, 1, 1),
                (262, 3, 1, 2),
                (273, 4, 1, pixels_at),
                (274, 3, 1, u32::from(orientation)),
                (277, 3, 1, 3),
                (278, 4, 1, HEIGHT),
                (279, 4, 1, WIDTH * HEIGHT * 3),
            ] {
                bytes.extend(tag.to_le_bytes());
                bytes.extend(kind.to_le_bytes());
                bytes.extend(count.to_le_bytes());
                bytes.extend(value.to_le_bytes());
            }
            bytes.extend([0; 4]);
            bytes.extend([8, 0, 8, 0, 8, 0]);
            bytes.extend(pattern().as_raw());
            assert_upright(&decode(&bytes).unwrap(), orientation, 0);
        }
    }

    #[test]
    fn what_is_no_picture_is_named() {
        assert!(matches!(decode(b""), Err(FaceError::Empty)));
        for bytes in [
            &b"x"[..],
            b"<svg xmlns='http://www.w3.org/2000/svg'/>",
            &[0; 1000],
        ] {
            let error = decode(bytes).unwrap_err();
            assert!(matches!(error, FaceError::NotAPicture { found } if found == bytes.len()));
        }
        for (head, words) in [
            (
                &b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"[..],
                "HEIC is not read here: convert it to JPEG first, with `heif-convert",
            ),
            (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "HEIC is not read"),
            (
                b"\0\0\0\x1cftypmif1\0\0\0\0mif1avif",
                "AVIF is not read here: convert it to JPEG first, with `avifdec",
            ),
            (b"\0\0\0\x1cftypavif\0\0\0\0mif1avif", "AVIF is not read"),
            (
                b"\0\0\0\x14ftypisom\0\0\0\0",
                "this kind of media file is not supported",
            ),
            (b"\0\0\0\x14ftyp", "the 8 bytes are no picture"),
        ] {
            let error = decode(head).unwrap_err().to_string();
            assert!(error.starts_with(words), "{error}");
        }
        let error = decode(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic").unwrap_err();
        assert!(error.to_string().starts_with("HEIC is not read"), "{error}");
    }

    #[test]
    fn half_a_picture_is_refused_in_every_format() {
        for (name, bytes) in files() {
            for share in [3, 6, 9] {
                let error = decode(&bytes[..bytes.len() * share / 10]).expect_err(name);
                assert!(
                    matches!(
                        error,
                        FaceError::Truncated { .. } | FaceError::Damaged { .. }
                    ),
                    "{name} cut to {share} tenths: {error:?}"
                );
                assert!(error.is_callers_fault());
            }
        }
        let jpeg = encoded(&pattern().into(), ImageFormat::Jpeg);
        let error = decode(&jpeg[..jpeg.len() - 40]).unwrap_err();
        assert!(
            matches!(error, FaceError::Truncated { format: "JPEG", .. }),
            "{error:?}"
        );
        // Cameras append things; that is no damage.
        assert!(decode(&[jpeg.as_slice(), b"trailing"].concat()).is_ok());
    }

    #[test]
    fn no_damage_makes_a_decoder_panic() {
        use rand::{RngExt, SeedableRng};
        let mut rng = rand::rngs::StdRng::seed_from_u64(7);
        for (_, bytes) in files() {
            for _ in 0..150 {
                let mut damaged = bytes.clone();
                for _ in 0..rng.random_range(1..4) {
                    let at = rng.random_range(0..damaged.len());
                    damaged[at] = rng.random();
                }
                damaged.truncate(rng.random_range(damaged.len() / 2..=damaged.len()));
                // What comes out does not matter, only that something does.
                let _ = decode(&damaged);
            }
        }
    }

    #[test]
    fn limits_hold_before_memory_is_asked_for() {
        // A few bytes that claim ten thousand million pixels.
        let error = decode(b"P5 100000 100000 255\n").unwrap_err();
        assert!(
            matches!(error, FaceError::TooManyPixels { width: 100_000, .. }),
            "{error:?}"
        );
        assert_eq!(
            error.to_string(),
            "the picture has 100000 x 100000 pixels, at most 16384 on a side and 64000000 in all \
             are allowed"
        );
        // Each side is allowed, all pixels are not.
        let error = decode(b"P5 16000 16000 255\n").unwrap_err();
        assert!(
            matches!(error, FaceError::TooManyPixels { .. }),
            "{error:?}"
        );
        // Few pixels, but 30,000 in a row.
        let wide = DynamicImage::new_rgb8(30_000, 16);
        let error = decode(&encoded(&wide, ImageFormat::Png)).unwrap_err();
        assert!(
            matches!(error, FaceError::TooManyPixels { width: 30_000, .. }),
            "{error:?}"
        );

        let bytes = encoded(&pattern().into(), ImageFormat::Png);
        let limits = DecodeLimits {
            bytes_max: bytes.len() - 1,
            ..DecodeLimits::default()
        };
        let error = Picture::decode(&bytes, &limits).unwrap_err();
        assert!(matches!(error, FaceError::TooManyBytes { .. }), "{error:?}");
        let limits = DecodeLimits {
            pixels_max: 40 * 24,
            side_max: 40,
            bytes_max: bytes.len(),
        };
        assert!(Picture::decode(&bytes, &limits).is_ok());
        for limits in [
            DecodeLimits {
                pixels_max: 40 * 24 - 1,
                ..limits
            },
            DecodeLimits {
                side_max: 39,
                ..limits
            },
        ] {
            let error = Picture::decode(&bytes, &limits).unwrap_err();
            assert!(
                matches!(error, FaceError::TooManyPixels { .. }),
                "{error:?}"
            );
        }
    }

    #[test]
    fn a_file_that_unpacks_to_far_more_than_itself_is_refused() {
        // A sound PNG of 4096 x 16000 pixels of one colour: 196 MB from a few hundred kilobytes.
        let bomb = encoded(&DynamicImage::new_luma8(4096, 16_000), ImageFormat::Png);
        assert!(bomb.len() < 1 << 20);
        let error = decode(&bomb).unwrap_err();
        assert!(
            matches!(error, FaceError::TooManyPixels { .. }),
            "{error:?}"
        );
    }

    #[test]
    fn one_pixel_is_too_few() {
        let dot = encoded(&DynamicImage::new_rgb8(1, 1), ImageFormat::Png);
        let error = decode(&dot).unwrap_err();
        assert!(
            matches!(
                error,
                FaceError::TooSmall {
                    width: 1,
                    height: 1,
                    ..
                }
            ),
            "{error:?}"
        );
    }

    #[test]
    fn a_border_repeats_the_outermost_pixels() {
        let picture = Picture::from_rgb(2, 1, vec![1, 2, 3, 4, 5, 6]).with_border(1);
        assert_eq!((picture.width(), picture.height()), (4, 3));
        let row = [1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6];
        assert_eq!(picture.rgb(), [row; 3].concat());
    }

    #[test]
    fn debug_shows_no_pixel() {
        let picture = Picture::from_rgb(2, 1, vec![201; 6]);
        assert_eq!(format!("{picture:?}"), "Picture(2 x 1)");
    }
}
