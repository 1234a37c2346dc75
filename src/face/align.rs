//! Moving eyes, nose and mouth to where an embedder expects them.

use std::fmt;

use super::decode::Picture;
use super::detect::{Landmarks, Point};

/// Where the landmarks lie in an aligned face of [`TEMPLATE_SIDE`] pixels: the places that the
/// usual embedders (ArcFace, SFace and their kin) were trained with.
const TEMPLATE: [(f64, f64); 5] = [
    (38.2946, 51.6963),
    (73.5318, 51.5014),
    (56.0252, 71.7366),
    (41.5493, 92.3655),
    (70.7299, 92.2041),
];
const TEMPLATE_SIDE: f64 = 112.0;

/// Beyond this reduction a single bilinear look per pixel skips most of the picture; several are
/// averaged then. Up to it, one look is what embedders were trained and measured with.
const SINGLE_LOOK_REDUCTION_MAX: f64 = 6.0;

/// A rotation, one scale for both directions, and a shift. Never a mirror image.
///
/// Maps (x, y) to (a x - b y + tx, b x + a y + ty).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Similarity {
    a: f64,
    b: f64,
    tx: f64,
    ty: f64,
}

impl Similarity {
    /// The one that brings `from` closest to `to`, by the sum of squared distances (Umeyama's
    /// problem, which has a closed form in two dimensions).
    ///
    /// `None` if all points of either side coincide, for then no rotation is better than another.
    pub fn between(from: &[(f64, f64)], to: &[(f64, f64)]) -> Option<Similarity> {
        assert_eq!(from.len(), to.len(), "points come in pairs");
        let n = from.len() as f64;
        let mean = |points: &[(f64, f64)]| {
            let sum = points
                .iter()
                .fold((0.0, 0.0), |s, p| (s.0 + p.0, s.1 + p.1));
            (sum.0 / n, sum.1 / n)
        };
        let (from_mean, to_mean) = (mean(from), mean(to));
        let (mut dot, mut cross, mut spread) = (0.0, 0.0, 0.0);
        for (f, t) in from.iter().zip(to) {
            let (fx, fy) = (f.0 - from_mean.0, f.1 - from_mean.1);
            let (tx, ty) = (t.0 - to_mean.0, t.1 - to_mean.1);
            dot += fx * tx + fy * ty;
            cross += fx * ty - fy * tx;
            spread += fx * fx + fy * fy;
        }
        let (a, b) = (dot / spread, cross / spread);
        let found = Similarity {
            a,
            b,
            tx: to_mean.0 - a * from_mean.0 + b * from_mean.1,
            ty: to_mean.1 - b * from_mean.0 - a * from_mean.1,
        };
        (found.a.hypot(found.b) > 1e-9 && found.tx.is_finite() && found.ty.is_finite())
            .then_some(found)
    }

    /// The one that turns by `degrees` (from the x axis towards the y axis, clockwise on a
    /// screen), scales, and brings `from` to `to`.
    pub fn about(degrees: f64, scale: f64, from: (f64, f64), to: (f64, f64)) -> Similarity {
        let (sin, cos) = degrees.to_radians().sin_cos();
        let (a, b) = (scale * cos, scale * sin);
        Similarity {
            a,
            b,
            tx: to.0 - a * from.0 + b * from.1,
            ty: to.1 - b * from.0 - a * from.1,
        }
    }

    /// Where a point goes.
    pub fn apply(&self, (x, y): (f64, f64)) -> (f64, f64) {
        (
            self.a * x - self.b * y + self.tx,
            self.b * x + self.a * y + self.ty,
        )
    }

    /// The way back.
    #[must_use]
    pub fn inverse(&self) -> Similarity {
        let norm = self.a * self.a + self.b * self.b;
        let (a, b) = (self.a / norm, -self.b / norm);
        Similarity {
            a,
            b,
            tx: -(a * self.tx - b * self.ty),
            ty: -(b * self.tx + a * self.ty),
        }
    }

    /// What lengths are multiplied by.
    pub fn scale(&self) -> f64 {
        self.a.hypot(self.b)
    }

    pub(super) fn apply_to_point(&self, point: Point) -> Point {
        let (x, y) = self.apply((f64::from(point.x), f64::from(point.y)));
        Point {
            x: x as f32,
            y: y as f32,
        }
    }
}

