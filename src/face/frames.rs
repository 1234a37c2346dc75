//! A short video as a sequence of pictures.
//!
//! Read are animations (GIF, PNG, WebP) and pictures that follow one another: motion JPEG, bare or
//! in an AVI file. The codecs of telephones (H.264 and the like) are not. The walk through an AVI
//! file is ours: only its chunks of pictures count, and no library that is kept up reads them
//! alone.

use image::codecs::{gif::GifDecoder, png::PngDecoder, webp::WebPDecoder};
use image::{AnimationDecoder, ImageDecoder, ImageFormat, Limits};

use super::decode::{DecodeLimits, Picture, Source, fault};
use super::error::FaceError;
use super::patience::{Patience, Watched};

/// The most pictures of a video that are read: half a minute at twenty a second. What follows is
/// passed over.
const PICTURES_MAX: usize = 600;
/// How many pixels all pictures of an animation may have together, and how many more for each byte of
/// it. Each of them has to be decoded to know the next, at up to 40 ns a pixel, and an animation of
/// few bytes may have any number. Twelve million are two seconds of 640 x 480; photographs take a byte
/// for ten pixels and more.
const ANIMATION_PIXELS: u64 = 12_000_000;
const ANIMATION_PIXELS_PER_BYTE: u64 = 24;
/// They never have more than this multiple of what one picture may have.
const ANIMATION_PIXELS_FACTOR: u64 = 6;

/// At most `count` pictures of a video, spread evenly over its length, in their order. A still
/// picture is a video of one.
///
/// # Errors
///
/// If the bytes are no video of a kind that is read, are damaged, or exceed `limits`, or if there is
/// no patience left.
pub(super) fn decode_frames(
    bytes: &[u8],
    limits: &DecodeLimits,
    count: usize,
    patience: &Patience,
) -> Result<Vec<Picture>, FaceError> {
    let decoded = decode_watched(bytes, limits, count, patience);
    decoded.map_err(|error| patience.check().err().unwrap_or(error))
}

/// What a file says that it holds.
pub(super) enum Frames<'a> {
    /// A picture, and no video.
    One,
    /// JPEG files, two at least.
    Jpegs(Vec<&'a [u8]>),
    /// Pictures of so many pixels each that follow one another, and how many there may be at most.
    Animation { pixels: u64, most: usize },
}

/// What a file says that it holds, by its head.
///
/// # Errors
///
/// If it is no video of a kind that is read, or exceeds `limits`.
pub(super) fn announced<'a>(
    bytes: &'a [u8],
    limits: &DecodeLimits,
) -> Result<Frames<'a>, FaceError> {
    if let Some(pictures) = motion_jpeg(bytes) {
        return Ok(Frames::Jpegs(pictures));
    }
    let patience = Patience::endless();
    let source = Source::of(bytes, limits)?;
    let fault = |error| fault(error, source.name, bytes.len(), None, limits);
    let reader = Watched::new(bytes, &patience);
    let is_animated = match source.format {
        ImageFormat::Gif => has_second_picture(bytes),
        ImageFormat::WebP => WebPDecoder::new(reader).map_err(fault)?.has_animation(),
        ImageFormat::Png => {
            let decoder = PngDecoder::with_limits(reader, allowed(limits)).map_err(fault)?;
            decoder.is_apng().map_err(fault)?
        }
        _ => false,
    };
    let (width, height) = source.open(limits, &patience)?.dimensions();
    if !is_animated {
        return Ok(Frames::One);
    }
    let pixels = u64::from(width) * u64::from(height);
    let most = usize::try_from(most_pixels(bytes, limits) / pixels.max(1)).unwrap_or(usize::MAX);
    if most < 2 {
        return Err(too_long(width, height, bytes, limits));
    }
    Ok(Frames::Animation {
        pixels,
        most: most.min(PICTURES_MAX),
    })
}

/// How many pixels all pictures of an animation may have together.
fn most_pixels(bytes: &[u8], limits: &DecodeLimits) -> u64 {
    (bytes.len() as u64)
        .saturating_mul(ANIMATION_PIXELS_PER_BYTE)
        .saturating_add(ANIMATION_PIXELS)
        .min(limits.pixels_max.saturating_mul(ANIMATION_PIXELS_FACTOR))
}

