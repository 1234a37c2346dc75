//! What a caller should be told about a sample.
//!
//! Only what can be measured from the pixels and the five landmarks is said. The codes are those
//! of the BWS Web API; codes that would need more (the iris, the age of the picture) are not used.

use std::fmt;

use super::align::AlignedFace;
use super::decode::Picture;
use super::detect::{Landmarks, Point};
use super::fitness::{Fitness, MEASURED_SIDE, repeated};

/// Something about a sample that makes a mistake more likely. It can still be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Warning {
    /// The eyes are less than 15 pixels apart.
    ImageWayTooSmall,
    /// The eyes are less than 24 pixels apart. An aligned face has them 35 pixels apart, so much
    /// of it is invented.
    ImageTooSmall,
    /// The middle of the face is nearly black.
    FaceTooDark,
    /// The middle of the face is nearly white.
    FaceTooBright,
    /// The face has no fine detail.
    ImageTooBlurry,
    /// The line between the eyes is tilted by more than 25 degrees.
    HeadRotatedTooFar,
    /// The face looks to a side, up or down.
    WrongViewingDirection,
    /// The face is cut off by the border of the picture.
    CannotCropImage,
    /// The picture lies on a side or upside down; it was turned.
    PictureTurned,
    /// Part of the face is covered.
    FaceCovered,
    /// It does not look like a natural face: it is a negative, say, drawn, or hardly there.
    FaceUnnatural,
}

impl Warning {
    /// The code that BWS clients know. What the BWS has no code of its own for has that of the
    /// nearest.
    pub fn code(self) -> &'static str {
        match self {
            Warning::PictureTurned => "HeadRotatedTooFar",
            Warning::FaceCovered => "FaceAsymmetry",
            Warning::FaceUnnatural => "BadGrayscaleDensity",
            other => other.name(),
        }
    }

    /// What it is called everywhere else.
    pub fn name(self) -> &'static str {
        match self {
            Warning::ImageWayTooSmall => "ImageWayTooSmall",
            Warning::ImageTooSmall => "ImageTooSmall",
            Warning::FaceTooDark => "FaceTooDark",
            Warning::FaceTooBright => "FaceTooBright",
            Warning::ImageTooBlurry => "ImageTooBlurry",
            Warning::HeadRotatedTooFar => "HeadRotatedTooFar",
            Warning::WrongViewingDirection => "WrongViewingDirection",
            Warning::CannotCropImage => "CannotCropImage",
            Warning::PictureTurned => "PictureTurned",
            Warning::FaceCovered => "FaceCovered",
            Warning::FaceUnnatural => "FaceUnnatural",
        }
    }

    /// A sentence for people.
    pub fn message(self) -> &'static str {
        match self {
            Warning::ImageWayTooSmall => "the face is much too small",
            Warning::ImageTooSmall => "the face is too small",
            Warning::FaceTooDark => "the face is too dark",
            Warning::FaceTooBright => "the face is too bright",
            Warning::ImageTooBlurry => "the face is blurred",
            Warning::HeadRotatedTooFar => "the head is tilted too far",
            Warning::WrongViewingDirection => "the face does not look into the camera",
            Warning::CannotCropImage => "the face is cut off by the border of the picture",
            Warning::PictureTurned => "the picture lies on a side or upside down, and was turned",
            Warning::FaceCovered => "part of the face is covered",
            Warning::FaceUnnatural => "it does not look like a natural face",
        }
    }
}

