//! `vultus people`: people, not numbers.

mod suggest;

use super::args::People;
use super::exit::Exit;
use crate::config::Settings;

pub(super) fn run(verb: &People, settings: &Settings) -> anyhow::Result<Exit> {
    match verb {
        People::Suggest(verb) => suggest::run(verb, settings),
    }
}
