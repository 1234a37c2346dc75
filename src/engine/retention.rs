//! Which templates a class keeps.
//!
//! A class has at most [`TEMPLATES_PER_CLASS_MAX`] templates: two to five good pictures of a person
//! are what helps, and a hundred cost every search. What stays is what tells most of the person:
//! good samples that differ from one another. While there are too many, the one that is worth least
//! goes, where a template is worth its quality times its distance from the one that is most like
//! it. So of two pictures that are nearly the same the poorer goes, and a poor picture that is like
//! no other does not displace good ones. Every way of enrolling follows this rule.

use std::collections::BTreeMap;

use super::{EngineError, Gallery};
use crate::code::{length, similarity};
use crate::partition::{Choice, Held, NewTemplate};
use crate::types::{ClassId, Timestamp};

/// The most templates that a class keeps when it is enrolled.
pub const TEMPLATES_PER_CLASS_MAX: usize = 10;

/// From this similarity on a sample is one that the class has already. The same picture gives the
/// same embedding but for rounding; another one taken at once differs by a thousand times this.
const KNOWN_SIMILARITY: f64 = 1.0 - 1e-6;

/// Of the templates that a class has, so many are compared, the newest. Only an import makes
/// classes so large.
const COMPARED_MAX: usize = 256;

/// So many new ones are compared at a time: of a folder with thousands, all with all would take
/// minutes, while others wait.
const NEW_COMPARED_MAX: usize = 64;

