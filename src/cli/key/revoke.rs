//! `vultus key revoke`

use anyhow::bail;

use crate::cli::admin::{self, Holder};
use crate::cli::args::RevokeKey;
use crate::cli::exit::Exit;
use crate::cli::{open, output};
use crate::config::Settings;
use crate::engine::Engine;

pub(super) fn run(verb: &RevokeKey, settings: &Settings) -> anyhow::Result<Exit> {
    match admin::holder(settings, open::existing_engine)? {
        Holder::Own(engine) => carry_out(verb, &engine),
        Holder::Service(service) => service.run(None),
    }
}

/// Revokes the key. The next call with it is refused.
pub(in crate::cli) fn carry_out(verb: &RevokeKey, engine: &Engine) -> anyhow::Result<Exit> {
    let id = verb.id;
    if !super::known_keys_of(engine).revoke(id)? {
        bail!("there is no key `{id}`: `vultus key list` shows them");
    }
    output::say!("revoked key {id}");
    Ok(Exit::Success)
}
