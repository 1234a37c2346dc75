//! Boxes and names drawn on a picture, to be read on light and on dark.

use std::io::Cursor;
use std::sync::LazyLock;

use ab_glyph::{Font, FontRef, PxScale, ScaleFont, point};
use image::ExtendedColorType;
use image::ImageEncoder;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;

use super::decode::Picture;
use super::detect::Bounds;

/// A face that is drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// Where it is.
    pub bounds: Bounds,
    /// Its number, which is drawn where there is no name that can be.
    pub number: usize,
    /// Who it is, if that is known.
    pub name: Option<String>,
}

/// As what a picture is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PictureKind {
    /// JPEG of good quality.
    Jpeg,
    /// PNG, without loss.
    Png,
}

type Colour = [u8; 3];

const WHITE: Colour = [255; 3];
const BLACK: Colour = [0; 3];
/// White is read on it, by those who do not see green as well.
const KNOWN: Colour = [0, 90, 60];
const OTHER: Colour = [60, 60, 60];

/// Longer names are cut.
const NAME_CHARACTERS_MAX: usize = 40;
/// Letters are so high at least, in pixels, with what is above and below them.
const TEXT_HEIGHT_MIN: f32 = 15.0;
/// As a share of the longer side of the picture, and of the face.
const TEXT_SHARE: f32 = 1.0 / 45.0;
const TEXT_SHARE_OF_FACE: f32 = 0.22;

static FONT: LazyLock<FontRef<'static>> = LazyLock::new(|| {
    FontRef::try_from_slice(include_bytes!("../../data/fonts/names.ttf"))
        .expect("the font that is built in is one")
});

/// The picture with a box around each face, and beside it the name or, where there is none or it has
/// letters that the font has not, the number.
pub fn annotate(picture: &Picture, marks: &[Mark]) -> Picture {
    let mut canvas = Canvas::of(picture);
    let line = (picture.width().max(picture.height()) / 500).clamp(1, 8) as i64;
    let frames: Vec<Area> = marks.iter().map(|mark| Area::of(&mark.bounds)).collect();
    for frame in &frames {
        canvas.frame(&frame.grown(2 * line), line, BLACK);
        canvas.frame(&frame.grown(line), line, WHITE);
    }
    let mut tags: Vec<Area> = Vec::new();
    for (mark, frame) in marks.iter().zip(&frames) {
        let text = Text::new(label(mark), text_height(picture, frame));
        let area = canvas.place(&text, &frame.grown(2 * line), &tags);
        let ground = if mark.name.is_some() { KNOWN } else { OTHER };
        canvas.fill(&area.grown(1), WHITE);
        canvas.fill(&area, ground);
        canvas.write(&text, &area);
        tags.push(area.grown(1));
    }
    Picture::from_rgb(picture.width(), picture.height(), canvas.rgb)
}

impl Picture {
    /// The bytes of a file with this picture.
    ///
    /// # Errors
    ///
    /// If it cannot be written as that.
    pub fn encode(&self, kind: PictureKind) -> Result<Vec<u8>, image::ImageError> {
        let mut bytes = Cursor::new(Vec::new());
        let (width, height) = (self.width() as u32, self.height() as u32);
        let colour = ExtendedColorType::Rgb8;
        match kind {
            PictureKind::Jpeg => {
                let encoder = JpegEncoder::new_with_quality(&mut bytes, 92);
                encoder.write_image(self.rgb(), width, height, colour)?;
            }
            PictureKind::Png => {
                let encoder = PngEncoder::new(&mut bytes);
                encoder.write_image(self.rgb(), width, height, colour)?;
            }
        }
        Ok(bytes.into_inner())
    }

    /// The part of it that lies within `bounds`; of one pixel at least.
    #[must_use]
    pub fn cut(&self, bounds: &Bounds) -> Picture {
        let within = |at: f32, most: usize| (at.round().max(0.0) as usize).min(most);
        let left = within(bounds.x, self.width() - 1);
        let top = within(bounds.y, self.height() - 1);
        let right = within(bounds.x + bounds.width, self.width()).max(left + 1);
        let bottom = within(bounds.y + bounds.height, self.height()).max(top + 1);
        let line = 3 * self.width();
        let rows =
            (top..bottom).flat_map(|y| &self.rgb()[y * line + 3 * left..y * line + 3 * right]);
        Picture::from_rgb(right - left, bottom - top, rows.copied().collect())
    }
}

/// Whether the font has all letters of a name.
fn is_writable(name: &str) -> bool {
    !name.trim().is_empty() && name.chars().all(|letter| FONT.glyph_id(letter).0 != 0)
}

fn label(mark: &Mark) -> String {
    let name = mark.name.as_deref().filter(|name| is_writable(name));
    let Some(name) = name else {
        return mark.number.to_string();
    };
    if name.chars().count() <= NAME_CHARACTERS_MAX {
        return name.to_owned();
    }
    let begin: String = name.chars().take(NAME_CHARACTERS_MAX - 1).collect();
    format!("{}\u{2026}", begin.trim_end())
}

