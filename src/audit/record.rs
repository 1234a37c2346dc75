//! What was done.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::types::{ClassId, PartitionId, Timestamp};

/// One thing that was done with people. Texts come from a list or are checked: no name, picture, template
/// or secret is among them.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// When.
    pub time: Timestamp,
    /// What.
    pub event: Event,
    /// By whom.
    pub actor: Actor,
    /// In which gallery.
    pub partition: Option<PartitionId>,
    /// Who was meant: enrolled, changed, deleted or verified.
    pub class: Option<ClassId>,
    /// How many people were searched.
    pub people: Option<usize>,
    /// What made the embeddings, `name@version`.
    pub encoder: Option<String>,
    /// The similarity from which on somebody is recognised.
    pub threshold: Option<f64>,
    /// What was decided: `match`, `unknown`, `pending`, `accepted`, `agreed` and the like.
    pub decision: Option<&'static str>,
    /// Who was listed, the best first.
    pub candidates: Vec<ClassId>,
    /// A keyed digest of the samples, by which the same ones are known again.
    pub probe: Option<[u8; Record::PROBE_BYTES]>,
    /// How many templates were added or removed.
    pub templates: Option<usize>,
    /// What else was done it to: the command, the id of a key, the class that went, the name of a decision.
    pub object: Option<String>,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// Templates were added to a class.
    Enrolled,
    /// What is known of a class was changed.
    Changed,
    /// A class was removed.
    Deleted,
    /// A class became part of another.
    Merged,
    /// Templates went to another class.
    Moved,
    /// It was asked whether somebody is of a class.
    Verified,
    /// It was asked who somebody is.
    Identified,
    /// Somebody said whether an identification is right.
    Reviewed,
    /// The probes of a caller come nearer and nearer to a class.
    Suspected,
    /// Everything was copied.
    Copied,
    /// A command was given to the service.
    Commanded,
    /// The service began.
    Started,
    /// The service ended.
    Stopped,
}

/// Whether a service keeps an audit log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuditMode {
    /// It keeps none.
    #[default]
    Off,
    /// It writes records some together, within a second, and answers meanwhile.
    On,
    /// It answers when the record of the answer is on disk.
    Strict,
}

/// A text says nothing of an audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected off, on or strict")]
pub struct ParseAuditModeError;

impl AuditMode {
    /// What is expected where it is read.
    pub const EXPECTED: &str = "`off`, `on` or `strict`";

    const ALL: [AuditMode; 3] = [AuditMode::Off, AuditMode::On, AuditMode::Strict];
}

impl fmt::Display for AuditMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AuditMode::Off => "off",
            AuditMode::On => "on",
            AuditMode::Strict => "strict",
        })
    }
}

impl FromStr for AuditMode {
    type Err = ParseAuditModeError;

    fn from_str(text: &str) -> Result<AuditMode, ParseAuditModeError> {
        let mut all = AuditMode::ALL.into_iter();
        all.find(|mode| mode.to_string() == text)
            .ok_or(ParseAuditModeError)
    }
}

/// Who did something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actor {
    /// The public name of an app or a key, or the user of the system.
    pub caller: Option<String>,
    /// From where.
    pub address: Option<IpAddr>,
    /// The id of the request, under which the log of the service has it.
    pub request: Option<String>,
}

impl Record {
    /// The length of a digest of samples.
    pub const PROBE_BYTES: usize = 16;
    /// More candidates are not listed.
    pub const CANDIDATES_MAX: usize = 100;

    /// Something that was done by `actor`, of which nothing else is to be said yet.
    pub fn new(time: Timestamp, event: Event, actor: Actor) -> Record {
        Record {
            time,
            event,
            actor,
            partition: None,
            class: None,
            people: None,
            encoder: None,
            threshold: None,
            decision: None,
            candidates: Vec::new(),
            probe: None,
            templates: None,
            object: None,
        }
    }
}

impl Event {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Event::Enrolled => "enrolled",
            Event::Changed => "changed",
            Event::Deleted => "deleted",
            Event::Merged => "merged",
            Event::Moved => "moved",
            Event::Verified => "verified",
            Event::Identified => "identified",
            Event::Reviewed => "reviewed",
            Event::Suspected => "suspected",
            Event::Copied => "copied",
            Event::Commanded => "commanded",
            Event::Started => "started",
            Event::Stopped => "stopped",
        }
    }
}
