//! Who is enrolled, and who is a stranger: several times, by seed.

use serde::Serialize;

use super::sample::People;
use crate::engine::TEMPLATES_PER_CLASS_MAX;
use crate::types::ClassId;

/// How people are parted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Protocol {
    /// How often.
    pub splits: usize,
    /// Which share of the people are strangers, between 0 and 1.
    pub strangers: f64,
    /// With how many samples people are enrolled; `None` for half of those that they have.
    pub templates: Option<usize>,
    /// Makes the same splits again.
    pub seed: u64,
}

/// One way to part people. Samples are named by their places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// Those that enrolled people are enrolled with.
    pub templates: Vec<usize>,
    /// Those that enrolled people are looked for with.
    pub mated: Vec<usize>,
    /// Those of strangers.
    pub strangers: Vec<usize>,
}

/// Why people cannot be parted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// Nobody is left.
    #[error("there is no sample to evaluate with")]
    Nobody,
    /// There are no strangers.
    #[error(
        "all {samples} samples are of class {class}: an evaluation needs several people, since strangers \
         are looked for, too"
    )]
    OnePerson {
        /// The one.
        class: i64,
        /// How many samples it has.
        samples: usize,
    },
    /// Nobody can be enrolled and looked for.
    #[error(
        "each of the {people} people has one sample: to be compared with another of the same person, somebody \
         needs two"
    )]
    OneSampleEach {
        /// How many people there are.
        people: usize,
    },
    /// Nobody can be enrolled.
    #[error("no sample is good enough to enrol anybody with")]
    NoTemplates,
}

impl Protocol {
    /// Fails unless people can be parted.
    ///
    /// # Errors
    ///
    /// If there are fewer than two people, nobody has two samples, or nobody can be enrolled.
    pub fn check(people: &People) -> Result<(), ProtocolError> {
        Protocol::check_people(people)?;
        if !people.samples().iter().any(|sample| sample.may_enroll) {
            return Err(ProtocolError::NoTemplates);
        }
        Ok(())
    }

    /// As [`Protocol::check`], where nobody is enrolled.
    ///
    /// # Errors
    ///
    /// If there are fewer than two people, or nobody has two samples.
    pub fn check_people(people: &People) -> Result<(), ProtocolError> {
        match people.classes() {
            [] => Err(ProtocolError::Nobody),
            [(class, samples)] => Err(ProtocolError::OnePerson {
                class: class.0,
                samples: samples.len(),
            }),
            classes if people.samples_max() < 2 => Err(ProtocolError::OneSampleEach {
                people: classes.len(),
            }),
            _ => Ok(()),
        }
    }

    /// The split of a number, from 0. It does not depend on the order of people and samples in
    /// their files: people are drawn by their classes, and samples by their places among those of a
    /// person.
    ///
    /// Somebody of whom no sample is good enough to enrol is a stranger in every split. Of whom
    /// there is one sample alone may be enrolled, and is then not looked for.
    pub fn split(&self, people: &People, number: usize) -> Split {
        let draw = |numbers: [u64; 2]| drawn(self.seed, number as u64, numbers);
        let mut order: Vec<usize> = (0..people.count()).collect();
        order.sort_by_key(|&person| draw([people.classes()[person].0.0.cast_unsigned(), 0]));
        let share = (self.strangers * people.count() as f64).round() as usize;
        let strangers = share.clamp(1, people.count().saturating_sub(1).max(1));
        let mut split = Split::default();
        for (place, &person) in order.iter().enumerate() {
            let (class, samples) = &people.classes()[person];
            let mut samples = samples.clone();
            samples.sort_by_cached_key(|&sample| {
                let place = people.classes()[person]
                    .1
                    .iter()
                    .position(|it| *it == sample);
                let place = place.map_or(0, |place| 1 + place as u64);
                draw([class.0.cast_unsigned(), place])
            });
            let templates = self.templates_of(people, &samples);
            if place < strangers || templates.is_empty() {
                split.strangers.extend(samples);
                continue;
            }
            let probes = samples.iter().filter(|sample| !templates.contains(sample));
            split.mated.extend(probes);
            split.templates.extend(templates);
        }
        split
    }

    /// Those of the samples of a person, in the order in which they were drawn, that are enrolled.
    fn templates_of(&self, people: &People, samples: &[usize]) -> Vec<usize> {
        let wanted = self.templates.unwrap_or(samples.len() / 2);
        let most = samples
            .len()
            .saturating_sub(1)
            .clamp(1, TEMPLATES_PER_CLASS_MAX);
        let may_enroll = samples
            .iter()
            .copied()
            .filter(|&sample| people.samples()[sample].may_enroll);
        may_enroll.take(wanted.clamp(1, most)).collect()
    }
}

/// The samples of people who are drawn by seed, all of each, until there are `samples_max`; in
/// their order.
pub fn draw_people(people: &People, samples_max: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<&(ClassId, Vec<usize>)> = people.classes().iter().collect();
    order.sort_by_key(|(class, _)| drawn(seed, u64::MAX, [class.0.cast_unsigned(), 0]));
    let mut samples = Vec::new();
    for (_, of) in order {
        if samples.len() + of.len() <= samples_max {
            samples.extend(of);
        }
    }
    samples.sort_unstable();
    samples
}

