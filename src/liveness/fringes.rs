//! Coloured fringes, as a camera sees on a screen.
//!
//! The pixels of a screen are stripes of red, green and blue, and so are those of a camera's
//! sensor: where the two grids meet, colours beat. Skin has hardly any fine detail in colour: what
//! detail it has is of light and shade. (Colour texture as a cue: Boulkenafet, Komulainen and Hadid
//! 2016.)

use super::blur::blurred;
use crate::face::{AlignedFace, Landmarks, Picture};

/// The side of the aligned face that is looked at.
const SIDE: usize = 128;
/// The middle of it, from the brows to the chin and without the background.
const COLUMNS: std::ops::Range<usize> = 28..100;
const ROWS: std::ops::Range<usize> = 36..116;
/// What is finer than this many pixels may be noise, of which sensors have as much in colour as in
/// light.
const NOISE_SIGMA: f64 = 1.0;
const NOISE_RADIUS: usize = 4;
/// What is coarser than this many pixels is no fine detail.
const SIGMA: f64 = 2.0;
const RADIUS: usize = 8;

/// How strong fine detail is in colour, over how strong it is in brightness: 0.1 to 0.4 for faces
/// before a camera. Infinite if the landmarks are in one place: what is no face is not natural.
pub(super) fn fringes(picture: &Picture, landmarks: &Landmarks) -> f64 {
    let Some(face) = AlignedFace::cut(picture, landmarks, SIDE) else {
        return f64::INFINITY;
    };
    let (mut light, mut blue, mut red) = (Vec::new(), Vec::new(), Vec::new());
    for y in ROWS {
        for x in COLUMNS {
            let at = (y * SIDE + x) * 3;
            let rgb = [0, 1, 2].map(|channel| f32::from(face.rgb()[at + channel]));
            let luma = super::crop::luma(rgb);
            light.push(f64::from(luma));
            blue.push(f64::from(rgb[2] - luma));
            red.push(f64::from(rgb[0] - luma));
        }
    }
    let width = COLUMNS.len();
    let [light, blue, red] = [light, blue, red]
        .map(|plane| fine_detail(&blurred(&plane, width, NOISE_SIGMA, NOISE_RADIUS), width));
    // A face without any detail has none in colour either: one level of brightness is the least.
    (blue + red) / 2.0 / light.max(1.0)
}

/// The root mean square of what a blur takes away.
fn fine_detail(plane: &[f64], width: usize) -> f64 {
    let coarse = blurred(plane, width, SIGMA, RADIUS);
    let pairs = plane.iter().zip(&coarse);
    let squares: f64 = pairs.map(|(p, c)| (p - c).powi(2)).sum();
    (squares / plane.len() as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::face::Point;

    /// A picture of stripes two pixels wide, and the landmarks of a face of the aligned size in it.
    fn stripes(dark: [u8; 3], bright: [u8; 3]) -> f64 {
        let rgb = (0..200 * 200).flat_map(|at: usize| if at % 4 < 2 { dark } else { bright });
        let picture = Picture::from_rgb(200, 200, rgb.collect());
        let landmarks = [
            (60.0, 80.0),
            (100.0, 80.0),
            (80.0, 103.0),
            (64.0, 126.0),
            (97.0, 126.0),
        ];
        fringes(&picture, &landmarks.map(|(x, y)| Point { x, y }))
    }

    #[test]
    fn stripes_of_light_are_no_fringes_and_stripes_of_colour_are() {
        assert!(stripes([90, 60, 50], [150, 100, 83]) < 0.5);
        assert!(stripes([120, 120, 120], [180, 180, 180]) < 1e-6);
        let coloured = stripes([160, 90, 120], [90, 125, 120]);
        assert!(coloured > 2.0, "{coloured}");
        assert!(stripes([120, 100, 90], [120, 100, 90]) < 1e-9);
    }

    #[test]
    fn a_blur_takes_fine_detail_away_in_both_directions() {
        let wide = |at: usize| (at / 8 % 2) as f64 * 10.0;
        for plane in [
            (0..1600)
                .map(|at| (at % 40 % 2) as f64 * 10.0)
                .collect::<Vec<_>>(),
            (0..1600).map(|at| (at / 40 % 2) as f64 * 10.0).collect(),
        ] {
            assert!((fine_detail(&plane, 40) - 5.0).abs() < 0.2);
        }
        let coarse: Vec<f64> = (0..1600).map(|at| wide(at % 40)).collect();
        assert!(fine_detail(&coarse, 40) < 4.0);
    }
}
