//! What a command and a service say to each other.
//!
//! The command connects for each request, which is a line of JSON. The service answers with frames:
//! a byte that says what it is, its length as four bytes, little-endian, and its bytes. The last is [`Kind::Exit`], [`Kind::Answer`] or [`Kind::Failed`]; if it does not come, nobody
//! knows what was done. The first members of a request and the frames stay what they are, so that two
//! versions of the program can tell each other which they are.

use std::io::{self, BufRead, Read, Write};

use serde::{Deserialize, Serialize};

use crate::cli::enrolled_already::Asked;
use crate::types::EncoderId;

/// The longest request: ten thousand templates and more.
const REQUEST_BYTES_MAX: u64 = 64 << 20;
/// The longest frame.
const FRAME_BYTES_MAX: usize = 16 << 20;

/// What a command asks for. It may hold a secret, so it has no `Debug`.
#[derive(Serialize, Deserialize)]
pub(super) struct Request {
    /// The version of the program that asks.
    pub(super) version: String,
    /// What it asks for; of another version this cannot be read.
    pub(super) ask: serde_json::Value,
}

/// The kinds of requests.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ask {
    /// To do what was typed.
    Run(Run),
    /// To enrol a class with templates.
    Enroll(Enroll),
    /// To import what the command reads.
    Import(Import),
    /// To choose classes for people who are to be imported and have none.
    ChooseClasses(ChooseClasses),
    /// To leave each person of a partition the templates that an enrolment would.
    KeepBest(String),
    /// To keep a calibration of a partition.
    KeepCalibration(KeepCalibration),
}

/// A calibration that the command measured.
#[derive(Serialize, Deserialize)]
pub(super) struct KeepCalibration {
    pub(super) partition: String,
    /// As [`Calibration::to_bytes`](crate::rates::Calibration::to_bytes) makes it, a text.
    pub(super) calibration: String,
}

/// An import. What [`crate::exchange::Source`] says of itself, for a source that the command reads.
#[derive(Serialize, Deserialize)]
pub(super) struct Import {
    pub(super) partition: String,
    pub(super) encoder: EncoderId,
    pub(super) name: String,
    pub(super) dimension: usize,
    pub(super) items_per_commit: u64,
    pub(super) facts: Vec<(String, String)>,
    /// What to do if an import of this source was begun.
    pub(super) existing: ExistingImport,
    /// Where the command reports refused items. Without it the first is an error.
    pub(super) report: Option<String>,
    /// What is done about items that look like somebody else.
    pub(super) duplicates: Option<Asked>,
}

/// What was typed about an import that was begun before.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ExistingImport {
    Refuse,
    Resume,
    Overwrite,
}

/// Classes for so many people who are new.
#[derive(Serialize, Deserialize)]
pub(super) struct ChooseClasses {
    pub(super) partition: String,
    pub(super) encoder: EncoderId,
    pub(super) count: usize,
}

/// What an import did.
#[derive(Serialize, Deserialize)]
pub(super) struct ImportedItems {
    pub(super) items: u64,
    pub(super) accepted: u64,
    pub(super) known: u64,
    pub(super) refused: u64,
    pub(super) duplicates: u64,
    pub(super) earlier: u64,
}

/// What was typed.
#[derive(Serialize, Deserialize)]
pub(super) struct Run {
    /// Behind the name of the program.
    pub(super) arguments: Vec<String>,
    /// Where it was typed.
    pub(super) directory: String,
    /// What the verb reads from its stdin, if it reads anything.
    pub(super) input: Option<String>,
}

/// Templates of one person.
#[derive(Serialize, Deserialize)]
pub(super) struct Enroll {
    pub(super) partition: String,
    /// That of somebody new, which the gallery chooses, if it is missing.
    pub(super) class: Option<i64>,
    /// What the person is called.
    pub(super) name: Option<String>,
    pub(super) encoder: EncoderId,
    /// Whether those of before go.
    pub(super) replace: bool,
    pub(super) templates: Vec<Template>,
}

/// A template. Single precision goes as its bits: as text it would not come back the same.
#[derive(Serialize, Deserialize)]
pub(super) struct Template {
    pub(super) value_bits: Vec<u32>,
    pub(super) quality_bits: u32,
    /// A JPEG in base64.
    pub(super) portrait: Option<String>,
}

/// What enrolling did.
#[derive(Serialize, Deserialize)]
pub(super) struct EnrolledClass {
    pub(super) class: i64,
    pub(super) added: usize,
    pub(super) known: usize,
    pub(super) removed: usize,
    pub(super) templates: usize,
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Bytes for stdout.
    Out,
    /// Bytes for stderr.
    Err,
    /// The next piece of an import is wanted.
    Next,
    /// So many items of an import are to be passed over, eight bytes.
    Skip,
    /// The report of refused items begins now, JSON says how.
    Report,
    /// Items that the service refuses though the command could read them, as JSON: for the report.
    Refused,
    /// How far the work is, as JSON.
    HowFar,
    /// The end: one byte, the exit code.
    Exit,
    /// The end: JSON that the request asked for.
    Answer,
    /// The end: what went wrong, in words.
    Failed,
}