fn too_long(width: u32, height: u32, bytes: &[u8], limits: &DecodeLimits) -> FaceError {
    FaceError::AnimationTooLong {
        width,
        height,
        pixels_max: most_pixels(bytes, limits),
    }
}

/// What the decoder of an animation may take.
fn allowed(limits: &DecodeLimits) -> Limits {
    let mut allowed = Limits::no_limits();
    allowed.max_alloc = Some(limits.pixels_max.saturating_mul(16));
    allowed
}

fn decode_watched(
    bytes: &[u8],
    limits: &DecodeLimits,
    count: usize,
    patience: &Patience,
) -> Result<Vec<Picture>, FaceError> {
    let most = match announced(bytes, limits)? {
        Frames::One => return Ok(vec![Picture::decode_within(bytes, limits, patience)?]),
        Frames::Jpegs(pictures) => {
            let decode = |picture| Picture::decode_within(picture, limits, patience);
            return spread_of(&pictures, count).map(decode).collect();
        }
        Frames::Animation { most, .. } => most,
    };
    // The first picture, read as any other, finds out all that can be wrong with a file.
    let first = Picture::decode_within(bytes, limits, patience)?;
    let source = Source::of(bytes, limits)?;
    let fault = |error| fault(error, source.name, bytes.len(), None, limits);
    let reader = Watched::new(bytes, patience);
    let frames = match source.format {
        ImageFormat::Gif => {
            let mut decoder = GifDecoder::new(reader).map_err(fault)?;
            decoder.set_limits(allowed(limits)).map_err(fault)?;
            decoder.into_frames()
        }
        ImageFormat::WebP => {
            let mut decoder = WebPDecoder::new(reader).map_err(fault)?;
            decoder.set_limits(allowed(limits)).map_err(fault)?;
            decoder.into_frames()
        }
        _ => {
            let decoder = PngDecoder::with_limits(reader, allowed(limits)).map_err(fault)?;
            decoder.apng().map_err(fault)?.into_frames()
        }
    };
    let (width, height) = (first.width() as u32, first.height() as u32);
    let spread = Spread::new(count).of(frames, most, patience);
    spread.map_err(|error| match error {
        Stopped::TooMany => too_long(width, height, bytes, limits),
        Stopped::Broken(error) => fault(error),
        Stopped::Impatient(error) => error,
    })
}

/// Why an animation was not read to its end.
enum Stopped {
    TooMany,
    Broken(image::ImageError),
    Impatient(FaceError),
}

/// At most `count` of some pictures, spread evenly.
pub(super) fn spread_of<'a, 'p>(
    pictures: &'p [&'a [u8]],
    count: usize,
) -> impl Iterator<Item = &'a [u8]> + 'p {
    spread(pictures.len().min(PICTURES_MAX), count).map(|number| pictures[number])
}

/// Keeps some of many pictures whose number is not known before the last: every one at first, every
/// second when there are too many, and so on.
struct Spread {
    count: usize,
    stride: usize,
    kept: Vec<Picture>,
}

impl Spread {
    fn new(count: usize) -> Spread {
        Spread {
            count: count.max(1),
            stride: 1,
            kept: Vec::new(),
        }
    }

    /// `None` for an error: there are more than `most`.
    fn of(
        mut self,
        frames: image::Frames<'_>,
        most: usize,
        patience: &Patience,
    ) -> Result<Vec<Picture>, Stopped> {
        for (number, frame) in frames.take(PICTURES_MAX).enumerate() {
            patience.check().map_err(Stopped::Impatient)?;
            if number == most {
                return Err(Stopped::TooMany);
            }
            let frame = frame.map_err(Stopped::Broken)?;
            if number % self.stride == 0 {
                self.keep(Picture::from_image(frame.into_buffer().into()));
            }
        }
        let mut kept: Vec<Option<Picture>> = self.kept.into_iter().map(Some).collect();
        let chosen = spread(kept.len(), self.count);
        Ok(chosen.filter_map(|number| kept[number].take()).collect())
    }

