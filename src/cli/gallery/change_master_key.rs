//! `vultus gallery change-master-key`

use anyhow::Context;

use crate::cli::args::ChangeMasterKey;
use crate::cli::exit::Exit;
use crate::cli::{master_key, output};
use crate::config::{KeySource, Settings};
use crate::partition::Store;

pub(super) fn run(verb: &ChangeMasterKey, settings: &Settings) -> anyhow::Result<Exit> {
    let keys = master_key::keys(settings)?;
    // Before anything is changed: a key that cannot be had again would open nothing.
    let source: KeySource = verb.to.parse().context("`--to`")?;
    let new = master_key::from(&source)?;
    Store::change_master_key(&settings.data_dir, &keys, &new)?;
    output::say!(
        "`{}` is opened by the key of `{}` from now on; set `master-key`",
        settings.data_dir.display(),
        source
    );
    Ok(Exit::Success)
}
