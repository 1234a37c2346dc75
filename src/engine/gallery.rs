//! One gallery of an engine, to be asked.

use std::sync::Arc;

use super::encoders::KnownEncoders;
use super::population::Populations;
use super::{Engine, EngineError};
use crate::kernel::Kernel;
use crate::partition::{Partition, Removed, Snapshot, StoreError};
use crate::search::Pool;
use crate::types::{ClassId, Clock, EncoderId, Labels, PartitionId};

/// The people of one partition. Each call sees them as they are when it begins.
///
/// Having one means that somebody was enrolled in the partition at some time; all may be removed by
/// now. Where their templates are does not show. Cheap to clone and to share between threads.
#[derive(Clone, Debug)]
pub struct Gallery {
    pub(super) partition: Arc<Partition>,
    pub(super) pool: Pool,
    pub(super) kernel: Kernel,
    pub(super) clock: Clock,
    /// Of those who are looked for; none of all.
    pub(super) labels: Arc<Labels>,
    /// How many people there were when they were last counted.
    pub(super) populations: Populations,
    /// Whether it is remembered when somebody is found.
    pub(super) notes_matches: bool,
    /// What is known of encoders.
    pub(super) encoders: KnownEncoders,
}

impl Engine {
    /// The gallery `id`, to be asked about embeddings of `encoder`. `None` if nobody was ever
    /// enrolled in it.
    ///
    /// # Errors
    ///
    /// If it is of another encoder, or cannot be opened.
    pub fn gallery(
        &self,
        id: &PartitionId,
        encoder: &EncoderId,
    ) -> Result<Option<Gallery>, EngineError> {
        let gallery = self.enrolled(id)?;
        if let Some(gallery) = &gallery {
            gallery.partition.check_encoder(encoder)?;
        }
        Ok(gallery)
    }

    /// The gallery `id`, whatever its encoder: for questions that are not about an embedding.
    /// `None` if nobody was ever enrolled in it, or it was removed.
    ///
    /// # Errors
    ///
    /// If it cannot be opened.
    pub fn enrolled(&self, id: &PartitionId) -> Result<Option<Gallery>, EngineError> {
        let partition = self.store.partition(id)?;
        Ok(partition.map(|partition| Gallery {
            partition,
            pool: self.pool.clone(),
            kernel: self.kernel,
            clock: self.clock.clone(),
            labels: Arc::default(),
            populations: self.populations.clone(),
            notes_matches: true,
            encoders: self.encoders.clone(),
        }))
    }
}

impl Gallery {
    /// The name of the partition.
    pub fn id(&self) -> &PartitionId {
        self.partition.id()
    }

    /// The encoder whose embeddings it holds.
    pub fn encoder(&self) -> &EncoderId {
        self.partition.encoder()
    }

    /// The same gallery, of which those are looked for alone who have all of `labels`: as if nobody else
    /// were enrolled. Lists and changes are of all as ever.
    #[must_use]
    pub fn among(&self, labels: Labels) -> Gallery {
        Gallery {
            labels: Arc::new(labels),
            ..self.clone()
        }
    }

    /// The same gallery, in which it is remembered or not when somebody is found: not where others have to
    /// say whether it is they.
    #[must_use]
    pub fn noting_matches(&self, notes_matches: bool) -> Gallery {
        Gallery {
            notes_matches,
            ..self.clone()
        }
    }

    /// Those who are looked for now: whose time is not over, and who have the labels.
    pub(super) fn searched(&self) -> Result<Snapshot, StoreError> {
        self.partition.snapshot_of(self.clock.now(), &self.labels)
    }

    /// How many people are searched, those alone who have the labels.
    ///
    /// Of galleries with more than 4,096 templates it is right within a hundredth as long as people
    /// have about as many templates as those before them: everybody is counted when the gallery
    /// has changed by that much, which reads every class number, and not in between.
    ///
    /// # Errors
    ///
    /// If a segment is damaged.
    pub fn population(&self) -> Result<usize, EngineError> {
        let (searched, all) = (self.searched()?, self.partition.snapshot());
        Ok(self.populations.count(self.id(), &searched, &all)?)
    }

    /// Whether [`Gallery::population`] knows already how many people there are, or counts them in a moment;
    /// not said of those who have some labels.
    pub fn is_counted(&self) -> bool {
        let all = self.partition.snapshot();
        self.labels.is_empty() && self.populations.knows(self.id(), all.templates())
    }

    /// How many templates there are.
    pub fn templates(&self) -> usize {
        self.partition.snapshot().templates()
    }

    /// Whether a class has a template, and its time is not over.
    ///
    /// # Errors
    ///
    /// If a segment is damaged.
    pub fn is_enrolled(&self, class: ClassId) -> Result<bool, EngineError> {
        Ok(self.searched()?.contains(class)?)
    }

    /// Removes a class and all that is known of the person. Returns what that was.
    ///
    /// # Errors
    ///
    /// If a segment is damaged, or the disk fails.
    pub fn remove(&self, class: ClassId) -> Result<Removed, EngineError> {
        Ok(self.partition.remove(class)?)
    }
}
