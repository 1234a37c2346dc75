//! Pictures, made once.

use std::sync::LazyLock;

use image::imageops::FilterType;
use image::{DynamicImage, ImageFormat};

use super::super::app;

/// A picture, as data-URL.
macro_rules! picture {
    ($name:ident, $make:expr) => {
        pub(super) fn $name() -> &'static str {
            static MADE: LazyLock<String> = LazyLock::new(|| $make);
            &MADE
        }
    };
}

picture!(obama, app::obama());
picture!(obama_again, app::obama_again());
// Between the portrait and this one the head turns to the left of the picture.
picture!(obama_left, app::portrait("obama-speech"));
picture!(obama_right, mirrored("obama-speech"));
// So blurred that the similarity to the other two pictures, 0.30 and 0.36, lies within that level of
// `photoverify`, where a sharp picture has 0.75.
picture!(reaches_3, blurred_speech(4.05));
picture!(reaches_4, blurred_speech(3.75));
picture!(biden, app::biden());
picture!(nobody, app::nobody());
picture!(two_people, app::two_people());
picture!(blurred, blur());
picture!(small, shrink());
picture!(canvas, written_as("image/png"));
picture!(
    grey,
    app::encoded(
        &DynamicImage::ImageLuma8(portrait().to_luma8()),
        ImageFormat::Png
    )
);

/// 360 x 480, as a canvas has it.
fn portrait() -> DynamicImage {
    let picture = image::load_from_memory(&app::file("obama-portrait")).unwrap();
    picture.resize_to_fill(360, 480, FilterType::Triangle)
}

/// A portrait as a mirror shows it.
fn mirrored(name: &str) -> String {
    let picture = image::load_from_memory(&app::file(name)).unwrap();
    app::png(&picture.fliph().to_rgb8())
}

/// So blurred that it is accepted with a warning.
fn blur() -> String {
    app::png(&image::imageops::blur(&portrait().to_rgb8(), 4.0))
}

fn blurred_speech(deviation_px: f32) -> String {
    let picture = image::load_from_memory(&app::file("obama-speech")).unwrap();
    let picture = picture.resize_exact(125, 240, FilterType::Triangle);
    app::png(&image::imageops::blur(&picture.to_rgb8(), deviation_px))
}

/// With a face of few pixels.
fn shrink() -> String {
    let picture = portrait().resize_exact(120, 160, FilterType::Triangle);
    app::png(&picture.to_rgb8())
}

/// The portrait in the format of a media type, with an alpha channel where there can be one.
pub(super) fn written_as(kind: &str) -> String {
    let format = ImageFormat::from_mime_type(kind).unwrap();
    let picture = portrait();
    let picture = match format {
        ImageFormat::Jpeg => picture,
        _ => DynamicImage::ImageRgba8(picture.to_rgba8()),
    };
    app::encoded(&picture, format)
}