/// The name.
impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What was measured of one sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quality {
    /// Between the eyes, in pixels of the picture.
    pub eye_distance: f32,
    /// The mean brightness of the middle of the face, 0 to 255.
    pub brightness: f32,
    /// Fine detail in the middle of the aligned face: the mean square of its Laplacian over the
    /// variance of its brightness. Does not change with contrast.
    pub sharpness: f32,
    /// By how much the picture was turned clockwise to look at it, in degrees: 0, 90, 180 or 270.
    pub turned: f32,
    /// How far the line between the eyes is from level then, in degrees; positive if the eye on the
    /// right of the picture is lower.
    pub roll: f32,
    /// How far the tip of the nose is from the line between the middle of the eyes and the middle
    /// of the mouth, over the size of the face; positive if it is on the right. 0 for a face that
    /// looks ahead, about 0.3 for one turned by 30 degrees.
    pub turn: f32,
    /// How far down from the eyes to the mouth the tip of the nose is: about 0.55 for a face that
    /// looks ahead, less if it looks up, more if it looks down.
    pub nose_height: f32,
    /// The share of the face, without hair and ears, that lies inside the picture.
    pub visible: f32,
    /// How sure the detector is, from 0 to 1, that what was cut out is a face, upright.
    pub upright: f32,
    /// How long the output of the network that makes embeddings is: from 0, as of what is no face,
    /// to 1, as of any natural face. 1 for a network of which nothing is known.
    pub strength: f32,
    /// The share of pixels that are like one of their neighbours: a picture of few pixels that was
    /// blown up has each of them several times.
    pub repeated: f32,
    /// The power of the finest detail of the aligned face over that of all, as a natural logarithm.
    pub fine_detail: f32,
    /// The power of large areas of light and shadow over that of all, likewise.
    pub shading: f32,
    /// The share of the face, in squares, in which there is nothing to be seen.
    pub blank: f32,
    /// How much more there is to be seen in one half of the face than in the other, likewise.
    pub imbalance: f32,
    /// How much darker the eyes are than the cheeks, as a multiple of the spread of brightness.
    pub eye_shadow: f32,
    /// How much brighter the tip of the nose is than the eyes, as a multiple of the same.
    pub nose_light: f32,
}

const EYE_DISTANCE_WAY_TOO_SMALL: f32 = 15.0;
const EYE_DISTANCE_MIN: f32 = 24.0;
// Far from what skin of any colour measures in a sound picture.
const BRIGHTNESS_MIN: f32 = 35.0;
const BRIGHTNESS_MAX: f32 = 225.0;
const SHARPNESS_MIN: f32 = 0.01;
const ROLL_MAX: f32 = 25.0;
const TURN_MAX: f32 = 0.3;
const NOSE_HEIGHT: std::ops::RangeInclusive<f32> = 0.3..=0.8;
const VISIBLE_MIN: f32 = 0.9;

/// A face tilted by more degrees than this is one of a picture that was turned, unless its head is.
const TURNED_DEGREES: f32 = 60.0;
/// More pixels that are like their neighbours are those of a picture that was blown up.
const REPEATED_MAX: f32 = 0.35;
// What natural portraits keep within, and what the made-up ones reach: docs/quality.md.
const UPRIGHT: (f32, f32) = (0.84, 0.89);
const SHADING: (f32, f32) = (-1.35, -1.05);
const BLANK: (f32, f32) = (0.25, 0.06);
const IMBALANCE: (f32, f32) = (0.9, 0.5);
const EYE_SHADOW: (f32, f32) = (-0.7, 0.3);
const NOSE_LIGHT: (f32, f32) = (-0.65, -0.2);
const FINE_DETAIL: (f32, f32) = (-4.6, -3.0);
/// Less fine detail than this is told. Natural portraits have more but for one in a hundred.
const FINE_DETAIL_MIN: f32 = -3.3;
/// Of which share of the quality nothing is said.
const HARMLESS_SHARE: f32 = 0.4;
/// What a face without fine detail keeps of its quality: it is recognised, if less surely.
const BLURRED_SHARE: f32 = 0.4;

/// What the networks say of an aligned face.
#[derive(Clone, Copy, Debug)]
pub(super) struct Impression {
    /// [`Quality::upright`].
    pub(super) upright: f32,
    /// [`Quality::strength`].
    pub(super) strength: f32,
}

