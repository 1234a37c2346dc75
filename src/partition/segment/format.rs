//! The bytes of a segment's first page: what stands where, and what is refused.
//!
//! Reading takes two steps. [`Unchecked::parse`] looks at the page alone and refuses nonsense
//! before any arithmetic could overflow; [`Unchecked::check`] compares it with the length of the
//! file and yields a [`Header`], the only thing from which planes can be read.

use std::mem::offset_of;
use std::num::NonZeroU64;
use std::ops::Range;
use std::path::Path;

use bytemuck::{Pod, Zeroable};

use super::seal::Seal;
use crate::code::Layout;
use crate::kernel::Line;
use crate::partition::StoreError;
use crate::secrets::{Salt, TAG_BYTES, Tag};
use crate::types::{DIMENSION_MAX, DIMENSION_MIN, Timestamp};

#[cfg(target_endian = "big")]
compile_error!("segments are mapped as they lie, in little-endian order");

/// The first bytes of every segment.
pub(in crate::partition) const MAGIC: [u8; 8] = *b"VULTSEG\x1a";
/// The version that is written of a segment that anybody can read.
pub(in crate::partition) const VERSION: u32 = 1;
/// The version of an encrypted segment, and the newest that is read.
pub(in crate::partition) const VERSION_SEALED: u32 = 2;
/// The oldest version that is read.
pub(in crate::partition) const VERSION_OLDEST: u32 = 1;
/// The header fills one page, and every plane starts on one.
pub(in crate::partition) const PAGE_BYTES: usize = 4096;
/// The end of the header with its checksum, in a sector of its own. It is not overwritten when all else of a
/// segment is, so that a file of which a crash has left some sectors is known by it.
pub(in crate::partition) const CHECKSUM_SECTOR: Range<u64> =
    PAGE_BYTES as u64 - 512..PAGE_BYTES as u64;
/// A checksum covers this many bytes of a plane.
pub(in crate::partition) const BLOCK_BYTES: usize = 65_536;
/// Where the header has the identity of the data directory.
pub(in crate::partition) const IDENTITY_OFFSET: usize = offset_of!(RawHeader, identity);
/// Where the header has the name of the encoder.
pub(in crate::partition) const ENCODER_OFFSET: usize = offset_of!(RawHeader, encoder);
/// The most rows of a segment: a row number fits 32 bits with room for arithmetic.
pub(in crate::partition) const ROWS_MAX: usize = 1 << 31;

/// The parts of a row, each in a plane of its own, in the order in which they lie in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(in crate::partition) enum Plane {
    High = 1,
    Low = 2,
    Scales = 3,
    ResidualsCoarse = 4,
    ResidualsFine = 5,
    Lengths = 6,
    Classes = 7,
    Infos = 8,
    ClassOrder = 9,
    Values = 10,
}

impl Plane {
    pub(in crate::partition) const ALL: [Plane; 10] = [
        Plane::High,
        Plane::Low,
        Plane::Scales,
        Plane::ResidualsCoarse,
        Plane::ResidualsFine,
        Plane::Lengths,
        Plane::Classes,
        Plane::Infos,
        Plane::ClassOrder,
        Plane::Values,
    ];

    /// The name used in messages and in `docs/file-format.md`.
    pub(in crate::partition) fn name(self) -> &'static str {
        match self {
            Plane::High => "high nibbles",
            Plane::Low => "low nibbles",
            Plane::Scales => "scales",
            Plane::ResidualsCoarse => "coarse residuals",
            Plane::ResidualsFine => "fine residuals",
            Plane::Lengths => "lengths",
            Plane::Classes => "classes",
            Plane::Infos => "template infos",
            Plane::ClassOrder => "class order",
            Plane::Values => "values",
        }
    }

    pub(in crate::partition) fn row_bytes(self, layout: Layout) -> usize {
        match self {
            Plane::High | Plane::Low => layout.nibble_lines() * size_of::<Line>(),
            Plane::Scales | Plane::ResidualsCoarse | Plane::ResidualsFine => size_of::<f32>(),
            Plane::Lengths => size_of::<f64>(),
            Plane::Classes => size_of::<i64>(),
            Plane::Infos => size_of::<TemplateInfo>(),
            Plane::ClassOrder => size_of::<u32>(),
            Plane::Values => layout.value_lines() * size_of::<Line>(),
        }
    }
}

