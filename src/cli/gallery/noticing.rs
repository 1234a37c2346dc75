//! A source that remembers which of its items look like somebody else.

use std::path::Path;

use crate::cli::output;
use crate::exchange::{ExchangeError, Job, Length, Piece, RefusedItem, ReportBegun, Source};

/// So many are shown.
const SHOWN: usize = 10;

/// A source as it is, and what is found out about its items.
pub(super) struct Noticing<'a> {
    source: &'a mut dyn Source,
    duplicates: Vec<RefusedItem>,
}

impl<'a> Noticing<'a> {
    pub(super) fn new(source: &'a mut dyn Source) -> Noticing<'a> {
        Noticing {
            source,
            duplicates: Vec::new(),
        }
    }

    /// Those that look like somebody else.
    pub(super) fn into_duplicates(self) -> Vec<RefusedItem> {
        self.duplicates
    }
}

/// Shows the first of those that look like somebody else.
pub(super) fn print_duplicates(duplicates: &[RefusedItem], is_json: bool) {
    if is_json {
        return;
    }
    for RefusedItem { item, refused } in duplicates.iter().take(SHOWN) {
        output::tell!("item {item}: {}", refused.reason);
    }
}

impl Source for Noticing<'_> {
    fn name(&self) -> &Path {
        self.source.name()
    }

    fn dimension(&self) -> usize {
        self.source.dimension()
    }

    fn length(&self) -> Length {
        self.source.length()
    }

    fn position(&self) -> u64 {
        self.source.position()
    }

    fn notes(&self) -> Vec<String> {
        self.source.notes()
    }

    fn describe(&self, job: Job) -> Job {
        self.source.describe(job)
    }

    fn items_per_commit(&self) -> u64 {
        self.source.items_per_commit()
    }

    fn begin_report(&mut self, begun: ReportBegun) -> Result<bool, ExchangeError> {
        self.source.begin_report(begun)
    }

    fn contradicted(&mut self, refusals: &[RefusedItem]) -> Result<(), ExchangeError> {
        let is_duplicate = |it: &&RefusedItem| it.refused.duplicate.is_some();
        let found = refusals.iter().filter(is_duplicate);
        self.duplicates.extend(found.cloned());
        self.source.contradicted(refusals)
    }

    fn skip(&mut self, items: u64) -> Result<(), ExchangeError> {
        self.source.skip(items)
    }

    fn next_piece(&mut self) -> Result<Option<Box<dyn Piece>>, ExchangeError> {
        self.source.next_piece()
    }
}
