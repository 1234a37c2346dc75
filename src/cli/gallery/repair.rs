//! `vultus gallery repair`

use std::path::Path;

use anyhow::{Context, bail, ensure};
use tempfile::TempDir;

use crate::cli::admin::{self, Holder};
use crate::cli::args::Repair;
use crate::cli::exit::Exit;
use crate::cli::{audit, master_key, open, output};
use crate::config::{KeySource, Settings};
use crate::engine::Engine;
use crate::partition::{
    Keys, RepairedSegment, Store, StoreError, is_sealed_archive, restore_archive_with,
};
use crate::secrets::KeyError;
use crate::types::Clock;

/// More classes than this are not listed for people.
const CLASSES_SHOWN_MAX: usize = 20;

pub(super) fn run(verb: &Repair, settings: &Settings) -> anyhow::Result<Exit> {
    if verb.from_segments {
        return rebuild(verb, settings);
    }
    if verb.accept_catalog {
        return accept_catalog(verb, settings);
    }
    match admin::holder(settings, open::existing_engine)? {
        Holder::Own(engine) => carry_out(verb, &engine, Path::new("")),
        Holder::Service(service) => service.run(None),
    }
}

/// Mends segments. Where a snapshot is to be found is said as seen from `directory`, by whoever typed it.
///
/// # Errors
///
/// Also if it is asked for what needs a data directory that nobody has open.
pub(in crate::cli) fn carry_out(
    verb: &Repair,
    engine: &Engine,
    directory: &Path,
) -> anyhow::Result<Exit> {
    if verb.from_segments || verb.accept_catalog {
        bail!("the catalog cannot be replaced while the service has it open: stop it first");
    }
    let only = verb.partition.as_ref();
    if let Some(id) = only
        && !engine.partitions()?.contains(id)
    {
        bail!(open::no_gallery(id));
    }
    let unpacked = match &verb.from {
        Some(archive) => {
            let archive = directory.join(archive);
            ensure!(
                verb.accept_plain || !engine.store().is_encrypted() || is_sealed_archive(&archive)?,
                "the data directory is encrypted, but the snapshot `{}` is not: whoever could write to where it \
                 lay may have made it; --accept-plain takes it all the same",
                archive.display()
            );
            let keys = keys_of_snapshot(verb, engine, directory)?;
            Some(unpack(&archive, engine.store().directory(), &keys)?)
        }
        None => None,
    };
    let snapshot = unpacked.as_ref().map(|(_, store)| store);
    let repaired = engine.store().repair(only, snapshot, verb.accept_loss)?;
    for segment in &repaired {
        if verb.json {
            output::json_line(segment)?;
        } else {
            output::line(describe(segment))?;
        }
    }
    if repaired.is_empty() {
        output::say!("nothing is damaged");
    }
    if let Some((directory, _store)) = unpacked {
        let closed = directory.close();
        closed.context("cannot remove the directory of the snapshot")?;
    }
    Ok(match repaired.iter().all(|segment| segment.mended) {
        true => Exit::Success,
        false => Exit::No,
    })
}

/// Makes the catalog of what segments say.
fn rebuild(verb: &Repair, settings: &Settings) -> anyhow::Result<Exit> {
    let names = verb.names.iter().cloned().collect();
    let keys = master_key::keys(settings)?;
    let rebuilt = Store::rebuild(&settings.data_dir, &names, Clock::System.now(), &keys)?;
    for gallery in &rebuilt.partitions {
        if verb.json {
            output::json_line(gallery)?;
        } else {
            output::line(format!(
                "{}: {} templates of `{}` in {} segments, {} rows that were there twice",
                gallery.partition,
                gallery.templates,
                gallery.encoder,
                gallery.segments,
                gallery.duplicates
            ))?;
        }
    }
    for path in &rebuilt.left_alone {
        match rebuilt.in_the_way.contains(path) {
            true => output::tell!(
                "`{path}` is a segment of something else, and was left alone: move it away, since until then \
                 the data directory is not opened"
            ),
            false => {
                output::tell!("`{path}` is no whole segment of its folder, and was left alone");
            }
        }
    }
    output::tell!(
        "lost with the catalog are templates that were not sealed, names and all else that is known of \
         people, apps, keys and imports under way; people who were removed lately may be back: see to them, and run `vultus gallery verify`"
    );
    // Before it nobody could open the data directory.
    audit::ends(settings, &keys)?;
    Ok(match rebuilt.in_the_way.is_empty() {
        true => Exit::Success,
        false => Exit::No,
    })
}

