//! `vultus gallery encrypt`

use anyhow::ensure;
use serde::Serialize;

use crate::cli::args::Encrypt;
use crate::cli::exit::Exit;
use crate::cli::{admin, master_key, output};
use crate::config::Settings;
use crate::partition::{Pace, Store};

#[derive(Serialize)]
struct Encrypted {
    segments: usize,
}

pub(super) fn run(verb: &Encrypt, settings: &Settings) -> anyhow::Result<Exit> {
    ensure!(
        admin::service(settings)?.is_none(),
        "a service has `{}` open, which is encrypted as a whole, its catalog first: stop the service, run this again, \
         and start it with the same `master-key`",
        settings.data_dir.display()
    );
    let keys = master_key::keys(settings)?;
    let segments = Store::encrypt(&settings.data_dir, &keys, &Pace::unlimited())?;
    if verb.json {
        output::json_line(&Encrypted { segments })?;
    } else {
        let segments = output::count(segments, "segment", "segments");
        output::say!(
            "`{}` is encrypted; wrote {segments} anew",
            settings.data_dir.display()
        );
    }
    Ok(Exit::Success)
}
