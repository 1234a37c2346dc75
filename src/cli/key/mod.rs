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

/// To make keys with.
fn keys_of(engine: &Engine) -> anyhow::Result<ApiKeys> {
    let store = engine.store();
    let key = ServerKey::of_store(store, &mut rand::rng())?;
    Ok(ApiKeys::new(store.clone(), &key))
}

/// To list and to revoke: nothing is hashed, and where the server key is lost this is the way out.
fn known_keys_of(engine: &Engine) -> ApiKeys {
    ApiKeys::new(engine.store().clone(), &ServerKey::random(&mut rand::rng()))
}
