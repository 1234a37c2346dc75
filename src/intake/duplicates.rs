//! Is whoever is to be enrolled here already, as somebody else?

use super::{Intake, JudgeError, OnDuplicate};
use crate::engine::{DuplicateBar, Engine, EngineError, Gallery, IdentifyOptions, somebody_else};
use crate::types::{ClassId, Embedding, EncoderId, Match, NotSameAs, PartitionId};

/// So many of those who are most alike are looked at: others are said not to be the person.
const LISTED: usize = 16;

impl Intake {
    /// Who else in `gallery` the person of these samples seems to be, who is to be enrolled as `class`, or
    /// as somebody new, and is said not to be the same as some others. `None` if the operator does not want
    /// to know, nobody is alike enough, or the samples are more like the class itself. People who are said
    /// not to be the same, now or before, are none of them.
    ///
    /// Somebody who is enrolled at the same moment is not found.
    ///
    /// # Errors
    ///
    /// If a sample has the wrong dimension, or a segment is damaged.
    pub fn duplicate(
        &self,
        engine: &Engine,
        gallery: &Gallery,
        (class, not_same_as): (Option<ClassId>, Option<&NotSameAs>),
        samples: &[&Embedding],
    ) -> Result<Option<Match>, JudgeError> {
        let check = self.policy().duplicates;
        if check.action == OnDuplicate::Off {
            return Ok(None);
        }
        let bar = self.duplicate_bar(engine, gallery.id(), gallery.encoder())?;
        let Some(threshold) = bar.threshold(gallery.population()?) else {
            // Nothing is known of the encoder.
            return Ok(None);
        };
        let options = IdentifyOptions {
            limit: LISTED,
            threshold: None,
        };
        let found = gallery.identify(samples, &options)?.matches;
        let mut known = match class {
            Some(class) => gallery.not_same_as(class)?,
            None => Vec::new(),
        };
        known.extend(not_same_as.into_iter().flat_map(NotSameAs::classes));
        let alike = found
            .into_iter()
            .filter(|found| found.similarity >= threshold);
        Ok(somebody_else(alike, class, &known))
    }

    /// From which similarity on somebody new is taken for somebody who is there: by its own rate, or its own
    /// threshold, whatever is set for whoever is looked for.
    ///
    /// # Errors
    ///
    /// If what is known of the gallery cannot be read.
    pub fn duplicate_bar(
        &self,
        engine: &Engine,
        partition: &PartitionId,
        encoder: &EncoderId,
    ) -> Result<DuplicateBar, EngineError> {
        let check = self.policy().duplicates;
        let own = self.usual_of(engine, partition, encoder).own;
        engine.duplicate_bar(
            partition,
            encoder,
            (check.threshold, own, check.target_fpir),
        )
    }
}
