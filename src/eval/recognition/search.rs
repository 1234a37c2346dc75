//! Enrolling and searching, by the engine.

use super::sample::People;
use super::split::Split;
use crate::code::Probe;
use crate::engine::{Engine, EngineError, Gallery, IdentifyOptions, PROBES_PER_PASS};
use crate::partition::TemplateBatch;
use crate::types::{ClassId, EncoderId, Match, PartitionId, Timestamp};

/// Templates that are made durable together.
const TEMPLATES_PER_BATCH: usize = 65_536;
/// Probes of one pass whose answers list everybody: so that they need no more memory than others.
const PROBES_PER_LONG_PASS: usize = 128;

/// How sure it is that the first of those who were found is right, from 0 to 1; none where nothing
/// is known of strangers.
pub type Sure<'a> = &'a dyn Fn(&[Match]) -> Option<f64>;

/// What came of looking for the person of a probe.
#[derive(Clone, Debug, PartialEq)]
pub struct Searched {
    /// The sample that was searched for.
    pub probe: usize,
    /// In which split.
    pub split: usize,
    /// The first of the answer; none where nobody is enrolled.
    pub first: Option<Match>,
    /// The similarity of the second.
    pub second: Option<f64>,
    /// The first who is not the person of the probe.
    pub other: Option<Match>,
    /// The person of the probe; none of a stranger.
    pub mate: Option<Mate>,
    /// How sure the service would be that the first is right, from 0 to 1; none where it cannot
    /// say.
    pub confidence: Option<f64>,
}

/// The person of a probe, among those who are enrolled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mate {
    /// How alike the probe is.
    pub similarity: f64,
    /// The place in the answer, from 1; none beyond its end.
    pub rank: Option<usize>,
}

/// Whom a probe is searched for among.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enrolled {
    /// The person is enrolled.
    Mated,
    /// The person is not.
    Stranger,
}

/// Two that were compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Compared {
    /// How alike they are.
    pub similarity: f64,
    /// The sample.
    pub probe: usize,
    /// The person that it was compared with, by the place among all; none that is not among them.
    pub person: Option<usize>,
    /// The class that it was compared with, or the other sample of two.
    pub with: i64,
}

/// Enrols samples in a gallery, as a bulk import does.
///
/// # Errors
///
/// If there are none, or the disk fails.
pub fn enroll(
    engine: &Engine,
    id: &PartitionId,
    encoder: &EncoderId,
    templates: impl Iterator<Item = (ClassId, usize)>,
    people: &People,
    now: Timestamp,
) -> Result<Gallery, EngineError> {
    let partition = engine.store().partition_for(id, encoder, now)?;
    let mut batch = TemplateBatch::new(encoder);
    for (class, sample) in templates {
        batch.push(
            class,
            people.samples()[sample].embedding.values(),
            f32::NAN,
            now,
        );
        if batch.len() == TEMPLATES_PER_BATCH {
            partition.add_batch(&batch, Vec::new(), None, now)?;
            batch.clear();
        }
    }
    if !batch.is_empty() {
        partition.add_batch(&batch, Vec::new(), None, now)?;
    }
    let gallery = engine.gallery(id, encoder)?;
    gallery.ok_or(EngineError::NoSamples)
}

