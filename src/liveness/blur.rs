//! A Gaussian blur of planes of numbers.
//!
//! By hand, since what is not seen must neither count nor spread, which no library's blur knows.

/// Blurs a plane whose rows have `width` values, across and down, with the standard deviation
/// `sigma` in pixels; values that are farther than `radius` away count no more. What is NaN counts
/// for nothing; it becomes the mean of what is near, and stays NaN if nothing is.
pub(super) fn blurred(plane: &[f64], width: usize, sigma: f64, radius: usize) -> Vec<f64> {
    let weights: Vec<f64> = (0..=radius)
        .map(|distance| {
            let distance = distance as f64;
            (-distance * distance / (2.0 * sigma * sigma)).exp()
        })
        .collect();
    let height = plane.len() / width;
    let across = along(plane, &weights, (width, 1), (height, width));
    along(&across, &weights, (height, width), (width, 1))
}

/// Blurs lines of so many values that lie so far apart, and so many lines that begin so far apart.
fn along(
    plane: &[f64],
    weights: &[f64],
    (length, step): (usize, usize),
    (lines, between): (usize, usize),
) -> Vec<f64> {
    let mut result = vec![f64::NAN; plane.len()];
    for line in 0..lines {
        for at in 0..length {
            let (mut sum, mut weight_sum) = (0.0, 0.0);
            for near in (at + 1).saturating_sub(weights.len())..(at + weights.len()).min(length) {
                let value = plane[line * between + near * step];
                if !value.is_nan() {
                    let weight = weights[at.abs_diff(near)];
                    sum += weight * value;
                    weight_sum += weight;
                }
            }
            if weight_sum > 0.0 {
                result[line * between + at * step] = sum / weight_sum;
            }
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blur_goes_both_ways_and_is_a_mean_of_what_is_seen() {
        // A point becomes the product of two bells, cut off at the radius.
        let mut point = vec![0.0; 7 * 5];
        point[2 * 7 + 3] = 1.0;
        let found = blurred(&point, 7, 1.0, 2);
        let bell = |distance: f64| (-distance * distance / 2.0).exp();
        let whole = bell(0.0) + 2.0 * (bell(1.0) + bell(2.0));
        for (x, y, expected) in [
            (3, 2, 1.0),
            (4, 2, bell(1.0)),
            (3, 1, bell(1.0)),
            (5, 1, bell(2.0) * bell(1.0)),
            (0, 2, 0.0),
        ] {
            // Near a border fewer values share the weight; in the middle of the rows all do.
            let down = match y {
                2 => whole,
                _ => whole - bell(2.0),
            };
            let across = match x {
                5 => whole - bell(2.0),
                _ => whole,
            };
            let value = found[y * 7 + x];
            assert!((value - expected / across / down).abs() < 1e-12, "{x} {y}");
        }
        // What is not seen counts for nothing, and what is far from all that is seen stays unseen.
        let mut hidden = vec![f64::NAN; 9];
        hidden[0] = 4.0;
        let found = blurred(&hidden, 9, 1.0, 2);
        assert_eq!(found[..3], [4.0; 3]);
        assert!(found[3..].iter().all(|value| value.is_nan()));
    }
}