impl Quality {
    /// Measures the face with these landmarks in `picture`, cut out as `aligned`. `None` if the
    /// landmarks coincide.
    pub(super) fn measure(
        picture: &Picture,
        landmarks: &Landmarks,
        aligned: &AlignedFace,
        impression: Impression,
    ) -> Option<Quality> {
        let [left, right, ..] = *landmarks;
        let (turn, nose_height) = direction(landmarks);
        let (brightness, sharpness) = light(aligned);
        let (turned, roll) = turned_and_roll(landmarks);
        let fitness = if aligned.side() == MEASURED_SIDE {
            Fitness::measure(aligned)
        } else {
            Fitness::measure(&AlignedFace::cut(picture, landmarks, MEASURED_SIDE)?)
        };
        Some(Quality {
            eye_distance: (right.x - left.x).hypot(right.y - left.y),
            brightness,
            sharpness,
            turned,
            roll,
            turn,
            nose_height,
            visible: visible(picture, aligned),
            upright: impression.upright,
            strength: impression.strength,
            repeated: repeated(picture, landmarks),
            fine_detail: fitness.fine_detail,
            shading: fitness.shading,
            blank: fitness.blank,
            imbalance: fitness.imbalance,
            eye_shadow: fitness.eye_shadow,
            nose_light: fitness.nose_light,
        })
    }

    /// The pixels between the eyes that are not those of their neighbours.
    fn resolved_eye_distance(&self) -> f32 {
        // Where all is nearly black or white, pixels are alike however many there are.
        let is_lit = (BRIGHTNESS_MIN..=BRIGHTNESS_MAX).contains(&self.brightness);
        if is_lit && self.repeated > REPEATED_MAX {
            self.eye_distance * (1.0 - self.repeated)
        } else {
            self.eye_distance
        }
    }

    /// How far a face is covered: 1 for one that is not, 0 for one that is of no use.
    fn uncovered(&self) -> f32 {
        ramp(self.blank, BLANK) * ramp(self.imbalance, IMBALANCE)
    }

    /// How natural a face looks, from 0 to 1.
    fn natural(&self) -> f32 {
        self.strength
            * ramp(self.upright, UPRIGHT)
            * ramp(self.shading, SHADING)
            * ramp(self.eye_shadow, EYE_SHADOW)
            * ramp(self.nose_light, NOSE_LIGHT)
    }

    /// One number from 0, useless, to 1, as good as can be measured: the product of how well each
    /// measure does. Fit to choose the best of several samples; not a probability.
    pub fn score(&self) -> f32 {
        let size = ramp(self.resolved_eye_distance(), (8.0, 35.0));
        let light = ramp(self.brightness, (15.0, 60.0)) * ramp(self.brightness, (250.0, 210.0));
        let sharp = ramp(self.sharpness, (0.0, 3.0 * SHARPNESS_MIN));
        let level = ramp(self.roll.abs(), (90.0, 20.0));
        let ahead =
            ramp(self.turn.abs(), (0.7, 0.15)) * ramp((self.nose_height - 0.55).abs(), (0.5, 0.15));
        let whole = ramp(self.visible, (0.5, 0.98));
        let detailed = BLURRED_SHARE + (1.0 - BLURRED_SHARE) * ramp(self.fine_detail, FINE_DETAIL);
        let measured = size * light * sharp * level * ahead * whole;
        measured * detailed * self.uncovered() * self.natural()
    }

