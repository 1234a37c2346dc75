//! Whether landmarks moved as those of a solid head do.
//!
//! What is flat looks, wherever it is held and however it is tilted, nearly like an affine map of
//! itself: a shift, a turn, a stretch in any direction. A head has a nose that stands out and ears
//! that lie behind, so that when it turns no affine map brings all its landmarks along.

use super::least_squares::LeastSquares;
use crate::face::Point;

/// How far the landmarks of two pictures are from being affine maps of each other: the root of the
/// mean square distance that the best affine map leaves, over the distance of the eyes, the mean of
/// both directions.
///
/// About 0.016 for a photo that is waved, 0.06 for a head that turns by six degrees, 0.2 for one
/// that turns by thirty. 0 if the points are all in one line or their eyes in one place.
///
/// # Panics
///
/// Panics unless both have the 68 landmarks of iBUG.
pub(super) fn parallax(first: &[Point], second: &[Point]) -> f64 {
    let one_way = |from: &[Point], to: &[Point]| {
        let residual = affine_residual(from, to)?;
        let eyes = eye_distance(to);
        (eyes > 0.0).then(|| residual / eyes)
    };
    match (one_way(first, second), one_way(second, first)) {
        (Some(there), Some(back)) => f64::midpoint(there, back),
        _ => 0.0,
    }
}

/// The root of the mean square distance between `to` and the affine map of `from` that comes
/// closest to it. `None` if `from` lies in one line.
fn affine_residual(from: &[Point], to: &[Point]) -> Option<f64> {
    // About the middle: far from zero, squares of places would drown their differences.
    let (from_x, from_y) = middle(from);
    let (to_x, to_y) = middle(to);
    let row = |point: &Point| {
        [
            f64::from(point.x) - from_x,
            f64::from(point.y) - from_y,
            1.0,
        ]
    };
    let (mut across, mut down) = (LeastSquares::<3>::new(), LeastSquares::<3>::new());
    for (f, t) in from.iter().zip(to) {
        across.add(&row(f), f64::from(t.x) - to_x);
        down.add(&row(f), f64::from(t.y) - to_y);
    }
    let (across, down) = (across.solve()?, down.solve()?);
    let dot = |a: &[f64; 3], b: &[f64; 3]| a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
    let squares: f64 = from
        .iter()
        .zip(to)
        .map(|(f, t)| {
            let x = dot(&across, &row(f)) - (f64::from(t.x) - to_x);
            let y = dot(&down, &row(f)) - (f64::from(t.y) - to_y);
            x * x + y * y
        })
        .sum();
    Some((squares / from.len() as f64).sqrt())
}

/// From the middle of one eye to that of the other.
fn eye_distance(landmarks: &[Point]) -> f64 {
    let (left_x, left_y) = middle(&landmarks[36..42]);
    let (right_x, right_y) = middle(&landmarks[42..48]);
    (right_x - left_x).hypot(right_y - left_y)
}

