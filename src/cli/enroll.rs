//! `vultus enroll`

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Serialize;

use super::admin::{self, Holder};
use super::args::Enroll;
use super::enrolled_already::{self, Others};
use super::exit::Exit;
use super::open;
use super::output::{self, PathName};
use super::pictures::{self, Found, Named, Passed, PictureError};
use super::watch;
use crate::config::Settings;
use crate::engine::{Engine, TEMPLATES_PER_CLASS_MAX};
use crate::face::Face;
use crate::intake::Intake;
use crate::partition::{NewTemplate, Whom};
use crate::types::{ClassId, Clock, Embedding, EncoderId, PersonName, RecordChange};

/// So many classes of one name are told.
const SAME_NAME_SHOWN_MAX: usize = 10;

/// What became of one picture.
#[derive(Serialize)]
struct PictureReport<'a> {
    #[serde(flatten)]
    picture: PathName<'a>,
    class: i64,
    /// What the person is called, where the folder says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    accepted: bool,
    /// How alike the pictures of the class and what it was enrolled with before are.
    #[serde(skip_serializing_if = "Option::is_none")]
    similarity_to_class: Option<f64>,
    /// Another class that the pictures of the class look like, if that was looked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    duplicate_of: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quality: Option<f32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

pub(super) fn run(verb: &Enroll, settings: &Settings) -> anyhow::Result<Exit> {
    if verb.watch {
        return watch_folders(verb, settings);
    }
    let found = pictures_and_classes(verb)?;
    let holder = admin::holder(settings, open::engine)?;
    let intake = open::intake(settings)?;
    enroll_found(verb, settings, &holder, &intake, found)
}

/// Enrols each picture that comes, until the process ends.
fn watch_folders(verb: &Enroll, settings: &Settings) -> anyhow::Result<Exit> {
    pictures::find_any(&verb.paths)?;
    let intake = open::intake(settings)?;
    output::say!("watching for pictures; Ctrl-C ends it");
    let classes = RefCell::new((HashMap::new(), Named::new()));
    let mut passed_before = Vec::new();
    let list = || {
        let any = pictures::find_any(&verb.paths)?;
        if any.pictures.is_empty() {
            return Ok(Vec::new());
        }
        let (Found { pictures, passed }, named) = pictures_and_classes(verb)?;
        passed.print_new(&mut passed_before);
        let paths = pictures.iter().map(|(path, _)| path.clone()).collect();
        *classes.borrow_mut() = (pictures.into_iter().collect(), named);
        Ok(paths)
    };
    let each = |new: &[PathBuf]| {
        let classes = classes.borrow();
        let pictures = new
            .iter()
            .filter_map(|path| Some((path.clone(), *classes.0.get(path)?)));
        let found = Found {
            pictures: pictures.collect(),
            passed: Passed::default(),
        };
        // Only for a moment: others may want the data directory, too.
        let holder = admin::holder(settings, open::engine)?;
        let found = (found, classes.1.clone());
        enroll_found(verb, settings, &holder, &intake, found)?;
        Ok(())
    };
    Err(watch::watch(list, each))
}

fn enroll_found(
    verb: &Enroll,
    settings: &Settings,
    holder: &Holder,
    intake: &Intake,
    (found, mut named): (Found<(PathBuf, ClassId)>, Named),
) -> anyhow::Result<Exit> {
    if let Holder::Own(engine) = holder {
        open::check_portraits(settings, engine)?;
    }
    let Found { pictures, passed } = found;
    let (paths, mut classes): (Vec<PathBuf>, Vec<ClassId>) = pictures.into_iter().unzip();
    match holder {
        Holder::Own(engine) => meet_known(verb, engine, &mut named, &mut classes)?,
        Holder::Service(_) => {
            let engine = open::reading_engine(settings)?;
            meet_known(verb, &engine, &mut named, &mut classes)?;
        }
    }
    let mut found = match (&verb.face_box, &paths[..]) {
        (None, _) => pictures::only_faces(intake, settings.threads, &paths),
        (Some(bounds), [path]) => {
            let seen = pictures::look_within(intake, path, bounds);
            vec![seen.map(|seen| intake.portrayed(seen).face)]
        }
        (Some(_), _) => bail!("--box says which face of one picture is meant: name one"),
    };
    pictures::refuse_unfit(intake, &classes, &mut found);
    let mut known = match holder {
        Holder::Own(engine) => known(verb, engine, intake, &classes, &found)?,
        Holder::Service(_) => {
            let engine = open::reading_engine(settings)?;
            known(verb, &engine, intake, &classes, &found)?
        }
    };
    let threshold = intake.profile().one_person_threshold();
    tell_unlike(verb, threshold, &known.likeness, &classes, &mut found);
    let action = intake.policy().duplicates.action;
    enrolled_already::tell(action, &known.others, (&classes, &named), &mut found);

    let mut templates: BTreeMap<ClassId, Vec<NewTemplate>> = BTreeMap::new();
    for (face, class) in found.iter().zip(&classes) {
        if let Ok(face) = face {
            let template = NewTemplate {
                embedding: face.embedding.clone(),
                quality: face.quality.score(),
                portrait: face.portrait.clone(),
            };
            templates.entry(*class).or_default().push(template);
        }
    }
    let kept = enroll(
        verb,
        holder,
        intake.encoder(),
        &templates,
        (&mut named, &mut classes, &mut known.duplicate_of),
    )?;
    report(verb, (&paths, &classes), &found, &known, &named)?;
    tell_passed(verb, &passed)?;
    let accepted = found.iter().filter(|face| face.is_ok()).count();
    let pictures = output::count(found.len(), "picture", "pictures");
    let people = output::count(templates.len(), "person", "people");
    output::say!(
        "enrolled {accepted} of {pictures} of {people} into {}{}",
        verb.partition,
        kept.notes(accepted)
    );
    Ok(if accepted == found.len() && !passed.is_missed() {
        Exit::Success
    } else {
        Exit::No
    })
}

