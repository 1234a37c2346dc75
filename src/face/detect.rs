//! Where the faces are: YuNet, its twelve outputs, and the overlap among its answers.

use std::str::FromStr;
use std::sync::Arc;

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};

use super::decode::Picture;
use super::error::{FaceError, FaceSetupError};
use super::network::{self, Inference, Lanes, Runtime};

/// A place in a picture: pixels from its left and its top edge.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    /// Pixels from the left edge.
    pub x: f32,
    /// Pixels from the top edge.
    pub y: f32,
}

/// The eye on the left of the picture, the one on its right, the tip of the nose, and the corners
/// of the mouth on the left and right of the picture.
pub type Landmarks = [Point; 5];

/// An upright rectangle in a picture, in pixels. It may reach beyond the picture.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bounds {
    /// Its left edge.
    pub x: f32,
    /// Its top edge.
    pub y: f32,
    /// From left to right.
    pub width: f32,
    /// From top to bottom.
    pub height: f32,
}

/// A text is no rectangle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseBoundsError {
    /// There are not four numbers.
    #[error("a box is `left,top,width,height`: four numbers, in pixels of the picture")]
    Form,
    /// Nothing lies in it.
    #[error("the width and the height of a box are more than 0")]
    Empty,
    /// It is beyond any picture.
    #[error("the numbers of a box are at most {BOX_NUMBER_MAX} in size")]
    TooLarge,
}

/// No picture has so many pixels on a side.
const BOX_NUMBER_MAX: f32 = 1e6;

/// `left,top,width,height`, in pixels.
impl FromStr for Bounds {
    type Err = ParseBoundsError;

    fn from_str(text: &str) -> Result<Bounds, ParseBoundsError> {
        let numbers = text.split(',').map(|number| number.trim().parse::<f32>());
        let numbers: Vec<f32> = numbers
            .collect::<Result<_, _>>()
            .map_err(|_no_number| ParseBoundsError::Form)?;
        let numbers = <[f32; 4]>::try_from(numbers).map_err(|_other| ParseBoundsError::Form)?;
        Bounds::of_numbers(numbers)
    }
}

impl Bounds {
    /// From left edge, top edge, width and height.
    ///
    /// # Errors
    ///
    /// If one is no number or beyond any picture, or if nothing lies in it.
    pub fn of_numbers([x, y, width, height]: [f32; 4]) -> Result<Bounds, ParseBoundsError> {
        let numbers = [x, y, width, height];
        if numbers.iter().any(|number| number.is_nan()) {
            return Err(ParseBoundsError::Form);
        }
        if numbers.iter().any(|number| number.abs() > BOX_NUMBER_MAX) {
            return Err(ParseBoundsError::TooLarge);
        }
        if width <= 0.0 || height <= 0.0 {
            return Err(ParseBoundsError::Empty);
        }
        Ok(Bounds {
            x,
            y,
            width,
            height,
        })
    }

    /// How much it covers, in square pixels.
    pub fn area(&self) -> f32 {
        self.width * self.height
    }

    /// Its middle.
    pub fn centre(&self) -> Point {
        Point {
            x: self.x + self.width / 2.0,
            y: self.y + self.height / 2.0,
        }
    }

    /// How much of it two rectangles share: 1 if they are the same, 0 if they are apart.
    pub fn overlap(&self, other: &Bounds) -> f32 {
        let shared = self.shared_area(other);
        let covered = self.area() + other.area() - shared;
        if covered > 0.0 { shared / covered } else { 0.0 }
    }

    /// How much of it lies inside a picture of this size, in square pixels.
    pub fn area_within(&self, picture: &Picture) -> f32 {
        self.shared_area(&Bounds {
            x: 0.0,
            y: 0.0,
            width: picture.width() as f32,
            height: picture.height() as f32,
        })
    }

    /// With so many pixels more on each side.
    #[must_use]
    pub fn grown(&self, by: f32) -> Bounds {
        Bounds {
            x: self.x - by,
            y: self.y - by,
            width: self.width + 2.0 * by,
            height: self.height + 2.0 * by,
        }
    }

    /// Left edge, top edge, width and height of what lies within a picture of this size, in whole
    /// pixels.
    pub fn whole_within(&self, (width, height): (usize, usize)) -> [usize; 4] {
        let within = |at: f32, most: usize| (at.round().max(0.0) as usize).min(most);
        let (left, top) = (within(self.x, width), within(self.y, height));
        let right = within(self.x + self.width, width);
        let bottom = within(self.y + self.height, height);
        [
            left,
            top,
            right.saturating_sub(left),
            bottom.saturating_sub(top),
        ]
    }

