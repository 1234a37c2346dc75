//! JSON lines, as [`crate::exchange::open_source`] reads them.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};

use serde::Serialize;

use super::{Draft, ExchangeError, Visit};
use crate::exchange::Record;
use crate::types::{ClassThreshold, ExternalId, NoteText, PersonName, Record as PersonRecord};

pub(super) fn write<E: From<ExchangeError>>(
    draft: &Draft,
    with_people: bool,
    mut each: impl FnMut(bool, Visit<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut file = BufWriter::with_capacity(1 << 18, draft.file());
    let mut line = Vec::new();
    each(with_people, &mut |record| {
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
    if let Some(person) = &record.person {
        write_person(line, person);
    }
    line.extend_from_slice(b"}\n");
}

/// What is known of a person, in the order in which it is written.
#[derive(Serialize)]
struct PersonMembers<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    threshold: Option<f64>,
}

fn write_person(line: &mut Vec<u8>, person: &PersonRecord) {
    let members = PersonMembers {
        name: person.name.as_ref().map(PersonName::as_str),
        external_id: person.external_id.as_ref().map(ExternalId::as_str),
        labels: person.labels.iter().collect(),
        note: person.note.as_ref().map(NoteText::as_str),
        expires: person.expires.map(|time| time.unix_milliseconds),
        threshold: person.threshold.map(ClassThreshold::get),
    };
    let start = line.len();
    // Into memory, which takes everything.
    let _ = serde_json::to_writer(&mut *line, &members);
    match &line[start..] {
        b"{}" => line.truncate(start),
        _ => {
            // Within the object of the template: a comma in the place of the brace before, none after.
            line[start] = b',';
            line.pop();
        }
    }
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