    /// What a caller should be told.
    pub fn warnings(&self) -> Vec<Warning> {
        let mut warnings = Vec::new();
        let mut warn = |given: bool, warning| {
            if given {
                warnings.push(warning);
            }
        };
        let eye_distance = self.resolved_eye_distance();
        let way_too_small = eye_distance < EYE_DISTANCE_WAY_TOO_SMALL;
        warn(way_too_small, Warning::ImageWayTooSmall);
        warn(
            !way_too_small && eye_distance < EYE_DISTANCE_MIN,
            Warning::ImageTooSmall,
        );
        warn(self.brightness < BRIGHTNESS_MIN, Warning::FaceTooDark);
        warn(self.brightness > BRIGHTNESS_MAX, Warning::FaceTooBright);
        let blurry = self.sharpness < SHARPNESS_MIN || self.fine_detail < FINE_DETAIL_MIN;
        warn(blurry, Warning::ImageTooBlurry);
        warn(self.roll.abs() > ROLL_MAX, Warning::HeadRotatedTooFar);
        let ahead = self.turn.abs() <= TURN_MAX && NOSE_HEIGHT.contains(&self.nose_height);
        warn(!ahead, Warning::WrongViewingDirection);
        warn(self.visible < VISIBLE_MIN, Warning::CannotCropImage);
        warn(self.turned != 0.0, Warning::PictureTurned);
        warn(self.uncovered() < HARMLESS_SHARE, Warning::FaceCovered);
        warn(self.natural() < HARMLESS_SHARE, Warning::FaceUnnatural);
        warnings
    }
}

/// How far the line between the eyes is from level, in degrees.
pub(super) fn roll(landmarks: &Landmarks) -> f32 {
    let [left, right, ..] = landmarks;
    (right.y - left.y).atan2(right.x - left.x).to_degrees()
}

/// [`Quality::turned`] and [`Quality::roll`].
fn turned_and_roll(landmarks: &Landmarks) -> (f32, f32) {
    let tilt = roll(landmarks);
    if tilt.is_nan() || tilt.abs() <= TURNED_DEGREES {
        return (0.0, tilt);
    }
    let quarter = (tilt / 90.0).round() * 90.0;
    // Whoever lies upside down may be seen as tilted by 180 degrees or by -180.
    ((-quarter).rem_euclid(360.0), tilt - quarter)
}

/// How good a value is, from 0 at `bad` to 1 at `good`.
fn ramp(value: f32, (bad, good): (f32, f32)) -> f32 {
    // Adding zero turns -0 into 0, which would be told as it is.
    ((value - bad) / (good - bad)).clamp(0.0, 1.0) + 0.0
}

/// [`Quality::turn`] and [`Quality::nose_height`].
fn direction(landmarks: &Landmarks) -> (f32, f32) {
    let [left_eye, right_eye, nose, left_mouth, right_mouth] = *landmarks;
    let between = |a: Point, b: Point| Point {
        x: (a.x + b.x) / 2.0,
        y: (a.y + b.y) / 2.0,
    };
    let (eyes, mouth) = (
        between(left_eye, right_eye),
        between(left_mouth, right_mouth),
    );
    let (down_x, down_y) = (mouth.x - eyes.x, mouth.y - eyes.y);
    let face_height = down_x.hypot(down_y);
    let eye_distance = (right_eye.x - left_eye.x).hypot(right_eye.y - left_eye.y);
    // Eyes come together when a head turns to a side, eyes and mouth when it nods: the larger of
    // the two stays.
    let size = face_height.max(eye_distance);
    if face_height <= 0.0 {
        return (f32::INFINITY, f32::INFINITY);
    }
    let (nose_x, nose_y) = (nose.x - eyes.x, nose.y - eyes.y);
    let right = (nose_x * down_y - nose_y * down_x) / face_height;
    let along = (nose_x * down_x + nose_y * down_y) / (face_height * face_height);
    (right / size, along)
}

/// [`Quality::visible`].
fn visible(picture: &Picture, aligned: &AlignedFace) -> f32 {
    let back = aligned.transform().inverse();
    let unit = aligned.side() as f64 / 112.0;
    let (mut inside, mut count) = (0, 0);
    for y in 20..112 {
        for x in 20..92 {
            let (u, v) = back.apply((f64::from(x) * unit, f64::from(y) * unit));
            let right = (picture.width() - 1) as f64;
            let bottom = (picture.height() - 1) as f64;
            inside += u32::from((0.0..=right).contains(&u) && (0.0..=bottom).contains(&v));
            count += 1;
        }
    }
    inside as f32 / count as f32
}

