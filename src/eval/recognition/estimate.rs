//! A share with two intervals, and how many trials one needs.

use indicatif::HumanCount;
use serde::Serialize;

use super::super::rate::wilson;

/// So many of so many, pooled over all splits, with the ranges in which the true share lies with 95
/// % confidence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// How many there are of what is counted.
    pub count: usize,
    /// How many trials there were, in all splits.
    pub total: usize,
    /// Their share, 0 to 1; 0 of 0 is 0.
    pub rate: f64,
    /// How many different probes, or comparisons, the trials are of: those that count for the
    /// range.
    pub distinct: usize,
    /// The lower end of Wilson's range, which takes different probes as independent.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// The lower end of the range over people (bootstrap), which does not. It is 0 to 0 where
    /// nothing was counted: only the other range says something then.
    pub people_low: Option<f64>,
    /// Its upper end.
    pub people_high: Option<f64>,
}

impl Estimate {
    /// The share of `count` of `total` trials, which are of `distinct` different ones.
    pub fn of(count: usize, total: usize, distinct: usize) -> Estimate {
        let rate = count as f64 / total.max(1) as f64;
        let (low, high) = wilson(rate, distinct as f64);
        Estimate {
            count,
            total,
            rate,
            distinct,
            low,
            high,
            people_low: None,
            people_high: None,
        }
    }

    /// The same with a range over people.
    #[must_use]
    pub fn over_people(self, range: Option<(f64, f64)>) -> Estimate {
        Estimate {
            people_low: range.map(|(low, _)| low),
            people_high: range.map(|(_, high)| high),
            ..self
        }
    }
}

/// A rate that cannot be told with so few trials.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Need {
    /// The rate.
    pub rate: f64,
    /// How many different trials it needs.
    pub needed: usize,
    /// How many there are.
    pub found: usize,
}

impl Need {
    /// What is missing for a rate; `None` if there are enough trials.
    pub fn of(rate: f64, found: usize) -> Option<Need> {
        let needed = probes_needed(rate);
        (found < needed).then_some(Need {
            rate,
            needed,
            found,
        })
    }

    /// In a sentence, of trials that are called so.
    pub fn sentence(&self, trials: &str) -> String {
        format!(
            "{} needs about {} {trials} for such an interval; there are {}",
            one_of(self.rate),
            grouped(self.needed),
            grouped(self.found)
        )
    }
}

/// How many different trials it takes so that none of them wrong means, with 95 % confidence, a
/// rate below this one: three times its inverse (Hanley and Lippman-Hand 1983).
pub fn probes_needed(rate: f64) -> usize {
    (3.0 / rate - 1e-6).ceil() as usize
}

/// A rate as one of so many where it is one: `1/1000`.
fn one_of(rate: f64) -> String {
    let inverse = (1.0 / rate).round();
    if (inverse * rate - 1.0).abs() < 1e-9 {
        return format!("1/{inverse}");
    }
    format!("{rate}")
}

/// `1,048,576` for 1048576.
fn grouped(number: usize) -> String {
    HumanCount(number as u64).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_needs_three_times_its_inverse() {
        for (rate, needed) in [
            (0.1, 30),
            (0.03, 100),
            (0.01, 300),
            (0.003, 1000),
            (0.001, 3000),
        ] {
            assert_eq!(probes_needed(rate), needed, "{rate}");
            // None of so many wrong: the rate is about the end of the range.
            assert!((Estimate::of(0, needed, needed).high - rate).abs() < 0.3 * rate);
        }
        let need = Need::of(0.001, 40).unwrap();
        assert_eq!(
            need.sentence("non-mated probes"),
            "1/1000 needs about 3,000 non-mated probes for such an interval; there are 40"
        );
        assert_eq!(
            Need::of(0.003, 5).unwrap().sentence("x").split(' ').next(),
            Some("0.003")
        );
        assert_eq!(Need::of(0.001, 3000), None);
        assert_eq!(grouped(1_234_567), "1,234,567");
    }

    #[test]
    fn searching_again_in_other_splits_makes_nothing_surer() {
        let once = Estimate::of(3, 100, 100);
        let again = Estimate::of(60, 2000, 100);
        assert_eq!(
            (once.rate, once.low, once.high),
            (again.rate, again.low, again.high)
        );
        let nothing = Estimate::of(0, 0, 0);
        assert_eq!((nothing.rate, nothing.low, nothing.high), (0.0, 0.0, 1.0));
    }
}
