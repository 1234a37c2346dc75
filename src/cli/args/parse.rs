//! Parsers of values, which say what is needed.

use std::fmt::Display;
use std::ops::{Bound, RangeBounds};
use std::str::FromStr;

/// Reads a whole number of a range.
pub(super) fn whole<T, R>(range: R) -> impl Fn(&str) -> Result<T, String> + Clone
where
    T: FromStr + Display + PartialOrd + Copy,
    R: RangeBounds<T> + Clone,
{
    move |text| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| match (range.start_bound(), range.end_bound()) {
            (Bound::Included(min), Bound::Included(max)) => {
                format!("expected a whole number from {min} to {max}")
            }
            (Bound::Included(min), _) => format!("expected a whole number of at least {min}"),
            _ => "expected a whole number".to_owned(),
        })
    }
}

/// Reads a similarity.
pub(super) fn cosine(text: &str) -> Result<f64, String> {
    // NaN is in no range.
    let cosine = text
        .parse()
        .ok()
        .filter(|cosine| (-1.0..=1.0).contains(cosine));
    cosine.ok_or_else(|| "expected a similarity, a number from -1 to 1".to_owned())
}

/// Reads how many there are in a second.
pub(super) fn rate(text: &str) -> Result<f64, String> {
    // NaN is in no range.
    let rate = text
        .parse()
        .ok()
        .filter(|rate| (0.001..=1e6).contains(rate));
    rate.ok_or_else(|| "expected a number a second from 0.001 to 1000000".to_owned())
}

/// Reads how many seconds something takes to begin.
pub(super) fn start_seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok();
    let seconds = seconds.filter(|seconds| (0.0..=86_400.0).contains(seconds));
    seconds.ok_or_else(|| "expected seconds from 0 to 86400, such as 0.2".to_owned())
}

/// Reads a share that is neither nothing nor all.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok();
    let share = share.filter(|share: &f64| *share > 0.0 && *share < 1.0);
    share.ok_or_else(|| "expected a share between 0 and 1, such as 0.5".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_somebody() {
        let at_least_one = whole(1_usize..);
        assert_eq!(at_least_one("1"), Ok(1));
        assert_eq!(at_least_one("18446744073709551615"), Ok(usize::MAX));
        for text in ["0", "00", "-1", "1.5", "18446744073709551616", "", "x"] {
            assert!(at_least_one(text).is_err(), "{text}");
        }
        let error = whole::<i32, _>(i32::MIN..=i32::MAX)("x").unwrap_err();
        assert_eq!(
            error,
            "expected a whole number from -2147483648 to 2147483647"
        );
    }

    #[test]
    fn rates_are_numbers_within_reason() {
        assert_eq!(rate("0.5"), Ok(0.5));
        assert_eq!(rate("1e3"), Ok(1_000.0));
        for text in ["0", "-1", "NaN", "inf", "1e7", "", "x"] {
            assert!(rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_begins_does_so_within_a_day() {
        assert_eq!(start_seconds("0"), Ok(0.0));
        assert_eq!(start_seconds("86400"), Ok(86_400.0));
        for text in ["-0.1", "86401", "NaN", "inf", "", "x"] {
            assert!(start_seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_share_is_neither_nothing_nor_all() {
        assert_eq!(share("0.5"), Ok(0.5));
        for text in ["0", "1", "-0.5", "NaN", "x"] {
            assert!(share(text).is_err(), "{text}");
        }
    }

    #[test]
    fn thresholds_are_cosines() {
        assert_eq!(cosine("-0.5"), Ok(-0.5));
        for text in ["1.5", "NaN", "inf", "", "x"] {
            assert!(cosine(text).is_err(), "{text}");
        }
    }
}
