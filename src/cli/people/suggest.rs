//! `vultus people suggest`: who is often in these pictures, and not enrolled?

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use serde::Serialize;

use crate::cli::args::Suggest;
use crate::cli::exit::Exit;
use crate::cli::output::{self, PathName};
use crate::cli::pictures::{self, Found, JsonBox, PictureError};
use crate::cli::{open, parallel};
use crate::code::Probe;
use crate::config::Settings;
use crate::engine::{Engine, Gallery, IdentifyOptions};
use crate::face::{Bounds, PictureKind};
use crate::intake::Intake;
use crate::partition::{NewTemplate, Store};
use crate::search::Pool;
use crate::types::{Bcid, ClassId, Clock, Embedding, Pair};

/// So many enrolments share a sync of the disk.
const ENROLLED_AT_ONCE: usize = 32;
/// The most names of pictures in a row of the table.
const NAMED_MAX: usize = 3;
/// How much of a face's size is shown around it on each side.
const MARGIN: f32 = 0.6;

/// A face of nobody who is enrolled.
struct Stranger {
    /// The number of its picture, and which of its faces it is, from 1.
    picture: usize,
    face: usize,
    is_alone: bool,
    size: (usize, usize),
    bounds: Bounds,
    quality: f32,
    embedding: Embedding,
}

/// What a picture shows.
struct Looked {
    strangers: Vec<Stranger>,
    known: usize,
    unfit: usize,
}

#[derive(Serialize)]
struct JsonGroup<'a> {
    group: &'a str,
    faces: Vec<JsonFace<'a>>,
}

#[derive(Serialize)]
struct JsonFace<'a> {
    #[serde(flatten)]
    picture: PathName<'a>,
    face: usize,
    r#box: JsonBox,
    quality: f32,
}

pub(super) fn run(verb: &Suggest, settings: &Settings) -> anyhow::Result<Exit> {
    let Found { pictures, passed } = pictures::find(&verb.paths)?;
    if let Some(folder) = &verb.into {
        check_empty(folder)?;
    }
    let intake = open::intake(settings)?;
    let gallery = match &verb.partition {
        None => None,
        Some(id) => {
            let engine = open::reading_engine(settings)?;
            // Where nobody is enrolled yet everybody is a stranger.
            engine.gallery(id, intake.encoder())?
        }
    };
    let looking = Looking {
        intake: &intake,
        gallery,
        options: IdentifyOptions {
            limit: 1,
            threshold: Some(verb.threshold.unwrap_or_else(|| match &verb.partition {
                Some(id) => intake.verification_threshold(id),
                None => intake.comparison_threshold(),
            })),
        },
    };
    let looked = looking.at(&pictures, settings.threads);
    let mut strangers = Vec::new();
    let (mut known, mut unfit, mut is_refused) = (0, 0, false);
    for (path, one) in pictures.iter().zip(looked) {
        match one? {
            Ok(one) => {
                known += one.known;
                unfit += one.unfit;
                strangers.extend(one.strangers);
            }
            Err(refusal) => {
                is_refused = true;
                output::tell!("refused `{}`: {refusal}", path.display());
            }
        }
    }
    let copies = drop_copies(&mut strangers);
    let groups = groups(&intake, &looking.options, &strangers, verb.min)?;
    let named: Vec<(String, Vec<&Stranger>)> = groups
        .iter()
        .enumerate()
        .map(|(at, group)| (name(at), group.iter().map(|&at| &strangers[at]).collect()))
        .collect();
    if let Some(folder) = &verb.into {
        sort(&intake, folder, &pictures, &named)?;
    }
    print(verb, &pictures, &named)?;
    passed.print();
    let grouped: usize = groups.iter().map(Vec::len).sum();
    output::say!(
        "{} of nobody enrolled are {}; {} more are alone, {known} are of people who are enrolled, \
         {unfit} are of too little quality, {copies} are there twice",
        output::count(grouped, "face", "faces"),
        output::count(groups.len(), "person", "people"),
        strangers.len() - grouped,
    );
    if let Some(folder) = &verb.into {
        let folder = folder.display();
        output::say!(
            "look at the folders in `{folder}`, name each after its person, and enrol them with \
             `vultus enroll --partition STORAGE.PARTITION {folder}`"
        );
    }
    Ok(
        if !groups.is_empty() && !is_refused && !passed.is_missed() {
            Exit::Success
        } else {
            Exit::No
        },
    )
}