/// A number that is drawn for some numbers, the same for the same on every machine: Steele and
/// others 2014, "SplitMix".
pub(super) fn drawn(seed: u64, split: u64, numbers: [u64; 2]) -> u64 {
    let mut state = seed;
    for number in [split, numbers[0], numbers[1]] {
        state = mixed(state.wrapping_add(0x9e37_79b9_7f4a_7c15) ^ mixed(number));
    }
    state
}

pub(super) fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::sample::{Sample, SampleName};
    use super::*;
    use crate::types::Embedding;

    fn people(counts: &[usize]) -> People {
        let mut samples = Vec::new();
        for (person, &count) in counts.iter().enumerate() {
            for _ in 0..count {
                let mut values = vec![0.0; 16];
                values[samples.len() % 16] = 1.0;
                samples.push(Sample {
                    class: ClassId(10 * person as i64 - 5),
                    embedding: Embedding::new(values).unwrap(),
                    name: SampleName::Item(samples.len() as u64),
                    may_enroll: true,
                });
            }
        }
        People::of(samples)
    }

    const HALF: Protocol = Protocol {
        splits: 3,
        strangers: 0.5,
        templates: None,
        seed: 7,
    };

    #[test]
    fn nobody_is_enrolled_and_a_stranger_and_no_sample_is_both() {
        let people = people(&[10, 4, 1, 2, 3, 30, 1, 5]);
        let mut all = BTreeSet::new();
        for number in 0..20 {
            let split = HALF.split(&people, number);
            let of = |samples: &[usize]| -> BTreeSet<usize> {
                samples
                    .iter()
                    .map(|&sample| people.person_of(sample))
                    .collect()
            };
            let (enrolled, strangers) = (of(&split.templates), of(&split.strangers));
            assert!(enrolled.is_disjoint(&strangers));
            assert_eq!((enrolled.len(), strangers.len()), (4, 4));
            assert!(of(&split.mated).is_subset(&enrolled));
            let together = [&split.templates[..], &split.mated, &split.strangers].concat();
            let once: BTreeSet<usize> = together.iter().copied().collect();
            assert_eq!((once.len(), together.len()), (56, 56));
            for person in enrolled {
                let templates = split.templates.iter();
                let count = templates
                    .filter(|&&it| people.person_of(it) == person)
                    .count();
                let samples = people.classes()[person].1.len();
                assert_eq!(count, (samples / 2).clamp(1, TEMPLATES_PER_CLASS_MAX));
            }
            all.insert(split.templates);
        }
        assert!(all.len() > 15, "splits differ");
        assert_eq!(HALF.split(&people, 1), HALF.split(&people, 1));
        assert_ne!(
            HALF.split(&people, 1),
            Protocol { seed: 8, ..HALF }.split(&people, 1)
        );
    }

    #[test]
    fn splits_do_not_depend_on_the_order_of_people() {
        let forward = people(&[3, 3, 3, 3, 3, 3]);
        let mut samples = forward.samples().to_vec();
        samples.sort_by_key(|sample| std::cmp::Reverse(sample.class));
        let backward = People::of(samples);
        let names = |people: &People, samples: &[usize]| -> BTreeSet<String> {
            let names = samples
                .iter()
                .map(|&it| people.samples()[it].name.to_string());
            names.collect()
        };
        for number in 0..5 {
            let [one, other] = [&forward, &backward].map(|it| (it, HALF.split(it, number)));
            assert_eq!(
                names(one.0, &one.1.templates),
                names(other.0, &other.1.templates)
            );
            assert_eq!(
                names(one.0, &one.1.strangers),
                names(other.0, &other.1.strangers)
            );
        }
    }

    #[test]
    fn what_cannot_be_parted_says_why() {
        for (counts, words) in [
            (&[][..], "no sample"),
            (&[7], "all 7 samples are of class -5"),
            (&[1, 1, 1], "each of the 3 people has one sample"),
        ] {
            let error = Protocol::check(&people(counts)).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        let mut poor = people(&[3, 3]).samples().to_vec();
        poor.iter_mut().for_each(|sample| sample.may_enroll = false);
        assert_eq!(
            Protocol::check(&People::of(poor)),
            Err(ProtocolError::NoTemplates)
        );
        assert_eq!(Protocol::check(&people(&[2, 1])), Ok(()));
    }

    #[test]
    fn who_cannot_be_enrolled_is_a_stranger() {
        let mut samples = people(&[4, 4, 4, 4]).samples().to_vec();
        samples[..4]
            .iter_mut()
            .for_each(|sample| sample.may_enroll = false);
        let people = People::of(samples);
        for number in 0..10 {
            let split = HALF.split(&people, number);
            assert!((0..4).all(|sample| split.strangers.contains(&sample)));
        }
    }
}
