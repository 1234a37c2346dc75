//! How much may a caller learn in a day? Budgets, and a test for probes that climb.
//!
//! Whoever is told how alike a probe is to somebody, or only that it is alike enough, can change the probe
//! a little, keep what is better, and so climb to a picture or an embedding of that person. A [`Ledger`]
//! bounds how much each caller is told of each class in a day, and looks at how the similarities of probes
//! to a class follow each other ([`Series`]): of those of one caller, and of those of all callers together.
//! It knows neither what a probe is nor who a caller is, keeps nothing of a probe but its similarity, and is
//! told what time it is.

mod book;
mod kept;
mod ledger;
mod limits;
mod series;

pub use ledger::{Asked, Found, Ledger, Noted, Told};
pub use limits::{Limits, Reaction, ReactionError, Spent};
pub use series::Series;
