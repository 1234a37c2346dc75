//! `vultus key rotate`

use std::path::Path;

use anyhow::Context;

use crate::access::{Retire, ServerKey};
use crate::cli::admin::{self, Context as AdminContext};
use crate::cli::args::RotateKey;
use crate::cli::exit::Exit;
use crate::cli::{audit, master_key, output};
use crate::config::Settings;
use crate::types::Clock;

pub(super) fn run(verb: &RotateKey, settings: &Settings) -> anyhow::Result<Exit> {
    // It follows at once, where it would else see within seconds that the file is another.
    if let Some(service) = admin::service(settings)? {
        return service.run(None);
    }
    // The file alone: another program may have the data directory, unless there is a log to be written.
    if audit::is_kept(settings) {
        audit::begins(settings, &master_key::keys(settings)?)?;
    }
    replace(verb, &settings.data_dir)?;
    say(verb);
    Ok(Exit::Success)
}

/// Replaces the key, and has the service go on with the new one before anybody is told.
pub(in crate::cli) fn carry_out(verb: &RotateKey, context: &AdminContext) -> anyhow::Result<Exit> {
    replace(verb, context.engine.store().directory())?;
    if let Some(service) = &context.service {
        let renewed = service.renew_key();
        renewed
            .context("the key for tokens is replaced, and the service goes on with the old one")?;
    }
    say(verb);
    Ok(Exit::Success)
}

fn replace(verb: &RotateKey, data: &Path) -> anyhow::Result<()> {
    let retire = if verb.forget {
        Retire::Forget
    } else {
        Retire::Keep
    };
    let now = Clock::System.now();
    let replaced = ServerKey::rotate(data, retire, now, &mut rand::rng());
    replaced.context("replacing the key for tokens")?;
    Ok(())
}

fn say(verb: &RotateKey) {
    output::say!(
        "replaced the key for tokens; those issued before {}",
        match verb.forget {
            false => "stay valid until they expire",
            true => "are worthless",
        }
    );
}
