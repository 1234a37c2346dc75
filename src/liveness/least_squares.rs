//! Small systems of linear equations.
//!
//! By hand, since a library for matrices would be a large dependency for one elimination of eight
//! unknowns.

/// Collects equations row . x = value, and finds the x that meets them with the least squares.
#[derive(Clone, Debug)]
pub(super) struct LeastSquares<const N: usize> {
    /// The sum of row' row.
    normal: [[f64; N]; N],
    /// The sum of row' value.
    right: [f64; N],
}

impl<const N: usize> LeastSquares<N> {
    pub(super) fn new() -> LeastSquares<N> {
        LeastSquares {
            normal: [[0.0; N]; N],
            right: [0.0; N],
        }
    }

    pub(super) fn add(&mut self, row: &[f64; N], value: f64) {
        for i in 0..N {
            for j in 0..N {
                self.normal[i][j] += row[i] * row[j];
            }
            self.right[i] += row[i] * value;
        }
    }

    /// `None` if many solutions are equally good.
    pub(super) fn solve(&self) -> Option<[f64; N]> {
        let (mut a, mut b) = (self.normal, self.right);
        let scale = (0..N).map(|i| a[i][i]).fold(0.0, f64::max);
        for column in 0..N {
            let pivot =
                (column..N).max_by(|&i, &j| a[i][column].abs().total_cmp(&a[j][column].abs()))?;
            a.swap(column, pivot);
            b.swap(column, pivot);
            let largest = a[column][column].abs();
            if largest.is_nan() || largest <= 1e-12 * scale {
                return None;
            }
            for row in column + 1..N {
                let factor = a[row][column] / a[column][column];
                let above = a[column];
                for (value, above) in a[row].iter_mut().zip(above).skip(column) {
                    *value -= factor * above;
                }
                b[row] -= factor * b[column];
            }
        }
        let mut x = [0.0; N];
        for row in (0..N).rev() {
            let known: f64 = (row + 1..N).map(|k| a[row][k] * x[k]).sum();
            x[row] = (b[row] - known) / a[row][row];
        }
        x.iter().all(|value| value.is_finite()).then_some(x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equations_without_contradiction_are_met() {
        let mut equations = LeastSquares::<3>::new();
        for row in [
            [0.0, 2.0, 1.0],
            [1.0, 0.0, -1.0],
            [3.0, 1.0, 0.0],
            [1.0, 1.0, 1.0],
        ] {
            equations.add(&row, row[0] * 5.0 - row[1] * 7.0 + row[2] * 0.5);
        }
        let found = equations.solve().unwrap();
        for (found, expected) in found.into_iter().zip([5.0, -7.0, 0.5]) {
            assert!((found - expected).abs() < 1e-9, "{found}");
        }
    }

    #[test]
    fn a_line_through_three_points_is_the_nearest() {
        let mut equations = LeastSquares::<2>::new();
        for (x, y) in [(0.0, 0.0), (1.0, 2.0), (2.0, 1.0)] {
            equations.add(&[x, 1.0], y);
        }
        let [slope, start] = equations.solve().unwrap();
        assert!((slope - 0.5).abs() < 1e-12 && (start - 0.5).abs() < 1e-12);
    }

    #[test]
    fn too_few_equations_have_no_solution() {
        let mut equations = LeastSquares::<2>::new();
        assert_eq!(equations.solve(), None);
        equations.add(&[1.0, 2.0], 3.0);
        equations.add(&[2.0, 4.0], 6.0);
        assert_eq!(equations.solve(), None);
        equations.add(&[f64::NAN, 0.0], 0.0);
        assert_eq!(equations.solve(), None);
    }
}
