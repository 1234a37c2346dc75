//! The exact k best classes of a snapshot, for one probe or many.
//!
//! # The answer
//!
//! The similarity of a class is that of its most similar template. An answer lists at most `k`
//! classes by falling similarity, ties by rising class, each class once: what sorting all scores in
//! double precision would give, bit for bit, whatever the machine, the number of threads, segments
//! or compactions.
//!
//! # How it is found
//!
//! 1. Threads take runs of rows. For each probe the kernel computes whole-number dot products of
//!    the codes, which estimate the score to within a proven error ([`crate::code`]).
//! 2. Rows whose estimate plus error is below the k-th best exact score found so far, by this
//!    thread or any other, are out by proof.
//! 3. The others are scored exactly from their full values and offered to a [`TopK`].
//! 4. The collectors of all threads are merged.
//!
//! Every [`Answer`] carries its certificate: how many rows were scanned and how many scored
//! exactly. A search sees snapshots only; it cannot see a partition being written.

mod collector;
mod pool;
mod scan;

pub use collector::TopK;
pub use pool::Pool;
pub use scan::{Answer, Options, SearchError, search};
