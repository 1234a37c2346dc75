//! Comparing a segment with its checksums from front to back, wherever its bytes come from: a file,
//! an archive, or a file on its way into an archive.

use std::ops::Range;
use std::path::{Path, PathBuf};

use bytemuck::Zeroable;
use crc_fast::{CrcAlgorithm, Digest};
use serde::Serialize;

use super::format::{
    BLOCK_BYTES, Header, MAGIC, PAGE_BYTES, Plane, RawHeader, Unchecked, checksum,
};
use crate::partition::StoreError;

/// Bytes that are not what was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DamagedBytes {
    /// Where in the file.
    pub offset: u64,
    /// What was looked at.
    pub what: &'static str,
    /// The rows that are lost with it, the first and the last, where it belongs to rows.
    pub rows: Option<(usize, usize)>,
    /// What should stand there.
    pub expected: String,
    /// What does stand there.
    pub found: String,
}

/// What a segment is found to be.
#[derive(Clone, Debug, Serialize)]
pub struct SegmentReport {
    /// Bytes of the file.
    pub bytes: u64,
    /// The fields of the header as they stand there; none where the file has no header.
    pub header: Option<HeaderFields>,
    /// The planes, in order; none where the header is damaged.
    pub planes: Vec<PlaneReport>,
    /// The checksum table; none where the header is damaged.
    pub table: Option<TableReport>,
    /// All that is wrong.
    pub damage: Vec<DamagedBytes>,
}

/// The fields of a segment's header.
#[derive(Clone, Debug, Serialize)]
pub struct HeaderFields {
    /// The version of the format.
    pub version: u32,
    /// The number of the segment.
    pub segment: u64,
    /// The number of its partition.
    pub partition: u64,
    /// The name of that partition, where the segment has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition_name: Option<String>,
    /// The identity of the data directory that it was written in, 16 hexadecimal digits; older
    /// segments have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_directory: Option<String>,
    /// The encoder.
    pub encoder: String,
    /// Values of a row.
    pub dimension: u32,
    /// Rows, removed ones included.
    pub rows: u64,
    /// When it was written, in milliseconds since 1970 in UTC.
    pub created_unix_milliseconds: i64,
    /// Bytes of the header.
    pub header_bytes: u32,
    /// Bytes that a checksum covers.
    pub block_bytes: u32,
    /// Number of planes.
    pub plane_count: u32,
    /// The checksum of the header, 16 hexadecimal digits.
    pub header_checksum: String,
}

/// Where a plane lies, and what became of it.
#[derive(Clone, Debug, Serialize)]
pub struct PlaneReport {
    /// Its number.
    pub kind: u32,
    /// Its name.
    pub name: &'static str,
    /// Where in the file.
    pub offset: u64,
    /// Its length.
    pub bytes: u64,
    /// Bytes of one row.
    pub row_bytes: usize,
    /// How many blocks have a checksum of their own.
    pub blocks: usize,
    /// How many of them differ from it, or are missing.
    pub damaged_blocks: usize,
}

/// The checksum table.
#[derive(Clone, Debug, Serialize)]
pub struct TableReport {
    /// Where in the file.
    pub offset: u64,
    /// Its length.
    pub bytes: u64,
    /// Its checksum by the header, 16 hexadecimal digits.
    pub checksum: String,
    /// Whether it has that checksum.
    pub whole: bool,
}

/// A segment that passes by. Keeps 8 bytes for each 64 KiB.
pub(in crate::partition) struct SegmentCheck {
    path: PathBuf,
    file_bytes: u64,
    /// How many bytes went by.
    position: usize,
    page: Vec<u8>,
    fields: Option<HeaderFields>,
    header: Option<Header>,
    digest: Digest,
    /// Of every block that went by, as they lie in the file.
    found: Vec<u64>,
    table: Vec<u8>,
    tags: Vec<u8>,
    damage: Vec<DamagedBytes>,
}

impl DamagedBytes {
    /// DamagedBytes as an error.
    pub(in crate::partition) fn into_error(self, path: &Path) -> StoreError {
        StoreError::Damaged {
            path: path.to_owned(),
            offset: self.offset,
            what: self.what,
            expected: self.expected,
            found: self.found,
        }
    }
}

/// A part of the file, by what it is for.
enum Part {
    Block,
    Table,
    Tags,
    /// Zeros between planes, or bytes behind the end.
    Nothing,
}

