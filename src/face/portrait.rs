//! Whether a picture would do for a document, and what it would look like there.

use image::ExtendedColorType;
use image::codecs::bmp::BmpEncoder;

use super::align::{AlignedFace, Outside, Similarity, warp};
use super::decode::Picture;
use super::pipeline::Face;
use super::quality::{Quality, Warning, roll};

/// What a picture for a document must reach. All are as in the recommendations for machine-readable
/// travel documents (ICAO 9303 and ISO/IEC 19794-5) where those give a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PortraitRules {
    /// The least distance of the eyes in pixels.
    pub eye_distance_min: f32,
}

/// Something in a picture that a document does not allow, with what was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum PortraitFault {
    /// The eyes are so many pixels apart, fewer than the rules want.
    TooSmall {
        /// What was measured.
        eye_distance: f32,
        /// What the rules want.
        eye_distance_min: f32,
    },
    /// The line between the eyes is tilted by so many degrees.
    Tilted {
        /// 0 to 180.
        degrees: f32,
    },
    /// The face looks to a side, up or down.
    LooksAway {
        /// How far the tip of the nose is to a side, as in [`super::Quality::turn`], without a
        /// sign.
        turn: f32,
        /// How far down it is, as in [`super::Quality::nose_height`].
        nose_height: f32,
    },
    /// So much of the face is white.
    OverExposed {
        /// 0 to 100.
        percent: f64,
    },
    /// So much of the face is black.
    UnderExposed {
        /// 0 to 100.
        percent: f64,
    },
    /// The brightness of the face hardly differs from place to place.
    LowContrast {
        /// Its standard deviation, of 255 levels.
        deviation: f64,
    },
    /// The brightness of the face differs too much from place to place.
    HighContrast {
        /// Its standard deviation, of 255 levels.
        deviation: f64,
    },
    /// So much of the portrait would lie outside the picture.
    CutOff {
        /// 0 to 100.
        percent: f64,
    },
    /// What is wrong with any picture.
    Warned(Warning),
}

impl PortraitRules {
    /// Those of travel documents: 90 pixels between the eyes.
    pub const ICAO: PortraitRules = PortraitRules {
        eye_distance_min: 90.0,
    };
    /// Those of the original service for pictures of documents: 240 pixels.
    pub const BIOID: PortraitRules = PortraitRules {
        eye_distance_min: 240.0,
    };
}

/// The line between the eyes may be tilted by so many degrees (ISO/IEC 19794-5, 7.2.2).
const ROLL_MAX: f32 = 8.0;
/// How far off the middle the tip of the nose may be: about 10 degrees of turning, on the scale of
/// [`super::Quality::turn`].
const TURN_MAX: f32 = 0.12;
const NOSE_HEIGHT: std::ops::RangeInclusive<f32> = 0.4..=0.72;
/// The most of the face that may be white or black, in percent.
const EXTREME_PERCENT_MAX: f64 = 1.0;
const WHITE_FROM: f64 = 250.0;
const BLACK_TO: f64 = 5.0;
/// Between which the standard deviation of the brightness of the face may lie. Sound pictures have
/// 25 to 60.
const CONTRAST: std::ops::RangeInclusive<f64> = 12.0..=85.0;
/// Of a face cut off at the border, not all of the portrait can be shown.
const OUTSIDE_PERCENT_MAX: f64 = 5.0;

