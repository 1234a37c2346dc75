//! A line of the log: one JSON object, which knows the line before it.

use serde::{Deserialize, Serialize};

use super::head::{Head, hex};
use super::record::Record;
use super::signing::AuditKey;
use crate::types::Timestamp;

/// A line, as it is written and read. The names are part of the format.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The number of the line in the whole log, from 1.
    pub sequence: u64,
    /// SHA-256 of the line before it, without its end, in hexadecimal digits.
    pub previous: String,
    /// When it was done, in milliseconds since 1970 in UTC.
    pub unix_milliseconds: i64,
    /// What was done, the name of an [`Event`](super::Event); `head` for a signature, `recovered` where a
    /// crash was mended, `replaced` where the log was another one, or a longer one, before, `pruned` where
    /// files went whose time was over.
    pub event: String,
    /// Who did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
    /// From where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The id of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// In which gallery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
    /// Who was meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// How many people were searched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub people: Option<usize>,
    /// What made the embeddings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder: Option<String>,
    /// The similarity from which on somebody is recognised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// What was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<String>,
    /// Who was listed, the best first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<String>,
    /// A keyed digest of the samples, in hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<String>,
    /// How many templates were added or removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub templates: Option<usize>,
    /// What else it was done to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// How many bytes of unfinished lines a crash had left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped_bytes: Option<u64>,
    /// Of which number the next line was known to be, of a log in whose place there is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_sequence: Option<u64>,
    /// With which number the log begins from now on: the files before it go, since their time is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_sequence: Option<u64>,
    /// Of a head: the public key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Of a head: the signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

impl Head {
    fn entry(&self, time: Timestamp, event: &str) -> Entry {
        Entry {
            sequence: self.sequence,
            previous: self.previous.clone(),
            unix_milliseconds: time.unix_milliseconds,
            event: event.to_owned(),
            ..Entry::default()
        }
    }

    /// Writes an entry behind this place, and goes behind it.
    fn push(&mut self, entry: &Entry, text: &mut Vec<u8>) {
        let line = serde_json::to_vec(entry).expect("texts and finite numbers become JSON");
        *self = self.behind(&line);
        text.extend_from_slice(&line);
        text.push(b'\n');
    }

    /// Writes a record.
    pub(super) fn push_record(&mut self, record: &Record, text: &mut Vec<u8>) {
        let candidates = record.candidates.iter().take(Record::CANDIDATES_MAX);
        let entry = Entry {
            caller: record.actor.caller.clone(),
            address: record.actor.address.map(|address| address.to_string()),
            request: record.actor.request.clone(),
            partition: record.partition.as_ref().map(ToString::to_string),
            class: record.class.as_ref().map(ToString::to_string),
            people: record.people,
            encoder: record.encoder.clone(),
            threshold: record.threshold,
            decision: record.decision.map(str::to_owned),
            candidates: candidates.map(ToString::to_string).collect(),
            probe: record.probe.map(|probe| hex(&probe)),
            templates: record.templates,
            object: record.object.clone(),
            ..self.entry(record.time, record.event.name())
        };
        self.push(&entry, text);
    }

    /// Writes that a crash was mended.
    pub(super) fn push_recovered(&mut self, dropped: u64, time: Timestamp, text: &mut Vec<u8>) {
        let entry = Entry {
            dropped_bytes: Some(dropped),
            ..self.entry(time, Entry::RECOVERED)
        };
        self.push(&entry, text);
    }

    /// Writes that the log is not the one that had `known` once.
    pub(super) fn push_replaced(&mut self, known: u64, time: Timestamp, text: &mut Vec<u8>) {
        let entry = Entry {
            known_sequence: Some(known),
            ..self.entry(time, Entry::REPLACED)
        };
        self.push(&entry, text);
    }

    /// Writes that what is before the number `first` goes, since its time is over.
    pub(super) fn push_pruned(&mut self, first: u64, time: Timestamp, text: &mut Vec<u8>) {
        let entry = Entry {
            first_sequence: Some(first),
            ..self.entry(time, Entry::PRUNED)
        };
        self.push(&entry, text);
    }

    /// Writes a head, which signs all that is before it.
    pub(super) fn push_head(&mut self, key: &AuditKey, time: Timestamp, text: &mut Vec<u8>) {
        let entry = Entry {
            key: Some(key.public().to_string()),
            signature: Some(key.sign(self, time)),
            ..self.entry(time, Entry::HEAD)
        };
        self.push(&entry, text);
    }
}

impl Entry {
    /// The event of a signature.
    pub const HEAD: &str = "head";
    /// The event of a mended crash.
    pub const RECOVERED: &str = "recovered";
    /// The event of a log in the place of another one.
    pub const REPLACED: &str = "replaced";
    /// The event of files that go, since their time is over.
    pub const PRUNED: &str = "pruned";

    /// Reads a line, without its end; `None` if it is no entry.
    pub(super) fn read(line: &[u8]) -> Option<Entry> {
        serde_json::from_slice(line).ok()
    }

    /// The place that it says it has.
    pub(super) fn place(&self) -> Head {
        Head {
            sequence: self.sequence,
            previous: self.previous.clone(),
        }
    }

    /// When it was done.
    pub fn time(&self) -> Timestamp {
        Timestamp {
            unix_milliseconds: self.unix_milliseconds,
        }
    }

    /// Whether it is a signature.
    pub fn is_head(&self) -> bool {
        self.event == Entry::HEAD
    }
}
