//! What is known: samples, and whom they show.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use crate::types::{ClassId, Embedding};

/// Where a sample comes from, for people to find it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SampleName {
    /// The item of a file of embeddings, from 0.
    Item(u64),
    /// A picture.
    Picture(PathBuf),
    /// A template of a gallery.
    Template,
}

impl fmt::Display for SampleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SampleName::Item(item) => write!(f, "item {item}"),
            SampleName::Picture(path) => path.display().fmt(f),
            SampleName::Template => f.write_str("a template"),
        }
    }
}

/// A sample, and the person that it is known to show.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The person.
    pub class: ClassId,
    /// What an encoder made of it.
    pub embedding: Embedding,
    /// Where it comes from.
    pub name: SampleName,
    /// Whether it is good enough to know the person by. Whoever is looked for needs no such sample.
    pub may_enroll: bool,
}

/// Samples by the people whom they show.
#[derive(Clone, Debug, Default)]
pub struct People {
    samples: Vec<Sample>,
    classes: Vec<(ClassId, Vec<usize>)>,
    /// The place of the class of each sample.
    person_of: Vec<usize>,
}

impl People {
    /// The people of some samples.
    pub fn of(samples: Vec<Sample>) -> People {
        let mut classes: BTreeMap<ClassId, Vec<usize>> = BTreeMap::new();
        for (at, sample) in samples.iter().enumerate() {
            classes.entry(sample.class).or_default().push(at);
        }
        let classes: Vec<_> = classes.into_iter().collect();
        let mut person_of = vec![0; samples.len()];
        for (person, (_, of)) in classes.iter().enumerate() {
            for &sample in of {
                person_of[sample] = person;
            }
        }
        People {
            samples,
            classes,
            person_of,
        }
    }

    /// All samples, in the order in which they came.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// How many people there are.
    pub fn count(&self) -> usize {
        self.classes.len()
    }

    /// The people by rising class, each with the places of the samples.
    pub fn classes(&self) -> &[(ClassId, Vec<usize>)] {
        &self.classes
    }

    /// The place of the person of a sample among [`People::classes`].
    ///
    /// # Panics
    ///
    /// Panics if there is no such sample.
    pub fn person_of(&self, sample: usize) -> usize {
        self.person_of[sample]
    }

    /// The most samples that one person has.
    pub fn samples_max(&self) -> usize {
        let counts = self.classes.iter().map(|(_, samples)| samples.len());
        counts.max().unwrap_or(0)
    }
}
