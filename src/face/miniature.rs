//! A small picture of a face, for people to know whom they see.

use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder};

use super::align::{Outside, to_the_middle, warp};
use super::decode::Picture;
use super::detect::Landmarks;
use crate::types::Portrait;

/// Pixels on each side: an aligned face of 112, and 16 around it, so that hair and chin are seen.
const SIDE: usize = 144;
/// Of JPEG. The portraits in `data/faces` have 3,000 to 6,000 bytes then.
const JPEG_QUALITY: u8 = 75;

/// The face with these landmarks, upright, as a JPEG of 144 x 144 pixels without any further data.
/// `None` if the landmarks coincide, and so are no face.
pub fn miniature(picture: &Picture, landmarks: &Landmarks) -> Option<Portrait> {
    let placement = to_the_middle(landmarks, SIDE, 0.0)?;
    let small = warp(picture, &placement, (SIDE, SIDE), Outside::Nearest);
    let (mut jpeg, side) = (Vec::new(), SIDE as u32);
    let encoder = JpegEncoder::new_with_quality(&mut jpeg, JPEG_QUALITY);
    // Neither fails: memory takes what is written, and so few pixels never have so many bytes.
    let written = encoder.write_image(small.rgb(), side, side, ExtendedColorType::Rgb8);
    written.ok().and_then(|()| Portrait::new(&jpeg).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::face::{DecodeLimits, Point};

    #[test]
    fn the_face_is_in_the_middle_upright_and_small_whatever_the_picture_has() {
        // Noise, of which a JPEG is as long as it can be.
        let noise = |at: usize| (at.wrapping_mul(2_654_435_761) >> 13) as u8;
        let picture = Picture::from_rgb(400, 300, (0..400 * 300 * 3).map(noise).collect());
        let landmarks = [
            (150.0, 100.0),
            (250.0, 100.0),
            (200.0, 150.0),
            (160.0, 210.0),
            (240.0, 210.0),
        ]
        .map(|(x, y)| Point { x, y });
        let portrait = miniature(&picture, &landmarks).unwrap();
        assert!(portrait.jpeg().len() < Portrait::BYTES_MAX / 2);
        let seen = Picture::decode(portrait.jpeg(), &DecodeLimits::default()).unwrap();
        assert_eq!((seen.width(), seen.height()), (SIDE, SIDE));
        // An upside-down picture of a face gives the same, the right way up.
        let turned = picture.rgb().as_chunks::<3>().0.iter().rev().flatten();
        let turned = Picture::from_rgb(400, 300, turned.copied().collect());
        let there = landmarks.map(|at| Point {
            x: 399.0 - at.x,
            y: 299.0 - at.y,
        });
        let again = miniature(&turned, &there).unwrap();
        let again = Picture::decode(again.jpeg(), &DecodeLimits::default()).unwrap();
        let differs = |(one, other): (&u8, &u8)| one.abs_diff(*other) > 2;
        let differing = seen.rgb().iter().zip(again.rgb()).filter(|it| differs(*it));
        assert!(differing.count() < seen.rgb().len() / 100);
        assert!(miniature(&picture, &[Point { x: 9.0, y: 9.0 }; 5]).is_none());
    }
}
