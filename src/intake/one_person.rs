//! Whether samples that come together look like one person, and are fit to know the person by.

use super::error::{Cause, IntakeError};
use super::looking::Intake;
use super::taking::Samples;
use crate::code::{length, similarity};
use crate::face::Warning;
use crate::types::{Embedding, EncoderId};

impl Intake {
    /// Makes sure that embeddings that came together look like one person: that from each of them a
    /// chain of similar ones leads to every other. Of an encoder that nothing is known of, nothing
    /// can be said.
    ///
    /// # Errors
    ///
    /// If they do not, naming the first that is none of the largest group.
    pub fn check_one_person(
        &self,
        encoder: &EncoderId,
        embeddings: &[&Embedding],
    ) -> Result<(), IntakeError> {
        if encoder != self.encoder() {
            return Ok(());
        }
        let groups = groups(embeddings, self.profile().one_person_threshold());
        let largest = largest(&groups);
        match groups.iter().position(|group| *group != largest) {
            None => Ok(()),
            Some(other) => Err(IntakeError::from(Cause::Contradicting).of_sample(other)),
        }
    }

    /// Which of some embeddings of this intake's encoder look like one person, that of most of
    /// them: all, or more than half. If no person has more than half, none does.
    pub fn of_one_person(&self, embeddings: &[&Embedding]) -> Vec<bool> {
        let groups = groups(embeddings, self.profile().one_person_threshold());
        let largest = largest(&groups);
        let count = groups.iter().filter(|group| **group == largest).count();
        let is_most = 2 * count > groups.len();
        groups
            .iter()
            .map(|group| is_most && *group == largest)
            .collect()
    }

    /// Makes sure that a picture is good enough to know a person by.
    ///
    /// # Errors
    ///
    /// If its quality is below what the operator demands.
    pub fn check_quality(&self, quality: f32, warnings: &[Warning]) -> Result<(), IntakeError> {
        let quality_min = self.policy().enroll_quality_min;
        if quality >= quality_min {
            return Ok(());
        }
        Err(IntakeError::from(Cause::PoorQuality {
            quality,
            quality_min,
            warnings: warnings.to_vec(),
        }))
    }

    /// Makes sure of that for all samples that are pictures.
    ///
    /// # Errors
    ///
    /// As [`Intake::check_quality`], with the number of the sample.
    pub fn check_qualities(&self, samples: &Samples) -> Result<(), IntakeError> {
        for (at, sample) in samples.samples.iter().enumerate() {
            // Of what came ready nobody knows it.
            if let Some(quality) = sample.quality {
                self.check_quality(quality, &sample.warnings)
                    .map_err(|error| error.of_sample(at))?;
            }
        }
        Ok(())
    }
}

/// A number for each embedding: the same for those that a chain of embeddings links of which each
/// is like the next.
fn groups(embeddings: &[&Embedding], threshold: f64) -> Vec<usize> {
    let lengths: Vec<f64> = embeddings.iter().map(|one| length(one.values())).collect();
    let mut groups: Vec<usize> = (0..embeddings.len()).collect();
    for (at, one) in embeddings.iter().enumerate() {
        for (before, other) in embeddings[..at].iter().enumerate() {
            let alike = similarity(one.values(), lengths[at], other.values(), lengths[before]);
            if groups[at] != groups[before] && alike >= threshold {
                let (from, to) = (groups[at], groups[before]);
                groups
                    .iter_mut()
                    .filter(|group| **group == from)
                    .for_each(|group| *group = to);
            }
        }
    }
    groups
}

/// The number of the largest group; of the first of those that are as large.
fn largest(groups: &[usize]) -> usize {
    let count = |of: usize| groups.iter().filter(|group| **group == of).count();
    let first = groups.iter().copied().rev();
    first.max_by_key(|group| count(*group)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(degrees: f32) -> Embedding {
        let mut values = vec![0.0; 16];
        (values[0], values[1]) = (degrees.to_radians().cos(), degrees.to_radians().sin());
        Embedding::new(values).unwrap()
    }

    fn groups_of(degrees: &[f32]) -> Vec<usize> {
        let embeddings: Vec<Embedding> = degrees.iter().map(|&degrees| at(degrees)).collect();
        groups(&embeddings.iter().collect::<Vec<_>>(), 0.5)
    }

    #[test]
    fn a_chain_of_similar_samples_is_one_person() {
        assert_eq!(groups_of(&[0.0]), [0]);
        assert_eq!(groups_of(&[0.0, 61.0]), [0, 1]);
        assert_eq!(groups_of(&[0.0, 59.0]), [0, 0]);
        // The ends of a chain are strangers to one another, whatever the order.
        assert_eq!(groups_of(&[0.0, 50.0, 100.0]), [0, 0, 0]);
        assert_eq!(
            groups_of(&[0.0, 100.0, 50.0])
                .windows(2)
                .filter(|two| two[0] != two[1])
                .count(),
            0
        );
        assert_eq!(groups_of(&[0.0, 10.0, 180.0]), [0, 0, 2]);
        assert_eq!(largest(&groups_of(&[180.0, 0.0, 10.0])), 1);
        assert_eq!(largest(&groups_of(&[180.0, 0.0])), 0);
    }
}
