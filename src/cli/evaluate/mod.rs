//! `vultus evaluate`

mod encoder_profile;
mod facts;
mod identification;
mod liveness;
mod material;
mod places;
mod scratch;
mod telling;
mod verification;

pub(super) use encoder_profile::make as make_encoder_profile;

use super::args::Evaluate;
use super::exit::Exit;
use crate::config::Settings;

pub(super) fn run(verb: &Evaluate, settings: &Settings) -> anyhow::Result<Exit> {
    match verb {
        Evaluate::Identification(verb) => identification::run(verb, settings),
        Evaluate::Verification(verb) => verification::run(verb, settings),
        Evaluate::Liveness(verb) => liveness::run(verb, settings),
    }
}
