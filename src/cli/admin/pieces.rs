//! The items of an import on their way from the command, which reads them, to the service, which
//! makes templates of them.
//!
//! The service asks for one piece after the other, so that no more than a piece is under way, and
//! whatever becomes of either side, what is durable is whole pieces, as in an import that is alone.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::wire::{self, Import, Kind};
use crate::exchange::{
    ExchangeError, Job, Length, Piece, Record, Refused, RefusedItem, ReportBegun, Source,
};
use crate::types::{ClassId, Embedding, Record as PersonRecord, StoredRecord, Timestamp};

/// Refusals that are told together.
const REFUSALS_PER_FRAME: usize = 1000;
/// The longest piece.
const PIECE_BYTES_MAX: usize = 256 << 20;

/// A source that another process reads.
pub(super) struct Streamed<'a> {
    stream: &'a UnixStream,
    name: PathBuf,
    about: &'a Import,
}

impl<'a> Streamed<'a> {
    pub(super) fn new(stream: &'a UnixStream, about: &'a Import) -> Streamed<'a> {
        Streamed {
            stream,
            name: PathBuf::from(&about.name),
            about,
        }
    }

    fn failed(&self, source: io::Error) -> ExchangeError {
        ExchangeError::Io {
            action: "read from the command",
            path: self.name.clone(),
            source,
        }
    }
}

impl Source for Streamed<'_> {
    fn name(&self) -> &Path {
        &self.name
    }

    fn dimension(&self) -> usize {
        self.about.dimension
    }

    // The command tells people how far it is.
    fn length(&self) -> Length {
        Length::Items(0)
    }

    fn position(&self) -> u64 {
        0
    }

    fn describe(&self, job: Job) -> Job {
        let facts = self.about.facts.iter();
        facts.fold(job, |job, (name, value)| job.with(name, value))
    }

    fn items_per_commit(&self) -> u64 {
        self.about.items_per_commit
    }

    // The command writes it, with the rights of whoever gives it, and where it sees that place: what is
    // `/tmp` to it may be another folder to the service.
    fn begin_report(&mut self, begun: ReportBegun) -> Result<bool, ExchangeError> {
        let told = serde_json::to_vec(&begun).map_err(io::Error::other);
        let told = told.and_then(|how| wire::answer(&mut &*self.stream, Kind::Report, &how));
        told.map_err(|error| self.failed(error))?;
        Ok(true)
    }

    fn contradicted(&mut self, refusals: &[RefusedItem]) -> Result<(), ExchangeError> {
        for some in refusals.chunks(REFUSALS_PER_FRAME) {
            let told = serde_json::to_vec(some).map_err(io::Error::other);
            let told = told.and_then(|what| wire::answer(&mut &*self.stream, Kind::Refused, &what));
            told.map_err(|error| self.failed(error))?;
        }
        Ok(())
    }

    fn skip(&mut self, items: u64) -> Result<(), ExchangeError> {
        if items == 0 {
            return Ok(());
        }
        let told = wire::answer(&mut &*self.stream, Kind::Skip, &items.to_le_bytes());
        told.map_err(|error| self.failed(error))
    }

    fn next_piece(&mut self) -> Result<Option<Box<dyn Piece>>, ExchangeError> {
        let asked = wire::answer(&mut &*self.stream, Kind::Next, &[]);
        let piece = asked.and_then(|()| receive(&mut &*self.stream, self.about.dimension));
        let piece = piece.map_err(|error| self.failed(error))?;
        Ok(piece.map(|piece| Box::new(piece) as Box<dyn Piece>))
    }
}

/// Items that came from another process.
#[derive(Default)]
struct Received {
    items: Vec<Result<Item, Refused>>,
    values: Vec<f32>,
    dimension: usize,
}

struct Item {
    class: ClassId,
    enrolled: Option<Timestamp>,
    quality: f32,
    /// The first of its values.
    first: usize,
    /// What is said of the person, and where the item is found.
    person: Option<(Box<PersonRecord>, Refused)>,
}

/// What is said of a person, on its way.
#[derive(Serialize, Deserialize)]
struct SentPerson {
    record: StoredRecord,
    /// Where the item is found, without a reason.
    place: Refused,
}