/// What is known of a template besides its class and values.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct TemplateInfo {
    /// A number that no other template of the partition has or had.
    pub template: u64,
    /// When it was enrolled, in milliseconds since 1970 in UTC.
    pub enrolled_unix_milliseconds: i64,
    /// The quality of its sample, from 0 to 1; NaN where it is not known.
    pub quality: f32,
    /// Zero.
    pub reserved: u32,
}

/// The header as it lies in the file.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(super) struct RawHeader {
    pub(super) magic: [u8; 8],
    pub(in crate::partition) version: u32,
    pub(super) header_bytes: u32,
    pub(in crate::partition) rows: u64,
    pub(in crate::partition) dimension: u32,
    pub(super) plane_count: u32,
    pub(super) block_bytes: u32,
    pub(super) encoder_bytes: u32,
    pub(in crate::partition) segment: u64,
    pub(in crate::partition) partition: u64,
    pub(in crate::partition) created_unix_milliseconds: i64,
    pub(super) table_offset: u64,
    pub(super) table_bytes: u64,
    pub(super) table_checksum: u64,
    /// Of the data directory; 0 where it is not known.
    pub(in crate::partition) identity: u64,
    pub(super) name_bytes: u32,
    pub(in crate::partition) reserved: [u8; 28],
    pub(in crate::partition) planes: [RawPlane; 32],
    pub(in crate::partition) encoder: [u8; 256],
    /// The name of the partition; empty where it is not known.
    pub(super) name: [u8; 256],
    /// Of an encrypted segment: what makes its key differ from all others.
    pub(super) salt: Salt,
    /// Of an encrypted segment: what the header is authenticated by.
    pub(super) tag: Tag,
    /// Of an encrypted segment: the checksum of the tags of its blocks.
    pub(super) tags_checksum: u64,
    pub(in crate::partition) zero: [u8; 2384],
    pub(in crate::partition) header_checksum: u64,
}

/// One plane's entry in the header.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(super) struct RawPlane {
    pub(in crate::partition) kind: u32,
    pub(in crate::partition) row_bytes: u32,
    pub(in crate::partition) offset: u64,
    pub(super) length_bytes: u64,
    pub(in crate::partition) first_block: u64,
}

const _: () = {
    assert!(size_of::<RawHeader>() == PAGE_BYTES);
    assert!(offset_of!(RawHeader, rows) == 16);
    assert!(offset_of!(RawHeader, table_offset) == 64);
    assert!(offset_of!(RawHeader, planes) == 128);
    assert!(IDENTITY_OFFSET == 88);
    assert!(ENCODER_OFFSET == 1152);
    assert!(offset_of!(RawHeader, name) == 1408);
    assert!(offset_of!(RawHeader, salt) == 1664);
    assert!(offset_of!(RawHeader, tag) == 1680);
    assert!(offset_of!(RawHeader, header_checksum) == PAGE_BYTES - 8);
    assert!(size_of::<RawPlane>() == 32);
    assert!(size_of::<TemplateInfo>() == 24);
};

impl RawHeader {
    /// The name of the partition, where the header has one.
    pub(super) fn name_of_partition(&self) -> Option<String> {
        let bytes = self.name.get(..self.name_bytes as usize)?;
        let name = std::str::from_utf8(bytes).ok()?;
        (!name.is_empty()).then(|| name.to_owned())
    }

    /// What an encrypted segment says of its seal.
    pub(super) fn seal(&self) -> Option<Seal> {
        (self.version == VERSION_SEALED).then_some(Seal {
            salt: self.salt,
            tag: self.tag,
        })
    }

