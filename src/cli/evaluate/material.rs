//! Samples with their people, from folders of pictures or files of embeddings.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use serde::Serialize;

use crate::cli::args::LabelledSamples;
use crate::cli::pictures::{self, Found, Named, Passed, PictureError};
use crate::cli::{open, output};
use crate::config::Settings;
use crate::engine::{Engine, Gallery};
use crate::eval::Rate;
use crate::eval::recognition::{Copies, Groups, Sample, SampleName};
use crate::exchange::{ExchangeError, Source, SourceOptions, class_of_text, open_source_with};
use crate::face::{FacePipeline, Warning};
use crate::intake::{Cause, IntakeError};
use crate::types::{ClassId, Embedding, EncoderId};

/// Refused items that are named.
const REFUSED_NAMED_MAX: usize = 10;
/// So many classes of one name are told.
const SAME_NAME_SHOWN_MAX: usize = 10;
/// Samples under two labels that are told.
const COPIES_TOLD_MAX: usize = 10;

/// All samples that can be used.
pub(super) struct Material {
    pub(super) samples: Vec<Sample>,
    pub(super) encoder: EncoderId,
    /// From which similarity on this encoder's embeddings are one person, if that is known.
    pub(super) threshold: Option<f64>,
    pub(super) copies: Copies,
    /// What became of pictures; none of embeddings.
    pub(super) failures: Option<Failures>,
    pub(super) passed: Passed,
    pub(super) source: String,
    /// What people are called, where folders say it.
    pub(super) names: BTreeMap<ClassId, String>,
}

/// Pictures of which nothing, or nothing good enough, could be made.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Failures {
    /// Pictures without an embedding.
    pub(super) failure_to_acquire: Rate,
    /// People without a picture that is good enough to enrol with.
    pub(super) failure_to_enrol: Rate,
    /// Pictures with an embedding that are not good enough to enrol with.
    pub(super) refused_as_templates: Rate,
    /// Pictures without an embedding, by reason.
    pub(super) reasons: BTreeMap<&'static str, usize>,
}

/// The gallery that is named, if one is, and the engine that has it open.
pub(super) fn open(
    given: &LabelledSamples,
    settings: &Settings,
) -> anyhow::Result<Option<(Engine, Gallery)>> {
    let Some(id) = &given.partition else {
        return Ok(None);
    };
    let engine = open::reading_engine(settings)?;
    let gallery = open::gallery(&engine, id)?;
    Ok(Some((engine, gallery)))
}

/// Reads everything, as what `gallery` holds if there is one.
pub(super) fn read(
    verb: &LabelledSamples,
    settings: &Settings,
    gallery: Option<&Gallery>,
) -> anyhow::Result<Material> {
    let is_folder = |path: &PathBuf| path.is_dir();
    let mut material = match verb.paths.iter().filter(|path| is_folder(path)).count() {
        0 => embeddings(verb, settings, gallery)?,
        folders => {
            ensure!(
                folders == verb.paths.len(),
                "folders of pictures and files of embeddings are evaluated apart: name either"
            );
            of_pictures(verb, settings, gallery)?
        }
    };
    let (samples, copies) = Copies::leave_out(std::mem::take(&mut material.samples));
    material.samples = samples;
    material.copies = copies;
    Ok(material)
}

/// Says what was found twice.
pub(super) fn tell_copies(copies: &Copies) {
    for copy in copies.contradicting.iter().take(COPIES_TOLD_MAX) {
        let ((one, first), (other, second)) = (&copy.one, &copy.other);
        output::tell!(
            "warning: {first} of class {one} and {second} of class {other} are the same: one label is wrong, and \
             both are left out"
        );
    }
    let more = copies.contradicting.len().saturating_sub(COPIES_TOLD_MAX);
    if more > 0 {
        output::tell!("warning: so are {}", output::count(more, "more", "more"));
    }
    if copies.repeated > 0 {
        output::say!(
            "left out {} of samples of the same person: whoever is enrolled with one is found with the other",
            output::count(copies.repeated, "copy", "copies")
        );
    }
}

