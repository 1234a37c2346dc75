//! Whether an aligned face is a natural one, upright and resolved.
//!
//! A network makes an embedding of whatever it is shown. What is no natural face, upside down,
//! inverted, covered, a few large squares, it finds all alike: strangers reach the threshold of one
//! person. Each measure here tells some of that from natural portraits; `docs/quality.md` has the
//! kinds, what was tried, and the figures. All are of the middle of an aligned face of 112 pixels.

use std::ops::Range;

use super::align::AlignedFace;
use super::decode::Picture;
use super::detect::Landmarks;

/// The side of the aligned face that is measured.
pub(super) const MEASURED_SIDE: usize = 112;

/// From the brows to the chin, without ears and background.
const TOP: usize = 32;
const LEFT: usize = 24;
const HEIGHT: usize = 72;
const WIDTH: usize = 64;
const BLOCK: usize = 8;

/// Rows and columns of parts of a face.
type Areas<'a> = &'a [(Range<usize>, Range<usize>)];
const EYES: Areas = &[(46..57, 32..45), (46..57, 67..80)];
/// Below the eyes.
const CHEEKS: Areas = &[(64..76, 28..42), (64..76, 70..84)];
/// Its tip, which comes nearest to whatever light there is.
const NOSE: Areas = &[(66..74, 51..61)];

/// A block is blank if its brightness spreads less than this share of that of the face.
const BLANK_SHARE: f32 = 0.03;
/// Less than this is the rounding of pixels.
const BLANK_SPREAD: f32 = 0.02;

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Fitness {
    /// The logarithm of the power of the finest detail over that of all: the fourth differences,
    /// which see little else. Natural portraits have -2.4 and more.
    pub(super) fine_detail: f32,
    /// The logarithm of the power of the large areas of light and shadow over that of all. Natural
    /// portraits have -0.8 and more.
    pub(super) shading: f32,
    /// The share of blocks in which there is nothing.
    pub(super) blank: f32,
    /// How much more there is in one half of the face than in the other, as a logarithm.
    pub(super) imbalance: f32,
    /// How much darker the eyes are than the cheeks, as a multiple of the spread of brightness.
    pub(super) eye_shadow: f32,
    /// How much brighter the tip of the nose is than the eyes, likewise.
    pub(super) nose_light: f32,
}

impl Fitness {
    /// Measures a face.
    ///
    /// # Panics
    ///
    /// Panics if its side is not [`MEASURED_SIDE`].
    pub(super) fn measure(aligned: &AlignedFace) -> Fitness {
        assert_eq!(aligned.side(), MEASURED_SIDE, "measured at one size");
        let luma = luma(aligned.rgb());
        let face: Vec<f32> = (TOP..TOP + HEIGHT)
            .flat_map(|y| &luma[y * MEASURED_SIDE + LEFT..][..WIDTH])
            .copied()
            .collect();
        let power = variance(&face).max(1.0);
        let spread = variance(&face).sqrt();
        let blocks = Blocks::of(&face);
        let blank = (BLANK_SHARE * spread).max(BLANK_SPREAD);
        let count = blocks.spreads.len() as f32;
        Fitness {
            fine_detail: (fourth_differences(&face) / power + 1e-6).ln(),
            shading: (variance(&blocks.means) / power + 1e-6).ln(),
            blank: blocks.spreads.iter().filter(|&&of| of < blank).count() as f32 / count,
            imbalance: blocks.imbalance(),
            eye_shadow: (mean_in(&luma, CHEEKS) - mean_in(&luma, EYES)) / (spread + 1.0),
            nose_light: (mean_in(&luma, NOSE) - mean_in(&luma, EYES)) / (spread + 1.0),
        }
    }
}

