//! A small grey picture of the face, by which the same picture is recognised when it comes again.

use super::blur::blurred;
use super::least_squares::LeastSquares;
use crate::face::{AlignedFace, Landmarks, Picture};

/// Pixels on each side.
const SIDE: usize = 48;
/// The face is cut out this many times larger and averaged, so that fine detail does not depend on
/// where pixels fall.
const REDUCTION: usize = 4;
/// Pixels at each border that are not compared, since they may have come from elsewhere.
const MARGIN: usize = 4;
/// Steps towards the best fit; more change nothing.
const STEPS_MAX: usize = 20;
/// The nearest that a part of the picture may come to the camera, over its distance before.
const DEPTH_MIN: f64 = 0.3;
/// The most steps with which light is laid over light, and the least share of the pixels that must
/// lie in both pictures.
const LIGHT_FIT: (usize, f64) = (STEPS_MAX, 0.3);
/// Light that is coarser than this, in pixels, is taken out: a shadow that moves over a photo makes
/// no other face.
const LIGHT_SIGMA: f64 = 5.0;
const LIGHT_RADIUS: usize = 12;
/// What is taken for no contrast, in levels of brightness: noise of a camera must not become a
/// picture.
const CONTRAST_MIN: f64 = 6.0;

/// Detail is finer than this, in pixels. The edge of a shadow on a photo is coarser.
const DETAIL_SIGMA: f64 = 2.0;
const DETAIL_RADIUS: usize = 6;
/// Within this, in pixels, detail is weighed against that of its surroundings.
const DETAIL_SPREAD_SIGMA: f64 = 4.0;
const DETAIL_SPREAD_RADIUS: usize = 10;
/// What is taken for no detail, in squares of the local deviations of light.
const DETAIL_MIN: f64 = 0.02;
/// So near to what is not seen, in pixels, light is weighed against half of its surroundings, and
/// detail against that.
///
/// No more than that: clients cut pictures close to the face, and with 5 and 8 too little was left
/// of 14 of 30 such pairs of live people to be compared.
const UNSURE_LIGHT: usize = 3;
const UNSURE_DETAIL: usize = 4;
/// As [`LIGHT_FIT`], of detail, from where light fits best.
const DETAIL_FIT: (usize, f64) = (6, 0.2);

/// See the module.
#[derive(Clone, PartialEq)]
pub(super) struct Thumbnail {
    /// Brightness over that of the surroundings, in local deviations.
    light: Plane,
    /// What of it is finer than the edge of a shadow, likewise.
    detail: Plane,
}

/// How alike two thumbnails are when one is laid over the other, up to 1 each: the largest
/// correlation that is found, either way round, and with one of them in a mirror. 1 if they cannot
/// be compared: what cannot be seen is no evidence of another scene.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Likeness {
    /// Of all light.
    pub(super) light: f64,
    /// Of fine detail alone, nearby where light fits best. A shadow that moves over a photo changes
    /// light and not detail.
    pub(super) detail: f64,
}

impl Likeness {
    const NOT_COMPARED: Likeness = Likeness {
        light: 1.0,
        detail: 1.0,
    };
}

impl Thumbnail {
    /// Of the face with these landmarks. Nothing is seen if they are all in one place.
    pub(super) fn cut(picture: &Picture, landmarks: &Landmarks) -> Thumbnail {
        let Some(face) = AlignedFace::cut(picture, landmarks, SIDE * REDUCTION) else {
            return Thumbnail::of(&[f64::NAN; SIDE * SIDE]);
        };
        let mut brightness = vec![0.0; SIDE * SIDE];
        let share = 1.0 / (REDUCTION * REDUCTION) as f64;
        let back = face.transform().inverse();
        let inside = |place: f64, length: usize| (0.0..=length as f64 - 1.0).contains(&place);
        for (at, pixel) in face.rgb().chunks_exact(3).enumerate() {
            let (x, y) = (at % (SIDE * REDUCTION), at / (SIDE * REDUCTION));
            let rgb = [pixel[0], pixel[1], pixel[2]].map(f32::from);
            let (u, v) = back.apply((x as f64, y as f64));
            let seen = inside(u, picture.width()) && inside(v, picture.height());
            let value = f64::from(super::crop::luma(rgb));
            brightness[y / REDUCTION * SIDE + x / REDUCTION] +=
                share * if seen { value } else { f64::NAN };
        }
        Thumbnail::of(&brightness)
    }

