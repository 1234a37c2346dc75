//! Who is this?

use super::rules::search_by;
use super::{EngineError, Gallery};
use crate::code::{Probe, length};
use crate::search::{Answer, Certificate, Options, Query, search};
use crate::types::{Embedding, EncoderId, Match};

/// What is asked of an identification.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IdentifyOptions {
    /// The most people in the answer.
    pub limit: usize,
    /// Leaves out people with a lower similarity.
    pub threshold: Option<f64>,
}

impl IdentifyOptions {
    /// The same of a probe among many.
    pub fn query<'a>(&self, probe: &'a Probe) -> Query<'a> {
        Query {
            probe,
            limit: self.limit,
            threshold: self.threshold,
        }
    }
}

/// The people that samples most likely show.
#[derive(Clone, Debug, PartialEq)]
pub struct Identification {
    /// The best classes, best first.
    pub matches: Vec<Match>,
    /// How many templates were searched; 0 if all people were removed.
    pub templates: usize,
    /// What was done to find them.
    pub certificate: Certificate,
}

impl Gallery {
    /// Lists the people that the samples, all of one person, most likely show.
    ///
    /// Several samples are fused into one probe first, see [`fuse`].
    ///
    /// # Errors
    ///
    /// If there are no samples, one has the wrong dimension, or a segment is damaged.
    pub fn identify(
        &self,
        samples: &[&Embedding],
        options: &IdentifyOptions,
    ) -> Result<Identification, EngineError> {
        let probe = Probe::new(&fuse(self.encoder(), samples)?);
        let mut identified = self.identify_many(&[options.query(&probe)])?;
        Ok(identified.remove(0))
    }

    /// Answers many queries, each for a person of its own and with limits of its own, in one pass
    /// over the gallery.
    ///
    /// Where a query has a threshold, a class that has one of its own is measured by that, and one that is
    /// said not to be the same person as another is left out if the other is more similar.
    ///
    /// # Errors
    ///
    /// If a probe has the wrong dimension, or a segment is damaged.
    pub fn identify_many(&self, queries: &[Query<'_>]) -> Result<Vec<Identification>, EngineError> {
        let (snapshot, options) = (self.searched()?, Options::with(self.kernel));
        let rules = self.partition.rules()?;
        let answers = match rules.is_empty() {
            true => search(&snapshot, queries, &options, &self.pool)?,
            false => search_by(&rules, &snapshot, queries, &options, &self.pool)?,
        };
        for (query, answer) in queries.iter().zip(&answers) {
            // Where nothing is decided nobody is recognised.
            if let (true, Some(_), Some(best)) =
                (self.notes_matches, query.threshold, answer.matches.first())
            {
                self.note_match(best.class);
            }
        }
        let identification = |answer: Answer| Identification {
            matches: answer.matches,
            templates: answer.certificate.rows_scanned,
            certificate: answer.certificate,
        };
        Ok(answers.into_iter().map(identification).collect())
    }
}

/// One embedding for several samples of one person: the mean of their directions.
///
/// Averaging before the search costs one scan however many samples there are, and damps what is
/// particular to one picture. A single sample is returned as it is.
///
/// # Errors
///
/// If there are no samples, one has the wrong dimension, or the mean has no direction.
pub fn fuse(encoder: &EncoderId, samples: &[&Embedding]) -> Result<Embedding, EngineError> {
    for sample in samples {
        if sample.dimension() != encoder.dimension() {
            let (found, encoder) = (sample.dimension(), encoder.clone());
            return Err(EngineError::Dimension { found, encoder });
        }
    }
    match samples {
        [] => Err(EngineError::NoSamples),
        [only] => Ok(Embedding::clone(only)),
        _ => {
            let mut sum = vec![0.0_f64; encoder.dimension()];
            for sample in samples {
                let length = length(sample.values());
                for (sum, &value) in sum.iter_mut().zip(sample.values()) {
                    *sum += f64::from(value) / length;
                }
            }
            let count = samples.len() as f64;
            let mean: Vec<f32> = sum.iter().map(|sum| (sum / count) as f32).collect();
            Embedding::new(mean).map_err(|_| EngineError::Contradiction)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoder() -> EncoderId {
        EncoderId::new("test", "1", 16).unwrap()
    }

    fn along(axis: usize, length: f32) -> Embedding {
        let mut values = vec![0.0; 16];
        values[axis] = length;
        Embedding::new(values).unwrap()
    }

    #[test]
    fn samples_count_alike_whatever_their_length() {
        let fused = fuse(&encoder(), &[&along(0, 5.0), &along(1, 1e-10)]).unwrap();
        assert_eq!(&fused.values()[..3], [0.5, 0.5, 0.0]);
    }

    #[test]
    fn one_sample_is_left_as_it_is() {
        assert_eq!(fuse(&encoder(), &[&along(3, 7.5)]).unwrap(), along(3, 7.5));
    }

    #[test]
    fn what_cannot_be_fused_is_refused() {
        assert!(matches!(fuse(&encoder(), &[]), Err(EngineError::NoSamples)));
        let opposite = [&along(0, 1.0), &along(0, -1.0)];
        assert!(matches!(
            fuse(&encoder(), &opposite),
            Err(EngineError::Contradiction)
        ));
        let long = Embedding::new(vec![1.0; 17]).unwrap();
        let error = fuse(&encoder(), &[&long]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "an embedding has 17 values, and encoder `test@1/16` makes 16"
        );
    }
}
