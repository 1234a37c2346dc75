//! `vultus gallery encrypt`

use anyhow::{Context, ensure};

use crate::cli::args::Encrypt;
use crate::cli::exit::Exit;
use crate::cli::{admin, audit, master_key, output, watched};
use crate::config::Settings;
use crate::engine::Engine;
use crate::partition::{Encrypted, Encryption, Keys, Pace, Store, StoreError};
use crate::secrets::KeyError;

pub(super) fn run(verb: &Encrypt, settings: &Settings) -> anyhow::Result<Exit> {
    let keys = master_key::keys(settings)?;
    if let Some(service) = admin::service(settings)? {
        // The key itself stays here: the service has its own, and could not be started again with another.
        return service.run(keys.master.map(|master| master.mark().to_string()));
    }
    let accounted = audit::begins(settings, &keys);
    // Nobody but the next try opens what was broken off between its keys and its catalog.
    let is_late = accounted.as_ref().is_err_and(is_broken_off);
    if !is_late {
        accounted?;
    }
    let (data, pace) = (&settings.data_dir, Pace::unlimited());
    let bytes = Store::open_read_only_with(data, &keys).and_then(|store| store.bytes_to_encrypt());
    // What it is not known of is shown without an end; why it cannot be read, the encryption itself says.
    let work = || Store::encrypt(data, &keys, &pace);
    let encrypted = watched::watched("encrypting", bytes.unwrap_or(0), &pace, work);
    let encrypted = encrypted.map_err(|error| match is_partly(settings, &keys) {
        true => anyhow::Error::from(error)
            .context("not all is encrypted yet: run this again when the cause is gone"),
        false => error.into(),
    })?;
    if is_late {
        audit::ends(settings, &keys)?;
    }
    tell(verb, &encrypted, &settings.data_dir.display().to_string())
}

/// Whether some of a data directory is encrypted, and not all.
fn is_partly(settings: &Settings, keys: &Keys) -> bool {
    let store = Store::open_read_only_with(&settings.data_dir, keys);
    let encryption = store.and_then(|store| store.encryption());
    matches!(encryption, Ok(Encryption::Partly))
}

/// Whether a data directory has keys, and a catalog that is not encrypted.
fn is_broken_off(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let cause = cause.downcast_ref::<StoreError>();
        matches!(cause, Some(StoreError::Keys { cause, .. }) if *cause == KeyError::NotEncrypted)
    })
}

/// Encrypts the data directory of a service, at this pace. `mark` is that of the master key that whoever typed the
/// command was given, if it was.
///
/// # Errors
///
/// If the service has no master key or another one, or as [`Store::encrypt_open`].
pub(in crate::cli) fn carry_out(
    verb: &Encrypt,
    mark: Option<&str>,
    engine: &Engine,
    pace: &Pace,
) -> anyhow::Result<Exit> {
    let store = engine.store();
    let master = store.keys().master.context(
        "the service has no master key, and could not open what is encrypted: set `master-key` for it, restart \
         it, and run this again",
    )?;
    ensure!(
        mark.is_none_or(|mark| mark == master.mark().to_string()),
        "the service has another master key than this command: give this command that one, or none",
    );
    let bytes = store.bytes_to_encrypt()?;
    let encrypted = watched::watched("encrypting", bytes, pace, || store.encrypt_open(pace));
    let encrypted = encrypted.with_context(|| match store.encryption() {
        Ok(Encryption::Off) => "nothing is encrypted",
        _ => {
            "not all is encrypted yet: the service goes on with it by itself when the cause is gone"
        }
    })?;
    tell(verb, &encrypted, &store.directory().display().to_string())
}

fn tell(verb: &Encrypt, encrypted: &Encrypted, directory: &str) -> anyhow::Result<Exit> {
    if verb.json {
        output::json_line(encrypted)?;
        return Ok(Exit::Success);
    }
    let segments = output::count(encrypted.segments, "segment", "segments");
    match encrypted.catalog || encrypted.segments > 0 {
        true => output::say!("`{directory}` is encrypted; wrote {segments} anew"),
        false => output::say!("`{directory}` is encrypted already: left as it is"),
    }
    if !encrypted.overwritten {
        output::say!("plain files are still being read by another process, and go when it is done");
    }
    Ok(Exit::Success)
}
