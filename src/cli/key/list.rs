//! `vultus key list`

use super::create::describe;
use crate::access::ApiKey;
use crate::cli::args::ListKeys;
use crate::cli::exit::Exit;
use crate::cli::{open, output};
use crate::config::Settings;
use crate::types::{Clock, Timestamp};

pub(super) fn run(verb: &ListKeys, settings: &Settings) -> anyhow::Result<Exit> {
    let engine = open::reading_engine(settings)?;
    let keys = super::known_keys_of(&engine).list()?;
    if verb.json {
        keys.iter()
            .try_for_each(|key| output::json_line(&describe(key)))?;
        return Ok(Exit::Success);
    }
    let now = Clock::System.now();
    let mut table = output::table(&["id", "name", "scopes", "reach", "valid"]);
    for key in &keys {
        let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.as_str()).collect();
        table.add_row([
            key.id.to_string(),
            key.name.clone(),
            scopes.join(", "),
            key.reach.to_string(),
            valid(key, now),
        ]);
    }
    output::line(table.to_string())?;
    Ok(Exit::Success)
}

fn valid(key: &ApiKey, now: Timestamp) -> String {
    match key.expires {
        None => "until revoked".to_owned(),
        Some(_) if key.is_expired(now) => "no longer".to_owned(),
        Some(expires) => {
            let hours = (expires.unix_seconds() - now.unix_seconds()) / 3600;
            format!("{} days {} hours", hours / 24, hours % 24)
        }
    }
}
