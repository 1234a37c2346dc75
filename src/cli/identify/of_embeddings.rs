//! Whose are these embeddings?

use std::path::Path;

use anyhow::Context;

use super::answer::Printing;
use super::{Known, options};
use crate::cli::args::Identify;
use crate::cli::exit::Exit;
use crate::cli::{open, output};
use crate::config::Settings;
use crate::engine::{Batch, Engine};
use crate::exchange::{AnswerFile, EmbeddingFile, write_json_answer};

pub(super) fn run(
    verb: &Identify,
    settings: &Settings,
    engine: &Engine,
    path: &Path,
) -> anyhow::Result<Exit> {
    let gallery = open::gallery(engine, &verb.partition)?;
    let known = Known::of(gallery.encoder(), &verb.partition, settings)?;
    let options = options(verb, known.as_ref());
    let mut probes = EmbeddingFile::open(path)?;
    if probes.dimension() == 0 {
        // Says why none can be an embedding.
        probes.check()?;
    }
    let notes = probes.notes();
    let encoder = gallery.encoder().clone();
    let batch = gallery.batch(probes, options)?;
    let printing = Printing {
        verb,
        scores: None,
        has_threshold: options.threshold.is_some(),
    };
    let exit = match &verb.output {
        Some(output) => to_file(verb, batch, output)?,
        None => to_stdout(printing, batch)?,
    };
    if options.threshold.is_none() && !verb.all {
        eprintln!(
            "no threshold is known for `{encoder}`: the most alike are listed, however little alike; \
             --threshold leaves strangers out"
        );
    }
    for note in notes {
        output::say!("{note}");
    }
    Ok(exit)
}

/// Prints the answers to ready embeddings, as soon as they are known.
fn to_stdout(printing: Printing<'_>, mut batch: Batch) -> anyhow::Result<Exit> {
    let bar = output::progress(batch.probes(), "identifying");
    let mut exit = Exit::No;
    batch.identify(0, |first, answers| {
        let numbered = || (first..).zip(answers);
        bar.suspend(|| -> anyhow::Result<()> {
            if printing.verb.json && !printing.verb.explain {
                return Ok(output::buffered(|stdout| {
                    numbered().try_for_each(|(probe, answer)| {
                        write_json_answer(stdout, probe, &answer.matches)
                    })
                })?);
            }
            numbered().try_for_each(|(probe, answer)| {
                printing.print(&format!("probe {probe}"), answer, |answer| {
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
fn to_file(verb: &Identify, mut batch: Batch, output: &Path) -> anyhow::Result<Exit> {
    let (count, name) = (batch.probes(), output.display());
    let mut file = AnswerFile::begin(output, verb.existing.existing(), count, &batch.job()?)?;
    if file.is_finished() {
        output::say!("`{name}` is finished: all {count} probes are answered");
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
    output::say!("identified {count} probes{before}: {matches} matches in `{name}`");
    Ok(if matches > 0 { Exit::Success } else { Exit::No })
}