impl Kind {
    const ALL: [(u8, Kind); 10] = [
        (b'o', Kind::Out),
        (b'e', Kind::Err),
        (b'n', Kind::Next),
        (b's', Kind::Skip),
        (b'r', Kind::Report),
        (b'c', Kind::Refused),
        (b'h', Kind::HowFar),
        (b'x', Kind::Exit),
        (b'a', Kind::Answer),
        (b'f', Kind::Failed),
    ];

    fn byte(self) -> u8 {
        let mut all = Kind::ALL.into_iter();
        all.find(|(_, kind)| *kind == self)
            .map_or(0, |(byte, _)| byte)
    }

    fn of(byte: u8) -> Option<Kind> {
        let mut all = Kind::ALL.into_iter();
        all.find(|(of, _)| *of == byte).map(|(_, kind)| kind)
    }
}

/// Sends a request.
pub(super) fn send(to: &mut impl Write, ask: &Ask) -> io::Result<()> {
    let request = Request {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ask: serde_json::to_value(ask).map_err(io::Error::other)?,
    };
    let mut line = serde_json::to_vec(&request).map_err(io::Error::other)?;
    line.push(b'\n');
    to.write_all(&line)
}

/// The next request, or `None` where there is no other.
pub(super) fn receive(from: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut line = Vec::new();
    from.take(REQUEST_BYTES_MAX).read_until(b'\n', &mut line)?;
    match line.last() {
        None => Ok(None),
        Some(b'\n') => {
            // Not what the parser says: it may show a secret.
            let read = serde_json::from_slice(&line);
            read.map(Some)
                .map_err(|_| io::Error::other("a request cannot be read"))
        }
        Some(_) => Err(io::Error::other("a request was cut off or is too long")),
    }
}

/// Sends a frame.
pub(super) fn answer(to: &mut impl Write, kind: Kind, bytes: &[u8]) -> io::Result<()> {
    let longest = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    for part in bytes.chunks(FRAME_BYTES_MAX) {
        let mut frame = vec![kind.byte()];
        frame.extend(longest(part).to_le_bytes());
        frame.extend_from_slice(part);
        to.write_all(&frame)?;
    }
    if bytes.is_empty() {
        to.write_all(&[kind.byte(), 0, 0, 0, 0])?;
    }
    Ok(())
}

/// The next frame, or `None` where the other side has gone between two.
pub(super) fn next(from: &mut impl Read) -> io::Result<Option<(Kind, Vec<u8>)>> {
    let mut head = [0; 5];
    match from.read(&mut head[..1])? {
        0 => return Ok(None),
        _ => from.read_exact(&mut head[1..])?,
    }
    let [kind, length @ ..] = head;
    let length = u32::from_le_bytes(length) as usize;
    let kind = Kind::of(kind).filter(|_| length <= FRAME_BYTES_MAX);
    let kind = kind.ok_or_else(|| io::Error::other("an answer cannot be read"))?;
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes)?;
    Ok(Some((kind, bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_and_cut_ones_are_errors() {
        let mut sent = Vec::new();
        let frames = [
            (Kind::Out, &b"a line\n"[..]),
            (Kind::Err, b""),
            (Kind::Exit, &[1]),
        ];
        for (kind, bytes) in frames {
            answer(&mut sent, kind, bytes).unwrap();
        }
        let mut from = &sent[..];
        for (kind, bytes) in frames {
            assert_eq!(next(&mut from).unwrap(), Some((kind, bytes.to_vec())));
        }
        assert_eq!(next(&mut from).unwrap(), None);
        for cut in [1, 4, 5, 8] {
            assert!(next(&mut &sent[..cut]).is_err(), "{cut}");
        }
        assert!(next(&mut &b"?\0\0\0\0"[..]).is_err());
        assert!(next(&mut &b"o\xff\xff\xff\xff"[..]).is_err());
    }

    #[test]
    fn requests_come_back_and_errors_show_nothing_of_them() {
        let ask = Ask::Run(Run {
            arguments: vec!["app".to_owned(), "list".to_owned()],
            directory: "/".to_owned(),
            input: Some("secret".to_owned()),
        });
        let mut sent = Vec::new();
        send(&mut sent, &ask).unwrap();
        send(&mut sent, &ask).unwrap();
        let mut from = &sent[..];
        for _ in 0..2 {
            let request = receive(&mut from).unwrap().unwrap();
            assert_eq!(request.version, env!("CARGO_PKG_VERSION"));
            let read: Ask = serde_json::from_value(request.ask).unwrap();
            assert!(matches!(read, Ask::Run(Run { input: Some(input), .. }) if input == "secret"));
        }
        assert!(receive(&mut from).unwrap().is_none());
        for bad in [&b"{\"secret\n"[..], b"secret", b"\n"] {
            let error = receive(&mut &bad[..]).err().unwrap().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