    /// How much of the smaller of two rectangles lies within the other, from 0 to 1.
    pub(super) fn share_of_smaller(&self, other: &Bounds) -> f32 {
        let smaller = self.area().min(other.area());
        if smaller > 0.0 {
            self.shared_area(other) / smaller
        } else {
            0.0
        }
    }

    fn shared_area(&self, other: &Bounds) -> f32 {
        let right = (self.x + self.width).min(other.x + other.width);
        let bottom = (self.y + self.height).min(other.y + other.height);
        (right - self.x.max(other.x)).max(0.0) * (bottom - self.y.max(other.y)).max(0.0)
    }
}

/// One face, as the detector sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detection {
    /// How sure the detector is, 0 to 1. [`FacePipeline::detect`](super::FacePipeline::detect)
    /// reports nothing below 0.6.
    pub score: f32,
    /// The face from forehead to chin.
    pub bounds: Bounds,
    /// Eyes, nose and mouth.
    pub landmarks: Landmarks,
}

impl Detection {
    /// The same elsewhere.
    pub(super) fn move_by(&mut self, x: f32, y: f32) {
        self.bounds.x += x;
        self.bounds.y += y;
        for point in &mut self.landmarks {
            point.x += x;
            point.y += y;
        }
    }
}

/// The square into which a picture is shrunk before the detector looks at it. Pictures are never
/// enlarged for it. The time a look takes grows with the square's area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Canvas {
    /// 160 pixels: for a glance, which finds a face a quarter as high as the picture's longer side.
    Glance,
    /// 256 pixels: for a second look at one face.
    Close,
    /// 320 pixels: enough where one face fills a good part of the picture.
    One,
    /// 640 pixels: for groups and for faces far away.
    Many,
}

impl Canvas {
    /// Pixels on each side.
    pub fn side(self) -> usize {
        match self {
            Canvas::Glance => 160,
            Canvas::Close => 256,
            Canvas::One => 320,
            Canvas::Many => 640,
        }
    }

    /// What a length in `picture` is multiplied by to get onto the canvas.
    pub(super) fn scale(self, picture: &Picture) -> f32 {
        (self.side() as f32 / picture.width().max(picture.height()) as f32).min(1.0)
    }
}

/// What the detector is less sure of is no face.
pub(super) const SCORE_MIN: f32 = 0.6;
const OVERLAP_MAX: f32 = 0.3;

/// The largest reduction for which the four nearest pixels are asked. The network saw such pictures
/// when it was trained; beyond, too much of the picture would be skipped, and all pixels are
/// averaged.
const NEAREST_REDUCTION_MAX: f32 = 4.0;

const STRIDES: [usize; 3] = [8, 16, 32];
const OUTPUTS: [&str; 12] = [
    "cls_8", "cls_16", "cls_32", "obj_8", "obj_16", "obj_32", "bbox_8", "bbox_16", "bbox_32",
    "kps_8", "kps_16", "kps_32",
];

/// YuNet.
#[derive(Debug)]
pub(super) struct Detector {
    network: Box<dyn Inference>,
}

impl Detector {
    pub(super) fn load(runtime: &Runtime, lanes: &Arc<Lanes>) -> Result<Detector, FaceSetupError> {
        let onnx = network::built_in::detection();
        let network = network::load(runtime, "detection", onnx, &OUTPUTS, lanes)?;
        Ok(Detector { network })
    }

    /// The faces in `picture` with a score of at least `score_min`, the surest first.
    pub(super) fn detect(
        &self,
        picture: &Picture,
        canvas: Canvas,
        score_min: f32,
    ) -> Result<Vec<Detection>, FaceError> {
        let side = canvas.side();
        let scale = canvas.scale(picture);
        let outputs = self
            .network
            .run(&[1, 3, side, side], on_canvas(picture, canvas))?;
        let expected = |stride: usize, per_cell: usize| (side / stride).pow(2) * per_cell;
        for (group, per_cell) in [1, 1, 4, 10].into_iter().enumerate() {
            for (level, stride) in STRIDES.into_iter().enumerate() {
                let found = outputs[group * 3 + level].len();
                if found != expected(stride, per_cell) {
                    let reason = format!(
                        "{} values for {}, expected {}",
                        found,
                        OUTPUTS[group * 3 + level],
                        expected(stride, per_cell)
                    );
                    return Err(self.network.failed(reason));
                }
            }
        }
        let mut candidates = Vec::new();
        for (level, stride) in STRIDES.into_iter().enumerate() {
            let [class, object, bounds, points] =
                [0, 1, 2, 3].map(|group| outputs[group * 3 + level].as_slice());
            let level = Level {
                stride,
                class,
                object,
                bounds,
                points,
            };
            level.read(side, scale, score_min, &mut candidates);
        }
        Ok(without_overlap(candidates))
    }
}

