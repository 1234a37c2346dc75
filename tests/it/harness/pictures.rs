//! Pictures, made once.

use std::io::Cursor;
use std::sync::LazyLock;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use image::imageops::{self, FilterType};
use image::{DynamicImage, ImageFormat, RgbImage};

/// A picture, as data-URL.
macro_rules! picture {
    ($name:ident, $make:expr) => {
        pub(crate) fn $name() -> &'static str {
            static MADE: LazyLock<String> = LazyLock::new(|| $make);
            &MADE
        }
    };
}

picture!(obama, of("obama-portrait"));
picture!(obama_again, of("obama-white-house"));
// Between the portrait and this one the head turns to the left of the picture.
picture!(obama_left, of("obama-speech"));
picture!(obama_right, mirrored("obama-speech"));
// So blurred that the similarity to the other two pictures lies within that level of `photoverify`,
// where a sharp picture has 0.75: from a deviation of 4.1 to 4.2 and from 3.9 to 4.
picture!(reaches_3, blurred_speech(4.15));
picture!(reaches_4, blurred_speech(3.95));
picture!(biden, of("biden-portrait"));
picture!(
    nobody,
    png(&RgbImage::from_pixel(320, 240, image::Rgb([128; 3])))
);
picture!(two_people, side_by_side());
picture!(with_room, widened());
picture!(blurred, blur());
picture!(small, shrink());
picture!(negative, inverted());
picture!(canvas, written_as("image/png"));
picture!(
    grey,
    encoded(
        &DynamicImage::ImageLuma8(portrait().to_luma8()),
        ImageFormat::Png
    )
);

fn inverted() -> String {
    let mut picture = portrait();
    picture.invert();
    encoded(&picture, ImageFormat::Jpeg)
}

/// The file of a picture.
pub(crate) fn file(name: &str) -> Vec<u8> {
    let root = env!("CARGO_MANIFEST_DIR");
    std::fs::read(format!("{root}/data/faces/{name}.jpg")).unwrap()
}

pub(crate) fn opened(name: &str) -> DynamicImage {
    image::load_from_memory(&file(name)).unwrap()
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

pub(crate) fn data_url(kind: &str, bytes: &[u8]) -> String {
    format!("data:{kind};base64,{}", base64(bytes))
}

pub(crate) fn png(picture: &RgbImage) -> String {
    encoded(&DynamicImage::ImageRgb8(picture.clone()), ImageFormat::Png)
}

/// A picture in a format, as data-URL.
pub(crate) fn encoded(picture: &DynamicImage, format: ImageFormat) -> String {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    data_url(format.to_mime_type(), bytes.get_ref())
}

/// A file as it is.
fn of(name: &str) -> String {
    data_url("image/jpeg", &file(name))
}

/// Two people in one picture.
fn side_by_side() -> String {
    let [left, right] = ["obama-portrait", "biden-portrait"].map(|name| {
        let picture = opened(name).resize_exact(300, 400, FilterType::Triangle);
        picture.to_rgb8()
    });
    let mut both = RgbImage::new(600, 400);
    imageops::replace(&mut both, &left, 0, 0);
    imageops::replace(&mut both, &right, 300, 0);
    png(&both)
}

/// Two people, of whom the first is there twice: near on the left, and small far on the right.
pub(crate) fn group() -> Vec<u8> {
    static MADE: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let mut group = RgbImage::from_pixel(1000, 600, image::Rgb([120, 130, 140]));
        for (name, (width, height), (left, top)) in [
            ("obama-portrait", (400, 500), (30, 60)),
            ("biden-portrait", (176, 400), (500, 150)),
            ("obama-white-house", (196, 320), (790, 30)),
        ] {
            let picture = opened(name).resize_exact(width, height, FilterType::Triangle);
            imageops::replace(&mut group, &picture.to_rgb8(), left, top);
        }
        let mut bytes = Cursor::new(Vec::new());
        let group = DynamicImage::from(group);
        group.write_to(&mut bytes, ImageFormat::Jpeg).unwrap();
        bytes.into_inner()
    });
    MADE.clone()
}

/// The portrait with a wall around it, as a document needs it.
fn widened() -> String {
    let picture = opened("obama-portrait").to_rgb8();
    let (width, height) = (picture.width() + 400, picture.height() + 400);
    let mut room = RgbImage::from_pixel(width, height, image::Rgb([150; 3]));
    imageops::replace(&mut room, &picture, 200, 200);
    png(&room)
}

/// 360 x 480, as a canvas has it.
fn portrait() -> DynamicImage {
    let picture = opened("obama-portrait");
    picture.resize_to_fill(360, 480, FilterType::Triangle)
}

/// A portrait as a mirror shows it.
fn mirrored(name: &str) -> String {
    let picture = opened(name);
    png(&picture.fliph().to_rgb8())
}

/// So blurred that it is accepted with a warning.
fn blur() -> String {
    png(&imageops::blur(&portrait().to_rgb8(), 4.0))
}

fn blurred_speech(deviation_px: f32) -> String {
    let picture = opened("obama-speech");
    let picture = picture.resize_exact(125, 240, FilterType::Triangle);
    png(&imageops::blur(&picture.to_rgb8(), deviation_px))
}

/// With a face of few pixels.
fn shrink() -> String {
    let picture = portrait().resize_exact(120, 160, FilterType::Triangle);
    png(&picture.to_rgb8())
}

/// The portrait in the format of a media type, with an alpha channel where there can be one.
pub(crate) fn written_as(kind: &str) -> String {
    let format = ImageFormat::from_mime_type(kind).unwrap();
    let picture = portrait();
    let picture = match format {
        ImageFormat::Jpeg => picture,
        _ => DynamicImage::ImageRgba8(picture.to_rgba8()),
    };
    encoded(&picture, format)
}
