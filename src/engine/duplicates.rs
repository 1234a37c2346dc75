//! Who is enrolled twice?

use std::collections::HashMap;

use super::{EngineError, Gallery, PROBES_PER_PASS};
use crate::code::Probe;
use crate::partition::Row;
use crate::search::{Answer, Options, Query, search};
use crate::types::{ClassId, Embedding, Pair};

impl Gallery {
    /// Lists all pairs of classes whose similarity is at least `threshold`, exactly:
    /// by falling similarity, ties by class. The similarity of two classes is that of their most
    /// similar templates, one of each. Two that are said not to be the same person are left out.
    ///
    /// Asks for every template as if it were a probe, so that time grows with the square of the
    /// gallery. Memory grows with the number of pairs found, which is the square, too, if
    /// `threshold` is below what strangers reach. `progress` is told how many templates are done.
    ///
    /// # Errors
    ///
    /// If a segment is damaged.
    pub fn duplicates(
        &self,
        threshold: f64,
        mut progress: impl FnMut(usize),
    ) -> Result<Vec<Pair>, EngineError> {
        self.duplicates_while(threshold, |done| {
            progress(done);
            Ok(())
        })
    }

    /// As [`Gallery::duplicates`]; `progress` may end the work by an error.
    ///
    /// # Errors
    ///
    /// As [`Gallery::duplicates`], and what `progress` fails with.
    pub fn duplicates_while<E: From<EngineError>>(
        &self,
        threshold: f64,
        mut progress: impl FnMut(usize) -> Result<(), E>,
    ) -> Result<Vec<Pair>, E> {
        let snapshot = self.partition.snapshot();
        let options = Options::with(self.kernel);
        let mut rows = snapshot.live_rows();
        let (mut found, mut done) = (HashMap::new(), 0);
        loop {
            let pass: Vec<_> = rows.by_ref().take(PROBES_PER_PASS).collect();
            if pass.is_empty() {
                break;
            }
            let (classes, probes) = probes(&pass)?;
            let query = |probe| Query {
                probe,
                // None: it would cut pairs off.
                limit: usize::MAX,
                threshold: Some(threshold),
            };
            let queries: Vec<Query<'_>> = probes.iter().map(query).collect();
            let answers = search(&snapshot, &queries, &options, &self.pool);
            let answers = answers.map_err(EngineError::from)?;
            for (class, answer) in classes.into_iter().zip(&answers) {
                keep(class, answer, &mut found);
            }
            done += pass.len();
            progress(done)?;
        }
        let pair = |((class, other), similarity)| Pair {
            class,
            other,
            similarity,
        };
        let rules = self.partition.rules().map_err(EngineError::from)?;
        let is_known = |class: &ClassId, other: &ClassId| {
            let others = rules.not_same.get(class);
            others.is_some_and(|others| others.contains(other))
        };
        found.retain(|(class, other), _| !is_known(class, other));
        let mut pairs: Vec<Pair> = found.into_iter().map(pair).collect();
        pairs.sort_unstable_by(Pair::rank_order);
        Ok(pairs)
    }
}

impl Gallery {
    /// The classes that a class is said not to be, by its own record or by theirs.
    ///
    /// # Errors
    ///
    /// If the records cannot be read.
    pub fn not_same_as(&self, class: ClassId) -> Result<Vec<ClassId>, EngineError> {
        let rules = self.partition.rules()?;
        Ok(rules.not_same.get(&class).cloned().unwrap_or_default())
    }
}

/// Templates of the gallery as probes, and their classes.
fn probes(rows: &[Row<'_>]) -> Result<(Vec<ClassId>, Vec<Probe>), EngineError> {
    let probe = |row: &Row<'_>| {
        let embedding = Embedding::new(row.values()?);
        let embedding = embedding.map_err(|source| EngineError::Template { source })?;
        Ok((row.class()?, Probe::new(&embedding)))
    };
    rows.iter().map(probe).collect()
}

/// Keeps the best similarity of each pair. A pair is found from both sides, with the same
/// similarity since the order of two embeddings does not matter; it is taken from the smaller class.
fn keep(class: ClassId, answer: &Answer, found: &mut HashMap<(ClassId, ClassId), f64>) {
    for other in answer.matches.iter().filter(|other| class < other.class) {
        let best = found
            .entry((class, other.class))
            .or_insert(other.similarity);
        *best = best.max(other.similarity);
    }
}