fn middle(points: &[Point]) -> (f64, f64) {
    let n = points.len() as f64;
    let sum = points.iter().fold((0.0, 0.0), |sum, point| {
        (sum.0 + f64::from(point.x), sum.1 + f64::from(point.y))
    });
    (sum.0 / n, sum.1 / n)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A face of 68 points in three dimensions, in eye distances: x to the right, y down, z towards
    /// the camera. A jaw that lies behind, a nose that stands out; `depth` 0 is a photo.
    pub(in crate::liveness) fn face(depth: f64) -> Vec<[f64; 3]> {
        let mut points = Vec::new();
        for i in 0..17 {
            let angle = std::f64::consts::PI * f64::from(i) / 16.0;
            points.push([
                -1.1 * angle.cos(),
                0.3 + 1.3 * angle.sin(),
                -0.9 * angle.cos().abs(),
            ]);
        }
        for i in 0..10 {
            let x = -0.9 + 0.2 * f64::from(i);
            points.push([x, -0.4, -0.3 * x * x]);
        }
        for i in 0..9 {
            let nose = (0.05 * f64::from(i.min(4)), 0.2 * f64::from(i.min(4)));
            points.push([
                if i > 4 { 0.1 * f64::from(i - 6) } else { 0.0 },
                nose.1,
                0.2 + 2.0 * nose.0,
            ]);
        }
        for eye in [-0.5, 0.5] {
            for i in 0..6 {
                let angle = std::f64::consts::PI * f64::from(i) / 3.0;
                points.push([eye + 0.15 * angle.cos(), 0.06 * angle.sin(), -0.1]);
            }
        }
        for i in 0..20 {
            let angle = std::f64::consts::PI * f64::from(i) / 10.0;
            points.push([
                0.4 * angle.cos(),
                1.0 + 0.15 * angle.sin(),
                0.1 - 0.1 * angle.cos().abs(),
            ]);
        }
        for point in &mut points {
            point[2] *= depth;
        }
        assert_eq!(points.len(), LANDMARKS);
        points
    }

    /// The face turned by `yaw` and `pitch` degrees, eight eye distances from a pinhole camera, its
    /// eyes about 80 pixels apart.
    pub(in crate::liveness) fn seen(points: &[[f64; 3]], yaw: f64, pitch: f64) -> Vec<Point> {
        let (yaw_sin, yaw_cos) = yaw.to_radians().sin_cos();
        let (pitch_sin, pitch_cos) = pitch.to_radians().sin_cos();
        points
            .iter()
            .map(|&[x, y, z]| {
                let (x, z) = (yaw_cos * x - yaw_sin * z, yaw_sin * x + yaw_cos * z);
                let (y, z) = (pitch_cos * y - pitch_sin * z, pitch_sin * y + pitch_cos * z);
                let scale = 640.0 / (8.0 - z);
                Point {
                    x: (300.0 + scale * x) as f32,
                    y: (400.0 + scale * y) as f32,
                }
            })
            .collect()
    }

    use super::super::observation::LANDMARKS;

    #[test]
    fn an_affine_map_leaves_nothing() {
        let first = seen(&face(1.0), 10.0, 5.0);
        let second: Vec<Point> = first
            .iter()
            .map(|p| Point {
                x: 1.3 * p.x - 0.4 * p.y + 20.0,
                y: 0.2 * p.x + 0.8 * p.y - 90.0,
            })
            .collect();
        assert!(parallax(&first, &second) < 1e-5);
        assert!(parallax(&first, &first) < 1e-9);
    }

    #[test]
    fn a_head_that_turns_leaves_more_than_a_photo() {
        for (yaw, pitch) in [
            (6.0, 0.0),
            (-6.0, 0.0),
            (0.0, 6.0),
            (20.0, 0.0),
            (15.0, -15.0),
        ] {
            let parallax_of = |depth| {
                let face = face(depth);
                parallax(&seen(&face, 0.0, 0.0), &seen(&face, yaw, pitch))
            };
            let (head, photo) = (parallax_of(1.0), parallax_of(0.0));
            assert!(head > 4.0 * photo, "{head} {photo} at {yaw}, {pitch}");
        }
    }

    #[test]
    fn it_does_not_depend_on_the_size_of_the_picture_nor_on_the_order() {
        let (first, second) = (seen(&face(1.0), 0.0, 0.0), seen(&face(1.0), 12.0, 3.0));
        let twice = |points: &[Point]| -> Vec<Point> {
            points
                .iter()
                .map(|p| Point {
                    x: 2.0 * p.x,
                    y: 2.0 * p.y,
                })
                .collect()
        };
        let usual = parallax(&first, &second);
        assert!(usual > 0.02, "{usual}");
        assert!((parallax(&second, &first) - usual).abs() < 1e-12);
        assert!((parallax(&twice(&first), &second) - usual).abs() < 1e-6);
    }

    #[test]
    fn points_in_one_place_have_none() {
        let nowhere = vec![Point { x: 3.0, y: 4.0 }; LANDMARKS];
        let face = seen(&face(1.0), 0.0, 0.0);
        assert_eq!(parallax(&nowhere, &face), 0.0);
        assert_eq!(parallax(&face, &nowhere), 0.0);
    }
}
