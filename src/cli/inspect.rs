//! `vultus inspect`

use serde::Serialize;

use super::args::Inspect;
use super::exit::Exit;
use super::output::{self, PathName};
use crate::partition::{
    CatalogReport, DamagedBytes, Inspection, SegmentReport, SnapshotReport, inspect,
};
use crate::types::Timestamp;

/// What is in a file.
#[derive(Serialize)]
struct Inspected<'a> {
    #[serde(flatten)]
    file: PathName<'a>,
    #[serde(flatten)]
    inspection: &'a Inspection,
    whole: bool,
}

pub(super) fn run(verb: &Inspect) -> anyhow::Result<Exit> {
    let bar = output::byte_progress("reading");
    let inspection = inspect(&verb.file, &mut output::advance(&bar));
    bar.finish_and_clear();
    let inspection = inspection?;
    let is_whole = inspection.is_whole();
    if verb.json {
        output::json_line(&Inspected {
            file: PathName::new("file", &verb.file),
            inspection: &inspection,
            whole: is_whole,
        })?;
    } else {
        let text = match &inspection {
            Inspection::Segment(report) => segment(report),
            Inspection::Snapshot(report) => snapshot(report),
            Inspection::Catalog(report) => catalog(report),
        };
        output::line(text)?;
        output::line(if is_whole { "whole" } else { "damaged" })?;
    }
    Ok(if is_whole { Exit::Success } else { Exit::No })
}

fn segment(report: &SegmentReport) -> String {
    let mut parts = Vec::new();
    let mut fields = vec![
        ("file", "segment".to_owned()),
        ("bytes", report.bytes.to_string()),
    ];
    if let Some(header) = &report.header {
        fields.extend([
            ("version", header.version.to_string()),
            ("segment", header.segment.to_string()),
            ("partition", header.partition.to_string()),
            ("encoder", header.encoder.clone()),
            ("dimension", header.dimension.to_string()),
            ("rows", header.rows.to_string()),
            ("created", time(header.created_unix_milliseconds)),
            ("bytes of the header", header.header_bytes.to_string()),
            ("bytes of a block", header.block_bytes.to_string()),
            ("planes", header.plane_count.to_string()),
            ("checksum of the header", header.header_checksum.clone()),
        ]);
    }
    // Older segments do not say them.
    let said = report.header.iter().flat_map(|header| {
        let name = ("name of the partition", header.partition_name.clone());
        [name, ("data directory", header.data_directory.clone())]
    });
    fields.extend(said.filter_map(|(field, value)| Some((field, value?))));
    if let Some(table) = &report.table {
        fields.push(("checksum of the table", table.checksum.clone()));
    }
    parts.push(field_table(&fields));
    if let Some(table) = &report.table {
        let columns = [
            "plane",
            "kind",
            "offset",
            "bytes",
            "bytes of a row",
            "blocks",
            "damaged",
        ];
        let mut planes = output::table(&columns);
        for plane in &report.planes {
            planes.add_row([
                plane.name.to_owned(),
                plane.kind.to_string(),
                plane.offset.to_string(),
                plane.bytes.to_string(),
                plane.row_bytes.to_string(),
                plane.blocks.to_string(),
                plane.damaged_blocks.to_string(),
            ]);
        }
        let damaged = u8::from(!table.whole).to_string();
        planes.add_row([
            "checksum table".to_owned(),
            String::new(),
            table.offset.to_string(),
            table.bytes.to_string(),
            String::new(),
            String::new(),
            damaged,
        ]);
        parts.push(planes.to_string());
    }
    parts.extend(damage_table(
        report.damage.iter().map(|damage| ("", damage)),
    ));
    parts.join("\n")
}

fn snapshot(report: &SnapshotReport) -> String {
    let mut parts = Vec::new();
    let mut fields = vec![
        ("file", "snapshot".to_owned()),
        ("bytes", report.bytes.to_string()),
    ];
    if let Some(manifest) = &report.manifest {
        fields.extend([
            ("version", manifest.version.to_string()),
            ("created", time(manifest.created_unix_milliseconds)),
            ("program", manifest.program.clone()),
            ("bytes of all files", manifest.bytes().to_string()),
        ]);
    }
    parts.push(field_table(&fields));
    if let Some(manifest) = &report.manifest {
        let mut partitions = output::table(&["partition", "encoder", "templates", "segments"]);
        for partition in &manifest.partitions {
            partitions.add_row([
                partition.partition.clone(),
                partition.encoder.clone(),
                partition.templates.to_string(),
                partition.segments.to_string(),
            ]);
        }
        parts.push(partitions.to_string());
    }
    let mut entries = output::table(&["entry", "bytes", "checksum", "found"]);
    for entry in &report.entries {
        entries.add_row([
            entry.name.clone(),
            entry.bytes.to_string(),
            format!("{:016x}", entry.expected),
            format!("{:016x}", entry.found),
        ]);
    }
    if !report.entries.is_empty() {
        parts.push(entries.to_string());
    }
    let damage = report.damage.iter();
    parts.extend(damage_table(damage.map(|it| (&*it.entry, &it.damage))));
    parts.join("\n")
}

fn catalog(report: &CatalogReport) -> String {
    let mut parts = vec![field_table(&[
        ("file", "catalog".to_owned()),
        ("bytes", report.bytes.to_string()),
        ("version", report.version.to_string()),
        ("next number", report.next.to_string()),
        ("changes", report.changes.to_string()),
    ])];
    let columns = [
        "partition",
        "number",
        "encoder",
        "not sealed",
        "segments",
        "rows of segments",
        "removed",
        "records",
    ];
    let mut partitions = output::table(&columns);
    for partition in &report.partitions {
        partitions.add_row([
            partition.name.clone(),
            partition.partition.to_string(),
            partition.encoder.clone(),
            partition.tail_templates.to_string(),
            partition.segments.to_string(),
            partition.segment_rows.to_string(),
            partition.tombstones.to_string(),
            partition.records.to_string(),
        ]);
    }
    parts.push(partitions.to_string());
    let mut state = output::table(&["state", "values", "bytes"]);
    for area in &report.state {
        state.add_row([
            area.area.clone(),
            area.values.to_string(),
            area.bytes.to_string(),
        ]);
    }
    parts.push(state.to_string());
    parts.extend(output::left_alone(&report.left_alone));
    parts.extend(damage_table(
        report.damage.iter().map(|damage| ("", damage)),
    ));
    parts.join("\n")
}

fn time(unix_milliseconds: i64) -> String {
    Timestamp { unix_milliseconds }.to_string()
}

fn field_table(fields: &[(&str, String)]) -> String {
    let mut table = output::table(&["field", "value"]);
    for (name, value) in fields {
        table.add_row([name, &**value]);
    }
    table.to_string()
}

/// A table of all damage, if there is any.
fn damage_table<'a>(damage: impl Iterator<Item = (&'a str, &'a DamagedBytes)>) -> Option<String> {
    let mut damage = damage.peekable();
    damage.peek()?;
    let columns = ["damage", "in", "offset", "rows", "expected", "found"];
    let mut table = output::table(&columns);
    for (entry, damage) in damage {
        let rows = damage
            .rows
            .map(|(first, last)| format!("{first} to {last}"));
        table.add_row([
            damage.what.to_owned(),
            entry.to_owned(),
            damage.offset.to_string(),
            rows.unwrap_or_default(),
            damage.expected.clone(),
            damage.found.clone(),
        ]);
    }
    Some(table.to_string())
}
