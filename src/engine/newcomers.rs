//! Many who come together: is one of them here already, under another class?
//!
//! The answer is what it would be if they were enrolled one after the other: each is compared with the
//! gallery and with those who came before and were taken. They are looked for many at once, since a scan
//! for a thousand costs hardly more than one for a few.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Engine, EngineError, fuse};
use crate::code::{Planes, Probe};
use crate::kernel::Kernel;
use crate::partition::Snapshot;
use crate::rates::{Calibration, TargetRate};
use crate::search::{Answer, Options, Pool, Query, search};
use crate::types::{ClassId, Embedding, EncoderId, Match, PartitionId};

/// So many classes are looked at of those that are most alike: others are said not to be the person.
const LISTED: usize = 16;

/// From which similarity on two who have different classes are taken for one person.
#[derive(Clone, Debug)]
pub struct DuplicateBar {
    /// What the operator has set.
    set: Option<f64>,
    /// Where the encoder takes two faces for one person.
    own: Option<f64>,
    /// How often somebody new may be taken for somebody else.
    target: TargetRate,
    /// What strangers reach, in the gallery or else with the encoder.
    calibration: Option<Arc<Calibration>>,
}

impl DuplicateBar {
    /// `set` if there is one; else what the rate demands by `calibration`, and not less than `own`, where the
    /// encoder takes two faces for one person.
    pub fn new(
        (set, own, target): (Option<f64>, Option<f64>, TargetRate),
        calibration: Option<Arc<Calibration>>,
    ) -> DuplicateBar {
        DuplicateBar {
            set,
            own,
            target,
            calibration,
        }
    }

    /// The similarity where so many people are compared with; `None` if nothing is known of the encoder.
    pub fn threshold(&self, classes: usize) -> Option<f64> {
        let by_rate = || {
            let calibration = self.calibration.as_ref()?;
            Some(
                calibration
                    .threshold(self.target, classes.max(1))
                    .similarity,
            )
        };
        self.set.or_else(|| match (self.own, by_rate()) {
            (Some(own), Some(rate)) => Some(own.max(rate)),
            (own, rate) => own.or(rate),
        })
    }
}

impl Engine {
    /// From which similarity on two are one in a gallery, which need not be there: [`DuplicateBar::new`] with
    /// what was measured in the gallery, or else of the encoder.
    ///
    /// # Errors
    ///
    /// If what is known of the gallery cannot be read.
    pub fn duplicate_bar(
        &self,
        id: &PartitionId,
        encoder: &EncoderId,
        demanded: (Option<f64>, Option<f64>, TargetRate),
    ) -> Result<DuplicateBar, EngineError> {
        let measured = self.calibration(id)?;
        let known = measured.or_else(|| self.encoders.calibration(encoder));
        Ok(DuplicateBar::new(demanded, known))
    }

    /// Begins to look for people who come together. Whoever is in the gallery is known from now on.
    ///
    /// # Errors
    ///
    /// If the gallery is of another encoder, or cannot be read.
    pub fn newcomers(
        &self,
        id: &PartitionId,
        encoder: &EncoderId,
        bar: DuplicateBar,
    ) -> Result<Newcomers, EngineError> {
        let mut newcomers = Newcomers {
            gallery: Some((self.clone(), id.clone())),
            kernel: self.kernel,
            ..Newcomers::alone(&self.pool, encoder, bar)
        };
        newcomers.look_again()?;
        Ok(newcomers)
    }
}

/// People who come together, and whom they are compared with.
#[derive(Debug)]
pub struct Newcomers {
    /// Where they are compared with those who are enrolled.
    gallery: Option<(Engine, PartitionId)>,
    pool: Pool,
    kernel: Kernel,
    encoder: EncoderId,
    bar: DuplicateBar,
    /// The gallery, and those who were taken since it was looked at.
    here: Snapshot,
    /// How many people the gallery had then.
    population: usize,
    /// The classes that were taken since.
    classes: HashSet<ClassId>,
    /// Those who are said not to be the same, by rising class.
    not_same: Vec<(ClassId, Vec<ClassId>)>,
}

/// What was found for some newcomers who follow each other.
#[derive(Debug)]
pub struct Seen {
    classes: Vec<ClassId>,
    /// Among those who were here before all of them.
    here: Vec<Answer>,
    /// Among themselves, where the class is their place.
    among: Vec<Answer>,
}

impl Newcomers {
    /// They are compared with each other alone.
    pub fn alone(pool: &Pool, encoder: &EncoderId, bar: DuplicateBar) -> Newcomers {
        Newcomers {
            gallery: None,
            pool: pool.clone(),
            kernel: Kernel::detect(),
            encoder: encoder.clone(),
            bar,
            here: Snapshot::in_memory(encoder.clone(), Vec::new()),
            population: 0,
            classes: HashSet::new(),
            not_same: Vec::new(),
        }
    }

