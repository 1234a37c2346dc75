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

/// A line of a file, and what it says.
pub(super) type NumberedRow = (usize, anyhow::Result<PersonRow>);

enum Format {
    Csv,
    JsonLines,
}

fn format_of(path: &Path) -> anyhow::Result<Format> {
    let ends = |known: &str| {
        path.extension()
            .is_some_and(|end| end.eq_ignore_ascii_case(known))
    };
    match () {
        () if ends("csv") => Ok(Format::Csv),
        () if ends("jsonl") || ends("ndjson") || path == Path::new("-") => Ok(Format::JsonLines),
        () => bail!("`{}`: the name must end in .csv or .jsonl", path.display()),
    }
}

/// The file that is to be imported: read here, with the rights of whoever gives the command.
pub(super) fn text(verb: &ImportPeople) -> anyhow::Result<Option<String>> {
    format_of(&verb.file)?;
    let mut text = String::new();
    let path = verb.file.display();
    let read = if verb.file == Path::new("-") {
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
        .from_reader(text.as_bytes());
    let header = reader
        .headers()
        .context("the header of the file cannot be read")?
        .clone();
    let mut places = Vec::new();
    for name in &header {
        let place = COLUMNS.iter().position(|known| *known == name.trim());
        places.push(
            place.with_context(|| {
                format!("a column has none of the names {}", COLUMNS.join(", "))
            })?,
        );
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

fn set(row: &mut PersonRow, column: &str, value: &str) -> anyhow::Result<()> {
    match column {
        "class" => row.class = Some(value.parse().ok().context("the class is no whole number")?),
        "name" => row.name = Some(value.to_owned()),
        "external_id" => row.external_id = Some(value.to_owned()),
        "labels" => {
            let labels = Labels::from_text(value)?;
            let labels = labels
                .iter()
                .map(|(key, value)| (key.to_owned(), value.to_owned()));
            row.labels = labels.collect();
        }
        "note" => row.note = Some(value.to_owned()),
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
    if !verb.overwrite && verb.file.exists() {
        bail!("`{path}` exists: give --overwrite, or name another file");
    }
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
    [
        row.class
            .map_or_else(String::new, |class| class.to_string()),
        row.name.clone().unwrap_or_default(),
        row.external_id.clone().unwrap_or_default(),
        labels.to_text(),
        row.note.clone().unwrap_or_default(),
        row.expires_unix_milliseconds.map_or_else(String::new, time),
        row.threshold
            .map_or_else(String::new, |threshold| threshold.to_string()),
        others.join(";"),
    ]
}