/// What pictures are looked at with.
struct Looking<'a> {
    intake: &'a Intake,
    gallery: Option<Gallery>,
    options: IdentifyOptions,
}

impl Looking<'_> {
    fn at(
        &self,
        pictures: &[PathBuf],
        threads: usize,
    ) -> Vec<anyhow::Result<Result<Looked, PictureError>>> {
        let bar = output::progress(pictures.len(), "reading pictures");
        let numbered: Vec<(usize, &PathBuf)> = pictures.iter().enumerate().collect();
        let looked = parallel::map(&numbered, threads, |(at, path)| {
            let looked = self.at_picture(*at, path);
            bar.inc(1);
            looked
        });
        bar.finish_and_clear();
        looked
    }

    fn at_picture(&self, at: usize, path: &Path) -> anyhow::Result<Result<Looked, PictureError>> {
        let crowd = match pictures::crowd(self.intake, path, None) {
            Ok(crowd) => crowd,
            Err(PictureError::Intake(error)) if error.is_no_face() => {
                return Ok(Ok(Looked {
                    strangers: Vec::new(),
                    known: 0,
                    unfit: 0,
                }));
            }
            Err(refusal) => return Ok(Err(refusal)),
        };
        let size = (crowd.picture.width(), crowd.picture.height());
        let count = crowd.everybody.faces.len();
        let (mut strangers, mut known, mut unfit) = (Vec::new(), 0, 0);
        for (number, face) in (1..).zip(crowd.everybody.faces) {
            let Some(embedding) = face.embedding else {
                unfit += 1;
                continue;
            };
            if self.is_known(&embedding)? {
                known += 1;
            } else if self.intake.check_quality(face.quality, &[]).is_err() {
                unfit += 1;
            } else {
                strangers.push(Stranger {
                    picture: at,
                    face: number,
                    is_alone: count == 1,
                    size,
                    bounds: face.bounds,
                    quality: face.quality,
                    embedding,
                });
            }
        }
        Ok(Ok(Looked {
            strangers,
            known,
            unfit,
        }))
    }

    fn is_known(&self, embedding: &Embedding) -> anyhow::Result<bool> {
        let Some(gallery) = &self.gallery else {
            return Ok(false);
        };
        let probe = Probe::new(embedding);
        let found = gallery.identify_many(&[self.options.query(&probe)])?;
        Ok(found.iter().any(|found| !found.matches.is_empty()))
    }
}

/// Leaves one of the faces of pictures that are there twice. Returns how many others there were.
fn drop_copies(strangers: &mut Vec<Stranger>) -> usize {
    let before = strangers.len();
    let mut seen: HashSet<Vec<u32>> = HashSet::new();
    strangers.retain(|stranger| {
        let values = stranger.embedding.values().iter();
        seen.insert(values.map(|value| value.to_bits()).collect())
    });
    before - strangers.len()
}

/// Which faces are one person, of at least `min` of them: the largest groups first.
fn groups(
    intake: &Intake,
    options: &IdentifyOptions,
    strangers: &[Stranger],
    min: usize,
) -> anyhow::Result<Vec<Vec<usize>>> {
    let threshold = options.threshold.unwrap_or(1.0);
    let pairs = pairs(intake, strangers, threshold)?;
    let embeddings = strangers.iter().map(|stranger| &stranger.embedding);
    let embeddings: Vec<&Embedding> = embeddings.collect();
    let mut groups = cluster(&embeddings, &pairs, threshold);
    groups.retain(|group| group.len() >= min);
    groups.sort_by_key(|group| (usize::MAX - group.len(), group[0]));
    Ok(groups)
}

