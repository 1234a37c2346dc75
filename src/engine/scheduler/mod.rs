//! Which identifications share a pass over memory? Those of one gallery that wait together.
//!
//! Scanning a gallery for sixty-four probes takes a few times as long as for one. While a pass runs,
//! questions gather; the next pass answers as many of them as are of one gallery, each with its own
//! limit and threshold, and sees the gallery as it is when it begins. When nothing runs a question
//! begins at once; only those who are known to ask again as soon as they are answered are waited for
//! (`returns`), which is a fifth of a pass at most.
//!
//! [`Scheduler`] has one thread, which does the work on the [`Pool`](crate::search::Pool) of the
//! engine; those who ask hold none, and are told by a call. Whose turn it is follows from
//! [`turns`](crate::turns), by measured cost (`pace`): rows, values and probes, and what such
//! passes took lately. A question is refused at once if its answer would come too late.

mod counts;
mod pace;
mod pass;
mod queue;
mod returns;
mod thread;

pub use counts::SearchCounts;
pub use queue::{Question, QuestionQuery, Refusal, SchedulerLimits};
pub use thread::{Answered, Asked, Promise, Scheduler, Unanswered};

#[cfg(test)]
mod tests;
