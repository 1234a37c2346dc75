//! Whether all of a JPEG is there.
//!
//! The decoder fills what is missing with grey and says nothing, and an end mark proves nothing:
//! whoever cut a file may have closed it. So it is asked what it made of the bytes. If other bytes
//! after the last change the picture, then the decoder was still waiting for some; if other bytes
//! in place of the last do not change it, then it never came so far, since something in between
//! misled it. A decoder of our own would know it sooner, and would be one more parser of hostile
//! bytes.

use std::io::Cursor;
use std::ops::Range;

use image::codecs::jpeg::JpegDecoder;
use image::{DynamicImage, ImageResult};

const END_OF_IMAGE: [u8; 2] = [0xFF, 0xD9];

/// What is put behind the coded data of each scan. As bits they are codes of other blocks than the
/// zeros that a decoder takes where nothing is left. It reads a few bytes ahead of what it needs;
/// these are more.
const FILLING: [u8; 64] = [0x55; 64];

/// How many of the last bytes of a scan are changed to learn whether they were read.
const LAST_BYTES: usize = 16;

/// So many zeros in a row are a hole in the file, or a wide area of one colour.
const HOLE_BYTES_MIN: usize = 64;

/// How far from one another pixels of the last row are compared: the width of four, two or one
/// blocks of coefficients, whatever the colours are sampled by.
const REPEAT_PIXELS: usize = 32;
/// How many pixels are compared in one place, and in how many places.
const COMPARED_PIXELS: usize = 16;
const PLACES: usize = 4;

/// Where the coded data of a JPEG ends, scan by scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// The first byte after the coded data of each scan.
    scans: Vec<usize>,
    /// How many bytes of coded data there are.
    coded_bytes: usize,
    /// Whether each scan adds to the whole picture, so that its bottom shows what the first left.
    progressive: bool,
    /// Of which component the brightness is: the first of the frame.
    brightness: u8,
    /// How many of the last bits of each of its 64 frequencies did not come, where scans add to one
    /// another.
    bits_missing: [u8; 64],
    /// Whether there are so many zeros in a row that they may be a hole.
    perhaps_hole: bool,
    /// Whether there are so many where no picture has them.
    surely_hole: bool,
    /// How many bytes there are up to the end mark and with it; `None` if there is none.
    length: Option<usize>,
}

/// What became of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wholeness {
    /// All of them were used, and no more were needed.
    Whole,
    /// More were needed.
    Truncated,
    /// Some were left over.
    LeftOver,
}

impl Extent {
    /// Walks over the markers of a JPEG. `None` if it ends before its first coded data.
    pub(super) fn of(bytes: &[u8]) -> Option<Extent> {
        let mut extent = Extent {
            scans: Vec::new(),
            coded_bytes: 0,
            progressive: false,
            brightness: 0,
            bits_missing: [16; 64],
            perhaps_hole: false,
            surely_hole: false,
            length: None,
        };
        let mut at = 2;
        let mut details_alone = false;
        loop {
            let Some((marker, kind)) = next_marker(bytes, at) else {
                // Half an end mark is no data.
                let end =
                    bytes.len() - bytes.iter().rev().take_while(|&&byte| byte == 0xFF).count();
                extent.end_scan(bytes, at..end, details_alone);
                break;
            };
            extent.end_scan(bytes, at..marker, details_alone);
            at = marker + 2;
            match kind {
                0xD9 => {
                    extent.length = Some(at);
                    break;
                }
                // A second start of an image: what came before it has no end. Before the coded
                // data one does not occur in a sound file; its length would be noise.
                0xD8 if !extent.scans.is_empty() => break,
                0xD8 => continue,
                _ => {}
            }
            let Some(length) = bytes.get(at..at + 2) else {
                break;
            };
            let length = (usize::from(length[0]) << 8) + usize::from(length[1]);
            let segment = bytes.get(at..at + length).unwrap_or_default();
            at += length;
            match kind {
                0xC4 | 0xC8 | 0xCC => {}
                0xC0..=0xCF => {
                    extent.progressive = matches!(kind, 0xC2 | 0xC6 | 0xCA | 0xCE);
                    extent.brightness = segment.get(8).copied().unwrap_or_default();
                }
                0xDA => {
                    details_alone = extent.begin_scan(segment);
                    extent.scans.push(at);
                }
                _ => {}
            }
        }
        (!extent.scans.is_empty()).then_some(extent)
    }

