//! What the product does: enrol, verify, identify, remove. No HTTP, nothing asynchronous.
//!
//! The service, the command line, examples and tests are equal callers. An engine is cheap to
//! clone and to share between threads.

mod batch;
mod calibrate;
mod calibrating;
mod duplicates;
mod encoders;
mod error;
mod export;
mod gallery;
mod identify;
mod import;
mod incoming;
mod list;
mod newcomers;
mod people;
mod population;
mod receipts;
mod retention;
mod rules;
pub mod scheduler;
mod verify;

use std::sync::Arc;

pub use batch::{Batch, PROBES_PER_PASS};
pub use calibrate::CalibrationOptions;
pub use calibrating::{Calibrating, leave_processor_to_others};
pub use error::{EngineError, Fault};
pub use export::ExportOptions;
pub use gallery::Gallery;
pub use identify::{Identification, IdentifyOptions, fuse};
pub use import::{Duplicates, ImportOptions, Imported, check_source, none_refused};
pub use list::{ClassSummary, Contents};
pub use newcomers::{DuplicateBar, Newcomers, Seen, somebody_else};
pub use people::{Expired, PeopleCursor, PeopleFilter, PeoplePage, Person};
pub use receipts::{RECEIPTS_KEPT, RECEIPTS_MAX, RemovalReceipt};
pub use retention::TEMPLATES_PER_CLASS_MAX;
pub use verify::{IMPROVING_QUALITY_MIN, Verification, photo_similarity};

use crate::kernel::Kernel;
use crate::partition::{Choice, Enrolled, Health, Held, NewTemplate, Store, StoreError};
use crate::search::Pool;
use crate::types::{Bcid, Clock, EncoderId, PartitionId, Timestamp};

/// All galleries of a data directory, ready to be used.
#[derive(Clone, Debug)]
pub struct Engine {
    store: Arc<Store>,
    pool: Pool,
    kernel: Kernel,
    clock: Clock,
    calibrations: calibrate::Calibrations,
    populations: population::Populations,
    encoders: encoders::KnownEncoders,
    receipts: receipts::WaitingReceipts,
}

impl Engine {
    /// Uses the partitions of `store` and scans on `pool`.
    pub fn new(store: Arc<Store>, pool: Pool) -> Engine {
        let kernel = Kernel::detect();
        Engine {
            store,
            pool,
            kernel,
            clock: Clock::System,
            calibrations: calibrate::Calibrations::default(),
            populations: population::Populations::default(),
            encoders: encoders::KnownEncoders::default(),
            receipts: receipts::WaitingReceipts::default(),
        }
    }

    /// Has `clock` say whose time is over, instead of that of the machine.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Engine {
        Engine { clock, ..self }
    }

    /// Scans with `kernel` instead of the fastest one. Answers are the same.
    #[must_use]
    pub fn with_kernel(self, kernel: Kernel) -> Engine {
        Engine { kernel, ..self }
    }

    /// The data directory.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// The instruction set that scans.
    pub fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// The threads that scan.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Adds templates to a class. The partition and the class begin to exist with the first.
    ///
    /// Of the templates of a class and the new ones [`TEMPLATES_PER_CLASS_MAX`] stay: good ones
    /// that differ from one another. One that the class has already is not added again.
    ///
    /// When this returns, the templates are on disk and the next search finds them.
    ///
    /// # Errors
    ///
    /// If there are no templates, they are of another encoder than the partition's, or the disk
    /// fails. Nothing has changed then.
    pub fn enroll(
        &self,
        bcid: &Bcid,
        encoder: &EncoderId,
        templates: &[NewTemplate],
        now: Timestamp,
    ) -> Result<Enrolled, EngineError> {
        self.put(bcid, encoder, templates, retention::best, now)
    }

    /// Replaces all templates of a class; of more than [`TEMPLATES_PER_CLASS_MAX`] new ones the
    /// same are chosen.
    ///
    /// # Errors
    ///
    /// As [`Engine::enroll`].
    pub fn replace(
        &self,
        bcid: &Bcid,
        encoder: &EncoderId,
        templates: &[NewTemplate],
        now: Timestamp,
    ) -> Result<Enrolled, EngineError> {
        let choose = |_: &[Held<'_>], new: &[NewTemplate]| retention::best(&[], new);
        self.put(bcid, encoder, templates, choose, now)
    }

    /// The partitions in which somebody was enrolled and that were not removed, in order of their names.
    ///
    /// # Errors
    ///
    /// If the catalog cannot be read.
    pub fn partitions(&self) -> Result<Vec<PartitionId>, EngineError> {
        Ok(self.store.partitions()?)
    }

    /// What is known to be wrong with the data directory: damage in a partition, or a failed write
    /// after which nothing is changed any more. Cheap; for a service to tell its operator.
    ///
    /// # Errors
    ///
    /// If the catalog cannot be read.
    pub fn health(&self) -> Result<Health, EngineError> {
        Ok(self.store.health()?)
    }

    fn put(
        &self,
        bcid: &Bcid,
        encoder: &EncoderId,
        templates: &[NewTemplate],
        choose: impl Fn(&[Held<'_>], &[NewTemplate]) -> Choice + Copy + Send + 'static,
        now: Timestamp,
    ) -> Result<Enrolled, EngineError> {
        Engine::check_templates(encoder, templates)?;
        loop {
            let partition = self.store.partition_for(&bcid.partition, encoder, now)?;
            match partition.enroll_chosen(bcid.class, encoder, templates, choose, now) {
                // It was removed in between: this one begins it anew.
                Err(StoreError::PartitionRemoved { .. }) => {}
                enrolled => return Ok(enrolled?),
            }
        }
    }

    /// Fails unless there are templates, all of which may be of an encoder.
    fn check_templates(encoder: &EncoderId, templates: &[NewTemplate]) -> Result<(), EngineError> {
        if templates.is_empty() {
            return Err(EngineError::NoSamples);
        }
        for template in templates {
            let found = template.embedding.dimension();
            if found != encoder.dimension() {
                return Err(EngineError::Dimension {
                    found,
                    encoder: encoder.clone(),
                });
            }
        }
        Ok(())
    }
}