/// All pairs of faces that are alike enough, exactly: found by the engine, in a gallery that is gone
/// afterwards, in which the class of a face is its number.
fn pairs(intake: &Intake, strangers: &[Stranger], threshold: f64) -> anyhow::Result<Vec<Pair>> {
    if strangers.len() < 2 {
        return Ok(Vec::new());
    }
    let directory = tempfile::tempdir().context("making a folder for the comparison")?;
    let store = Store::open(directory.path())?;
    let engine = Engine::new(Arc::new(store), Pool::new(1));
    let partition: crate::types::PartitionId = "suggest.1".parse()?;
    let numbered: Vec<(usize, &Stranger)> = strangers.iter().enumerate().collect();
    let enrolled = parallel::map(&numbered, ENROLLED_AT_ONCE, |(at, stranger)| {
        let bcid = Bcid::new(partition.clone(), ClassId(*at as i64));
        let template = NewTemplate {
            embedding: stranger.embedding.clone(),
            quality: stranger.quality,
            portrait: None,
        };
        let now = Clock::System.now();
        engine.enroll(&bcid, intake.encoder(), &[template], now)
    });
    for one in enrolled {
        one?;
    }
    let gallery = open::gallery(&engine, &partition)?;
    let bar = output::progress(strangers.len(), "comparing");
    let pairs = gallery.duplicates(threshold, |done| bar.set_position(done as u64));
    bar.finish_and_clear();
    Ok(pairs?)
}

/// Joins groups by falling similarity of their most similar faces, as long as all faces of one are on
/// average as alike to all of the other as is demanded: a chain of faces of which each is like the
/// next is not yet one person.
fn cluster(embeddings: &[&Embedding], pairs: &[Pair], threshold: f64) -> Vec<Vec<usize>> {
    let mut group_of: Vec<usize> = (0..embeddings.len()).collect();
    let mut groups: Vec<Vec<usize>> = (0..embeddings.len()).map(|at| vec![at]).collect();
    // The sum of the embeddings of a group, which have length 1: the mean of all similarities of two
    // groups is the product of their sums over the product of their counts.
    let mut sums: Vec<Vec<f64>> = embeddings
        .iter()
        .map(|one| one.values().iter().map(|&value| f64::from(value)).collect())
        .collect();
    for pair in pairs {
        let at = |class: ClassId| usize::try_from(class.0).ok();
        let (Some(one), Some(other)) = (at(pair.class), at(pair.other)) else {
            continue;
        };
        let (into, from) = (group_of[one], group_of[other]);
        if into == from {
            continue;
        }
        let product: f64 = sums[into].iter().zip(&sums[from]).map(|(a, b)| a * b).sum();
        let mean = product / (groups[into].len() * groups[from].len()) as f64;
        // Single faces are what the engine says they are, whatever is rounded here.
        let are_single = groups[into].len() + groups[from].len() == 2;
        if !are_single && mean < threshold {
            continue;
        }
        let moved = std::mem::take(&mut groups[from]);
        moved.iter().for_each(|&face| group_of[face] = into);
        groups[into].extend(moved);
        let sum = std::mem::take(&mut sums[from]);
        sums[into]
            .iter_mut()
            .zip(sum)
            .for_each(|(into, from)| *into += from);
    }
    groups.retain(|group| !group.is_empty());
    groups.iter_mut().for_each(|group| group.sort_unstable());
    groups
}

/// Without digits, so that nobody takes it for the number of a class.
fn name(at: usize) -> String {
    let mut letters = Vec::new();
    let mut rest = at + 1;
    while rest > 0 {
        rest -= 1;
        letters.push(char::from(b'a' + (rest % 26) as u8));
        rest /= 26;
    }
    let letters: String = letters.into_iter().rev().collect();
    format!("unknown-{letters}")
}

/// Nothing of somebody else's is mixed with what is sorted.
fn check_empty(folder: &Path) -> anyhow::Result<()> {
    let name = folder.display();
    match fs::read_dir(folder).map(|mut entries| entries.next().is_some()) {
        Ok(true) => bail!("`{name}` is not empty: name a new folder with --into"),
        Ok(false) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("looking into `{name}`")),
    }
}

/// A folder for each person, with the pictures that show nobody else, and faces cut out of the others.
fn sort(
    intake: &Intake,
    folder: &Path,
    pictures: &[PathBuf],
    named: &[(String, Vec<&Stranger>)],
) -> anyhow::Result<()> {
    for (name, group) in named {
        let folder = folder.join(name);
        fs::create_dir_all(&folder).with_context(|| format!("making `{}`", folder.display()))?;
        let mut taken = HashSet::new();
        for stranger in group {
            let picture = &pictures[stranger.picture];
            let end = match stranger.is_alone {
                true => picture.extension().unwrap_or_default().to_string_lossy(),
                false => "png".into(),
            };
            let stem = picture.file_stem().unwrap_or_default().to_string_lossy();
            let names = (1..).map(|number: usize| match number {
                1 => format!("{stem}.{end}"),
                _ => format!("{stem}-{number}.{end}"),
            });
            let mut free = names.filter(|name| taken.insert(name.to_lowercase()));
            let file = folder.join(free.next().unwrap_or_default());
            put(intake, picture, stranger, &file)
                .with_context(|| format!("writing `{}`", file.display()))?;
        }
    }
    Ok(())
}

