//! Shares, and how sure one can be of them. The interval is two lines of arithmetic, which need no
//! library of statistics.

use serde::Serialize;

/// So many of so many, with the range in which the true share lies with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Rate {
    /// How many there are of what is counted.
    pub count: usize,
    /// How many there are in all.
    pub total: usize,
    /// Their share, 0 to 1; 0 of 0 is 0.
    pub rate: f64,
    /// The lower end of the range.
    pub low: f64,
    /// The upper end; 1 if there are none at all.
    pub high: f64,
}

/// The quantile of the normal distribution for 95 % on two sides.
const Z: f64 = 1.959_963_984_540_054;

impl Rate {
    /// The share and Wilson's score interval (1927), which keeps its promise also for shares near 0
    /// and for few trials. It takes trials as independent: several from one person are not, and the
    /// true range is wider then.
    pub fn of(count: usize, total: usize) -> Rate {
        let rate = count as f64 / total.max(1) as f64;
        let (low, high) = wilson(rate, total as f64);
        Rate {
            count,
            total,
            rate,
            low,
            high,
        }
    }
}

/// Wilson's score interval for a share of so many trials; all that there is for none.
pub(super) fn wilson(rate: f64, trials: f64) -> (f64, f64) {
    if trials <= 0.0 {
        return (0.0, 1.0);
    }
    let spread = Z * (rate * (1.0 - rate) / trials + Z * Z / (4.0 * trials * trials)).sqrt();
    let scale = 1.0 + Z * Z / trials;
    let middle = rate + Z * Z / (2.0 * trials);
    // Where nothing or all is counted, that end is the very end, whatever rounding says.
    let low = if rate <= 0.0 {
        0.0
    } else {
        (middle - spread) / scale
    };
    let high = if rate >= 1.0 {
        1.0
    } else {
        (middle + spread) / scale
    };
    (low.max(0.0), high.min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_the_tables() {
        // Newcombe 1998, table I, method 3.
        for (count, total, low, high) in [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ] {
            let rate = Rate::of(count, total);
            assert!((rate.low - low).abs() < 5e-5, "{rate:?}");
            assert!((rate.high - high).abs() < 5e-5, "{rate:?}");
        }
        for total in [1, 20, 400, 2_000, 1_000_003] {
            assert_eq!(Rate::of(total, total).high, 1.0, "{total}");
            assert_eq!(Rate::of(0, total).low, 0.0, "{total}");
        }
    }

    #[test]
    fn nothing_says_nothing() {
        let rate = Rate::of(0, 0);
        assert_eq!((rate.rate, rate.low, rate.high), (0.0, 0.0, 1.0));
    }
}
