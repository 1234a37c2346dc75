//! `vultus enroll`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::args::Enroll;
use super::exit::Exit;
use super::pictures::{self, PictureError};
use super::{open, output};
use crate::config::Settings;
use crate::face::Face;
use crate::partition::NewTemplate;
use crate::types::{Bcid, ClassId, Clock};

/// What became of one picture.
#[derive(Serialize)]
struct PictureReport<'a> {
    picture: &'a Path,
    class: i64,
    accepted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    quality: Option<f32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

pub(super) fn run(verb: &Enroll, settings: &Settings) -> anyhow::Result<Exit> {
    let (paths, classes) = pictures_and_classes(verb)?;
    let engine = open::engine(settings)?;
    let intake = open::intake(settings)?;
    let found = pictures::only_faces(&intake, settings.threads, &paths);

    let mut templates: BTreeMap<ClassId, Vec<NewTemplate>> = BTreeMap::new();
    for (face, class) in found.iter().zip(&classes) {
        if let Ok(Face {
            embedding, quality, ..
        }) = face
        {
            let template = NewTemplate {
                embedding: embedding.clone(),
                quality: quality.score(),
            };
            templates.entry(*class).or_default().push(template);
        }
    }
    let (encoder, now) = (intake.encoder(), Clock::System.now());
    for (class, templates) in &templates {
        let bcid = Bcid::new(verb.partition.clone(), *class);
        if verb.replace {
            engine.replace(&bcid, encoder, templates, now)?;
        } else {
            engine.enroll(&bcid, encoder, templates, now)?;
        }
    }
    report(verb, &paths, &classes, &found)?;
    let accepted = found.iter().filter(|face| face.is_ok()).count();
    eprintln!(
        "enrolled {accepted} of {} pictures of {} people into {}",
        found.len(),
        templates.len(),
        verb.partition
    );
    Ok(if accepted == found.len() {
        Exit::Success
    } else {
        Exit::No
    })
}

fn pictures_and_classes(verb: &Enroll) -> anyhow::Result<(Vec<PathBuf>, Vec<ClassId>)> {
    Ok(match verb.class {
        Some(class) => {
            let pictures = pictures::find(&verb.paths)?;
            let classes = vec![class; pictures.len()];
            (pictures, classes)
        }
        None => pictures::find_classes(&verb.paths)?.into_iter().unzip(),
    })
}

fn report(
    verb: &Enroll,
    paths: &[PathBuf],
    classes: &[ClassId],
    found: &[Result<Face, PictureError>],
) -> anyhow::Result<()> {
    for ((path, class), face) in paths.iter().zip(classes).zip(found) {
        if verb.json {
            output::json_line(&picture_report(path, *class, face))?;
        } else if let Err(refusal) = face {
            eprintln!("refused `{}`: {refusal}", path.display());
        }
    }
    Ok(())
}

fn picture_report<'a>(
    path: &'a Path,
    class: ClassId,
    face: &Result<Face, PictureError>,
) -> PictureReport<'a> {
    let (quality, warnings, error) = match face {
        Ok(face) => {
            let warnings = face.warnings.iter().map(|warning| warning.code()).collect();
            (Some(face.quality.score()), warnings, None)
        }
        Err(refusal) => (None, Vec::new(), Some(refusal.to_string())),
    };
    PictureReport {
        picture: path,
        class: class.0,
        accepted: face.is_ok(),
        quality,
        warnings,
        error,
    }
}
