//! The same picture as PNG, for whatever shows no SVG.

use std::io::Cursor;
use std::sync::LazyLock;

use ab_glyph::{Font, FontRef, OutlineCurve};
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder, ImageError};
use tiny_skia::{
    Color, FillRule, LineJoin, Paint, Path, PathBuilder, Pixmap, Stroke as Pen, StrokeDash,
    Transform,
};

use super::svg::{Anchor, Manner, Point, Shape, Stroke, Svg};

/// Pixels for one of the picture: text is read on fine screens, and in print.
const SCALE: f32 = 2.0;
const TEXT_SIZE: f32 = 13.0;
const HEADING_SIZE: f32 = 15.0;
const TEXT_COLOUR: &str = "#222222";
/// How much thicker letters of headings are, on each side.
const BOLD: f32 = 0.45;

static FONT: LazyLock<FontRef<'static>> = LazyLock::new(|| {
    FontRef::try_from_slice(include_bytes!("../../../data/fonts/names.ttf"))
        .expect("the font that is built in is one")
});

impl Svg {
    /// The bytes of a PNG with this picture, twice as large as the SVG.
    ///
    /// # Errors
    ///
    /// If there is no room for it.
    pub(crate) fn png(&self) -> Result<Vec<u8>, ImageError> {
        let size = |pixels: f64| (pixels as f32 * SCALE).ceil().clamp(1.0, 20_000.0) as u32;
        let (width, height) = (size(self.width), size(self.height));
        let no_room = || std::io::Error::from(std::io::ErrorKind::OutOfMemory);
        let mut pixels = Pixmap::new(width, height).ok_or_else(no_room)?;
        pixels.fill(Color::WHITE);
        for shape in &self.shapes {
            draw(&mut pixels, shape);
        }
        let rgb: Vec<u8> = pixels
            .data()
            .as_chunks::<4>()
            .0
            .iter()
            .flat_map(|[red, green, blue, _]| [*red, *green, *blue])
            .collect();
        let mut bytes = Cursor::new(Vec::new());
        let encoder = PngEncoder::new(&mut bytes);
        encoder.write_image(&rgb, width, height, ExtendedColorType::Rgb8)?;
        Ok(bytes.into_inner())
    }
}

fn draw(pixels: &mut Pixmap, shape: &Shape) {
    let scale = Transform::from_scale(SCALE, SCALE);
    match shape {
        Shape::Line(points, stroke) => {
            if let Some(path) = polyline(points, false) {
                pixels.stroke_path(&path, &paint(stroke.colour, 1.0), &pen(stroke), scale, None);
            }
        }
        Shape::Area(points, colour, opacity) => {
            if let Some(path) = polyline(points, true) {
                let paint = paint(colour, *opacity as f32);
                pixels.fill_path(&path, &paint, FillRule::Winding, scale, None);
            }
        }
        Shape::Ring((x, y), radius, colour) => {
            let path = PathBuilder::from_circle(*x as f32, *y as f32, *radius as f32);
            if let Some(path) = path {
                let pen = Pen {
                    width: 2.0,
                    ..Pen::default()
                };
                pixels.fill_path(
                    &path,
                    &paint("#ffffff", 1.0),
                    FillRule::Winding,
                    scale,
                    None,
                );
                pixels.stroke_path(&path, &paint(colour, 1.0), &pen, scale, None);
            }
        }
        Shape::Text {
            at,
            anchor,
            manner,
            text,
        } => write(pixels, *at, *anchor, *manner, text),
    }
}

fn polyline(points: &[Point], is_closed: bool) -> Option<Path> {
    let mut path = PathBuilder::new();
    let mut points = points
        .iter()
        .filter(|(x, y)| x.is_finite() && y.is_finite());
    let (x, y) = points.next()?;
    path.move_to(*x as f32, *y as f32);
    points.for_each(|(x, y)| path.line_to(*x as f32, *y as f32));
    if is_closed {
        path.close();
    }
    path.finish()
}

fn pen(stroke: &Stroke) -> Pen {
    let dashes = stroke.dashes.split_whitespace();
    let mut dashes: Vec<f32> = dashes.filter_map(|dash| dash.parse().ok()).collect();
    // As SVG has it: an odd number of lengths is gone through twice.
    if !dashes.len().is_multiple_of(2) {
        dashes.extend_from_within(..);
    }
    Pen {
        width: stroke.width as f32,
        line_join: LineJoin::Round,
        dash: StrokeDash::new(dashes, 0.0),
        ..Pen::default()
    }
}

