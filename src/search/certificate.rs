//! What a search did, so that its answer can be checked.

use std::fmt;

use crate::kernel::Isa;

/// How rows are looked at first. Whatever the plan, rows that are not out by proof are looked at
/// more closely, and in the end scored exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Plan {
    /// For each probe the high nibbles, half a byte a value; then both nibbles of what is left.
    Coarse,
    /// For each probe both nibbles, a byte a value.
    Fine,
    /// For all probes together, rows repacked a group at a time.
    Tile,
}

impl Plan {
    /// All plans.
    pub const ALL: [Plan; 3] = [Plan::Coarse, Plan::Fine, Plan::Tile];
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Plan::Coarse => "coarse",
            Plan::Fine => "fine",
            Plan::Tile => "tile",
        })
    }
}

/// What was done for an answer: every template was scanned, and each was either scored exactly or
/// out by proof in one of the passes.
///
/// The numbers of rows beyond the first pass depend on the order in which threads find good rows;
/// the matches do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The plan.
    pub plan: Plan,
    /// The kernel.
    pub isa: Isa,
    /// Templates in the snapshot: the first pass has looked at all of them.
    pub rows_scanned: usize,
    /// Rows that a first pass in fewer than eight bits left over, looked at in eight; with a plan
    /// whose first pass is in eight bits, none. Rows that are removed but not yet compacted away
    /// are counted here, too.
    pub rows_refined: usize,
    /// Rows that were scored exactly, in double precision from their full values.
    pub rows_scored: usize,
    /// What was read of the templates, in bytes, for all probes of the search together: a scan
    /// reads a run of rows once, and every probe that passes over it finds it in the cache.
    pub bytes_read: u64,
}
