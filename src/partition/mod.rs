//! Template rows on disk that survive a crash: a catalog, sealed segments, and snapshots of both.
//!
//! ```text
//! DIR/catalog.redb                     the truth: partitions, the tail, tombstones, live segments
//! DIR/segments/<partition>/<id>.vseg   sealed rows, immutable, mapped into memory
//! DIR/gallery.keys                     of an encrypted one: the keys of both
//! ```
//!
//! * A new template goes into the *tail*: a catalog transaction on disk, a small block in memory.
//!   The transaction is synced before the call returns.
//! * A long tail is *sealed* into a segment. The file is written completely, synced and checked,
//!   and only then named by a catalog transaction. Until then it has the name of a draft; a draft
//!   that no transaction names is deleted when its partition is next opened.
//! * What is known of a person, the record of a class, is in the catalog, and changes in one
//!   transaction with templates. It goes with the last of them.
//! * A portrait of a person, where they are stored, is in the catalog, too, and goes with the template
//!   that it is of.
//! * A removed template of a segment gets a *tombstone* in the catalog.
//! * A [`Snapshot`] is all of this at one moment. Readers hold one and never wait; writers publish
//!   a new one after their transaction is durable.
//!
//! Each file and room uses only what stands on a lower line:
//!
//! ```text
//! maintenance
//! erasure    portraits   removal   rotation   encrypting
//! store      inspect
//! upkeep     batch     archive   records   remains
//! partition  health    place
//! strays     admission
//! files
//! catalog
//! shared
//! filter     recognised
//! snapshot
//! tail       findings
//! segment
//! keys
//! disk       pace      totals    overwritten   encryption   few
//! state_value
//! private
//! error
//! ```
//!
//! Eight of them read what was written, each for another question. `segment::stream_check`: is this
//! one segment whole, wherever its bytes come from? [`Store::verify`]: is all that the catalog names
//! whole, and what is damaged? The scrub asks the same of open partitions, without end.
//! [`Store::repair`] mends what they found, and [`Store::health`] tells what was met so far without
//! reading anything. [`inspect()`] says what is in a single file, whole or not, without a data
//! directory. `archive` carries a data directory away in one file and back, and `catalog::copy` writes
//! the catalog anew.
//!
//! Every partition is bound to one encoder; templates of another are refused. `docs/file-format.md`
//! describes every byte. What a probe is and how it is scored is not known here.

mod admission;
mod archive;
mod batch;
mod catalog;
mod disk;
mod encrypting;
mod encryption;
mod erasure;
mod error;
mod few;
mod files;
mod filter;
mod findings;
mod health;
mod inspect;
mod keys;
mod maintenance;
mod overwritten;
mod pace;
#[expect(
    clippy::module_inception,
    reason = "one partition, among all that the folder knows of them"
)]
mod partition;
mod place;
mod portraits;
pub(crate) mod private;
mod recognised;
mod records;
mod remains;
mod removal;
mod rotation;
mod segment;
mod shared;
mod snapshot;
mod state_value;
mod store;
mod strays;
mod tail;
#[cfg(test)]
mod tests;
mod totals;
mod upkeep;

pub use archive::{
    ArchivedFile, Entry, Manifest, PartitionContents, is_sealed_archive, verify_archive,
    verify_archive_with,
};
#[cfg(feature = "web")]
pub(crate) use archive::{OwnSnapshots, remove_drafts, snapshot_name, snapshots_in};
pub use batch::{Import, Note, TemplateBatch};
pub use catalog::{AcceptedCatalog, StateOf};
pub use encrypting::Encrypted;
pub use encryption::Encryption;
pub use erasure::Erased;
pub use error::StoreError;
#[cfg(feature = "web")]
pub(crate) use error::is_no_room;
pub use filter::Rules;
pub use health::{Health, PartitionHealth};
pub use inspect::{
    CatalogReport, EntryDamage, Inspection, PartitionReport, SnapshotReport, StateReport, inspect,
};
pub use keys::Keys;
pub use maintenance::{Maintenance, MaintenanceOptions};
pub use pace::Pace;
pub use partition::{
    Choice, Enrolled, EnrolledPerson, Held, NewTemplate, Partition, Removed, Whom,
};
pub use place::PlaceFault;
pub use records::{Merged, Moved, RecordReader};
pub use removal::RemovedPartition;
pub use rotation::Rotated;
pub use segment::{
    DamagedBytes, HeaderFields, PlaneReport, SegmentReport, TableReport, TemplateInfo,
};
pub use snapshot::{BlockReader, Row, Snapshot, TemplatePass, Templates};
pub use state_value::StateValue;
pub use store::{PartitionSummary, Store, restore_archive, restore_archive_with};
pub use strays::LeftAlone;
pub use totals::Totals;
pub use upkeep::{Compacted, Damage, RebuiltCatalog, RebuiltPartition, RepairedSegment, Verified};
