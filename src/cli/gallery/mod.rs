//! `vultus gallery`: one file for each thing that can be done with galleries.

mod duplicates;
mod import;
mod info;
mod restore;
mod snapshot;

use super::args::Gallery;
use super::exit::Exit;
use crate::config::Settings;

pub(super) fn run(verb: &Gallery, settings: &Settings) -> anyhow::Result<Exit> {
    match verb {
        Gallery::Import(verb) => import::run(verb, settings),
        Gallery::Info(verb) => info::run(verb, settings),
        Gallery::Duplicates(verb) => duplicates::run(verb, settings),
        Gallery::Snapshot(verb) => snapshot::run(verb, settings),
        Gallery::Restore(verb) => restore::run(verb, settings),
    }
}
