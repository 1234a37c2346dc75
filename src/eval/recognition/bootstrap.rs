//! How sure one can be where several probes are of one person: people are drawn anew, with all that
//! is theirs (Efron 1979; over people as by Bolle, Ratha and Pankanti 2004).

use rayon::prelude::*;

use super::split::mixed;

/// People are drawn anew so often.
const DRAWS: usize = 1_000;
/// At least, where there is much to count each time.
const DRAWS_MIN: usize = 100;
/// So much is counted in all.
const COUNTED_MAX: usize = 2_000_000_000;

/// The range in which the middle 95 % of each share lies, of `people` drawn anew. `shares` has the
/// shares where each person counts so often; it looks at about `trials` numbers. One that cannot be
/// told in a draw is left out there.
pub(super) fn over_people(
    people: usize,
    trials: usize,
    seed: u64,
    shares: impl Fn(&[u32]) -> Vec<Option<f64>> + Sync,
) -> Vec<Option<(f64, f64)>> {
    if people < 2 {
        return shares(&vec![1; people]).iter().map(|_| None).collect();
    }
    let draws = (COUNTED_MAX / trials.max(1)).clamp(DRAWS_MIN, DRAWS);
    let drawn: Vec<Vec<Option<f64>>> = (0..draws as u64)
        .into_par_iter()
        .map(|draw| shares(&weights(people, seed, draw)))
        .collect();
    let columns = drawn.first().map_or(0, Vec::len);
    let column = |at: usize| {
        let mut values: Vec<f64> = drawn.iter().filter_map(|row| row[at]).collect();
        values.sort_by(f64::total_cmp);
        let of = |share: f64| values.get(((values.len() - 1) as f64 * share).round() as usize);
        (!values.is_empty()).then(|| Some((*of(0.025)?, *of(0.975)?)))?
    };
    (0..columns).map(column).collect()
}

/// How often each person is drawn, of as many draws as there are people.
fn weights(people: usize, seed: u64, draw: u64) -> Vec<u32> {
    let mut weights = vec![0; people];
    let start = mixed(seed ^ mixed(draw));
    for at in 0..people as u64 {
        let number = mixed(start.wrapping_add(at.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        // The upper half of the product: evenly distributed for any number of people.
        let person = (u128::from(number) * people as u128) >> 64;
        weights[person as usize] += 1;
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_of_a_mean_is_that_of_the_textbook() {
        // 400 people, of whom a quarter fail: the deviation of the share is 0.02165.
        let range = over_people(400, 400, 1, |weights| {
            let failed: u32 = weights.iter().step_by(4).sum();
            vec![Some(f64::from(failed) / 400.0), None]
        });
        let (low, high) = range[0].unwrap();
        assert!((low - (0.25 - 1.96 * 0.02165)).abs() < 0.006, "{low}");
        assert!((high - (0.25 + 1.96 * 0.02165)).abs() < 0.006, "{high}");
        assert_eq!(range[1], None);
        let again = over_people(400, 400, 1, |weights| {
            vec![Some(
                f64::from(weights.iter().step_by(4).sum::<u32>()) / 400.0,
            )]
        });
        assert_eq!(again[0], range[0], "the same seed draws the same people");
    }

    #[test]
    fn everybody_is_drawn_as_often_as_anybody() {
        let mut sums = [0_u32; 7];
        for draw in 0..2_000 {
            let weights = weights(7, 3, draw);
            assert_eq!(weights.iter().sum::<u32>(), 7);
            sums.iter_mut()
                .zip(weights)
                .for_each(|(sum, weight)| *sum += weight);
        }
        assert!(
            sums.iter().all(|sum| (1_850..2_150).contains(sum)),
            "{sums:?}"
        );
        assert_eq!(over_people(1, 1, 1, |_| vec![Some(0.0)]), [None]);
    }
}
