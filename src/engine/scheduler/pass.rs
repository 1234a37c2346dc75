//! One pass over a gallery for all questions that share it.

use super::queue::Question;
use crate::engine::{EngineError, Fault, Gallery, Identification};
use crate::search::Query;

/// Answers all questions, which are of one gallery, in order.
///
/// # Errors
///
/// If none of them can be answered, since the gallery is damaged. What is the fault of one question is
/// its own answer alone.
pub(super) fn answer(
    gallery: &Gallery,
    questions: &[&Question],
) -> Result<Vec<Result<Vec<Identification>, EngineError>>, EngineError> {
    let queries: Vec<Query<'_>> = questions.iter().flat_map(|asked| asked.queries()).collect();
    let answers = match gallery.identify_many(&queries) {
        Ok(answers) => answers,
        Err(error) if error.fault() == Fault::Ours => return Err(error),
        Err(_of_one) => {
            let alone = |asked: &&Question| {
                let queries: Vec<Query<'_>> = asked.queries().collect();
                gallery.identify_many(&queries)
            };
            return Ok(questions.iter().map(alone).collect());
        }
    };
    let mut answers = answers.into_iter();
    let own = |asked: &&Question| Ok(answers.by_ref().take(asked.probes()).collect());
    Ok(questions.iter().map(own).collect())
}
