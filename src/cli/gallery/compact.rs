//! `vultus gallery compact`

use serde::Serialize;

use crate::cli::args::Compact;
use crate::cli::exit::Exit;
use crate::cli::{open, output};
use crate::config::Settings;
use crate::partition::{Compacted, Pace};

#[derive(Serialize)]
struct CompactedPartition {
    partition: String,
    #[serde(flatten)]
    compacted: Compacted,
}

pub(super) fn run(verb: &Compact, settings: &Settings) -> anyhow::Result<Exit> {
    let engine = open::existing_engine(settings)?;
    let ids = match &verb.partition {
        Some(partition) => vec![partition.clone()],
        None => engine.partitions()?,
    };
    for id in &ids {
        let partition = open::partition(&engine, id)?;
        let compacted = partition.compact(&Pace::unlimited())?;
        if verb.json {
            let partition = id.to_string();
            output::json_line(&CompactedPartition {
                partition,
                compacted,
            })?;
        } else {
            output::say!(
                "{id}: wrote {} templates into {} segments in place of {}; {} removed templates are gone",
                compacted.rows_written,
                compacted.segments_written,
                compacted.segments_removed,
                compacted.rows_removed
            );
        }
    }
    engine.store().renew_catalog()?;
    Ok(Exit::Success)
}
