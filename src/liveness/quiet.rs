//! Noise of a sensor, and what the texture network is shown instead.
//!
//! The network knows live faces from pictures without noise: some of a deviation of 2 of 255 is
//! enough for it to take most of a webcam's pictures for prints. Smoothing every picture would take
//! away what prints are known by, so only noise is: of pictures that have it, and as much of it as
//! they have. A sensor's noise is another in red, green and blue, where skin has hardly any fine
//! detail in colour, so that it can be told from all else. A camera that keeps colour at half the
//! size, as JPEG mostly does, has taken it out of colour; what is left in brightness stays.

use super::crop::{Window, luma};
use crate::face::Picture;

/// From this deviation on in each channel, 0 to 255, there is noise to be taken away. Of pictures
/// from a camera's encoder and of photographed prints most have 0.1 to 0.6, those of a coarse
/// halftone up to 1.8.
const NOISE_MIN: f64 = 1.0;
/// Noise is measured in so many pixels of the face at most, on each side.
const MEASURED_SIDE_MAX: usize = 256;
/// Larger pictures of faces are halved before, so that one takes 50 ms at most.
const QUIETED_SIDE_MAX: usize = 384;
/// How far pixels that look alike are looked for, in pixels across and down.
const REACH: isize = 3;
/// Surroundings count as alike that differ by little more than noise does: a part of its deviation.
/// With less noise stays, with more the dots of prints go as well.
const LIKENESS: f32 = 0.6;

/// Red, green and blue of the texture window at `side` x `side`, as [`Window::resized`], without the
/// noise that there is in `face`.
pub(super) fn resized(
    picture: &Picture,
    window: &Window,
    face: &Window,
    side: usize,
) -> Vec<[u8; 3]> {
    // Written so that NaN is none.
    if noise_of(&face.middle(MEASURED_SIDE_MAX).cut(picture)) >= NOISE_MIN {
        let mut shown = window.cut(picture);
        while shown.width().max(shown.height()) > QUIETED_SIDE_MAX
            && shown.width().min(shown.height()) >= 2
        {
            shown = halved(&shown);
        }
        let noise = noise_of(&shown);
        if noise >= NOISE_MIN {
            shown = quieted(&shown, noise as f32);
        }
        Window::whole(&shown).resized(&shown, side)
    } else {
        window.resized(picture, side)
    }
}

/// The deviation of noise in each channel, 0 to 255, by what it does to blue and red less
/// brightness (the operator is that of Immerkaer 1996). 0 of what is too small to tell.
fn noise_of(picture: &Picture) -> f64 {
    let (width, height) = (picture.width(), picture.height());
    if width < 3 || height < 3 {
        return 0.0;
    }
    let colours: Vec<[f32; 2]> = picture
        .rgb()
        .chunks_exact(3)
        .map(|pixel| {
            let rgb = [pixel[0], pixel[1], pixel[2]].map(f32::from);
            let luma = luma(rgb);
            [rgb[2] - luma, rgb[0] - luma]
        })
        .collect();
    let mut sums = [0.0; 2];
    for y in 1..height - 1 {
        for x in 1..width - 1 {
            for (channel, sum) in sums.iter_mut().enumerate() {
                let at = |dx: usize, dy: usize| colours[(y + dy - 1) * width + x + dx - 1][channel];
                let corners = at(0, 0) + at(2, 0) + at(0, 2) + at(2, 2);
                let sides = at(1, 0) + at(0, 1) + at(2, 1) + at(1, 2);
                *sum += f64::from((corners - 2.0 * sides + 4.0 * at(1, 1)).abs());
            }
        }
    }
    let looked_at = ((width - 2) * (height - 2)) as f64;
    // Noise of deviation 1 in each channel has one of 1.104 in blue less brightness, and of 0.921 in
    // red less brightness, by the weights of `luma`.
    let [blue, red] = sums.map(|sum| (std::f64::consts::PI / 2.0).sqrt() / 6.0 * sum / looked_at);
    f64::midpoint(blue / 1.104, red / 0.921)
}

