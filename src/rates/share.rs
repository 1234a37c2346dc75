//! Shares of few: the exact interval of a binomial share (Clopper and Pearson 1934), by the
//! quantiles of the beta distribution. Two functions, which need no library of statistics.

/// The range in which the share lies of which `count` of `total` were seen, with a confidence of
/// `1 - outside`. Neither need be whole: where trials depend on each other, both are divided by the
/// design effect.
pub(super) fn interval(count: f64, total: f64, outside: f64) -> (f64, f64) {
    let low = match count > 0.0 {
        true => quantile(outside / 2.0, count, total - count + 1.0),
        false => 0.0,
    };
    let high = match count < total {
        true => quantile(1.0 - outside / 2.0, count + 1.0, total - count),
        false => 1.0,
    };
    (low, high)
}

/// Where the beta distribution with shapes `a` and `b` has the share `below` under it.
fn quantile(below: f64, a: f64, b: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        match cumulative(middle, a, b) < below {
            true => low = middle,
            false => high = middle,
        }
        if high - low < 1e-9 * high {
            break;
        }
    }
    0.5 * (low + high)
}

/// The regularised incomplete beta function: the share of the distribution below `x`.
fn cumulative(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    let log_front = ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (-x).ln_1p();
    // The fraction converges fast on this side of the mean only.
    match x < (a + 1.0) / (a + b + 2.0) {
        true => log_front.exp() * fraction(x, a, b) / a,
        false => 1.0 - log_front.exp() * fraction(1.0 - x, b, a) / b,
    }
}

/// The continued fraction of the incomplete beta function, evaluated by Lentz's method.
fn fraction(x: f64, a: f64, b: f64) -> f64 {
    const SMALL: f64 = 1e-300;
    let guarded = |value: f64| if value.abs() < SMALL { SMALL } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / guarded(1.0 - (a + b) * x / (a + 1.0));
    let mut product = d;
    for step in 1..10_000 {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut factor = 1.0;
        for term in [even, odd] {
            d = 1.0 / guarded(1.0 + term * d);
            c = guarded(1.0 + term / c);
            factor = c * d;
            product *= factor;
        }
        if (factor - 1.0).abs() < 1e-14 {
            break;
        }
    }
    product
}

/// The logarithm of the gamma function of a positive number (Lanczos 1964; g = 7, nine terms).
fn ln_gamma(x: f64) -> f64 {
    const TERMS: [f64; 9] = [
        0.999_999_999_999_809_9,
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    let x = x - 1.0;
    let mut sum = TERMS[0];
    for (at, term) in (1..).zip(&TERMS[1..]) {
        sum += term / (x + f64::from(at));
    }
    let t = x + 7.5;
    0.5 * (2.0 * std::f64::consts::PI).ln() + (x + 0.5) * t.ln() - t + sum.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_those_of_the_tables() {
        // Newcombe 1998, table I, method 5.
        for (count, total, low, high) in [
            (81.0, 263.0, 0.2527, 0.3676),
            (15.0, 148.0, 0.0578, 0.1617),
            (0.0, 20.0, 0.0, 0.1684),
            (1.0, 29.0, 0.0009, 0.1776),
        ] {
            let found = interval(count, total, 0.05);
            assert!((found.0 - low).abs() < 5e-5, "{found:?}");
            assert!((found.1 - high).abs() < 5e-5, "{found:?}");
        }
        assert_eq!(interval(20.0, 20.0, 0.05).1, 1.0);
    }

    #[test]
    fn small_shares_of_many_are_poisson() {
        // Ten events: 4.795 to 18.39.
        let (low, high) = interval(10.0, 1e9, 0.05);
        assert!((low * 1e9 - 4.7954).abs() < 1e-3, "{low}");
        assert!((high * 1e9 - 18.3904).abs() < 1e-3, "{high}");
        let (low, high) = interval(500_000.0, 1e6, 0.05);
        assert!(
            (low - 0.49902).abs() < 1e-5 && (high - 0.50098).abs() < 1e-5,
            "{low} {high}"
        );
    }

    #[test]
    fn logarithms_of_factorials_are_right() {
        for (x, expected) in [
            (1.0, 0.0),
            (2.0, 0.0),
            (5.0, 24_f64.ln()),
            (0.5, 0.572_364_942_924_7),
        ] {
            assert!((ln_gamma(x) - expected).abs() < 1e-10, "{x}");
        }
    }
}
