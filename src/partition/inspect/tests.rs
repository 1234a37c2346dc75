use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use redb::TableDefinition;

use super::*;
use crate::partition::archive::{ArchiveDraft, BackupFile, write_archive};
use crate::partition::disk::RealDisk;
use crate::partition::segment::{
    BLOCK_BYTES, PAGE_BYTES, SegmentName, SegmentWriter, TemplateInfo, checksum,
};
use crate::partition::tail::TailBlock;
use crate::types::{ClassId, EncoderId, Timestamp};

const NOW: Timestamp = Timestamp {
    unix_milliseconds: 1_000,
};
/// The nibbles of so many rows fill one block and begin another, the values many.
const ROWS: usize = 1_100;

fn write_segment(path: &Path) -> Vec<u8> {
    let name = SegmentName {
        segment: 7,
        partition: 3,
        name: String::new(),
        identity: 0,
        encoder: EncoderId::new("test", "1", 128).unwrap(),
        created: NOW,
    };
    let mut writer = SegmentWriter::create(Arc::new(RealDisk), path, name, ROWS, None).unwrap();
    let mut rows = TailBlock::new(128);
    for row in 0..ROWS {
        let values: Vec<f32> = (0..128).map(|at| (row * 128 + at) as f32 + 0.5).collect();
        let info = TemplateInfo {
            template: row as u64,
            enrolled_unix_milliseconds: 5,
            quality: 0.5,
            reserved: 0,
        };
        rows.push(ClassId(row as i64), info, &values);
    }
    writer.append(&rows.stored(0..ROWS)).unwrap();
    writer.finish().unwrap();
    fs::read(path).unwrap()
}

fn inspect_bytes(bytes: &[u8]) -> Result<Inspection, StoreError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    fs::write(&path, bytes).unwrap();
    let mut progress = 0;
    let inspection = inspect(&path, &mut |done, _| progress = done)?;
    if let Inspection::Segment(report) = &inspection {
        assert_eq!(progress, report.bytes);
    }
    Ok(inspection)
}

fn segment_report(bytes: &[u8]) -> SegmentReport {
    match inspect_bytes(bytes).unwrap() {
        Inspection::Segment(report) => report,
        other => panic!("{other:?}"),
    }
}

fn segment_bytes() -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    write_segment(&directory.path().join("a.vseg"))
}

#[test]
fn a_whole_segment_is_described() {
    let bytes = segment_bytes();
    let report = segment_report(&bytes);
    assert_eq!(report.damage, []);
    let header = report.header.unwrap();
    assert_eq!((header.segment, header.partition), (7, 3));
    assert_eq!((header.rows, header.dimension), (1_100, 128));
    assert_eq!(header.encoder, "test@1/128");
    let values = report.planes.last().unwrap();
    assert_eq!(
        (values.name, values.row_bytes, values.blocks),
        ("values", 512, 9)
    );
    let end = report.table.map(|table| table.offset + table.bytes);
    assert_eq!(end, Some(bytes.len() as u64));
}

