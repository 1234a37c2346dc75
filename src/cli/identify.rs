//! `vultus identify`

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Serialize;

use super::args::Identify;
use super::exit::Exit;
use super::open;
use super::output::{self, PathName, PathNames};
use super::pictures::{self, Found, PictureError};
use crate::config::Settings;
use crate::engine::{Batch, Engine, Gallery, Identification, IdentifyOptions};
use crate::exchange::{AnswerFile, EmbeddingFile, write_json_answer};
use crate::face::{Face, ScoreMap};
use crate::search::{Certificate, Plan};
use crate::types::Match;

/// One answer as JSON.
#[derive(Serialize)]
struct Answer<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    probe: Option<usize>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    picture: Option<PathName<'a>>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pictures: Option<PathNames<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    matches: Option<Vec<JsonMatch>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<serde_json::Value>,
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
    let engine = open::reading_engine(settings)?;
    let gallery = open::gallery(&engine, &verb.partition)?;
    let Some(path) = &verb.embeddings else {
        return identify_pictures(verb, settings, &engine);
    };
    let probes = EmbeddingFile::open(path)?;
    let batch = gallery.batch(probes, options(verb))?;
    match &verb.output {
        Some(output) => identify_to_file(verb, batch, output),
        None => identify_to_stdout(verb, batch),
    }
}

/// Prints the answers to ready embeddings, as soon as they are known.
fn identify_to_stdout(verb: &Identify, mut batch: Batch) -> anyhow::Result<Exit> {
    let bar = output::progress(batch.probes(), "identifying");
    let mut exit = Exit::No;
    batch.identify(0, |first, answers| {
        let numbered = || (first..).zip(answers);
        bar.suspend(|| -> anyhow::Result<()> {
            if verb.json && !verb.explain {
                return Ok(output::buffered(|stdout| {
                    numbered().try_for_each(|(probe, answer)| {
                        write_json_answer(stdout, probe, &answer.matches)
                    })
                })?);
            }
            numbered().try_for_each(|(probe, answer)| {
                print(verb, &format!("probe {probe}"), answer, None, |answer| {
                    answer.probe = Some(probe);
                })
            })
        })?;
        if answers.iter().any(|answer| !answer.matches.is_empty()) {
            exit = Exit::Success;
        }
        bar.inc(answers.len() as u64);
        anyhow::Ok(())
    })?;
    bar.finish_and_clear();
    Ok(exit)
}

/// Writes the answers to ready embeddings to a file, and goes on with one if asked to.
fn identify_to_file(verb: &Identify, mut batch: Batch, output: &Path) -> anyhow::Result<Exit> {
    let (count, name) = (batch.probes(), output.display());
    let mut file = AnswerFile::begin(output, verb.existing.existing(), count, &batch.job()?)?;
    if file.is_finished() {
        eprintln!("`{name}` is finished: all {count} probes are answered");
        return Ok(Exit::Success);
    }
    let bar = output::progress(count, "identifying");
    bar.set_position(file.done() as u64);
    // What was done before says nothing of the time that is left.
    bar.reset_eta();
    let (resumed, mut certain) = (file.done(), file.done());
    let identified = batch.identify(resumed, |_, answers| {
        for answer in answers {
            file.push(&answer.matches)?;
        }
        file.checkpoint()?;
        certain = file.done();
        bar.set_position(certain as u64);
        anyhow::Ok(())
    });
    bar.finish_and_clear();
    let matches = file.matches();
    identified
        .and_then(|()| Ok(file.finish()?))
        .with_context(|| {
            format!("stopped after {certain} of {count} probes; --resume goes on from there")
        })?;
    let before = match resumed {
        0 => String::new(),
        resumed => format!(", {resumed} of them in an earlier run"),
    };
    eprintln!("identified {count} probes{before}: {matches} matches in `{name}`");
    Ok(if matches > 0 { Exit::Success } else { Exit::No })
}

/// The exit code says whether anybody was found and every picture was answered.
fn identify_pictures(
    verb: &Identify,
    settings: &Settings,
    engine: &Engine,
) -> anyhow::Result<Exit> {
    let Found { pictures, passed } = pictures::find(&verb.paths)?;
    let intake = open::intake(settings)?;
    let gallery = open::gallery_of(engine, &verb.partition, intake.encoder())?;
    let found = pictures::only_faces(&intake, settings.threads, &pictures);
    let asking = Asking {
        verb,
        gallery,
        scores: intake.profile().score_map(),
    };
    let answered = if verb.fuse {
        asking.identify_fused(&pictures, &found)?
    } else {
        asking.identify_each(&pictures, &found)?
    };
    if verb.json && !passed.is_empty() {
        output::json_line(&serde_json::json!({ "passed_over": passed }))?;
    }
    passed.print();
    Ok(if answered && !passed.is_missed() {
        Exit::Success
    } else {
        Exit::No
    })
}

