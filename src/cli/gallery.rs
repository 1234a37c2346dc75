//! `vultus gallery`

use std::path::Path;

use anyhow::bail;

use super::args::{Duplicates, Gallery};
use super::exit::Exit;
use super::{open, output};
use crate::config::Settings;
use crate::exchange::{ClassFile, EmbeddingFile, PairFile, write_json_pair};
use crate::types::{Clock, EncoderId, PartitionId};

pub(super) fn run(verb: &Gallery, settings: &Settings) -> anyhow::Result<Exit> {
    match verb {
        Gallery::Import {
            partition,
            embeddings,
            classes,
            encoder,
            json,
        } => import(
            settings,
            partition,
            embeddings,
            classes.as_deref(),
            encoder,
            *json,
        ),
        Gallery::Info { partition, json } => info(settings, partition.as_ref(), *json),
        Gallery::Duplicates(verb) => duplicates(verb, settings),
    }
}

fn import(
    settings: &Settings,
    partition: &PartitionId,
    embeddings: &Path,
    classes: Option<&Path>,
    encoder: &str,
    json: bool,
) -> anyhow::Result<Exit> {
    let mut embeddings = EmbeddingFile::open(embeddings)?;
    let encoder = EncoderId::parse(encoder, embeddings.dimension())?;
    let mut class_file = classes.map(ClassFile::open).transpose()?;
    let classes = classes.zip(class_file.as_mut());
    let engine = open::engine(settings)?;
    let bar = output::progress(embeddings.rows(), "importing");
    let imported = engine.import(
        partition,
        &encoder,
        &mut embeddings,
        classes,
        Clock::System.now(),
        |done| {
            bar.set_position(done as u64);
        },
    );
    bar.finish_and_clear();
    let imported = imported?;
    if json {
        let encoder = encoder.to_string();
        output::json_line(&serde_json::json!({
            "partition": partition.to_string(), "imported": imported, "encoder": encoder,
        }))?;
    } else {
        eprintln!("imported {imported} embeddings of `{encoder}` into {partition}");
    }
    Ok(Exit::Success)
}

fn info(settings: &Settings, partition: Option<&PartitionId>, json: bool) -> anyhow::Result<Exit> {
    let engine = open::existing_engine(settings)?;
    let store = engine.store();
    let ids = match partition {
        Some(partition) => vec![partition.clone()],
        None => store.partitions()?,
    };
    let columns = [
        "partition",
        "encoder",
        "people",
        "templates",
        "not sealed",
        "removed",
        "segments",
        "MB",
    ];
    let mut table = output::table(&columns);
    for id in &ids {
        let Some(partition) = store.partition(id)? else {
            bail!(
                "there is no partition `{id}` in `{}`",
                settings.data_dir.display()
            );
        };
        let summary = store.summary(&partition)?;
        if json {
            output::json_line(&summary)?;
            continue;
        }
        table.add_row([
            summary.partition,
            summary.encoder,
            summary.classes.to_string(),
            summary.templates.to_string(),
            summary.tail_templates.to_string(),
            summary.removed_rows.to_string(),
            summary.segments.to_string(),
            format!("{:.1}", summary.segment_bytes as f64 / 1e6),
        ]);
    }
    if !json && ids.is_empty() {
        eprintln!(
            "nobody was ever enrolled in `{}`",
            settings.data_dir.display()
        );
    } else if !json {
        output::line(table.to_string())?;
    }
    Ok(Exit::Success)
}

fn duplicates(verb: &Duplicates, settings: &Settings) -> anyhow::Result<Exit> {
    // Before hours of work: whether there will be a place for what it finds.
    let output = verb.output.as_deref();
    let output = output.map(|path| PairFile::new(path, verb.overwrite));
    let output = output.transpose()?;
    let engine = open::existing_engine(settings)?;
    let partition = open::partition(&engine, &verb.partition)?;
    let bar = output::progress(partition.snapshot().templates(), "comparing");
    let pairs = engine.duplicates(&verb.partition, verb.threshold, |done| {
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    let pairs = pairs?;
    if let Some(output) = output {
        output.write(&pairs)?;
        eprintln!("found {} pairs in {}", pairs.len(), verb.partition);
    } else if verb.json {
        output::buffered(|stdout| {
            let mut pairs = pairs.iter();
            pairs.try_for_each(|pair| write_json_pair(stdout, pair))
        })?;
    } else if pairs.is_empty() {
        eprintln!("nobody in {} is that similar to another", verb.partition);
    } else {
        let mut table = output::table(&["class", "other", "similarity"]);
        for pair in &pairs {
            let similarity = format!("{:.6}", pair.similarity);
            table.add_row([pair.class.to_string(), pair.other.to_string(), similarity]);
        }
        output::line(table.to_string())?;
    }
    Ok(Exit::Success)
}
