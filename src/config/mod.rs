//! Settings: what can be set, where from, and what holds when nothing is.
//!
//! A setting is one row of [`SETTINGS`] and one field of [`Settings`] (or of what it holds), which
//! has the default. From the row follow its key in a settings file (`data-dir`), its variable
//! (`VULTUS_DATA_DIR`), its flag (`--data-dir`) at the verbs that use it, what help and messages
//! say about it, and its place in `docs/configuration.md`.
//!
//! [`Settings::read`] takes defaults, then the file, then variables, then flags: later ones win,
//! and a wrong value is refused wherever it stands, even if a later one would win.
//!
//! To add a setting: give it a field with its default, write its row, use the field. The tests
//! rewrite the page with `UPDATE_FIXTURES=1`.

mod assignment;
mod error;
mod file;
mod in_force;
mod key_source;
mod listen;
mod log;
mod read;
mod setting;
mod settings;
mod table;
mod value;
mod variables;

#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod page;

pub use assignment::Flag;
pub use error::{ConfigError, Place};
pub use in_force::InForce;
pub use key_source::{KeySource, KeySourceError};
pub use listen::ListenAddress;
pub use log::LogFormat;
pub use read::Read;
pub use setting::{Setting, Standard};
pub use settings::Settings;
pub use table::{SETTINGS, TAKEN_UP};
pub use value::{Entries, Value};
pub use variables::UnknownVariable;
