//! `vultus identify`

use std::path::{Path, PathBuf};

use anyhow::bail;
use serde::Serialize;

use super::args::Identify;
use super::exit::Exit;
use super::{open, output, pictures};
use crate::code::Probe;
use crate::config::Settings;
use crate::engine::{Engine, Identification, IdentifyOptions};
use crate::exchange::EmbeddingFile;
use crate::face::ScoreMap;
use crate::types::{Embedding, EncoderId, Match};

/// Probes that share one pass over the gallery.
const PROBES_PER_PASS: usize = 64;

/// One answer as JSON.
#[derive(Serialize)]
struct Answer<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    probe: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    picture: Option<&'a Path>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pictures: Option<&'a [PathBuf]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    matches: Option<Vec<JsonMatch>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
struct JsonMatch {
    class: i64,
    similarity: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f64>,
}

pub(super) fn run(verb: &Identify, settings: &Settings) -> anyhow::Result<Exit> {
    let engine = open::existing_engine(settings)?;
    let Some(partition) = engine.store().partition(&verb.partition)? else {
        bail!(
            "nobody was ever enrolled in `{}`: `vultus gallery info` lists what there is",
            verb.partition
        );
    };
    let somebody = match &verb.embeddings {
        Some(path) => identify_embeddings(verb, &engine, partition.encoder(), path)?,
        None => identify_pictures(verb, settings, &engine)?,
    };
    Ok(if somebody { Exit::Success } else { Exit::No })
}

/// Streams ready embeddings; returns whether anybody was found.
fn identify_embeddings(
    verb: &Identify,
    engine: &Engine,
    encoder: &EncoderId,
    path: &Path,
) -> anyhow::Result<bool> {
    let mut file = EmbeddingFile::open(path)?;
    if file.dimension() != encoder.dimension() {
        bail!(
            "`{}` has embeddings of {} values, and partition `{}` holds those of `{encoder}`",
            path.display(),
            file.dimension(),
            verb.partition
        );
    }
    let bar = output::progress(file.rows(), "identifying");
    let (mut first, mut somebody) = (0, false);
    while first < file.rows() {
        let rows = file.read(PROBES_PER_PASS)?;
        let probe = |row: ndarray::ArrayView1<'_, f32>| {
            Embedding::new(row.to_vec()).map(|embedding| Probe::new(&embedding))
        };
        let probes: Vec<Probe> = rows.outer_iter().map(probe).collect::<Result<_, _>>()?;
        let answers = engine.identify_many(&verb.partition, encoder, &probes, &options(verb))?;
        for (at, identification) in answers.iter().enumerate() {
            somebody |= !identification.matches.is_empty();
            let name = format!("probe {}", first + at);
            bar.suspend(|| {
                print(verb, &name, identification, None, |answer| {
                    answer.probe = Some(first + at);
                })
            })?;
        }
        first += probes.len();
        bar.set_position(first as u64);
    }
    bar.finish_and_clear();
    Ok(somebody)
}

/// Returns whether anybody was found.
fn identify_pictures(
    verb: &Identify,
    settings: &Settings,
    engine: &Engine,
) -> anyhow::Result<bool> {
    let paths = pictures::find(&verb.paths)?;
    let faces = open::faces(settings)?;
    let (encoder, scores) = (faces.profile().encoder(), faces.profile().score_map());
    let found = pictures::only_faces(&faces, settings.threads, &paths)?;
    if verb.fuse {
        let mut samples = Vec::new();
        for (path, face) in paths.iter().zip(&found) {
            match face {
                Ok(face) => samples.push(&face.embedding),
                Err(refusal) => bail!("`{}`: {refusal}", path.display()),
            }
        }
        let identified = engine.identify(&verb.partition, encoder, &samples, &options(verb))?;
        let name = format!("{} pictures", paths.len());
        print(verb, &name, &identified, Some(&scores), |answer| {
            answer.pictures = Some(&paths);
        })?;
        return Ok(!identified.matches.is_empty());
    }
    let mut somebody = false;
    for (path, face) in paths.iter().zip(&found) {
        match face {
            Ok(face) => {
                let samples = [&face.embedding];
                let identified =
                    engine.identify(&verb.partition, encoder, &samples, &options(verb))?;
                somebody |= !identified.matches.is_empty();
                let name = path.display().to_string();
                print(verb, &name, &identified, Some(&scores), |answer| {
                    answer.picture = Some(path);
                })?;
            }
            Err(refusal) if verb.json => {
                let error = Some(refusal.to_string());
                output::json_line(&Answer {
                    picture: Some(path),
                    error,
                    ..Answer::empty()
                })?;
            }
            Err(refusal) => eprintln!("refused `{}`: {refusal}", path.display()),
        }
    }
    Ok(somebody)
}

fn options(verb: &Identify) -> IdentifyOptions {
    IdentifyOptions {
        count: verb.top,
        threshold: verb.threshold,
    }
}

/// Prints one answer; `name` puts what was asked into its JSON form.
fn print<'a>(
    verb: &Identify,
    title: &str,
    identification: &Identification,
    scores: Option<&ScoreMap>,
    name: impl FnOnce(&mut Answer<'a>),
) -> anyhow::Result<()> {
    if verb.json {
        let json = |found: &Match| JsonMatch {
            class: found.class.0,
            similarity: found.similarity,
            score: scores.map(|scores| scores.score(found.similarity)),
        };
        let matches = Some(identification.matches.iter().map(json).collect());
        let mut answer = Answer {
            matches,
            ..Answer::empty()
        };
        name(&mut answer);
        return Ok(output::json_line(&answer)?);
    }
    if identification.matches.is_empty() {
        return Ok(output::line(format!("{title}: nobody"))?);
    }
    let mut table = output::table(&[title, "class", "similarity", "score"]);
    for (rank, found) in identification.matches.iter().enumerate() {
        let score = scores.map_or(String::new(), |map| {
            format!("{:.4}", map.score(found.similarity))
        });
        let similarity = format!("{:.6}", found.similarity);
        table.add_row([
            (rank + 1).to_string(),
            found.class.to_string(),
            similarity,
            score,
        ]);
    }
    Ok(output::line(table.to_string())?)
}

impl Answer<'_> {
    fn empty() -> Answer<'static> {
        Answer {
            probe: None,
            picture: None,
            pictures: None,
            matches: None,
            error: None,
        }
    }
}
