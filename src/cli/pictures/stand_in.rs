//! Classes that stand for people whose own is not known yet.

use std::collections::BTreeMap;

use crate::types::{ClassId, PersonName};

/// What people are called, by the classes that stand for them.
pub(in crate::cli) type Named = BTreeMap<ClassId, PersonName>;

/// So many classes, the first that there are, stand for people whose class is not known yet.
const STAND_INS: i64 = 1 << 32;

/// The class that stands for a person of this place among several.
pub(in crate::cli) fn stand_in(place: usize) -> ClassId {
    ClassId(i64::MIN.saturating_add_unsigned(place as u64))
}

/// Whether a class only stands for somebody.
pub(in crate::cli) fn is_stand_in(class: ClassId) -> bool {
    class.0 < i64::MIN + STAND_INS
}
