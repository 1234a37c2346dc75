//! Dot products of one int8 row against many, in whole numbers.
//!
//! Values lie in -127..=127. A row has at most 4,096 of them, so a score is at most
//! 4,096 x 127 x 127 = 66,064,384 in absolute value and fits into 32 bits with room to spare.

use std::fmt;
use std::str::FromStr;

/// A way to compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// Plain Rust: the reference that every other one must equal.
    Scalar,
    /// The `simsimd` library, which picks among NEON, SVE, AVX2 and AVX-512 by itself.
    Simsimd,
}

impl Isa {
    /// Every instruction set we have a kernel for, the plainest first.
    pub const ALL: [Isa; 2] = [Isa::Scalar, Isa::Simsimd];
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Isa::Scalar => "scalar",
            Isa::Simsimd => "simsimd",
        })
    }
}

impl FromStr for Isa {
    type Err = String;

    fn from_str(text: &str) -> Result<Isa, String> {
        let named = Isa::ALL.into_iter().find(|isa| isa.to_string() == text);
        named.ok_or_else(|| {
            let known = Isa::ALL.map(|isa| isa.to_string()).join(", ");
            format!("no kernel is called `{text}`: expected one of {known}")
        })
    }
}

/// Scores one probe against many rows with one instruction set.
///
/// A value proves that this processor has its instructions: [`DotI8::for_isa`] is the only
/// constructor, and it checks.
#[derive(Clone, Copy, Debug)]
pub struct DotI8 {
    isa: Isa,
    rows: fn(probe: &[i8], rows: &[i8], scores: &mut [i32]),
}

impl DotI8 {
    /// The kernel for `isa`, or `None` where this processor lacks it.
    pub fn for_isa(isa: Isa) -> Option<DotI8> {
        match isa {
            Isa::Scalar => Some(DotI8 { isa, rows: scalar }),
            Isa::Simsimd => Some(DotI8 { isa, rows: simsimd }),
        }
    }

    /// The fastest kernel that this processor has.
    pub fn detect() -> DotI8 {
        let fastest = Isa::ALL.into_iter().rev().find_map(DotI8::for_isa);
        fastest.expect("the scalar kernel runs everywhere")
    }

    /// The instruction set that is used.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Writes the dot product of `probe` with each row of `rows` into `scores`.
    ///
    /// `rows` holds `scores.len()` rows one behind the other, each as long as `probe`.
    ///
    /// # Panics
    ///
    /// Panics if the lengths do not agree.
    pub fn rows(&self, probe: &[i8], rows: &[i8], scores: &mut [i32]) {
        assert_eq!(
            rows.len(),
            probe.len() * scores.len(),
            "rows must hold one row for each score"
        );
        if !probe.is_empty() {
            (self.rows)(probe, rows, scores);
        }
    }
}

fn scalar(probe: &[i8], rows: &[i8], scores: &mut [i32]) {
    for (row, score) in rows.chunks_exact(probe.len()).zip(scores) {
        *score = probe
            .iter()
            .zip(row)
            .map(|(&a, &b)| i32::from(a) * i32::from(b))
            .sum();
    }
}

fn simsimd(probe: &[i8], rows: &[i8], scores: &mut [i32]) {
    for (row, score) in rows.chunks_exact(probe.len()).zip(scores) {
        let dot = <i8 as simsimd::SpatialSimilarity>::dot(probe, row);
        // The library answers in f64, in which every 32-bit integer is exact.
        *score = dot.expect("simsimd refuses only rows of different lengths") as i32;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Lengths that meet every path: one value, a full vector of each width and one more or less,
    /// and the dimensions that encoders have.
    const LENGTHS: &[usize] = &[
        1, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 512, 1023, 4096,
    ];

    fn kernels_on_this_machine() -> Vec<DotI8> {
        Isa::ALL.into_iter().filter_map(DotI8::for_isa).collect()
    }

    fn assert_like_scalar(probe: &[i8], rows: &[i8]) {
        let mut expected = vec![0; rows.len() / probe.len()];
        // Deliberately not the scalar kernel: one more, and obviously right.
        for (row, score) in expected.iter_mut().enumerate() {
            for (at, &value) in probe.iter().enumerate() {
                *score += i32::from(value) * i32::from(rows[row * probe.len() + at]);
            }
        }
        for kernel in kernels_on_this_machine() {
            let mut scores = vec![-1; expected.len()];
            kernel.rows(probe, rows, &mut scores);
            assert_eq!(
                scores,
                expected,
                "{} at {} values",
                kernel.isa(),
                probe.len()
            );
        }
    }

    #[test]
    fn the_largest_products_do_not_overflow() {
        for &length in LENGTHS {
            for (a, b) in [(127, 127), (127, -127), (-127, -127)] {
                assert_like_scalar(&vec![a; length], &vec![b; length * 3]);
            }
        }
    }

    proptest! {
        #[test]
        fn every_kernel_equals_the_definition(
            at in 0..LENGTHS.len(),
            count in 0_usize..6,
            seed in any::<u64>(),
        ) {
            use rand::{RngExt, SeedableRng};
            let mut random = rand::rngs::StdRng::seed_from_u64(seed);
            let length = LENGTHS[at];
            let probe: Vec<i8> = (0..length).map(|_| random.random_range(-127..=127)).collect();
            let rows: Vec<i8> = (0..length * count).map(|_| random.random_range(-127..=127)).collect();
            assert_like_scalar(&probe, &rows);
        }
    }

    #[test]
    #[should_panic(expected = "one row for each score")]
    fn lengths_that_disagree_are_a_mistake_of_ours() {
        DotI8::detect().rows(&[1, 2], &[1, 2, 3], &mut [0]);
    }

    #[test]
    fn names_are_read_back() {
        for isa in Isa::ALL {
            assert_eq!(isa.to_string().parse(), Ok(isa));
        }
        assert!(
            "mmx"
                .parse::<Isa>()
                .unwrap_err()
                .contains("scalar, simsimd")
        );
    }
}