fn embeddings(
    verb: &LabelledSamples,
    settings: &Settings,
    gallery: Option<&Gallery>,
) -> anyhow::Result<Material> {
    if verb.classes.is_some() && verb.paths.len() > 1 {
        bail!("--classes has the classes of one .npy file, and several files are named");
    }
    let mut samples = Vec::new();
    let mut dimension = None;
    for path in &verb.paths {
        let is_npy = path
            .extension()
            .is_some_and(|end| end.eq_ignore_ascii_case("npy"));
        if is_npy && verb.classes.is_none() {
            bail!(
                "whom do the rows of `{}` show? name their classes with --classes FILE.npy",
                path.display()
            );
        }
        let options = SourceOptions {
            classes: verb.classes.clone(),
            class_name: verb.class_column.clone(),
            embedding_name: verb.embedding_column.clone(),
            ..SourceOptions::default()
        };
        let mut source = open_source_with(path, &options)?;
        let found = source.dimension();
        if let Some((first, before)) = dimension.filter(|(_, before)| *before != found) {
            let first: &PathBuf = first;
            bail!(
                "`{}` has embeddings of {before} values and `{}` of {found}: they are of different encoders",
                first.display(),
                path.display()
            );
        }
        dimension = Some((path, found));
        let first = samples.len() as u64;
        read_items(&mut *source, first, &mut samples)?;
        source
            .notes()
            .iter()
            .for_each(|note| output::say!("{note}"));
    }
    let dimension = dimension.map_or(0, |(_, found)| found);
    let encoder = match (gallery, &verb.encoder) {
        (None, Some(text)) => EncoderId::parse(text, dimension)?,
        (None, None) => EncoderId::new("evaluated", "1", dimension)?,
        (Some(gallery), typed) => {
            let own = gallery.encoder();
            if let Some(typed) = typed {
                let typed = EncoderId::parse(typed, dimension)?;
                ensure!(
                    typed == *own,
                    "`{}` is of encoder `{own}`, not of `{typed}`",
                    gallery.id()
                );
            }
            ensure!(
                own.dimension() == dimension,
                "`{}` is of encoder `{own}`, and the embeddings have {dimension} values",
                gallery.id()
            );
            own.clone()
        }
    };
    let profile = FacePipeline::profile_in(settings.embedder_profile.as_deref())?;
    let known = (profile.encoder() == &encoder).then(|| profile.verification_threshold());
    let names = verb.paths.iter().map(|path| path.display().to_string());
    Ok(Material {
        samples,
        threshold: verb.threshold.or_else(|| set(settings, gallery, known)),
        encoder,
        copies: Copies::default(),
        failures: None,
        passed: Passed::default(),
        source: names.collect::<Vec<_>>().join(", "),
        names: BTreeMap::new(),
    })
}

/// The threshold that is set for a gallery, or else is known, of an encoder that something is known
/// of.
fn set(settings: &Settings, gallery: Option<&Gallery>, known: Option<f64>) -> Option<f64> {
    let verification = &settings.service.verification;
    let set = match gallery {
        Some(gallery) => verification.of(gallery.id()),
        None => verification.threshold,
    };
    known.map(|known| set.unwrap_or(known))
}

/// Reads all items of a source. One that is no embedding is an error: whoever evaluates wants to
/// know of it before a figure is told.
fn read_items(
    source: &mut dyn Source,
    first: u64,
    samples: &mut Vec<Sample>,
) -> anyhow::Result<()> {
    let bar = output::progress_of(source.length(), "reading embeddings");
    let name = source.name().to_owned();
    let (mut item, mut refused, mut named) = (0_u64, 0, Vec::new());
    let mut scratch = Vec::new();
    while let Some(piece) = source.next_piece()? {
        for at in 0..piece.items() {
            match piece.read(at, &mut scratch) {
                Ok(record) => samples.push(Sample {
                    class: record.class,
                    embedding: Embedding::new(record.values.to_vec())?,
                    name: SampleName::Item(first + item),
                    may_enroll: true,
                }),
                Err(reason) => {
                    refused += 1;
                    if named.len() < REFUSED_NAMED_MAX {
                        named.push(format!("\n  item {item}: {}", reason.reason));
                    }
                }
            }
            item += 1;
        }
        bar.set_position(source.position());
    }
    bar.finish_and_clear();
    if refused > 0 {
        if refused > named.len() {
            named.push(format!("\n  and {} more", refused - named.len()));
        }
        return Err(ExchangeError::Items {
            path: name,
            refused,
            items: usize::try_from(item).unwrap_or(usize::MAX),
            first: named.concat(),
        }
        .into());
    }
    Ok(())
}

fn of_pictures(
    verb: &LabelledSamples,
    settings: &Settings,
    gallery: Option<&Gallery>,
) -> anyhow::Result<Material> {
    if verb.encoder.is_some() || verb.classes.is_some() || verb.class_column.is_some() {
        bail!(
            "--encoder, --classes and --class-column are for embeddings, and folders of pictures are named"
        );
    }
    let (found, named) = pictures::find_people(&verb.paths)?;
    let Found { pictures, passed } = found;
    let classes = known_classes(&named, gallery)?;
    let intake = open::intake(settings)?;
    if let Some(gallery) = gallery {
        let (own, theirs) = (intake.encoder(), gallery.encoder());
        ensure!(
            own == theirs,
            "`{}` is of encoder `{theirs}`, and pictures are encoded by `{own}` here",
            gallery.id()
        );
    }
    let paths: Vec<PathBuf> = pictures.iter().map(|(path, _)| path.clone()).collect();
    let faces = pictures::only_faces(&intake, settings.threads, &paths);
    let (mut samples, mut reasons) = (Vec::new(), BTreeMap::new());
    let mut people: BTreeMap<ClassId, bool> = BTreeMap::new();
    let mut poor = 0;
    for ((path, class), face) in pictures.into_iter().zip(faces) {
        let class = classes.get(&class).copied().unwrap_or(class);
        let can_enroll = people.entry(class).or_insert(false);
        match face {
            Err(error) => *reasons.entry(reason(&error)).or_insert(0) += 1,
            Ok(face) => {
                let warnings: &[Warning] = &face.warnings;
                let quality = intake.check_quality(face.quality.score(), warnings);
                let may_enroll = quality.is_ok();
                poor += usize::from(!may_enroll);
                *can_enroll |= may_enroll;
                samples.push(Sample {
                    class,
                    embedding: face.embedding,
                    name: SampleName::Picture(path),
                    may_enroll,
                });
            }
        }
    }
    let without = people.values().filter(|can_enroll| !**can_enroll).count();
    let failures = Failures {
        failure_to_acquire: Rate::of(paths.len() - samples.len(), paths.len()),
        failure_to_enrol: Rate::of(without, people.len()),
        refused_as_templates: Rate::of(poor, samples.len()),
        reasons,
    };
    let known = match gallery {
        Some(gallery) => intake.verification_threshold(gallery.id()),
        None => intake.comparison_threshold(),
    };
    let places = verb.paths.iter().map(|path| path.display().to_string());
    let called = named.iter().map(|(place, name)| {
        let class = classes.get(place).unwrap_or(place);
        (*class, name.as_str().to_owned())
    });
    Ok(Material {
        samples,
        names: called.collect(),
        encoder: intake.encoder().clone(),
        threshold: Some(verb.threshold.unwrap_or(known)),
        copies: Copies::default(),
        failures: Some(failures),
        passed,
        source: places.collect::<Vec<_>>().join(", "),
    })
}