/// Half as wide and high: each pixel is the mean of four.
fn halved(picture: &Picture) -> Picture {
    let (width, height) = (picture.width() / 2, picture.height() / 2);
    let rgb = picture.rgb();
    let mut halves = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        for x in 0..width {
            for channel in 0..3 {
                let at = |dx: usize, dy: usize| {
                    u16::from(rgb[((2 * y + dy) * picture.width() + 2 * x + dx) * 3 + channel])
                };
                halves.push(((at(0, 0) + at(1, 0) + at(0, 1) + at(1, 1) + 2) / 4) as u8);
            }
        }
    }
    Picture::from_rgb(width, height, halves)
}

/// The picture without noise of the deviation `noise` in each channel: each pixel is the mean of
/// those nearby whose surroundings look as its own do (non-local means, Buades, Coll and Morel
/// 2005).
fn quieted(picture: &Picture, noise: f32) -> Picture {
    let (width, height) = (picture.width(), picture.height());
    let pixels: Vec<[f32; 3]> = picture
        .rgb()
        .chunks_exact(3)
        .map(|pixel| [pixel[0], pixel[1], pixel[2]].map(f32::from))
        .collect();
    let mut sums = pixels.clone();
    let mut weights = vec![1.0_f32; pixels.len()];
    // Two pixels are as alike one way as the other, so half of the directions will do.
    let directions = (0..=REACH).flat_map(|dy| (-REACH..=REACH).map(move |dx| (dx, dy)));
    for (dx, dy) in directions.filter(|&(dx, dy)| (dy, dx) > (0, 0)) {
        let (across, down) = (dx.unsigned_abs(), dy.unsigned_abs());
        if across >= width || down >= height {
            continue;
        }
        let (columns, rows) = (width - across, height - down);
        // Of two pixels that lie so far apart, the upper one is this far from the left.
        let (from, to) = (across * usize::from(dx < 0), across * usize::from(dx > 0));
        let places = |x: usize, y: usize| (y * width + x + from, (y + down) * width + x + to);
        let mut differences = Vec::with_capacity(columns * rows);
        for y in 0..rows {
            for x in 0..columns {
                let (here, there) = places(x, y);
                let [r, g, b]: [f32; 3] =
                    std::array::from_fn(|channel| pixels[here][channel] - pixels[there][channel]);
                differences.push((r * r + g * g + b * b) / 3.0);
            }
        }
        let near = mean_of_nine(&differences, columns);
        for y in 0..rows {
            for x in 0..columns {
                // Of noise alone, squares of differences have a mean of twice its variance.
                let beyond = (near[y * columns + x] / (noise * noise) - 2.0).max(0.0);
                let weight = (-beyond / (LIKENESS * LIKENESS)).exp();
                let (here, there) = places(x, y);
                for channel in 0..3 {
                    sums[here][channel] += weight * pixels[there][channel];
                    sums[there][channel] += weight * pixels[here][channel];
                }
                weights[here] += weight;
                weights[there] += weight;
            }
        }
    }
    let means = sums.iter().zip(&weights);
    let rgb = means.flat_map(|(sum, weight)| sum.map(|value| (value / weight + 0.5) as u8));
    Picture::from_rgb(width, height, rgb.collect())
}

