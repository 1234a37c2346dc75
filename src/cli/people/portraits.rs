//! `vultus people remove-portraits`

use anyhow::Context;
use serde::Serialize;

use crate::cli::args::RemovePortraits;
use crate::cli::exit::Exit;
use crate::cli::{open, output};
use crate::engine::Engine;
use crate::partition::Pace;

#[derive(Serialize)]
struct RemovedPortraits {
    partition: String,
    removed: u64,
    overwritten: bool,
}

/// Removes and overwrites, at this pace.
pub(super) fn remove(verb: &RemovePortraits, engine: &Engine, pace: &Pace) -> anyhow::Result<Exit> {
    let partitions = match &verb.partition {
        Some(partition) => vec![partition.clone()],
        None => engine.partitions()?,
    };
    let mut exit = Exit::Success;
    for id in &partitions {
        let partition = open::partition(engine, id)?;
        let removed = engine.store().remove_portraits(&partition, pace);
        let (removed, overwritten) =
            removed.with_context(|| format!("removing the portraits of {id}: run this again"))?;
        if !overwritten {
            exit = Exit::No;
        }
        if verb.json {
            output::json_line(&RemovedPortraits {
                partition: id.to_string(),
                removed,
                overwritten,
            })?;
            continue;
        }
        let count = output::count(
            usize::try_from(removed).unwrap_or(usize::MAX),
            "portrait",
            "portraits",
        );
        let bytes = match overwritten {
            true => "nothing of them is left here",
            false => {
                "what was stored is still being read by another process: run this again when it is done"
            }
        };
        output::say!("removed {count} of {id}; {bytes}");
    }
    output::say!("copies may remain in snapshots and backups, and in blocks put aside by the disk");
    Ok(exit)
}
