//! Which rows of a block are removed.

use std::fmt;
use std::sync::Arc;

const ROWS_PER_CHUNK: usize = 4096;

/// A set of row numbers that is cheap to copy with one row more: a clone shares all chunks, and an
/// insertion copies only the chunk it falls into.
#[derive(Clone, Default)]
pub(super) struct DeadRows {
    chunks: Vec<Option<Arc<[u64; ROWS_PER_CHUNK / 64]>>>,
    count: usize,
}

impl DeadRows {
    pub(super) fn contains(&self, row: usize) -> bool {
        match self.chunks.get(row / ROWS_PER_CHUNK) {
            Some(Some(bits)) => bits[row % ROWS_PER_CHUNK / 64] >> (row % 64) & 1 == 1,
            _ => false,
        }
    }

    pub(super) fn insert(&mut self, row: usize) {
        let chunk = row / ROWS_PER_CHUNK;
        if self.chunks.len() <= chunk {
            self.chunks.resize(chunk + 1, None);
        }
        let bits = Arc::make_mut(self.chunks[chunk].get_or_insert_with(|| Arc::new([0; _])));
        let word = &mut bits[row % ROWS_PER_CHUNK / 64];
        let bit = 1 << (row % 64);
        self.count += usize::from(*word & bit == 0);
        *word |= bit;
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }
}

impl fmt::Debug for DeadRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeadRows({})", self.count)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set(rows in prop::collection::vec(0_usize..20_000, 0..200)) {
            let mut dead = DeadRows::default();
            let mut expected = HashSet::new();
            for row in rows {
                let before = dead.clone();
                dead.insert(row);
                prop_assert_eq!(before.contains(row), expected.contains(&row));
                expected.insert(row);
            }
            prop_assert_eq!(dead.count(), expected.len());
            prop_assert!((0..20_500).all(|row| dead.contains(row) == expected.contains(&row)));
        }
    }
}