/// The mean of each value and those around it, as far as there are any.
fn mean_of_nine(values: &[f32], width: usize) -> Vec<f32> {
    let height = values.len() / width;
    let around = |at: usize, length: usize| at.saturating_sub(1)..(at + 2).min(length);
    let mut across = Vec::with_capacity(values.len());
    for row in values.chunks_exact(width) {
        for x in 0..width {
            let near = &row[around(x, width)];
            across.push(near.iter().sum::<f32>() / near.len() as f32);
        }
    }
    let mut means = Vec::with_capacity(values.len());
    for y in 0..height {
        let rows = around(y, height);
        let share = 1.0 / rows.len() as f32;
        for x in 0..width {
            let sum: f32 = rows.clone().map(|row| across[row * width + x]).sum();
            means.push(sum * share);
        }
    }
    means
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::face::Bounds;

    /// Stripes of light on something like skin, and noise of a deviation.
    fn noisy(side: usize, noise: f64) -> Picture {
        let mut state = 1_u64;
        let mut uniform = move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) as f64 / 2_147_483_648.0
        };
        let rgb = (0..side * side).flat_map(|at| {
            let light = if at % side % 24 < 12 { 1.0 } else { 0.6 };
            [180.0, 130.0, 110.0].map(|channel: f64| {
                // Twelve of them have a variance of 1.
                let bell = (0..12).map(|_| uniform()).sum::<f64>() - 6.0;
                (light * channel + noise * bell).round().clamp(0.0, 255.0) as u8
            })
        });
        Picture::from_rgb(side, side, rgb.collect())
    }

    fn distance(a: &Picture, b: &Picture) -> f64 {
        let squares = a.rgb().iter().zip(b.rgb()).map(|(&a, &b)| {
            let difference = f64::from(a) - f64::from(b);
            difference * difference
        });
        (squares.sum::<f64>() / a.rgb().len() as f64).sqrt()
    }

    fn bounds(side: usize) -> Bounds {
        let side = side as f32;
        Bounds {
            x: 0.3 * side,
            y: 0.3 * side,
            width: 0.4 * side,
            height: 0.4 * side,
        }
    }

    #[test]
    fn noise_is_told_from_light_by_its_colours() {
        for expected in [2.0, 4.0, 8.0] {
            let found = noise_of(&noisy(96, expected));
            assert!((found / expected - 1.0).abs() < 0.15, "{found} {expected}");
        }
        assert!(noise_of(&noisy(96, 0.0)) < 0.5);
        let grey = noisy(96, 4.0)
            .rgb()
            .chunks_exact(3)
            .flat_map(|p| [p[1]; 3])
            .collect();
        assert!(noise_of(&Picture::from_rgb(96, 96, grey)) < 1e-3);
        for (width, height) in [(1, 1), (2, 9), (9, 2)] {
            let small = Picture::from_rgb(width, height, vec![9; width * height * 3]);
            assert_eq!(noise_of(&small), 0.0);
        }
    }

    #[test]
    fn noise_goes_and_stripes_stay() {
        let quiet = noisy(96, 0.0);
        for noise in [2.0, 4.0] {
            let picture = noisy(96, noise);
            let left = distance(&quieted(&picture, noise as f32), &quiet);
            assert!(
                left < 0.55 * distance(&picture, &quiet),
                "{left} of {noise}"
            );
        }
        // What is beyond noise is not touched.
        assert!(distance(&quieted(&quiet, 2.0), &quiet) < 0.1);
        for (width, height) in [(1, 1), (2, 1), (1, 5), (3, 2)] {
            let small = Picture::from_rgb(width, height, vec![77; width * height * 3]);
            assert_eq!(quieted(&small, 3.0).rgb(), small.rgb());
        }
    }

    #[test]
    fn only_noisy_pictures_are_changed() {
        for (side, noise, changed) in [(200, 0.0, false), (200, 3.0, true), (900, 8.0, true)] {
            let picture = noisy(side, noise);
            let window = Window::inside(&picture, &bounds(side), 2.7);
            let face = Window::clipped(&picture, &bounds(side), 1.0);
            let plain = window.resized(&picture, 64);
            let shown = resized(&picture, &window, &face, 64);
            assert_eq!(shown.len(), plain.len());
            assert_eq!(shown != plain, changed, "{side} {noise}");
        }
    }

    #[test]
    fn means_are_of_what_there_is() {
        let values: Vec<f32> = (0..12).map(|value| (value * value % 7) as f32).collect();
        let found = mean_of_nine(&values, 4);
        for (at, found) in found.into_iter().enumerate() {
            let (x, y) = (at % 4, at / 4);
            let near: Vec<f32> = (0..12_usize)
                .filter(|other| (other % 4).abs_diff(x) < 2 && (other / 4).abs_diff(y) < 2)
                .map(|other| values[other])
                .collect();
            let mean = near.iter().sum::<f32>() / near.len() as f32;
            assert!((found - mean).abs() < 1e-5, "{at}: {found} {mean}");
        }
    }

    #[test]
    fn a_half_is_the_mean_of_four() {
        let picture = Picture::from_rgb(3, 2, (0..18).map(|value| value * 10).collect());
        // Of 0, 30, 90 and 120, and so on; the last column is left over.
        assert_eq!(halved(&picture).rgb(), [60, 70, 80]);
    }
}
