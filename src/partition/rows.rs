//! What is stored of some rows, as one part of the storage hands it to another.

use super::format::TemplateInfo;
use crate::code::RowBlock;
use crate::kernel::Line;

/// Some rows with everything that is stored of them. Every slice has one entry (or one group of
/// lines) for each row.
pub(super) struct Rows<'a> {
    pub(super) codes: RowBlock<'a>,
    pub(super) lengths: &'a [f64],
    pub(super) classes: &'a [i64],
    pub(super) infos: &'a [TemplateInfo],
    /// The full values, [`crate::code::Layout::value_lines`] lines a row.
    pub(super) values: &'a [Line],
}
