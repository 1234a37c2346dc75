//! `vultus key create`

use std::time::Duration;

use crate::access::{ApiKey, ApiKeys, NewApiKey, Reach};
use crate::cli::admin::{self, Context, Holder};
use crate::cli::args::CreateKey;
use crate::cli::exit::Exit;
use crate::cli::{open, output};
use crate::config::Settings;
use crate::types::{Clock, PartitionId};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) fn run(verb: &CreateKey, settings: &Settings) -> anyhow::Result<Exit> {
    match admin::holder(settings, open::engine)? {
        Holder::Own(engine) => carry_out(verb, &Context::of(*engine)?),
        Holder::Service(service) => service.run(None),
    }
}

/// Creates the key.
pub(in crate::cli) fn carry_out(verb: &CreateKey, context: &Context) -> anyhow::Result<Exit> {
    let keys = ApiKeys::new(context.engine.store().clone(), &context.key);
    let now = Clock::System.now();
    let new = NewApiKey {
        name: verb.name.clone(),
        scopes: verb.scopes.iter().copied().collect(),
        reach: reach(verb),
        expires: verb.days.map(|days| now.after(DAY * days)),
    };
    let (key, secret) = keys.create(&new, now, &mut rand::rng())?;
    if verb.json {
        let mut line = describe(&key);
        line["key"] = secret.expose().into();
        output::json_line(&line)?;
    } else {
        output::line(format!("Id   {}", key.id))?;
        output::line(format!("Key  {}", secret.expose()))?;
        output::say!("keep the key now: only its hash is stored, and it cannot be shown again");
    }
    Ok(Exit::Success)
}

/// A key as JSON, without its secret.
pub(super) fn describe(key: &ApiKey) -> serde_json::Value {
    let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.as_str()).collect();
    serde_json::json!({
        "id": key.id.to_string(),
        "name": key.name,
        "scopes": scopes,
        "reach": key.reach.to_string(),
        "created_unix_milliseconds": key.created.unix_milliseconds,
        "expires_unix_milliseconds": key.expires.map(|expires| expires.unix_milliseconds),
    })
}

fn reach(verb: &CreateKey) -> Reach {
    match (&verb.reach.storage, verb.partition) {
        (None, _) => Reach::Everything,
        (Some(storage), None) => Reach::Storage(storage.clone()),
        (Some(storage), Some(number)) => {
            Reach::Partition(PartitionId::new(storage.clone(), number))
        }
    }
}