/// Looks for everybody of a split, whose templates are enrolled in `gallery`. Answers list `limit`
/// people; `sure` says how sure they are. `done` is told after so many.
///
/// # Errors
///
/// If a segment is damaged.
pub fn search_split(
    gallery: &Gallery,
    people: &People,
    (split, number): (&Split, usize),
    (limit, sure): (usize, Sure<'_>),
    done: impl FnMut(usize),
) -> Result<Vec<Searched>, EngineError> {
    let mated = split.mated.iter().map(|&probe| (probe, Enrolled::Mated));
    let strangers = split
        .strangers
        .iter()
        .map(|&probe| (probe, Enrolled::Stranger));
    let probes: Vec<_> = mated.chain(strangers).collect();
    search_probes(gallery, people, (&probes, number), (limit, sure), done)
}

/// Looks for the people of samples in a gallery, each of whom is enrolled or is not. Answers list
/// `limit` people, two at least; `sure` says how sure they are. `done` is told after so many.
///
/// # Errors
///
/// If a segment is damaged.
pub fn search_probes(
    gallery: &Gallery,
    people: &People,
    (probes, split): (&[(usize, Enrolled)], usize),
    (limit, sure): (usize, Sure<'_>),
    mut done: impl FnMut(usize),
) -> Result<Vec<Searched>, EngineError> {
    let options = IdentifyOptions {
        limit: limit.max(2),
        threshold: None,
    };
    let mut searched = Vec::with_capacity(probes.len());
    for pass in probes.chunks(PROBES_PER_PASS) {
        let coded: Vec<Probe> = pass
            .iter()
            .map(|&(probe, _)| Probe::new(&people.samples()[probe].embedding))
            .collect();
        let queries: Vec<_> = coded.iter().map(|probe| options.query(probe)).collect();
        let answers = gallery.identify_many(&queries)?;
        for (&(probe, enrolled), answer) in pass.iter().zip(answers) {
            let sample = &people.samples()[probe];
            let is_own = |found: &Match| enrolled == Enrolled::Mated && found.class == sample.class;
            let matches = &answer.matches;
            let mate =
                match (enrolled, matches.iter().position(is_own)) {
                    (Enrolled::Stranger, _) => None,
                    (Enrolled::Mated, Some(place)) => Some(Mate {
                        similarity: matches[place].similarity,
                        rank: Some(place + 1),
                    }),
                    // Beyond the end of the answer: how alike they are is still wanted.
                    (Enrolled::Mated, None) => gallery
                        .verify(sample.class, &[&sample.embedding])?
                        .map(|verified| Mate {
                            similarity: verified.similarity,
                            rank: None,
                        }),
                };
            searched.push(Searched {
                probe,
                split,
                first: matches.first().copied(),
                second: matches.get(1).map(|second| second.similarity),
                other: matches.iter().find(|found| !is_own(found)).copied(),
                mate,
                confidence: sure(matches),
            });
        }
        done(pass.len());
    }
    Ok(searched)
}

/// Compares every sample of `drawn` with every other once, each being enrolled in `gallery` as the
/// class of its place in `drawn`. `done` is told after so many samples.
///
/// # Errors
///
/// If a segment is damaged.
pub fn compare_all(
    gallery: &Gallery,
    people: &People,
    drawn: &[usize],
    done: impl FnMut(usize),
) -> Result<Vec<Compared>, EngineError> {
    let mut compared = Vec::new();
    compare(gallery, people, drawn, drawn.len(), done, |place, found| {
        let other = usize::try_from(found.class.0).ok();
        // Each pair is met twice, and a sample meets itself.
        if let Some(other) = other.filter(|&other| other > place) {
            compared.push(Compared {
                similarity: found.similarity,
                probe: drawn[place],
                person: Some(people.person_of(drawn[other])),
                with: drawn[other] as i64,
            });
        }
    })?;
    Ok(compared)
}

/// Compares samples with every class of a gallery. `person` is the place of a class among all
/// people. `done` is told after so many samples.
///
/// # Errors
///
/// If a segment is damaged.
pub fn compare_with(
    gallery: &Gallery,
    people: &People,
    (probes, classes): (&[usize], usize),
    person: impl Fn(ClassId) -> Option<usize>,
    done: impl FnMut(usize),
) -> Result<Vec<Compared>, EngineError> {
    let mut compared = Vec::new();
    compare(gallery, people, probes, classes, done, |place, found| {
        compared.push(Compared {
            similarity: found.similarity,
            probe: probes[place],
            person: person(found.class),
            with: found.class.0,
        });
    })?;
    Ok(compared)
}

fn compare(
    gallery: &Gallery,
    people: &People,
    probes: &[usize],
    classes: usize,
    mut done: impl FnMut(usize),
    mut each: impl FnMut(usize, &Match),
) -> Result<(), EngineError> {
    let options = IdentifyOptions {
        limit: classes.max(1),
        threshold: None,
    };
    let mut first = 0;
    for pass in probes.chunks(PROBES_PER_LONG_PASS) {
        let coded: Vec<Probe> = pass
            .iter()
            .map(|&probe| Probe::new(&people.samples()[probe].embedding))
            .collect();
        let queries: Vec<_> = coded.iter().map(|probe| options.query(probe)).collect();
        for (at, answer) in gallery.identify_many(&queries)?.iter().enumerate() {
            answer
                .matches
                .iter()
                .for_each(|found| each(first + at, found));
        }
        first += pass.len();
        done(pass.len());
    }
    Ok(())
}
