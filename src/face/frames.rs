//! A short video as a sequence of pictures.
//!
//! Read are animations (GIF, PNG, WebP) and pictures that follow one another: motion JPEG, bare or
//! in an AVI file. The codecs of telephones (H.264 and the like) are not. The walk through an AVI
//! file is ours: only its chunks of pictures count, and no library that is kept up reads them
//! alone.

use std::io::Cursor;

use image::codecs::{gif::GifDecoder, png::PngDecoder, webp::WebPDecoder};
use image::{AnimationDecoder, Frames, ImageDecoder, ImageFormat, Limits};

use super::decode::{DecodeLimits, Picture, fault, format_of, too_many_pixels};
use super::error::FaceError;

/// The most pictures of a video that are read: half a minute at twenty a second. What follows is
/// passed over.
const PICTURES_MAX: usize = 600;
/// How many pixels all pictures of an animation may have together, as a multiple of what one may
/// have. Each of them has to be decoded to know the next.
const ANIMATION_PIXELS_FACTOR: u64 = 6;

/// At most `count` pictures of a video, spread evenly over its length, in their order. A still
/// picture is a video of one.
///
/// # Errors
///
/// If the bytes are no video of a kind that is read, are damaged, or exceed `limits`.
pub(super) fn decode_frames(
    bytes: &[u8],
    limits: &DecodeLimits,
    count: usize,
) -> Result<Vec<Picture>, FaceError> {
    if let Some(pictures) = motion_jpeg(bytes) {
        let chosen = spread(pictures.len().min(PICTURES_MAX), count);
        return chosen
            .map(|number| Picture::decode(pictures[number], limits))
            .collect();
    }
    // The first picture, read as any other, finds out all that can be wrong with a file.
    let first = Picture::decode(bytes, limits)?;
    let (format, name) = format_of(bytes)?;
    let fault = |source| fault(source, name, bytes.len(), None, limits);
    let mut allowed = Limits::no_limits();
    allowed.max_alloc = Some(limits.pixels_max.saturating_mul(16));
    let reader = Cursor::new(bytes);
    let frames = match format {
        ImageFormat::Gif => {
            let mut decoder = GifDecoder::new(reader).map_err(fault)?;
            decoder.set_limits(allowed).map_err(fault)?;
            decoder.into_frames()
        }
        ImageFormat::WebP => {
            let mut decoder = WebPDecoder::new(reader).map_err(fault)?;
            if !decoder.has_animation() {
                return Ok(vec![first]);
            }
            decoder.set_limits(allowed).map_err(fault)?;
            decoder.into_frames()
        }
        ImageFormat::Png => {
            let decoder = PngDecoder::with_limits(reader, allowed).map_err(fault)?;
            if !decoder.is_apng().map_err(fault)? {
                return Ok(vec![first]);
            }
            decoder.apng().map_err(fault)?.into_frames()
        }
        _ => return Ok(vec![first]),
    };
    let (width, height) = (first.width() as u32, first.height() as u32);
    let pixels = u64::from(width) * u64::from(height);
    let most = limits.pixels_max.saturating_mul(ANIMATION_PIXELS_FACTOR) / pixels.max(1);
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    Spread::new(count)
        .of(frames, most)
        .map_err(|error| error.map_or_else(|| too_many_pixels(width, height, limits), fault))
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
        frames: Frames<'_>,
        most: usize,
    ) -> Result<Vec<Picture>, Option<image::ImageError>> {
        for (number, frame) in frames.take(PICTURES_MAX).enumerate() {
            if number == most {
                return Err(None);
            }
            let frame = frame.map_err(Some)?;
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
    use image::codecs::gif::GifEncoder;
    use image::{Frame, ImageFormat, Rgb, RgbImage};

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

    fn levels(bytes: &[u8], count: usize) -> Vec<u8> {
        let pictures = decode_frames(bytes, &DecodeLimits::default(), count).unwrap();
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
            let error = decode_frames(bytes, &DecodeLimits::default(), 6).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn a_long_animation_is_refused_before_it_is_decoded_whole() {
        let limits = DecodeLimits {
            pixels_max: 32 * 24,
            ..DecodeLimits::default()
        };
        assert!(decode_frames(&gif(&[1; 6]), &limits, 3).is_ok());
        let error = decode_frames(&gif(&[1; 7]), &limits, 3).unwrap_err();
        assert!(matches!(error, FaceError::TooManyPixels { .. }), "{error}");
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
                let _any = decode_frames(&damaged, &DecodeLimits::default(), 3);
            }
        }
    }
}
