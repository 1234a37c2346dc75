//! Pictures as a source of templates: from folders of class folders, or from a manifest.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use crc_fast::{CrcAlgorithm, Digest};

use crate::cli::pictures::{self, Found, Passed, PictureError};
use crate::exchange::{
    ExchangeError, Job, Length, Line, LineReader, Piece, Record, Refused, Source, class_of_text,
    file_facts,
};
use crate::face::Face;
use crate::intake::Intake;
use crate::types::{ClassId, Timestamp};

/// Pictures that are read together. Each costs tens of milliseconds.
const PICTURES_PER_PIECE: usize = 32;
/// Pictures that are made durable together.
const PICTURES_PER_COMMIT: u64 = 256;
/// The longest line of a manifest.
const LINE_BYTES_MAX: usize = 1 << 16;

/// A picture to be read, or why there is none.
type ListedPicture = Result<Picture, Refused>;

struct Picture {
    path: PathBuf,
    class: ClassId,
    taken: Option<Timestamp>,
    line: Option<u64>,
}

/// The pictures in folders of class folders, and what was passed over.
pub(super) fn of_folders(
    paths: &[PathBuf],
    intake: Arc<Intake>,
) -> anyhow::Result<(Box<dyn Source>, Passed)> {
    let Found {
        pictures: found,
        passed,
    } = pictures::find_classes(paths)?;
    let first = paths.first().context("no folder is named")?;
    let mut names = Digest::new(CrcAlgorithm::Crc64Nvme);
    for (path, class) in &found {
        names.update(path.as_os_str().as_encoded_bytes());
        names.update(&class.0.to_le_bytes());
    }
    let facts = format!(
        "{}, checksum of names {:016x}",
        found.len(),
        names.finalize()
    );
    let source = Box::new(PictureSource {
        name: first.clone(),
        facts,
        intake,
        list: List::Found { found, next: 0 },
    });
    Ok((source, passed))
}

/// The pictures that a manifest names.
pub(super) fn of_manifest(path: &Path, intake: Arc<Intake>) -> anyhow::Result<Box<dyn Source>> {
    Ok(Box::new(PictureSource {
        name: path.to_owned(),
        facts: file_facts(path)?,
        intake,
        list: List::Manifest(Manifest::open(path)?),
    }))
}

struct PictureSource {
    name: PathBuf,
    facts: String,
    intake: Arc<Intake>,
    list: List,
}

enum List {
    Found {
        found: Vec<(PathBuf, ClassId)>,
        next: usize,
    },
    Manifest(Manifest),
}

impl PictureSource {
    fn next_entry(&mut self) -> Result<Option<ListedPicture>, ExchangeError> {
        match &mut self.list {
            List::Found { found, next } => {
                let entry = found.get(*next).map(|(path, class)| Picture {
                    path: path.clone(),
                    class: *class,
                    taken: None,
                    line: None,
                });
                *next += usize::from(entry.is_some());
                Ok(entry.map(Ok))
            }
            List::Manifest(manifest) => manifest.next_entry(),
        }
    }
}

impl Source for PictureSource {
    fn name(&self) -> &Path {
        &self.name
    }

    fn dimension(&self) -> usize {
        self.intake.encoder().dimension()
    }

    fn length(&self) -> Length {
        match &self.list {
            List::Found { found, .. } => Length::Items(found.len() as u64),
            List::Manifest(manifest) => Length::Bytes(manifest.lines.bytes()),
        }
    }

    fn position(&self) -> u64 {
        match &self.list {
            List::Found { next, .. } => *next as u64,
            List::Manifest(manifest) => manifest.lines.position(),
        }
    }

    fn describe(&self, job: Job) -> Job {
        job.with("pictures", &self.facts)
    }

    fn items_per_commit(&self) -> u64 {
        PICTURES_PER_COMMIT
    }

    fn skip(&mut self, items: u64) -> Result<(), ExchangeError> {
        for _ in 0..items {
            if self.next_entry()?.is_none() {
                return Err(ExchangeError::Contents {
                    path: self.name.clone(),
                    expected: format!("{items} pictures that were read before"),
                    found: "fewer".to_owned(),
                });
            }
        }
        Ok(())
    }

    fn next_piece(&mut self) -> Result<Option<Box<dyn Piece>>, ExchangeError> {
        let mut entries = Vec::new();
        while entries.len() < PICTURES_PER_PIECE {
            let Some(entry) = self.next_entry()? else {
                break;
            };
            entries.push(entry);
        }
        let intake = self.intake.clone();
        Ok(if entries.is_empty() {
            None
        } else {
            Some(Box::new(PicturePiece { intake, entries }))
        })
    }
}

struct PicturePiece {
    intake: Arc<Intake>,
    entries: Vec<ListedPicture>,
}

impl PicturePiece {
    /// The only face in a picture that is good enough to enrol with.
    fn face(&self, picture: &Path) -> Result<Face, PictureError> {
        let face = pictures::look(&self.intake, picture)?.face;
        self.intake
            .check_quality(face.quality.score(), &face.warnings)?;
        Ok(face)
    }
}

