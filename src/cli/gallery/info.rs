//! `vultus gallery info`

use anyhow::bail;

use crate::cli::args::Info;
use crate::cli::exit::Exit;
use crate::cli::{open, output};
use crate::config::Settings;

pub(super) fn run(verb: &Info, settings: &Settings) -> anyhow::Result<Exit> {
    let engine = open::reading_engine(settings)?;
    let store = engine.store();
    let ids = match &verb.partition {
        Some(partition) => vec![partition.clone()],
        None => engine.partitions()?,
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
    if !verb.json && ids.is_empty() {
        output::say!(
            "nobody was ever enrolled in `{}`",
            settings.data_dir.display()
        );
    } else if !verb.json {
        output::line(table.to_string())?;
    }
    Ok(exit)
}