    /// How long a file is that has this header.
    pub(super) fn file_bytes(&self) -> u64 {
        let end = self.table_offset.saturating_add(self.table_bytes);
        let tags = match self.version {
            VERSION_SEALED => {
                (self.table_bytes / size_of::<u64>() as u64).saturating_mul(TAG_BYTES as u64)
            }
            _ => 0,
        };
        end.saturating_add(tags)
    }

    /// What the tag of the header covers: all of it but the tag and the checksum.
    pub(super) fn associated(&self) -> Vec<u8> {
        let bare = RawHeader {
            tag: [0; TAG_BYTES],
            header_checksum: 0,
            ..*self
        };
        bytemuck::bytes_of(&bare).to_vec()
    }
}

impl TemplateInfo {
    /// What is known of a template that has no number yet.
    pub(in crate::partition) fn new(quality: f32, enrolled: Timestamp) -> TemplateInfo {
        TemplateInfo {
            template: 0,
            enrolled_unix_milliseconds: enrolled.unix_milliseconds,
            quality,
            reserved: 0,
        }
    }
}

/// CRC-64/NVME, as registered in the catalogue of parametrised CRC algorithms.
pub(in crate::partition) fn checksum(bytes: &[u8]) -> u64 {
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, bytes)
}

/// Where a plane lies, and which checksums are its own.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::partition) struct PlaneEntry {
    pub(in crate::partition) offset: usize,
    pub(in crate::partition) length: usize,
    pub(in crate::partition) first_block: usize,
}

/// Where everything of a segment of so many rows lies. Writing and reading both use it, so that a
/// header which says otherwise is refused.
#[derive(Clone, Debug)]
pub(in crate::partition) struct Plan {
    pub(in crate::partition) planes: [PlaneEntry; Plane::ALL.len()],
    pub(in crate::partition) table: Range<usize>,
    /// What the blocks of an encrypted segment are authenticated by; empty for others.
    pub(in crate::partition) tags: Range<usize>,
}

impl Plan {
    /// # Panics
    ///
    /// Panics if there are more than [`ROWS_MAX`] rows; callers check.
    pub(in crate::partition) fn new(layout: Layout, rows: usize) -> Plan {
        assert!(rows <= ROWS_MAX, "a segment has at most {ROWS_MAX} rows");
        let mut offset = PAGE_BYTES;
        let mut blocks = 0;
        let planes = Plane::ALL.map(|plane| {
            let length = rows * plane.row_bytes(layout);
            let entry = PlaneEntry {
                offset,
                length,
                first_block: blocks,
            };
            offset = (offset + length).next_multiple_of(PAGE_BYTES);
            blocks += length.div_ceil(BLOCK_BYTES);
            entry
        });
        let end = offset + blocks * size_of::<u64>();
        Plan {
            planes,
            table: offset..end,
            tags: end..end,
        }
    }

    /// The same, encrypted: tags follow the checksums.
    pub(in crate::partition) fn sealed(self) -> Plan {
        let start = self.table.end;
        let tags = start..start + self.blocks() * TAG_BYTES;
        Plan { tags, ..self }
    }

    /// How many blocks there are in all planes.
    pub(in crate::partition) fn blocks(&self) -> usize {
        self.table.len() / size_of::<u64>()
    }

    /// Where the file ends.
    pub(in crate::partition) fn end(&self) -> usize {
        self.tags.end
    }

    /// Where a block of a plane lies in the file.
    pub(in crate::partition) fn block(&self, plane: Plane, block: usize) -> Range<usize> {
        let entry = self.plane(plane);
        let start = entry.offset + block * BLOCK_BYTES;
        start..(start + BLOCK_BYTES).min(entry.offset + entry.length)
    }

    pub(in crate::partition) fn plane(&self, plane: Plane) -> PlaneEntry {
        self.planes[plane as usize - 1]
    }
}

/// A header page that is well-formed in itself.
pub(super) struct Unchecked {
    raw: Box<RawHeader>,
}

