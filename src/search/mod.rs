//! The exact k best classes of a snapshot, for one probe or many.
//!
//! # The answer
//!
//! The similarity of a class is that of its most similar template. An answer lists at most `k`
//! classes by falling similarity, ties by rising class, each class once: what sorting all scores in
//! double precision would give, bit for bit, whatever the machine, the kernel, the plan, the number
//! of threads, segments or compactions.
//!
//! # How it is found
//!
//! 1. A sample of rows raises the threshold of each probe to a similarity that its k-th best class
//!    reaches for certain, so that a scan does not begin by taking every row for a candidate.
//! 2. Threads take runs of rows. A first pass ([`Plan`]) computes dot products of short whole numbers,
//!    which estimate each score to within a proven error ([`crate::code`]). Rows whose estimate plus
//!    error is below the threshold are out by proof.
//! 3. Where the first pass was in fewer than eight bits, what is left is looked at again in eight.
//! 4. What is still left is scored exactly from its full values and offered to a [`TopK`], the most
//!    promising first. Each find raises the threshold for all threads.
//!
//! Every [`Answer`] carries its [`Certificate`]: what was scanned, looked at again, and scored. A
//! search sees snapshots only; it cannot see a partition being written.

mod candidates;
mod certificate;
mod collector;
mod first_pass;
mod pool;
mod scan;
mod threshold;

pub use certificate::{Certificate, Plan};
pub use collector::TopK;
pub use pool::Pool;
use scan::{Part, Scan};

use crate::code::Probe;
use crate::kernel::Kernel;
use crate::partition::{Snapshot, StoreError};
use crate::types::{EncoderId, Match};

/// What is asked.
#[derive(Clone, Debug)]
pub struct Options {
    /// The most classes in an answer.
    pub k: usize,
    /// Leaves out classes with a lower similarity.
    pub threshold: Option<f64>,
    /// The instruction set.
    pub kernel: Kernel,
    /// The plan, or `None` for the one that is fastest for so many probes. Answers are the same.
    pub plan: Option<Plan>,
}

impl Options {
    /// The best `k`, with the fastest kernel and plan.
    pub fn best(k: usize) -> Options {
        Options {
            k,
            threshold: None,
            kernel: Kernel::detect(),
            plan: None,
        }
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

/// Finds the `options.k` best classes of `snapshot` for every probe.
///
/// Returns one answer for each probe, in order. Reads every row once, however many probes there
/// are: cost grows with `rows x probes`, memory traffic with `rows` alone. Beside the answers it needs
/// at most 5 MiB a thread, a few kilobytes a probe, and 40 bytes for 1,024 rows.
///
/// # Errors
///
/// If a probe has the wrong dimension or a segment is damaged.
pub fn search(
    snapshot: &Snapshot,
    probes: &[Probe],
    options: &Options,
    pool: &Pool,
) -> Result<Vec<Answer>, SearchError> {
    for (at, probe) in probes.iter().enumerate() {
        if probe.dimension() != snapshot.encoder().dimension() {
            let (found, encoder) = (probe.dimension(), snapshot.encoder().clone());
            return Err(SearchError::Dimension { at, found, encoder });
        }
    }
    let plan = options.plan_for(probes.len());
    let scan = Scan::new(snapshot, probes, options, plan);
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
