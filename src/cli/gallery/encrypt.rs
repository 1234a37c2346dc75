//! `vultus gallery encrypt`

use serde::Serialize;

use crate::cli::args::Encrypt;
use crate::cli::exit::Exit;
use crate::cli::{master_key, output};
use crate::config::Settings;
use crate::partition::{Pace, Store};

#[derive(Serialize)]
struct Encrypted {
    segments: usize,
}

pub(super) fn run(verb: &Encrypt, settings: &Settings) -> anyhow::Result<Exit> {
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