#[test]
fn all_damage_is_listed_with_its_rows() {
    let mut bytes = segment_bytes();
    let planes = segment_report(&bytes).planes;
    let [high, order, values] = [0, 8, 9].map(|at| planes[at].offset as usize);
    for at in [
        high + BLOCK_BYTES + 1,
        order,
        values + 3 * BLOCK_BYTES,
        values + 4 * BLOCK_BYTES,
    ] {
        bytes[at] ^= 4;
    }
    let report = segment_report(&bytes);
    let found: Vec<_> = report
        .damage
        .iter()
        .map(|d| (d.offset as usize, d.what, d.rows))
        .collect();
    let expected = [
        (high + BLOCK_BYTES, "high nibbles", Some((1_024, 1_099))),
        (order, "class order", None),
        (values + 3 * BLOCK_BYTES, "values", Some((384, 511))),
        (values + 4 * BLOCK_BYTES, "values", Some((512, 639))),
    ];
    assert_eq!(found, expected);
    let damaged: Vec<usize> = report
        .planes
        .iter()
        .map(|plane| plane.damaged_blocks)
        .collect();
    assert_eq!(damaged, [1, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
    let checksums = &report.damage[0];
    assert!(checksums.expected.len() == 16 && checksums.found.len() == 16);
    assert_ne!(checksums.expected, checksums.found);
}

#[test]
fn a_damaged_table_and_a_damaged_header_are_named() {
    let whole = segment_bytes();
    let table = segment_report(&whole).table.unwrap().offset as usize;
    let mut bytes = whole.clone();
    // The entry of the last block.
    *bytes.last_mut().unwrap() ^= 1;
    let report = segment_report(&bytes);
    let found: Vec<_> = report
        .damage
        .iter()
        .map(|d| (d.offset as usize, d.what))
        .collect();
    let last = report.planes[9].offset as usize + 8 * BLOCK_BYTES;
    assert_eq!(found, [(last, "values"), (table, "checksum table")]);
    assert!(!report.table.unwrap().whole);

    let mut bytes = whole.clone();
    bytes[16] ^= 1;
    let report = segment_report(&bytes);
    assert_eq!(report.header.unwrap().rows, 1_101, "as it stands there");
    assert_eq!(report.damage[0].what, "checksum of the header");
    assert!(report.planes.is_empty());

    let mut bytes = whole;
    bytes[8] = 3;
    let renewed = checksum(&bytes[..PAGE_BYTES - 8]);
    bytes[PAGE_BYTES - 8..PAGE_BYTES].copy_from_slice(&renewed.to_le_bytes());
    let error = inspect_bytes(&bytes).unwrap_err();
    assert!(
        matches!(error, StoreError::Version { found: 3, .. }),
        "{error}"
    );
}

#[test]
fn what_is_left_of_a_cut_segment_is_looked_at() {
    let whole = segment_bytes();
    let values = segment_report(&whole).planes[9].offset as usize;
    let report = segment_report(&whole[..values + 5 * BLOCK_BYTES]);
    let damaged: Vec<usize> = report
        .planes
        .iter()
        .map(|plane| plane.damaged_blocks)
        .collect();
    assert_eq!(damaged, [0, 0, 0, 0, 0, 0, 0, 0, 0, 4]);
    assert!(
        report
            .damage
            .iter()
            .any(|it| it.what == "length of the file in bytes")
    );
    for length in [
        8,
        100,
        PAGE_BYTES - 1,
        PAGE_BYTES,
        PAGE_BYTES + 1,
        whole.len() - 1,
    ] {
        let report = segment_report(&whole[..length]);
        assert!(!report.damage.is_empty(), "{length}");
        assert_eq!(report.header.is_some(), length >= PAGE_BYTES);
    }
    let report = segment_report(&[&whole[..], &[0]].concat());
    assert_eq!(report.damage.len(), 1);
}

#[test]
fn something_else_is_refused() {
    for bytes in [&b""[..], b"VULTSEG", b"hello, world", b"PAR1", &[0; 5000]] {
        let error = inspect_bytes(bytes).unwrap_err();
        assert!(matches!(error, StoreError::Unknown { .. }), "{error}");
    }
    assert!(matches!(
        inspect(Path::new("does/not/exist"), &mut |_, _| {}),
        Err(StoreError::Io { .. })
    ));
}

/// A snapshot of a catalog that is none and a segment, and their bytes.
fn snapshot_of(directory: &Path, damage_at: Option<usize>) -> Result<PathBuf, StoreError> {
    let segment = directory.join("segment");
    let mut bytes = write_segment(&segment);
    if let Some(at) = damage_at {
        bytes[at] ^= 1;
        fs::write(&segment, &bytes).unwrap();
    }
    let catalog = directory.join("catalog");
    fs::write(&catalog, b"not looked at").unwrap();
    let files = [("catalog.redb", &catalog), ("segments/3/7.vseg", &segment)];
    let files = files.map(|(name, path)| BackupFile {
        name: name.to_owned(),
        path: path.clone(),
        bytes: fs::metadata(path).unwrap().len(),
        header_checksum: None,
    });
    let path = directory.join("a.tar.zst");
    write_archive(
        ArchiveDraft::create(&path, false)?,
        NOW,
        (None, Vec::new()),
        &files,
        &mut |_, _| {},
    )?;
    Ok(path)
}

#[test]
fn a_snapshot_is_described_and_damage_in_it_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = snapshot_of(directory.path(), None).unwrap();
    let whole = fs::read(&path).unwrap();
    let Inspection::Snapshot(report) = inspect_bytes(&whole).unwrap() else {
        panic!("it is a snapshot");
    };
    assert!(report.damage.is_empty(), "{:?}", report.damage);
    let names: Vec<&str> = report.entries.iter().map(|entry| &*entry.name).collect();
    assert_eq!(
        names,
        ["manifest.json", "catalog.redb", "segments/3/7.vseg"]
    );
    let cut = inspect_bytes(&whole[..whole.len() / 2]).unwrap();
    let Inspection::Snapshot(report) = &cut else {
        panic!("it is a snapshot");
    };
    assert_eq!(report.manifest.as_ref().unwrap().files.len(), 2);
    assert_eq!(report.damage[0].entry, "segments/3/7.vseg");
    assert!(!cut.is_whole());
    let Inspection::Snapshot(report) = inspect_bytes(&whole[..50]).unwrap() else {
        panic!("it is a snapshot");
    };
    assert!(report.manifest.is_none());
    assert_eq!(report.damage[0].entry, "manifest.json");
}

#[test]
fn a_damaged_segment_gets_into_no_snapshot() {
    let directory = tempfile::tempdir().unwrap();
    let error = snapshot_of(directory.path(), Some(PAGE_BYTES)).unwrap_err();
    assert!(
        matches!(&error, StoreError::Damaged { path, offset: 4096, .. } if path.ends_with("segment")),
        "{error}"
    );
    assert!(!directory.path().join("a.tar.zst").exists());
    assert!(!directory.path().join("a.tar.zst.new").exists());
}

/// A value with its checksum.
fn sealed(key: &[u8], value: &[u8]) -> Vec<u8> {
    let sum = checksum(&[key, value].concat());
    [value, &sum.to_le_bytes()].concat()
}

/// Writes a catalog by the document, and closes it.
fn write_catalog(path: &Path, version: u64) {
    let database = redb::Database::create(path).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let names: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
        let mut meta = transaction.open_table(names).unwrap();
        for (name, number) in [("version", version), ("next", 42)] {
            let value = sealed(name.as_bytes(), &number.to_le_bytes());
            meta.insert(name, &*value).unwrap();
        }
        let names: TableDefinition<&str, &[u8]> = TableDefinition::new("partitions");
        let mut partitions = transaction.open_table(names).unwrap();
        let encoder = EncoderId::new("test", "1", 16).unwrap();
        let entry = serde_json::json!({
            "partition": 1, "encoder": encoder, "created_unix_milliseconds": 5,
        });
        let value = sealed(b"bws.1", entry.to_string().as_bytes());
        partitions.insert("bws.1", &*value).unwrap();
        let pairs: TableDefinition<(u64, u64), &[u8]> = TableDefinition::new("tail");
        let mut tail = transaction.open_table(pairs).unwrap();
        for template in 10..13_u64 {
            let key = [1_u64.to_le_bytes(), template.to_le_bytes()].concat();
            tail.insert((1, template), &*sealed(&key, b"secret"))
                .unwrap();
        }
        // One that changed places with another.
        let moved = sealed(&[0; 16], b"secret");
        tail.insert((1, 13), &*moved).unwrap();
        let pairs: TableDefinition<(u64, u64), &[u8]> = TableDefinition::new("segments");
        let mut segments = transaction.open_table(pairs).unwrap();
        let key = [1_u64.to_le_bytes(), 2_u64.to_le_bytes()].concat();
        let value = sealed(&key, br#"{"rows":900,"header_checksum":1}"#);
        segments.insert((1, 2), &*value).unwrap();
        let triples: TableDefinition<(u64, u64, u64), &[u8]> = TableDefinition::new("tombstones");
        let mut tombstones = transaction.open_table(triples).unwrap();
        for row in [5_u64, 6] {
            let numbers = [1_u64, 2, row].map(u64::to_le_bytes);
            tombstones
                .insert((1, 2, row), &*sealed(&numbers.concat(), b""))
                .unwrap();
        }
        let names: TableDefinition<(&str, &str), &[u8]> = TableDefinition::new("state");
        let mut state = transaction.open_table(names).unwrap();
        let value = sealed(b"apps\0one", b"hush");
        state.insert(("apps", "one"), &*value).unwrap();
    }
    transaction.commit().unwrap();
}

#[test]
fn a_catalog_is_counted_and_damaged_values_are_found() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalog.redb");
    write_catalog(&path, 1);
    let Inspection::Catalog(report) = inspect(&path, &mut |_, _| {}).unwrap() else {
        panic!("it is a catalog");
    };
    assert_eq!((report.version, report.next), (1, 42));
    let partition = &report.partitions[0];
    assert_eq!(
        (&*partition.name, &*partition.encoder),
        ("bws.1", "test@1/16")
    );
    assert_eq!((partition.tail_templates, partition.tombstones), (3, 2));
    assert_eq!((partition.segments, partition.segment_rows), (1, 900));
    assert_eq!((report.state[0].values, report.state[0].bytes), (1, 4));
    assert_eq!(report.damage.len(), 1);
    assert_eq!(report.damage[0].what, "value");
    let said = serde_json::to_string(&report).unwrap();
    assert!(!said.contains("secret") && !said.contains("hush"), "{said}");
}

#[test]
fn a_catalog_that_cannot_be_read_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalog.redb");
    write_catalog(&path, 4);
    let error = inspect(&path, &mut |_, _| {}).unwrap_err();
    assert!(
        matches!(error, StoreError::Version { found: 4, .. }),
        "{error}"
    );
    let bytes = fs::read(&path).unwrap();
    for length in [9, 100, bytes.len() / 2] {
        let error = inspect_bytes(&bytes[..length]).unwrap_err();
        assert!(
            matches!(error, StoreError::Catalog { .. } | StoreError::Io { .. }),
            "{error}"
        );
    }
}
