//! Samples that are there twice. Under two labels one of these is wrong, and under one a copy would
//! be looked for among itself.

use std::collections::HashMap;
use std::hash::Hash;

use super::sample::{Sample, SampleName};
use crate::code::length;
use crate::types::{ClassId, Embedding};

/// A sample that is there twice under two labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Copy {
    /// The first of both.
    pub one: (ClassId, SampleName),
    /// The other.
    pub other: (ClassId, SampleName),
}

/// What was found to be there more than once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Copies {
    /// Samples under several labels: all of them are left out.
    pub contradicting: Vec<Copy>,
    /// Samples left out because of that.
    pub contradicting_samples: usize,
    /// Further copies under one label: all but the first are left out.
    pub repeated: usize,
}

impl Copies {
    /// Leaves out samples whose embedding has the direction of another's: under two labels both,
    /// and under one label all but the first.
    pub fn leave_out(samples: Vec<Sample>) -> (Vec<Sample>, Copies) {
        let keys: Vec<Vec<i32>> = samples.iter().map(|it| direction(&it.embedding)).collect();
        Copies::leave_out_by(samples, &keys, |sample| (sample.class, sample.name.clone()))
    }

    /// As [`Copies::leave_out`], of any items, those with equal keys being copies.
    ///
    /// # Panics
    ///
    /// Panics if there is not one key for each item.
    pub fn leave_out_by<T, K: Eq + Hash>(
        items: Vec<T>,
        keys: &[K],
        about: impl Fn(&T) -> (ClassId, SampleName),
    ) -> (Vec<T>, Copies) {
        assert_eq!(items.len(), keys.len(), "each item has a key");
        let mut same: HashMap<&K, Vec<usize>> = HashMap::new();
        for (at, key) in keys.iter().enumerate() {
            same.entry(key).or_default().push(at);
        }
        let (mut copies, mut is_out) = (Copies::default(), vec![false; items.len()]);
        let mut several: Vec<Vec<usize>> = same.into_values().filter(|it| it.len() > 1).collect();
        several.sort_unstable();
        for group in several {
            let first = about(&items[group[0]]);
            let other = group
                .iter()
                .map(|&at| about(&items[at]))
                .find(|it| it.0 != first.0);
            match other {
                Some(other) => {
                    copies.contradicting_samples += group.len();
                    copies.contradicting.push(Copy { one: first, other });
                    group.iter().for_each(|&at| is_out[at] = true);
                }
                None => {
                    copies.repeated += group.len() - 1;
                    group[1..].iter().for_each(|&at| is_out[at] = true);
                }
            }
        }
        let items = items.into_iter().zip(is_out);
        let kept = items.filter(|(_, is_out)| !is_out).map(|(item, _)| item);
        (kept.collect(), copies)
    }

    /// Adds what was found elsewhere.
    pub fn add(&mut self, other: Copies) {
        self.contradicting.extend(other.contradicting);
        self.contradicting_samples += other.contradicting_samples;
        self.repeated += other.repeated;
    }
}

/// The direction of an embedding in steps that are far finer than what two pictures differ by, and
/// far coarser than what scaling to another length changes.
fn direction(embedding: &Embedding) -> Vec<i32> {
    let values = embedding.values();
    let length = length(values);
    let steps = f64::from(1 << 12);
    let step = |value: &f32| (f64::from(*value) / length * steps).round() as i32;
    values.iter().map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(class: i64, item: u64, values: [f32; 3]) -> Sample {
        let mut all = vec![0.5; 16];
        all[..3].copy_from_slice(&values);
        Sample {
            class: ClassId(class),
            embedding: Embedding::new(all).unwrap(),
            name: SampleName::Item(item),
            may_enroll: true,
        }
    }

    #[test]
    fn a_copy_under_two_labels_leaves_both_out_and_under_one_the_later() {
        let scaled = |sample: Sample, factor: f32| Sample {
            embedding: Embedding::new(
                sample
                    .embedding
                    .values()
                    .iter()
                    .map(|value| value * factor)
                    .collect::<Vec<_>>(),
            )
            .unwrap(),
            ..sample
        };
        let samples = vec![
            sample(1, 0, [1.0, 0.0, 0.0]),
            sample(1, 1, [0.0, 1.0, 0.0]),
            scaled(sample(2, 2, [1.0, 0.0, 0.0]), 3.0),
            sample(2, 3, [0.0, 0.0, 1.0]),
            // A copy that is three times as long, and one with another sign of nothing.
            scaled(sample(2, 4, [-0.0, 0.0, 1.0]), 0.3),
            // Hardly another picture, but another.
            sample(3, 5, [0.0, 0.001, 1.0]),
        ];
        let (kept, copies) = Copies::leave_out(samples);
        let names: Vec<_> = kept.iter().map(|sample| sample.name.to_string()).collect();
        assert_eq!(names, ["item 1", "item 3", "item 5"]);
        assert_eq!((copies.contradicting_samples, copies.repeated), (2, 1));
        let [copy] = &copies.contradicting[..] else {
            panic!("{copies:?}");
        };
        assert_eq!(copy.one, (ClassId(1), SampleName::Item(0)));
        assert_eq!(copy.other, (ClassId(2), SampleName::Item(2)));
    }
}