    /// Of brightness, 0 to 255, with NaN where nothing is seen.
    fn of(brightness: &[f64]) -> Thumbnail {
        let surroundings = (LIGHT_SIGMA, LIGHT_RADIUS);
        let contrast_min = CONTRAST_MIN * CONTRAST_MIN;
        let light = over_surroundings(brightness, surroundings, surroundings, contrast_min);
        let detail = over_surroundings(
            &without_brink(&light, UNSURE_LIGHT),
            (DETAIL_SIGMA, DETAIL_RADIUS),
            (DETAIL_SPREAD_SIGMA, DETAIL_SPREAD_RADIUS),
            DETAIL_MIN,
        );
        Thumbnail {
            light: Plane::of(&light),
            detail: Plane::of(&without_brink(&detail, UNSURE_DETAIL)),
        }
    }

    /// As in a mirror.
    fn mirrored(&self) -> Thumbnail {
        Thumbnail {
            light: self.light.mirrored(),
            detail: self.detail.mirrored(),
        }
    }

    #[cfg(test)]
    pub(super) fn from_pixels(pixel: impl Fn(f32, f32) -> f32) -> Thumbnail {
        let pixels = (0..SIDE * SIDE).map(|at| pixel((at % SIDE) as f32, (at / SIDE) as f32));
        Thumbnail::of(&pixels.map(f64::from).collect::<Vec<_>>())
    }

    /// [`Likeness::light`] alone.
    pub(super) fn correlation(&self, other: &Thumbnail) -> f64 {
        let laid_over = |first: &Thumbnail, second: &Thumbnail| {
            let start = Perspective([0.0; 8]);
            Some(first.light.laid_over(&second.light, start, LIGHT_FIT)?.0)
        };
        let all = self.every_way(other, laid_over);
        all.map_or(1.0, |all| all.into_iter().fold(0.0, f64::max))
    }

    /// How alike the two are.
    pub(super) fn likeness(&self, other: &Thumbnail) -> Likeness {
        let laid_over = |first: &Thumbnail, second: &Thumbnail| {
            let start = Perspective([0.0; 8]);
            let (light, map) = first.light.laid_over(&second.light, start, LIGHT_FIT)?;
            let detail = first.detail.laid_over(&second.detail, map, DETAIL_FIT);
            let detail = detail.map_or(1.0, |(detail, _)| detail);
            Some(Likeness { light, detail })
        };
        let Some(all) = self.every_way(other, laid_over) else {
            return Likeness::NOT_COMPARED;
        };
        Likeness {
            light: all.iter().fold(0.0, |most, way| way.light.max(most)),
            detail: all.iter().fold(0.0, |most, way| way.detail.max(most)),
        }
    }

    /// What `laid_over` says either way round, and with one in a mirror. `None` if it does not know
    /// of any of them.
    fn every_way<T>(
        &self,
        other: &Thumbnail,
        laid_over: impl Fn(&Thumbnail, &Thumbnail) -> Option<T>,
    ) -> Option<[T; 3]> {
        Some([
            laid_over(self, other)?,
            laid_over(other, self)?,
            laid_over(&self.mirrored(), other)?,
        ])
    }
}

/// Each value less the mean of its surroundings, over the root of the mean square of such
/// differences around it and `least`. Surroundings are a Gaussian's deviation and radius in pixels.
fn over_surroundings(
    values: &[f64],
    mean_of: (f64, usize),
    spread_of: (f64, usize),
    least: f64,
) -> Vec<f64> {
    let mean = blurred(values, SIDE, mean_of.0, mean_of.1);
    let above: Vec<f64> = values.iter().zip(&mean).map(|(v, m)| v - m).collect();
    let squares: Vec<f64> = above.iter().map(|a| a * a).collect();
    let spread = blurred(&squares, SIDE, spread_of.0, spread_of.1);
    let pixels = above.iter().zip(&spread);
    pixels.map(|(a, s)| a / (s + least).sqrt()).collect()
}

/// The same, not seen within so many pixels of what is not seen, across or down.
fn without_brink(values: &[f64], reach: usize) -> Vec<f64> {
    let mut kept = values.to_vec();
    for (at, _) in values.iter().enumerate().filter(|(_, v)| v.is_nan()) {
        let (x, y) = (at % SIDE, at / SIDE);
        for row in y.saturating_sub(reach)..(y + reach + 1).min(SIDE) {
            kept[row * SIDE + x.saturating_sub(reach)..row * SIDE + (x + reach + 1).min(SIDE)]
                .fill(f64::NAN);
        }
    }
    kept
}

