//! More pictures never make a person harder to find.
//!
//! Of templates the most similar counts, so that one more can only be more similar. Samples are
//! averaged by their directions, so that several are at least as similar to a template as they are
//! on the mean.

use std::sync::Arc;

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use vultus::engine::{Engine, Gallery, IdentifyOptions};
use vultus::partition::{NewTemplate, Store};
use vultus::search::Pool;
use vultus::types::{Bcid, ClassId, Embedding, EncoderId, PartitionId, Timestamp};

const PERSON: ClassId = ClassId(1);
/// Similarities are computed in double precision from values in single precision.
const ROUNDING: f64 = 1e-6;

struct Place {
    _directory: tempfile::TempDir,
    engine: Engine,
    encoder: EncoderId,
    id: PartitionId,
}

impl Place {
    fn new(dimension: usize) -> Place {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(directory.path()).unwrap());
        Place {
            engine: Engine::new(store, Pool::Here),
            _directory: directory,
            encoder: EncoderId::new("test", "1", dimension).unwrap(),
            id: "bws.1".parse().unwrap(),
        }
    }

    fn enroll(&self, class: ClassId, embedding: &Embedding) {
        let template = NewTemplate {
            embedding: embedding.clone(),
            quality: 0.9,
            portrait: None,
        };
        let bcid = Bcid::new(self.id.clone(), class);
        let now = Timestamp::from_unix_seconds(1);
        self.engine
            .enroll(&bcid, &self.encoder, &[template], now)
            .unwrap();
    }

    fn gallery(&self) -> Gallery {
        self.engine
            .gallery(&self.id, &self.encoder)
            .unwrap()
            .unwrap()
    }
}

/// How alike samples, together, and a person are: the same, whether they are looked for or compared.
fn similarity(gallery: &Gallery, samples: &[&Embedding]) -> f64 {
    let compared = gallery.verify(PERSON, samples).unwrap().unwrap().similarity;
    let everybody = IdentifyOptions {
        limit: 100,
        threshold: None,
    };
    let found = gallery.identify(samples, &everybody).unwrap().matches;
    let found = found.iter().find(|found| found.class == PERSON).unwrap();
    assert_eq!(found.similarity, compared);
    compared
}

/// Enrols one template after another, and looks with one sample more each time.
fn check(place: &Place, templates: &[Embedding], samples: &[Embedding]) {
    let mut before = vec![f64::NEG_INFINITY; samples.len()];
    for template in templates {
        place.enroll(PERSON, template);
        let gallery = place.gallery();
        let singles: Vec<f64> = samples
            .iter()
            .map(|sample| similarity(&gallery, &[sample]))
            .collect();
        for count in 1..=samples.len() {
            let together: Vec<&Embedding> = samples[..count].iter().collect();
            let alike = similarity(&gallery, &together);
            assert!(
                alike >= before[count - 1],
                "a template more: {alike} after {}",
                before[count - 1]
            );
            before[count - 1] = alike;
            let worst = singles[..count].iter().copied().fold(1.0, f64::min);
            // Where pictures are not of one person nothing is promised.
            if worst > 0.0 && templates.len() == 1 {
                let mean = singles[..count].iter().sum::<f64>() / count as f64;
                assert!(alike >= mean - ROUNDING, "{count} samples: {alike} {mean}");
            }
        }
    }
}

fn embeddings(count: usize, spread: f32, random: &mut StdRng) -> Vec<Embedding> {
    let middle: Vec<f32> = (0..16).map(|_| random.random_range(-1.0..1.0)).collect();
    let near = |random: &mut StdRng| {
        let values = middle
            .iter()
            .map(|value| value + spread * random.random_range(-1.0..1.0_f32));
        Embedding::new(values.collect::<Vec<f32>>()).unwrap()
    };
    (0..count).map(|_| near(random)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_pictures_of_a_person(
        seed: u64,
        templates in 1..5_usize,
        samples in 1..5_usize,
        spread in 0.0_f32..2.0,
    ) {
        let mut random = StdRng::seed_from_u64(seed);
        let place = Place::new(16);
        for (class, other) in (2..10).zip(embeddings(8, 1.0, &mut random)) {
            place.enroll(ClassId(class), &other);
        }
        let mut all = embeddings(templates + samples, spread, &mut random);
        let samples = all.split_off(templates);
        check(&place, &all, &samples);
    }
}

#[cfg(feature = "web")]
#[test]
fn portraits_of_a_person() {
    let faces = crate::harness::faces();
    let embedding = |name: &str| {
        let picture = crate::face::portrait(name);
        faces.only_face(&picture).unwrap().embedding
    };
    let obama: Vec<Embedding> = ["portrait", "speech", "white-house"]
        .map(|picture| embedding(&format!("obama-{picture}.jpg")))
        .into();
    let biden = embedding("biden-portrait.jpg");
    for first in 0..3 {
        let mut pictures = obama.clone();
        pictures.rotate_left(first);
        for templates in 1..=2 {
            let place = Place::new(biden.dimension());
            place.enroll(ClassId(2), &biden);
            let samples = pictures[templates..].to_vec();
            check(&place, &pictures[..templates], &samples);
            let together: Vec<&Embedding> = samples.iter().collect();
            let best = IdentifyOptions {
                limit: 1,
                threshold: Some(0.41),
            };
            let found = place.gallery().identify(&together, &best).unwrap();
            assert_eq!(found.matches[0].class, PERSON, "{first} {templates}");
        }
    }
}
