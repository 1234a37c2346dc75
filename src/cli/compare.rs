//! `vultus compare`

use std::path::Path;

use anyhow::Context;

use super::args::Compare;
use super::exit::Exit;
use super::output::{self, PathName};
use super::{open, pictures};
use crate::config::Settings;
use crate::face::Face;
use crate::intake::{Intake, similarity_of};

pub(super) fn run(verb: &Compare, settings: &Settings) -> anyhow::Result<Exit> {
    pictures::check_stdin(&[verb.one.clone(), verb.other.clone()])?;
    let intake = open::intake(settings)?;
    let one = look(&intake, &verb.one)?;
    let other = look(&intake, &verb.other)?;
    let similarity = similarity_of(&one.embedding, &other.embedding);
    let threshold = verb
        .threshold
        .unwrap_or_else(|| intake.comparison_threshold());
    let is_same = similarity >= threshold;
    let score = intake.profile().score_map().score(similarity);
    if verb.json {
        #[derive(serde::Serialize)]
        struct Answer<'a> {
            accepted: bool,
            similarity: f64,
            score: f64,
            threshold: f64,
            pictures: [Picture<'a>; 2],
        }
        #[derive(serde::Serialize)]
        struct Picture<'a> {
            #[serde(flatten)]
            picture: PathName<'a>,
            quality: f32,
            warnings: Vec<&'static str>,
        }
        let picture = |path, face: &Face| Picture {
            picture: PathName::new("picture", path),
            quality: face.quality.score(),
            warnings: face.warnings.iter().map(|warning| warning.name()).collect(),
        };
        output::json_line(&Answer {
            accepted: is_same,
            similarity,
            score,
            threshold,
            pictures: [picture(&verb.one, &one), picture(&verb.other, &other)],
        })?;
    } else {
        let word = if is_same {
            "one person"
        } else {
            "not one person"
        };
        output::line(format!(
            "{word}: similarity {similarity:.4}, score {score:.4}, and one person has {threshold:.2} at least"
        ))?;
        for (path, face) in [(&verb.one, &one), (&verb.other, &other)] {
            for warning in &face.warnings {
                output::tell!("`{}`: {}", path.display(), warning.message());
            }
        }
    }
    Ok(if is_same { Exit::Success } else { Exit::No })
}

fn look(intake: &Intake, path: &Path) -> anyhow::Result<Face> {
    let seen = pictures::look(intake, path);
    let seen = seen.with_context(|| format!("looking at `{}`", path.display()))?;
    Ok(seen.face)
}