    /// Notes what the scan with this header adds. Returns whether it is details alone, without the
    /// mean of each block.
    fn begin_scan(&mut self, header: &[u8]) -> bool {
        let Some((before, &[first, last, bits])) = header.split_last_chunk::<3>() else {
            return false;
        };
        // A length, a number of components, and an identifier and tables of each.
        let is_of_brightness = before
            .iter()
            .skip(3)
            .step_by(2)
            .any(|&id| id == self.brightness);
        if is_of_brightness {
            let frequencies = usize::from(first)..(usize::from(last) + 1).min(64);
            if let Some(missing) = self.bits_missing.get_mut(frequencies) {
                missing.fill(bits & 0x0F);
            }
        }
        first > 0
    }

    /// Where coded data is, if any was to come. A scan of details alone says in a few bits that
    /// there are none, for as wide an area as there is.
    fn end_scan(&mut self, bytes: &[u8], data: Range<usize>, details_alone: bool) {
        if let Some(last) = self.scans.last_mut()
            && *last == data.start
            && data.start <= data.end
        {
            *last = data.end;
            self.coded_bytes += data.len();
            let hole = has_hole(&bytes[data]);
            self.perhaps_hole |= hole;
            self.surely_hole |= hole && details_alone && self.progressive;
        }
    }

    /// How many bytes there are up to the end mark and with it; `None` if there is none.
    pub(super) fn length(&self) -> Option<usize> {
        self.length
    }

    /// How many scans there are.
    pub(super) fn scans(&self) -> usize {
        self.scans.len()
    }

    /// Whether each scan adds to the whole picture.
    pub(super) fn is_progressive(&self) -> bool {
        self.progressive
    }

    /// Whether there can be a picture of this size at all: the mean of each square of eight pixels
    /// takes one bit at least. Otherwise a few bytes that claim millions of pixels would be decoded.
    pub(super) fn can_hold(&self, width: u32, height: u32) -> bool {
        let squares = width.div_ceil(8) as usize * height.div_ceil(8) as usize;
        self.coded_bytes.saturating_mul(8) >= squares
    }

    /// The bytes of the picture, closed by an end mark whether they had one or not.
    pub(super) fn closed(&self, bytes: &[u8]) -> Vec<u8> {
        self.changed(bytes, |_, _| {})
    }

    /// What became of the bytes of a JPEG that was decoded as `image`.
    ///
    /// Takes no time for most photographs, and that of a second decoding where the last pixels
    /// could be what a decoder makes of nothing.
    pub(super) fn judge(&self, bytes: &[u8], image: &DynamicImage) -> Wholeness {
        if self.progressive && self.bits_missing != [0; 64] {
            return Wholeness::Truncated;
        }
        if self.progressive || repeats(image) {
            // The decoder insists on a marker right behind the first of several scans.
            let filled = self.changed(bytes, |number, scan| {
                if number > 0 || self.scans.len() == 1 {
                    scan.extend(FILLING);
                }
            });
            if !is_same(&filled, image) {
                return Wholeness::Truncated;
            }
        }
        if self.surely_hole {
            return Wholeness::LeftOver;
        }
        if self.perhaps_hole && !is_uniform(image) {
            let changed = self.changed(bytes, |_, scan| {
                let first = scan.len().saturating_sub(LAST_BYTES);
                scan[first..].fill(FILLING[0]);
            });
            if is_same(&changed, image) {
                return Wholeness::LeftOver;
            }
        }
        Wholeness::Whole
    }

    /// The bytes of the picture, with a change where each of its scans ends.
    fn changed(&self, bytes: &[u8], change: impl Fn(usize, &mut Vec<u8>)) -> Vec<u8> {
        let mut changed = Vec::with_capacity(bytes.len() + 2 + FILLING.len() * self.scans.len());
        let mut from = 0;
        for (number, &end) in self.scans.iter().enumerate() {
            let end = end.min(bytes.len());
            changed.extend_from_slice(&bytes[from.min(end)..end]);
            change(number, &mut changed);
            from = end;
        }
        changed.extend(END_OF_IMAGE);
        changed
    }
}

/// How many bytes the JPEG has that they begin with, up to its end mark; `None` if there is none.
///
/// Segments before the coded data are skipped by their length, so the end mark of a thumbnail
/// inside one does not count.
pub(super) fn length(bytes: &[u8]) -> Option<usize> {
    Extent::of(bytes)?.length()
}

/// Where the next marker is and its kind: 0xFF and something that is neither a stuffed zero, a
/// restart marker nor filling.
fn next_marker(bytes: &[u8], from: usize) -> Option<(usize, u8)> {
    let rest = bytes.get(from..)?;
    let marker = rest
        .windows(2)
        .position(|pair| pair[0] == 0xFF && !matches!(pair[1], 0x00 | 0x01 | 0xD0..=0xD7 | 0xFF))?;
    Some((from + marker, rest[marker + 1]))
}

