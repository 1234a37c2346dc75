//! JSON lines, as [`crate::exchange::open_source`] reads them.

use std::io::{BufWriter, Write};

use super::{Draft, ExchangeError, Visit};
use crate::exchange::Record;

pub(super) fn write<E: From<ExchangeError>>(
    draft: &Draft,
    mut each: impl FnMut(Visit<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut file = BufWriter::with_capacity(1 << 18, draft.file());
    let mut line = Vec::new();
    each(&mut |record| {
        line.clear();
        write_line(&mut line, record);
        file.write_all(&line).map_err(|error| draft.error(error))
    })?;
    Ok(file.flush().map_err(|error| draft.error(error))?)
}

fn write_line(line: &mut Vec<u8>, record: &Record<'_>) {
    let class = record.class.0;
    line.extend_from_slice(format!("{{\"class\":{class},\"embedding\":[").as_bytes());
    for (at, &value) in record.values.iter().enumerate() {
        if at > 0 {
            line.push(b',');
        }
        write_value(line, value);
    }
    line.push(b']');
    if let Some(time) = record.enrolled {
        line.extend_from_slice(format!(",\"time\":{}", time.unix_milliseconds).as_bytes());
    }
    if !record.quality.is_nan() {
        line.extend_from_slice(b",\"quality\":");
        write_value(line, record.quality);
    }
    line.extend_from_slice(b"}\n");
}

/// Writes a finite value so that it comes back exactly from whoever reads double precision, to
/// within a few last digits, and rounds that to single precision.
///
/// The shortest text that names the value among those of single precision may lie so close to the
/// middle of two that such a reader rounds the other way. That is rare; the digits of double
/// precision are written then.
fn write_value(stream: &mut Vec<u8>, value: f32) {
    let start = stream.len();
    // Into memory, which takes everything.
    let _ = serde_json::to_writer(&mut *stream, &value);
    let text = std::str::from_utf8(&stream[start..]);
    let read = text.ok().and_then(|text| text.parse::<f64>().ok());
    let comes_back = |read: f64| (read as f32).to_bits() == value.to_bits();
    let exact = read.is_some_and(|read| {
        let slack = read.abs() * 1e-15;
        value == 0.0 || comes_back(read - slack) && comes_back(read + slack)
    });
    if !exact {
        stream.truncate(start);
        let _ = serde_json::to_writer(stream, &f64::from(value));
    }
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
            write_value(&mut text, value);
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
            write_value(&mut text, value);
            let read: f32 = serde_json::from_slice(&text).unwrap();
            assert_eq!(read.to_bits(), value.to_bits());
        }
    }
}
