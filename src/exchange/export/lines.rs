//! JSON lines, as [`crate::exchange::open_source`] reads them.

use std::io::{self, BufWriter, Write};

use super::{Draft, ExchangeError, Visit};
use crate::exchange::Record;

pub(super) fn write<E: From<ExchangeError>>(
    draft: &Draft,
    mut each: impl FnMut(Visit<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut lines = BufWriter::with_capacity(1 << 18, draft.file());
    each(&mut |record| write_line(&mut lines, record).map_err(|error| draft.error(error)))?;
    Ok(lines.flush().map_err(|error| draft.error(error))?)
}

fn write_line(stream: &mut impl Write, record: &Record<'_>) -> io::Result<()> {
    write!(stream, "{{\"class\":{},\"embedding\":[", record.class.0)?;
    for (at, &value) in record.values.iter().enumerate() {
        if at > 0 {
            stream.write_all(b",")?;
        }
        write_value(stream, value)?;
    }
    stream.write_all(b"]")?;
    if let Some(time) = record.enrolled {
        write!(stream, ",\"time\":{}", time.unix_milliseconds)?;
    }
    if !record.quality.is_nan() {
        stream.write_all(b",\"quality\":")?;
        write_value(stream, record.quality)?;
    }
    stream.write_all(b"}\n")
}

/// Writes a finite value so that it comes back exactly from whoever reads double precision, to within
/// a few last digits, and rounds that to single precision.
///
/// The shortest text that names the value among those of single precision may lie so close to the
/// middle of two that such a reader rounds the other way. That is rare; the digits of double
/// precision are written then.
fn write_value(stream: &mut impl Write, value: f32) -> io::Result<()> {
    let text = format!("{value:e}");
    let read: f64 = text.parse().map_err(io::Error::other)?;
    let slack = read.abs() * 1e-15;
    let comes_back = |read: f64| (read as f32).to_bits() == value.to_bits();
    if value == 0.0 || comes_back(read - slack) && comes_back(read + slack) {
        // Plain digits where they are shorter, as they are for most values of an embedding.
        let plain = value.abs() >= 1e-4 && value.abs() < 1e6;
        return if plain || value == 0.0 {
            write!(stream, "{value:?}")
        } else {
            stream.write_all(text.as_bytes())
        };
    }
    write!(stream, "{:e}", f64::from(value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        #[test]
        fn every_value_comes_back_bit_by_bit(bits in any::<u32>()) {
            let value = f32::from_bits(bits);
            prop_assume!(value.is_finite());
            let mut text = Vec::new();
            write_value(&mut text, value).unwrap();
            let read: f32 = serde_json::from_slice(&text).unwrap();
            prop_assert_eq!(read.to_bits(), bits, "{}", String::from_utf8_lossy(&text));
        }
    }

    #[test]
    fn edges_come_back() {
        for value in [
            0.0,
            -0.0,
            f32::MIN_POSITIVE,
            f32::from_bits(1),
            f32::MAX,
            -1.0,
            16_777_216.0,
        ] {
            let mut text = Vec::new();
            write_value(&mut text, value).unwrap();
            let read: f32 = serde_json::from_slice(&text).unwrap();
            assert_eq!(read.to_bits(), value.to_bits());
        }
    }
}
