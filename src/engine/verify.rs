//! Is this the person of the class?

use super::{EngineError, Gallery, fuse, rules};
use crate::code::{Probe, length};
use crate::partition::NewTemplate;
use crate::types::{ClassId, Embedding, EncoderId};

/// How suitable a picture must be to become a template unasked, from 0 to 1.
pub const IMPROVING_QUALITY_MIN: f32 = 0.5;

/// How alike samples and a class are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verification {
    /// The cosine between the fused samples and the most similar template of the class, from -1 to 1, in
    /// double precision: what [`Gallery::identify`] would say of this class.
    pub similarity: f64,
    /// How many templates the class has.
    pub templates: usize,
    /// The threshold of the class, in place of the one that holds for all, if it has one.
    pub own_threshold: Option<f64>,
    /// Whether somebody whom the class is said not to be is more similar.
    pub is_rather_another: bool,
}

impl Verification {
    /// The threshold that decides, where `threshold` holds for all.
    pub fn threshold(&self, threshold: f64) -> f64 {
        self.own_threshold.unwrap_or(threshold)
    }

    /// Whether it is the person of the class, where `threshold` holds for all.
    pub fn is_accepted(&self, threshold: f64) -> bool {
        self.similarity >= self.threshold(threshold) && !self.is_rather_another
    }
}

impl Gallery {
    /// Compares samples, all of one person, with the templates of a class. `None` if the class has none, or
    /// its time is over.
    ///
    /// Several samples are fused first, see [`fuse`]. Only the templates of the class are read, found by
    /// the order of classes in each segment.
    ///
    /// # Errors
    ///
    /// If there are no samples, one has the wrong dimension, or a segment is damaged.
    pub fn verify(
        &self,
        class: ClassId,
        samples: &[&Embedding],
    ) -> Result<Option<Verification>, EngineError> {
        let probe = Probe::new(&fuse(self.encoder(), samples)?);
        let snapshot = self.searched()?;
        let templates = snapshot.rows_of(class)?.len();
        let Some(similarity) = rules::similarity(&snapshot, class, &probe)? else {
            return Ok(None);
        };
        let decided = self.partition.rules()?;
        let mut is_rather_another = false;
        for &other in decided.not_same.get(&class).into_iter().flatten() {
            let alike = rules::similarity(&snapshot, other, &probe)?;
            is_rather_another |= alike.is_some_and(|alike| alike > similarity);
        }
        Ok(Some(Verification {
            similarity,
            templates,
            own_threshold: decided.thresholds.get(&class).copied(),
            is_rather_another,
        }))
    }

    /// How alike samples and the templates of a class are: the highest cosine of one of each, from -1 to 1.
    /// `None` if the class has none. For whoever is about to add the samples to the class, and wonders
    /// whether they are of the same person.
    ///
    /// # Errors
    ///
    /// As [`Gallery::verify`].
    pub fn similarity_to_class(
        &self,
        class: ClassId,
        samples: &[&Embedding],
    ) -> Result<Option<f64>, EngineError> {
        let snapshot = self.partition.snapshot();
        let rows = snapshot.rows_of(class)?;
        // Most classes are new, and cost no more than this.
        if rows.is_empty() {
            return Ok(None);
        }
        let mut highest = f64::NEG_INFINITY;
        for sample in samples {
            let probe = Probe::new(&fuse(self.encoder(), &[sample])?);
            for row in &rows {
                highest = highest.max(probe.similarity(row.values()?, row.length()?));
            }
        }
        Ok(highest.is_finite().then_some(highest))
    }

    /// The samples of a recognised person that may become templates of the class: those that are good
    /// enough in themselves, and would each have been recognised alone.
    ///
    /// So neither a poor picture nor one of somebody else that slipped in beside good ones moves the
    /// class away from its person.
    ///
    /// # Errors
    ///
    /// As [`Gallery::verify`].
    pub fn improving<'a>(
        &self,
        class: ClassId,
        samples: &'a [NewTemplate],
        threshold: f64,
    ) -> Result<Vec<&'a NewTemplate>, EngineError> {
        let mut improving = Vec::new();
        for sample in samples {
            let alone = self.verify(class, &[&sample.embedding])?;
            let recognised = alone.is_some_and(|alone| alone.is_accepted(threshold));
            if recognised && sample.quality >= IMPROVING_QUALITY_MIN {
                improving.push(sample);
            }
        }
        Ok(improving)
    }
}

