//! Template rows on disk that survive a crash: a catalog, sealed segments, and snapshots of both.
//!
//! ```text
//! DIR/catalog.redb                     the truth: partitions, the tail, tombstones, live segments
//! DIR/segments/<partition>/<id>.vseg   sealed rows, immutable, mapped into memory
//! ```
//!
//! * A new template goes into the *tail*: a catalog transaction on disk, a small block in memory.
//!   The transaction is synced before the call returns.
//! * A long tail is *sealed* into a segment. The file is written completely, synced and checked,
//!   and only then named by a catalog transaction; a file that no transaction names is deleted when
//!   its partition is next opened.
//! * A removed template of a segment gets a *tombstone* in the catalog.
//! * A [`Snapshot`] is all of this at one moment. Readers hold one and never wait; writers publish
//!   a new one after their transaction is durable.
//!
//! Every partition is bound to one encoder; templates of another are refused. `docs/file-format.md`
//! describes every byte. What a probe is and how it is scored is not known here.

mod archive;
mod backup;
mod batch;
mod catalog;
mod check;
mod commit;
mod compaction;
mod copy;
mod dead;
mod disk;
mod error;
mod files;
mod fill;
mod findings;
mod format;
#[cfg(test)]
mod fuzz;
mod gallery;
mod health;
mod inspect;
mod maintenance;
mod map;
mod pace;
mod repair;
mod rewrite;
mod rows;
mod segment;
mod snapshot;
mod store;
mod tail;
#[cfg(test)]
mod tests;
mod verify;
mod writer;

pub use archive::{ArchivedFile, Entry, Manifest, PartitionContents, verify_archive};
pub use backup::restore_archive;
pub use batch::{Import, Note, TemplateBatch};
pub use check::{DamagedBytes, HeaderFields, PlaneReport, SegmentReport, TableReport};
pub use error::StoreError;
pub use format::TemplateInfo;
pub use gallery::{Enrolled, NewTemplate, Partition};
pub use health::{Health, PartitionHealth};
pub use inspect::{
    CatalogReport, EntryDamage, Inspection, PartitionReport, SnapshotReport, StateReport, inspect,
};
pub use maintenance::{Maintenance, MaintenanceOptions};
pub use pace::Pace;
pub use repair::RepairedSegment;
pub use rewrite::Compacted;
pub use snapshot::{Block, Snapshot};
pub use store::{Erased, PartitionSummary, StateValue, Store};
pub use verify::{Damage, Verified};