impl Piece for Received {
    fn items(&self) -> usize {
        self.items.len()
    }

    fn located(&self, at: usize, refused: Refused) -> Refused {
        match self.items[at].as_ref().map(|item| &item.person) {
            Ok(Some((_, place))) => Refused {
                reason: refused.reason,
                duplicate: refused.duplicate,
                ..place.clone()
            },
            _ => refused,
        }
    }

    fn read<'a>(&'a self, at: usize, _scratch: &'a mut Vec<f32>) -> Result<Record<'a>, Refused> {
        let item = self.items[at].as_ref().map_err(Clone::clone)?;
        Ok(Record {
            class: item.class,
            values: &self.values[item.first..item.first + self.dimension],
            enrolled: item.enrolled,
            quality: item.quality,
            person: item.person.as_ref().map(|(person, _)| person.clone()),
        })
    }
}

/// The bytes that a piece goes as, or that there is no other, and which of its items are refused. `first`
/// is the number of its first item.
///
/// # Errors
///
/// If it is too long to be sent.
pub(super) fn encode(
    piece: Option<&dyn Piece>,
    first: u64,
) -> io::Result<(Vec<u8>, Vec<RefusedItem>)> {
    let (mut bytes, mut refusals) = (vec![0; 4], Vec::new());
    let (count, mut scratch) = (piece.map_or(0, Piece::items), Vec::new());
    bytes.extend((count as u64).to_le_bytes());
    for (at, piece) in (0..count).zip(std::iter::repeat(piece)) {
        let Some(piece) = piece else { break };
        match piece.read(at, &mut scratch) {
            Ok(record) => {
                put(&mut bytes, &record);
                if let Some(person) = &record.person {
                    let record = StoredRecord::new(person);
                    let place = piece.located(at, Refused::new(""));
                    put_json(&mut bytes, &SentPerson { record, place })?;
                }
            }
            Err(refused) => {
                bytes.push(1);
                put_json(&mut bytes, &refused)?;
                let item = first + at as u64;
                refusals.push(RefusedItem { item, refused });
            }
        }
    }
    let length = u32::try_from(bytes.len() - 4).map_err(io::Error::other)?;
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    Ok((bytes, refusals))
}

fn put_json(bytes: &mut Vec<u8>, value: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_vec(value).map_err(io::Error::other)?;
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text);
    Ok(())
}

/// A template: 0, or 2 if something of the person follows.
fn put(bytes: &mut Vec<u8>, record: &Record<'_>) {
    bytes.push(if record.person.is_some() { 2 } else { 0 });
    bytes.extend(record.class.0.to_le_bytes());
    bytes.push(u8::from(record.enrolled.is_some()));
    let enrolled = record.enrolled.map_or(0, |it| it.unix_milliseconds);
    bytes.extend(enrolled.to_le_bytes());
    bytes.extend(record.quality.to_le_bytes());
    for value in record.values {
        bytes.extend(value.to_le_bytes());
    }
}

/// Takes a piece that was sent, or that there is no other.
fn receive(from: &mut impl Read, dimension: usize) -> io::Result<Option<Received>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > PIECE_BYTES_MAX {
        return Err(io::Error::other("a piece is too long"));
    }
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes)?;
    let piece = parse(&bytes, dimension);
    let piece = piece.ok_or_else(|| io::Error::other("a piece cannot be read"))?;
    Ok(Some(piece).filter(|piece| !piece.items.is_empty()))
}

