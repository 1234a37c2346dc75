//! The exact best classes of a snapshot, for one probe or many.
//!
//! # The answer
//!
//! The similarity of a class is that of its most similar template. An answer lists at most `limit`
//! classes by falling similarity, ties by rising class, each class once: what sorting all scores in
//! double precision would give, bit for bit, whatever the machine, the kernel, the plan, the number
//! of threads, segments or compactions.
//!
//! # How it is found
//!
//! 1. A sample of rows raises the threshold of each probe to a similarity that the last class
//!    within its limit reaches for certain, so that a scan does not begin by taking every row for a
//!    candidate.
//! 2. Threads take runs of rows. A first pass ([`Plan`]) computes dot products of short whole numbers,
//!    which estimate each score to within a proven error ([`crate::code`]). Rows whose estimate plus
//!    error is below the threshold are out by proof.
//! 3. Where the first pass was in fewer than eight bits, what is left is looked at again in eight.
//! 4. What is still left is scored exactly from its full values and offered to a [`TopK`], the most
//!    promising first. Each find raises the threshold for all threads.
//!
//! Every [`Answer`] carries its [`Certificate`]: what was scanned, looked at again, and scored. A
//! search sees snapshots only; it cannot see a partition being written.
//!
//! [`RowSearch`] and [`pairs_above`] find the same in numbers that lie in memory and in no gallery
//! ([`NumberRows`]): they code a part of them after the other and search that. Where there are so few
//! probes that coding costs more than it saves, the first pass is over the numbers where they lie.

mod candidates;
mod certificate;
mod collector;
mod estimated;
mod first_look;
mod first_pass;
mod number_rows;
mod pairs;
mod pool;
mod row_search;
mod scan;
mod threshold;

pub use certificate::{Certificate, Plan};
pub use collector::TopK;
pub use number_rows::{Number, NumberRows, RowsError};
pub use pairs::{PairOptions, PairsError, pairs_above};
pub use pool::{Pool, give_way};
pub use row_search::RowSearch;
use scan::{Part, Scan};

use crate::code::Probe;
use crate::kernel::Kernel;
use crate::partition::{Snapshot, StoreError};
use crate::types::{EncoderId, Match};

/// What is asked for one probe.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// The face.
    pub probe: &'a Probe,
    /// The most classes in the answer.
    pub limit: usize,
    /// Leaves out classes with a lower similarity.
    pub threshold: Option<f64>,
}

impl Query<'_> {
    /// The `limit` best classes, however low their similarity.
    pub fn best(probe: &Probe, limit: usize) -> Query<'_> {
        Query {
            probe,
            limit,
            threshold: None,
        }
    }
}

/// How to search. Answers are the same.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The instruction set.
    pub kernel: Kernel,
    /// The plan, or `None` for the one that is fastest for so many probes.
    pub plan: Option<Plan>,
}

impl Options {
    /// With this kernel and the fastest plan.
    pub fn with(kernel: Kernel) -> Options {
        Options { kernel, plan: None }
    }

    /// The plan for so many probes.
    pub fn plan_for(&self, probes: usize) -> Plan {
        let fastest = if probes < self.kernel.tile_probes_min() {
            Plan::Coarse
        } else {
            Plan::Tile
        };
        self.plan.unwrap_or(fastest)
    }
}

impl Default for Options {
    /// The fastest kernel and plan.
    fn default() -> Options {
        Options::with(Kernel::detect())
    }
}

/// The answer for one probe.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The best classes, best first.
    pub matches: Vec<Match>,
    /// What was done to find them.
    pub certificate: Certificate,
}

/// Why a search has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SearchError {
    /// A probe has another dimension than the templates.
    #[error("probe {at} has {found} values, and encoder `{encoder}` makes {expected}", expected = encoder.dimension())]
    Dimension {
        /// Which probe, from 0.
        at: usize,
        /// How many values it has.
        found: usize,
        /// The encoder of the partition.
        encoder: EncoderId,
    },
    /// A segment is damaged. There is no partial answer: it would look like a complete one.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Finds the best classes of `snapshot` for every query, within its limit and threshold.
///
/// Returns one answer for each query, in order. Reads every row once, however many probes there
/// are: cost grows with `rows x probes`, memory traffic with `rows` alone. Beside the answers it needs
/// at most 5 MiB a thread, a few kilobytes a probe, and 40 bytes for 1,024 rows.
///
/// # Errors
///
/// If a probe has the wrong dimension or a segment is damaged.
pub fn search(
    snapshot: &Snapshot,
    queries: &[Query<'_>],
    options: &Options,
    pool: &Pool,
) -> Result<Vec<Answer>, SearchError> {
    for (at, query) in queries.iter().enumerate() {
        let found = query.probe.dimension();
        if found != snapshot.encoder().dimension() {
            let encoder = snapshot.encoder().clone();
            return Err(SearchError::Dimension { at, found, encoder });
        }
    }
    let plan = options.plan_for(queries.len());
    let scan = Scan::new(snapshot, queries, options.kernel, plan);
    let parts = pool.on_each_thread(|| scan.work());
    let parts = parts
        .into_iter()
        .collect::<Result<Vec<Part>, StoreError>>()?;
    let sum = |rows: fn(&Part) -> &[usize], probe: usize| -> usize {
        parts.iter().map(|part| rows(part)[probe]).sum()
    };
    let certificate = |probe: usize| Certificate {
        plan,
        isa: options.kernel.isa(),
        rows_scanned: snapshot.templates(),
        rows_refined: sum(|part| &part.rows_refined, probe),
        rows_scored: sum(|part| &part.rows_scored, probe),
        bytes_read: parts.iter().map(|part| part.bytes_read).sum(),
    };
    let answers = scan.into_matches().enumerate();
    let answers = answers.map(|(probe, matches)| Answer {
        matches,
        certificate: certificate(probe),
    });
    Ok(answers.collect())
}