impl Piece for PicturePiece {
    fn items(&self) -> usize {
        self.entries.len()
    }

    fn read<'a>(&'a self, at: usize, scratch: &'a mut Vec<f32>) -> Result<Record<'a>, Refused> {
        let picture = self.entries[at].as_ref().map_err(Clone::clone)?;
        let face = self.face(&picture.path).map_err(|refusal| {
            let refused = Refused::new(refusal.to_string()).at_picture(&picture.path);
            match picture.line {
                Some(line) => refused.at_line(line),
                None => refused,
            }
        })?;
        scratch.clear();
        scratch.extend_from_slice(face.embedding.values());
        Ok(Record {
            class: picture.class,
            values: scratch,
            enrolled: picture.taken,
            quality: face.quality.score(),
        })
    }
}

/// A CSV file with a header that has the columns `picture` and `class`, and `time` if there is one.
///
/// Every line is read for itself: a field cannot go on in the next, so that one quote that was
/// forgotten does not swallow the rest.
struct Manifest {
    lines: LineReader,
    folder: PathBuf,
    columns: Columns,
    /// Lines that were read, the header among them.
    read: u64,
}

#[derive(Clone, Copy)]
struct Columns {
    picture: usize,
    class: usize,
    time: Option<usize>,
}

impl Manifest {
    fn open(path: &Path) -> anyhow::Result<Manifest> {
        let mut lines = LineReader::open(path, LINE_BYTES_MAX)?;
        let header = match lines.next_line()? {
            Some(Line::Whole(line)) => fields(line),
            _ => None,
        };
        let header = header.unwrap_or_default();
        let find = |name: &str| {
            let mut names = header.iter().map(|field| field.trim_ascii());
            names.position(|field| field == name.as_bytes())
        };
        let columns = find("picture").zip(find("class"));
        let (picture, class) = columns.with_context(|| {
            let path = path.display();
            format!(
                "`{path}` does not begin with the header `picture,class` or `picture,class,time`"
            )
        })?;
        Ok(Manifest {
            folder: path.parent().unwrap_or(Path::new("")).to_owned(),
            columns: Columns {
                picture,
                class,
                time: find("time"),
            },
            lines,
            read: 1,
        })
    }

    fn next_entry(&mut self) -> Result<Option<ListedPicture>, ExchangeError> {
        let Some(line) = self.lines.next_line()? else {
            return Ok(None);
        };
        self.read += 1;
        let number = self.read;
        let entry = match line {
            Line::Whole(line) => entry(line, self.columns, &self.folder, number),
            Line::TooLong => Err(format!("the line has more than {LINE_BYTES_MAX} bytes")),
        };
        Ok(Some(
            entry.map_err(|reason| Refused::new(reason).at_line(number)),
        ))
    }
}

fn fields(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(line);
    let record = reader.byte_records().next()?.ok()?;
    Some(record.iter().map(<[u8]>::to_owned).collect())
}

fn entry(line: &[u8], columns: Columns, folder: &Path, number: u64) -> Result<Picture, String> {
    let fields = fields(line).ok_or("the line is empty")?;
    let bytes = |column: usize, name: &str| {
        let field = fields.get(column).map(|field| field.trim_ascii());
        let field = field.filter(|field| !field.is_empty());
        field.ok_or_else(|| format!("the line has no `{name}`"))
    };
    let field = |column: usize, name: &str| {
        let text = std::str::from_utf8(bytes(column, name)?);
        text.map_err(|_| format!("`{name}` is no text in UTF-8"))
    };
    let class = field(columns.class, "class")?;
    let class = class_of_text(class)
        .ok_or_else(|| "`class` is not a whole number of 64 bits".to_owned())?;
    let taken = match columns.time.map(|column| field(column, "time")) {
        // A picture without a time has that of its import.
        None => None,
        Some(Err(error)) if error.ends_with("UTF-8") => return Err(error),
        Some(Err(_)) => None,
        Some(Ok(time)) => {
            let milliseconds = time.parse().ok();
            let time = milliseconds
                .map(|unix_milliseconds| Timestamp { unix_milliseconds })
                .or_else(|| Timestamp::from_rfc3339(time));
            let expected = "milliseconds since 1970 or a time as in 2026-11-24T22:04:03Z";
            Some(time.ok_or_else(|| format!("`time` is not {expected}"))?)
        }
    };
    Ok(Picture {
        path: folder.join(path_of(bytes(columns.picture, "picture")?)?),
        class,
        taken,
        line: Some(number),
    })
}

/// The path that these bytes name, which need not be text where the system does not demand it.
fn path_of(bytes: &[u8]) -> Result<&Path, String> {
    #[cfg(unix)]
    return Ok(Path::new(
        <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(bytes),
    ));
    #[cfg(not(unix))]
    return std::str::from_utf8(bytes)
        .map(Path::new)
        .map_err(|_| "`picture` is no text in UTF-8".to_owned());
}