/// How alike live samples, all of one person, and a photo are: the cosine between the fused samples and the
/// photo, from -1 to 1, in double precision.
///
/// # Errors
///
/// If there are no samples, or an embedding is of another encoder.
pub fn photo_similarity(
    encoder: &EncoderId,
    samples: &[&Embedding],
    photo: &Embedding,
) -> Result<f64, EngineError> {
    let probe = Probe::new(&fuse(encoder, samples)?);
    let photo = fuse(encoder, &[photo])?;
    Ok(probe.similarity(photo.values(), length(photo.values())))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rand::{RngExt, SeedableRng};

    use super::*;
    use crate::engine::{Engine, IdentifyOptions};
    use crate::partition::Store;
    use crate::search::Pool;
    use crate::types::{Match, Timestamp};

    fn encoder() -> EncoderId {
        EncoderId::new("test", "1", 32).unwrap()
    }

    fn random(rng: &mut impl rand::Rng) -> Embedding {
        let values: Vec<f32> = (0..32).map(|_| rng.random_range(-1.0..1.0)).collect();
        Embedding::new(values).unwrap()
    }

    fn engine() -> (tempfile::TempDir, Engine) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        (directory, Engine::new(Arc::new(store), Pool::Here))
    }

    fn enroll(engine: &Engine, bcid: &str, embedding: &Embedding, quality: f32) {
        let template = NewTemplate {
            embedding: embedding.clone(),
            quality,
            portrait: None,
        };
        let now = Timestamp::from_unix_seconds(1);
        let bcid = bcid.parse().unwrap();
        engine.enroll(&bcid, &encoder(), &[template], now).unwrap();
    }

    fn gallery(engine: &Engine) -> Gallery {
        let id = "bws.1".parse().unwrap();
        engine.gallery(&id, &encoder()).unwrap().unwrap()
    }

    #[test]
    fn a_verification_says_bit_by_bit_what_an_identification_says() {
        let mut rng = rand::rngs::StdRng::seed_from_u64(1);
        let (_directory, engine) = engine();
        for class in 0..40 {
            for _ in 0..1 + class % 4 {
                enroll(&engine, &format!("bws.1.{class}"), &random(&mut rng), 1.0);
            }
        }
        let probe = [random(&mut rng), random(&mut rng)];
        let samples: Vec<&Embedding> = probe.iter().collect();
        let all = IdentifyOptions {
            limit: 100,
            threshold: None,
        };
        let gallery = gallery(&engine);
        let listed = gallery.identify(&samples, &all).unwrap();
        assert_eq!(listed.matches.len(), 40);
        for Match { class, similarity } in listed.matches {
            let found = gallery.verify(class, &samples).unwrap().unwrap();
            assert_eq!(found.similarity.to_bits(), similarity.to_bits(), "{class}");
            assert_eq!(found.templates as i64, 1 + class.0 % 4);
        }
        assert_eq!(gallery.verify(ClassId(41), &samples).unwrap(), None);
        let nothing = gallery.verify(ClassId(41), &[]);
        assert!(matches!(nothing, Err(EngineError::NoSamples)));
    }

    #[test]
    fn only_good_samples_of_the_person_improve_a_class() {
        let mut rng = rand::rngs::StdRng::seed_from_u64(2);
        let (_directory, engine) = engine();
        let (person, other) = (random(&mut rng), random(&mut rng));
        enroll(&engine, "bws.1.1", &person, 1.0);
        let sample = |embedding: &Embedding, quality| NewTemplate {
            embedding: embedding.clone(),
            quality,
            portrait: None,
        };
        let samples = [
            sample(&person, 0.5),
            sample(&person, 0.49),
            sample(&person, f32::NAN),
            sample(&other, 1.0),
        ];
        let gallery = gallery(&engine);
        let good = gallery.improving(ClassId(1), &samples, 0.9).unwrap();
        let qualities: Vec<f32> = good.iter().map(|sample| sample.quality).collect();
        assert_eq!(qualities, [0.5]);
    }

    #[test]
    fn a_photo_is_compared_with_the_mean_of_the_live_pictures() {
        let mut values = [[0.0; 32]; 3];
        (values[0][0], values[1][1], values[2][0]) = (1.0, 5.0, 3.0);
        let [a, b, photo] = values.map(|values| Embedding::new(values).unwrap());
        let alone = photo_similarity(&encoder(), &[&a], &photo).unwrap();
        assert_eq!(alone, 1.0);
        let both = photo_similarity(&encoder(), &[&a, &b], &photo).unwrap();
        assert!((both - 0.5_f64.sqrt()).abs() < 1e-12);
    }
}
