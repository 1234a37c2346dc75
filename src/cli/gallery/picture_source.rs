//! Pictures as a source of templates: from folders of class folders, or from a manifest.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use crc_fast::{CrcAlgorithm, Digest};

use crate::cli::pictures::{self, Found, Passed};
use crate::exchange::{
    ExchangeError, Job, Length, Line, LineReader, Piece, Record, Refused, Source, class_of_text,
    file_facts,
};
use crate::face::Face;
use crate::intake::Intake;
use crate::types::{ClassId, Timestamp};

/// So many pictures at least are read together, and all of a class. Each costs tens of milliseconds.
const PICTURES_PER_PIECE: usize = 32;
/// Pictures that are made durable together.
const PICTURES_PER_COMMIT: u64 = 256;
/// What may separate the fields of a manifest: programs of countries with a decimal comma write
/// semicolons.
const SEPARATORS: [u8; 3] = [b',', b';', b'\t'];
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
    threads: usize,
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
    let listed = found.into_iter().map(|(path, class)| {
        Ok(Picture {
            path,
            class,
            taken: None,
            line: None,
        })
    });
    let source = Box::new(PictureSource {
        name: first.clone(),
        facts,
        intake,
        threads,
        pictures: class_by_class(listed.collect()),
        next: 0,
    });
    Ok((source, passed))
}

/// The pictures that a manifest names.
pub(super) fn of_manifest(
    path: &Path,
    intake: Arc<Intake>,
    threads: usize,
) -> anyhow::Result<Box<dyn Source>> {
    let (facts, mut manifest) = (file_facts(path)?, Manifest::open(path)?);
    let mut listed = Vec::new();
    while let Some(entry) = manifest.next_entry()? {
        listed.push(entry);
    }
    Ok(Box::new(PictureSource {
        name: path.to_owned(),
        facts,
        intake,
        threads,
        pictures: class_by_class(listed),
        next: 0,
    }))
}

/// The same pictures with those of each class together, at the place of the first of them: whether
/// they show one person can be told only of all of them.
fn class_by_class(pictures: Vec<ListedPicture>) -> Vec<ListedPicture> {
    let mut first: HashMap<ClassId, usize> = HashMap::new();
    let mut placed: Vec<(usize, ListedPicture)> = Vec::with_capacity(pictures.len());
    for (at, picture) in pictures.into_iter().enumerate() {
        let place = match &picture {
            Ok(picture) => *first.entry(picture.class).or_insert(at),
            Err(_) => at,
        };
        placed.push((place, picture));
    }
    placed.sort_by_key(|(place, _)| *place);
    placed.into_iter().map(|(_, picture)| picture).collect()
}

/// Pictures of classes, class by class.
struct PictureSource {
    name: PathBuf,
    facts: String,
    intake: Arc<Intake>,
    threads: usize,
    pictures: Vec<ListedPicture>,
    next: usize,
}

impl PictureSource {
    /// The next classes, whole: so many pictures at least, if there are so many.
    fn next_classes(&mut self) -> &[ListedPicture] {
        let rest = &self.pictures[self.next..];
        let class = |at: usize| rest[at].as_ref().ok().map(|picture| picture.class);
        let mut count = rest.len().min(PICTURES_PER_PIECE);
        while (1..rest.len()).contains(&count)
            && class(count).is_some()
            && class(count) == class(count - 1)
        {
            count += 1;
        }
        self.next += count;
        &rest[..count]
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
        Length::Items(self.pictures.len() as u64)
    }

    fn position(&self) -> u64 {
        self.next as u64
    }

    fn describe(&self, job: Job) -> Job {
        job.with("pictures", &self.facts)
            .with("order of the pictures", "class by class")
    }

    fn items_per_commit(&self) -> u64 {
        PICTURES_PER_COMMIT
    }

    fn skip(&mut self, items: u64) -> Result<(), ExchangeError> {
        let skipped = usize::try_from(items).ok();
        let skipped = skipped.filter(|items| *items <= self.pictures.len());
        self.next = skipped.ok_or_else(|| ExchangeError::Contents {
            path: self.name.clone(),
            expected: format!("{items} pictures that were read before"),
            found: "fewer".to_owned(),
        })?;
        Ok(())
    }

    fn next_piece(&mut self) -> Result<Option<Box<dyn Piece>>, ExchangeError> {
        let (intake, threads) = (self.intake.clone(), self.threads);
        let listed = self.next_classes();
        if listed.is_empty() {
            return Ok(None);
        }
        let piece = PicturePiece::read(&intake, threads, listed);
        Ok(Some(Box::new(piece)))
    }
}