impl PortraitFault {
    /// The code that BWS clients know.
    pub fn code(&self) -> &'static str {
        match self {
            PortraitFault::TooSmall { .. } => "ImageTooSmall",
            PortraitFault::Tilted { .. } => "HeadRotatedTooFar",
            PortraitFault::LooksAway { .. } => "WrongViewingDirection",
            PortraitFault::OverExposed { .. } => "ImageOverExposure",
            PortraitFault::UnderExposed { .. } => "ImageUnderExposure",
            PortraitFault::LowContrast { .. } => "FaceContrastTooLow",
            PortraitFault::HighContrast { .. } => "FaceContrastTooHigh",
            PortraitFault::CutOff { .. } => "CannotCropImage",
            PortraitFault::Warned(warning) => warning.code(),
        }
    }

    /// A sentence for people.
    pub fn message(&self) -> &'static str {
        match self {
            PortraitFault::TooSmall { .. } => "the face is too small",
            PortraitFault::Tilted { .. } => "the head is tilted too far",
            PortraitFault::LooksAway { .. } => "the face does not look into the camera",
            PortraitFault::OverExposed { .. } => "the face is over-exposed",
            PortraitFault::UnderExposed { .. } => "the face is under-exposed",
            PortraitFault::LowContrast { .. } => "the face has too little contrast",
            PortraitFault::HighContrast { .. } => "the face has too much contrast",
            PortraitFault::CutOff { .. } => "the picture does not show enough around the face",
            PortraitFault::Warned(warning) => warning.message(),
        }
    }

    /// What was measured and what is allowed; empty where nothing more can be said.
    pub fn details(&self) -> String {
        match self {
            PortraitFault::TooSmall {
                eye_distance,
                eye_distance_min,
            } => format!(
                "the eyes are {eye_distance:.0} pixels apart, at least {eye_distance_min:.0} are needed"
            ),
            PortraitFault::Tilted { degrees } => format!(
                "the head is tilted by {degrees:.0} degrees, at most {ROLL_MAX:.0} are allowed"
            ),
            PortraitFault::LooksAway { turn, nose_height } => format!(
                "the nose is {turn:.2} to a side and {nose_height:.2} down, at most {TURN_MAX} and \
                 {} to {} are allowed",
                NOSE_HEIGHT.start(),
                NOSE_HEIGHT.end()
            ),
            PortraitFault::OverExposed { percent } => format!(
                "{percent:.1} percent of the face is white, at most {EXTREME_PERCENT_MAX} is allowed"
            ),
            PortraitFault::UnderExposed { percent } => format!(
                "{percent:.1} percent of the face is black, at most {EXTREME_PERCENT_MAX} is allowed"
            ),
            PortraitFault::LowContrast { deviation }
            | PortraitFault::HighContrast { deviation } => {
                format!(
                    "the brightness deviates by {deviation:.0}, {} to {} are allowed",
                    CONTRAST.start(),
                    CONTRAST.end()
                )
            }
            PortraitFault::CutOff { percent } => format!(
                "{percent:.0} percent of the portrait lies outside the picture, at most \
                 {OUTSIDE_PERCENT_MAX:.0} are allowed"
            ),
            PortraitFault::Warned(_) => String::new(),
        }
    }

    /// Whether no portrait can be made of the picture: it is cut off, does not look at us, or shows
    /// nothing. Otherwise it could be better: the original service answers such pictures with
    /// success and the portrait beside the fault.
    pub fn is_fatal(&self) -> bool {
        matches!(
            self,
            PortraitFault::Tilted { .. }
                | PortraitFault::LooksAway { .. }
                | PortraitFault::CutOff { .. }
                | PortraitFault::Warned(Warning::ImageTooBlurry)
        )
    }
}

/// What of `face` in `picture`, cut out as `aligned`, `rules` do not allow.
pub fn portrait_faults(
    picture: &Picture,
    face: &Face,
    aligned: &AlignedFace,
    rules: &PortraitRules,
) -> Vec<PortraitFault> {
    let percent = outside_percent(picture, face, &Portrait::of(rules));
    let cut_off = (percent > OUTSIDE_PERCENT_MAX).then_some(PortraitFault::CutOff { percent });
    // What is wrong with any picture, unless it has been said in stricter words.
    let warnings = face.warnings.iter().copied().filter(|warning| {
        matches!(
            warning,
            Warning::FaceTooDark
                | Warning::FaceTooBright
                | Warning::ImageTooBlurry
                | Warning::PictureTurned
                | Warning::FaceCovered
                | Warning::FaceUnnatural
        )
    });
    let measured = faults_of_pose(&face.quality, rules)
        .into_iter()
        .chain(Light::of(aligned).faults())
        .chain([cut_off]);
    let warned = warnings.map(PortraitFault::Warned);
    measured.flatten().chain(warned).collect()
}

fn faults_of_pose(quality: &Quality, rules: &PortraitRules) -> [Option<PortraitFault>; 3] {
    let eye_distance_min = rules.eye_distance_min;
    let Quality {
        eye_distance,
        nose_height,
        ..
    } = *quality;
    let [degrees, turn] = [quality.roll.abs(), quality.turn.abs()];
    let looks_away = turn > TURN_MAX || !NOSE_HEIGHT.contains(&nose_height);
    [
        (eye_distance < eye_distance_min).then_some(PortraitFault::TooSmall {
            eye_distance,
            eye_distance_min,
        }),
        (degrees > ROLL_MAX).then_some(PortraitFault::Tilted { degrees }),
        looks_away.then_some(PortraitFault::LooksAway { turn, nose_height }),
    ]
}

