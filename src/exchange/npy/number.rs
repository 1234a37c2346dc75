//! Numbers of every width, sign and order of bytes.

use half::f16;

/// How a number is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    form: Form,
    pub(super) size: usize,
    is_big_endian: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Float,
    Signed,
    Unsigned,
}

/// A number as it was kept.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Half(f16),
    Single(f32),
    Double(f64),
    Signed(i64),
    Unsigned(u64),
}

impl Kind {
    pub(super) const HALF: Kind = Kind::little(Form::Float, 2);
    pub(super) const SINGLE: Kind = Kind::little(Form::Float, 4);
    #[cfg(feature = "npz")]
    pub(super) const DOUBLE: Kind = Kind::little(Form::Float, 8);
    pub(super) const INT: Kind = Kind::little(Form::Signed, 4);
    pub(super) const LONG: Kind = Kind::little(Form::Signed, 8);

    const fn little(form: Form, size: usize) -> Kind {
        Kind {
            form,
            size,
            is_big_endian: false,
        }
    }

    /// What a type of NumPy stands for, such as `<f4`; none if it is no number that is read.
    pub(super) fn of(descr: &str) -> Option<Kind> {
        let mut chars = descr.chars();
        let (order, form) = (chars.next()?, chars.next()?);
        let size = chars.as_str().parse().ok()?;
        let form = match (form, size) {
            ('f', 2 | 4 | 8) => Form::Float,
            ('i', 1 | 2 | 4 | 8) => Form::Signed,
            ('u', 1 | 2 | 4 | 8) => Form::Unsigned,
            _ => return None,
        };
        Some(Kind {
            form,
            size,
            is_big_endian: match order {
                '<' | '|' | '=' => false,
                '>' => true,
                _ => return None,
            },
        })
    }

    /// The number in `size` bytes.
    pub(super) fn number(self, bytes: &[u8]) -> Number {
        let mut little = [0; 8];
        little[..self.size].copy_from_slice(bytes);
        if self.is_big_endian {
            little[..self.size].reverse();
        }
        let bits = u64::from_le_bytes(little);
        match (self.form, self.size) {
            (Form::Float, 2) => Number::Half(f16::from_bits(bits as u16)),
            (Form::Float, 4) => Number::Single(f32::from_bits(bits as u32)),
            (Form::Float, _) => Number::Double(f64::from_bits(bits)),
            (Form::Signed, size) => {
                // It stands in the lower bytes: moved up and down again, its sign is kept.
                let shift = 64 - 8 * size;
                Number::Signed((bits as i64) << shift >> shift)
            }
            (Form::Unsigned, _) => Number::Unsigned(bits),
        }
    }
}

impl Number {
    /// In single precision, to the nearest; infinite if it is too large for it.
    pub(super) fn single(self) -> f32 {
        match self {
            Number::Half(number) => number.to_f32(),
            Number::Single(number) => number,
            Number::Double(number) => number as f32,
            Number::Signed(number) => number as f32,
            Number::Unsigned(number) => number as f32,
        }
    }

    /// In double precision, to the nearest.
    #[cfg(feature = "npz")]
    pub(super) fn double(self) -> f64 {
        match self {
            Number::Half(number) => number.to_f64(),
            Number::Single(number) => number.into(),
            Number::Double(number) => number,
            Number::Signed(number) => number as f64,
            Number::Unsigned(number) => number as f64,
        }
    }

    /// As text.
    #[cfg(feature = "npz")]
    pub(super) fn text(self) -> String {
        match self {
            Number::Half(number) => number.to_string(),
            Number::Single(number) => number.to_string(),
            Number::Double(number) => number.to_string(),
            Number::Signed(number) => number.to_string(),
            Number::Unsigned(number) => number.to_string(),
        }
    }

    /// As a whole number, if it is one.
    pub(super) fn whole(self) -> Option<i64> {
        match self {
            Number::Half(number) => whole_number(number.to_f64()),
            Number::Single(number) => whole_number(number.into()),
            Number::Double(number) => whole_number(number),
            Number::Signed(number) => Some(number),
            Number::Unsigned(number) => i64::try_from(number).ok(),
        }
    }
}

/// A number of double precision as a whole one, if it is one and none of its neighbours would have
/// become the same.
pub(in crate::exchange) fn whole_number(number: f64) -> Option<i64> {
    let is_whole = number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0;
    is_whole.then_some(number as i64)
}
