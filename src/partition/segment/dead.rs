//! Which rows of a block are removed.

use std::fmt;
use std::sync::Arc;

const ROWS_PER_CHUNK: usize = 4096;

/// A set of row numbers that is cheap to copy, and cheap to copy with one row more: a clone shares
/// everything, and an insertion copies the chunk it falls into and the list of chunks.
#[derive(Clone, Default)]
pub(in crate::partition) struct DeadRows {
    chunks: Arc<Vec<Option<Arc<Chunk>>>>,
    count: usize,
}

type Chunk = [u64; ROWS_PER_CHUNK / 64];

impl DeadRows {
    pub(in crate::partition) fn contains(&self, row: usize) -> bool {
        match self.chunks.get(row / ROWS_PER_CHUNK) {
            Some(Some(bits)) => bits[row % ROWS_PER_CHUNK / 64] >> (row % 64) & 1 == 1,
            _ => false,
        }
    }

    pub(in crate::partition) fn insert(&mut self, row: usize) {
        let chunk = row / ROWS_PER_CHUNK;
        let chunks = Arc::make_mut(&mut self.chunks);
        if chunks.len() <= chunk {
            chunks.resize(chunk + 1, None);
        }
        let bits = Arc::make_mut(chunks[chunk].get_or_insert_with(|| Arc::new([0; _])));
        let word = &mut bits[row % ROWS_PER_CHUNK / 64];
        let bit = 1 << (row % 64);
        self.count += usize::from(*word & bit == 0);
        *word |= bit;
    }

    /// Takes a row out of the set.
    pub(in crate::partition) fn remove(&mut self, row: usize) {
        if !self.contains(row) {
            return;
        }
        let chunks = Arc::make_mut(&mut self.chunks);
        if let Some(Some(chunk)) = chunks.get_mut(row / ROWS_PER_CHUNK) {
            Arc::make_mut(chunk)[row % ROWS_PER_CHUNK / 64] &= !(1 << (row % 64));
            self.count -= 1;
        }
    }

    /// The rows that are in this set or in the other. Shares what is the same.
    pub(in crate::partition) fn union(&self, other: &DeadRows) -> DeadRows {
        if other.count == 0 {
            return self.clone();
        }
        if self.count == 0 {
            return other.clone();
        }
        let length = self.chunks.len().max(other.chunks.len());
        let chunk = |set: &DeadRows, at: usize| set.chunks.get(at).cloned().flatten();
        let union = |at: usize| match (chunk(self, at), chunk(other, at)) {
            (Some(one), Some(other)) => {
                Some(Arc::new(std::array::from_fn(|at| one[at] | other[at])))
            }
            (one, other) => one.or(other),
        };
        let chunks: Vec<Option<Arc<Chunk>>> = (0..length).map(union).collect();
        let ones = |chunk: &Arc<Chunk>| -> usize {
            chunk.iter().map(|word| word.count_ones() as usize).sum()
        };
        DeadRows {
            count: chunks.iter().flatten().map(ones).sum(),
            chunks: Arc::new(chunks),
        }
    }

    pub(in crate::partition) fn count(&self) -> usize {
        self.count
    }

    /// All rows of the set, rising.
    pub(in crate::partition) fn rows(&self) -> impl Iterator<Item = usize> + '_ {
        let chunks = self.chunks.iter().enumerate();
        let words = chunks.filter_map(|(at, chunk)| Some((at, chunk.as_deref()?)));
        let words = words.flat_map(|(at, chunk)| {
            let word = move |(word, bits): (usize, &u64)| (at * ROWS_PER_CHUNK + word * 64, *bits);
            chunk.iter().enumerate().map(word)
        });
        words
            .filter(|(_, bits)| *bits != 0)
            .flat_map(|(first, bits)| {
                (first..first + 64).filter(move |row| bits >> (row - first) & 1 == 1)
            })
    }

    /// How many rows of the set are less than `row`.
    pub(in crate::partition) fn count_below(&self, row: usize) -> usize {
        let whole = row / ROWS_PER_CHUNK;
        let ones =
            |words: &[u64]| -> usize { words.iter().map(|word| word.count_ones() as usize).sum() };
        let before = self.chunks.iter().take(whole).flatten();
        let before: usize = before.map(|chunk| ones(&chunk[..])).sum();
        let Some(Some(chunk)) = self.chunks.get(whole) else {
            return before;
        };
        let (word, bit) = (row % ROWS_PER_CHUNK / 64, row % 64);
        before + ones(&chunk[..word]) + ones(&[chunk[word] & ((1 << bit) - 1)])
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
        fn rows_are_taken_out_and_sets_are_joined(
            one in prop::collection::vec((0_usize..20_000, any::<bool>()), 0..200),
            other in prop::collection::vec((0_usize..9_000, any::<bool>()), 0..200),
        ) {
            let made = |steps: &[(usize, bool)]| {
                let (mut dead, mut expected) = (DeadRows::default(), HashSet::new());
                for (row, stays) in steps {
                    dead.insert(*row);
                    expected.insert(*row);
                    if !stays {
                        dead.remove(*row);
                        dead.remove(*row + 1);
                        expected.remove(row);
                        expected.remove(&(row + 1));
                    }
                }
                (dead, expected)
            };
            let ((one, all), (other, more)) = (made(&one), made(&other));
            prop_assert_eq!(one.count(), all.len());
            let joined = one.union(&other);
            let all: HashSet<usize> = all.union(&more).copied().collect();
            prop_assert_eq!(joined.count(), all.len());
            prop_assert_eq!(joined.rows().collect::<HashSet<_>>(), all);
        }

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
            let mut sorted: Vec<usize> = expected.into_iter().collect();
            sorted.sort_unstable();
            prop_assert_eq!(dead.rows().collect::<Vec<_>>(), sorted.clone());
            for row in [0, 63, 64, 4095, 4096, 12_345, 30_000] {
                let below = sorted.iter().filter(|found| **found < row).count();
                prop_assert_eq!(dead.count_below(row), below, "below {}", row);
            }
        }
    }
}