fn has_hole(coded: &[u8]) -> bool {
    let mut zeros = 0;
    coded.iter().any(|&byte| {
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        zeros == HOLE_BYTES_MIN
    })
}

/// Whether the last row repeats itself anywhere near its end: a decoder that has no bytes left makes
/// the same block again and again, perhaps a little lighter or darker each time, and goes from one
/// end of all values to the other at last.
fn repeats(image: &DynamicImage) -> bool {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let channels = usize::from(image.color().channel_count());
    let row = width * channels;
    let bytes = image.as_bytes();
    if width <= REPEAT_PIXELS + COMPARED_PIXELS || bytes.len() != row * height {
        return true;
    }
    let last = &bytes[row * (height - 1)..];
    let rise = |x: usize, channel: usize| {
        i16::from(last[x * channels + channel]) - i16::from(last[(x - 1) * channels + channel])
    };
    let repeats = |x: usize, channel| {
        // Rounding may change each pixel by one.
        (rise(x, channel) - rise(x - REPEAT_PIXELS, channel)).abs() <= 2
    };
    let ends = (0..PLACES).filter_map(|place| width.checked_sub(place * REPEAT_PIXELS));
    ends.filter(|end| *end > REPEAT_PIXELS + COMPARED_PIXELS)
        .any(|end| (end - COMPARED_PIXELS..end).all(|x| (0..channels).all(|c| repeats(x, c))))
}

/// Whether the picture has one colour: then no bytes tell anything.
fn is_uniform(image: &DynamicImage) -> bool {
    let pixels = image.as_bytes();
    let channels = usize::from(image.color().channel_count());
    pixels
        .get(channels..)
        .is_some_and(|rest| rest == &pixels[..pixels.len() - channels])
}

/// Whether bytes are decoded as this picture. What cannot be decoded is another.
fn is_same(bytes: &[u8], image: &DynamicImage) -> bool {
    decode(bytes).is_ok_and(|again| again.as_bytes() == image.as_bytes())
}

/// Limits were checked when the picture itself was decoded, and the size is the same.
fn decode(bytes: &[u8]) -> ImageResult<DynamicImage> {
    DynamicImage::from_decoder(JpegDecoder::new(Cursor::new(bytes))?)
}

#[cfg(test)]
mod tests {
    use image::ImageFormat;

    use super::*;
    use crate::face::{DecodeLimits, FaceError, Picture};

    /// A face of 132 x 117 pixels as other programs write it.
    const FILES: [(&str, &[u8]); 4] = [
        ("baseline", include_bytes!("fixtures/baseline.jpg")),
        ("progressive", include_bytes!("fixtures/progressive.jpg")),
        ("restarts", include_bytes!("fixtures/restarts.jpg")),
        // Its tables give the zeros that a decoder makes up a meaning that drifts.
        ("optimised", include_bytes!("fixtures/optimised.jpg")),
    ];

    fn decode(bytes: &[u8]) -> Result<Picture, FaceError> {
        Picture::decode(bytes, &DecodeLimits::default())
    }

    /// Where the coded data begins.
    fn coded_from(bytes: &[u8]) -> usize {
        let scan = bytes
            .windows(2)
            .position(|pair| pair == [0xFF, 0xDA])
            .unwrap();
        scan + 2 + usize::from(bytes[scan + 3])
    }

    #[test]
    fn what_is_behind_the_last_pixel_does_not_matter() {
        for (name, bytes) in FILES {
            let whole = decode(bytes).unwrap();
            let data = &bytes[..bytes.len() - 2];
            for (what, bytes) in [
                ("no end mark", data.to_vec()),
                ("half an end mark", bytes[..bytes.len() - 1].to_vec()),
                ("zeros behind", [bytes, &[0; 5000]].concat()),
                ("a picture behind", [bytes, FILES[0].1].concat()),
                (
                    "half a picture behind",
                    [bytes, &FILES[1].1[..900]].concat(),
                ),
                ("a picture behind, no end mark", [data, FILES[0].1].concat()),
            ] {
                let found =
                    decode(&bytes).unwrap_or_else(|error| panic!("{name}, {what}: {error}"));
                assert!(found == whole, "{name}, {what}");
            }
        }
    }