    /// Looks at the gallery anew, in which all are now who were taken.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn look_again(&mut self) -> Result<(), EngineError> {
        let Some((engine, id)) = &self.gallery else {
            return Ok(());
        };
        let Some(gallery) = engine.gallery(id, &self.encoder)? else {
            return Ok(());
        };
        self.classes.clear();
        self.here = gallery.searched()?;
        self.population = gallery.population()?;
        let rules = gallery.partition.rules()?;
        let not_same = rules.not_same.iter();
        self.not_same = not_same
            .map(|(class, others)| (*class, others.clone()))
            .collect();
        Ok(())
    }

    /// From which similarity on two are one now.
    fn threshold(&self) -> f64 {
        let threshold = self.bar.threshold(self.population + self.classes.len());
        threshold.unwrap_or(f64::INFINITY)
    }

    /// Searches for some newcomers at once, each with a class, who are embeddings.
    ///
    /// # Errors
    ///
    /// If one has another dimension than the encoder, or a segment is damaged.
    pub fn search(&self, rows: &[(ClassId, &[f32])]) -> Result<Seen, EngineError> {
        let threshold = self.threshold();
        let probes = self.pool.each(rows.len(), |at| {
            let embedding = Embedding::new(rows[at].1.to_vec());
            embedding.map(|embedding| Probe::new(&embedding))
        });
        let probes = probes.into_iter().collect::<Result<Vec<Probe>, _>>();
        let probes = probes.map_err(|source| EngineError::Template { source })?;
        // None of a block is cut off: which of them are taken is not known yet.
        let mut own = Planes::with_capacity(self.encoder.dimension(), rows.len());
        for (at, (_, values)) in rows.iter().enumerate() {
            own.push(ClassId(at as i64), values);
        }
        let own = Snapshot::in_memory(self.encoder.clone(), vec![own]);
        let find = |among: &Snapshot, limit| {
            let query = |probe| Query {
                probe,
                limit,
                threshold: Some(threshold),
            };
            let queries: Vec<Query<'_>> = probes.iter().map(query).collect();
            let options = Options::with(self.kernel);
            search(among, &queries, &options, &self.pool).map_err(EngineError::from)
        };
        Ok(Seen {
            classes: rows.iter().map(|(class, _)| *class).collect(),
            here: find(&self.here, LISTED)?,
            among: find(&own, usize::MAX)?,
        })
    }

    /// Whom one of those who were searched for seems to be, who has another class; `taken` says of those before
    /// it who is here now.
    pub fn somebody_else(&self, seen: &Seen, at: usize, taken: &[bool]) -> Option<Match> {
        let class = seen.classes[at];
        let before = |found: &Match| {
            let place = usize::try_from(found.class.0).ok()?;
            let is_before = place < at && taken[place];
            is_before.then(|| Match {
                class: seen.classes[place],
                ..*found
            })
        };
        let among = seen.among[at].matches.iter().filter_map(before);
        let found = seen.here[at].matches.iter().copied().chain(among);
        somebody_else(found, Some(class), self.not_same_as(class))
    }

    /// Whom some samples of one person seem to show, who has another class.
    ///
    /// # Errors
    ///
    /// If a sample has another dimension than the encoder, or a segment is damaged.
    pub fn meet(
        &self,
        class: ClassId,
        samples: &[&Embedding],
    ) -> Result<Option<Match>, EngineError> {
        let probe = fuse(&self.encoder, samples)?;
        let seen = self.search(&[(class, probe.values())])?;
        Ok(self.somebody_else(&seen, 0, &[false]))
    }

    /// Has those who come next find some who were taken.
    pub fn take(&mut self, taken: &[(ClassId, &[f32])]) {
        if taken.is_empty() {
            return;
        }
        let mut planes = Planes::with_capacity(self.encoder.dimension(), taken.len());
        for (class, values) in taken {
            planes.push(*class, values);
            self.classes.insert(*class);
        }
        self.here = self.here.clone().and(planes);
    }

    fn not_same_as(&self, class: ClassId) -> &[ClassId] {
        let found = self.not_same.binary_search_by_key(&class, |(of, _)| *of);
        found.map_or(&[], |at| &self.not_same[at].1)
    }
}

/// Whom somebody seems to be who is to get `class`, of those who are alike enough: the most similar class that
/// is another one and not said to be somebody else, unless the own is as similar.
pub fn somebody_else(
    found: impl Iterator<Item = Match>,
    class: Option<ClassId>,
    not_same_as: &[ClassId],
) -> Option<Match> {
    let (mut own, mut other) = (f64::NEG_INFINITY, None::<Match>);
    for found in found.filter(|found| !not_same_as.contains(&found.class)) {
        if Some(found.class) == class {
            own = own.max(found.similarity);
        } else if other.is_none_or(|other| found.rank_order(&other).is_lt()) {
            other = Some(found);
        }
    }
    other.filter(|other| other.similarity > own)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(class: i64, similarity: f64) -> Match {
        Match {
            class: ClassId(class),
            similarity,
        }
    }

    #[test]
    fn the_most_similar_of_other_classes_counts_unless_the_own_is_as_similar() {
        let of = |all: &[(i64, f64)], class: Option<i64>, not: &[i64]| {
            let all = all.iter().map(|&(class, like)| found(class, like));
            let not: Vec<ClassId> = not.iter().copied().map(ClassId).collect();
            somebody_else(all, class.map(ClassId), &not).map(|found| found.class.0)
        };
        assert_eq!(of(&[], Some(1), &[]), None);
        assert_eq!(of(&[(2, 0.5), (3, 0.7)], Some(1), &[]), Some(3));
        assert_eq!(
            of(&[(3, 0.7), (2, 0.7)], None, &[]),
            Some(2),
            "the lower class"
        );
        assert_eq!(of(&[(1, 0.6), (3, 0.7)], Some(1), &[]), Some(3));
        assert_eq!(
            of(&[(1, 0.7), (3, 0.7)], Some(1), &[]),
            None,
            "it is its own"
        );
        assert_eq!(of(&[(3, 0.7), (1, 0.6), (1, 0.8)], Some(1), &[]), None);
        assert_eq!(of(&[(3, 0.7), (2, 0.6)], Some(1), &[3]), Some(2));
        assert_eq!(of(&[(3, 0.7), (2, 0.6)], Some(1), &[3, 2]), None);
    }
}
