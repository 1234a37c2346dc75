//! `vultus people`: who is enrolled, by name.
//!
//! `whom` finds the person that somebody names, `row` is what a person is in files and in JSON. Names
//! are in answers alone: whatever is wrong is told by number, since a service writes it into its log.

mod change;
mod expire;
mod file;
mod list;
mod portraits;
mod row;
mod suggest;
mod whom;

pub(super) use self::change::carry_out as change;
pub(super) use self::expire::carry_out as expire;
use super::args::People;
use super::exit::Exit;
use crate::config::Settings;

pub(super) fn run(verb: &People, settings: &Settings) -> anyhow::Result<Exit> {
    match verb {
        People::List(verb) => list::run(verb, settings),
        People::Show(verb) => list::show(verb, settings),
        People::Export(verb) => file::export(verb, settings),
        People::Expire(verb) => expire::run(verb, settings),
        People::Suggest(verb) => suggest::run(verb, settings),
        People::Import(import) => change::run(verb, file::text(import)?, settings),
        People::Rename(_) | People::Merge(_) | People::Remove(_) | People::RemovePortraits(_) => {
            change::run(verb, None, settings)
        }
    }
}
