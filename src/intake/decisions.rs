//! How often was decided what.

use crate::counts::Count;

/// What came of decisions since the start.
#[derive(Debug, Default)]
pub struct Decisions {
    /// Somebody was looked for, and is enrolled.
    pub known: Count,
    /// Somebody was looked for, and is not.
    pub unknown: Count,
    /// Somebody is who they are said to be.
    pub accepted: Count,
    /// They are not.
    pub rejected: Count,
    /// Samples were of a live person.
    pub live: Count,
    /// They were not.
    pub not_live: Count,
}

impl Decisions {
    /// Somebody was looked for.
    pub fn identified(&self, is_known: bool) {
        pick(is_known, &self.known, &self.unknown).one();
    }

    /// Somebody was compared with one person.
    pub fn verified(&self, is_accepted: bool) {
        pick(is_accepted, &self.accepted, &self.rejected).one();
    }

    pub(super) fn seen(&self, is_live: bool) {
        pick(is_live, &self.live, &self.not_live).one();
    }
}

fn pick<'a>(is: bool, yes: &'a Count, no: &'a Count) -> &'a Count {
    if is { yes } else { no }
}
