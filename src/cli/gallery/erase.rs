//! `vultus gallery erase`

use anyhow::Context;
use serde::Serialize;

use crate::cli::admin::{self, Holder};
use crate::cli::args::Erase;
use crate::cli::exit::Exit;
use crate::cli::{open, output};
use crate::config::Settings;
use crate::engine::Engine;
use crate::partition::{Erased, Pace};

#[derive(Serialize)]
struct ErasedClass {
    class: i64,
    #[serde(flatten)]
    erased: Erased,
}

pub(super) fn run(verb: &Erase, settings: &Settings) -> anyhow::Result<Exit> {
    match admin::holder(settings, open::existing_engine)? {
        Holder::Own(engine) => carry_out(verb, &engine, &Pace::unlimited()),
        Holder::Service(service) => service.run(None),
    }
}

/// Removes and overwrites, at this pace.
pub(in crate::cli) fn carry_out(
    verb: &Erase,
    engine: &Engine,
    pace: &Pace,
) -> anyhow::Result<Exit> {
    let partition = open::partition(engine, &verb.partition)?;
    let mut exit = Exit::Success;
    for class in &verb.class {
        let erased = engine.store().erase(&partition, *class, pace);
        let erased = erased.with_context(|| match partition.snapshot().contains(*class) {
            Ok(false) => format!(
                "class {class} of {} is in no answer any more, and what is stored of it is not overwritten yet: run this again when the cause is gone",
                verb.partition
            ),
            _ => format!("class {class} of {} is not erased", verb.partition),
        })?;
        if !erased.was_enrolled || !erased.overwritten {
            exit = Exit::No;
        }
        if verb.json {
            let class = class.0;
            output::json_line(&ErasedClass { class, erased })?;
            continue;
        }
        let removed = match erased.was_enrolled {
            true => "removed",
            false => "was not enrolled",
        };
        let bytes = match erased.overwritten {
            true => "nothing of it is left here",
            false => {
                "what was stored is still being read by another process: run this again when it is done"
            }
        };
        output::say!("class {class} of {}: {removed}; {bytes}", verb.partition);
    }
    output::say!(
        "copies may remain in snapshots, exports and backups, and in blocks put aside by the disk"
    );
    Ok(exit)
}
