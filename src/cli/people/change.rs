//! `vultus people rename`, `merge`, `remove`, `remove-portraits` and `import`: by this process, or by the service that has
//! the data directory.

use std::collections::HashSet;

use anyhow::bail;
use serde::Serialize;

use crate::audit::Receipt;
use crate::cli::admin::{self, Context, Holder};
use crate::cli::args::{ImportPeople, MergePeople, People, RemovePeople, RenamePerson};
use crate::cli::erasing::{COPIES, say_receipt};
use crate::cli::exit::Exit;
use crate::cli::people::file::{self, NumberedRow};
use crate::cli::people::portraits;
use crate::cli::people::whom::class_of;
use crate::cli::{open, output, parallel};
use crate::config::Settings;
use crate::engine::{Engine, Gallery};
use crate::partition::{Erased, Pace};
use crate::types::{Bcid, ClassId, Clock, RecordChange};

/// So many changes share a sync of the disk.
const TAKEN_AT_ONCE: usize = 64;
/// The most rows whose changes are made in any order.
const PIECE_ROWS_MAX: usize = 4096;

/// So many refusals are told one by one.
const TOLD_MAX: usize = 20;

#[derive(Serialize)]
struct RemovedPerson {
    class: i64,
    #[serde(flatten)]
    erased: Erased,
    receipt: Option<Receipt>,
}

pub(super) fn run(
    verb: &People,
    input: Option<String>,
    settings: &Settings,
) -> anyhow::Result<Exit> {
    match admin::holder(settings, open::existing_engine)? {
        Holder::Own(engine) => {
            let context = Context::of(*engine)?;
            carry_out(verb, input.as_deref(), &context, &Pace::unlimited())
        }
        Holder::Service(service) => service.run(input),
    }
}

/// Does it, at this pace.
pub(in crate::cli) fn carry_out(
    verb: &People,
    input: Option<&str>,
    context: &Context,
    pace: &Pace,
) -> anyhow::Result<Exit> {
    let engine = &context.engine;
    match verb {
        People::Rename(verb) => rename(verb, engine),
        People::Merge(verb) => merge(verb, context),
        People::Remove(verb) => remove(verb, context, pace),
        People::RemovePortraits(verb) => portraits::remove(verb, engine, pace),
        People::Import(verb) => import(verb, input, engine),
        _ => bail!("this is not done by a service"),
    }
}

fn rename(verb: &RenamePerson, engine: &Engine) -> anyhow::Result<Exit> {
    let gallery = open::gallery(engine, &verb.partition)?;
    let class = class_of(&gallery, &verb.person)?;
    let change = RecordChange {
        name: Some(Some(verb.name.parse()?)),
        ..RecordChange::default()
    };
    gallery.change_record(class, change)?;
    let others = gallery.named(&verb.name, 100)?.len() - 1;
    output::say!("class {class} of {} has another name now", verb.partition);
    if others > 0 {
        let others = output::count(others, "other person has", "other people have");
        output::say!("{others} the same name");
    }
    Ok(Exit::Success)
}

fn merge(verb: &MergePeople, context: &Context) -> anyhow::Result<Exit> {
    let engine = &context.engine;
    let gallery = open::gallery(engine, &verb.partition)?;
    let (into, from) = (
        class_of(&gallery, &verb.into)?,
        class_of(&gallery, &verb.from)?,
    );
    let (now, chance) = (Clock::System.now(), rand::random());
    let (merged, receipt) = engine.merge(&gallery, (into, from), now, chance)?;
    let templates = output::count(merged.templates, "template", "templates");
    output::say!(
        "classes {into} and {from} of {} are class {into} now, with {templates}",
        verb.partition
    );
    output::say!("receipt {}", receipt.id);
    Ok(Exit::Success)
}

