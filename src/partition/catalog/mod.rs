//! The truth about a data directory: one redb file that names everything else.
//!
//! `opened` is that file, open, and `tables` says what is in it and reads it, each value with a
//! checksum (`sealed`); what redb reports is sorted in `failures`. `database` is that file for redb, and
//! `commit` the one way to change it, `copy` writes it anew, `enciphered` encrypts its pages where there are
//! keys, `encrypt` makes one of a plain one, `fill` keeps room ahead of it, `gone` takes a whole partition out
//! of it, `lost` tells a new data directory from one whose catalog is missing, `records` says what is known of
//! people, `rebuilt` makes one of what segments say, `removals` says what was removed and may still be in
//! files, `erasing` notes it, `resume` goes on after the disk was full, `witness` tells an older one from the
//! last, and `undone` one whose last change is damaged, where the witness is lost.
//! What else is in a data directory belongs to [`super::files`].

mod commit;
mod copy;
mod database;
mod enciphered;
mod encrypt;
mod erasing;
mod failures;
mod fill;
mod gone;
mod lost;
mod opened;
mod portraits;
mod rebuilt;
mod records;
mod removals;
mod resume;
mod sealed;
mod tables;
mod undone;
mod witness;

pub(super) use self::commit::{Change, Commits, Group, Halt};
pub(super) use self::copy::{copy_to, remove_leftover};
pub(super) use self::database::copy_in_memory;
#[cfg(test)]
pub(super) use self::database::deciphered;
pub(super) use self::enciphered::ENCIPHERED_MAGIC;
pub(super) use self::encrypt::encrypt;
pub(super) use self::failures::{damage, failure, guarded};
pub use self::gone::StateOf;
pub(super) use self::lost::{CATALOG_FILE, refuse_if_lost, trace_of_lost};
pub use self::opened::AcceptedCatalog;
pub(super) use self::opened::Catalog;
pub(super) use self::portraits::PortraitOf;
pub(super) use self::rebuilt::{Rebuilt, create_rebuilt};
pub(super) use self::records::{key_of_class, key_of_classes, key_of_id, key_of_text};
pub(super) use self::removals::{ErasedUntil, Unerased};
pub(super) use self::sealed::{key_of_name, key_of_numbers, key_of_state, unsealed};
pub(super) use self::tables::{
    CHOSEN_CLASSES, Contents, EXPIRIES, EXTERNAL_IDS, LABELS, LAST_MATCHES, META, META_CHANGES,
    META_IDENTITY, META_NEXT, META_VERSION, NAMES, NOT_SAME, PARTITIONS, PORTRAITS, PartitionEntry,
    RECORDS, REMOVED, RETIRED, SEGMENTS, STATE, SegmentEntry, TAIL, THRESHOLDS, TOMBSTONES, Tables,
    check_version,
};