/// Questions about pictures.
struct Asking<'a> {
    verb: &'a Identify,
    gallery: Gallery,
    scores: ScoreMap,
}

impl Asking<'_> {
    /// Asks once for all pictures. Returns whether anybody was found.
    fn identify_fused(
        &self,
        paths: &[PathBuf],
        found: &[Result<Face, PictureError>],
    ) -> anyhow::Result<bool> {
        let mut samples = Vec::new();
        for (path, face) in paths.iter().zip(found) {
            match face {
                Ok(face) => samples.push(&face.embedding),
                Err(refusal) => bail!("`{}`: {refusal}", path.display()),
            }
        }
        let identified = self.gallery.identify(&samples, &options(self.verb))?;
        let name = output::count(paths.len(), "picture", "pictures");
        print(
            self.verb,
            &name,
            &identified,
            Some(&self.scores),
            |answer| {
                answer.pictures = Some(PathNames::new("pictures", paths));
            },
        )?;
        Ok(!identified.matches.is_empty())
    }

    /// Asks for each picture. Returns whether anybody was found and none was refused.
    fn identify_each(
        &self,
        paths: &[PathBuf],
        found: &[Result<Face, PictureError>],
    ) -> anyhow::Result<bool> {
        let (mut somebody, mut refused) = (false, false);
        for (path, face) in paths.iter().zip(found) {
            let picture = Some(PathName::new("picture", path));
            match face {
                Ok(face) => {
                    let options = options(self.verb);
                    let identified = self.gallery.identify(&[&face.embedding], &options)?;
                    somebody |= !identified.matches.is_empty();
                    let name = path.display().to_string();
                    print(
                        self.verb,
                        &name,
                        &identified,
                        Some(&self.scores),
                        |answer| {
                            answer.picture = picture;
                        },
                    )?;
                }
                Err(refusal) => {
                    refused = true;
                    if self.verb.json {
                        output::json_line(&Answer {
                            picture,
                            error: Some(refusal.to_string()),
                            ..Answer::empty()
                        })?;
                    } else {
                        eprintln!("refused `{}`: {refusal}", path.display());
                    }
                }
            }
        }
        Ok(somebody && !refused)
    }
}

fn options(verb: &Identify) -> IdentifyOptions {
    IdentifyOptions {
        limit: verb.limit,
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
        let certificate = verb.explain.then_some(identification.certificate);
        let mut answer = Answer {
            matches,
            certificate: certificate.as_ref().map(json_certificate),
            ..Answer::empty()
        };
        name(&mut answer);
        return Ok(output::json_line(&answer)?);
    }
    if let Some(certificate) = verb.explain.then_some(identification.certificate) {
        eprintln!("{title}: {}", explain(&certificate));
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

fn json_certificate(certificate: &Certificate) -> serde_json::Value {
    serde_json::json!({
        "plan": certificate.plan.to_string(),
        "isa": certificate.isa.to_string(),
        "rows_scanned": certificate.rows_scanned,
        "rows_refined": certificate.rows_refined,
        "rows_scored": certificate.rows_scored,
        "bytes_read": certificate.bytes_read,
    })
}

/// Why an answer is exact, in a sentence.
fn explain(certificate: &Certificate) -> String {
    let Certificate {
        plan,
        isa,
        rows_scanned,
        rows_refined,
        rows_scored,
        bytes_read,
    } = certificate;
    let refined = match plan {
        Plan::Fine => String::new(),
        Plan::Coarse | Plan::Tile => format!("{rows_refined} looked at again in eight bits, "),
    };
    let megabytes = *bytes_read as f64 / 1e6;
    format!(
        "{rows_scanned} templates scanned ({plan} plan, {isa}), {refined}{rows_scored} scored in \
         double precision, all others out by proof; {megabytes:.1} MB read"
    )
}

impl Answer<'_> {
    fn empty() -> Answer<'static> {
        Answer {
            probe: None,
            certificate: None,
            picture: None,
            pictures: None,
            matches: None,
            error: None,
        }
    }
}
