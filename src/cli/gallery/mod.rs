//! `vultus gallery`: one file for each thing that can be done with galleries.

mod change_master_key;
mod compact;
mod duplicates;
mod encrypt;
mod erase;
mod export;
mod import;
mod info;
mod list;
mod noticing;
mod picture_source;
mod remove;
mod repair;
mod restore;
mod rotate_keys;
mod snapshot;
mod verify;

pub(super) use self::compact::carry_out as compact;
pub(super) use self::encrypt::carry_out as encrypt;
pub(super) use self::erase::carry_out as erase;
pub(super) use self::remove::carry_out as remove;
pub(super) use self::repair::carry_out as repair;
pub(super) use self::rotate_keys::carry_out as rotate_keys;
use super::args::Gallery;
use super::exit::Exit;
use crate::config::Settings;

pub(super) fn run(verb: &Gallery, settings: &Settings) -> anyhow::Result<Exit> {
    match verb {
        Gallery::Import(verb) => import::run(verb, settings),
        Gallery::Export(verb) => export::run(verb, settings),
        Gallery::List(verb) => list::run(verb, settings),
        Gallery::Repair(verb) => repair::run(verb, settings),
        Gallery::Verify(verb) => verify::run(verb, settings),
        Gallery::Compact(verb) => compact::run(verb, settings),
        Gallery::Erase(verb) => erase::run(verb, settings),
        Gallery::Remove(verb) => remove::run(verb, settings),
        Gallery::Info(verb) => info::run(verb, settings),
        Gallery::Duplicates(verb) => duplicates::run(verb, settings),
        Gallery::Snapshot(verb) => snapshot::run(verb, settings),
        Gallery::Restore(verb) => restore::run(verb, settings),
        Gallery::Encrypt(verb) => encrypt::run(verb, settings),
        Gallery::ChangeMasterKey(verb) => change_master_key::run(verb, settings),
        Gallery::RotateKeys(verb) => rotate_keys::run(verb, settings),
    }
}