/// The size of a portrait in pixels: the eyes are as far apart as the rules demand, a quarter of
/// the width, and stand at 0.6 of the width from the top (the geometry of ISO/IEC 19794-5, token
/// image).
struct Portrait {
    width: usize,
    height: usize,
    eye_distance: f64,
}

impl Portrait {
    fn of(rules: &PortraitRules) -> Portrait {
        // Of rules that somebody else made, no picture of nothing and none of gigabytes.
        let eye_distance = rules.eye_distance_min.clamp(30.0, 600.0).round();
        let width = eye_distance as usize * 4;
        Portrait {
            width,
            height: width * 4 / 3,
            eye_distance: f64::from(eye_distance),
        }
    }

    /// Brings the eyes to where a portrait has them.
    fn placement(&self, face: &Face) -> Similarity {
        let [a, b, ..] = face.landmarks;
        let middle = (f64::from(a.x + b.x) / 2.0, f64::from(a.y + b.y) / 2.0);
        let distance = f64::from(face.quality.eye_distance).max(1.0);
        Similarity::about(
            -f64::from(roll(&face.landmarks)),
            self.eye_distance / distance,
            middle,
            (self.width as f64 / 2.0, 0.6 * self.width as f64),
        )
    }
}

/// The face as a document would show it: upright, as a BMP file, 360 x 480 pixels by the rules of
/// ICAO and 960 x 1280 by those of BioID.
pub fn portrait_bmp(picture: &Picture, face: &Face, rules: &PortraitRules) -> Vec<u8> {
    let portrait = Portrait::of(rules);
    let Portrait { width, height, .. } = portrait;
    let placement = portrait.placement(face);
    let upright = warp(picture, &placement, (width, height), Outside::Nearest);
    let mut file = Vec::new();
    BmpEncoder::new(&mut file)
        .encode(
            upright.rgb(),
            width as u32,
            height as u32,
            ExtendedColorType::Rgb8,
        )
        .expect("a few million pixels in memory are within the bounds of the format");
    file
}

fn outside_percent(picture: &Picture, face: &Face, portrait: &Portrait) -> f64 {
    let back = portrait.placement(face).inverse();
    let (mut outside, mut count) = (0, 0);
    for y in (0..portrait.height).step_by(8) {
        for x in (0..portrait.width).step_by(8) {
            let (u, v) = back.apply((x as f64, y as f64));
            let inside = (0.0..picture.width() as f64).contains(&u)
                && (0.0..picture.height() as f64).contains(&v);
            outside += u32::from(!inside);
            count += 1;
        }
    }
    100.0 * f64::from(outside) / f64::from(count)
}

/// How bright the middle of a face is, from the brows to the mouth.
struct Light {
    white_percent: f64,
    black_percent: f64,
    deviation: f64,
}

impl Light {
    fn of(aligned: &AlignedFace) -> Light {
        let side = aligned.side();
        let share = |part: usize| side * part / 112;
        let (mut white, mut black, mut sum, mut squares, mut count) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for y in share(38)..share(98) {
            for x in share(28)..share(84) {
                let at = (y * side + x) * 3;
                let [red, green, blue] = [0, 1, 2].map(|c| f64::from(aligned.rgb()[at + c]));
                let luma = 0.299 * red + 0.587 * green + 0.114 * blue;
                white += f64::from(u8::from(luma >= WHITE_FROM));
                black += f64::from(u8::from(luma <= BLACK_TO));
                sum += luma;
                squares += luma * luma;
                count += 1.0;
            }
        }
        let mean: f64 = sum / count;
        Light {
            white_percent: 100.0 * white / count,
            black_percent: 100.0 * black / count,
            deviation: (squares / count - mean * mean).max(0.0).sqrt(),
        }
    }

