//! People in files: CSV, and lines of JSON.

use std::fs;
use std::io::{BufWriter, Read, Write};
use std::path::Path;

use anyhow::{Context, bail};

use crate::cli::args::{ExportPeople, ImportPeople};
use crate::cli::exit::Exit;
use crate::cli::people::list::each;
use crate::cli::people::row::PersonRow;
use crate::cli::{open, output};
use crate::config::Settings;
use crate::engine::PeopleFilter;
use crate::partition::private;
use crate::types::{Labels, Timestamp};

/// The longest file that is read: a service gets it as one request.
const BYTES_MAX: u64 = 32 << 20;
/// What a CSV file may have, in the order in which it is written.
const COLUMNS: [&str; 8] = [
    "class",
    "name",
    "external_id",
    "labels",
    "note",
    "expires",
    "threshold",
    "not_same_as",
];

/// What spreadsheets take for the begin of a formula, and carry out when somebody opens the file.
const BEGINS_OF_FORMULAS: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// A line of a file, and what it says.
pub(super) type NumberedRow = (usize, anyhow::Result<PersonRow>);

enum Format {
    Csv,
    JsonLines,
}

/// Whether it stands for stdin or stdout, with lines of JSON.
fn is_standard(path: &Path) -> bool {
    path == Path::new("-")
}

fn format_of(path: &Path) -> anyhow::Result<Format> {
    let ends = |known: &str| {
        path.extension()
            .is_some_and(|end| end.eq_ignore_ascii_case(known))
    };
    match () {
        () if ends("csv") => Ok(Format::Csv),
        () if ends("jsonl") || ends("ndjson") || is_standard(path) => Ok(Format::JsonLines),
        () => bail!("`{}`: the name must end in .csv or .jsonl", path.display()),
    }
}

/// The file that is to be imported: read here, with the rights of whoever gives the command.
pub(super) fn text(verb: &ImportPeople) -> anyhow::Result<Option<String>> {
    format_of(&verb.file)?;
    let mut text = String::new();
    let path = verb.file.display();
    let read = if is_standard(&verb.file) {
        std::io::stdin()
            .take(BYTES_MAX + 1)
            .read_to_string(&mut text)
    } else {
        let file = fs::File::open(&verb.file).with_context(|| format!("opening `{path}`"))?;
        file.take(BYTES_MAX + 1).read_to_string(&mut text)
    };
    read.with_context(|| format!("reading `{path}`"))?;
    if text.len() as u64 > BYTES_MAX {
        bail!("`{path}` has more than {} MiB: split it", BYTES_MAX >> 20);
    }
    Ok(Some(text))
}

/// What a file says, by the number of the line. No error says what stands there.
pub(super) fn rows(path: &Path, text: &str) -> anyhow::Result<Vec<NumberedRow>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match format_of(path)? {
        Format::JsonLines => {
            let lines = (1..)
                .zip(text.lines())
                .filter(|(_, line)| !line.trim().is_empty());
            let read = |line: &str| {
                serde_json::from_str(line).map_err(|error| {
                    anyhow::anyhow!("it is no person as JSON, at column {}", error.column())
                })
            };
            Ok(lines.map(|(number, line)| (number, read(line))).collect())
        }
        Format::Csv => csv_rows(text),
    }
}

fn csv_rows(text: &str) -> anyhow::Result<Vec<NumberedRow>> {
    let mut reader = csv::ReaderBuilder::new()
        .flexible(false)
        .delimiter(separator_of(text))
        .from_reader(text.as_bytes());
    let header = reader
        .headers()
        .context("the header of the file cannot be read")?
        .clone();
    let mut places = Vec::new();
    for name in &header {
        let place: Option<usize> = COLUMNS.iter().position(|known| *known == name.trim());
        let place = place
            .with_context(|| format!("a column has none of the names {}", COLUMNS.join(", ")))?;
        if places.contains(&place) {
            bail!("there are two columns `{}`", COLUMNS[place]);
        }
        places.push(place);
    }
    if !places.iter().any(|place| *place == 0 || *place == 2) {
        bail!("there is neither a column `class` nor a column `external_id`");
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| {
            let line = error.position().map_or(0, csv::Position::line);
            anyhow::anyhow!("line {line} has another number of columns, or is no text")
        })?;
        let line = record.position().map_or(0, csv::Position::line);
        let line = usize::try_from(line).unwrap_or(usize::MAX);
        let mut row = Ok(PersonRow::default());
        for (place, value) in places.iter().zip(record.iter()) {
            let value = value.trim();
            if let (Ok(of), false) = (&mut row, value.is_empty())
                && let Err(error) = set(of, COLUMNS[*place], value)
            {
                row = Err(error);
            }
        }
        rows.push((line, row));
    }
    Ok(rows)
}

