//! Is whoever is to be enrolled here already, as somebody else?

use super::{Bar, Intake, Judge, JudgeError, OnDuplicate, Usual};
use crate::engine::{Engine, Gallery, IdentifyOptions};
use crate::types::{ClassId, Embedding, Match, NotSameAs};

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
        // Its own rate, or its own threshold, whatever is set for whoever is looked for.
        let usual = Usual {
            set: check.threshold,
            target_fpir: check.target_fpir,
            ..self.usual(engine, gallery)
        };
        let judge = Judge::of(engine, gallery, Bar::Usual, &usual)?;
        let Some(threshold) = judge.threshold() else {
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
        let first = found
            .into_iter()
            .find(|found| !known.contains(&found.class));
        let is_other = |found: &Match| found.similarity >= threshold && Some(found.class) != class;
        Ok(first.filter(is_other))
    }
}