/// Some classes, of which all pictures were read.
struct PicturePiece {
    faces: Vec<Result<FaceOfClass, Refused>>,
}

/// The only face in a picture that is good enough to enrol with, and like the others of its class.
struct FaceOfClass {
    class: ClassId,
    face: Face,
    taken: Option<Timestamp>,
}

impl PicturePiece {
    fn read(intake: &Intake, threads: usize, listed: &[ListedPicture]) -> PicturePiece {
        let there = || listed.iter().filter_map(|picture| picture.as_ref().ok());
        let paths: Vec<PathBuf> = there().map(|picture| picture.path.clone()).collect();
        let classes: Vec<ClassId> = there().map(|picture| picture.class).collect();
        let mut found = pictures::faces(intake, threads, &paths, || ());
        pictures::refuse_unfit(intake, &classes, &mut found);
        let mut found = found.into_iter();
        let faces = listed.iter().map(|picture| {
            let picture = picture.as_ref().map_err(Clone::clone)?;
            match found.next() {
                Some(Ok(face)) => Ok(FaceOfClass {
                    class: picture.class,
                    face,
                    taken: picture.taken,
                }),
                Some(Err(refusal)) => Err(refused(picture, &refusal.to_string())),
                None => unreachable!("every picture that is there was looked at"),
            }
        });
        PicturePiece {
            faces: faces.collect(),
        }
    }
}

fn refused(picture: &Picture, reason: &str) -> Refused {
    let refused = Refused::new(reason.to_owned()).at_picture(&picture.path);
    match picture.line {
        Some(line) => refused.at_line(line),
        None => refused,
    }
}

impl Piece for PicturePiece {
    fn items(&self) -> usize {
        self.faces.len()
    }

    fn read<'a>(&'a self, at: usize, scratch: &'a mut Vec<f32>) -> Result<Record<'a>, Refused> {
        let found = self.faces[at].as_ref().map_err(Clone::clone)?;
        scratch.clear();
        scratch.extend_from_slice(found.face.embedding.values());
        Ok(Record {
            class: found.class,
            values: scratch,
            enrolled: found.taken,
            quality: found.face.quality.score(),
        })
    }
}

/// A CSV file with a header that has the columns `picture` and `class`, and `time` if there is one.
/// Fields are separated by what separates those of the header.
///
/// Every line is read for itself: a field cannot go on in the next, so that one quote that was
/// forgotten does not swallow the rest.
struct Manifest {
    lines: LineReader,
    folder: PathBuf,
    separator: u8,
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
            Some(Line::Whole(line)) => line,
            _ => &[],
        };
        let mut separated = SEPARATORS
            .iter()
            .filter_map(|&separator| Some((separator, Columns::of(header, separator)?)));
        let (separator, columns) = separated.next().with_context(|| {
            let path = path.display();
            format!(
                "`{path}` does not begin with the header `picture,class` or `picture,class,time`, \
                 separated by commas, semicolons or tabs"
            )
        })?;
        Ok(Manifest {
            folder: path.parent().unwrap_or(Path::new("")).to_owned(),
            separator,
            columns,
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
            Line::Whole(line) => match fields(line, self.separator) {
                Some(fields) => entry(&fields, self.columns, &self.folder, number),
                None => Err("the line is empty".to_owned()),
            },
            Line::TooLong => Err(format!("the line has more than {LINE_BYTES_MAX} bytes")),
        };
        Ok(Some(
            entry.map_err(|reason| Refused::new(reason).at_line(number)),
        ))
    }
}

impl Columns {
    /// Where the columns are, if a header that is separated like this has them.
    fn of(header: &[u8], separator: u8) -> Option<Columns> {
        let header = fields(header, separator)?;
        let find = |name: &str| {
            let mut names = header.iter().map(|field| field.trim_ascii());
            names.position(|field| field == name.as_bytes())
        };
        Some(Columns {
            picture: find("picture")?,
            class: find("class")?,
            time: find("time"),
        })
    }
}

fn fields(line: &[u8], separator: u8) -> Option<Vec<Vec<u8>>> {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(separator)
        .has_headers(false)
        .flexible(true)
        .from_reader(line);
    let record = reader.byte_records().next()?.ok()?;
    Some(record.iter().map(<[u8]>::to_owned).collect())
}

fn entry(
    fields: &[Vec<u8>],
    columns: Columns,
    folder: &Path,
    number: u64,
) -> Result<Picture, String> {
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