/// What separates fields: commas, or what spreadsheets write where commas stand in numbers.
fn separator_of(text: &str) -> u8 {
    let header = text.lines().next().unwrap_or_default();
    let known = [b',', b';', b'\t'].into_iter();
    let mut found = known.filter(|separator| header.as_bytes().contains(separator));
    found.next().unwrap_or(b',')
}

/// A text as a field that no spreadsheet carries out: with an apostrophe before it, which those show
/// as text.
fn guarded(text: &str) -> String {
    match is_formula(text) {
        true => format!("'{text}"),
        false => text.to_owned(),
    }
}

/// The text of a field that [`guarded`] has made, or somebody has typed.
fn unguarded(field: &str) -> &str {
    let rest = field.strip_prefix('\'');
    rest.filter(|rest| is_formula(rest)).unwrap_or(field)
}

/// Also behind apostrophes, so that a text that begins with one comes back as it was.
fn is_formula(text: &str) -> bool {
    text.trim_start_matches('\'')
        .starts_with(BEGINS_OF_FORMULAS)
}

fn set(row: &mut PersonRow, column: &str, value: &str) -> anyhow::Result<()> {
    match column {
        "class" => row.class = Some(value.parse().ok().context("the class is no whole number")?),
        "name" => row.name = Some(unguarded(value).to_owned()),
        "external_id" => row.external_id = Some(unguarded(value).to_owned()),
        "labels" => {
            let labels = Labels::from_text(unguarded(value))?;
            let labels = labels
                .iter()
                .map(|(key, value)| (key.to_owned(), value.to_owned()));
            row.labels = labels.collect();
        }
        "note" => row.note = Some(unguarded(value).to_owned()),
        "expires" => {
            let time = Timestamp::from_rfc3339(value).map(|time| time.unix_milliseconds);
            let time = time.or_else(|| value.parse().ok());
            row.expires_unix_milliseconds =
                Some(time.context("`expires` is no time such as 2026-11-24T22:04:03Z")?);
        }
        "threshold" => {
            row.threshold = Some(value.parse().ok().context("the threshold is no number")?);
        }
        _ => {
            for class in value.split(';').filter(|class| !class.trim().is_empty()) {
                let class = class.trim().parse().ok();
                row.not_same_as
                    .push(class.context("`not_same_as` has something else than classes")?);
            }
        }
    }
    Ok(())
}

