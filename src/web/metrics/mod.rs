//! What the service has done and how it is, as numbers for [Prometheus](https://prometheus.io).
//!
//! Those who work count into plain numbers ([`crate::counts`]); [`Requests`] counts what is asked and
//! answered. A page reads them all when somebody asks for it (`readings`), and writes them as the
//! table says (`table`), in the text format (`text`). `docs/metrics.md` is that table for people.
//!
//! The page has an address of its own ([`serve`]), since it says who calls how often: it is for
//! those who run the service, and needs no key. With a key for everything it is at `/v1/metrics`, too.

mod listening;
mod process;
mod readings;
mod requests;
mod table;
mod text;

pub use listening::serve;
pub(super) use listening::{KIND, text as page};
pub(super) use requests::{End, Requests};
