//! `vultus gallery rotate-keys`

use anyhow::Context;

use crate::cli::admin::{self, Holder};
use crate::cli::args::RotateKeys;
use crate::cli::exit::Exit;
use crate::cli::{open, output};
use crate::config::Settings;
use crate::engine::Engine;
use crate::partition::{Pace, Rotated};

pub(super) fn run(verb: &RotateKeys, settings: &Settings) -> anyhow::Result<Exit> {
    match admin::holder(settings, open::existing_engine)? {
        Holder::Own(engine) => carry_out(verb, &engine, &Pace::unlimited()),
        Holder::Service(service) => service.run(None),
    }
}

/// Writes galleries anew with other keys, at this pace.
pub(in crate::cli) fn carry_out(
    verb: &RotateKeys,
    engine: &Engine,
    pace: &Pace,
) -> anyhow::Result<Exit> {
    let only = verb.partition.as_ref();
    if let Some(id) = only
        && !engine.partitions()?.contains(id)
    {
        anyhow::bail!(open::no_gallery(id));
    }
    let rotated = engine.store().rotate_keys(only, pace);
    let rotated = rotated.with_context(|| match engine.store().is_changing_keys() {
        true => {
            "not all is written anew with other keys yet: run this again when the cause is gone"
        }
        false => "nothing has got another key",
    })?;
    match verb.json {
        true => output::json_line(&rotated)?,
        false => say(&rotated),
    }
    Ok(Exit::Success)
}

fn say(rotated: &Rotated) {
    let galleries = output::count(rotated.partitions, "gallery", "galleries");
    let segments = output::count(rotated.segments, "segment", "segments");
    let catalog = match rotated.catalog {
        true => " and the catalog",
        false => "",
    };
    output::say!(
        "wrote {galleries} ({segments}){catalog} anew with other keys; those before are destroyed"
    );
    if !rotated.overwritten {
        output::say!("old files are still being read by another process, and go when it is done");
    }
}