/// Puts the classes of people whose name is known in the place of those that stand for them.
///
/// # Errors
///
/// If several people have such a name, or two folders are then of one class.
fn meet_known(
    verb: &Enroll,
    engine: &Engine,
    named: &mut Named,
    classes: &mut [ClassId],
) -> anyhow::Result<()> {
    let Some(gallery) = engine.enrolled(&verb.partition)? else {
        return Ok(());
    };
    for (place, name) in named.clone() {
        let known = gallery.named(name.as_str(), SAME_NAME_SHOWN_MAX)?;
        let class = match known[..] {
            [] => continue,
            [class] => class,
            _ => {
                let known: Vec<String> = known.iter().map(ClassId::to_string).collect();
                bail!(
                    "several people in {} are called `{}`: classes {}; name the folder by the number of one",
                    verb.partition,
                    name.as_str(),
                    known.join(", ")
                );
            }
        };
        if classes.contains(&class) {
            bail!(
                "`{}` is class {class} of {}, and so is another folder: put the pictures of one person into \
                 one folder",
                name.as_str(),
                verb.partition
            );
        }
        take_place(place, class, named, classes);
    }
    Ok(())
}

/// Puts a class in the place of one that stands for it.
fn take_place(place: ClassId, class: ClassId, named: &mut Named, classes: &mut [ClassId]) {
    for of in classes.iter_mut().filter(|of| **of == place) {
        *of = class;
    }
    if let Some(name) = named.remove(&place) {
        named.insert(class, name);
    }
}

/// What is known of the new pictures of each class.
struct Known {
    likeness: Likeness,
    others: Others,
    /// For each picture another class that those of its class look like. Classes of new people get their
    /// numbers when they are enrolled.
    duplicate_of: Vec<Option<i64>>,
}

fn known(
    verb: &Enroll,
    engine: &Engine,
    intake: &Intake,
    classes: &[ClassId],
    found: &[Result<Face, PictureError>],
) -> anyhow::Result<Known> {
    let others = enrolled_already::find(intake, engine, &verb.partition, classes, found)?;
    let other = |class: &ClassId| others.get(class).map(|other| other.class.0);
    Ok(Known {
        likeness: likeness(verb, engine, intake.encoder(), classes, found)?,
        duplicate_of: classes.iter().map(other).collect(),
        others,
    })
}

/// How alike the new pictures of each class are to what it was enrolled with before, where it was.
type Likeness = BTreeMap<ClassId, f64>;

fn likeness(
    verb: &Enroll,
    engine: &Engine,
    encoder: &EncoderId,
    classes: &[ClassId],
    found: &[Result<Face, PictureError>],
) -> anyhow::Result<Likeness> {
    let Some(gallery) = engine.gallery(&verb.partition, encoder)? else {
        return Ok(Likeness::new());
    };
    let mut likeness = Likeness::new();
    for (class, pictures) in pictures::of_classes(classes, found) {
        let faces = pictures.iter().filter_map(|&at| found[at].as_ref().ok());
        let embeddings: Vec<&Embedding> = faces.map(|face| &face.embedding).collect();
        if let Some(similarity) = gallery.similarity_to_class(class, &embeddings)? {
            likeness.insert(class, similarity);
        }
    }
    Ok(likeness)
}

/// Says of classes that their new pictures do not look like the old ones, or refuses those pictures.
/// Somebody may look different after years, and only people can tell.
fn tell_unlike(
    verb: &Enroll,
    threshold: f64,
    likeness: &Likeness,
    classes: &[ClassId],
    found: &mut [Result<Face, PictureError>],
) {
    for (&class, &similarity) in likeness.iter().filter(|(_, like)| **like < threshold) {
        if !verb.refuse_unlike {
            output::tell!(
                "warning: the new pictures do not look like those that class {class} was enrolled with before: \
                 similarity {similarity:.2}, and one person has {threshold:.2} at least; if they show somebody \
                 else, see to the class, and give --refuse-unlike the next time"
            );
            continue;
        }
        for (face, _) in found
            .iter_mut()
            .zip(classes)
            .filter(|(face, of)| face.is_ok() && **of == class)
        {
            *face = Err(PictureError::UnlikeClass { class, similarity });
        }
    }
}

