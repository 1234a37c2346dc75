//! `vultus gallery remove`

use anyhow::{Context as _, bail};
use serde::Serialize;

use crate::access::Decisions;
use crate::audit::Receipt;
use crate::cli::admin::{self, Context, Holder};
use crate::cli::args::RemoveGallery;
use crate::cli::erasing::{COPIES, say_receipt};
use crate::cli::exit::Exit;
use crate::cli::{open, output};
use crate::config::Settings;
use crate::engine::RemovalReceipt;
use crate::partition::{Pace, RemovedPartition};
use crate::types::{Clock, PartitionId};

#[derive(Serialize)]
struct Said {
    partition: String,
    /// Whether there was such a gallery.
    removed: bool,
    templates: u64,
    /// Whether its templates were encrypted with a key that is destroyed now.
    key_destroyed: bool,
    overwritten: bool,
    receipt: Option<Receipt>,
}

pub(super) fn run(verb: &RemoveGallery, settings: &Settings) -> anyhow::Result<Exit> {
    // Before anything is opened, or a service is asked.
    confirmed(verb)?;
    match admin::holder(settings, open::existing_engine)? {
        Holder::Own(engine) => carry_out(verb, &Context::of(*engine)?, &Pace::unlimited()),
        Holder::Service(service) => service.run(None),
    }
}

fn confirmed(verb: &RemoveGallery) -> anyhow::Result<()> {
    let id = &verb.partition;
    if verb.confirm != *id {
        bail!(
            "--confirm names `{}`, and --partition `{id}`: nothing was removed",
            verb.confirm
        );
    }
    Ok(())
}

/// Removes the gallery, and overwrites what is stored of it at this pace.
pub(in crate::cli) fn carry_out(
    verb: &RemoveGallery,
    context: &Context,
    pace: &Pace,
) -> anyhow::Result<Exit> {
    confirmed(verb)?;
    let id = &verb.partition;
    let removed = removed(id, context).with_context(|| {
        format!(
            "removing {id}: if it is in no answer any more, the rest is done when this is run again"
        )
    })?;
    let (removed, receipt) = removed.unzip();
    let overwritten = context
        .engine
        .overwrite(id, receipt, context.copies_stay(), pace);
    let (overwritten, receipt) = overwritten.with_context(|| {
        format!("{id} is in no answer any more, and what is stored of it is not overwritten yet: run this again when the cause is gone")
    })?;
    let receipt = receipt
        .map(|receipt| context.signed(&receipt))
        .transpose()?;
    let exit = match removed.is_some() && overwritten {
        true => Exit::Success,
        false => Exit::No,
    };
    let said = Said {
        partition: id.to_string(),
        removed: removed.is_some(),
        templates: removed.map_or(0, |it| it.templates),
        key_destroyed: removed.is_some_and(|it| it.was_encrypted),
        overwritten,
        receipt,
    };
    match verb.json {
        true => output::json_line(&said)?,
        false => say(id, &said),
    }
    Ok(exit)
}

fn removed(
    id: &PartitionId,
    context: &Context,
) -> anyhow::Result<Option<(RemovedPartition, RemovalReceipt)>> {
    if let Some(service) = &context.service {
        return Ok(service.remove_gallery(id)?);
    }
    let (engine, now) = (&context.engine, Clock::System.now());
    let removed = engine.remove_gallery(id, now, rand::random())?;
    Decisions::new(engine.store().clone()).forget(id)?;
    Ok(removed)
}

fn say(id: &PartitionId, said: &Said) {
    let templates = usize::try_from(said.templates).unwrap_or(usize::MAX);
    let templates = output::count(templates, "template", "templates");
    match (said.removed, said.key_destroyed) {
        (false, _) => output::say!("there is no gallery {id}"),
        (true, false) => output::say!("removed {id} with {templates}"),
        (true, true) => output::say!("removed {id} with {templates}; its key is destroyed"),
    }
    match said.overwritten {
        true => output::say!("nothing of it is left here"),
        false => output::say!(
            "what was stored is still being read by another process: run this again when it is done"
        ),
    }
    say_receipt(said.receipt.as_ref());
    output::say!("{COPIES}");
}
