//! `vultus gallery info`

use anyhow::bail;

use crate::cli::args::Info;
use crate::cli::exit::Exit;
use crate::cli::{open, output};
use crate::config::Settings;
use crate::partition::Encryption;

pub(super) fn run(verb: &Info, settings: &Settings) -> anyhow::Result<Exit> {
    let engine = open::reading_engine(settings)?;
    let store = engine.store();
    let ids = match &verb.partition {
        Some(partition) => vec![partition.clone()],
        None => engine.partitions()?,
    };
    let mut columns = vec![
        "partition",
        "encoder",
        "people",
        "templates",
        "not sealed",
        "removed",
        "segments",
        "MB",
    ];
    // Where nothing is, a column of nothing else would say less than none.
    let tells_encryption = store.is_encrypted();
    if tells_encryption {
        columns.push("encrypted");
    }
    let mut table = output::table(&columns);
    let mut exit = Exit::Success;
    for id in &ids {
        let summary = store.partition(id).and_then(|partition| {
            let summary = partition.map(|partition| store.summary(&partition));
            summary.transpose()
        });
        let summary = match summary {
            Ok(Some(summary)) => summary,
            Ok(None) => bail!(
                "there is no partition `{id}` in `{}`",
                settings.data_dir.display()
            ),
            // The others are still worth to be listed.
            Err(error) => {
                output::tell!("error: {:#}", anyhow::Error::from(error));
                exit = Exit::No;
                continue;
            }
        };
        if verb.json {
            output::json_line(&summary)?;
            continue;
        }
        let encrypted = tells_encryption.then(|| word_of(summary.encryption).to_owned());
        let row = [
            summary.partition,
            summary.encoder,
            summary.classes.to_string(),
            summary.templates.to_string(),
            summary.tail_templates.to_string(),
            summary.removed_rows.to_string(),
            summary.segments.to_string(),
            format!("{:.1}", summary.segment_bytes as f64 / 1e6),
        ];
        table.add_row(row.into_iter().chain(encrypted));
    }
    if !verb.json && ids.is_empty() {
        output::say!(
            "there is no gallery in `{}`: nobody is enrolled",
            settings.data_dir.display()
        );
    } else if !verb.json {
        output::line(table.to_string())?;
        open::warn_of_plain(&engine)?;
    }
    Ok(exit)
}

/// In the column `encrypted`.
fn word_of(encryption: Encryption) -> &'static str {
    match encryption {
        Encryption::Off => "no",
        Encryption::On => "yes",
        Encryption::Partly => "partly",
    }
}
