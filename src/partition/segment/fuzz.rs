//! Fuzz targets: bytes that somebody tampered with, and put checksums on again, so that what stands
//! behind the checksums is reached.
//!
//! They run for a while with every `cargo test`. `BOLERO_RANDOM_TEST_TIME_MS` and
//! `BOLERO_RANDOM_ITERATIONS` make them run longer; a failure prints the seed that repeats it
//! (`BOLERO_RANDOM_SEED`).

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::format::{PAGE_BYTES, Plan, Plane, TemplateInfo, checksum};
use super::read::{Named, Segment};
use super::stream_check::{SegmentCheck, SegmentReport};
use super::write::{SegmentName, SegmentWriter};
use crate::code::Layout;
use crate::partition::StoreError;
use crate::partition::disk::RealDisk;
use crate::partition::tail::TailBlock;
use crate::types::{ClassId, EncoderId, Timestamp};

const DIMENSION: usize = 24;
const ROWS: usize = 5;

/// Changes to some bytes, read from the bytes that a fuzzer makes up.
pub(in crate::partition) struct Edits<'a>(&'a [u8]);

impl<'a> Edits<'a> {
    pub(in crate::partition) fn new(input: &'a [u8]) -> Edits<'a> {
        Edits(input)
    }

    pub(in crate::partition) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// Changes one byte of `bytes`. Returns false when there is nothing more to change.
    pub(in crate::partition) fn change(&mut self, bytes: &mut [u8]) -> bool {
        let Some([high, low, what, value]) = self.0.first_chunk().copied() else {
            return false;
        };
        self.0 = &self.0[4..];
        let at = usize::from(high) << 8 | usize::from(low);
        let count = bytes.len();
        let Some(byte) = bytes.get_mut(at % count.max(1)) else {
            return true;
        };
        *byte = match what % 4 {
            0 => value,
            1 => *byte ^ 1 << (value % 8),
            2 => byte.wrapping_add(value % 3).wrapping_sub(1),
            _ => [0, 1, 0x7f, 0x80, 0xff, b'0', b'9', b'"'][usize::from(value % 8)],
        };
        true
    }
}

fn valid_segment(path: &Path) -> Vec<u8> {
    let name = SegmentName {
        segment: 7,
        partition: 3,
        name: String::new(),
        identity: 0,
        encoder: EncoderId::new("test", "1", DIMENSION).unwrap(),
        created: Timestamp {
            unix_milliseconds: 1_000,
        },
    };
    let mut writer = SegmentWriter::create(Arc::new(RealDisk), path, name, ROWS, None).unwrap();
    let mut rows = TailBlock::new(DIMENSION);
    for (row, class) in [5, -1, 5, 9, 5].into_iter().enumerate() {
        let values: Vec<f32> = (0..DIMENSION)
            .map(|at| (row * 24 + at) as f32 - 30.5)
            .collect();
        let info = TemplateInfo {
            template: row as u64,
            enrolled_unix_milliseconds: -5,
            quality: f32::NAN,
            reserved: 0,
        };
        rows.push(ClassId(class), info, &values);
    }
    writer.append(&rows.stored(0..ROWS)).unwrap();
    writer.finish().unwrap();
    fs::read(path).unwrap()
}

/// Makes all checksums right again that the bytes leave room for.
fn seal(bytes: &mut [u8]) {
    let plan = Plan::new(Layout::new(DIMENSION), ROWS);
    if bytes.len() < PAGE_BYTES {
        return;
    }
    if bytes.len() == plan.table.end {
        for (block, plane) in Plane::ALL.into_iter().enumerate() {
            let entry = plan.plane(plane);
            let found = checksum(&bytes[entry.offset..entry.offset + entry.length]);
            let at = plan.table.start + block * 8;
            bytes[at..at + 8].copy_from_slice(&found.to_le_bytes());
        }
        let found = checksum(&bytes[plan.table]);
        bytes[80..88].copy_from_slice(&found.to_le_bytes());
    }
    let found = checksum(&bytes[..PAGE_BYTES - 8]);
    bytes[PAGE_BYTES - 8..PAGE_BYTES].copy_from_slice(&found.to_le_bytes());
}

/// Asks a segment for everything.
fn read_all(segment: &Segment) -> Result<(), StoreError> {
    let rows = segment.rows();
    segment.block(0..rows)?;
    for row in 0..rows {
        let (class, _) = (segment.class(row)?, segment.info(row)?);
        segment.values(row)?;
        segment.length(row)?;
        // The class order may be any by now, but it names rows that are there.
        let found = segment.rows_of(class)?;
        assert!(found.iter().all(|row| *row < rows));
    }
    Ok(())
}

fn check(path: &Path, bytes: &[u8]) -> Result<SegmentReport, StoreError> {
    let mut check = SegmentCheck::new(path, bytes.len() as u64);
    // In pieces of an odd size, as a pipe might give them.
    for piece in bytes.chunks(4_099) {
        check.update(piece)?;
    }
    Ok(check.finish())
}

/// Opens the bytes as the segment that they say they are.
fn open(path: &Path, bytes: &[u8]) -> Result<Segment, StoreError> {
    fs::write(path, bytes).unwrap();
    let number = |at: usize| {
        let bytes = bytes.get(at..).and_then(|bytes| bytes.first_chunk());
        bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
    };
    let named = Named {
        segment: number(40),
        partition: number(48),
        header_checksum: number(PAGE_BYTES - 8),
        seal: None,
        key: None,
    };
    Segment::open(&RealDisk, path, named)
}

#[test]
fn segments() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.vseg");
    let valid = valid_segment(&path);
    let target = |input: &[u8]| {
        let mut edits = Edits::new(input);
        let mut bytes = valid.clone();
        let mode = edits.byte().unwrap_or(0);
        // The header and its entries for planes, all of it, or the class order.
        let part =
            [0..128, 128..1152, 0..valid.len(), 36_864..36_884][usize::from(mode % 4)].clone();
        while edits.change(&mut bytes[part.clone()]) {}
        if mode & 4 != 0 {
            let length = bytes.len() * usize::from(mode >> 3) / 31;
            bytes.truncate(length);
        }
        if mode & 8 != 0 {
            seal(&mut bytes);
        }
        let opened = open(&path, &bytes);
        let report = check(&path, &bytes);
        match opened.and_then(|segment| read_all(&segment)) {
            // What the reader found whole, the inspection must find whole.
            Ok(()) => assert_eq!(report.unwrap().damage, []),
            Err(StoreError::Damaged { what, .. }) => {
                // The inspection does not look at row numbers.
                let whole = report.unwrap().damage.is_empty();
                assert!(!whole || what == "row number in the class order", "{what}");
            }
            Err(StoreError::Version { .. }) => assert!(report.is_err()),
            // An encrypted one, of which no key is known here.
            Err(StoreError::Keys { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    };
    target(&[]);
    bolero::check!()
        .with_iterations(3_000)
        .with_max_len(64)
        .for_each(target);
}

#[test]
fn segments_of_any_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.vseg");
    bolero::check!()
        .with_iterations(1_000)
        .with_max_len(10_000)
        .for_each(|input: &[u8]| {
            let mut bytes = [&b"VULTSEG\x1a\x01\0\0\0\0\x10\0\0"[..], input].concat();
            seal(&mut bytes);
            assert!(
                open(&path, &bytes)
                    .and_then(|segment| read_all(&segment))
                    .is_err()
            );
            let _ = check(&path, &bytes);
        });
}
