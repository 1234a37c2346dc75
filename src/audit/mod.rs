//! Who did what, and is that still what was written?
//!
//! An [`AuditLog`] keeps a [`Record`] of everything that is done with people: who did it, when, in which
//! gallery, and what was decided. Never a picture, a template, a secret or a name.
//!
//! ```text
//! AuditLog::record -> queue -> one thread: lines + a signed head -> file, synced -> who waits is told
//! ```
//!
//! A line is a JSON object with its number and the SHA-256 of the line before it (`line`). Whatever is
//! written at once ends with a head, which signs all that was written until then (`signing`). So what is
//! changed, removed, added or put in another order is found by [`verify`] and named, and an end that is
//! cut off is, too, where somebody remembers a [`Head`] that was later. Files follow each other
//! (`folder`), and what a crash left half-written is mended when the log is opened.
//!
//! A [`Receipt`] says of one person that they were removed and since when nothing is stored of them, signed
//! with the same key.
//!
//! Nothing here knows HTTP, keys of callers or galleries: they come in as texts and numbers.

mod error;
mod folder;
mod head;
mod line;
mod mending;
mod queue;
mod receipt;
mod record;
mod signing;
#[cfg(test)]
mod tests;
mod verify;
mod writer;

pub use error::AuditError;
pub use folder::{AUDIT_FOLDER, AuditFile, files};
pub use head::Head;
pub use line::Entry;
pub use queue::{AuditCounts, Done};
pub use receipt::{Receipt, ReceiptError, Removal};
pub use record::{Actor, AuditMode, Event, ParseAuditModeError, Record};
pub use signing::{AuditKey, ParsePublicKeyError, PublicKey};
pub use verify::{Finding, Report, verify};
pub use writer::{AuditLog, AuditOptions};
