//! Whether a log is what was written.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use super::error::AuditError;
use super::folder::{AuditFile, LINE_BYTES_MAX, files};
use super::head::Head;
use super::line::Entry;
use super::signing::PublicKey;

/// What was found in a log.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// How many files there are.
    pub files: usize,
    /// How many records, without heads.
    pub records: u64,
    /// How many heads.
    pub heads: u64,
    /// The number of the first line.
    pub first: u64,
    /// What comes behind the last line: worth writing down elsewhere.
    pub end: Head,
    /// All that is to be said of it, in order.
    pub findings: Vec<Finding>,
}

/// Something that is to be said of a log. Places are a file and a line in it, from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Finding {
    /// Lines are not there.
    #[error("lines {from} to {to} are missing before line {line} of `{file}`", file = .file.display())]
    Missing {
        /// The first number.
        from: u64,
        /// The last one.
        to: u64,
        /// Where they should be.
        file: PathBuf,
        /// Before this line.
        line: u64,
    },
    /// What was before went with files whose time was over, as a signed record says.
    #[error("it begins with number {first}: what was before was removed when its time was over")]
    Pruned {
        /// The number of the first line.
        first: u64,
    },
    /// A line stands where it does not belong.
    #[error("line {line} of `{file}` has the number {sequence}, which does not belong there", file = .file.display())]
    OutOfPlace {
        /// Its number.
        sequence: u64,
        /// Where it stands.
        file: PathBuf,
        /// In this line.
        line: u64,
    },
    /// A line is not what the next one says it was.
    #[error("the line with the number {sequence}, before line {line} of `{file}`, was changed", file = .file.display())]
    Changed {
        /// Its number.
        sequence: u64,
        /// Where the line behind it stands.
        file: PathBuf,
        /// In this line.
        line: u64,
    },
    /// A line cannot be read.
    #[error("line {line} of `{file}` is no record", file = .file.display())]
    Unreadable {
        /// Where it stands.
        file: PathBuf,
        /// In this line.
        line: u64,
    },
    /// A line breaks off.
    #[error("line {line} of `{file}` breaks off", file = .file.display())]
    Torn {
        /// Where it stands.
        file: PathBuf,
        /// In this line.
        line: u64,
    },
    /// A head is not signed by this key.
    #[error("the signature in line {line} of `{file}` is wrong", file = .file.display())]
    WrongSignature {
        /// Where it stands.
        file: PathBuf,
        /// In this line.
        line: u64,
    },
    /// A head is signed by another key.
    #[error("line {line} of `{file}` is signed by another key, {key}", file = .file.display())]
    OtherKey {
        /// Where it stands.
        file: PathBuf,
        /// In this line.
        line: u64,
        /// Which key it names.
        key: String,
    },
    /// The end is not signed.
    #[error(
        "the last {lines} lines are not signed: a service was killed, or is writing them, or the end was cut off"
    )]
    Unsigned {
        /// How many.
        lines: u64,
    },
    /// The log was longer once.
    #[error(
        "the log ends before line {end}, and there was a line {known} once: its end was cut off, or it was \
         replaced by an older one"
    )]
    RolledBack {
        /// The number of the line that would come next.
        end: u64,
        /// The place that is known.
        known: u64,
    },
    /// The log was another one once.
    #[error(
        "what is before line {known} is not what was there once: the log was written anew from there on, or before"
    )]
    Replaced {
        /// The place that is known.
        known: u64,
    },
    /// The service found the log to be another one when it started.
    #[error(
        "when the service wrote number {sequence}, lines were missing or others: there was a line {known} of \
         another log, or of a longer one"
    )]
    Superseded {
        /// The number of the record that says so.
        sequence: u64,
        /// The last number that was known.
        known: u64,
    },
    /// A crash was mended.
    #[error(
        "a crash was mended at number {sequence}: {dropped_bytes} bytes of unfinished lines went"
    )]
    Recovered {
        /// The number of the record that says so.
        sequence: u64,
        /// How much went.
        dropped_bytes: u64,
    },
}

impl Finding {
    /// Whether somebody or something damaged the log.
    pub fn is_damage(&self) -> bool {
        !matches!(self, Finding::Recovered { .. } | Finding::Pruned { .. })
    }
}

/// Reads the log in `folder` and says all that is to be said of it. Heads must be signed by `key`; without one
/// each by the key that it names. `known` are places that were seen before. `each` gets every entry that can
/// be read, in the order of the files.
///
/// # Errors
///
/// If a file cannot be read.
pub fn verify(
    folder: &Path,
    key: Option<&PublicKey>,
    known: &[Head],
    each: &mut dyn FnMut(&Entry),
) -> Result<Report, AuditError> {
    let files = files(folder)?;
    let mut reading = Reading {
        key,
        known,
        next: Some(Head::beginning()),
        unsigned: 0,
        pruned_to: 1,
        report: Report {
            files: files.len(),
            records: 0,
            heads: 0,
            first: 1,
            end: Head::beginning(),
            findings: Vec::new(),
        },
    };
    for file in &files {
        reading.read(file, each)?;
    }
    Ok(reading.end())
}