    #[test]
    fn a_cut_picture_is_truncated_however_it_was_closed() {
        for (name, bytes) in FILES {
            let from = coded_from(bytes);
            for percent in [0, 3, 18, 40, 60, 80, 95] {
                let cut = &bytes[..from + (bytes.len() - from) * percent / 100];
                for (what, bytes) in [
                    ("bare", cut.to_vec()),
                    ("end mark", [cut, &END_OF_IMAGE].concat()),
                    (
                        "two end marks",
                        [cut, &END_OF_IMAGE, &END_OF_IMAGE].concat(),
                    ),
                    ("a picture behind", [cut, FILES[0].1].concat()),
                    (
                        "end mark and a picture",
                        [cut, &END_OF_IMAGE, FILES[2].1].concat(),
                    ),
                ] {
                    let error = decode(&bytes).expect_err(&format!("{name} {percent} %, {what}"));
                    assert!(
                        matches!(
                            error,
                            FaceError::Truncated { .. } | FaceError::Damaged { .. }
                        ),
                        "{name} {percent} %, {what}: {error}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_hole_of_zeros_is_found() {
        for (name, bytes) in FILES {
            let from = coded_from(bytes);
            for percent in [5, 30, 55] {
                let mut holed = bytes.to_vec();
                let start = from + (bytes.len() - from) * percent / 100;
                let end = (start + bytes.len() / 5).min(bytes.len() - 2);
                holed[start..end].fill(0);
                let error = decode(&holed).expect_err(&format!("{name} {percent} %"));
                assert!(error.is_callers_fault(), "{name} {percent} %: {error}");
                // All that is behind is gone, too.
                holed[start..].fill(0);
                decode(&holed).expect_err(name);
            }
        }
    }

    #[test]
    fn a_wide_area_of_one_colour_is_no_hole() {
        let mut sheet = image::RgbImage::from_pixel(400, 400, image::Rgb([255; 3]));
        for (x, y, pixel) in sheet.enumerate_pixels_mut() {
            if (150..250).contains(&x) && (100..300).contains(&y) {
                *pixel = image::Rgb([(x * 7) as u8, (y * 3) as u8, (x * y) as u8]);
            }
        }
        let mut bytes = Vec::new();
        let written =
            DynamicImage::from(sheet).write_to(&mut Cursor::new(&mut bytes), ImageFormat::Jpeg);
        written.unwrap();
        decode(&bytes).unwrap();
        let from = coded_from(&bytes);
        let cut = [&bytes[..from + (bytes.len() - from) / 2], &END_OF_IMAGE].concat();
        assert!(matches!(decode(&cut), Err(FaceError::Truncated { .. })));
    }

    #[test]
    fn more_scans_than_anybody_looks_at_are_refused() {
        let bytes = FILES[1].1;
        let from = bytes
            .windows(2)
            .rposition(|pair| pair == [0xFF, 0xDA])
            .unwrap();
        let last_scan = &bytes[from..bytes.len() - 2];
        let many = [
            bytes[..from].to_vec(),
            last_scan.repeat(101),
            END_OF_IMAGE.to_vec(),
        ]
        .concat();
        let error = decode(&many).unwrap_err();
        assert!(
            matches!(error, FaceError::TooManyScans { scans_max: 100, .. }),
            "{error}"
        );
        assert!(error.is_callers_fault());
    }

    #[test]
    fn few_bytes_that_claim_many_pixels_are_not_decoded() {
        let mut bytes = FILES[0].1.to_vec();
        let frame = bytes
            .windows(2)
            .position(|pair| pair == [0xFF, 0xC0])
            .unwrap();
        // 7,936 x 7,936: a million squares in three kilobytes.
        bytes[frame + 5..frame + 9].copy_from_slice(&[0x1F, 0, 0x1F, 0]);
        let extent = Extent::of(&bytes).unwrap();
        assert!(!extent.can_hold(0x1F00, 0x1F00) && extent.can_hold(132, 117));
        let error = decode(&bytes).unwrap_err();
        assert!(matches!(error, FaceError::Truncated { .. }), "{error}");
    }

    #[test]
    fn no_bytes_make_the_walk_panic() {
        for bytes in [
            &b""[..],
            b"\xFF",
            b"\xFF\xD8",
            b"\xFF\xD8\xFF\xDA",
            b"\xFF\xD8\xFF\xDA\0\0",
            b"\xFF\xD8\xFF\xDA\xFF\xFF",
        ] {
            let _any = Extent::of(bytes).map(|extent| extent.closed(bytes));
            decode(bytes).unwrap_err();
        }
        for (_, bytes) in FILES {
            for end in 0..bytes.len().min(1200) {
                let _any = Extent::of(&bytes[..end]).map(|extent| extent.closed(&bytes[..end]));
            }
        }
    }
}