fn text_height(picture: &Picture, face: &Area) -> f32 {
    let longer = picture.width().max(picture.height()) as f32;
    let of_face = face.height() as f32 * TEXT_SHARE_OF_FACE;
    of_face.min(longer * TEXT_SHARE).max(TEXT_HEIGHT_MIN)
}

/// Whole pixels; the right and the lower edge are the first beyond it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Area {
    left: i64,
    top: i64,
    right: i64,
    bottom: i64,
}

impl Area {
    fn of(bounds: &Bounds) -> Area {
        let whole = |at: f32| at.round() as i64;
        Area {
            left: whole(bounds.x),
            top: whole(bounds.y),
            right: whole(bounds.x + bounds.width),
            bottom: whole(bounds.y + bounds.height),
        }
    }

    fn grown(&self, by: i64) -> Area {
        Area {
            left: self.left - by,
            top: self.top - by,
            right: self.right + by,
            bottom: self.bottom + by,
        }
    }

    fn height(&self) -> i64 {
        self.bottom - self.top
    }

    fn shared(&self, other: &Area) -> i64 {
        let across = self.right.min(other.right) - self.left.max(other.left);
        let down = self.bottom.min(other.bottom) - self.top.max(other.top);
        across.max(0) * down.max(0)
    }
}

/// A line of text, and how much room it takes.
struct Text {
    text: String,
    scale: PxScale,
    padding: i64,
    width: i64,
    height: i64,
}

impl Text {
    fn new(text: String, height: f32) -> Text {
        let scale = PxScale::from(height);
        let font = FONT.as_scaled(scale);
        let advances = text
            .chars()
            .map(|letter| font.h_advance(font.glyph_id(letter)));
        let width: f32 = advances.sum();
        let padding = (height / 6.0).round() as i64;
        Text {
            text,
            scale,
            padding,
            width: width.ceil() as i64 + 2 * padding,
            height: font.height().ceil() as i64 + padding,
        }
    }
}

/// The pixels that are drawn on.
struct Canvas {
    width: i64,
    height: i64,
    rgb: Vec<u8>,
}

impl Canvas {
    fn of(picture: &Picture) -> Canvas {
        Canvas {
            width: picture.width() as i64,
            height: picture.height() as i64,
            rgb: picture.rgb().to_vec(),
        }
    }

    /// Where a text covers least of the other texts: above its face, below it, or within it.
    fn place(&self, text: &Text, face: &Area, others: &[Area]) -> Area {
        let left = face.left.min(self.width - text.width).max(0);
        let tops = [
            face.top - text.height,
            face.bottom,
            face.bottom - text.height,
            face.top,
        ];
        let areas = tops.map(|top| {
            let top = top.min(self.height - text.height).max(0);
            Area {
                left,
                top,
                right: left + text.width,
                bottom: top + text.height,
            }
        });
        let covered = |area: &Area| {
            let texts: i64 = others.iter().map(|other| other.shared(area)).sum();
            // Of two places that are as good, the one that shows more of the face.
            (texts, area.shared(face))
        };
        let best = areas.into_iter().min_by_key(covered);
        best.expect("there are four places")
    }

    fn fill(&mut self, area: &Area, colour: Colour) {
        for y in area.top.max(0)..area.bottom.min(self.height) {
            for x in area.left.max(0)..area.right.min(self.width) {
                self.blend(x, y, colour, 1.0);
            }
        }
    }

    /// Draws the edges of an area, so many pixels wide, within it.
    fn frame(&mut self, area: &Area, line: i64, colour: Colour) {
        let Area {
            left,
            top,
            right,
            bottom,
        } = *area;
        for edge in [
            Area {
                bottom: top + line,
                ..*area
            },
            Area {
                top: bottom - line,
                ..*area
            },
            Area {
                right: left + line,
                ..*area
            },
            Area {
                left: right - line,
                ..*area
            },
        ] {
            self.fill(&edge, colour);
        }
    }

    fn write(&mut self, text: &Text, area: &Area) {
        let font = FONT.as_scaled(text.scale);
        let mut x = (area.left + text.padding) as f32;
        let base = area.top as f32 + text.padding as f32 / 2.0 + font.ascent();
        for letter in text.text.chars() {
            let mut glyph = font.scaled_glyph(letter);
            glyph.position = point(x, base);
            x += font.h_advance(glyph.id);
            let Some(outline) = font.outline_glyph(glyph) else {
                continue;
            };
            let corner = outline.px_bounds().min;
            outline.draw(|dx, dy, share| {
                let at = (
                    corner.x as i64 + i64::from(dx),
                    corner.y as i64 + i64::from(dy),
                );
                self.blend(at.0, at.1, WHITE, share);
            });
        }
    }

