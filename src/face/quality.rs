//! What a caller should be told about a sample.
//!
//! Only what can be measured from the pixels and the five landmarks is said. The codes are those
//! of the BWS Web API; codes that would need more (the iris, the age of the picture) are not used.

use std::fmt;

use super::align::AlignedFace;
use super::decode::Picture;
use super::detect::{Detection, Landmarks, Point};

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
}

impl Warning {
    /// The code that BWS clients know.
    pub fn code(self) -> &'static str {
        match self {
            Warning::ImageWayTooSmall => "ImageWayTooSmall",
            Warning::ImageTooSmall => "ImageTooSmall",
            Warning::FaceTooDark => "FaceTooDark",
            Warning::FaceTooBright => "FaceTooBright",
            Warning::ImageTooBlurry => "ImageTooBlurry",
            Warning::HeadRotatedTooFar => "HeadRotatedTooFar",
            Warning::WrongViewingDirection => "WrongViewingDirection",
            Warning::CannotCropImage => "CannotCropImage",
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
        }
    }
}

/// The code.
impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
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
    /// How far the line between the eyes is from level, in degrees; positive if the eye on the
    /// right of the picture is lower.
    pub roll: f32,
    /// How far the tip of the nose is from the line between the middle of the eyes and the middle
    /// of the mouth, over the size of the face; positive if it is on the right. 0 for a face that
    /// looks ahead, about 0.3 for one turned by 30 degrees.
    pub turn: f32,
    /// How far down from the eyes to the mouth the tip of the nose is: about 0.55 for a face that
    /// looks ahead, less if it looks up, more if it looks down.
    pub nose_height: f32,
    /// The share of the face's bounds that lies inside the picture.
    pub visible: f32,
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

impl Quality {
    /// Measures the face at `detection` in `picture`, cut out as `aligned`.
    pub(super) fn measure(
        picture: &Picture,
        detection: &Detection,
        aligned: &AlignedFace,
    ) -> Quality {
        let [left, right, ..] = detection.landmarks;
        let (turn, nose_height) = direction(&detection.landmarks);
        let (brightness, sharpness) = light(aligned);
        let area = detection.bounds.area();
        Quality {
            eye_distance: (right.x - left.x).hypot(right.y - left.y),
            brightness,
            sharpness,
            roll: roll(&detection.landmarks),
            turn,
            nose_height,
            visible: if area > 0.0 {
                detection.bounds.area_within(picture) / area
            } else {
                0.0
            },
        }
    }

    /// One number from 0, useless, to 1, as good as can be measured: the product of how well each
    /// measure does. Fit to choose the best of several samples; not a probability.
    pub fn score(&self) -> f32 {
        let ramp = |value: f32, bad: f32, good: f32| ((value - bad) / (good - bad)).clamp(0.0, 1.0);
        let size = ramp(self.eye_distance, 8.0, 35.0);
        let light = ramp(self.brightness, 15.0, 60.0) * ramp(self.brightness, 250.0, 210.0);
        let sharp = ramp(self.sharpness, 0.0, 3.0 * SHARPNESS_MIN);
        let level = ramp(self.roll.abs(), 90.0, 20.0);
        let ahead =
            ramp(self.turn.abs(), 0.7, 0.15) * ramp((self.nose_height - 0.55).abs(), 0.5, 0.15);
        let whole = ramp(self.visible, 0.5, 0.98);
        size * light * sharp * level * ahead * whole
    }

    /// What a caller should be told.
    pub fn warnings(&self) -> Vec<Warning> {
        let mut warnings = Vec::new();
        let mut warn = |given: bool, warning| {
            if given {
                warnings.push(warning);
            }
        };
        let way_too_small = self.eye_distance < EYE_DISTANCE_WAY_TOO_SMALL;
        warn(way_too_small, Warning::ImageWayTooSmall);
        warn(
            !way_too_small && self.eye_distance < EYE_DISTANCE_MIN,
            Warning::ImageTooSmall,
        );
        warn(self.brightness < BRIGHTNESS_MIN, Warning::FaceTooDark);
        warn(self.brightness > BRIGHTNESS_MAX, Warning::FaceTooBright);
        warn(self.sharpness < SHARPNESS_MIN, Warning::ImageTooBlurry);
        warn(self.roll.abs() > ROLL_MAX, Warning::HeadRotatedTooFar);
        let ahead = self.turn.abs() <= TURN_MAX && NOSE_HEIGHT.contains(&self.nose_height);
        warn(!ahead, Warning::WrongViewingDirection);
        warn(self.visible < VISIBLE_MIN, Warning::CannotCropImage);
        warnings
    }
}

/// How far the line between the eyes is from level, in degrees.
pub(super) fn roll(landmarks: &Landmarks) -> f32 {
    let [left, right, ..] = landmarks;
    (right.y - left.y).atan2(right.x - left.x).to_degrees()
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
