//! `vultus key rotate`

use anyhow::Context;

use crate::access::{Retire, ServerKey};
use crate::cli::args::RotateKey;
use crate::cli::exit::Exit;
use crate::cli::output;
use crate::config::Settings;
use crate::types::Clock;

pub(super) fn run(verb: &RotateKey, settings: &Settings) -> anyhow::Result<Exit> {
    let retire = if verb.forget {
        Retire::Forget
    } else {
        Retire::Keep
    };
    let now = Clock::System.now();
    // The file alone: the data directory itself is not opened, so a service may have it.
    ServerKey::rotate(&settings.data_dir, retire, now, &mut rand::rng())
        .context("replacing the key for tokens")?;
    output::say!(
        "replaced the key for tokens; those issued before {}",
        match retire {
            Retire::Keep => "stay valid until they expire",
            Retire::Forget => "are worthless",
        }
    );
    Ok(Exit::Success)
}
