//! `vultus app`

use anyhow::bail;

use super::args::App as Verb;
use super::exit::Exit;
use super::{open, output};
use crate::access::{App, Apps, ServerKey};
use crate::config::Settings;
use crate::types::Clock;

pub(super) fn run(verb: &Verb, settings: &Settings) -> anyhow::Result<Exit> {
    let engine = match verb {
        Verb::Create { .. } => open::engine(settings)?,
        Verb::List { .. } | Verb::Remove { .. } => open::existing_engine(settings)?,
    };
    let mut random = rand::rng();
    let key = match verb {
        Verb::Create { .. } => ServerKey::of_store(engine.store(), &mut random)?,
        // Nothing is hashed, and where the key is lost this is the way out.
        Verb::List { .. } | Verb::Remove { .. } => ServerKey::random(&mut random),
    };
    let apps = Apps::new(engine.store().clone(), &key);
    match verb {
        Verb::Create {
            name,
            storage,
            partition,
            json,
        } => {
            let now = Clock::System.now();
            let (app, secret) = apps.create(name, storage.clone(), *partition, now, &mut random)?;
            if *json {
                output::json_line(&serde_json::json!({
                    "id": app.id.to_string(), "secret": secret.expose(),
                    "storage": app.storage.as_str(), "partition": app.partition,
                }))?;
            } else {
                output::line(format!("App-ID      {}", app.id))?;
                output::line(format!("App-Secret  {}", secret.expose()))?;
                output::say!(
                    "keep the secret now: only its hash is stored, and it cannot be shown again"
                );
            }
        }
        Verb::List { json } => list(&apps.list()?, *json)?,
        Verb::Remove { id } => {
            let removed = match id.parse() {
                Ok(id) => apps.remove(id)?,
                Err(_) => false,
            };
            if !removed {
                bail!("there is no app `{id}`: `vultus app list` shows them");
            }
            output::say!("removed app {id}");
        }
    }
    Ok(Exit::Success)
}

fn list(apps: &[App], json: bool) -> anyhow::Result<()> {
    let mut table = output::table(&["App-ID", "name", "storage", "partition"]);
    for app in apps {
        if json {
            output::json_line(&serde_json::json!({
                "id": app.id.to_string(), "name": app.name,
                "storage": app.storage.as_str(), "partition": app.partition,
            }))?;
            continue;
        }
        let partition = app
            .partition
            .map_or("all".to_owned(), |partition| partition.to_string());
        table.add_row([
            app.id.to_string(),
            app.name.clone(),
            app.storage.to_string(),
            partition,
        ]);
    }
    if !json {
        output::line(table.to_string())?;
    }
    Ok(())
}