    fn faults(&self) -> [Option<PortraitFault>; 3] {
        let is_extreme = |percent: f64| percent > EXTREME_PERCENT_MAX;
        let [white, black] = [self.white_percent, self.black_percent];
        let deviation = self.deviation;
        let contrast = if deviation < *CONTRAST.start() {
            PortraitFault::LowContrast { deviation }
        } else {
            PortraitFault::HighContrast { deviation }
        };
        [
            is_extreme(white).then_some(PortraitFault::OverExposed { percent: white }),
            is_extreme(black).then_some(PortraitFault::UnderExposed { percent: black }),
            (!CONTRAST.contains(&deviation)).then_some(contrast),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::face::{DecodeLimits, FacePipeline, PipelineOptions};

    fn pipeline() -> FacePipeline {
        FacePipeline::new(&PipelineOptions::default()).unwrap()
    }

    #[test]
    fn a_portrait_shows_the_face_where_a_document_has_it() {
        let faces = pipeline();
        let bytes = include_bytes!("../../data/faces/obama-portrait.jpg");
        let picture = faces.decode(bytes).unwrap().with_border(200);
        let face = faces.only_face_in(&picture).unwrap();
        let [large, bmp] = [PortraitRules::BIOID, PortraitRules::ICAO]
            .map(|rules| portrait_bmp(&picture, &face, &rules));
        let large = Picture::decode(&large, &DecodeLimits::default()).unwrap();
        assert_eq!((large.width(), large.height()), (960, 1280));
        let eyes = faces.only_face_in(&large).unwrap().quality.eye_distance;
        assert!((eyes - 240.0).abs() < 24.0, "{eyes}");
        let portrait = Picture::decode(&bmp, &DecodeLimits::default()).unwrap();
        assert_eq!((portrait.width(), portrait.height()), (360, 480));
        let again = faces.only_face_in(&portrait).unwrap();
        let [a, b, ..] = again.landmarks;
        // Where the detector sees eyes moves by some pixels with the size of the face.
        for (found, expected) in [
            (again.quality.eye_distance, 90.0),
            ((a.x + b.x) / 2.0, 180.0),
            ((a.y + b.y) / 2.0, 216.0),
        ] {
            assert!((found - expected).abs() < 9.0, "{found} is not {expected}");
        }
        // The colours are in their places.
        let mean = |picture: &Picture, channel: usize| {
            let values = picture.rgb()[channel..].iter().step_by(3);
            values.map(|&value| f64::from(value)).sum::<f64>()
                / (picture.width() * picture.height()) as f64
        };
        assert!(
            mean(&portrait, 0) > mean(&portrait, 2),
            "red and blue are exchanged"
        );
    }

    #[test]
    fn each_fault_is_named_with_what_was_measured() {
        let faces = pipeline();
        let bytes = include_bytes!("../../data/faces/obama-portrait.jpg");
        let whole = faces.decode(bytes).unwrap();
        let picture = whole.with_border(200);
        let codes = |picture: &Picture, rules| {
            let face = faces.only_face_in(picture).unwrap();
            let aligned = faces.align(picture, &face.landmarks).unwrap();
            let faults = portrait_faults(picture, &face, &aligned, rules);
            let codes: Vec<&str> = faults.iter().map(PortraitFault::code).collect();
            codes
        };
        assert_eq!(codes(&picture, &PortraitRules::ICAO), Vec::<&str>::new());
        // The hair nearly touches the upper edge.
        assert_eq!(codes(&whole, &PortraitRules::ICAO), ["CannotCropImage"]);
        assert!(codes(&picture, &PortraitRules::BIOID).contains(&"ImageTooSmall"));
        let change = |change: fn(u8) -> u8| {
            let rgb = picture.rgb().iter().map(|&value| change(value)).collect();
            Picture::from_rgb(picture.width(), picture.height(), rgb)
        };
        let bright = change(|value| value.saturating_add(150));
        assert!(codes(&bright, &PortraitRules::ICAO).contains(&"ImageOverExposure"));
        let flat = change(|value| 110 + value / 8);
        assert!(codes(&flat, &PortraitRules::ICAO).contains(&"FaceContrastTooLow"));
        let side = picture.width().min(picture.height());
        let middle = (side as f64 / 2.0, side as f64 / 2.0);
        let tilt = Similarity::about(15.0, 1.0, middle, middle);
        let tilted = warp(&picture, &tilt, (side, side), Outside::Nearest);
        assert!(codes(&tilted, &PortraitRules::ICAO).contains(&"HeadRotatedTooFar"));
    }
}
