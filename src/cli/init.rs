//! `vultus init`

use anyhow::ensure;
use serde::Serialize;

use super::args::Init;
use super::exit::Exit;
use super::{audit, master_key, output};
use crate::config::Settings;
use crate::partition::{Keys, Store};

#[derive(Serialize)]
struct Made {
    data_dir: String,
    made: bool,
    encrypted: bool,
}

pub(super) fn run(verb: &Init, settings: &Settings) -> anyhow::Result<Exit> {
    let data_dir = settings.data_dir.display().to_string();
    let mut keys = master_key::keys(settings)?;
    keys.encrypt_new |= verb.encrypt;
    ensure!(
        !keys.encrypt_new || keys.master.is_some(),
        "an encrypted data directory needs a master key: make one by \
         `umask 077; openssl rand -hex 32 > master.key`, keep a copy elsewhere, and name it by \
         `--master-key file:master.key` or the setting `master-key`"
    );
    let made = !Store::is_in(&settings.data_dir);
    let encrypted = is_encrypted_once_opened(settings, &keys, made)?;
    ensure!(
        encrypted || !keys.encrypt_new,
        "`{data_dir}` is a data directory that is not encrypted: `vultus gallery encrypt` encrypts it"
    );
    if made {
        // Where a log was put there before.
        audit::ends(settings, &keys)?;
    }
    if verb.json {
        output::json_line(&Made {
            data_dir,
            made,
            encrypted,
        })?;
        return Ok(Exit::Success);
    }
    let how = match encrypted {
        true => ", encrypted",
        false => "",
    };
    match made {
        true => output::say!("made the data directory `{data_dir}`{how}"),
        false => output::say!("`{data_dir}` is a data directory already{how}: left as it is"),
    }
    Ok(Exit::Success)
}

/// Opens the data directory, which is made if that is wanted, and tells whether it is encrypted. One
/// that is there is only read: a service may have it.
fn is_encrypted_once_opened(settings: &Settings, keys: &Keys, made: bool) -> anyhow::Result<bool> {
    let store = match made {
        true => Store::open_with(&settings.data_dir, keys)?,
        false => Store::open_read_only_with(&settings.data_dir, keys)?,
    };
    Ok(store.is_encrypted())
}
