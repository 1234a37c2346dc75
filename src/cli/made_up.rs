//! Embeddings that nobody has.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::code::length;

/// A unit vector whose direction is uniformly distributed: independent normal numbers (Box and
/// Muller, 1958), normalised. The same for the same arguments.
pub(super) fn direction(dimension: usize, seed: u64, row: u64) -> Vec<f32> {
    let mut random = StdRng::seed_from_u64(seed ^ row.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut normal = || {
        let (radius, turn): (f32, f32) = (random.random(), random.random());
        let radius = (-2.0 * (1.0 - radius).ln()).sqrt();
        radius * (std::f32::consts::TAU * turn).cos()
    };
    let values: Vec<f32> = (0..dimension).map(|_| normal()).collect();
    let length = length(&values) as f32;
    values.iter().map(|value| value / length).collect()
}
