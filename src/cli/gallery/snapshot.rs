//! `vultus gallery snapshot`

use crate::cli::args::Snapshot;
use crate::cli::exit::Exit;
use crate::cli::{open, output};
use crate::config::Settings;
use crate::types::Clock;

pub(super) fn run(verb: &Snapshot, settings: &Settings) -> anyhow::Result<Exit> {
    let engine = open::reading_engine(settings)?;
    let store = engine.store();
    let bar = output::byte_progress("copying");
    let now = Clock::System.now();
    let manifest = store.snapshot_to(&verb.to, verb.overwrite, now, &mut output::advance(&bar));
    bar.finish_and_clear();
    let manifest = manifest?;
    if verb.json {
        output::json_line(&manifest)?;
    } else {
        let templates = manifest.templates();
        let galleries = output::count(manifest.partitions.len(), "gallery", "galleries");
        let path = verb.to.display();
        output::say!("copied {templates} templates of {galleries} to `{path}`");
    }
    Ok(Exit::Success)
}