/// The share of pixels around which nothing changes to one side, or up or down: a picture of few
/// pixels that was blown up has each of them several times. Natural ones have up to 0.2.
pub(super) fn repeated(picture: &Picture, landmarks: &Landmarks) -> f32 {
    let within = |value: f32, most: usize| value.clamp(0.0, most as f32) as usize;
    let bounds = |of: fn(&super::detect::Point) -> f32| {
        let values = landmarks.iter().map(of);
        let least = values.clone().fold(f32::INFINITY, f32::min);
        (least, values.fold(f32::NEG_INFINITY, f32::max))
    };
    let ((x_least, x_most), (y_least, y_most)) = (bounds(|p| p.x), bounds(|p| p.y));
    let columns = within(x_least, picture.width())..within(x_most + 1.0, picture.width());
    let rows = within(y_least, picture.height())..within(y_most + 1.0, picture.height());
    if columns.len() < 4 || rows.len() < 4 {
        return 0.0;
    }
    let pixel = |x: usize, y: usize| &picture.rgb()[(y * picture.width() + x) * 3..][..3];
    let (mut across, mut down, mut count) = (0_u32, 0_u32, 0_u32);
    for y in rows.start + 1..rows.end {
        for x in columns.start + 1..columns.end {
            across += u32::from(pixel(x, y) == pixel(x - 1, y));
            down += u32::from(pixel(x, y) == pixel(x, y - 1));
            count += 1;
        }
    }
    across.max(down) as f32 / count as f32
}

/// The brightness of every pixel, by the weights of ITU-R BT.601.
fn luma(rgb: &[u8]) -> Vec<f32> {
    let of = |pixel: &[u8]| {
        0.299 * f32::from(pixel[0]) + 0.587 * f32::from(pixel[1]) + 0.114 * f32::from(pixel[2])
    };
    rgb.chunks_exact(3).map(of).collect()
}

/// The face in squares of [`BLOCK`] pixels, row by row.
struct Blocks {
    means: Vec<f32>,
    spreads: Vec<f32>,
}

impl Blocks {
    fn of(face: &[f32]) -> Blocks {
        let (mut means, mut spreads) = (Vec::new(), Vec::new());
        for top in (0..HEIGHT).step_by(BLOCK) {
            for left in (0..WIDTH).step_by(BLOCK) {
                let row = |y: usize| &face[y * WIDTH + left..][..BLOCK];
                let block: Vec<f32> = (top..top + BLOCK).flat_map(row).copied().collect();
                means.push(mean(&block));
                spreads.push(variance(&block).sqrt());
            }
        }
        Blocks { means, spreads }
    }

    fn imbalance(&self) -> f32 {
        let across = WIDTH / BLOCK;
        let half = |is_left: bool| {
            let blocks = self.spreads.iter().enumerate();
            let half = blocks.filter(|(at, _)| (at % across < across / 2) == is_left);
            let spreads: Vec<f32> = half.map(|(_, &spread)| spread).collect();
            // Half a step of brightness, so that two blank halves are alike.
            mean(&spreads) + 0.5
        };
        (half(true) / half(false)).ln().abs()
    }
}

/// The mean square of what the filter 1, -4, 6, -4, 1 gives across and down.
fn fourth_differences(face: &[f32]) -> f32 {
    let at = |x: usize, y: usize| face[y * WIDTH + x];
    let filter = |v: [f32; 5]| (v[0] - 4.0 * v[1] + 6.0 * v[2] - 4.0 * v[3] + v[4]).powi(2);
    let mut sum = 0.0_f64;
    for y in 2..HEIGHT - 2 {
        for x in 2..WIDTH - 2 {
            let across = filter(std::array::from_fn(|k| at(x + k - 2, y)));
            let down = filter(std::array::from_fn(|k| at(x, y + k - 2)));
            sum += f64::from(across + down);
        }
    }
    (sum / (2 * (HEIGHT - 4) * (WIDTH - 4)) as f64) as f32
}

/// The mean brightness in some rows and columns of the aligned face.
fn mean_in(luma: &[f32], areas: Areas<'_>) -> f32 {
    let mut found = Vec::new();
    for (rows, columns) in areas {
        for y in rows.clone() {
            found.extend_from_slice(&luma[y * MEASURED_SIDE..][columns.clone()]);
        }
    }
    mean(&found)
}

fn mean(values: &[f32]) -> f32 {
    let sum: f64 = values.iter().map(|&value| f64::from(value)).sum();
    (sum / values.len() as f64) as f32
}

fn variance(values: &[f32]) -> f32 {
    let mean = f64::from(mean(values));
    let squares = values
        .iter()
        .map(|&value| (f64::from(value) - mean).powi(2));
    (squares.sum::<f64>() / values.len() as f64) as f32
}
