//! `vultus gallery compact`

use serde::Serialize;

use crate::cli::admin::{self, Holder};
use crate::cli::args::Compact;
use crate::cli::exit::Exit;
use crate::cli::{open, output};
use crate::config::Settings;
use crate::engine::Engine;
use crate::partition::{Compacted, Pace};

#[derive(Serialize)]
struct CompactedPartition {
    partition: String,
    #[serde(flatten)]
    compacted: Compacted,
}

pub(super) fn run(verb: &Compact, settings: &Settings) -> anyhow::Result<Exit> {
    match admin::holder(settings, open::existing_engine)? {
        Holder::Own(engine) => carry_out(verb, &engine, &Pace::unlimited()),
        Holder::Service(service) => service.run(None),
    }
}

/// Writes galleries anew, at this pace.
pub(in crate::cli) fn carry_out(
    verb: &Compact,
    engine: &Engine,
    pace: &Pace,
) -> anyhow::Result<Exit> {
    let ids = match &verb.partition {
        Some(partition) => vec![partition.clone()],
        None => engine.partitions()?,
    };
    for id in &ids {
        let partition = open::partition(engine, id)?;
        let compacted = partition.compact(pace)?;
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
