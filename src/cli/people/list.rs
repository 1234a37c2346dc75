//! `vultus people list` and `show`

use crate::cli::args::{ListPeople, ShowPerson};
use crate::cli::exit::Exit;
use crate::cli::people::row::{PersonRow, shown_name};
use crate::cli::people::whom::class_of;
use crate::cli::{open, output};
use crate::config::Settings;
use crate::engine::{Gallery, PeopleFilter, Person};
use crate::types::{Labels, RecordError, Timestamp};

/// People who are read at once.
const PAGE: usize = 1000;

pub(super) fn run(verb: &ListPeople, settings: &Settings) -> anyhow::Result<Exit> {
    let engine = open::reading_engine(settings)?;
    let gallery = open::gallery(&engine, &verb.partition)?;
    let labels = verb
        .label
        .iter()
        .cloned()
        .collect::<Result<Labels, RecordError>>()?;
    let filter = PeopleFilter {
        name: verb.name.clone(),
        name_prefix: verb.name_prefix.clone(),
        external_id: verb.external_id.clone(),
        labels,
    };
    let mut table = output::table(&["name", "class", "templates", "labels", "last match"]);
    let mut count = 0;
    each(&gallery, &filter, |person| {
        count += 1;
        if verb.json {
            output::json_line(&PersonRow::new(person))?;
            return Ok(());
        }
        let labels = person.record.labels.iter();
        let labels: Vec<String> = labels
            .map(|(key, value)| format!("{key}:{value}"))
            .collect();
        table.add_row([
            shown_name(&person.record).to_owned(),
            person.class.class.to_string(),
            person.class.templates.to_string(),
            labels.join(" "),
            person
                .last_match
                .map_or_else(String::new, |it| it.to_string()),
        ]);
        Ok(())
    })?;
    if !verb.json && count > 0 {
        output::line(table.to_string())?;
    }
    output::say!("{}", output::count(count, "person", "people"));
    Ok(Exit::Success)
}

/// Shows all whom a filter lets through.
pub(super) fn each(
    gallery: &Gallery,
    filter: &PeopleFilter,
    mut show: impl FnMut(&Person) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut after = None;
    loop {
        let page = gallery.people(filter, after.as_ref(), PAGE)?;
        page.people.iter().try_for_each(&mut show)?;
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(()),
        }
    }
}

pub(super) fn show(verb: &ShowPerson, settings: &Settings) -> anyhow::Result<Exit> {
    let engine = open::reading_engine(settings)?;
    let gallery = open::gallery(&engine, &verb.partition)?;
    let mut exit = Exit::Success;
    for person in &verb.person {
        let class = class_of(&gallery, person)?;
        let Some(person) = gallery.person(class)? else {
            output::tell!("class {class} of {} is not enrolled", verb.partition);
            exit = Exit::No;
            continue;
        };
        if verb.json {
            output::json_line(&PersonRow::new(&person))?;
        } else {
            output::line(described(&person))?;
        }
    }
    Ok(exit)
}

fn described(person: &Person) -> String {
    let (class, record) = (&person.class, &person.record);
    let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
    let labels = record.labels.iter();
    let labels: Vec<String> = labels
        .map(|(key, value)| format!("{key}:{value}"))
        .collect();
    let others = record.not_same_as.classes();
    let others: Vec<String> = others.map(|class| class.to_string()).collect();
    let known = |texts: Vec<String>| (!texts.is_empty()).then(|| texts.join(" "));
    let facts = [
        ("class", Some(class.class.to_string())),
        (
            "external id",
            record.external_id.as_ref().map(|id| id.as_str().to_owned()),
        ),
        ("labels", known(labels)),
        (
            "note",
            record.note.as_ref().map(|note| note.as_str().to_owned()),
        ),
        ("until", time(record.expires)),
        (
            "threshold",
            record
                .threshold
                .map(|threshold| threshold.get().to_string()),
        ),
        ("not the same as", known(others)),
        ("last match", time(person.last_match)),
        ("templates", Some(class.templates.to_string())),
        ("first enrolled", Some(class.first_enrolled.to_string())),
        ("last enrolled", Some(class.last_enrolled.to_string())),
        (
            "best quality",
            class.best_quality.map(|quality| format!("{quality:.2}")),
        ),
    ];
    let mut lines = vec![shown_name(record).to_owned()];
    for (what, fact) in facts {
        lines.extend(fact.map(|fact| format!("  {what}: {}", fact.replace('\n', "\n    "))));
    }
    lines.join("\n")
}
