//! One pass over a gallery for all questions that share it.

use super::queue::Question;
use crate::engine::{EngineError, Gallery, Identification};
use crate::search::Query;

/// Answers all questions, which are of one gallery, in order: each has an answer or an error of its
/// own.
pub(super) fn answer(
    gallery: &Gallery,
    questions: &[&Question],
) -> Vec<Result<Vec<Identification>, EngineError>> {
    let queries: Vec<Query<'_>> = questions.iter().flat_map(|asked| asked.queries()).collect();
    let Ok(answers) = gallery.identify_many(&queries) else {
        // Whoever is at fault must not spoil the answers of the others.
        let alone = |asked: &&Question| gallery.identify_many(&asked.queries().collect::<Vec<_>>());
        return questions.iter().map(alone).collect();
    };
    let mut answers = answers.into_iter();
    let own = |asked: &&Question| Ok(answers.by_ref().take(asked.probes()).collect());
    questions.iter().map(own).collect()
}
