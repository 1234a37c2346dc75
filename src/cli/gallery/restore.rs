//! `vultus gallery restore`

use anyhow::ensure;

use crate::cli::args::Restore;
use crate::cli::exit::Exit;
use crate::cli::{master_key, output};
use crate::config::Settings;
use crate::partition::{is_sealed_archive, restore_archive_with, verify_archive_with};

pub(super) fn run(verb: &Restore, settings: &Settings) -> anyhow::Result<Exit> {
    let keys = master_key::keys(settings)?;
    ensure!(
        !keys.encrypt_new || verb.accept_plain || is_sealed_archive(&verb.from)?,
        "encryption is on, but the snapshot `{}` is not encrypted: whoever could write to where it lay may have \
         made it; --accept-plain takes it all the same",
        verb.from.display()
    );
    let bar = output::byte_progress(if verb.check { "verifying" } else { "restoring" });
    let mut progress = output::advance(&bar);
    let manifest = if verb.check {
        verify_archive_with(&verb.from, &keys, &mut progress)
    } else {
        restore_archive_with(&verb.from, &settings.data_dir, &keys, &mut progress)
    };
    bar.finish_and_clear();
    let manifest = manifest?;
    if verb.json {
        output::json_line(&manifest)?;
        return Ok(Exit::Success);
    }
    let templates = output::count(manifest.templates() as usize, "template", "templates");
    let galleries = output::count(manifest.partitions.len(), "gallery", "galleries");
    let found = format!("{templates} of {galleries}");
    if verb.check {
        output::say!("`{}` is whole: {found}", verb.from.display());
    } else {
        output::say!("restored {found} to `{}`", settings.data_dir.display());
    }
    Ok(Exit::Success)
}
