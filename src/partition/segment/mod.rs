//! One sealed segment: what its bytes are, and how they are written, mapped and compared.
//!
//! A segment never changes. Everything here knows one file and no catalog: [`SegmentWriter`] makes
//! it, [`Segment`] maps it and compares each block with its checksum when it is first read, or
//! decrypts it into a place of its own if it has a [`Seal`]; a [`Pass`] reads all of it once, and
//! [`SegmentCheck`] compares all of it while it streams by, wherever its bytes come from. [`Rows`]
//! is what is stored of some rows, and [`DeadRows`] which of them are removed.

mod dead;
mod format;
#[cfg(test)]
mod fuzz;
mod map;
mod pass;
mod read;
mod rows;
mod seal;
mod stream_check;
mod write;

pub(super) use self::dead::DeadRows;
pub(super) use self::format::PAGE_BYTES;
pub use self::format::TemplateInfo;
pub(super) use self::format::{
    BLOCK_BYTES, CHECKSUM_SECTOR, ENCODER_OFFSET, Header, MAGIC, Plan, Plane, ROWS_MAX, checksum,
};
#[cfg(test)]
pub(super) use self::fuzz::Edits;
pub(super) use self::pass::Pass;
pub(super) use self::read::{
    Named, Segment, draft_of, is_another_segment, open_segment_file, read_header,
};
pub(super) use self::rows::Rows;
pub(super) use self::seal::{Owner, Seal, SegmentCipher};
pub(super) use self::stream_check::SegmentCheck;
pub use self::stream_check::{DamagedBytes, HeaderFields, PlaneReport, SegmentReport, TableReport};
pub(super) use self::write::{Finished, SegmentName, SegmentWriter};