/// The values of the picture on its canvas: planes of blue, green and red, 0 to 255, in the upper
/// left corner, zero elsewhere.
fn on_canvas(picture: &Picture, canvas: Canvas) -> Vec<f32> {
    let side = canvas.side();
    let scale = canvas.scale(picture);
    let on = |length: usize| ((length as f32 * scale).round() as usize).clamp(1, side);
    let (width, height) = (on(picture.width()), on(picture.height()));
    let reduced;
    let picture = if scale * NEAREST_REDUCTION_MAX < 1.0 {
        reduced = reduce(picture, width, height);
        &reduced
    } else {
        picture
    };
    let (columns, rows) = (taps(picture.width(), width), taps(picture.height(), height));
    let line = picture.width() * 3;
    let mut values = vec![0.0; 3 * side * side];
    let (blue, rest) = values.split_at_mut(side * side);
    let (green, red) = rest.split_at_mut(side * side);
    for (y, row) in rows.iter().enumerate() {
        let above = &picture.rgb()[row.first * line..][..line];
        let below = &picture.rgb()[row.second * line..][..line];
        let start = y * side;
        let lines = [&mut red[start..], &mut green[start..], &mut blue[start..]];
        for (channel, values) in lines.into_iter().enumerate() {
            for (value, column) in values.iter_mut().zip(&columns) {
                let at = |line: &[u8], x: usize| i32::from(line[x * 3 + channel]);
                let across = |line: &[u8]| {
                    column.weights[0] * at(line, column.first)
                        + column.weights[1] * at(line, column.second)
                };
                let down = |weight: i32, sum: i32| (weight * (sum >> 4)) >> 16;
                let sum = down(row.weights[0], across(above)) + down(row.weights[1], across(below));
                *value = ((sum + 2) >> 2) as f32;
            }
        }
    }
    values
}

/// The two pixels that one lies between, and how much each counts, in 2048ths.
///
/// Whole numbers, so that a picture is the same on every processor; and these, with the shifts
/// above, because they are OpenCV's, which prepares pictures for this network elsewhere. Its
/// landmarks move by tenths of a pixel when a tenth of all values changes by one.
#[derive(Clone, Copy)]
struct Tap {
    first: usize,
    second: usize,
    weights: [i32; 2],
}

fn taps(from: usize, to: usize) -> Vec<Tap> {
    let step = from as f64 / to as f64;
    (0..to)
        .map(|at| {
            let place = ((at as f64 + 0.5) * step - 0.5).clamp(0.0, (from - 1) as f64) as f32;
            let first = place as usize;
            let share = place - first as f32;
            let weight = |share: f32| (share * 2048.0).round_ties_even() as i32;
            let second = (first + 1).min(from - 1);
            Tap {
                first,
                second,
                weights: [weight(1.0 - share), weight(share)],
            }
        })
        .collect()
}

/// The picture at `width` x `height`, every pixel of it taken into account.
pub(super) fn reduce(picture: &Picture, width: usize, height: usize) -> Picture {
    let (from_width, from_height) = (picture.width() as u32, picture.height() as u32);
    // Typed: the untyped interface compiles the code of all pixel types into this crate, which
    // takes minutes.
    let source: TypedImageRef<'_, U8x3> =
        TypedImageRef::from_buffer(from_width, from_height, picture.rgb())
            .expect("a picture has three bytes for every pixel");
    let mut bytes = vec![0; width * height * 3];
    let mut target: TypedImage<'_, U8x3> =
        TypedImage::from_buffer(width as u32, height as u32, &mut bytes)
            .expect("there are three bytes for every pixel");
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    Resizer::new()
        .resize_typed(&source, &mut target, &options)
        .expect("an image in memory can be resized");
    Picture::from_rgb(width, height, bytes)
}

