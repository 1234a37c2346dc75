//! `vultus gallery restore`

use std::fs;

use crate::cli::args::Restore;
use crate::cli::exit::Exit;
use crate::cli::output;
use crate::config::Settings;
use crate::partition::{restore_archive, verify_archive};

pub(super) fn run(verb: &Restore, settings: &Settings) -> anyhow::Result<Exit> {
    // Templates hardly compress, so that the length of the file is about that of what is in it.
    let bytes = fs::metadata(&verb.from).map_or(0, |metadata| metadata.len());
    let bar = output::byte_progress(bytes, if verb.check { "verifying" } else { "restoring" });
    let mut progress = |bytes| bar.inc(bytes);
    let manifest = if verb.check {
        verify_archive(&verb.from, &mut progress)
    } else {
        restore_archive(&verb.from, &settings.data_dir, &mut progress)
    };
    bar.finish_and_clear();
    let manifest = manifest?;
    if verb.json {
        output::json_line(&manifest)?;
        return Ok(Exit::Success);
    }
    let templates: u64 = manifest.partitions.iter().map(|it| it.templates).sum();
    let found = format!(
        "{templates} templates in {} galleries",
        manifest.partitions.len()
    );
    if verb.check {
        eprintln!("`{}` is whole: {found}", verb.from.display());
    } else {
        eprintln!("restored {found} to `{}`", settings.data_dir.display());
    }
    Ok(Exit::Success)
}