fn put(intake: &Intake, picture: &Path, stranger: &Stranger, file: &Path) -> anyhow::Result<()> {
    if stranger.is_alone {
        fs::copy(picture, file)?;
        return Ok(());
    }
    let decoded = intake.faces().decode(&fs::read(picture)?)?;
    let bounds = stranger.bounds;
    let around = bounds.grown(MARGIN * bounds.width.max(bounds.height));
    fs::write(file, decoded.cut(&around).encode(PictureKind::Png)?)?;
    Ok(())
}

fn print(
    verb: &Suggest,
    pictures: &[PathBuf],
    named: &[(String, Vec<&Stranger>)],
) -> anyhow::Result<()> {
    if verb.json {
        for (group, faces) in named {
            let face = |stranger: &&Stranger| JsonFace {
                picture: PathName::new("picture", &pictures[stranger.picture]),
                face: stranger.face,
                r#box: JsonBox::of(&stranger.bounds, stranger.size),
                quality: stranger.quality,
            };
            let faces = faces.iter().map(face).collect();
            output::json_line(&JsonGroup { group, faces })?;
        }
        return Ok(());
    }
    if named.is_empty() {
        return Ok(());
    }
    let mut table = output::table(&["group", "faces", "pictures"]);
    for (group, faces) in named {
        let names = faces.iter().take(NAMED_MAX);
        let names = names.map(|face| pictures[face.picture].display().to_string());
        let mut names = names.collect::<Vec<_>>().join(", ");
        if faces.len() > NAMED_MAX {
            names += &format!(" and {} more", faces.len() - NAMED_MAX);
        }
        table.add_row([group.clone(), faces.len().to_string(), names]);
    }
    Ok(output::line(table.to_string())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(degrees: f32) -> Embedding {
        let mut values = vec![0.0; 16];
        (values[0], values[1]) = (degrees.to_radians().cos(), degrees.to_radians().sin());
        Embedding::new(values).unwrap()
    }

    /// Groups of faces that are so many degrees apart, of which 60 are just not alike any more.
    fn groups_of(degrees: &[f32]) -> Vec<Vec<usize>> {
        let embeddings: Vec<Embedding> = degrees.iter().map(|&degrees| at(degrees)).collect();
        let embeddings: Vec<&Embedding> = embeddings.iter().collect();
        let mut pairs = Vec::new();
        for (one, first) in degrees.iter().enumerate() {
            for (other, second) in degrees.iter().enumerate().skip(one + 1) {
                let similarity = f64::from((first - second).to_radians().cos());
                if similarity >= 0.5 {
                    let (class, other) = (ClassId(one as i64), ClassId(other as i64));
                    pairs.push(Pair {
                        class,
                        other,
                        similarity,
                    });
                }
            }
        }
        pairs.sort_unstable_by(Pair::rank_order);
        cluster(&embeddings, &pairs, 0.5)
    }

    #[test]
    fn faces_that_are_alike_are_grouped_and_a_chain_is_no_person() {
        assert_eq!(groups_of(&[]), Vec::<Vec<usize>>::new());
        assert_eq!(groups_of(&[0.0, 180.0]), [[0], [1]]);
        assert_eq!(
            groups_of(&[0.0, 90.0, 10.0, 100.0]),
            [vec![0, 2], vec![1, 3]]
        );
        assert_eq!(groups_of(&[0.0, 59.0]), [[0, 1]]);
        // Each is like the next; the ends are strangers.
        let chain = groups_of(&[0.0, 50.0, 100.0, 150.0]);
        assert_eq!(chain.len(), 2, "{chain:?}");
    }

    #[test]
    fn groups_are_called_by_letters_alone() {
        for (at, expected) in [(0, "a"), (25, "z"), (26, "aa"), (27, "ab"), (702, "aaa")] {
            assert_eq!(name(at), format!("unknown-{expected}"));
        }
    }
}