    fn blend(&mut self, x: i64, y: i64, colour: Colour, share: f32) {
        if !(0..self.width).contains(&x) || !(0..self.height).contains(&y) {
            return;
        }
        let start = 3 * (y * self.width + x) as usize;
        for (value, new) in self.rgb[start..start + 3].iter_mut().zip(colour) {
            let share = share.clamp(0.0, 1.0);
            let mixed = f32::from(*value) * (1.0 - share) + f32::from(new) * share;
            *value = mixed.round() as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(name: Option<&str>) -> Mark {
        Mark {
            bounds: Bounds {
                x: 100.0,
                y: 100.0,
                width: 80.0,
                height: 100.0,
            },
            number: 7,
            name: name.map(str::to_owned),
        }
    }

    #[test]
    fn names_are_drawn_whose_letters_there_are_and_numbers_in_place_of_others() {
        for (name, expected) in [
            (Some("Ada Lovelace"), "Ada Lovelace"),
            (Some("Zoë Ångström"), "Zoë Ångström"),
            (Some("Софья Ковалевская"), "Софья Ковалевская"),
            (Some("Nguyễn Ái"), "Nguyễn Ái"),
            (Some("<b>&amp;"), "<b>&amp;"),
            (Some("山田"), "7"),
            (Some("\u{202e}evil"), "7"),
            (Some("a\nb"), "7"),
            (Some(" "), "7"),
            (Some(""), "7"),
            (None, "7"),
        ] {
            assert_eq!(label(&mark(name)), expected, "{name:?}");
        }
        let long = label(&mark(Some(&"long ".repeat(2000))));
        assert!(long.chars().count() <= NAME_CHARACTERS_MAX, "{long}");
        assert!(long.ends_with('\u{2026}'));
    }

    #[test]
    fn boxes_and_tags_are_seen_on_light_and_on_dark_and_stay_within_the_picture() {
        for ground in [0, 255] {
            let picture = Picture::from_rgb(400, 300, vec![ground; 3 * 400 * 300]);
            let drawn = annotate(&picture, &[mark(Some("Ada"))]);
            for colour in [0, 255] {
                let count = drawn.rgb().iter().filter(|value| **value == colour).count();
                let before = if ground == colour { 3 * 400 * 300 } else { 0 };
                assert!(count.abs_diff(before) > 300, "{colour} on {ground}");
            }
            // Inside of the face nothing is drawn.
            let middle = 3 * (150 * 400 + 140);
            assert_eq!(drawn.rgb()[middle], ground);
        }
        for bounds in [
            Bounds {
                x: -50.0,
                y: -70.0,
                width: 80.0,
                height: 100.0,
            },
            Bounds {
                x: 390.0,
                y: 290.0,
                width: 80.0,
                height: 100.0,
            },
            Bounds {
                x: -1e6,
                y: -1e6,
                width: 1e7,
                height: 1e7,
            },
        ] {
            let picture = Picture::from_rgb(400, 300, vec![90; 3 * 400 * 300]);
            let drawn = annotate(
                &picture,
                &[Mark {
                    bounds,
                    ..mark(Some("Grace Hopper"))
                }],
            );
            assert_ne!(drawn, picture, "{bounds:?}");
        }
        let tiny = Picture::from_rgb(5, 5, vec![90; 75]);
        annotate(&tiny, &[mark(Some("Ada"))]);
    }

    #[test]
    fn tags_of_neighbours_do_not_cover_each_other() {
        let picture = Picture::from_rgb(600, 400, vec![90; 3 * 600 * 400]);
        let canvas = Canvas::of(&picture);
        let face = Area {
            left: 100,
            top: 100,
            right: 180,
            bottom: 200,
        };
        let text = || Text::new("Ada Lovelace".to_owned(), 20.0);
        let mut tags = Vec::new();
        for at in 0..3 {
            let near = Area {
                left: face.left + 20 * at,
                right: face.right + 20 * at,
                ..face
            };
            let area = canvas.place(&text(), &near, &tags);
            assert!(
                tags.iter().all(|tag| area.shared(tag) == 0),
                "{area:?}: {tags:?}"
            );
            tags.push(area);
        }
    }

    #[test]
    fn a_picture_is_written_and_cut() {
        let rgb: Vec<u8> = (0..3 * 40 * 30_u32).map(|at| (at % 251) as u8).collect();
        let picture = Picture::from_rgb(40, 30, rgb);
        let limits = super::super::DecodeLimits::default();
        let png = picture.encode(PictureKind::Png).unwrap();
        assert_eq!(Picture::decode(&png, &limits).unwrap(), picture);
        let jpeg = picture.encode(PictureKind::Jpeg).unwrap();
        let jpeg = Picture::decode(&jpeg, &limits).unwrap();
        assert_eq!((jpeg.width(), jpeg.height()), (40, 30));
        let cut = picture.cut(&Bounds {
            x: 10.0,
            y: 5.0,
            width: 20.0,
            height: 100.0,
        });
        assert_eq!((cut.width(), cut.height()), (20, 25));
        assert_eq!(cut.rgb()[..3], picture.rgb()[3 * (5 * 40 + 10)..][..3]);
        let cut = picture.cut(&Bounds {
            x: -90.0,
            y: 500.0,
            width: 1.0,
            height: 1.0,
        });
        assert_eq!((cut.width(), cut.height()), (1, 1));
    }
}
