//! `vultus gallery snapshot`

use anyhow::Context;

use crate::cli::args::Snapshot;
use crate::cli::exit::Exit;
use crate::cli::output;
use crate::config::Settings;
use crate::partition::{Store, StoreError};
use crate::types::Clock;

pub(super) fn run(verb: &Snapshot, settings: &Settings) -> anyhow::Result<Exit> {
    let directory = &settings.data_dir;
    let store = match Store::open_read_only(directory) {
        // A crash left it so, and nobody is using it: opening it mends it.
        Err(StoreError::NotClosed { .. }) => Store::open_existing(directory),
        store => store,
    };
    let store = store.with_context(|| format!("opening `{}`", directory.display()))?;
    let bar = output::byte_progress("copying");
    let now = Clock::System.now();
    let manifest = store.snapshot_to(&verb.to, verb.overwrite, now, &mut output::advance(&bar));
    bar.finish_and_clear();
    let manifest = manifest?;
    if verb.json {
        output::json_line(&manifest)?;
    } else {
        let templates = manifest.templates();
        let galleries = manifest.partitions.len();
        let path = verb.to.display();
        eprintln!("copied {templates} templates in {galleries} galleries to `{path}`");
    }
    Ok(Exit::Success)
}
