//! `vultus app`

use std::io::{self, Read};

use anyhow::{Context as _, bail};

use super::admin::{self, Context, Holder};
use super::args::App as Verb;
use super::exit::Exit;
use super::{open, output};
use crate::access::{App, AppSecret, Apps, ServerKey};
use crate::config::Settings;
use crate::engine::Engine;
use crate::types::Clock;

pub(super) fn run(verb: &Verb, settings: &Settings) -> anyhow::Result<Exit> {
    match verb {
        Verb::List { json } => {
            let engine = open::reading_engine(settings)?;
            list(&known_apps_of(&engine).list()?, *json)?;
            Ok(Exit::Success)
        }
        Verb::Create { secret_stdin, .. } => {
            let input = match secret_stdin {
                true => Some(read_secret()?),
                false => None,
            };
            match admin::holder(settings, open::engine)? {
                Holder::Own(engine) => carry_out(verb, input.as_deref(), &Context::of(*engine)?),
                Holder::Service(service) => service.run(input),
            }
        }
        Verb::Remove { id } => match admin::holder(settings, open::existing_engine)? {
            Holder::Own(engine) => remove(id, &engine),
            Holder::Service(service) => service.run(None),
        },
    }
}

/// Creates or removes an app. `input` is what is read from stdin.
pub(super) fn carry_out(
    verb: &Verb,
    input: Option<&str>,
    context: &Context,
) -> anyhow::Result<Exit> {
    let Context { engine, key, .. } = context;
    let apps = Apps::new(engine.store().clone(), key);
    match verb {
        Verb::List { json } => list(&apps.list()?, *json)?,
        Verb::Remove { id } => return remove(id, engine),
        Verb::Create {
            name,
            storage,
            partition,
            id,
            json,
            ..
        } => {
            let (now, mut random) = (Clock::System.now(), rand::rng());
            let namesakes = namesakes(&apps, name);
            if let Some(id) = id {
                let app = App {
                    id: id.clone(),
                    name: name.clone(),
                    storage: storage.clone(),
                    partition: *partition,
                    created: now,
                };
                let secret = input.context("there is no secret on stdin")?;
                apps.take_over(&app, &AppSecret::known(secret)?)?;
                tell_of(&namesakes);
                return taken_over(&app, *json);
            }
            let (app, secret) = apps.create(name, storage.clone(), *partition, now, &mut random)?;
            tell_of(&namesakes);
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
    }
    Ok(Exit::Success)
}

/// Apps that people call the same: somebody may create one twice. Entries that are damaged are told of by
/// whatever needs them.
fn namesakes(apps: &Apps, name: &str) -> Vec<App> {
    let mut apps = apps.list().unwrap_or_default();
    apps.retain(|app| app.name == name);
    apps
}

fn tell_of(namesakes: &[App]) {
    if let Some(first) = namesakes.first() {
        output::say!(
            "there is another app of this name, {}: `vultus app remove` takes away the one that nobody needs",
            first.id
        );
    }
}

/// Reads the secret that an app has already, and no more than one can have.
fn read_secret() -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    let most = 4 * (AppSecret::LENGTH_MAX as u64 + 2);
    let read = io::stdin().lock().take(most).read_to_end(&mut bytes);
    read.context("reading the secret from stdin")?;
    // The bytes stay out of the error.
    let text = String::from_utf8(bytes).ok();
    let text = text.context("the secret on stdin is no text in UTF-8")?;
    AppSecret::known(&text)?;
    Ok(text)
}

fn taken_over(app: &App, json: bool) -> anyhow::Result<Exit> {
    if json {
        output::json_line(&serde_json::json!({
            "id": app.id.to_string(), "storage": app.storage.as_str(), "partition": app.partition,
        }))?;
    } else {
        output::line(format!("App-ID      {}", app.id))?;
        output::say!("the app keeps the secret that it has; only its hash is stored here");
    }
    Ok(Exit::Success)
}

fn remove(id: &str, engine: &Engine) -> anyhow::Result<Exit> {
    let removed = match id.parse() {
        Ok(id) => known_apps_of(engine).remove(&id)?,
        Err(_) => false,
    };
    if !removed {
        bail!("there is no app `{id}`: `vultus app list` shows them");
    }
    output::say!("removed app {id}");
    Ok(Exit::Success)
}

/// To list and to remove: nothing is hashed, and where the server key is lost this is the way out.
fn known_apps_of(engine: &Engine) -> Apps {
    Apps::new(engine.store().clone(), &ServerKey::random(&mut rand::rng()))
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
