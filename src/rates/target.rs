//! The rate that is asked for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::RatesError;
use super::error::ATTENUATION_MAX;

/// How often a stranger may be taken for somebody: above 0 and below 1.
///
/// Written as a rate (`0.001`), or as MOSIP's ABIS interface has it: as the whole number `x` that
/// is `-10 log10` of the rate, rounded (`30`).
///
/// ```
/// use vultus::rates::TargetRate;
///
/// let rate: TargetRate = "0.001".parse().unwrap();
/// assert_eq!("30".parse::<TargetRate>().unwrap(), rate);
/// assert_eq!(rate.to_string(), "0.001");
/// assert!("0".parse::<TargetRate>().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct TargetRate(f64);

impl TargetRate {
    /// One stranger in a thousand.
    pub const DEFAULT: TargetRate = TargetRate(0.001);

    /// One stranger in ten thousand.
    pub const ONE_IN_TEN_THOUSAND: TargetRate = TargetRate(0.0001);

    /// The lowest rate that can be asked for.
    pub const LOWEST: f64 = 1e-10;

    /// A rate, or the number that stands for one.
    ///
    /// # Errors
    ///
    /// If it is neither: 0, 1, negative, NaN or infinite, or above 1 and not a whole number from 2
    /// to 100.
    pub fn new(number: f64) -> Result<TargetRate, RatesError> {
        TargetRate::read(number, || number.to_string())
    }

    /// The rate, above 0 and below 1.
    pub fn get(self) -> f64 {
        self.0
    }

    /// The whole number that stands for it: `-10 log10` of the rate, rounded.
    pub fn attenuation(self) -> u32 {
        // From 0 to 100, by construction.
        (-10.0 * self.0.log10()).round() as u32
    }

    fn read(number: f64, found: impl Fn() -> String) -> Result<TargetRate, RatesError> {
        let refused = |why| {
            let found = found();
            Err(RatesError::Target { found, why })
        };
        if number.is_nan() {
            return refused("");
        }
        if number <= 0.0 {
            return refused("; that no stranger is ever taken for somebody cannot be promised");
        }
        if number < TargetRate::LOWEST {
            return refused("; rates below 1e-10 cannot be asked for");
        }
        if number < 1.0 {
            return Ok(TargetRate(number));
        }
        if number == 1.0 {
            return refused("; at a rate of 1 every stranger is taken for somebody");
        }
        if number.fract() != 0.0 || number > f64::from(ATTENUATION_MAX) {
            return refused("");
        }
        // Through text, so that 30 is the very number 0.001 and not the one beside it.
        let exact = 10_f64.powf(-number / 10.0);
        let rounded = format!("{exact:.12e}").parse().unwrap_or(exact);
        Ok(TargetRate(rounded))
    }
}

impl Default for TargetRate {
    /// [`TargetRate::DEFAULT`].
    fn default() -> TargetRate {
        TargetRate::DEFAULT
    }
}

impl FromStr for TargetRate {
    type Err = RatesError;

    fn from_str(text: &str) -> Result<TargetRate, RatesError> {
        let number = text.trim().parse().map_err(|_| RatesError::Target {
            // Whatever was sent, an error stays short.
            found: text.chars().take(40).collect(),
            why: "",
        })?;
        TargetRate::read(number, || text.trim().chars().take(40).collect())
    }
}

impl TryFrom<f64> for TargetRate {
    type Error = RatesError;

    fn try_from(number: f64) -> Result<TargetRate, RatesError> {
        TargetRate::new(number)
    }
}

impl From<TargetRate> for f64 {
    fn from(rate: TargetRate) -> f64 {
        rate.0
    }
}

impl fmt::Display for TargetRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 1e-5 {
            return write!(f, "{:e}", self.0);
        }
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_the_numbers_that_stand_for_them_are_read() {
        for (text, rate, attenuation) in [
            ("0.001", 0.001, 30),
            (" 1e-3 ", 0.001, 30),
            ("30", 0.001, 30),
            ("30.0", 0.001, 30),
            ("40", 0.0001, 40),
            ("50", 0.00001, 50),
            ("60", 1e-6, 60),
            ("2", 0.630_957_344_480_2, 2),
            ("100", 1e-10, 100),
            ("0.5", 0.5, 3),
            (".25", 0.25, 6),
        ] {
            let read: TargetRate = text.parse().unwrap();
            assert_eq!(
                (read.get(), read.attenuation()),
                (rate, attenuation),
                "{text}"
            );
            assert_eq!(read.to_string().parse::<TargetRate>().unwrap(), read);
        }
    }

    #[test]
    fn what_is_no_rate_is_refused_with_a_sentence() {
        for text in [
            "0", "-0", "1", "1.0", "-3", "-0.001", "NaN", "nan", "inf", "-inf", "30.5", "101",
            "1e300", "1e-11", "", "0,001", "0.1 %", "one", "1/1000", "true",
        ] {
            let error = text.parse::<TargetRate>().unwrap_err().to_string();
            assert!(error.contains("is not a rate"), "{text}: {error}");
        }
        let long = "9".repeat(5000).parse::<TargetRate>().unwrap_err();
        assert!(long.to_string().len() < 400);
    }

    #[test]
    fn json_is_read_with_the_same_care() {
        let rate: TargetRate = serde_json::from_str("30").unwrap();
        assert_eq!(rate, TargetRate::DEFAULT);
        assert_eq!(serde_json::to_string(&rate).unwrap(), "0.001");
        for json in ["0", "1", "-3", "\"0.001\"", "null"] {
            assert!(serde_json::from_str::<TargetRate>(json).is_err(), "{json}");
        }
    }
}
