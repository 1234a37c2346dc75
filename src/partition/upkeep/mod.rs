//! Keeping a partition in order: merging segments, reading them again, mending them.
//!
//! * `compaction` decides what to make anew, and `rewrite` does it.
//! * `verify` reads everything again, when somebody asks or without end in the background.
//! * `repair` mends what one of them found damaged.

mod compaction;
mod repair;
mod rewrite;
mod verify;

pub use self::repair::RepairedSegment;
pub use self::rewrite::Compacted;
pub use self::verify::{Damage, Verified};