/// What became of the templates of all classes.
#[derive(Default)]
struct Kept {
    added: usize,
    known: usize,
    displaced: usize,
}

impl Kept {
    /// What there is to say besides that pictures were accepted.
    fn notes(&self, accepted: usize) -> String {
        let mut notes = String::new();
        let new = accepted - self.known;
        if self.known > 0 {
            notes += &format!(", {} of them there already", self.known);
        }
        if self.added < new {
            notes += &format!(
                ", kept {} of {new} (the best {TEMPLATES_PER_CLASS_MAX} a person)",
                self.added
            );
        }
        if self.displaced > 0 {
            notes += &format!(", {} older ones gave way", self.displaced);
        }
        notes
    }
}

/// Adds the templates of each class.
fn enroll(
    verb: &Enroll,
    holder: &Holder,
    encoder: &EncoderId,
    templates: &BTreeMap<ClassId, Vec<NewTemplate>>,
    (named, classes, duplicate_of): (&mut Named, &mut [ClassId], &mut [Option<i64>]),
) -> anyhow::Result<Kept> {
    let (now, mut kept) = (Clock::System.now(), Kept::default());
    for (place, templates) in templates {
        let class = (!pictures::is_stand_in(*place)).then_some(*place);
        // Whoever is known keeps the name as it is written.
        let name = named.get(place).filter(|_| class.is_none()).cloned();
        let (partition, replaces) = (&verb.partition, verb.replace);
        let (class, enrolled) = match holder {
            Holder::Service(service) => {
                let whom = (partition, class, name.as_ref());
                let enrolled = service.enroll(whom, encoder, templates, replaces);
                enrolled.with_context(|| match class {
                    Some(class) => {
                        format!("enrolling {partition}.{class}; those before it are enrolled")
                    }
                    None => "enrolling somebody new; those before are enrolled".to_owned(),
                })?
            }
            Holder::Own(engine) => {
                let whom = (partition, class.map_or(Whom::New, Whom::Class));
                let record = RecordChange {
                    name: name.map(Some),
                    ..RecordChange::default()
                };
                let person =
                    engine.enroll_person(whom, encoder, templates, replaces, record, now)?;
                (person.class, person.enrolled)
            }
        };
        if class != *place {
            take_place(*place, class, named, classes);
            for other in duplicate_of.iter_mut().filter(|of| **of == Some(place.0)) {
                *other = Some(class.0);
            }
        }
        kept.added += enrolled.added;
        kept.known += enrolled.known;
        // What was to be replaced does not give way.
        kept.displaced += if verb.replace { 0 } else { enrolled.removed };
    }
    Ok(kept)
}

fn pictures_and_classes(verb: &Enroll) -> anyhow::Result<(Found<(PathBuf, ClassId)>, Named)> {
    let (class, named) = match (verb.class, &verb.name) {
        (Some(class), _) => (class, Named::new()),
        (None, Some(name)) => (
            pictures::stand_in(0),
            Named::from([(pictures::stand_in(0), name.clone())]),
        ),
        (None, None) => return pictures::find_people(&verb.paths),
    };
    let Found { pictures, passed } = pictures::find_of_one(&verb.paths)?;
    let pictures = pictures.into_iter().map(|picture| (picture, class));
    let found = Found {
        pictures: pictures.collect(),
        passed,
    };
    Ok((found, named))
}

fn tell_passed(verb: &Enroll, passed: &Passed) -> anyhow::Result<()> {
    if verb.json && !passed.is_empty() {
        output::json_line(&serde_json::json!({ "passed_over": passed }))?;
    }
    passed.print();
    Ok(())
}

fn report(
    verb: &Enroll,
    (paths, classes): (&[PathBuf], &[ClassId]),
    found: &[Result<Face, PictureError>],
    known: &Known,
    named: &Named,
) -> anyhow::Result<()> {
    let pictures = paths.iter().zip(classes).zip(found);
    for (((path, class), face), duplicate_of) in pictures.zip(&known.duplicate_of) {
        if verb.json {
            let similarity = known.likeness.get(class).copied();
            let name = named.get(class).map(PersonName::as_str);
            let mut report = picture_report(path, *class, similarity, face);
            report.name = name;
            report.duplicate_of = *duplicate_of;
            output::json_line(&report)?;
        } else if let Err(refusal) = face {
            output::tell!("refused `{}`: {refusal}", path.display());
        }
    }
    Ok(())
}

fn picture_report<'a>(
    path: &'a Path,
    class: ClassId,
    similarity_to_class: Option<f64>,
    face: &Result<Face, PictureError>,
) -> PictureReport<'a> {
    let (quality, warnings, error) = match face {
        Ok(face) => {
            let warnings = face.warnings.iter().map(|warning| warning.name()).collect();
            (Some(face.quality.score()), warnings, None)
        }
        Err(refusal) => (None, Vec::new(), Some(refusal.to_string())),
    };
    PictureReport {
        picture: PathName::new("picture", path),
        class: class.0,
        name: None,
        accepted: face.is_ok(),
        similarity_to_class,
        duplicate_of: None,
        quality,
        warnings,
        error,
    }
}