/// [`SIDE`] squared numbers, row by row. NaN where the picture does not show the face.
#[derive(Clone)]
struct Plane(Vec<f32>);

impl PartialEq for Plane {
    fn eq(&self, other: &Plane) -> bool {
        let bits = |plane: &Plane| -> Vec<u32> { plane.0.iter().map(|p| p.to_bits()).collect() };
        bits(self) == bits(other)
    }
}

impl Plane {
    fn of(values: &[f64]) -> Plane {
        Plane(values.iter().map(|&value| value as f32).collect())
    }

    fn mirrored(&self) -> Plane {
        let rows = self.0.chunks_exact(SIDE);
        Plane(rows.flat_map(|row| row.iter().rev().copied()).collect())
    }

    /// The largest correlation between this plane and any perspective view of the other that is
    /// near enough to be found from `start` in so many steps, and where: 1 for a picture and its
    /// copy, however it was shifted, scaled, turned, tilted by up to about 40 degrees, brightened,
    /// shaded or encoded; less if the scene itself has changed.
    ///
    /// Found by Gauss and Newton's method (Lucas and Kanade 1981), both planes at mean 0 and
    /// deviation 1. `None` if either is of one colour, or too little lies in both.
    fn laid_over(
        &self,
        other: &Plane,
        start: Perspective,
        (steps_max, overlap_min): (usize, f64),
    ) -> Option<(f64, Perspective)> {
        let mut map = start;
        let mut best: Option<(f64, Perspective)> = None;
        for _ in 0..steps_max {
            let Some(fit) = self.fit(other, &map, overlap_min) else {
                break;
            };
            if best.is_none_or(|(most, _)| fit.correlation > most) {
                best = Some((fit.correlation, map));
            }
            let Some(step) = fit.step else { break };
            let moved = step.iter().fold(0.0_f64, |most, s| most.max(s.abs()));
            map.0.iter_mut().zip(step).for_each(|(p, s)| *p += s);
            if moved < 1e-5 {
                break;
            }
        }
        best
    }

    /// How alike the two are under `map`, and how to change it to make them more so. `None` if
    /// hardly anything lies in both.
    fn fit(&self, other: &Plane, map: &Perspective, overlap_min: f64) -> Option<Fit> {
        let middle = SIDE as f64 / 2.0;
        let mut pairs = Vec::with_capacity(SIDE * SIDE);
        for y in MARGIN..SIDE - MARGIN {
            for x in MARGIN..SIDE - MARGIN {
                // In half sides about the middle, so that all eight numbers are of like size.
                let (u, v) = ((x as f64 - middle) / middle, (y as f64 - middle) / middle);
                let Some(place) = map.place(u, v) else {
                    continue;
                };
                let ours = f64::from(self.0[y * SIDE + x]);
                let seen = other.at(middle + middle * place.u, middle + middle * place.v);
                if let Some(seen) = seen
                    && !ours.is_nan()
                {
                    pairs.push(Pair { place, ours, seen });
                }
            }
        }
        let all = (SIDE - 2 * MARGIN).pow(2) as f64;
        if (pairs.len() as f64) < overlap_min * all {
            return None;
        }
        let ours = Spread::of(pairs.iter().map(|pair| pair.ours));
        let theirs = Spread::of(pairs.iter().map(|pair| pair.seen.value));
        if ours.deviation < 0.05 || theirs.deviation < 0.05 {
            return None;
        }
        let mut correlation = 0.0;
        let mut equations = LeastSquares::<8>::new();
        for pair in &pairs {
            let a = (pair.ours - ours.mean) / ours.deviation;
            let b = (pair.seen.value - theirs.mean) / theirs.deviation;
            correlation += a * b;
            let per_half_side = middle / theirs.deviation;
            let gradient = (
                pair.seen.gradient.0 * per_half_side,
                pair.seen.gradient.1 * per_half_side,
            );
            equations.add(&pair.place.slopes(gradient), a - b);
        }
        Some(Fit {
            correlation: correlation / pairs.len() as f64,
            step: equations.solve(),
        })
    }

