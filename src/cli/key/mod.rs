//! `vultus key`: one file for each verb.

mod create;
mod list;
mod revoke;
mod rotate;

use super::args::Key;
use super::exit::Exit;
use crate::access::{ApiKeys, ServerKey};
use crate::config::Settings;
use crate::engine::Engine;

pub(super) fn run(verb: &Key, settings: &Settings) -> anyhow::Result<Exit> {
    match verb {
        Key::Rotate(verb) => rotate::run(verb, settings),
        Key::Create(verb) => create::run(verb, settings),
        Key::List(verb) => list::run(verb, settings),
        Key::Revoke(verb) => revoke::run(verb, settings),
    }
}

fn keys_of(engine: &Engine) -> anyhow::Result<ApiKeys> {
    let store = engine.store();
    let key = ServerKey::open_or_create(store.directory(), &mut rand::rng())?;
    Ok(ApiKeys::new(store.clone(), &key))
}
