//! The reference: score everything in double precision, sort everything.
//!
//! Written from the documentation of `kernel::dot_f64` and `search`, and sharing no code with them.

use std::collections::HashMap;

use vultus::types::{ClassId, Match};

/// A row and its class.
pub(crate) type Row = (i64, Vec<f32>);

/// The `limit` best classes with at least `threshold`, of `rows` for `probe`.
pub(crate) fn search(
    rows: &[Row],
    probe: &[f32],
    limit: usize,
    threshold: Option<f64>,
) -> Vec<Match> {
    let mut best: HashMap<i64, f64> = HashMap::new();
    for (class, row) in rows {
        let score = cosine(probe, row);
        let entry = best.entry(*class).or_insert(score);
        *entry = entry.max(score);
    }
    let mut all: Vec<(i64, f64)> = best.into_iter().collect();
    all.retain(|(_, score)| threshold.is_none_or(|least| *score >= least));
    all.sort_by(|a, b| b.1.partial_cmp(&a.1).unwrap().then(a.0.cmp(&b.0)));
    all.truncate(limit);
    all.into_iter()
        .map(|(class, similarity)| Match {
            class: ClassId(class),
            similarity,
        })
        .collect()
}

/// The cosine, in the documented order of operations.
pub(crate) fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let cosine = dot(a, b) / (dot(a, a).sqrt() * dot(b, b).sqrt());
    // What rounding took from an embedding compared with itself.
    if cosine.abs() > 1.0 - 4.0 * f64::EPSILON {
        return cosine.signum();
    }
    cosine
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    let product = |at: usize| f64::from(a[at]) * f64::from(b[at]);
    let mut sums: Vec<f64> = (0..16)
        .map(|lane| {
            (lane..a.len())
                .step_by(16)
                .map(product)
                .fold(0.0, |x, y| x + y)
        })
        .collect();
    while sums.len() > 1 {
        let half = sums.len() / 2;
        sums = (0..half).map(|at| sums[at] + sums[at + half]).collect();
    }
    sums[0]
}

/// The cosine summed from left to right: the order that anybody would write down first.
pub(crate) fn plain_cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter()
            .zip(b)
            .map(|(&a, &b)| f64::from(a) * f64::from(b))
            .sum()
    };
    dot(a, b) / (dot(a, a).sqrt() * dot(b, b).sqrt())
}
