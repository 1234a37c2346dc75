//! `vultus people expire`

use serde::Serialize;

use crate::audit::Receipt;
use crate::cli::admin::{self, Context, Holder};
use crate::cli::args::ExpirePeople;
use crate::cli::erasing::say_receipt;
use crate::cli::exit::Exit;
use crate::cli::people::row::shown_name;
use crate::cli::{open, output};
use crate::config::Settings;
use crate::engine::{Engine, Gallery};
use crate::partition::Pace;
use crate::types::{ClassId, Clock, PartitionId};

#[derive(Serialize)]
struct EndedPerson<'a> {
    partition: String,
    class: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    expires_unix_milliseconds: i64,
    deleted: bool,
}

#[derive(Serialize)]
struct DeletedPerson {
    partition: String,
    class: i64,
    deleted: bool,
    overwritten: bool,
    receipt: Option<Receipt>,
}

pub(super) fn run(verb: &ExpirePeople, settings: &Settings) -> anyhow::Result<Exit> {
    if verb.dry_run {
        return list(verb, &open::reading_engine(settings)?);
    }
    match admin::holder(settings, open::existing_engine)? {
        Holder::Own(engine) => carry_out(verb, &Context::of(*engine)?, &Pace::unlimited()),
        Holder::Service(service) => service.run(None),
    }
}

/// Lists them, and deletes nobody.
fn list(verb: &ExpirePeople, engine: &Engine) -> anyhow::Result<Exit> {
    let now = Clock::System.now();
    let mut table = output::table(&["name", "class", "until"]);
    let mut count = 0;
    for (id, gallery) in galleries(verb, engine)? {
        for (end, class) in gallery.ended(now)? {
            count += 1;
            let record = gallery.records(&[class])?.pop().unwrap_or_default();
            if verb.json {
                output::json_line(&EndedPerson {
                    partition: id.to_string(),
                    class: class.0,
                    name: record.name.as_ref().map(|name| name.as_str()),
                    expires_unix_milliseconds: end.unix_milliseconds,
                    deleted: false,
                })?;
            } else {
                let class = format!("{id}.{class}");
                table.add_row([shown_name(&record).to_owned(), class, end.to_string()]);
            }
        }
    }
    if count > 0 && !verb.json {
        output::line(table.to_string())?;
    }
    output::say!(
        "the time of {} is over",
        output::count(count, "person", "people")
    );
    Ok(Exit::Success)
}

/// Deletes them, at this pace.
pub(in crate::cli) fn carry_out(
    verb: &ExpirePeople,
    context: &Context,
    pace: &Pace,
) -> anyhow::Result<Exit> {
    let (engine, copies) = (&context.engine, context.copies_stay());
    let now = Clock::System.now();
    let (mut count, mut exit) = (0, Exit::Success);
    for (id, gallery) in galleries(verb, engine)? {
        let expired = engine.expire(&gallery, now, &mut rand::random, copies, pace)?;
        if !expired.overwritten {
            exit = Exit::No;
        }
        count += expired.classes.len();
        let receipts = expired.receipts.iter().map(|it| context.signed(it));
        let mut receipts = receipts.collect::<anyhow::Result<Vec<_>>>()?.into_iter();
        for ClassId(class) in expired.classes {
            let receipt = receipts.next();
            let overwritten = expired.overwritten;
            if verb.json {
                output::json_line(&DeletedPerson {
                    partition: id.to_string(),
                    class,
                    deleted: true,
                    overwritten,
                    receipt,
                })?;
                continue;
            }
            let bytes = match overwritten {
                true => "nothing of it is left here",
                false => {
                    "what was stored is still being read by another process: run `vultus gallery erase` when it is done"
                }
            };
            output::say!("class {class} of {id}: deleted; {bytes}");
            say_receipt(receipt.as_ref());
        }
    }
    output::say!("deleted {}", output::count(count, "person", "people"));
    Ok(exit)
}

fn galleries(verb: &ExpirePeople, engine: &Engine) -> anyhow::Result<Vec<(PartitionId, Gallery)>> {
    let ids = match &verb.partition {
        Some(partition) => vec![partition.clone()],
        None => engine.partitions()?,
    };
    ids.into_iter()
        .map(|id| Ok((id.clone(), open::gallery(engine, &id)?)))
        .collect()
}