/// The network's answers for all cells of one size, row by row.
struct Level<'a> {
    /// The width and height of a cell, in pixels of the canvas.
    stride: usize,
    /// How sure it is that there is a face: one number a cell.
    class: &'a [f32],
    /// How well the bounds fit: one number a cell.
    object: &'a [f32],
    /// Centre and logarithm of the size: four numbers a cell.
    bounds: &'a [f32],
    /// Five landmarks: ten numbers a cell.
    points: &'a [f32],
}

impl Level<'_> {
    /// Appends the detections of all cells with a score of at least `score_min`, in pixels of the
    /// picture, which is shown `scale` times as large on a canvas of `side` x `side`.
    fn read(&self, side: usize, scale: f32, score_min: f32, candidates: &mut Vec<Detection>) {
        let columns = side / self.stride;
        for cell in 0..self.class.len() {
            let (class, object) = (self.class[cell], self.object[cell]);
            let score = (class.clamp(0.0, 1.0) * object.clamp(0.0, 1.0)).sqrt();
            if score.is_nan() || score < score_min {
                continue;
            }
            let (column, row) = ((cell % columns) as f32, (cell / columns) as f32);
            let detection = self.detection(cell, column, row, scale, score);
            let points = detection
                .landmarks
                .iter()
                .flat_map(|point| [point.x, point.y]);
            let b = detection.bounds;
            let mut numbers = points.chain([b.x, b.y, b.width, b.height]);
            if numbers.all(f32::is_finite) {
                candidates.push(detection);
            }
        }
    }

    fn detection(&self, cell: usize, column: f32, row: f32, scale: f32, score: f32) -> Detection {
        let stride = self.stride as f32;
        let (b, points) = (
            &self.bounds[cell * 4..][..4],
            &self.points[cell * 10..][..10],
        );
        let (width, height) = (b[2].exp() * stride / scale, b[3].exp() * stride / scale);
        Detection {
            score,
            bounds: Bounds {
                x: (column + b[0]) * stride / scale - width / 2.0,
                y: (row + b[1]) * stride / scale - height / 2.0,
                width,
                height,
            },
            landmarks: std::array::from_fn(|j| Point {
                x: (column + points[2 * j]) * stride / scale,
                y: (row + points[2 * j + 1]) * stride / scale,
            }),
        }
    }
}