/// The classes of people who are named, where the gallery knows them.
fn known_classes(
    named: &Named,
    gallery: Option<&Gallery>,
) -> anyhow::Result<BTreeMap<ClassId, ClassId>> {
    let mut classes = BTreeMap::new();
    let Some(gallery) = gallery else {
        // Numbers from 1 are what people can read.
        let numbers = (1..).map(ClassId);
        return Ok(named.keys().copied().zip(numbers).collect());
    };
    for (place, name) in named {
        match gallery.named(name.as_str(), SAME_NAME_SHOWN_MAX)?[..] {
            [] => {}
            [class] => {
                classes.insert(*place, class);
            }
            _ => bail!(
                "several people in `{}` are called `{}`: name the folder by the number of one",
                gallery.id(),
                name.as_str()
            ),
        }
    }
    Ok(classes)
}

/// Why a picture has no embedding, in a word for programs.
fn reason(error: &PictureError) -> &'static str {
    match error {
        PictureError::Intake(IntakeError { cause, .. }) => match cause {
            Cause::NoFace(_) => "no_face",
            Cause::SeveralFaces(_) => "several_faces",
            Cause::Picture(_) => "no_picture",
            _ => "other",
        },
        PictureError::Unreadable(_) => "unreadable",
        _ => "other",
    }
}

/// The groups of people, by a file or by what the gallery knows of them.
pub(super) fn groups(
    verb: &LabelledSamples,
    gallery: Option<&Gallery>,
    samples: &[Sample],
) -> anyhow::Result<Option<Groups>> {
    if let Some(path) = &verb.groups {
        return groups_in(path).map(Some);
    }
    let (Some(key), Some(gallery)) = (&verb.group_label, gallery) else {
        return Ok(None);
    };
    let mut classes: Vec<ClassId> = samples.iter().map(|sample| sample.class).collect();
    classes.sort_unstable();
    classes.dedup();
    let records = gallery.records(&classes)?;
    let groups = classes
        .into_iter()
        .zip(records)
        .filter_map(|(class, record)| {
            let (_, value) = record.labels.iter().find(|(found, _)| found == key)?;
            Some((class, value.to_owned()))
        });
    let groups: Groups = groups.collect();
    ensure!(
        !groups.is_empty(),
        "nobody among the samples has a label `{key}` in `{}`",
        gallery.id()
    );
    Ok(Some(groups))
}

fn groups_in(path: &Path) -> anyhow::Result<Groups> {
    let context = || format!("cannot read `{}`", path.display());
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_path(path)
        .with_context(context)?;
    let header = reader.headers().with_context(context)?.clone();
    let column = |name: &str| {
        header
            .iter()
            .position(|found| found.eq_ignore_ascii_case(name))
    };
    let (Some(class_at), Some(group_at)) = (column("class"), column("group")) else {
        bail!(
            "`{}` begins with `{}`; expected the header `class,group`",
            path.display(),
            header.iter().collect::<Vec<_>>().join(",")
        );
    };
    let mut groups = Groups::new();
    for (row, line) in reader.records().enumerate() {
        let line = line.with_context(context)?;
        let number = row + 2;
        let class = line.get(class_at).and_then(class_of_text);
        let (Some(class), Some(group)) = (class, line.get(group_at)) else {
            bail!(
                "line {number} of `{}` has no class that is a whole number",
                path.display()
            );
        };
        if group.is_empty() {
            continue;
        }
        if let Some(other) = groups
            .insert(class, group.to_owned())
            .filter(|it| it != group)
        {
            bail!(
                "line {number} of `{}` says that class {class} is of `{group}`, and an earlier one of `{other}`",
                path.display()
            );
        }
    }
    ensure!(!groups.is_empty(), "`{}` names no group", path.display());
    Ok(groups)
}