/// A header that agrees with its file: every plane lies within it.
#[derive(Clone, Debug)]
pub(in crate::partition) struct Header {
    pub(in crate::partition) rows: usize,
    pub(in crate::partition) layout: Layout,
    pub(in crate::partition) segment: u64,
    pub(in crate::partition) partition: u64,
    pub(in crate::partition) encoder: String,
    /// The identity of the data directory that it was written in, where it is known.
    pub(in crate::partition) identity: Option<NonZeroU64>,
    /// The name of its partition, where it is known.
    pub(in crate::partition) name: Option<String>,
    pub(in crate::partition) plan: Plan,
    pub(super) table_checksum: u64,
    pub(super) tags_checksum: u64,
    pub(in crate::partition) header_checksum: u64,
    /// Of an encrypted segment.
    pub(in crate::partition) seal: Option<Seal>,
}

impl Unchecked {
    /// The checksum of the header, by which segments can be told apart.
    pub(in crate::partition) fn header_checksum(&self) -> u64 {
        self.raw.header_checksum
    }

    pub(in crate::partition) fn parse(
        path: &Path,
        page: &[u8; PAGE_BYTES],
    ) -> Result<Unchecked, StoreError> {
        let mut raw = Box::new(RawHeader::zeroed());
        bytemuck::bytes_of_mut(&mut *raw).copy_from_slice(page);
        let damaged = |offset: usize, what, expected: String, found: String| StoreError::Damaged {
            path: path.to_owned(),
            offset: offset as u64,
            what,
            expected,
            found,
        };
        if raw.magic != MAGIC {
            let (expected, found) = (hex(&MAGIC), hex(&raw.magic));
            return Err(damaged(0, "first bytes of a segment", expected, found));
        }
        // The checksum comes before the version: a damaged version is damage, not the future.
        let found = checksum(&page[..offset_of!(RawHeader, header_checksum)]);
        if found != raw.header_checksum {
            let at = offset_of!(RawHeader, header_checksum);
            let expected = format!("{:016x}", raw.header_checksum);
            return Err(damaged(
                at,
                "checksum of the header",
                expected,
                format!("{found:016x}"),
            ));
        }
        if !(VERSION_OLDEST..=VERSION_SEALED).contains(&raw.version) {
            return Err(StoreError::Version {
                path: path.to_owned(),
                found: raw.version,
                oldest: VERSION_OLDEST,
                newest: VERSION_SEALED,
            });
        }
        let constants = [
            (
                "header bytes",
                offset_of!(RawHeader, header_bytes),
                raw.header_bytes,
                PAGE_BYTES,
            ),
            (
                "number of planes",
                offset_of!(RawHeader, plane_count),
                raw.plane_count,
                Plane::ALL.len(),
            ),
            (
                "block bytes",
                offset_of!(RawHeader, block_bytes),
                raw.block_bytes,
                BLOCK_BYTES,
            ),
        ];
        for (what, offset, found, expected) in constants {
            if found as usize != expected {
                return Err(damaged(
                    offset,
                    what,
                    expected.to_string(),
                    found.to_string(),
                ));
            }
        }
        let dimension = raw.dimension as usize;
        if !(DIMENSION_MIN..=DIMENSION_MAX).contains(&dimension) {
            let expected = format!("{DIMENSION_MIN} to {DIMENSION_MAX}");
            let at = offset_of!(RawHeader, dimension);
            return Err(damaged(at, "dimension", expected, dimension.to_string()));
        }
        if raw.rows > ROWS_MAX as u64 {
            let expected = format!("at most {ROWS_MAX}");
            return Err(damaged(
                offset_of!(RawHeader, rows),
                "rows",
                expected,
                raw.rows.to_string(),
            ));
        }
        if raw.encoder_bytes as usize > raw.encoder.len() {
            let at = offset_of!(RawHeader, encoder_bytes);
            let expected = format!("at most {}", raw.encoder.len());
            return Err(damaged(
                at,
                "encoder bytes",
                expected,
                raw.encoder_bytes.to_string(),
            ));
        }
        Ok(Unchecked { raw })
    }