/// Chooses from the templates that a class has and new ones.
pub(super) fn best(held: &[Held<'_>], new: &[NewTemplate]) -> Choice {
    let first = held.len().saturating_sub(COMPARED_MAX);
    let mut stay: Vec<(Origin, Candidate<'_>)> = held
        .iter()
        .enumerate()
        .skip(first)
        .map(|(place, template)| (Origin::Held(place), Candidate::held(template)))
        .collect();
    let mut known = 0;
    for (number, some) in new.chunks(NEW_COMPARED_MAX).enumerate() {
        let before = known;
        for (at, template) in some.iter().enumerate() {
            let candidate = Candidate::new(template);
            if stay.iter().any(|(_, other)| candidate.is_known(other)) {
                known += 1;
            } else {
                stay.push((Origin::New(number * NEW_COMPARED_MAX + at), candidate));
            }
        }
        if known - before < some.len() {
            stay = most_telling(stay, TEMPLATES_PER_CLASS_MAX);
        }
    }
    if known == new.len() {
        return Choice {
            keep: (0..held.len()).collect(),
            add: Vec::new(),
            known,
        };
    }
    choice(&stay, known)
}

/// Where a template is that may stay.
#[derive(Clone, Copy)]
enum Origin {
    /// Its place among those that the class has.
    Held(usize),
    /// Its place among the new ones.
    New(usize),
}

/// What is to become of all, if these stay.
fn choice(stay: &[(Origin, Candidate<'_>)], known: usize) -> Choice {
    let (mut keep, mut add) = (Vec::new(), Vec::new());
    for (origin, _) in stay {
        match *origin {
            Origin::Held(place) => keep.push(place),
            Origin::New(place) => add.push(place),
        }
    }
    Choice { keep, add, known }
}

impl Gallery {
    /// Lets go of what classes have more than an enrolment would leave them: of templates that are
    /// there twice, and of those that tell least of more than [`TEMPLATES_PER_CLASS_MAX`]. For
    /// whoever has added many at once. Returns how many went. Reads every class number, and the
    /// templates of each class that has two.
    ///
    /// # Errors
    ///
    /// If the disk fails or a segment is damaged.
    pub fn keep_best(&self, now: Timestamp) -> Result<usize, EngineError> {
        let mut counts: BTreeMap<ClassId, usize> = BTreeMap::new();
        for row in self.partition.snapshot().live_rows() {
            *counts.entry(row.class()?).or_default() += 1;
        }
        let mut removed = 0;
        for (class, _) in counts.into_iter().filter(|(_, count)| *count > 1) {
            let encoder = self.encoder();
            let thinned = self
                .partition
                .enroll_chosen(class, encoder, &[], thin, now)?;
            removed += thinned.removed;
        }
        Ok(removed)
    }
}

/// Chooses from the templates of a class as if they were enrolled one after the other.
fn thin(held: &[Held<'_>], _: &[NewTemplate]) -> Choice {
    let first = held.len().saturating_sub(COMPARED_MAX);
    let mut stay: Vec<(Origin, Candidate<'_>)> = Vec::new();
    for (place, template) in held.iter().enumerate().skip(first) {
        let candidate = Candidate::held(template);
        if !stay.iter().any(|(_, other)| candidate.is_known(other)) {
            stay.push((Origin::Held(place), candidate));
        }
    }
    choice(&most_telling(stay, TEMPLATES_PER_CLASS_MAX), 0)
}

/// A template that may stay.
struct Candidate<'a> {
    values: &'a [f32],
    length: f64,
    quality: f64,
}

impl<'a> Candidate<'a> {
    fn held(held: &Held<'a>) -> Candidate<'a> {
        Candidate {
            values: held.values,
            length: held.length,
            quality: known_quality(held.quality),
        }
    }

    fn new(template: &'a NewTemplate) -> Candidate<'a> {
        let values = template.embedding.values();
        Candidate {
            values,
            length: length(values),
            quality: known_quality(template.quality),
        }
    }

    fn similarity(&self, other: &Candidate<'_>) -> f64 {
        similarity(self.values, self.length, other.values, other.length)
    }

    fn is_known(&self, other: &Candidate<'_>) -> bool {
        self.similarity(other) >= KNOWN_SIMILARITY
    }
}

/// Nothing is known against an embedding that came ready.
fn known_quality(quality: f32) -> f64 {
    if quality.is_nan() {
        1.0
    } else {
        f64::from(quality)
    }
}

/// Those of some candidates that stay, at most `most`, in their order. Of two that are worth the same
/// the later stays: it is newer. Takes time with the third power of their number.
fn most_telling<'a>(
    candidates: Vec<(Origin, Candidate<'a>)>,
    most: usize,
) -> Vec<(Origin, Candidate<'a>)> {
    let similarities = |(_, one): &(Origin, Candidate<'a>)| {
        let others = candidates.iter();
        others.map(|(_, other)| one.similarity(other)).collect()
    };
    let alike: Vec<Vec<f64>> = candidates.iter().map(similarities).collect();
    let mut stay: Vec<usize> = (0..candidates.len()).collect();
    while stay.len() > most {
        let worth = |at: usize| {
            let others = stay.iter().filter(|&&other| other != at);
            let nearest = others.map(|&other| alike[at][other]).fold(-1.0, f64::max);
            candidates[at].1.quality * (1.0 - nearest)
        };
        let worths: Vec<f64> = stay.iter().map(|&at| worth(at)).collect();
        // The first of the least.
        let least = (0..stay.len()).min_by(|&a, &b| worths[a].total_cmp(&worths[b]));
        stay.remove(least.unwrap_or_default());
    }
    let mut places = stay.into_iter().peekable();
    let stays = |(at, candidate)| places.next_if_eq(&at).map(|_| candidate);
    candidates
        .into_iter()
        .enumerate()
        .filter_map(stays)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::engine::Engine;
    use crate::partition::Store;
    use crate::search::Pool;
    use crate::types::{Embedding, EncoderId, PartitionId};

    fn template(values: &[f32], quality: f32) -> NewTemplate {
        let mut padded = vec![0.0; 16];
        padded[..values.len()].copy_from_slice(values);
        NewTemplate {
            embedding: Embedding::new(padded).unwrap(),
            quality,
            portrait: None,
        }
    }

    /// A sample of its own direction.
    fn axis(axis: usize, quality: f32) -> NewTemplate {
        let mut values = [0.0; 16];
        values[axis] = 1.0;
        template(&values, quality)
    }

    fn chosen(held: &[NewTemplate], new: &[NewTemplate]) -> Choice {
        let held: Vec<Held<'_>> = held
            .iter()
            .map(|template| Held {
                values: template.embedding.values(),
                length: length(template.embedding.values()),
                quality: template.quality,
            })
            .collect();
        best(&held, new)
    }

    #[test]
    fn up_to_ten_all_stay_and_of_more_the_poorest() {
        let held: Vec<NewTemplate> = (0..6).map(|at| axis(at, 0.9)).collect();
        let new: Vec<NewTemplate> = (6..10).map(|at| axis(at, 0.2)).collect();
        let choice = chosen(&held, &new);
        assert_eq!(
            (choice.keep, choice.add),
            ((0..6).collect(), (0..4).collect())
        );
        let better: Vec<NewTemplate> = (6..12).map(|at| axis(at, 0.3 + at as f32 / 20.0)).collect();
        let choice = chosen(&held, &better);
        assert_eq!(
            (choice.keep, choice.add),
            ((0..6).collect(), vec![2, 3, 4, 5])
        );
    }

    #[test]
    fn of_nearly_the_same_the_poorer_goes_first() {
        let mut held: Vec<NewTemplate> = (0..10).map(|at| axis(at, 0.5)).collect();
        let near = template(&[1.0, 0.05], 0.6);
        let choice = chosen(&held, std::slice::from_ref(&near));
        assert_eq!((choice.keep, choice.add), ((1..10).collect(), vec![0]));
        // A poor one of which nothing like it is there does not displace a good one.
        held[0] = near;
        let choice = chosen(&held, &[axis(12, 0.01)]);
        assert_eq!((choice.keep, choice.add.len()), ((0..10).collect(), 0));
    }

    #[test]
    fn what_the_class_has_is_known_and_pushes_nobody_out() {
        let held: Vec<NewTemplate> = (0..10).map(|at| axis(at, f32::NAN)).collect();
        let choice = chosen(&held, &[axis(9, f32::NAN), template(&[0.0, 3.0], 1.0)]);
        assert_eq!(
            (choice.keep, choice.add.len(), choice.known),
            ((0..10).collect(), 0, 2)
        );
        // Twice in one call is once.
        let choice = chosen(&held[..2], &[axis(5, 0.5), axis(5, 0.5), axis(1, 0.5)]);
        assert_eq!(
            (choice.keep, choice.add, choice.known),
            (vec![0, 1], vec![0], 2)
        );
        let choice = chosen(&[], &[axis(5, 0.5), axis(5, 0.5)]);
        assert_eq!((choice.add, choice.known), (vec![0], 1));
    }

    #[test]
    fn a_class_that_was_imported_large_comes_down_to_ten_with_the_next() {
        let random: Vec<NewTemplate> = (0..400)
            .map(|at| template(&[(at as f32).sin(), (at as f32 * 1.7).cos(), 1.0], 0.5))
            .collect();
        let choice = chosen(&random[..399], &random[399..]);
        assert_eq!(
            choice.keep.len() + choice.add.len(),
            TEMPLATES_PER_CLASS_MAX
        );
        assert!(choice.keep.iter().all(|&place| place >= 399 - COMPARED_MAX));
        let again = chosen(&random[..399], &random[398..399]);
        assert_eq!(
            (again.keep.len(), again.known),
            (399, 1),
            "nothing new, nothing lost"
        );
    }

    #[test]
    fn thousands_at_once_are_chosen_from_in_a_moment() {
        let many: Vec<NewTemplate> = (0..3000)
            .map(|at| template(&[(at as f32).sin(), (at as f32 * 1.7).cos(), 1.0], 0.5))
            .chain((3..13).map(|at| axis(at, 1.0)))
            .collect();
        let choice = chosen(&[], &many);
        assert_eq!(choice.add, Vec::from_iter(3000..3010), "the best of all");
        let again = chosen(&many[3000..], &many[3000..]);
        assert_eq!((again.keep, again.known), ((0..10).collect(), 10));
    }

    #[test]
    fn what_was_added_at_once_comes_down_to_what_an_enrolment_leaves() {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(directory.path()).unwrap());
        let engine = Engine::new(store.clone(), Pool::Here);
        let (encoder, now) = (
            EncoderId::new("e", "1", 16).unwrap(),
            Timestamp::from_unix_seconds(1),
        );
        let id: PartitionId = "a.1".parse().unwrap();
        let partition = store.partition_for(&id, &encoder, now).unwrap();
        let all: Vec<NewTemplate> = (0..14).map(|at| axis(at, 0.5 + at as f32 / 40.0)).collect();
        for class in [1, 2] {
            // Class 2 has three templates, of which two are the same.
            let templates = match class {
                1 => all.clone(),
                _ => vec![axis(0, 0.5), axis(1, 0.5), axis(0, 0.5)],
            };
            partition
                .enroll(ClassId(class), &encoder, &templates, usize::MAX, now)
                .unwrap();
        }
        let gallery = engine.enrolled(&id).unwrap().unwrap();
        assert_eq!(gallery.keep_best(now).unwrap(), 4 + 1);
        assert_eq!(gallery.keep_best(now).unwrap(), 0);
        let mut qualities: Vec<f32> = partition
            .snapshot()
            .rows_of(ClassId(1))
            .unwrap()
            .into_iter()
            .map(|row| row.info().unwrap().quality)
            .collect();
        qualities.sort_by(f32::total_cmp);
        assert_eq!((qualities.len(), qualities[0]), (10, 0.6), "the best stay");
    }

    #[test]
    fn of_the_same_worth_the_newer_stays() {
        let held: Vec<NewTemplate> = (0..10).map(|at| axis(at, 1.0)).collect();
        let choice = chosen(&held, &[axis(10, 1.0)]);
        assert_eq!((choice.keep, choice.add), ((1..10).collect(), vec![0]));
    }
}