/// A square picture of one face, its landmarks where embedders expect them.
///
/// `Debug` shows its size only.
#[derive(Clone, PartialEq, Eq)]
pub struct AlignedFace {
    picture: Picture,
}

impl AlignedFace {
    /// Cuts the face with these landmarks out of `picture`, as a square of `side` pixels. What lies
    /// outside the picture is black.
    ///
    /// `None` if the landmarks coincide, and so are no face.
    pub fn cut(picture: &Picture, landmarks: &Landmarks, side: usize) -> Option<AlignedFace> {
        let from = landmarks.map(|point| (f64::from(point.x), f64::from(point.y)));
        let to = TEMPLATE.map(|(x, y)| {
            (
                x * side as f64 / TEMPLATE_SIDE,
                y * side as f64 / TEMPLATE_SIDE,
            )
        });
        let transform = Similarity::between(&from, &to)?;
        Some(AlignedFace {
            picture: warp(picture, &transform, side, Outside::Black),
        })
    }

    /// Pixels on each side.
    pub fn side(&self) -> usize {
        self.picture.width()
    }

    /// Red, green and blue of every pixel, row by row.
    pub fn rgb(&self) -> &[u8] {
        self.picture.rgb()
    }
}

impl fmt::Debug for AlignedFace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AlignedFace({0} x {0})", self.side())
    }
}

/// What a warp shows beyond the edge of its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outside {
    /// Black, as embedders were trained with.
    Black,
    /// The nearest pixel, so that the detector sees no edge that is not there.
    Nearest,
}

/// A square of `side` pixels in which the pixel at `transform(p)` is what `picture` shows at p,
/// between four pixels in proportion.
pub(super) fn warp(
    picture: &Picture,
    transform: &Similarity,
    side: usize,
    outside: Outside,
) -> Picture {
    let back = transform.inverse();
    let reduction = back.scale();
    let looks = if reduction <= SINGLE_LOOK_REDUCTION_MAX {
        1
    } else {
        // Not more than 16 x 16, which is a face of 28,000 pixels.
        (reduction / 2.0).ceil().min(16.0) as usize
    };
    let mut rgb = Vec::with_capacity(side * side * 3);
    for y in 0..side {
        for x in 0..side {
            if looks == 1 {
                let (u, v) = back.apply((x as f64, y as f64));
                rgb.extend(sample(picture, u, v, outside).map(|value| value.round() as u8));
                continue;
            }
            let mut sum = [0.0; 3];
            for j in 0..looks {
                for i in 0..looks {
                    let within = |k: usize| (k as f64 + 0.5) / looks as f64 - 0.5;
                    let (u, v) = back.apply((x as f64 + within(i), y as f64 + within(j)));
                    let value = sample(picture, u, v, outside);
                    for (sum, value) in sum.iter_mut().zip(value) {
                        *sum += value;
                    }
                }
            }
            rgb.extend(sum.map(|sum| (sum / (looks * looks) as f32).round() as u8));
        }
    }
    Picture::from_rgb(side, side, rgb)
}

fn sample(picture: &Picture, x: f64, y: f64, outside: Outside) -> [f32; 3] {
    let (width, height) = (picture.width() as i64, picture.height() as i64);
    let (left, top) = (x.floor(), y.floor());
    let (right_share, bottom_share) = ((x - left) as f32, (y - top) as f32);
    // A conversion from f64 saturates, so places far outside stay outside.
    let (left, top) = (left as i64, top as i64);
    let rgb = picture.rgb();
    let mut value = [0.0; 3];
    for (dx, dy, share) in [
        (0, 0, (1.0 - right_share) * (1.0 - bottom_share)),
        (1, 0, right_share * (1.0 - bottom_share)),
        (0, 1, (1.0 - right_share) * bottom_share),
        (1, 1, right_share * bottom_share),
    ] {
        let (mut u, mut v) = (left.saturating_add(dx), top.saturating_add(dy));
        match outside {
            Outside::Nearest => (u, v) = (u.clamp(0, width - 1), v.clamp(0, height - 1)),
            Outside::Black if u < 0 || v < 0 || u >= width || v >= height => continue,
            Outside::Black => {}
        }
        let at = (v * width + u) as usize * 3;
        for (value, &channel) in value.iter_mut().zip(&rgb[at..at + 3]) {
            *value += share * f32::from(channel);
        }
    }
    value
}
