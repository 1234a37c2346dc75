//! `vultus gallery snapshot`

use serde::Serialize;

use crate::cli::args::Snapshot;
use crate::cli::exit::Exit;
use crate::cli::output::PathName;
use crate::cli::{open, output};
use crate::config::Settings;
use crate::partition::Manifest;
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
    let engine = open::reading_engine(settings)?;
    let store = engine.store();
    let bar = output::byte_progress("copying");
    let now = Clock::System.now();
    let manifest = store.snapshot_to(&verb.to, verb.overwrite, now, &mut output::advance(&bar));
    bar.finish_and_clear();
    let manifest = manifest?;
    if verb.json {
        output::json_line(&Copied {
            manifest: &manifest,
            file: PathName::new("file", &verb.to),
        })?;
    } else {
        let templates = manifest.templates();
        let galleries = output::count(manifest.partitions.len(), "gallery", "galleries");
        let path = verb.to.display();
        output::say!("copied {templates} templates of {galleries} to `{path}`");
    }
    Ok(Exit::Success)
}