    /// What lies at x, y, between four pixels in proportion, and how it changes there.
    fn at(&self, x: f64, y: f64) -> Option<Seen> {
        let last = (SIDE - 1) as f64;
        if !(0.0..last).contains(&x) || !(0.0..last).contains(&y) {
            return None;
        }
        let (left, top) = (x as usize, y as usize);
        let (right_share, bottom_share) = (x - left as f64, y - top as f64);
        let pixel = |dx: usize, dy: usize| f64::from(self.0[(top + dy) * SIDE + left + dx]);
        let [a, b, c, d] = [pixel(0, 0), pixel(1, 0), pixel(0, 1), pixel(1, 1)];
        if (a + b + c + d).is_nan() {
            return None;
        }
        let mix = |a: f64, b: f64, share: f64| a + (b - a) * share;
        Some(Seen {
            value: mix(mix(a, b, right_share), mix(c, d, right_share), bottom_share),
            gradient: (
                mix(b - a, d - c, bottom_share),
                mix(c - a, d - b, right_share),
            ),
        })
    }
}

/// A view of a plane: what this picture shows at u, v the other shows at
/// (u + p0 + p1 u + p2 v, v + p3 + p4 u + p5 v) / (1 + p6 u + p7 v).
#[derive(Clone, Copy)]
struct Perspective([f64; 8]);

impl Perspective {
    /// `None` behind the camera, or nearly.
    fn place(&self, u: f64, v: f64) -> Option<Place> {
        let p = &self.0;
        let depth = 1.0 + p[6] * u + p[7] * v;
        (depth > DEPTH_MIN).then(|| Place {
            from: (u, v),
            depth,
            u: (u + p[0] + p[1] * u + p[2] * v) / depth,
            v: (v + p[3] + p[4] * u + p[5] * v) / depth,
        })
    }
}

/// Where a place of this picture, `from`, lies in the other.
struct Place {
    from: (f64, f64),
    depth: f64,
    u: f64,
    v: f64,
}

impl Place {
    /// How what is seen changes with each number of the map, if it changes by `gradient` with u and
    /// v.
    fn slopes(&self, gradient: (f64, f64)) -> [f64; 8] {
        let (u, v) = self.from;
        let (gu, gv) = (gradient.0 / self.depth, gradient.1 / self.depth);
        let along = -(gu * self.u + gv * self.v);
        [gu, gu * u, gu * v, gv, gv * u, gv * v, along * u, along * v]
    }
}

struct Fit {
    correlation: f64,
    step: Option<[f64; 8]>,
}

struct Pair {
    place: Place,
    ours: f64,
    seen: Seen,
}

struct Seen {
    value: f64,
    gradient: (f64, f64),
}

struct Spread {
    mean: f64,
    deviation: f64,
}

