//! `vultus gallery snapshot`

use std::collections::BTreeSet;

use serde::Serialize;

use crate::cli::args::Snapshot;
use crate::cli::exit::Exit;
use crate::cli::output::PathName;
use crate::cli::{open, output};
use crate::config::Settings;
use crate::partition::{Manifest, remove_oldest, snapshot_name};
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
    let engine = open::reading_engine(settings)?;
    let store = engine.store();
    let bar = output::byte_progress("copying");
    let manifest = store.snapshot_to(&to, verb.overwrite, now, &mut output::advance(&bar));
    bar.finish_and_clear();
    let manifest = manifest?;
    let removed = match (folder, settings.service.snapshot_keep) {
        // All of it was compared with its checksums on the way.
        (Some(folder), Some(keep)) => {
            remove_oldest(folder, keep, &mut BTreeSet::from([snapshot_name(now)]))?
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
        let templates = manifest.templates();
        let galleries = output::count(manifest.partitions.len(), "gallery", "galleries");
        let path = to.display();
        output::say!("copied {templates} templates of {galleries} to `{path}`");
        if removed > 0 {
            let removed = output::count(removed, "older one", "older ones");
            output::say!("removed {removed}");
        }
    }
    Ok(Exit::Success)
}
