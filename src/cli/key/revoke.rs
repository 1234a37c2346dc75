//! `vultus key revoke`

use anyhow::bail;

use crate::cli::args::RevokeKey;
use crate::cli::exit::Exit;
use crate::cli::{open, output};
use crate::config::Settings;

pub(super) fn run(verb: &RevokeKey, settings: &Settings) -> anyhow::Result<Exit> {
    let engine = open::existing_engine(settings)?;
    let id = verb.id;
    if !super::known_keys_of(&engine).revoke(id)? {
        bail!("there is no key `{id}`: `vultus key list` shows them");
    }
    output::say!("revoked key {id}");
    Ok(Exit::Success)
}