impl Spread {
    fn of(values: impl Iterator<Item = f64> + Clone) -> Spread {
        let n = values.clone().count() as f64;
        let mean = values.clone().sum::<f64>() / n;
        let variance = values.map(|value| (value - mean).powi(2)).sum::<f64>() / n;
        Spread {
            mean,
            deviation: variance.sqrt(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scene(x: f32, y: f32) -> f32 {
        128.0 + 50.0 * (x / 5.0).sin() * (y / 7.0).cos() + 30.0 * (x / 11.0 + y / 6.0).sin()
    }

    #[test]
    fn a_copy_is_recognised_however_it_was_moved_and_brightened() {
        let original = Thumbnail::from_pixels(scene);
        for (scale, turn, tilt, dx, dy, gain) in [
            (1.0, 0.0, 0.0, 0.0, 0.0, 1.0),
            (1.06, 0.0, 0.0, 0.5, -1.0, 0.7),
            (0.95, 0.05, 0.0, 1.2, 0.8, 1.1),
            // A sheet that is held aslant: affine maps reach 0.98 only.
            (1.0, 0.0, 0.15, 0.0, 0.0, 1.0),
            (1.02, 0.03, -0.12, 0.5, 0.3, 0.9),
        ] {
            let copy = Thumbnail::from_pixels(|x, y| {
                let (u, v) = (x - 24.0, y - 24.0);
                let depth = 1.0 + tilt * (u + v / 2.0) / 24.0;
                let (x, y) = (
                    (scale * u + turn * v) / depth + 24.0 + dx,
                    (scale * v - turn * u) / depth + 24.0 + dy,
                );
                5.0 + gain * scene(x, y)
            });
            let correlation = original.correlation(&copy);
            assert!(correlation > 0.995, "{correlation} at {scale}");
        }
    }

    #[test]
    fn another_scene_is_not_a_copy() {
        let original = Thumbnail::from_pixels(scene);
        let other = Thumbnail::from_pixels(|x, y| scene(y, x));
        assert!(original.correlation(&other) < 0.9);
        // The middle moves, the rest stays: no map brings both along.
        let parallax = Thumbnail::from_pixels(|x, y| {
            let near = 1.0 - ((x - 24.0).hypot(y - 24.0) / 20.0).min(1.0);
            scene(x + 6.0 * near, y)
        });
        let correlation = original.correlation(&parallax);
        assert!((0.7..0.99).contains(&correlation), "{correlation}");
    }

    #[test]
    fn what_cannot_be_compared_is_no_evidence_of_another_scene() {
        let plain = Thumbnail::from_pixels(|_, _| 77.0);
        assert_eq!(plain.correlation(&plain), 1.0);
        assert_eq!(plain.correlation(&Thumbnail::from_pixels(scene)), 1.0);
        let unseen = Thumbnail::from_pixels(|_, _| f32::NAN);
        assert_eq!(unseen.correlation(&Thumbnail::from_pixels(scene)), 1.0);
    }

    #[test]
    fn a_mirror_image_and_a_cropped_one_are_copies() {
        let original = Thumbnail::from_pixels(scene);
        let mirror = Thumbnail::from_pixels(|x, y| scene(47.0 - x, y));
        assert!(original.correlation(&mirror) > 0.999);
        assert!(mirror.correlation(&original) > 0.999);
        for cut in [8.0, 16.0, 24.0] {
            // Above and to the left nothing is seen, and the rest has moved a little.
            let cropped = Thumbnail::from_pixels(|x, y| {
                if y < cut || x < cut / 2.0 {
                    return f32::NAN;
                }
                scene(x + 1.0, y - 0.5)
            });
            let correlation = original.correlation(&cropped);
            assert!(correlation > 0.97, "{correlation} at {cut}");
        }
    }

    #[test]
    fn the_edge_of_a_shadow_changes_light_and_not_detail() {
        let fine = |x: f32, y: f32| {
            scene(x, y) + 20.0 * (x * 1.7).sin() * (y * 1.3).cos() + 15.0 * (x + y).sin()
        };
        let original = Thumbnail::from_pixels(fine);
        for edge in [16.0, 24.0, 31.0] {
            let shaded = Thumbnail::from_pixels(|x, y| {
                fine(x, y) * (0.5 + 0.5 / (1.0 + (-(x - edge) / 2.0).exp()))
            });
            let likeness = original.likeness(&shaded);
            assert!(likeness.detail > likeness.light, "{likeness:?} at {edge}");
            assert!(likeness.detail > 0.95, "{likeness:?} at {edge}");
        }
        // What moves changes both.
        let near = |x: f32, y: f32| 1.0 - ((x - 24.0).hypot(y - 24.0) / 20.0).min(1.0);
        let solid = Thumbnail::from_pixels(|x, y| fine(x + 4.0 * near(x, y), y));
        let likeness = original.likeness(&solid);
        assert!(likeness.detail < 0.9, "{likeness:?}");
        assert_eq!(original.correlation(&solid), likeness.light);
    }

    #[test]
    fn near_what_is_not_seen_nothing_is_sure() {
        let mut values = vec![1.0; SIDE * SIDE];
        values[10 * SIDE + 3] = f64::NAN;
        let kept = without_brink(&values, 5);
        let seen = |x: usize, y: usize| !kept[y * SIDE + x].is_nan();
        assert!(!seen(3, 10) && !seen(8, 15) && !seen(0, 5));
        assert!(seen(9, 10) && seen(3, 16) && seen(3, 4) && seen(SIDE - 1, 9));
        assert_eq!(kept.iter().filter(|v| v.is_nan()).count(), 9 * 11);
    }

    #[test]
    fn a_shadow_makes_no_other_scene() {
        let original = Thumbnail::from_pixels(scene);
        for slope in [0.3, 0.6] {
            let shaded =
                Thumbnail::from_pixels(|x, y| scene(x, y) * (1.0 + slope * (x - 24.0) / 24.0));
            let correlation = original.correlation(&shaded);
            assert!(correlation > 0.98, "{correlation} at {slope}");
        }
    }
}