fn parse(mut bytes: &[u8], dimension: usize) -> Option<Received> {
    let from = &mut bytes;
    let count = u64::from_le_bytes(take(from)?);
    let mut received = Received {
        dimension,
        ..Received::default()
    };
    for _ in 0..count {
        let [tag] = take(from)?;
        let item = if tag == 0 || tag == 2 {
            let class = ClassId(i64::from_le_bytes(take(from)?));
            let [has_time] = take(from)?;
            let unix_milliseconds = i64::from_le_bytes(take(from)?);
            let quality = f32::from_le_bytes(take(from)?);
            let first = received.values.len();
            for _ in 0..dimension {
                received.values.push(f32::from_le_bytes(take(from)?));
            }
            Embedding::check(&received.values[first..]).ok()?;
            (quality.is_nan() || (0.0..=1.0).contains(&quality)).then_some(())?;
            let person = if tag == 2 {
                let SentPerson { record, place } = take_json(from)?;
                Some((Box::new(record.into_record().ok()?), place))
            } else {
                None
            };
            Ok(Item {
                class,
                enrolled: (has_time == 1).then_some(Timestamp { unix_milliseconds }),
                quality,
                first,
                person,
            })
        } else {
            Err(take_json(from)?)
        };
        received.items.push(item);
    }
    from.is_empty().then_some(received)
}

fn take_json<T: serde::de::DeserializeOwned>(from: &mut &[u8]) -> Option<T> {
    let length = usize::try_from(u64::from_le_bytes(take(from)?)).ok()?;
    let (text, rest) = from.split_at_checked(length)?;
    *from = rest;
    serde_json::from_slice(text).ok()
}

fn take<const COUNT: usize>(from: &mut &[u8]) -> Option<[u8; COUNT]> {
    let (taken, rest) = from.split_first_chunk()?;
    *from = rest;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A template with a time, one without, and an item that is refused.
    fn piece() -> Received {
        let item = |class, enrolled, quality, first| Item {
            class: ClassId(class),
            enrolled,
            quality,
            first,
            person: None,
        };
        let person = PersonRecord {
            name: Some("Ada".parse().unwrap()),
            expires: Some(Timestamp::from_unix_seconds(7)),
            ..PersonRecord::default()
        };
        let place = Refused::new("").at_line(5);
        let known = Item {
            person: Some((Box::new(person), place)),
            ..item(i64::MAX, None, f32::NAN, 16)
        };
        let time = Timestamp {
            unix_milliseconds: -7,
        };
        Received {
            items: vec![
                Ok(item(-3, Some(time), 0.25, 0)),
                Err(Refused::new("it is none").at_line(4)),
                Ok(known),
            ],
            values: (0..32_u8).map(|it| f32::from(it) + 0.1).collect(),
            dimension: 16,
        }
    }

    #[test]
    fn pieces_come_back_bit_by_bit() {
        let piece = piece();
        let (sent, refusals) = encode(Some(&piece), 7).unwrap();
        assert_eq!(refusals.iter().map(|it| it.item).collect::<Vec<_>>(), [8]);
        let sent = [sent, encode(None, 10).unwrap().0].concat();
        let mut from = &sent[..];
        let back = receive(&mut from, 16).unwrap().unwrap();
        assert!(receive(&mut from, 16).unwrap().is_none());
        let (mut one, mut other) = (Vec::new(), Vec::new());
        for at in 0..3 {
            let refused = |of: &Received| of.located(at, Refused::new("why"));
            assert_eq!(refused(&piece), refused(&back));
            match (piece.read(at, &mut one), back.read(at, &mut other)) {
                (Ok(sent), Ok(found)) => {
                    assert_eq!(sent.quality.to_bits(), found.quality.to_bits());
                    assert_eq!(sent.values, found.values);
                    assert_eq!((sent.class, sent.enrolled), (found.class, found.enrolled));
                    assert!(sent.person == found.person);
                }
                (sent, found) => assert_eq!(sent.err(), found.err()),
            }
        }
    }

    #[test]
    fn what_is_no_piece_is_refused() {
        let (sent, _) = encode(Some(&piece()), 0).unwrap();
        for cut in 0..sent.len() {
            assert!(receive(&mut &sent[..cut], 16).is_err(), "{cut}");
        }
        assert!(receive(&mut &sent[..], 17).is_err(), "another dimension");
        assert!(receive(&mut &[255; 9][..], 16).is_err(), "too long");
        // A value that is no number, and a quality above one.
        for (at, value) in [(4 + 8 + 22, f32::NAN), (4 + 8 + 18, 1.5)] {
            let mut wrong = sent.clone();
            wrong[at..at + 4].copy_from_slice(&value.to_le_bytes());
            assert!(receive(&mut &wrong[..], 16).is_err(), "{at}");
        }
    }
}
