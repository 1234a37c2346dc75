//! `vultus gallery snapshot`

use std::path::Path;

use anyhow::bail;
use serde::Serialize;

use crate::access::ServerKey;
use crate::cli::args::Snapshot;
use crate::cli::exit::Exit;
use crate::cli::output::PathName;
use crate::cli::{open, output};
use crate::config::Settings;
use crate::partition::{Manifest, remove_drafts, snapshot_name};
use crate::types::Clock;

/// What was copied where.
#[derive(Serialize)]
struct Copied<'a> {
    #[serde(flatten)]
    manifest: &'a Manifest,
    #[serde(flatten)]
    file: PathName<'a>,
}

pub(super) fn run(verb: &Snapshot, settings: &Settings) -> anyhow::Result<Exit> {
    let now = Clock::System.now();
    let (to, folder) = match verb.to.is_dir() {
        true => (verb.to.join(snapshot_name(now)), Some(&*verb.to)),
        false => (verb.to.clone(), None),
    };
    let keep = settings.service.snapshot_keep;
    let is_named_as_file = verb.to.extension().is_some();
    if folder.is_none() && keep.is_some() && !is_named_as_file && !verb.to.exists() {
        bail!(
            "there is no folder `{}`, of which `snapshot-keep` speaks: make it, or name a file such as \
             `vultus.tar.zst`",
            verb.to.display()
        );
    }
    let engine = open::reading_engine(settings)?;
    let store = engine.store();
    // Without its key a snapshot is not whole.
    ServerKey::good_for(store)?;
    if let Some(folder) = folder {
        remove_left(folder);
    }
    let bar = output::byte_progress("copying");
    let manifest = store.snapshot_to(&to, verb.overwrite, now, &mut output::advance(&bar));
    bar.finish_and_clear();
    let manifest = manifest?;
    let removed = match (folder, keep) {
        (Some(folder), Some(keep)) => {
            let mut own = store.own_snapshots(folder)?;
            own.made(snapshot_name(now));
            own.remove_oldest(keep, now)?
        }
        // It may be set for the service: a snapshot elsewhere is none of its folder.
        _ => 0,
    };
    if verb.json {
        output::json_line(&Copied {
            manifest: &manifest,
            file: PathName::new("file", &to),
        })?;
    } else {
        let templates = output::count(manifest.templates() as usize, "template", "templates");
        let galleries = output::count(manifest.partitions.len(), "gallery", "galleries");
        let path = to.display();
        output::say!("copied {templates} of {galleries} to `{path}`");
        if removed > 0 {
            let removed = output::count(removed, "older one", "older ones");
            output::say!("removed {removed}");
        }
    }
    Ok(Exit::Success)
}

/// Removes what commands that were killed left in a folder. One that cannot be removed harms nobody.
fn remove_left(folder: &Path) {
    match remove_drafts(folder) {
        Ok(0) => {}
        Ok(count) => {
            let files = output::count(count, "file", "files");
            output::say!("removed {files} that killed snapshots left");
        }
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "cannot remove what killed snapshots left");
        }
    }
}