/// [`Quality::brightness`] and [`Quality::sharpness`] of the middle of an aligned face: from the
/// brows to the mouth, without hair and background.
fn light(aligned: &AlignedFace) -> (f32, f32) {
    let side = aligned.side();
    let rgb = aligned.rgb();
    let luma = |x: usize, y: usize| {
        let at = (y * side + x) * 3;
        0.299 * f32::from(rgb[at]) + 0.587 * f32::from(rgb[at + 1]) + 0.114 * f32::from(rgb[at + 2])
    };
    let share = |part: usize| side * part / 112;
    let (mut sum, mut squares, mut detail, mut count) = (0.0_f64, 0.0_f64, 0.0_f64, 0.0_f64);
    for y in share(38)..share(98) {
        for x in share(28)..share(84) {
            let here = luma(x, y);
            let around = luma(x - 1, y) + luma(x + 1, y) + luma(x, y - 1) + luma(x, y + 1);
            sum += f64::from(here);
            squares += f64::from(here * here);
            detail += f64::from((around - 4.0 * here).powi(2));
            count += 1.0;
        }
    }
    let mean = sum / count;
    // A face of one brightness has no detail, rather than an infinite share of it.
    let variance = (squares / count - mean * mean).max(1.0);
    (mean as f32, (detail / count / variance) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A face that looks ahead, its eyes 60 pixels apart and level.
    const AHEAD: [(f32, f32); 5] = [
        (70.0, 80.0),
        (130.0, 80.0),
        (100.0, 115.0),
        (75.0, 145.0),
        (125.0, 145.0),
    ];

    fn measured(points: [(f32, f32); 5]) -> Quality {
        // Stripes, so that there is detail; their mean is a sound brightness.
        let rgb = (0..200 * 200).flat_map(|at: usize| [if at % 8 < 4 { 90 } else { 160 }; 3]);
        let picture = Picture::from_rgb(200, 200, rgb.collect());
        let landmarks = points.map(|(x, y)| Point { x, y });
        let aligned = AlignedFace::cut(&picture, &landmarks, 112).unwrap();
        let impression = Impression {
            upright: 0.93,
            strength: 1.0,
        };
        let quality = Quality::measure(&picture, &landmarks, &aligned, impression).unwrap();
        // Stripes are no natural face; tests/it/face.rs has real ones.
        Quality {
            repeated: 0.0,
            fine_detail: -1.0,
            shading: -0.4,
            blank: 0.0,
            imbalance: 0.1,
            eye_shadow: 1.8,
            nose_light: 1.8,
            ..quality
        }
    }

    #[test]
    fn what_is_no_natural_face_is_worth_little_and_told() {
        let sound = measured(AHEAD);
        for (quality, warning) in [
            (
                Quality {
                    upright: 0.8,
                    ..sound
                },
                Warning::FaceUnnatural,
            ),
            (
                Quality {
                    strength: 0.1,
                    ..sound
                },
                Warning::FaceUnnatural,
            ),
            (
                Quality {
                    shading: -1.3,
                    ..sound
                },
                Warning::FaceUnnatural,
            ),
            (
                Quality {
                    eye_shadow: -0.6,
                    ..sound
                },
                Warning::FaceUnnatural,
            ),
            (
                Quality {
                    nose_light: -0.6,
                    ..sound
                },
                Warning::FaceUnnatural,
            ),
            (
                Quality {
                    blank: 0.22,
                    ..sound
                },
                Warning::FaceCovered,
            ),
            (
                Quality {
                    imbalance: 0.8,
                    ..sound
                },
                Warning::FaceCovered,
            ),
            (
                Quality {
                    fine_detail: -4.6,
                    ..sound
                },
                Warning::ImageTooBlurry,
            ),
            (
                Quality {
                    repeated: 0.7,
                    ..sound
                },
                Warning::ImageTooSmall,
            ),
            (
                Quality {
                    repeated: 0.8,
                    ..sound
                },
                Warning::ImageWayTooSmall,
            ),
        ] {
            assert_eq!(quality.warnings(), [warning], "{quality:?}");
            assert!(quality.score() < 0.5, "{} {quality:?}", quality.score());
        }
        let covered = Quality {
            imbalance: 0.9,
            ..sound
        };
        assert_eq!(covered.score().to_bits(), 0.0_f32.to_bits());
        let small = Quality {
            repeated: 0.2,
            ..sound
        };
        assert_eq!(small.score(), sound.score(), "a photograph has that");
    }

    #[test]
    fn a_picture_that_was_turned_is_told_and_costs_nothing() {
        let middle = (100.0, 100.0);
        for (degrees, turned) in [(90.0, 270.0), (-90.0, 90.0), (180.0, 180.0), (170.0, 180.0)] {
            let turn = super::super::align::Similarity::about(degrees, 1.0, middle, middle);
            let points = AHEAD.map(|(x, y)| turn.apply((f64::from(x), f64::from(y))));
            let quality = measured(points.map(|(x, y)| (x as f32, y as f32)));
            assert_eq!(quality.warnings(), [Warning::PictureTurned], "{degrees}");
            assert_eq!(quality.turned, turned);
            assert!(
                quality.roll.abs() < 10.1 && quality.score() > 0.9,
                "{quality:?}"
            );
        }
    }

    #[test]
    fn a_face_that_looks_ahead_has_no_warning() {
        let quality = measured(AHEAD);
        assert_eq!(quality.warnings(), []);
        assert!((quality.eye_distance - 60.0).abs() < 1e-3 && quality.roll.abs() < 1e-3);
        assert!(quality.turn.abs() < 1e-3 && (quality.nose_height - 35.0 / 65.0).abs() < 1e-3);
        assert!((quality.visible - 1.0).abs() < 1e-6);
        assert!(quality.score() > 0.95, "{}", quality.score());
    }

    #[test]
    fn a_nose_to_a_side_up_or_down_is_another_viewing_direction() {
        for (nose, sign) in [((124.0, 115.0), 1.0), ((76.0, 115.0), -1.0)] {
            let mut points = AHEAD;
            points[2] = nose;
            let quality = measured(points);
            assert_eq!(quality.warnings(), [Warning::WrongViewingDirection]);
            assert!(quality.turn * sign > 0.3, "{quality:?}");
        }
        for nose in [(100.0, 94.0), (100.0, 136.0)] {
            let mut points = AHEAD;
            points[2] = nose;
            assert_eq!(
                measured(points).warnings(),
                [Warning::WrongViewingDirection]
            );
        }
    }

    #[test]
    fn a_tilt_is_no_other_viewing_direction() {
        for degrees in [-40.0, 40.0] {
            let turn = super::super::align::Similarity::about(
                degrees,
                1.0,
                (100.0, 100.0),
                (100.0, 100.0),
            );
            let points = AHEAD.map(|(x, y)| turn.apply((f64::from(x), f64::from(y))));
            let quality = measured(points.map(|(x, y)| (x as f32, y as f32)));
            assert_eq!(quality.warnings(), [Warning::HeadRotatedTooFar]);
            assert!(
                (f64::from(quality.roll) - degrees).abs() < 0.01,
                "{quality:?}"
            );
        }
    }

    #[test]
    fn a_face_over_the_border_is_cut_off() {
        let quality = measured(AHEAD.map(|(x, y)| (x - 60.0, y)));
        assert_eq!(quality.warnings(), [Warning::CannotCropImage]);
        assert!(quality.visible < 0.9);
    }

    #[test]
    fn codes_are_those_of_the_web_service() {
        assert_eq!(Warning::ImageTooBlurry.to_string(), "ImageTooBlurry");
        assert_eq!(Warning::CannotCropImage.code(), "CannotCropImage");
        assert_eq!(Warning::PictureTurned.code(), "HeadRotatedTooFar");
        assert_eq!(Warning::PictureTurned.name(), "PictureTurned");
    }
}
