//! `vultus key`: one file for each verb.

mod create;
mod list;
mod revoke;
mod rotate;

pub(super) use self::create::carry_out as create;
pub(super) use self::revoke::carry_out as revoke;
pub(super) use self::rotate::carry_out as rotate;
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

/// To list and to revoke: nothing is hashed, and where the server key is lost this is the way out.
fn known_keys_of(engine: &Engine) -> ApiKeys {
    ApiKeys::new(engine.store().clone(), &ServerKey::random(&mut rand::rng()))
}
