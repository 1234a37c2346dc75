//! Whose are these embeddings?

use std::io::Write;
use std::path::Path;

use anyhow::Context;

use super::answer::{Answer, JsonMatch, Printing};
use super::{Known, among, bar, options};
use crate::cli::args::Identify;
use crate::cli::exit::Exit;
use crate::cli::{open, output};
use crate::config::Settings;
use crate::engine::{Batch, Engine, IdentifyOptions};
use crate::exchange::{AnswerFile, EmbeddingFile, ItemId, SourceOptions};
use crate::types::Match;

pub(super) fn run(
    verb: &Identify,
    settings: &Settings,
    engine: &Engine,
    path: &Path,
) -> anyhow::Result<Exit> {
    let gallery = among(verb, &open::gallery(engine, &verb.partition)?)?;
    let known = Known::of(engine, &gallery, settings, bar(verb))?;
    let mut options: IdentifyOptions = options(verb, &known);
    if verb.output.is_some() {
        // A file lists who was found, and decides nothing.
        options.limit = verb.limit;
    }
    let names = SourceOptions {
        embedding_name: verb.embedding_column.clone(),
        id_name: verb.id_column.clone(),
        ..SourceOptions::default()
    };
    if let Some(output) = &verb.output {
        output::refuse_input(output, [path])?;
    }
    let mut probes = EmbeddingFile::open_with(path, names)?;
    if probes.dimension() == 0 {
        // Says why none can be an embedding.
        probes.check()?;
    }
    let notes = probes.notes();
    let encoder = gallery.encoder().clone();
    let batch = gallery.batch(probes, options)?;
    let printing = Printing {
        verb,
        gallery: &gallery,
        judge: &known.judge,
        scores: None,
        has_threshold: options.threshold.is_some(),
    };
    let exit = match &verb.output {
        Some(output) => to_file(verb, batch, output)?,
        None => to_stdout(printing, batch)?,
    };
    if options.threshold.is_none() && !verb.all {
        output::tell!(
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
    batch.identify_named(0, |first, ids, answers| {
        let numbered = || (first..).zip(ids.iter().zip(answers));
        bar.suspend(|| -> anyhow::Result<()> {
            if printing.verb.json && !printing.verb.explain {
                return Ok(output::buffered(|stdout| {
                    numbered().try_for_each(|(probe, (id, answer))| {
                        let line = json_answer(printing, probe, id.as_ref(), &answer.matches);
                        serde_json::to_writer(&mut *stdout, &line)?;
                        writeln!(stdout)
                    })
                })?);
            }
            numbered().try_for_each(|(probe, (id, answer))| {
                let title = match id {
                    Some(id) => format!("probe {probe} ({id})"),
                    None => format!("probe {probe}"),
                };
                printing.print(&title, answer, |answer| {
                    answer.probe = Some(probe);
                    answer.id = id.as_ref();
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

/// An answer of which nothing more is looked up: there may be a million of them.
fn json_answer<'a>(
    printing: Printing<'_>,
    probe: usize,
    id: Option<&'a ItemId>,
    found: &[Match],
) -> Answer<'a> {
    let listed = printing.listed(found).iter();
    Answer {
        probe: Some(probe),
        id,
        matches: Some(listed.map(JsonMatch::bare).collect()),
        ..printing.decided(printing.decide(found))
    }
}

/// Writes the answers to ready embeddings to a file, and goes on with one if asked to.
fn to_file(verb: &Identify, mut batch: Batch, output: &Path) -> anyhow::Result<Exit> {
    let (count, name) = (batch.probes(), output.display());
    let mut file = AnswerFile::begin_named(
        output,
        verb.existing.existing(),
        count,
        batch.ids(),
        &batch.job()?,
    )?;
    if file.is_finished() {
        output::say!("`{name}` is finished: all {count} probes are answered");
        return Ok(Exit::Success);
    }
    let bar = output::progress(count, "identifying");
    bar.set_position(file.done() as u64);
    // What was done before says nothing of the time that is left.
    bar.reset_eta();
    let (resumed, mut certain) = (file.done(), file.done());
    let identified = batch.identify_named(resumed, |_, ids, answers| {
        for (id, answer) in ids.iter().zip(answers) {
            file.push_named(id.as_ref(), &answer.matches)?;
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