impl SegmentCheck {
    /// A segment in a file of `file_bytes` bytes. `path` is for messages.
    pub(in crate::partition) fn new(path: &Path, file_bytes: u64) -> SegmentCheck {
        SegmentCheck {
            path: path.to_owned(),
            file_bytes,
            position: 0,
            page: Vec::with_capacity(PAGE_BYTES),
            fields: None,
            header: None,
            digest: Digest::new(CrcAlgorithm::Crc64Nvme),
            found: Vec::new(),
            table: Vec::new(),
            tags: Vec::new(),
            damage: Vec::new(),
        }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    ///
    /// If the segment is newer than this build.
    pub(in crate::partition) fn update(&mut self, mut bytes: &[u8]) -> Result<(), StoreError> {
        if self.page.len() < PAGE_BYTES {
            let room = PAGE_BYTES - self.page.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.page.extend_from_slice(now);
            self.position += now.len();
            bytes = later;
            if self.page.len() == PAGE_BYTES {
                self.take_header()?;
            }
        }
        let Some(header) = &self.header else {
            return Ok(());
        };
        while !bytes.is_empty() {
            let (part, range) = part_at(header, self.position);
            let (now, later) = bytes.split_at((range.end - self.position).min(bytes.len()));
            self.position += now.len();
            bytes = later;
            match part {
                Part::Block => {
                    self.digest.update(now);
                    if self.position == range.end {
                        self.found.push(self.digest.finalize_reset());
                    }
                }
                Part::Table => self.table.extend_from_slice(now),
                Part::Tags => self.tags.extend_from_slice(now),
                Part::Nothing => {}
            }
        }
        Ok(())
    }

    /// Says what was found.
    pub(in crate::partition) fn finish(mut self) -> SegmentReport {
        let mut planes = Vec::new();
        let mut table = None;
        if let Some(header) = self.header.take() {
            table = Some(self.compare_table(&header));
            self.compare_tags(&header);
            planes = Plane::ALL
                .map(|plane| self.compare_plane(&header, plane))
                .into();
            self.damage.sort_by_key(|damage| damage.offset);
        } else if self.page.len() < PAGE_BYTES {
            let expected = format!("at least {PAGE_BYTES}");
            self.push(
                self.page.len(),
                "length of the file in bytes",
                expected,
                self.file_bytes.to_string(),
            );
        }
        SegmentReport {
            bytes: self.file_bytes,
            header: self.fields,
            planes,
            table,
            damage: self.damage,
        }
    }

    /// Reads the header, and compares the length of the file with it.
    fn take_header(&mut self) -> Result<(), StoreError> {
        let page: [u8; PAGE_BYTES] = self.page[..].try_into().expect("a page is complete");
        let mut raw = Box::new(RawHeader::zeroed());
        bytemuck::bytes_of_mut(&mut *raw).copy_from_slice(&page);
        if raw.magic == MAGIC {
            self.fields = Some(HeaderFields::new(&raw));
        }
        // With the length that the header implies, so that a file that was cut is looked at, too.
        let end = raw.file_bytes();
        let checked = Unchecked::parse(&self.path, &page)
            .and_then(|unchecked| unchecked.check(&self.path, end));
        match checked {
            Ok(header) => {
                if self.file_bytes != end {
                    let at = usize::try_from(self.file_bytes.min(end)).unwrap_or(usize::MAX);
                    let expected = end.to_string();
                    self.push(
                        at,
                        "length of the file in bytes",
                        expected,
                        self.file_bytes.to_string(),
                    );
                }
                self.header = Some(header);
            }
            Err(StoreError::Damaged {
                offset,
                what,
                expected,
                found,
                ..
            }) => self.damage.push(DamagedBytes {
                offset,
                what,
                rows: None,
                expected,
                found,
            }),
            Err(other) => return Err(other),
        }
        Ok(())
    }

    fn compare_table(&mut self, header: &Header) -> TableReport {
        let table = &header.plan.table;
        let expected = format!("{:016x}", header.table_checksum);
        let found = match self.table.len() == table.len() {
            true => format!("{:016x}", checksum(&self.table)),
            false => format!("{} of {} bytes", self.table.len(), table.len()),
        };
        let whole = found == expected;
        if !whole {
            self.push(table.start, "checksum table", expected.clone(), found);
        }
        TableReport {
            offset: table.start as u64,
            bytes: table.len() as u64,
            checksum: expected,
            whole,
        }
    }

    /// What encrypted blocks are authenticated by. Whether they are needs the key.
    fn compare_tags(&mut self, header: &Header) {
        let tags = &header.plan.tags;
        let expected = format!("{:016x}", header.tags_checksum);
        let found = match self.tags.len() == tags.len() {
            true => format!("{:016x}", checksum(&self.tags)),
            false => format!("{} of {} bytes", self.tags.len(), tags.len()),
        };
        if header.seal.is_some() && found != expected {
            self.push(tags.start, "tags of blocks", expected, found);
        }
    }

    fn compare_plane(&mut self, header: &Header, plane: Plane) -> PlaneReport {
        let entry = header.plan.plane(plane);
        let row_bytes = plane.row_bytes(header.layout);
        let blocks = entry.length.div_ceil(BLOCK_BYTES);
        let mut damaged_blocks = 0;
        for block in 0..blocks {
            let at = entry.first_block + block;
            let (expected, found) = (self.table_entry(at), self.found.get(at).copied());
            // Without its entry in the table a block can be neither whole nor damaged.
            if found.is_some() && (expected.is_none() || expected == found) {
                continue;
            }
            damaged_blocks += 1;
            let start = block * BLOCK_BYTES;
            let last = (start + BLOCK_BYTES).min(entry.length) - 1;
            let hex = |value: Option<u64>, none: &str| {
                value.map_or(none.to_owned(), |value| format!("{value:016x}"))
            };
            self.damage.push(DamagedBytes {
                offset: (entry.offset + start) as u64,
                what: plane.name(),
                // The class order is not in the order of rows.
                rows: (plane != Plane::ClassOrder).then_some((start / row_bytes, last / row_bytes)),
                expected: hex(expected, "unknown"),
                found: hex(found, "the end of the file"),
            });
        }
        PlaneReport {
            kind: plane as u32,
            name: plane.name(),
            offset: entry.offset as u64,
            bytes: entry.length as u64,
            row_bytes,
            blocks,
            damaged_blocks,
        }
    }

    fn table_entry(&self, at: usize) -> Option<u64> {
        let bytes = self.table.get(at * size_of::<u64>()..)?;
        bytes.first_chunk().copied().map(u64::from_le_bytes)
    }

    fn push(&mut self, offset: usize, what: &'static str, expected: String, found: String) {
        self.damage.push(DamagedBytes {
            offset: offset as u64,
            what,
            rows: None,
            expected,
            found,
        });
    }
}

impl HeaderFields {
    fn new(raw: &RawHeader) -> HeaderFields {
        let encoder = &raw.encoder[..raw.encoder.len().min(raw.encoder_bytes as usize)];
        HeaderFields {
            version: raw.version,
            segment: raw.segment,
            partition: raw.partition,
            partition_name: raw.name_of_partition(),
            data_directory: (raw.identity != 0).then(|| format!("{:016x}", raw.identity)),
            encoder: String::from_utf8_lossy(encoder).into_owned(),
            dimension: raw.dimension,
            rows: raw.rows,
            created_unix_milliseconds: raw.created_unix_milliseconds,
            header_bytes: raw.header_bytes,
            block_bytes: raw.block_bytes,
            plane_count: raw.plane_count,
            header_checksum: format!("{:016x}", raw.header_checksum),
        }
    }
}

/// The part in which a position lies, and where that part begins and ends.
fn part_at(header: &Header, position: usize) -> (Part, Range<usize>) {
    let plan = &header.plan;
    for entry in &plan.planes {
        let end = entry.offset + entry.length;
        if position < entry.offset {
            return (Part::Nothing, position..entry.offset);
        }
        if position < end {
            let start = position - (position - entry.offset) % BLOCK_BYTES;
            return (Part::Block, start..(start + BLOCK_BYTES).min(end));
        }
    }
    if position < plan.table.start {
        (Part::Nothing, position..plan.table.start)
    } else if position < plan.table.end {
        (Part::Table, plan.table.clone())
    } else if position < plan.tags.end {
        (Part::Tags, plan.tags.clone())
    } else {
        (Part::Nothing, position..usize::MAX)
    }
}
