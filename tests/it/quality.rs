//! Portraits, and what is made of them that is no natural portrait.

use image::imageops::{self, FilterType};
use image::{DynamicImage, Rgb, RgbImage};
use vultus::face::{Face, FaceError, FacePipeline, Picture, PipelineOptions, Warning};
use vultus::intake::ENROLL_QUALITY_MIN;
use vultus::types::Embedding;

use super::harness::pictures;

/// Three of one man, and one of another.
const PORTRAITS: [&str; 4] = [
    "obama-portrait",
    "obama-speech",
    "obama-white-house",
    "biden-portrait",
];

fn pipeline() -> FacePipeline {
    FacePipeline::new(&PipelineOptions::default()).unwrap()
}

/// Small enough that a test of many is quick.
fn portrait(name: &str) -> RgbImage {
    let picture = pictures::opened(name).to_rgb8();
    let height = 480 * picture.height() / picture.width();
    imageops::resize(&picture, 480, height, FilterType::Triangle)
}

fn look(pipeline: &FacePipeline, picture: &RgbImage) -> Result<Face, FaceError> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let picture = Picture::from_rgb(width, height, picture.clone().into_raw());
    pipeline.only_face_in(&picture)
}

fn cosine(a: &Embedding, b: &Embedding) -> f64 {
    let pairs = a.values().iter().zip(b.values());
    pairs.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

#[test]
fn natural_portraits_are_fit_and_nothing_is_said() {
    let pipeline = pipeline();
    for name in PORTRAITS {
        let natural = portrait(name);
        let mirrored = imageops::flip_horizontal(&natural);
        let grey = DynamicImage::from(natural.clone()).to_luma8();
        let grey = DynamicImage::from(grey).to_rgb8();
        for (kind, picture) in [("natural", natural), ("mirrored", mirrored), ("grey", grey)] {
            let face = look(&pipeline, &picture).unwrap();
            assert_eq!(face.warnings, [], "{name}, {kind}: {:?}", face.quality);
            assert!(
                face.quality.score() > 0.7,
                "{name}, {kind}: {:?}",
                face.quality
            );
        }
    }
}

#[test]
fn a_picture_on_its_side_or_upside_down_is_turned() {
    let pipeline = pipeline();
    for name in PORTRAITS {
        let natural = portrait(name);
        let upright = look(&pipeline, &natural).unwrap();
        for (turned, picture) in [
            (90.0, imageops::rotate270(&natural)),
            (180.0, imageops::rotate180(&natural)),
            (270.0, imageops::rotate90(&natural)),
        ] {
            let face = look(&pipeline, &picture).unwrap_or_else(|e| panic!("{name} {turned}: {e}"));
            if name == "obama-speech" && turned == 90.0 {
                // Another face is seen in it first, tilted by 59 degrees. Nobody is enrolled with it.
                assert!(
                    face.quality.score() < ENROLL_QUALITY_MIN,
                    "{:?}",
                    face.quality
                );
                continue;
            }
            assert_eq!(face.quality.turned, turned, "{name}");
            assert_eq!(
                face.warnings,
                [Warning::PictureTurned],
                "{name}: {:?}",
                face.quality
            );
            let alike = cosine(&face.embedding, &upright.embedding);
            assert!(alike > 0.85, "{name} turned back by {turned}: {alike}");
            assert!(
                face.quality.score() > 0.6,
                "{name} {turned}: {:?}",
                face.quality
            );
        }
    }
}

fn inverted(picture: &RgbImage) -> RgbImage {
    let mut picture = picture.clone();
    imageops::invert(&mut picture);
    picture
}

fn mapped(picture: &RgbImage, value: impl Fn(u8) -> u8) -> RgbImage {
    let mut picture = picture.clone();
    for pixel in picture.pixels_mut() {
        *pixel = Rgb(pixel.0.map(&value));
    }
    picture
}

/// Made again from fewer pixels, of which the face has so many from forehead to chin.
fn blown_up(picture: &RgbImage, face: &Face, height: f32, filter: FilterType) -> RgbImage {
    let scale = height / face.bounds.height;
    let side = |side: u32| ((side as f32 * scale).round() as u32).max(1);
    let (width, height) = (side(picture.width()), side(picture.height()));
    let small = imageops::resize(picture, width, height, FilterType::Triangle);
    imageops::resize(&small, picture.width(), picture.height(), filter)
}

/// With some of the face, in shares of its bounds, in one colour.
fn covered(
    picture: &RgbImage,
    face: &Face,
    [left, top, right, bottom]: [f32; 4],
    colour: u8,
) -> RgbImage {
    let mut picture = picture.clone();
    let of = face.bounds;
    for (x, y, pixel) in picture.enumerate_pixels_mut() {
        let (x, y) = ((x as f32 - of.x) / of.width, (y as f32 - of.y) / of.height);
        if (left..right).contains(&x) && (top..bottom).contains(&y) {
            *pixel = Rgb([colour; 3]);
        }
    }
    picture
}

/// In relief, as by light from one side, and a tenth of what it was.
fn embossed(picture: &RgbImage) -> RgbImage {
    let mut relief = picture.clone();
    for (x, y, pixel) in relief.enumerate_pixels_mut() {
        let here = picture.get_pixel(x, y).0;
        let beside = picture
            .get_pixel(x.saturating_sub(1), y.saturating_sub(1))
            .0;
        *pixel = Rgb(std::array::from_fn(|at| {
            let value = f32::from(here[at]);
            let raised = (value - f32::from(beside[at]) + 128.0).clamp(0.0, 255.0);
            (0.9 * raised + 0.1 * value) as u8
        }));
    }
    relief
}

/// Whatever the network makes of it, nobody is enrolled with it.
#[test]
fn what_is_no_natural_portrait_is_refused_or_has_no_face() {
    let pipeline = pipeline();
    for name in PORTRAITS {
        let natural = portrait(name);
        let face = look(&pipeline, &natural).unwrap();
        let eyes = face.quality.eye_distance;
        for (kind, picture) in [
            ("negative", inverted(&natural)),
            ("negative, turned", imageops::rotate180(&inverted(&natural))),
            ("of one bit", mapped(&natural, |value| value & 0x80)),
            ("embossed", embossed(&natural)),
            ("blurred", imageops::blur(&natural, 0.15 * eyes)),
            (
                "squares",
                blown_up(&natural, &face, 24.0, FilterType::Nearest),
            ),
            (
                "left covered",
                covered(&natural, &face, [-0.1, -0.2, 0.5, 1.2], 128),
            ),
            (
                "right covered, white",
                covered(&natural, &face, [0.5, -0.2, 1.1, 1.2], 255),
            ),
            (
                "mouth covered",
                covered(&natural, &face, [-0.1, 0.5, 1.1, 1.2], 60),
            ),
            (
                "eyes covered",
                covered(&natural, &face, [-0.1, 0.2, 1.1, 0.5], 0),
            ),
        ] {
            let Ok(face) = look(&pipeline, &picture) else {
                continue;
            };
            let score = face.quality.score();
            assert!(
                score < ENROLL_QUALITY_MIN,
                "{name}, {kind}: {score} {:?}",
                face.quality
            );
            assert_ne!(face.warnings, [], "{name}, {kind}");
        }
    }
}

/// They are recognised, and whoever enrols should know.
#[test]
fn few_pixels_that_were_blown_up_are_told() {
    let pipeline = pipeline();
    for name in PORTRAITS {
        let natural = portrait(name);
        let face = look(&pipeline, &natural).unwrap();
        for (kind, picture) in [
            (
                "squares",
                blown_up(&natural, &face, 45.0, FilterType::Nearest),
            ),
            (
                "smooth",
                blown_up(&natural, &face, 30.0, FilterType::CatmullRom),
            ),
        ] {
            let small = look(&pipeline, &picture).unwrap();
            let told = small.warnings.iter().any(|warning| {
                matches!(
                    warning,
                    Warning::ImageTooSmall | Warning::ImageWayTooSmall | Warning::ImageTooBlurry
                )
            });
            assert!(
                told,
                "{name}, {kind}: {:?} {:?}",
                small.warnings, small.quality
            );
            assert!(
                small.quality.score() < 0.6,
                "{name}, {kind}: {:?}",
                small.quality
            );
        }
    }
}
