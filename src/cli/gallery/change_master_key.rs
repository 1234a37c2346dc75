//! `vultus gallery change-master-key`

use anyhow::{Context, ensure};

use crate::cli::args::ChangeMasterKey;
use crate::cli::exit::Exit;
use crate::cli::{admin, audit, master_key, output};
use crate::config::{KeySource, Settings};
use crate::partition::Store;

pub(super) fn run(verb: &ChangeMasterKey, settings: &Settings) -> anyhow::Result<Exit> {
    ensure!(
        admin::service(settings)?.is_none(),
        "a service has `{}` open, and would write the keys with the master key that it has: stop the service, run \
         this again, and start it with the new `master-key`",
        settings.data_dir.display()
    );
    let keys = master_key::keys(settings)?;
    // Before anything is changed: a key that cannot be had again would open nothing.
    let source: KeySource = verb.to.parse().context("`--to`")?;
    let new = master_key::from(&source)?;
    audit::begins(settings, &keys)?;
    Store::change_master_key(&settings.data_dir, &keys, &new)?;
    output::say!(
        "`{}` is opened by the key of `{}` from now on; set `master-key`",
        settings.data_dir.display(),
        source
    );
    Ok(Exit::Success)
}