fn paint(colour: &str, opacity: f32) -> Paint<'static> {
    let part = |at: usize| {
        let digits = colour.get(at..at + 2);
        digits
            .and_then(|digits| u8::from_str_radix(digits, 16).ok())
            .unwrap_or(0)
    };
    let mut paint = Paint::default();
    let alpha = (opacity.clamp(0.0, 1.0) * 255.0).round() as u8;
    paint.set_color_rgba8(part(1), part(3), part(5), alpha);
    paint
}

fn write(pixels: &mut Pixmap, (x, y): Point, anchor: Anchor, manner: Manner, text: &str) {
    let size = match manner {
        Manner::Heading => HEADING_SIZE,
        Manner::Plain | Manner::Upright => TEXT_SIZE,
    };
    let unit = size / FONT.units_per_em().unwrap_or(1_000.0);
    let (path, width) = letters(text, unit);
    let Some(path) = path else { return };
    let left = match anchor {
        Anchor::Start => 0.0,
        Anchor::Middle => -width / 2.0,
        Anchor::End => -width,
    };
    let turn = match manner {
        Manner::Upright => Transform::from_rotate(-90.0),
        Manner::Plain | Manner::Heading => Transform::identity(),
    };
    let place = Transform::from_translate(left, 0.0)
        .post_concat(turn)
        .post_translate(x as f32, y as f32)
        .post_scale(SCALE, SCALE);
    let ink = paint(TEXT_COLOUR, 1.0);
    pixels.fill_path(&path, &ink, FillRule::Winding, place, None);
    if manner == Manner::Heading {
        let pen = Pen {
            width: BOLD,
            ..Pen::default()
        };
        pixels.stroke_path(&path, &ink, &pen, place, None);
    }
}

/// The outlines of a text that begins at 0 on its line, and how wide it is.
fn letters(text: &str, unit: f32) -> (Option<Path>, f32) {
    let mut path = PathBuilder::new();
    let mut left = 0.0;
    for letter in text.chars().filter(|letter| !letter.is_control()) {
        let glyph = FONT.glyph_id(letter);
        if let Some(outline) = FONT.outline(glyph) {
            let point = |point: ab_glyph::Point| (left + point.x * unit, -point.y * unit);
            let mut end = None;
            for curve in outline.curves {
                let start = match curve {
                    OutlineCurve::Line(a, _)
                    | OutlineCurve::Quad(a, _, _)
                    | OutlineCurve::Cubic(a, _, _, _) => point(a),
                };
                if end != Some(start) {
                    path.move_to(start.0, start.1);
                }
                end = Some(match curve {
                    OutlineCurve::Line(_, b) => {
                        let b = point(b);
                        path.line_to(b.0, b.1);
                        b
                    }
                    OutlineCurve::Quad(_, b, c) => {
                        let (b, c) = (point(b), point(c));
                        path.quad_to(b.0, b.1, c.0, c.1);
                        c
                    }
                    OutlineCurve::Cubic(_, b, c, d) => {
                        let (b, c, d) = (point(b), point(c), point(d));
                        path.cubic_to(b.0, b.1, c.0, c.1, d.0, d.1);
                        d
                    }
                });
            }
        }
        left += FONT.h_advance_unscaled(glyph) * unit;
    }
    (path.finish(), left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_its_lines_areas_and_letters() {
        let mut svg = Svg::new(100.0, 50.0, "t");
        let line = Stroke {
            colour: "#d55e00",
            width: 4.0,
            dashes: "10 10",
        };
        svg.line(&[(0.0, 10.0), (100.0, 10.0)], line);
        svg.area(
            &[(0.0, 30.0), (10.0, 30.0), (10.0, 50.0), (0.0, 50.0)],
            "#0000ff",
            0.5,
        );
        svg.heading((50.0, 40.0), Anchor::Middle, "M&<\u{1}");
        svg.upright_text((90.0, 40.0), "i");
        svg.line(&[(f64::NAN, 1.0)], line);
        let bytes = svg.png().unwrap();
        let image = image::load_from_memory(&bytes).unwrap().to_rgb8();
        assert_eq!(image.dimensions(), (200, 100));
        let at = |x: u32, y: u32| image.get_pixel(2 * x, 2 * y).0;
        assert_eq!(at(5, 10), [0xd5, 0x5e, 0x00]);
        assert_eq!(at(15, 10), [255; 3], "a gap between dashes");
        assert!(at(5, 40)[2] > 200 && (100..150).contains(&at(5, 40)[0]));
        let is_dark = |x: u32, y: u32| image.get_pixel(x, y).0[0] < 100;
        let within = |xs: std::ops::Range<u32>, ys: std::ops::Range<u32>| {
            xs.flat_map(|x| ys.clone().map(move |y| (x, y)))
                .filter(|(x, y)| is_dark(*x, *y))
                .count()
        };
        assert!(within(70..130, 55..85) > 60, "letters are there");
        assert_eq!(within(146..156, 55..85), 0, "and nowhere else");
    }
}
