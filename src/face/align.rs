//! Moving eyes, nose and mouth to where an embedder expects them.
//!
//! The warp is ours: the library that rescales pictures cannot turn them, and what lies between
//! pixels must be rounded as it was when the networks were measured.

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

    /// This one, and then `next`.
    #[must_use]
    pub fn then(&self, next: &Similarity) -> Similarity {
        let (tx, ty) = next.apply((self.tx, self.ty));
        Similarity {
            a: next.a * self.a - next.b * self.b,
            b: next.b * self.a + next.a * self.b,
            tx,
            ty,
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

/// How a face with these landmarks comes to the middle of a square of `side` pixels, as large as in
/// an aligned face of [`TEMPLATE_SIDE`], and turned by `degrees` then. `None` if the landmarks
/// coincide.
pub(super) fn to_the_middle(
    landmarks: &Landmarks,
    side: usize,
    degrees: f64,
) -> Option<Similarity> {
    let from = landmarks.map(|point| (f64::from(point.x), f64::from(point.y)));
    let margin = (side as f64 - TEMPLATE_SIDE) / 2.0;
    let to = TEMPLATE.map(|(x, y)| (x + margin, y + margin));
    let middle = ((side - 1) as f64 / 2.0, (side - 1) as f64 / 2.0);
    let turn = Similarity::about(degrees, 1.0, middle, middle);
    Some(Similarity::between(&from, &to)?.then(&turn))
}

/// A square picture of one face, its landmarks where embedders expect them.
///
/// `Debug` shows its size only.
#[derive(Clone, PartialEq)]
pub struct AlignedFace {
    picture: Picture,
    transform: Similarity,
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
        let picture = warp(picture, &transform, (side, side), Outside::Black);
        Some(AlignedFace { picture, transform })
    }

    /// Pixels on each side.
    pub fn side(&self) -> usize {
        self.picture.width()
    }

    /// Red, green and blue of every pixel, row by row.
    pub fn rgb(&self) -> &[u8] {
        self.picture.rgb()
    }

    /// What brought the picture's pixels to their places here.
    pub fn transform(&self) -> &Similarity {
        &self.transform
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

/// A picture of `width` x `height` in which the pixel at `transform(p)` is what `picture` shows at
/// p, between four pixels in proportion.
pub(super) fn warp(
    picture: &Picture,
    transform: &Similarity,
    (width, height): (usize, usize),
    outside: Outside,
) -> Picture {
    let back = transform.inverse();
    let reduction = back.scale();
    let looks = if reduction <= SINGLE_LOOK_REDUCTION_MAX {
        1
    } else {
        // Closer together than two pixels, or stripes would be seen as one colour. The limit is
        // reached by faces of thousands of pixels.
        (reduction / 1.5).ceil().min(24.0) as usize
    };
    let mut rgb = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        for x in 0..width {
            if looks == 1 {
                let (u, v) = back.apply((x as f64, y as f64));
                rgb.extend_from_slice(&rounded(sample(picture, u, v, outside)));
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
            let share = 1.0 / (looks * looks) as f32;
            rgb.extend_from_slice(&rounded([sum[0] * share, sum[1] * share, sum[2] * share]));
        }
    }
    Picture::from_rgb(width, height, rgb)
}

/// The nearest whole values, of 0 to 255. Without `round`, which is a function call on processors
/// as old as this is compiled for.
fn rounded([red, green, blue]: [f32; 3]) -> [u8; 3] {
    [(red + 0.5) as u8, (green + 0.5) as u8, (blue + 0.5) as u8]
}

fn sample(picture: &Picture, x: f64, y: f64, outside: Outside) -> [f32; 3] {
    let (width, height) = (picture.width() as i64, picture.height() as i64);
    // Conversions from f64 saturate, so places far outside stay outside. They cut off, which is not
    // down below 0.
    let down = |place: f64| {
        let cut = place as i64;
        cut.saturating_sub(i64::from(place < cut as f64))
    };
    let (left, top) = (down(x), down(y));
    let (right_share, bottom_share) = ((x - left as f64) as f32, (y - top as f64) as f32);
    let rgb = picture.rgb();
    if left >= 0 && top >= 0 && left < width - 1 && top < height - 1 {
        let above = (top * width + left) as usize * 3;
        let below = above + width as usize * 3;
        let (above, below) = (&rgb[above..above + 6], &rgb[below..below + 6]);
        let weights = [
            (1.0 - right_share) * (1.0 - bottom_share),
            right_share * (1.0 - bottom_share),
            (1.0 - right_share) * bottom_share,
            right_share * bottom_share,
        ];
        return std::array::from_fn(|channel| {
            weights[0] * f32::from(above[channel])
                + weights[1] * f32::from(above[channel + 3])
                + weights[2] * f32::from(below[channel])
                + weights[3] * f32::from(below[channel + 3])
        });
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_near(found: (f64, f64), expected: (f64, f64)) {
        let near = (found.0 - expected.0).abs() < 1e-9 && (found.1 - expected.1).abs() < 1e-9;
        assert!(near, "{found:?}, expected {expected:?}");
    }

    #[test]
    fn a_known_similarity_is_recovered_from_its_points() {
        for (degrees, scale, to) in [
            (0.0, 1.0, (0.0, 0.0)),
            (30.0, 2.5, (7.0, -3.0)),
            (-135.0, 0.2, (-50.0, 9.0)),
        ] {
            let known = Similarity::about(degrees, scale, (4.0, 5.0), to);
            let moved = TEMPLATE.map(|point| known.apply(point));
            let found = Similarity::between(&TEMPLATE, &moved).unwrap();
            for point in [(0.0, 0.0), (100.0, 0.0), (0.0, 100.0)] {
                assert_near(found.apply(point), known.apply(point));
                assert_near(found.inverse().apply(found.apply(point)), point);
            }
            assert!((found.scale() - scale).abs() < 1e-12);
        }
    }

    #[test]
    fn a_turn_is_clockwise_on_a_screen() {
        let quarter = Similarity::about(90.0, 1.0, (0.0, 0.0), (0.0, 0.0));
        // What was to the right is now below.
        assert_near(quarter.apply((1.0, 0.0)), (0.0, 1.0));
    }

    #[test]
    fn points_that_do_not_fit_are_met_with_the_least_squares() {
        // No similarity brings these together; small changes of the best must all be worse.
        let from = [(0.0, 0.0), (4.0, 0.0), (4.0, 3.0), (1.0, 5.0)];
        let to = [(1.0, 1.0), (5.0, 2.0), (3.0, 6.0), (-2.0, 4.0)];
        let best = Similarity::between(&from, &to).unwrap();
        let cost = |s: &Similarity| -> f64 {
            let distance = |(f, t): (&(f64, f64), &(f64, f64))| {
                let (x, y) = s.apply(*f);
                (x - t.0).powi(2) + (y - t.1).powi(2)
            };
            from.iter().zip(&to).map(distance).sum()
        };
        let least = cost(&best);
        for step in [-1e-3, 1e-3] {
            for changed in [
                Similarity {
                    a: best.a + step,
                    ..best
                },
                Similarity {
                    b: best.b + step,
                    ..best
                },
                Similarity {
                    tx: best.tx + step,
                    ..best
                },
                Similarity {
                    ty: best.ty + step,
                    ..best
                },
            ] {
                assert!(cost(&changed) > least);
            }
        }
    }

    #[test]
    fn a_mirror_image_is_not_answered_with_a_mirror() {
        let mirrored = TEMPLATE.map(|(x, y)| (112.0 - x, y));
        let found = Similarity::between(&TEMPLATE, &mirrored).unwrap();
        // A rotation keeps the sense of a turn: x to y stays a quarter turn, never three.
        let (x, y) = (found.apply((1.0, 0.0)), found.apply((0.0, 1.0)));
        let origin = found.apply((0.0, 0.0));
        let turn = (x.0 - origin.0) * (y.1 - origin.1) - (x.1 - origin.1) * (y.0 - origin.0);
        assert!(turn > 0.0);
    }

    #[test]
    fn points_in_one_place_have_no_similarity() {
        let same = [(3.0, 4.0); 5];
        assert_eq!(Similarity::between(&same, &TEMPLATE), None);
        assert_eq!(Similarity::between(&TEMPLATE, &same), None);
        let picture = Picture::from_rgb(16, 16, vec![9; 16 * 16 * 3]);
        assert_eq!(
            AlignedFace::cut(&picture, &[Point { x: 3.0, y: 4.0 }; 5], 112),
            None
        );
    }

    /// A picture whose red is its column and whose green is its row.
    fn ramp(side: usize) -> Picture {
        let rgb = (0..side * side).flat_map(|at| [(at % side) as u8, (at / side) as u8, 7]);
        Picture::from_rgb(side, side, rgb.collect())
    }

    #[test]
    fn a_warp_shows_between_pixels_what_lies_between_them() {
        // Enlarged four times about the middle of the picture.
        let transform = Similarity::about(0.0, 4.0, (50.0, 50.0), (32.0, 32.0));
        let warped = warp(&ramp(100), &transform, (64, 64), Outside::Black);
        for (x, y) in [(0, 0), (32, 32), (63, 10)] {
            let at = (y * 64 + x) * 3;
            let expected = |k: usize| (50.0 + (k as f64 - 32.0) / 4.0).round() as u8;
            assert_eq!(warped.rgb()[at..at + 3], [expected(x), expected(y), 7]);
        }
    }

    #[test]
    fn outside_is_black_or_the_nearest_pixel() {
        let shifted = Similarity::about(0.0, 1.0, (0.0, 0.0), (10.0, 20.0));
        let black = warp(&ramp(100), &shifted, (64, 64), Outside::Black);
        assert_eq!(black.rgb()[..3], [0, 0, 0]);
        let nearest = warp(&ramp(100), &shifted, (64, 64), Outside::Nearest);
        assert_eq!(nearest.rgb()[..3], [0, 0, 7]);
        let inside = (30 * 64 + 30) * 3;
        assert_eq!(nearest.rgb()[inside..inside + 3], [20, 10, 7]);
    }

    #[test]
    fn a_strong_reduction_averages() {
        // Black and white columns by turns, at a tenth: one look would show black or white.
        let rgb = (0..640 * 640).flat_map(|at| [[0, 255][at % 2]; 3]);
        let picture = Picture::from_rgb(640, 640, rgb.collect());
        let tenth = Similarity::about(0.0, 0.1, (320.0, 320.0), (32.0, 32.0));
        let warped = warp(&picture, &tenth, (64, 64), Outside::Nearest);
        // Not the outermost columns, which lie half outside.
        for row in warped.rgb().chunks_exact(64 * 3) {
            let grey = |value: &u8| (100..=155).contains(value);
            assert!(row[3..63 * 3].iter().all(grey), "{row:?}");
        }
    }
}