fn remove(verb: &RemovePeople, context: &Context, pace: &Pace) -> anyhow::Result<Exit> {
    let gallery = open::gallery(&context.engine, &verb.partition)?;
    // All are found before the first goes.
    let classes = verb.person.iter().map(|person| class_of(&gallery, person));
    let classes: Vec<ClassId> = classes.collect::<anyhow::Result<_>>()?;
    let mut exit = Exit::Success;
    for class in classes {
        let bcid = Bcid::new(verb.partition.clone(), class);
        let (erased, receipt) = context.erase(&bcid, pace)?;
        if !erased.was_enrolled || !erased.overwritten {
            exit = Exit::No;
        }
        if verb.json {
            let class = class.0;
            output::json_line(&RemovedPerson {
                class,
                erased,
                receipt,
            })?;
            continue;
        }
        let removed = match erased {
            Erased {
                was_enrolled: false,
                ..
            } => "was not enrolled",
            Erased {
                overwritten: true, ..
            } => "removed; nothing of it is left here",
            _ => {
                "removed; what was stored is still being read by another process: run this again when it is done"
            }
        };
        output::say!("class {class} of {}: {removed}", verb.partition);
        say_receipt(receipt.as_ref());
    }
    output::say!("{COPIES}");
    Ok(exit)
}

fn import(verb: &ImportPeople, input: Option<&str>, engine: &Engine) -> anyhow::Result<Exit> {
    let gallery = open::gallery(engine, &verb.partition)?;
    let (mut changed, mut refused) = (0, 0);
    let rows = file::rows(&verb.file, input.unwrap_or_default())?;
    for together in independent(&rows) {
        let taken = parallel::map(together, TAKEN_AT_ONCE, |(_, row)| match row {
            Ok(row) => take(&gallery, row).map_err(|error| format!("{error:#}")),
            Err(error) => Err(format!("{error:#}")),
        });
        for ((line, _), taken) in together.iter().zip(taken) {
            match taken {
                Ok(()) => changed += 1,
                Err(error) => {
                    refused += 1;
                    if refused <= TOLD_MAX {
                        output::tell!("refused line {line}: {error}");
                    }
                }
            }
        }
    }
    if refused > TOLD_MAX {
        output::tell!("refused {} more", refused - TOLD_MAX);
    }
    let people = output::count(changed, "person", "people");
    output::say!("{people} of {} are known better now", verb.partition);
    Ok(if refused == 0 {
        Exit::Success
    } else {
        Exit::No
    })
}

/// The rows in pieces in each of which nobody is twice, so that the order within one does not matter.
fn independent(rows: &[NumberedRow]) -> Vec<&[NumberedRow]> {
    let (mut pieces, mut first) = (Vec::new(), 0);
    let (mut classes, mut ids) = (HashSet::new(), HashSet::new());
    for (at, (_, row)) in rows.iter().enumerate() {
        let Ok(row) = row else { continue };
        let is_there = row.class.is_some_and(|class| classes.contains(&class))
            || row.external_id.as_ref().is_some_and(|id| ids.contains(id));
        if is_there || at - first >= PIECE_ROWS_MAX {
            pieces.push(&rows[first..at]);
            first = at;
            classes.clear();
            ids.clear();
        }
        classes.extend(row.class);
        ids.extend(row.external_id.as_ref());
    }
    pieces.push(&rows[first..]);
    pieces
}

fn take(gallery: &Gallery, row: &super::row::PersonRow) -> anyhow::Result<()> {
    let record = row.record()?;
    let class = match (row.class, &record.external_id) {
        (Some(class), _) => ClassId(class),
        (None, Some(id)) => match gallery.class_of(id)? {
            Some(class) => class,
            None => bail!("nobody has that external id, and no class is named"),
        },
        (None, None) => bail!("neither a class nor an external id says who it is"),
    };
    gallery.change_record(class, RecordChange::adding(record))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::people::row::PersonRow;

    #[test]
    fn nobody_is_twice_among_rows_that_are_taken_in_any_order() {
        let row = |class: Option<i64>, id: Option<&str>| {
            let external_id = id.map(str::to_owned);
            let row = PersonRow {
                class,
                external_id,
                ..PersonRow::default()
            };
            (0, Ok(row))
        };
        let rows = [
            row(Some(1), None),
            row(Some(2), Some("a")),
            (0, Err(anyhow::anyhow!("broken"))),
            row(None, Some("a")),
            row(Some(1), Some("b")),
            row(Some(1), None),
        ];
        let sizes = |rows: &[NumberedRow]| -> Vec<usize> {
            independent(rows).iter().map(|piece| piece.len()).collect()
        };
        assert_eq!(sizes(&rows), [3, 2, 1]);
        let many: Vec<NumberedRow> = (0..5_000).map(|class| row(Some(class), None)).collect();
        assert_eq!(sizes(&many), [4_096, 904]);
        assert_eq!(sizes(&[]), [0]);
    }
}