    fn keep(&mut self, picture: Picture) {
        self.kept.push(picture);
        if self.kept.len() > 2 * self.count {
            let mut number = 0;
            self.kept.retain(|_| {
                number += 1;
                number % 2 == 1
            });
            self.stride *= 2;
        }
    }
}

/// At most `count` of `length` numbers, the first and the last among them.
fn spread(length: usize, count: usize) -> impl Iterator<Item = usize> {
    let count = count.min(length);
    (0..count).map(move |step| match count {
        1 => 0,
        _ => step * (length - 1) / (count - 1),
    })
}

/// Whether a GIF has two pictures, by its blocks alone.
fn has_second_picture(gif: &[u8]) -> bool {
    /// The length of a table of colours, by the byte that says whether there is one.
    fn table(flags: u8) -> usize {
        if flags & 0x80 == 0 {
            return 0;
        }
        3 << ((flags & 0x07) + 1)
    }
    let skip_parts = |mut rest: &'_ [u8]| -> Option<usize> {
        let mut skipped = 0;
        loop {
            let (&length, after) = rest.split_first()?;
            skipped += 1 + usize::from(length);
            if length == 0 {
                return Some(skipped);
            }
            rest = after.get(usize::from(length)..)?;
        }
    };
    let mut count = 0;
    let mut rest = gif
        .get(10)
        .and_then(|&flags| gif.get(13 + table(flags)..))
        .unwrap_or_default();
    loop {
        let head = match rest {
            // A picture: its place, its colours and the size of its codes, then its parts.
            [0x2C, ..] => {
                count += 1;
                if count == 2 {
                    return true;
                }
                rest.get(9).map(|&flags| 10 + table(flags) + 1)
            }
            // Something else.
            [0x21, ..] => Some(2),
            _ => None,
        };
        let parts = head.and_then(|head| rest.get(head..));
        let next = parts.and_then(|parts| Some(&parts[skip_parts(parts)?..]));
        let Some(next) = next else {
            return false;
        };
        rest = next;
    }
}

/// The JPEG files in motion JPEG, at least two; `None` if it is none.
fn motion_jpeg(bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let pictures = match bytes {
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'A',
            b'V',
            b'I',
            b' ',
            chunks @ ..,
        ] => avi_pictures(chunks),
        [0xFF, 0xD8, ..] => jpegs(bytes),
        _ => return None,
    };
    (pictures.len() >= 2).then_some(pictures)
}

/// Files that stand one after the other, with nothing but filling between.
fn jpegs(bytes: &[u8]) -> Vec<&[u8]> {
    let mut pictures = Vec::new();
    let mut rest = bytes;
    while pictures.len() <= PICTURES_MAX && rest.starts_with(&[0xFF, 0xD8]) {
        let Some(length) = super::jpeg::length(rest) else {
            break;
        };
        let (picture, after) = rest.split_at(length);
        pictures.push(picture);
        let filling = after.iter().take_while(|&&byte| byte == 0).count();
        rest = &after[filling..];
    }
    pictures
}