/// Keeps the surest of every group of detections that overlap by more than 0.3, the surest first.
/// Equal scores keep the order of the cells.
fn without_overlap(mut candidates: Vec<Detection>) -> Vec<Detection> {
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut kept: Vec<Detection> = Vec::new();
    for candidate in candidates {
        if kept
            .iter()
            .all(|k| k.bounds.overlap(&candidate.bounds) <= OVERLAP_MAX)
        {
            kept.push(candidate);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(score: f32, x: f32, width: f32) -> Detection {
        let bounds = Bounds {
            x,
            y: 0.0,
            width,
            height: 10.0,
        };
        Detection {
            score,
            bounds,
            landmarks: [Point::default(); 5],
        }
    }

    #[test]
    fn a_box_is_four_numbers_that_hold_something() {
        let bounds = Bounds {
            x: 10.0,
            y: -2.5,
            width: 30.0,
            height: 40.0,
        };
        for text in ["10,-2.5,30,40", " 10 , -2.5,30 ,4e1"] {
            assert_eq!(text.parse(), Ok(bounds), "{text}");
        }
        for (text, expected) in [
            ("", ParseBoundsError::Form),
            ("10,20,30", ParseBoundsError::Form),
            ("10,20,30,40,50", ParseBoundsError::Form),
            ("10;20;30;40", ParseBoundsError::Form),
            ("a,b,c,d", ParseBoundsError::Form),
            ("NaN,0,1,1", ParseBoundsError::Form),
            ("0,0,nan,1", ParseBoundsError::Form),
            ("0,0,inf,1", ParseBoundsError::TooLarge),
            ("-1e30,0,1,1", ParseBoundsError::TooLarge),
            ("0,0,0,10", ParseBoundsError::Empty),
            ("0,0,10,-1", ParseBoundsError::Empty),
        ] {
            assert_eq!(text.parse::<Bounds>(), Err(expected), "{text}");
        }
    }

    #[test]
    fn overlap_is_the_shared_part_of_what_both_cover() {
        let bounds = |x, width| at(1.0, x, width).bounds;
        for ((x, width), expected) in [
            ((0.0, 10.0), 1.0),
            ((10.0, 10.0), 0.0),
            ((30.0, 10.0), 0.0),
            // 5 of 15 columns.
            ((5.0, 10.0), 1.0 / 3.0),
        ] {
            let found = bounds(0.0, 10.0).overlap(&bounds(x, width));
            assert!(
                (found - expected).abs() < 1e-6,
                "{found}, expected {expected}"
            );
        }
        assert!(!bounds(0.0, 0.0).overlap(&bounds(0.0, 0.0)).is_nan());
    }

    #[test]
    fn of_faces_that_overlap_the_surest_stays() {
        // The second overlaps the first by a third and goes; the third overlaps only the second,
        // which is gone, and stays; the fourth overlaps the first by less than 0.3 and stays.
        let found = without_overlap(vec![
            at(0.7, 10.0, 10.0),
            at(0.8, 5.0, 10.0),
            at(0.9, 0.0, 10.0),
            at(0.65, -8.0, 10.0),
        ]);
        let scores: Vec<f32> = found.iter().map(|found| found.score).collect();
        assert_eq!(scores, [0.9, 0.7, 0.65]);
    }

    #[test]
    fn cells_are_read_row_by_row_in_pixels_of_the_picture() {
        // Two by two cells of 8 pixels on a canvas of 16 that shows the picture at half its size.
        let class = [0.0, 0.0, 0.81, f32::NAN];
        let object = [1.0; 4];
        let mut bounds = [0.0; 16];
        bounds[8..12].copy_from_slice(&[0.5, 0.25, 2.0_f32.ln(), 3.0_f32.ln()]);
        let mut points = [0.0; 40];
        points[20..22].copy_from_slice(&[0.125, 0.5]);
        let mut found = Vec::new();
        let level = Level {
            stride: 8,
            class: &class,
            object: &object,
            bounds: &bounds,
            points: &points,
        };
        level.read(16, 0.5, SCORE_MIN, &mut found);
        let [found] = found.as_slice() else {
            panic!("one cell is sure enough: {found:?}")
        };
        assert!((found.score - 0.9).abs() < 1e-6);
        // Column 0, row 1; centre (4, 10) and size (16, 24) on the canvas.
        let expected = Bounds {
            x: -8.0,
            y: -4.0,
            width: 32.0,
            height: 48.0,
        };
        for (found, expected) in [
            (found.bounds.x, expected.x),
            (found.bounds.y, expected.y),
            (found.bounds.width, expected.width),
            (found.bounds.height, expected.height),
            (found.landmarks[0].x, 2.0),
            (found.landmarks[0].y, 24.0),
        ] {
            assert!(
                (found - expected).abs() < 1e-4,
                "{found}, expected {expected}"
            );
        }
    }

    #[test]
    fn a_canvas_holds_blue_first_and_black_where_nothing_is() {
        let picture = Picture::from_rgb(2, 1, vec![10, 20, 30, 40, 50, 60]);
        let side = Canvas::Close.side();
        let values = on_canvas(&picture, Canvas::Close);
        for (plane, expected) in [[30.0, 60.0], [20.0, 50.0], [10.0, 40.0]]
            .iter()
            .enumerate()
        {
            let plane = &values[plane * side * side..][..side * side];
            assert_eq!(plane[..2], *expected);
            assert!(plane[2..].iter().all(|&value| value == 0.0));
        }
    }

    #[test]
    fn a_reduced_picture_lies_pixel_centre_on_pixel_centre() {
        // 640 columns whose value is their number, modulo 64, on 320: between columns 2x and
        // 2x + 1.
        let row: Vec<u8> = (0..640).flat_map(|x| [(x % 64) as u8 * 4; 3]).collect();
        let picture = Picture::from_rgb(640, 16, row.repeat(16));
        let values = on_canvas(&picture, Canvas::One);
        assert_eq!(values[..4], [2.0, 10.0, 18.0, 26.0]);
        let filled = |row: usize| values[320 * row..][..320].iter().any(|&value| value > 0.0);
        assert!(filled(7) && !filled(8), "8 rows are left of 16");
    }

    #[test]
    fn a_large_reduction_takes_every_pixel_into_account() {
        // One white column in eight: asking only the nearest pixels would see all or nothing.
        let row: Vec<u8> = (0..2560)
            .flat_map(|x| [if x % 8 == 0 { 255 } else { 0 }; 3])
            .collect();
        let picture = Picture::from_rgb(2560, 32, row.repeat(32));
        let values = on_canvas(&picture, Canvas::One);
        assert!(
            values[4..300]
                .iter()
                .all(|value| (value - 32.0).abs() < 8.0),
            "{:?}",
            &values[..9]
        );
    }
}
