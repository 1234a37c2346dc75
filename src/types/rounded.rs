//! Numbers of single precision in a text.

use serde::{Deserialize, Deserializer};

/// A number that is read in double precision and then rounded to single.
///
/// What other programs print of single precision in double comes back exactly. One that is too large for single
/// precision becomes infinite, which whoever takes it refuses in words of its own; read as a single one, it
/// would be no number at all.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(transparent)]
pub(crate) struct Rounded(pub(crate) f32);

impl<'de> Deserialize<'de> for Rounded {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Rounded, D::Error> {
        f64::deserialize(deserializer).map(|number| Rounded(number as f32))
    }
}

impl Rounded {
    /// The numbers.
    pub(crate) fn all(numbers: Vec<Rounded>) -> Vec<f32> {
        numbers.into_iter().map(|number| number.0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_in_double_precision_comes_back_and_what_is_too_large_is_infinite() {
        let read = |text: &str| serde_json::from_str::<Rounded>(text).map(|number| number.0);
        for number in [0.1_f32, -3.402_823_5e38, 1e-45, 0.333_333_34, 0.0] {
            let text = serde_json::to_string(&f64::from(number)).unwrap();
            assert_eq!(read(&text).unwrap().to_bits(), number.to_bits(), "{text}");
        }
        assert_eq!(read("1e39").unwrap(), f32::INFINITY);
        assert_eq!(read("-1e300").unwrap(), f32::NEG_INFINITY);
        assert_eq!(read("7").unwrap(), 7.0);
        for wrong in ["1e400", "\"1\"", "null", "[1]"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