    /// What the tag of an encrypted segment's header covers.
    pub(super) fn associated(&self) -> Vec<u8> {
        self.raw.associated()
    }

    pub(in crate::partition) fn check(
        &self,
        path: &Path,
        file_bytes: u64,
    ) -> Result<Header, StoreError> {
        let raw = &*self.raw;
        let rows = usize::try_from(raw.rows).expect("parse has limited the rows");
        let layout = Layout::new(raw.dimension as usize);
        let seal = raw.seal();
        let plan = Plan::new(layout, rows);
        let plan = if seal.is_some() { plan.sealed() } else { plan };
        let damaged = |offset: usize, what, expected: usize, found: u64| StoreError::Damaged {
            path: path.to_owned(),
            offset: offset as u64,
            what,
            expected: expected.to_string(),
            found: found.to_string(),
        };
        for (at, (plane, entry)) in Plane::ALL.iter().zip(&plan.planes).enumerate() {
            let found = raw.planes[at];
            let here = offset_of!(RawHeader, planes) + at * size_of::<RawPlane>();
            let pairs = [
                (plane.row_bytes(layout), u64::from(found.row_bytes)),
                (*plane as usize, u64::from(found.kind)),
                (entry.offset, found.offset),
                (entry.length, found.length_bytes),
                (entry.first_block, found.first_block),
            ];
            for (expected, found) in pairs {
                if expected as u64 != found {
                    return Err(damaged(here, plane.name(), expected, found));
                }
            }
        }
        let table_at = offset_of!(RawHeader, table_offset);
        if raw.table_offset != plan.table.start as u64 {
            return Err(damaged(
                table_at,
                "checksum table",
                plan.table.start,
                raw.table_offset,
            ));
        }
        if raw.table_bytes != plan.table.len() as u64 {
            return Err(damaged(
                table_at + 8,
                "checksum table",
                plan.table.len(),
                raw.table_bytes,
            ));
        }
        if file_bytes != plan.end() as u64 {
            let at = usize::try_from(file_bytes).unwrap_or(usize::MAX);
            let at = plan.end().min(at);
            return Err(damaged(
                at,
                "length of the file in bytes",
                plan.end(),
                file_bytes,
            ));
        }
        let encoder = String::from_utf8_lossy(&raw.encoder[..raw.encoder_bytes as usize]);
        Ok(Header {
            rows,
            layout,
            segment: raw.segment,
            partition: raw.partition,
            encoder: encoder.into_owned(),
            identity: NonZeroU64::new(raw.identity),
            name: raw.name_of_partition(),
            plan,
            table_checksum: raw.table_checksum,
            tags_checksum: raw.tags_checksum,
            header_checksum: raw.header_checksum,
            seal,
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_lie_one_behind_the_other_on_pages() {
        let plan = Plan::new(Layout::new(128), 1000);
        let mut end = PAGE_BYTES;
        for entry in plan.planes {
            assert_eq!(entry.offset % PAGE_BYTES, 0);
            assert!(entry.offset >= end && entry.offset - end < PAGE_BYTES);
            end = entry.offset + entry.length;
        }
        // 64 KB of nibbles are one block, twice; values are 512 KB, eight blocks.
        assert_eq!(plan.plane(Plane::High).length, 64_000);
        assert_eq!(plan.plane(Plane::Low).first_block, 1);
        assert_eq!(plan.table.len(), 8 * (9 + 8));
    }

    #[test]
    fn the_largest_segment_does_not_overflow() {
        let plan = Plan::new(Layout::new(DIMENSION_MAX), ROWS_MAX);
        assert!(plan.table.end > ROWS_MAX * DIMENSION_MAX * 5);
    }

    #[test]
    fn checksums_are_those_of_the_catalogue() {
        // Its check value for the text "123456789".
        assert_eq!(checksum(b"123456789"), 0xae8b_1486_0a79_9888);
    }
}