struct Reading<'a> {
    key: Option<&'a PublicKey>,
    known: &'a [Head],
    /// What should come; its digest is none where the line before cannot be read.
    next: Option<Head>,
    unsigned: u64,
    /// With which number the log may begin, since files went whose time was over. What says so is signed, or
    /// that it is not is a finding of its own.
    pruned_to: u64,
    report: Report,
}

impl Reading<'_> {
    fn read(&mut self, file: &AuditFile, each: &mut dyn FnMut(&Entry)) -> Result<(), AuditError> {
        let path = &file.path;
        let io = || AuditError::io("reading the audit log", path);
        let mut reader = BufReader::new(File::open(path).map_err(io())?);
        let mut text = Vec::new();
        for line in 1.. {
            text.clear();
            let mut limited = std::io::Read::take(&mut reader, LINE_BYTES_MAX);
            if limited.read_until(b'\n', &mut text).map_err(io())? == 0 {
                break;
            }
            let place = (path, line);
            match text.strip_suffix(b"\n") {
                Some(text) => self.line(place, text, each),
                None if text.len() as u64 == LINE_BYTES_MAX => self.unreadable(place),
                None => self.find(Finding::Torn {
                    file: path.clone(),
                    line,
                }),
            }
        }
        Ok(())
    }

    fn find(&mut self, finding: Finding) {
        self.report.findings.push(finding);
    }

    fn unreadable(&mut self, (path, line): (&PathBuf, u64)) {
        self.find(Finding::Unreadable {
            file: path.clone(),
            line,
        });
        // Whatever it was, it was one line.
        self.report.end.sequence += 1;
        self.next = None;
    }

    fn line(&mut self, place: (&PathBuf, u64), text: &[u8], each: &mut dyn FnMut(&Entry)) {
        let Some(entry) = Entry::read(text) else {
            return self.unreadable(place);
        };
        each(&entry);
        if !self.follows(place, &entry) {
            return;
        }
        self.compare(&entry.place());
        match entry.is_head() {
            true => self.head(place, &entry),
            false => {
                self.report.records += 1;
                self.unsigned += 1;
            }
        }
        if let Some(dropped_bytes) = entry.dropped_bytes {
            self.find(Finding::Recovered {
                sequence: entry.sequence,
                dropped_bytes,
            });
        }
        self.pruned_to = self.pruned_to.max(entry.first_sequence.unwrap_or(0));
        if let Some(known) = entry.known_sequence {
            self.find(Finding::Superseded {
                sequence: entry.sequence,
                known: known.saturating_sub(1),
            });
        }
        self.report.end = entry.place().behind(text);
        self.next = Some(self.report.end.clone());
    }

    /// Whether the log goes on with this entry.
    fn follows(&mut self, (path, line): (&PathBuf, u64), entry: &Entry) -> bool {
        let (file, expected) = (path.clone(), self.report.end.sequence);
        let sequence = entry.sequence;
        if sequence < expected {
            self.find(Finding::OutOfPlace {
                sequence,
                file,
                line,
            });
            return false;
        }
        if sequence > expected && expected == 1 {
            self.report.first = sequence;
        }
        if sequence > expected {
            self.find(Finding::Missing {
                from: expected,
                to: sequence - 1,
                file,
                line,
            });
        } else if self.next.as_ref().is_some_and(|it| *it != entry.place()) {
            self.find(Finding::Changed {
                sequence: sequence.saturating_sub(1),
                file,
                line,
            });
        }
        true
    }

    fn head(&mut self, (path, line): (&PathBuf, u64), entry: &Entry) {
        self.report.heads += 1;
        self.unsigned = 0;
        let (file, named) = (path.clone(), entry.key.clone().unwrap_or_default());
        let own = named.parse().ok();
        let signature = entry.signature.as_deref().unwrap_or_default();
        let is_signed = |key: &PublicKey| key.has_signed(&entry.place(), entry.time(), signature);
        match (self.key, own) {
            (Some(key), Some(own)) if *key != own => {
                let key = named;
                self.find(Finding::OtherKey { file, line, key });
            }
            (key, Some(own)) if is_signed(key.unwrap_or(&own)) => {}
            _ => self.find(Finding::WrongSignature { file, line }),
        }
    }

    /// Compares a place with those that were seen before.
    fn compare(&mut self, place: &Head) {
        let is_other = |known: &&Head| known.sequence == place.sequence && *known != place;
        if let Some(known) = self.known.iter().find(is_other) {
            let known = known.sequence;
            self.find(Finding::Replaced { known });
        }
    }

    fn end(mut self) -> Report {
        let (first, end) = (self.report.first, self.report.end.clone());
        if let Some(Finding::Missing { from: 1, .. }) = self.report.findings.first()
            && first <= self.pruned_to
        {
            self.report.findings[0] = Finding::Pruned { first };
        }
        self.compare(&end);
        let later = self.known.iter().map(|known| known.sequence).max();
        if let Some(known) = later.filter(|known| *known > end.sequence) {
            self.find(Finding::RolledBack {
                end: end.sequence,
                known: known - 1,
            });
        }
        if self.unsigned > 0 {
            let lines = self.unsigned;
            self.find(Finding::Unsigned { lines });
        }
        self.report
    }
}