/// Takes the catalog for the last one.
fn accept_catalog(verb: &Repair, settings: &Settings) -> anyhow::Result<Exit> {
    let keys = master_key::keys(settings)?;
    let accepted = Store::accept_catalog(&settings.data_dir, &keys)?;
    if accepted.is_news() {
        // Before it nobody could open the data directory.
        audit::ends(settings, &keys)?;
    }
    if verb.json {
        output::json_line(&accepted)?;
    } else if !accepted.is_news() {
        output::say!("the catalog is the last one that is known: nothing was changed");
    } else if let Some(expected) = accepted.changes_expected {
        let missing = expected.saturating_sub(accepted.changes);
        let missing = usize::try_from(missing).unwrap_or(usize::MAX);
        let missing = output::count(missing, "change", "changes");
        output::say!("the catalog is taken for the last one: the last {missing} are lost");
    } else if accepted.left_out {
        output::say!("the catalog is taken without its last change, which is not whole");
    } else {
        output::say!("the catalog is taken for the last one of this data directory");
    }
    if accepted.is_news() {
        output::tell!(
            "people who were enrolled since may be missing, and people who were removed may be back; \
             see to them, and run `vultus gallery verify`"
        );
    }
    Ok(Exit::Success)
}

fn describe(segment: &RepairedSegment) -> String {
    let RepairedSegment {
        partition,
        file,
        from_segment,
        from_snapshot,
        lost,
        lost_classes,
        mended,
        kept,
    } = segment;
    let found = format!(
        "{partition}: `{file}`: {from_segment} templates are whole, {from_snapshot} came from the snapshot, {lost} are lost"
    );
    let shown = lost_classes.iter().take(CLASSES_SHOWN_MAX);
    let classes: Vec<String> = shown.map(i64::to_string).collect();
    let lost = match lost_classes.len() {
        0 => found,
        count if count > CLASSES_SHOWN_MAX => format!(
            "{found}, of {count} classes (--json lists all): {} ...",
            classes.join(", ")
        ),
        _ => format!("{found}, of classes {}", classes.join(", ")),
    };
    match (mended, kept) {
        (true, true) => format!("{lost}; mended, and the damaged file kept as `{file}.damaged`"),
        (true, false) => format!("{lost}; mended, and there was no file to keep"),
        (false, _) => format!(
            "{lost}; left as it is: give a snapshot with --from, or go on without them with --accept-loss"
        ),
    }
}

/// What the snapshot is opened with. A service has variables and credentials of its own, and is not to run
/// what somebody types: it reads a file.
fn keys_of_snapshot(verb: &Repair, engine: &Engine, directory: &Path) -> anyhow::Result<Keys> {
    let mut keys = engine.store().keys();
    let Some(text) = &verb.from_master_key else {
        return Ok(keys);
    };
    let source: KeySource = text.parse().context("`--from-master-key`")?;
    let source = match source {
        KeySource::File(path) => KeySource::File(directory.join(path)),
        source if directory.as_os_str().is_empty() => source,
        _ => bail!(
            "`--from-master-key`: the service reads the snapshot, and a key for it from a file alone: give it as \
             `file:PATH`, or stop the service first"
        ),
    };
    keys.master = Some(master_key::from(&source)?);
    Ok(keys)
}

/// Unpacks a snapshot beside the data directory, where there is room for as much again.
fn unpack(archive: &Path, data: &Path, keys: &Keys) -> anyhow::Result<(TempDir, Store)> {
    let parent = data
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let directory = tempfile::Builder::new()
        .prefix("vultus-repair-")
        .tempdir_in(parent.unwrap_or(Path::new(".")))
        .context("cannot create a directory for the snapshot")?;
    let target = directory.path().join("data");
    let bar = output::byte_progress("reading the snapshot");
    let restored = restore_archive_with(archive, &target, keys, &mut output::advance(&bar));
    bar.finish_and_clear();
    let hint = match &restored {
        Err(StoreError::Keys { cause, .. }) if *cause == KeyError::WrongMasterKey => {
            ", with --from-master-key if it was made before the master key was changed"
        }
        _ => "",
    };
    restored.with_context(|| format!("reading the snapshot `{}`{hint}", archive.display()))?;
    let store = Store::open_read_only_with(&target, keys)?;
    Ok((directory, store))
}
