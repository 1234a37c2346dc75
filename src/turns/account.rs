//! Whose work it is.

use std::fmt;
use std::sync::Arc;

/// What work is charged to: an app, an API key, an address. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Account(Arc<str>);

impl Account {
    /// The account that is called `name` for the time that the process runs.
    pub fn new(name: impl fmt::Display) -> Account {
        Account(name.to_string().into())
    }
}
