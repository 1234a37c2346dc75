//! Whether excesses are of a generalised Pareto distribution.

/// How often, by chance, the statistic is higher than the values of [`TABLE`].
const PROBABILITIES: [f64; 8] = [0.5, 0.25, 0.1, 0.05, 0.025, 0.01, 0.005, 0.001];

/// For a shape, the statistics that are exceeded by chance with [`PROBABILITIES`], where both shape
/// and scale were fitted. `scripts/rates_goodness.py` draws them; they agree with Choulakian and
/// Stephens (2001), who have them as a table, too, but not at all of these.
const TABLE: [(f64, [f64; 8]); 12] = [
    (
        -0.5,
        [0.482, 0.710, 1.031, 1.271, 1.526, 1.870, 2.154, 2.855],
    ),
    (
        -0.4,
        [0.437, 0.633, 0.904, 1.120, 1.333, 1.590, 1.841, 2.271],
    ),
    (
        -0.3,
        [0.429, 0.622, 0.891, 1.094, 1.290, 1.604, 1.866, 2.648],
    ),
    (
        -0.2,
        [0.417, 0.603, 0.852, 1.055, 1.252, 1.542, 1.746, 2.196],
    ),
    (
        -0.1,
        [0.403, 0.585, 0.812, 1.014, 1.185, 1.462, 1.620, 2.136],
    ),
    (
        0.0,
        [0.392, 0.567, 0.791, 0.959, 1.129, 1.368, 1.574, 2.165],
    ),
    (
        0.1,
        [0.384, 0.545, 0.762, 0.928, 1.104, 1.333, 1.518, 1.841],
    ),
    (
        0.2,
        [0.378, 0.535, 0.739, 0.890, 1.058, 1.288, 1.424, 1.880],
    ),
    (
        0.3,
        [0.369, 0.514, 0.708, 0.876, 1.045, 1.271, 1.423, 1.831],
    ),
    (
        0.4,
        [0.361, 0.512, 0.714, 0.870, 1.029, 1.240, 1.455, 1.881],
    ),
    (
        0.5,
        [0.356, 0.499, 0.687, 0.836, 0.995, 1.193, 1.329, 1.752],
    ),
    (
        0.7,
        [0.352, 0.489, 0.664, 0.807, 0.967, 1.168, 1.345, 1.887],
    ),
];

/// The statistic of Anderson and Darling of excesses over a generalised Pareto distribution. It
/// weighs the ends of a distribution most, which is what matters here.
pub(super) fn anderson_darling(excesses: &[f64], shape: f64, scale: f64) -> f64 {
    let mut rising = excesses.to_vec();
    rising.sort_unstable_by(f64::total_cmp);
    let t = shape / scale;
    // The logarithm of the share above each.
    let above = |excess: f64| match (t * excess).abs() < 1e-9 {
        true => -excess / scale,
        false => -(t * excess).max(-1.0 + 1e-12).ln_1p() / (t * scale),
    };
    let above: Vec<f64> = rising
        .iter()
        .map(|excess| above(*excess).max(-500.0))
        .collect();
    let count = rising.len();
    let terms = (0..count).map(|at| {
        let below = (-above[at].exp_m1()).max(1e-12).ln();
        (2 * at + 1) as f64 * (below + above[count - 1 - at])
    });
    -(count as f64) - terms.sum::<f64>() / count as f64
}

/// How often a statistic is at least so high where the excesses are of such a distribution; from
/// 0.001 to 1.
pub(super) fn p_value(statistic: f64, shape: f64) -> f64 {
    let critical = critical(shape);
    if statistic <= critical[0] {
        // What is usual is not told apart any further.
        return 1.0 - 0.5 * (statistic / critical[0]).clamp(0.0, 1.0);
    }
    for at in 1..critical.len() {
        if statistic <= critical[at] {
            let within = (statistic - critical[at - 1]) / (critical[at] - critical[at - 1]);
            let (from, to) = (PROBABILITIES[at - 1].ln(), PROBABILITIES[at].ln());
            return (from + within * (to - from)).exp();
        }
    }
    PROBABILITIES[PROBABILITIES.len() - 1]
}

/// The row of the table for a shape, between two rows by both of them.
fn critical(shape: f64) -> [f64; 8] {
    let above = TABLE.iter().position(|(of, _)| *of >= shape);
    let above = above.unwrap_or(TABLE.len() - 1);
    let below = above.saturating_sub(1);
    let (from, to) = (&TABLE[below], &TABLE[above]);
    let within = match to.0 > from.0 {
        true => ((shape - from.0) / (to.0 - from.0)).clamp(0.0, 1.0),
        false => 0.0,
    };
    std::array::from_fn(|at| from.1[at] + within * (to.1[at] - from.1[at]))
}
