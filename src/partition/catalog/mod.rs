//! The truth about a data directory: one redb file that names everything else.
//!
//! `tables` says what is in it and reads it, `commit` is the one way to change it, `copy` writes it
//! anew, `fill` keeps room ahead of it, `lost` tells a new data directory from one whose catalog is
//! missing, `rebuilt` makes one of what segments say, `resume` goes on after the disk was full, and
//! `witness` tells an older one from the last.
//! What else is in a data directory belongs to [`super::files`].

mod commit;
mod copy;
mod fill;
mod lost;
mod rebuilt;
mod resume;
mod tables;
mod witness;

pub(super) use self::commit::{Change, Commits, Group, Halt};
pub(super) use self::copy::{copy_to, remove_leftover};
pub(super) use self::lost::{CATALOG_FILE, refuse_if_lost, trace_of_lost};
pub(super) use self::rebuilt::{Rebuilt, create_rebuilt};
pub use self::tables::AcceptedCatalog;
pub(super) use self::tables::{
    Catalog, Contents, META, META_CHANGES, META_IDENTITY, META_NEXT, META_VERSION, PARTITIONS,
    PartitionEntry, RETIRED, SEGMENTS, STATE, SegmentEntry, TAIL, TOMBSTONES, Tables,
    check_version, copy_in_memory, damage, failure, guarded, key_of_name, key_of_numbers,
    key_of_state, unsealed,
};
