//! Keeping a partition in order: merging segments, reading them again, mending them.
//!
//! * `compaction` decides what to make anew, and `rewrite` does it.
//! * `verify` reads everything again once, when somebody asks; `scrub` does so in the background.
//! * `repair` mends the segments that either of them found damaged.
//! * `rebuild` makes the catalog anew, where it is lost, of what segments say.
//!
//! When each of them runs is for [`super::Store`] and [`super::Maintenance`] to say.

mod compaction;
mod rebuild;
mod repair;
mod rewrite;
mod scrub;
mod verify;

pub(super) use self::rebuild::rebuild;
pub use self::rebuild::{RebuiltCatalog, RebuiltPartition};
pub(super) use self::repair::Repair;
pub use self::repair::RepairedSegment;
pub use self::rewrite::Compacted;
pub(super) use self::scrub::{report, scrub};
pub(super) use self::verify::verify;
pub use self::verify::{Damage, Verified};
