//! Pictures as a source of templates: from folders of class folders, or from a manifest.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use crc_fast::{CrcAlgorithm, Digest};

use crate::cli::pictures::{self, Found, Passed};
use crate::engine::Gallery;
use crate::exchange::{
    ExchangeError, Job, Length, Line, LineReader, Piece, Record, Refused, Source, Told,
    class_of_text, file_facts,
};
use crate::face::Face;
use crate::intake::Intake;
use crate::types::{ClassId, Record as PersonRecord, Timestamp};

/// So many pictures at least are read together, and all of a class. Each costs tens of milliseconds.
const PICTURES_PER_PIECE: usize = 32;
/// Pictures that are made durable together.
const PICTURES_PER_COMMIT: u64 = 256;
/// What may separate the fields of a manifest: programs of countries with a decimal comma write
/// semicolons.
const SEPARATORS: [u8; 3] = [b',', b';', b'\t'];
/// The longest line of a manifest.
const LINE_BYTES_MAX: usize = 1 << 16;
/// So many classes of one name are told.
const SAME_NAME_SHOWN_MAX: usize = 10;

/// A picture to be read, or why there is none.
type ListedPicture = Result<Picture, Refused>;

struct Picture {
    path: PathBuf,
    class: ClassId,
    taken: Option<Timestamp>,
    line: Option<u64>,
    /// What is said of the person.
    person: Option<Box<PersonRecord>>,
}

/// The pictures in folders of class folders, and of folders that are named after people, and what was
/// passed over.
pub(super) fn of_folders(
    paths: &[PathBuf],
    intake: Arc<Intake>,
    threads: usize,
) -> anyhow::Result<(PictureSource, Passed)> {
    let (found, named) = pictures::find_people(paths)?;
    let Found {
        pictures: found,
        passed,
    } = found;
    let people: BTreeMap<ClassId, PersonRecord> = named.into_iter().map(of_name).collect();
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
            person: people.get(&class).cloned().map(Box::new),
        })
    });
    let source = PictureSource {
        name: first.clone(),
        facts,
        intake,
        threads,
        pictures: class_by_class(listed.collect()),
        next: 0,
        are_of_one_folder_each: true,
    };
    Ok((source, passed))
}

fn of_name((class, name): (ClassId, crate::types::PersonName)) -> (ClassId, PersonRecord) {
    let record = PersonRecord {
        name: Some(name),
        ..PersonRecord::default()
    };
    (class, record)
}

/// The pictures that a manifest names.
pub(super) fn of_manifest(
    path: &Path,
    intake: Arc<Intake>,
    threads: usize,
) -> anyhow::Result<PictureSource> {
    let (facts, mut manifest) = (file_facts(path)?, Manifest::open(path)?);
    let mut listed = Vec::new();
    while let Some(entry) = manifest.next_entry()? {
        listed.push(entry);
    }
    Ok(PictureSource {
        name: path.to_owned(),
        facts,
        intake,
        threads,
        pictures: class_by_class(people_of(listed)),
        next: 0,
        are_of_one_folder_each: false,
    })
}

/// The same pictures, those without a class with that of other lines about the same person, or with
/// one that stands for the person.
fn people_of(listed: Vec<Listed>) -> Vec<ListedPicture> {
    let mut classes: HashMap<Who, ClassId> = HashMap::new();
    for (class, picture) in listed.iter().flatten() {
        if let (Some(class), Some(who)) = (class, who(picture)) {
            classes.entry(who).or_insert(*class);
        }
    }
    let mut newcomers = 0;
    let mut of_entry = |(class, mut picture): (Option<ClassId>, Picture)| {
        picture.class = match (class, who(&picture)) {
            (None, Some(who)) => *classes.entry(who).or_insert_with(|| {
                newcomers += 1;
                pictures::stand_in(newcomers - 1)
            }),
            (class, _) => class.unwrap_or(picture.class),
        };
        picture
    };
    listed
        .into_iter()
        .map(|entry| entry.map(&mut of_entry))
        .collect()
}

/// By what a person is known who has no number.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Who {
    ExternalId(crate::types::ExternalId),
    /// As names are compared.
    Name(String),
}