pub(super) fn export(verb: &ExportPeople, settings: &Settings) -> anyhow::Result<Exit> {
    let (format, path) = (format_of(&verb.file)?, verb.file.display());
    let engine = open::reading_engine(settings)?;
    let gallery = open::gallery(&engine, &verb.partition)?;
    if is_standard(&verb.file) {
        each(&gallery, &PeopleFilter::default(), |person| {
            Ok(output::json_line(&PersonRow::new(person))?)
        })?;
        return Ok(Exit::Success);
    }
    if !verb.overwrite && verb.file.symlink_metadata().is_ok() {
        bail!("`{path}` exists: give --overwrite, or name another file");
    }
    private::refuse_special(&verb.file).with_context(|| format!("writing `{path}`"))?;
    let parent = verb
        .file
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let draft = tempfile::NamedTempFile::new_in(parent.unwrap_or(Path::new(".")))
        .with_context(|| format!("writing beside `{path}`"))?;
    let mut count = 0;
    let mut file = BufWriter::new(draft.as_file());
    let mut csv = csv::Writer::from_writer(Vec::new());
    if matches!(format, Format::Csv) {
        csv.write_record(COLUMNS)?;
    }
    each(&gallery, &PeopleFilter::default(), |person| {
        let row = PersonRow::new(person);
        count += 1;
        match format {
            Format::Csv => csv.write_record(columns(&row, &person.record.labels))?,
            Format::JsonLines => {
                serde_json::to_writer(&mut file, &row)?;
                file.write_all(b"\n")?;
            }
        }
        Ok(())
    })?;
    file.write_all(
        &csv.into_inner()
            .map_err(|error| anyhow::anyhow!("{error}"))?,
    )?;
    file.flush()?;
    drop(file);
    draft.as_file().sync_all()?;
    draft
        .persist(&verb.file)
        .with_context(|| format!("writing `{path}`"))?;
    let people = output::count(count, "person", "people");
    output::say!("wrote {people} of {} to `{path}`", verb.partition);
    Ok(Exit::Success)
}

fn columns(row: &PersonRow, labels: &Labels) -> [String; 8] {
    let others: Vec<String> = row.not_same_as.iter().map(i64::to_string).collect();
    let time = |unix_milliseconds| Timestamp { unix_milliseconds }.to_string();
    let text = |text: &Option<String>| guarded(text.as_deref().unwrap_or_default());
    [
        row.class
            .map_or_else(String::new, |class| class.to_string()),
        text(&row.name),
        text(&row.external_id),
        guarded(&labels.to_text()),
        text(&row.note),
        row.expires_unix_milliseconds.map_or_else(String::new, time),
        row.threshold
            .map_or_else(String::new, |threshold| threshold.to_string()),
        others.join(";"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> anyhow::Result<Vec<NumberedRow>> {
        rows(Path::new("people.csv"), text)
    }

    fn first(text: &str) -> PersonRow {
        let (_, row) = read(text).unwrap().remove(0);
        row.unwrap()
    }

    #[test]
    fn no_field_of_a_person_is_carried_out_and_all_come_back() {
        for text in [
            "=cmd|' /C calc'!A0",
            "+49 30 1234",
            "-x",
            "@SUM(1)",
            "'=1",
            "''=1",
            "'quoted'",
            "O'Neill",
            "'",
            "Ada",
        ] {
            let field = guarded(text);
            assert!(!field.starts_with(BEGINS_OF_FORMULAS), "{field}");
            assert_eq!(unguarded(&field), text);
            let mut csv = csv::Writer::from_writer(Vec::new());
            let row = PersonRow {
                class: Some(-5),
                name: Some(text.to_owned()),
                external_id: Some(text.to_owned()),
                note: Some(text.to_owned()),
                ..PersonRow::default()
            };
            csv.write_record(COLUMNS).unwrap();
            csv.write_record(columns(&row, &Labels::default())).unwrap();
            let written = String::from_utf8(csv.into_inner().unwrap()).unwrap();
            let again = first(&written);
            assert_eq!(again.class, Some(-5));
            for found in [again.name, again.external_id, again.note] {
                assert_eq!(found.as_deref(), Some(text));
            }
        }
    }

    #[test]
    fn what_spreadsheets_write_is_read_and_what_is_unclear_is_not() {
        for text in [
            "class,name\n7,Ada\n",
            "\u{feff}class;name\r\n7;Ada\r\n",
            "class\tname\n7\tAda\n",
            "name;class\n\"Ada\";7\n",
        ] {
            let row = first(text);
            assert_eq!(
                (row.class, row.name.as_deref()),
                (Some(7), Some("Ada")),
                "{text}"
            );
        }
        let labels = first("class;labels\n7;\"site:berlin;team:a\"\n").labels;
        assert_eq!(labels.len(), 2);
        for (text, said) in [
            ("class,name,name\n7,Ada,Bea\n", "two columns `name`"),
            ("class,surname\n7,Ada\n", "none of the names"),
            ("name\nAda\n", "neither a column `class`"),
        ] {
            let error = read(text).err().unwrap().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
