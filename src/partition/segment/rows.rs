//! What is stored of some rows, as one part of the storage hands it to another.

use super::format::TemplateInfo;
use crate::code::RowBlock;
use crate::kernel::Line;

/// Some rows with everything that is stored of them. Every slice has one entry (or one group of
/// lines) for each row.
pub(in crate::partition) struct Rows<'a> {
    pub(in crate::partition) codes: RowBlock<'a>,
    pub(in crate::partition) lengths: &'a [f64],
    pub(in crate::partition) classes: &'a [i64],
    pub(in crate::partition) infos: &'a [TemplateInfo],
    /// The full values, [`crate::code::Layout::value_lines`] lines a row.
    pub(in crate::partition) values: &'a [Line],
}