fn who(picture: &Picture) -> Option<Who> {
    let person = picture.person.as_ref()?;
    if let Some(id) = &person.external_id {
        return Some(Who::ExternalId(id.clone()));
    }
    person
        .name
        .as_ref()
        .map(|name| Who::Name(name.folded().to_owned()))
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
pub(super) struct PictureSource {
    name: PathBuf,
    facts: String,
    intake: Arc<Intake>,
    threads: usize,
    pictures: Vec<ListedPicture>,
    next: usize,
    /// Whether two that are one person are a mistake.
    are_of_one_folder_each: bool,
}

impl PictureSource {
    /// Gives those whom a gallery knows by their name or external id the class that they have there.
    ///
    /// # Errors
    ///
    /// If several people have such a name, or two folders are then of one class.
    pub(super) fn meet_known(&mut self, gallery: &Gallery) -> anyhow::Result<()> {
        let there = || self.pictures.iter().flatten();
        let newcomers = there().filter(|picture| pictures::is_stand_in(picture.class));
        let newcomers: BTreeMap<ClassId, Who> = newcomers
            .filter_map(|picture| Some((picture.class, who(picture)?)))
            .collect();
        let taken: BTreeSet<ClassId> = there().map(|picture| picture.class).collect();
        let mut classes = BTreeMap::new();
        for (place, who) in newcomers {
            let known: Vec<ClassId> = match &who {
                Who::ExternalId(id) => gallery.class_of(id)?.into_iter().collect(),
                Who::Name(name) => gallery.named(name, SAME_NAME_SHOWN_MAX)?,
            };
            let class = match known[..] {
                [] => continue,
                [class] => class,
                _ => {
                    let known: Vec<String> = known.iter().map(ClassId::to_string).collect();
                    bail!(
                        "several people in {} have the same name as one to be imported: classes {}; \
                         name the pictures by the number of one",
                        gallery.id(),
                        known.join(", ")
                    );
                }
            };
            if self.are_of_one_folder_each && taken.contains(&class) {
                bail!(
                    "one folder is named after class {class} of {}, and another has its number: put the \
                     pictures of one person into one folder",
                    gallery.id()
                );
            }
            classes.insert(place, class);
        }
        self.put_classes(&classes);
        Ok(())
    }

    /// The classes that stand for people who have none.
    pub(super) fn newcomers(&self) -> Vec<ClassId> {
        let classes = self.pictures.iter().flatten().map(|picture| picture.class);
        let classes: BTreeSet<ClassId> = classes.filter(|it| pictures::is_stand_in(*it)).collect();
        classes.into_iter().collect()
    }

    /// Puts classes in the place of those that stand for them.
    pub(super) fn put_classes(&mut self, classes: &BTreeMap<ClassId, ClassId>) {
        for picture in self.pictures.iter_mut().flatten() {
            if let Some(class) = classes.get(&picture.class) {
                picture.class = *class;
            }
        }
    }

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
    person: Option<Box<PersonRecord>>,
    /// Where it is found, without a reason.
    place: Refused,
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
                    person: picture.person.clone(),
                    place: refused(picture, ""),
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

    fn located(&self, at: usize, refused: Refused) -> Refused {
        match &self.faces[at] {
            Ok(face) => Refused {
                reason: refused.reason,
                duplicate: refused.duplicate,
                ..face.place.clone()
            },
            Err(_) => refused,
        }
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
            person: found.person.clone(),
        })
    }
}

/// A picture and its class, if the line names one, or why there is none.
type Listed = Result<(Option<ClassId>, Picture), Refused>;

/// A CSV file with a header that has the columns `picture` and `class`, and `time` and those of people
/// if they are there: in place of a class, a name or an external id says who it is.
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
    class: Option<usize>,
    time: Option<usize>,
    name: Option<usize>,
    external_id: Option<usize>,
    labels: Option<usize>,
    note: Option<usize>,
    expires: Option<usize>,
    threshold: Option<usize>,
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
                "`{path}` does not begin with a header such as `picture,class` or `picture,name`, \
                 separated by commas, semicolons or tabs: it needs the column `picture`, and one of \
                 `class`, `name` and `external_id`"
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

    fn next_entry(&mut self) -> Result<Option<Listed>, ExchangeError> {
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
        let columns = Columns {
            picture: find("picture")?,
            class: find("class"),
            time: find("time"),
            name: find("name"),
            external_id: find("external_id"),
            labels: find("labels"),
            note: find("note"),
            expires: find("expires"),
            threshold: find("threshold"),
        };
        let whose = [columns.class, columns.name, columns.external_id];
        whose.iter().any(Option::is_some).then_some(columns)
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
) -> Result<(Option<ClassId>, Picture), String> {
    let bytes = |column: usize| {
        let field = fields.get(column).map(|field| field.trim_ascii());
        field.filter(|field| !field.is_empty())
    };
    let text = |column: Option<usize>, name: &str| {
        let text = column.and_then(bytes).map(std::str::from_utf8).transpose();
        text.map_err(|_| format!("`{name}` is no text in UTF-8"))
    };
    let time = |column: Option<usize>, name: &str| {
        let time = text(column, name)?.map(|time| {
            let milliseconds = time.parse().ok();
            milliseconds
                .map(|unix_milliseconds| Timestamp { unix_milliseconds })
                .or_else(|| Timestamp::from_rfc3339(time))
                .ok_or_else(|| {
                    let expected = "milliseconds since 1970 or a time as in 2026-11-24T22:04:03Z";
                    format!("`{name}` is not {expected}")
                })
        });
        time.transpose()
    };
    let class = text(columns.class, "class")?.map(|class| {
        class_of_text(class).ok_or_else(|| "`class` is not a whole number of 64 bits".to_owned())
    });
    let class = class.transpose()?;
    let threshold = text(columns.threshold, "threshold")?
        .map(str::parse)
        .transpose();
    let told = Told {
        name: text(columns.name, "name")?,
        external_id: text(columns.external_id, "external_id")?,
        labels: text(columns.labels, "labels")?,
        note: text(columns.note, "note")?,
        expires: time(columns.expires, "expires")?,
        threshold: threshold.map_err(|_| "`threshold` is no number".to_owned())?,
    };
    let person = told.record().map_err(|refused| refused.reason)?;
    let picture = bytes(columns.picture).ok_or("the line has no `picture`")?;
    let picture = Picture {
        path: folder.join(path_of(picture)?),
        class: ClassId(0),
        // A picture without a time has that of its import.
        taken: time(columns.time, "time")?,
        line: Some(number),
        person,
    };
    match (class, who(&picture)) {
        (None, None) if columns.name.or(columns.external_id).is_some() => {
            Err("the line has no `class`, `name` or `external_id`: whom does it show?".to_owned())
        }
        (None, None) => Err("the line has no `class`".to_owned()),
        (class, _) => Ok((class, picture)),
    }
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
