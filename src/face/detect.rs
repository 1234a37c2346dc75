//! Where the faces are: YuNet, its twelve outputs, and the overlap among its answers.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use super::decode::Picture;
use super::error::{FaceError, FaceSetupError};
use super::network::{Lanes, Network};

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

impl Bounds {
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

    fn shared_area(&self, other: &Bounds) -> f32 {
        let right = (self.x + self.width).min(other.x + other.width);
        let bottom = (self.y + self.height).min(other.y + other.height);
        (right - self.x.max(other.x)).max(0.0) * (bottom - self.y.max(other.y)).max(0.0)
    }
}

/// One face, as the detector sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detection {
    /// How sure the detector is, 0 to 1. Nothing below 0.6 is reported.
    pub score: f32,
    /// The face from forehead to chin.
    pub bounds: Bounds,
    /// Eyes, nose and mouth.
    pub landmarks: Landmarks,
}

/// The square into which a picture is shrunk before the detector looks at it. Pictures are never
/// enlarged for it. The time a look takes grows with the square's area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Canvas {
    /// 224 pixels: for a second look at one face.
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
            Canvas::Close => 224,
            Canvas::One => 320,
            Canvas::Many => 640,
        }
    }

    /// What a length in `picture` is multiplied by to get onto the canvas.
    pub(super) fn scale(self, picture: &Picture) -> f32 {
        (self.side() as f32 / picture.width().max(picture.height()) as f32).min(1.0)
    }
}

const SCORE_MIN: f32 = 0.6;
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
    network: Network,
}

impl Detector {
    pub(super) fn load() -> Result<Detector, FaceSetupError> {
        const ONNX: &[u8] =
            include_bytes!("../../data/models/face_detection_yunet_2023mar_dynamic.onnx");
        let network = Network::load("detection", ONNX.to_vec(), "built-in YuNet", &OUTPUTS)?;
        Ok(Detector { network })
    }

    /// The faces in `picture`, the surest first.
    pub(super) fn detect(
        &self,
        picture: &Picture,
        canvas: Canvas,
        lanes: &Lanes,
    ) -> Result<Vec<Detection>, FaceError> {
        let side = canvas.side();
        let scale = canvas.scale(picture);
        let outputs = self
            .network
            .run(&[1, 3, side, side], on_canvas(picture, canvas), lanes)?;
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
            read_level(
                stride,
                side,
                scale,
                class,
                object,
                bounds,
                points,
                &mut candidates,
            );
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
    let resized;
    let rgb = if scale < 1.0 {
        resized = resize(picture, width, height);
        &resized
    } else {
        picture.rgb()
    };
    let mut values = vec![0.0; 3 * side * side];
    for (channel, plane) in values.chunks_exact_mut(side * side).enumerate() {
        for (row, source) in plane
            .chunks_exact_mut(side)
            .zip(rgb.chunks_exact(width * 3))
        {
            for (value, pixel) in row.iter_mut().zip(source.chunks_exact(3)) {
                *value = f32::from(pixel[2 - channel]);
            }
        }
    }
    debug_assert_eq!(rgb.len(), width * height * 3);
    values
}

/// The picture reduced to `width` x `height`.
pub(super) fn resize(picture: &Picture, width: usize, height: usize) -> Vec<u8> {
    let reduction = picture.width().max(picture.height()) as f32 / width.max(height) as f32;
    let algorithm = if reduction <= NEAREST_REDUCTION_MAX {
        ResizeAlg::Interpolation(FilterType::Bilinear)
    } else {
        ResizeAlg::Convolution(FilterType::Bilinear)
    };
    let source = ImageRef::new(
        picture.width() as u32,
        picture.height() as u32,
        picture.rgb(),
        PixelType::U8x3,
    )
    .expect("a picture has three bytes for every pixel");
    let mut target = Image::new(width as u32, height as u32, PixelType::U8x3);
    Resizer::new()
        .resize(
            &source,
            &mut target,
            &ResizeOptions::new().resize_alg(algorithm),
        )
        .expect("source and target have the same type of pixel");
    target.into_vec()
}

/// Reads the answers of the cells of `stride` pixels, in pixels of the picture.
#[allow(
    clippy::too_many_arguments,
    reason = "the four outputs of one level, and their geometry"
)]
fn read_level(
    stride: usize,
    side: usize,
    scale: f32,
    class: &[f32],
    object: &[f32],
    bounds: &[f32],
    points: &[f32],
    candidates: &mut Vec<Detection>,
) {
    let columns = side / stride;
    let stride = stride as f32;
    for cell in 0..class.len() {
        let score = (class[cell].clamp(0.0, 1.0) * object[cell].clamp(0.0, 1.0)).sqrt();
        // Written so that NaN is left out, too.
        if !(score >= SCORE_MIN) {
            continue;
        }
        let (column, row) = ((cell % columns) as f32, (cell / columns) as f32);
        let b = &bounds[cell * 4..][..4];
        let (width, height) = (b[2].exp() * stride / scale, b[3].exp() * stride / scale);
        let detection = Detection {
            score,
            bounds: Bounds {
                x: (column + b[0]) * stride / scale - width / 2.0,
                y: (row + b[1]) * stride / scale - height / 2.0,
                width,
                height,
            },
            landmarks: std::array::from_fn(|j| Point {
                x: (column + points[cell * 10 + 2 * j]) * stride / scale,
                y: (row + points[cell * 10 + 2 * j + 1]) * stride / scale,
            }),
        };
        let numbers = detection
            .landmarks
            .iter()
            .flat_map(|point| [point.x, point.y]);
        let b = detection.bounds;
        if numbers
            .chain([b.x, b.y, b.width, b.height])
            .all(f32::is_finite)
        {
            candidates.push(detection);
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