/// The pictures in the chunks of an AVI file, which nest by lists of which only the head counts
/// here.
fn avi_pictures(mut rest: &[u8]) -> Vec<&[u8]> {
    let mut pictures = Vec::new();
    while let [a, b, c, d, n0, n1, n2, n3, body @ ..] = rest {
        if [*a, *b, *c, *d] == *b"LIST" {
            // Its type; what it holds follows.
            rest = body.get(4..).unwrap_or_default();
            continue;
        }
        let length = u32::from_le_bytes([*n0, *n1, *n2, *n3]) as usize;
        let Some(chunk) = body.get(..length) else {
            break;
        };
        // A stream of pictures: `00dc` compressed, `00db` said not to be.
        let video = *c == b'd' && (*d == b'c' || *d == b'b');
        if video && chunk.starts_with(&[0xFF, 0xD8]) {
            pictures.push(chunk);
        }
        if pictures.len() > PICTURES_MAX {
            break;
        }
        // Chunks begin at even places.
        rest = body.get(length + length % 2..).unwrap_or_default();
    }
    pictures
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::codecs::gif::GifEncoder;
    use image::{Frame, ImageFormat, Rgb, RgbImage};

    use super::super::cost::Cost;
    use super::*;

    /// A picture of one grey.
    fn grey(level: u8) -> RgbImage {
        RgbImage::from_pixel(32, 24, Rgb([level; 3]))
    }

    fn gif(levels: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = GifEncoder::new(&mut bytes);
        for &level in levels {
            let picture = image::DynamicImage::from(grey(level)).into_rgba8();
            encoder.encode_frame(Frame::new(picture)).unwrap();
        }
        drop(encoder);
        bytes
    }

    fn jpeg(level: u8) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        grey(level).write_to(&mut bytes, ImageFormat::Jpeg).unwrap();
        bytes.into_inner()
    }

    fn avi(pictures: &[Vec<u8>]) -> Vec<u8> {
        let mut body = b"LIST\0\0\0\0hdrlavih\x03\0\0\0abc\0LIST\0\0\0\0movi".to_vec();
        for picture in pictures {
            body.extend(b"01wb\x02\0\0\0xx00dc");
            body.extend((picture.len() as u32).to_le_bytes());
            body.extend(picture);
            body.extend(vec![0; picture.len() % 2]);
        }
        [b"RIFF\0\0\0\0AVI ".as_slice(), &body].concat()
    }

    fn frames(bytes: &[u8], count: usize) -> Result<Vec<Picture>, FaceError> {
        decode_frames(bytes, &DecodeLimits::default(), count, &Patience::endless())
    }

    fn levels(bytes: &[u8], count: usize) -> Vec<u8> {
        let pictures = frames(bytes, count).unwrap();
        pictures.iter().map(|picture| picture.rgb()[0]).collect()
    }

    #[test]
    fn pictures_come_in_their_order_from_the_first_to_the_last() {
        let all: Vec<u8> = (0..13).map(|step| step * 20).collect();
        assert_eq!(levels(&gif(&all), 20), all);
        let few = levels(&gif(&all), 3);
        assert_eq!(few.len(), 3);
        assert!(few.is_sorted() && few[0] == 0 && few[2] >= 200, "{few:?}");
        let jpegs: Vec<Vec<u8>> = all.iter().map(|&level| jpeg(level)).collect();
        for video in [jpegs.concat(), avi(&jpegs)] {
            assert_eq!(levels(&video, 20).len(), 13);
            let few = levels(&video, 3);
            for (&found, expected) in few.iter().zip([0, 120, 240]) {
                assert!(found.abs_diff(expected) < 4, "{few:?}");
            }
        }
    }

    #[test]
    fn animations_of_every_format_are_read() {
        // Three pictures each, made with Pillow: the encoders at hand write no animation in these
        // formats.
        let png = include_bytes!("fixtures/animated.png").as_slice();
        let webp = include_bytes!("fixtures/animated.webp").as_slice();
        for bytes in [png, webp] {
            // Blended with what was shown before, which rounds.
            let all = levels(bytes, 6);
            let near = |(found, expected): (&u8, u8)| found.abs_diff(expected) < 2;
            assert_eq!(all.len(), 3);
            assert!(all.iter().zip([10, 120, 240]).all(near), "{all:?}");
            assert_eq!(levels(bytes, 2), [all[0], all[2]]);
        }
    }

    #[test]
    fn a_still_picture_is_a_video_of_one() {
        let mut png = Cursor::new(Vec::new());
        grey(9).write_to(&mut png, ImageFormat::Png).unwrap();
        let mut webp = Cursor::new(Vec::new());
        grey(9).write_to(&mut webp, ImageFormat::WebP).unwrap();
        for bytes in [png.into_inner(), webp.into_inner(), gif(&[9]), jpeg(9)] {
            assert_eq!(levels(&bytes, 6).len(), 1);
        }
    }

    #[test]
    fn what_is_no_video_is_named() {
        for (bytes, expected) in [
            (
                b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom".as_slice(),
                "not supported",
            ),
            (b"\x1A\x45\xDF\xA3\x01\0\0\0\0\0\0\x1F", "WebM"),
            (b"nothing of the kind", "no picture"),
            (b"RIFF\0\0\0\0AVI LIST\0\0\0\0movi", "AVI"),
        ] {
            let error = frames(bytes, 6).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn a_long_animation_is_refused_before_it_is_decoded_whole() {
        let limits = DecodeLimits {
            pixels_max: 32 * 24,
            ..DecodeLimits::default()
        };
        assert!(decode_frames(&gif(&[1; 6]), &limits, 3, &Patience::endless()).is_ok());
        let error = decode_frames(&gif(&[1; 7]), &limits, 3, &Patience::endless()).unwrap_err();
        assert!(
            matches!(error, FaceError::AnimationTooLong { .. }),
            "{error}"
        );
    }

    #[test]
    fn an_animation_of_few_bytes_has_few_pixels_and_its_cost_is_known() {
        let limits = DecodeLimits::default();
        let cost = |bytes: &[u8], count| Cost::of_frames(bytes, &limits, count);
        for count in [3, 12] {
            let levels = vec![7; count];
            let small = cost(&gif(&levels), 2).unwrap();
            assert!(small.bytes < 80 << 20, "{small:?}");
            // The same pictures on a canvas of nine million pixels.
            let mut large = gif(&levels);
            large[6..10].copy_from_slice(&[0xB8, 0x0B, 0xB8, 0x0B]);
            for error in [frames(&large, 2).unwrap_err(), cost(&large, 2).unwrap_err()] {
                let expected = matches!(error, FaceError::AnimationTooLong { width: 3000, .. });
                assert!(expected && error.is_callers_fault(), "{error}");
            }
        }
        // One alone is a picture.
        let mut still = gif(&[7]);
        still[6..10].copy_from_slice(&[0xB8, 0x0B, 0xB8, 0x0B]);
        assert_eq!(frames(&still, 2).unwrap().len(), 1);
        let jpegs = [jpeg(1), jpeg(2), jpeg(3)].concat();
        let (one, three) = (cost(&jpegs, 1).unwrap(), cost(&jpegs, 3).unwrap());
        assert!(three.bytes > one.bytes && three.time > one.time);
        // Those that are skipped cost nothing, so they may be anything; the others are looked at.
        assert!(cost(b"nothing", 1).is_err());
    }

    #[test]
    fn nothing_is_read_of_a_video_without_patience() {
        let over = Patience::of(std::time::Duration::ZERO);
        let jpegs = [jpeg(1), jpeg(2)];
        let webp = include_bytes!("fixtures/animated.webp").to_vec();
        for bytes in [gif(&[1, 2, 3]), jpegs.concat(), avi(&jpegs), webp, jpeg(3)] {
            let error = decode_frames(&bytes, &DecodeLimits::default(), 3, &over).unwrap_err();
            assert!(matches!(error, FaceError::TooSlow { .. }), "{error}");
        }
    }

    #[test]
    fn the_blocks_of_a_gif_are_counted_whatever_they_are() {
        assert!(!has_second_picture(&gif(&[1])) && has_second_picture(&gif(&[1, 2])));
        let whole = gif(&[1, 2]);
        for end in 0..whole.len() {
            let _any = has_second_picture(&whole[..end]);
        }
        assert!(!has_second_picture(b"") && !has_second_picture(&[0x2C; 40]));
    }

    #[test]
    fn no_damage_makes_it_panic() {
        use rand::{RngExt, SeedableRng};
        let mut rng = rand::rngs::StdRng::seed_from_u64(11);
        let jpegs = [jpeg(1), jpeg(2)];
        let png = include_bytes!("fixtures/animated.png").to_vec();
        let webp = include_bytes!("fixtures/animated.webp").to_vec();
        for bytes in [gif(&[1, 2, 3]), jpegs.concat(), avi(&jpegs), png, webp] {
            for _ in 0..150 {
                let mut damaged = bytes.clone();
                for _ in 0..rng.random_range(1..5) {
                    let at = rng.random_range(0..damaged.len());
                    damaged[at] = rng.random();
                }
                damaged.truncate(rng.random_range(damaged.len() / 2..=damaged.len()));
                let _any = frames(&damaged, 3);
            }
        }
    }
}
