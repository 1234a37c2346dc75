//! Estimates of every instruction set that this machine has, against sums in double precision.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::Kernel;

/// Around the steps of every kernel: values, rows, probes.
const DIMENSIONS: &[usize] = &[16, 17, 31, 33, 100, 128, 512, 513, 4096];
const ROWS: &[usize] = &[0, 1, 3, 4, 5, 6, 8, 12, 13, 24, 25];
const PROBES: &[usize] = &[1, 3, 4, 8, 16, 17, 32, 33, 48, 49, 64, 65, 130];

fn matrix(random: &mut StdRng, rows: usize, dimension: usize) -> Vec<Vec<f32>> {
    let row = |random: &mut StdRng| {
        (0..dimension)
            .map(|_| random.random_range(-1.0..1.0))
            .collect()
    };
    (0..rows).map(|_| row(random)).collect()
}

/// A sum of products in double precision, and of their absolute values.
fn sums(a: &[f32], b: &[f32]) -> (f64, f64) {
    let products = || a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b));
    (products().sum(), products().map(f64::abs).sum())
}

fn check(kernel: Kernel, rows: &[Vec<f32>], probes: &[Vec<f32>], dimension: usize) {
    let packed = FloatProbes::new(dimension, probes);
    let rows: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
    let mut squares = vec![f32::NAN; rows.len()];
    let mut dots = vec![f32::NAN; rows.len() * packed.columns()];
    kernel.estimate(&packed, &rows, &rows, &mut squares, &mut dots);
    let rounding = dimension as f64 * 2.0_f64.powi(-24);
    let error = rounding / (1.0 - rounding);
    for (at, row) in rows.iter().enumerate() {
        let what = format!("{kernel:?}, {dimension} values, row {at} of {}", rows.len());
        let (square, _) = sums(row, row);
        let off = (f64::from(squares[at]) - square).abs();
        assert!(off <= error * square, "{what}: its square is off by {off}");
        for (column, probe) in probes.iter().enumerate() {
            let (dot, absolute) = sums(row, probe);
            let found = f64::from(dots[at * packed.columns() + column]);
            let off = (found - dot).abs();
            assert!(
                off <= error * absolute,
                "{what}, probe {column}: off by {off}"
            );
        }
    }
}

fn kernels() -> impl Iterator<Item = Kernel> {
    Isa::available().filter_map(Kernel::for_isa)
}

#[test]
fn every_kernel_keeps_within_the_bound() {
    let mut random = StdRng::seed_from_u64(3);
    for &dimension in DIMENSIONS {
        let all_rows = matrix(&mut random, 25, dimension);
        let all_probes = matrix(&mut random, 130, dimension);
        for kernel in kernels() {
            // All numbers of rows with a few probes, all numbers of probes with a few rows.
            for &rows in ROWS {
                check(kernel, &all_rows[..rows], &all_probes[..70], dimension);
                check(kernel, &all_rows[..rows], &all_probes[..20], dimension);
                check(kernel, &all_rows[..rows], &all_probes[..2], dimension);
            }
            for &probes in PROBES {
                check(kernel, &all_rows[..13], &all_probes[..probes], dimension);
            }
        }
    }
}

#[test]
fn what_is_not_finite_shows_in_the_square_of_its_row_alone() {
    let mut random = StdRng::seed_from_u64(4);
    for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX] {
        for at in [0, 15, 16, 99] {
            let mut rows = matrix(&mut random, 13, 100);
            let probes = FloatProbes::new(100, &matrix(&mut random, 20, 100));
            rows[5][at] = wrong;
            let rows: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
            for kernel in kernels() {
                let (mut squares, mut dots) = (vec![0.0; 13], vec![0.0; 13 * 32]);
                kernel.estimate(&probes, &rows, &[], &mut squares, &mut dots);
                for (row, square) in squares.iter().enumerate() {
                    assert_eq!(square.is_finite(), row != 5, "{kernel:?}, row {row}");
                }
                for (row, dots) in dots.chunks(32).enumerate() {
                    assert!(row == 5 || dots.iter().all(|dot| dot.is_finite()));
                }
            }
        }
    }
}

#[test]
fn groups_cover_all_lines_once() {
    for lines in 0..20 {
        let mut next = 0;
        for (first, width) in groups(lines) {
            assert_eq!(first, next);
            next += width;
        }
        assert_eq!(next, lines);
    }
}

#[test]
#[should_panic(expected = "rows have the dimension of the probes")]
fn rows_of_another_dimension_are_a_mistake() {
    let probes = FloatProbes::new(16, &[vec![1.0; 16]]);
    let row: &[f32] = &[1.0; 15];
    Kernel::detect().estimate(&probes, &[row], &[], &mut [0.0], &mut [0.0; 16]);
}

#[test]
#[should_panic(expected = "an estimate for each row and probe")]
fn too_little_room_is_a_mistake() {
    let probes = FloatProbes::new(16, &[vec![1.0; 16]]);
    let row: &[f32] = &[1.0; 16];
    Kernel::detect().estimate(&probes, &[row], &[], &mut [0.0], &mut [0.0; 15]);
}
