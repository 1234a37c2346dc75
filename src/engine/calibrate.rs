//! What do strangers reach in this gallery?
//!
//! No pictures of strangers are needed: everybody who is enrolled is a stranger to all others. People are
//! drawn, one template of each is searched with the own class left out, and the best that is found is
//! what a stranger reached. A scan asks for a thousand probes at once, which is what makes this a matter
//! of seconds.

use std::collections::HashMap;
use std::collections::HashSet;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Engine, EngineError, Gallery, PROBES_PER_PASS};
use crate::code::Probe;
use crate::partition::{Row, Snapshot, StateOf, StoreError};
use crate::rates::{Calibration, Comparison, Observations, Stranger};
use crate::search::{Options, Query, search};
use crate::types::{ClassId, Embedding, PartitionId, Timestamp};

/// What is kept of a gallery here.
pub(super) fn state_of(id: &PartitionId) -> StateOf {
    StateOf {
        area: AREA,
        key: id.to_string(),
        is_prefix: false,
    }
}

/// Where calibrations are kept, by the name of the partition.
const AREA: &str = "calibration";
/// How many classes of others are kept of each probe, the most similar ones. More than the first show who
/// hangs together with whom.
const LISTED: usize = 16;
/// So many people, with all of their templates, are compared one by one.
const COMPARED_CLASSES: usize = 1_000;
/// With so many of them each probe is compared at most...
const COMPARED_PER_PROBE: usize = 200;
/// ... and so many templates are compared in all, about: a few seconds.
const COMPARED_TEMPLATES: usize = 4_000_000;

/// How a gallery is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CalibrationOptions {
    /// The most people who are drawn; all where there are fewer.
    pub probes: usize,
    /// What the choice is drawn with: the same draws the same people and templates, however they are
    /// spread over files.
    pub seed: u64,
    /// How many are searched in one pass. Fewer leave the processor to others sooner.
    pub probes_per_pass: usize,
}

impl Default for CalibrationOptions {
    /// 10,000 people, as fast as can be.
    fn default() -> CalibrationOptions {
        CalibrationOptions {
            probes: 10_000,
            seed: 1,
            probes_per_pass: PROBES_PER_PASS,
        }
    }
}

impl Gallery {
    /// Measures what strangers reach in the gallery as it is now; nothing is stored. People whose time is
    /// over are left out, as they are in searches.
    ///
    /// Of those who are drawn one template each is a probe: several of one person are not independent of
    /// each other. `progress` is told how many of how many are done, and may end it by an error.
    ///
    /// # Errors
    ///
    /// If there are too few people, a segment is damaged, or `progress` fails.
    pub fn calibrate(
        &self,
        options: &CalibrationOptions,
        now: Timestamp,
        mut progress: impl FnMut(usize, usize) -> Result<(), EngineError>,
    ) -> Result<Calibration, EngineError> {
        let snapshot = self.searched()?;
        let everybody = classes(&snapshot)?;
        let encoder = self.encoder();
        let shipped = self.encoders.calibration(encoder);
        let observed = Observations {
            encoder,
            classes: everybody.len(),
            templates: snapshot.templates(),
            seed: options.seed,
            now,
            strangers: &[],
            comparisons: &[],
            mated: &[],
            shipped: shipped.as_deref(),
        };
        observed.check()?;
        let drawn = draw(everybody, options);
        let mut found = Found::default();
        let all = drawn.len();
        for pass in drawn.chunks(options.probes_per_pass.max(1)) {
            self.search_strangers(&snapshot, pass, options.seed, &mut found)?;
            progress(found.strangers.len(), all)?;
        }
        let comparisons = compare(&snapshot, &found, &drawn, || progress(all, all))?;
        let rules = self.partition.rules()?;
        let is_known = |class: ClassId, other: ClassId| {
            let others = rules.not_same.get(&class);
            others.is_some_and(|others| others.contains(&other))
        };
        let observed = Observations {
            strangers: &found.strangers,
            comparisons: &comparisons,
            mated: &found.mated,
            ..observed
        };
        Ok(Calibration::of(&observed, &is_known)?)
    }

    /// Searches for a template of each of some people, and tells apart what is found of others and of
    /// themselves.
    fn search_strangers(
        &self,
        snapshot: &Snapshot,
        people: &[ClassId],
        seed: u64,
        found: &mut Found,
    ) -> Result<(), EngineError> {
        let mut probes = Vec::with_capacity(people.len());
        for &class in people {
            let rows = snapshot.rows_of(class)?;
            let Some(chosen) = choose(&rows, seed)? else {
                continue;
            };
            let probe = probe(rows[chosen])?;
            let mut own: Option<f64> = None;
            for (at, row) in rows.iter().enumerate() {
                if at != chosen {
                    let similarity = probe.similarity(row.values()?, row.length()?);
                    own = Some(own.map_or(similarity, |own| own.max(similarity)));
                }
            }
            found.mated.extend(own);
            probes.push((class, probe));
        }
        let queries: Vec<Query<'_>> = probes
            .iter()
            .map(|(_, probe)| Query::best(probe, LISTED + 1))
            .collect();
        let answers = search(snapshot, &queries, &Options::with(self.kernel), &self.pool)?;
        for ((class, probe), answer) in probes.into_iter().zip(answers) {
            let others = answer.matches.into_iter().filter(|it| it.class != class);
            let best = others.take(LISTED).collect();
            found.strangers.push(Stranger { class, best });
            found.probes.push(probe);
        }
        Ok(())
    }
}

/// What was found of those who were drawn.
#[derive(Default)]
struct Found {
    strangers: Vec<Stranger>,
    probes: Vec<Probe>,
    /// How alike templates are to the others of their person.
    mated: Vec<f64>,
}

/// Everybody who has a template.
fn classes(snapshot: &Snapshot) -> Result<HashSet<ClassId>, StoreError> {
    snapshot.live_rows().map(|row| row.class()).collect()
}

/// Some of all people, in an order that depends on the seed and on who is there alone.
fn draw(everybody: HashSet<ClassId>, options: &CalibrationOptions) -> Vec<ClassId> {
    let rank = |class: &ClassId| (mixed(options.seed, class.0 as u64), *class);
    let mut drawn: Vec<ClassId> = everybody.into_iter().collect();
    if options.probes < drawn.len() {
        drawn.select_nth_unstable_by_key(options.probes, rank);
        drawn.truncate(options.probes);
    }
    drawn.sort_unstable_by_key(rank);
    drawn
}

/// Which of the templates of a person is the probe; `None` if there are none.
fn choose(rows: &[Row<'_>], seed: u64) -> Result<Option<usize>, StoreError> {
    let mut chosen = None;
    for (at, row) in rows.iter().enumerate() {
        let rank = mixed(seed, row.info()?.template);
        if chosen.is_none_or(|(lowest, _)| rank < lowest) {
            chosen = Some((rank, at));
        }
    }
    Ok(chosen.map(|(_, at)| at))
}

/// A number that looks like chance, and is the same everywhere (SplitMix64, Steele et al. 2014).
fn mixed(seed: u64, number: u64) -> u64 {
    let mut mixed = number
        .wrapping_add(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
        .wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn probe(row: Row<'_>) -> Result<Probe, EngineError> {
    let embedding = Embedding::new(row.values()?);
    let embedding = embedding.map_err(|source| EngineError::Template { source })?;
    Ok(Probe::new(&embedding))
}

/// Compares each probe with some other people, as a verification would. `go_on` is asked now and then.
fn compare(
    snapshot: &Snapshot,
    found: &Found,
    drawn: &[ClassId],
    mut go_on: impl FnMut() -> Result<(), EngineError>,
) -> Result<Vec<Comparison>, EngineError> {
    let mut others = Vec::new();
    let mut templates = 0;
    for &class in drawn.iter().take(COMPARED_CLASSES) {
        let rows = snapshot.rows_of(class)?;
        templates += rows.len();
        others.push((class, rows));
    }
    let of_one = (templates as f64 / others.len().max(1) as f64).max(1.0);
    let affordable = COMPARED_TEMPLATES as f64 / (found.probes.len().max(1) as f64 * of_one);
    // At most half of the way round, so that no two people are compared twice.
    let half = others.len().saturating_sub(1) / 2;
    let each = COMPARED_PER_PROBE.min(affordable as usize).min(half).max(1);
    let mut comparisons = Vec::with_capacity(found.probes.len() * each);
    for (at, (stranger, probe)) in found.strangers.iter().zip(&found.probes).enumerate() {
        // They were drawn in no order, so that those who follow are as good as any.
        for step in 1..=each {
            let (class, rows) = &others[(at + step) % others.len()];
            if *class == stranger.class {
                continue;
            }
            let mut similarity = f64::NEG_INFINITY;
            for row in rows {
                similarity = similarity.max(probe.similarity(row.values()?, row.length()?));
            }
            let (probe, other) = (stranger.class, *class);
            comparisons.push(Comparison {
                probe,
                other,
                similarity,
            });
        }
        if at % 64 == 0 {
            go_on()?;
        }
    }
    Ok(comparisons)
}

/// Calibrations that were read, with the bytes that they were read from.
type Read = HashMap<PartitionId, (Vec<u8>, Arc<Calibration>)>;

/// Calibrations that were read. Clones of an engine share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Calibrations(Arc<Mutex<Read>>);

impl Engine {
    /// What is known of a gallery: the calibration that was last kept, if it is of the encoder of the
    /// gallery; else the one that is known of the encoder. `None` if there is neither, or nobody was ever
    /// enrolled. What was kept and cannot be read is as none, and the log tells of it.
    ///
    /// # Errors
    ///
    /// If the gallery cannot be opened.
    pub fn calibration(&self, id: &PartitionId) -> Result<Option<Arc<Calibration>>, EngineError> {
        let Some(gallery) = self.enrolled(id)? else {
            return Ok(None);
        };
        let kept = self.kept_calibration(id).unwrap_or_else(|error| {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, partition = %id, "a calibration cannot be used: calibrate the gallery again");
            None
        });
        let kept = kept.filter(|kept| kept.encoder() == gallery.encoder());
        Ok(kept.or_else(|| self.encoders.calibration(gallery.encoder())))
    }

    /// The calibration that was last kept of a gallery, whatever its encoder.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or is damaged.
    pub fn kept_calibration(
        &self,
        id: &PartitionId,
    ) -> Result<Option<Arc<Calibration>>, EngineError> {
        let bytes = self.store.state_get(AREA, &id.to_string())?;
        let mut read = self
            .calibrations
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let Some(bytes) = bytes else {
            read.remove(id);
            return Ok(None);
        };
        // Whoever keeps one may have another engine over the same directory.
        match read.entry(id.clone()) {
            Entry::Occupied(known) if known.get().0 == bytes => Ok(Some(known.get().1.clone())),
            entry => {
                let calibration = Arc::new(Calibration::from_bytes(&bytes)?);
                entry.insert_entry((bytes, calibration.clone()));
                Ok(Some(calibration))
            }
        }
    }

    /// Keeps a calibration of a gallery, in place of the one before. On disk when this returns.
    ///
    /// # Errors
    ///
    /// If there is no such gallery, the calibration is of another encoder, or the disk
    /// fails.
    pub fn keep_calibration(
        &self,
        id: &PartitionId,
        calibration: &Calibration,
    ) -> Result<(), EngineError> {
        if self.gallery(id, calibration.encoder())?.is_none() {
            let partition = id.clone();
            return Err(EngineError::NoPartition { partition });
        }
        Ok(self
            .store
            .state_put(AREA, &id.to_string(), &calibration.to_bytes())?)
    }

    /// Forgets the calibration of a gallery. Returns whether there was one.
    ///
    /// # Errors
    ///
    /// If the disk fails.
    pub fn forget_calibration(&self, id: &PartitionId) -> Result<bool, EngineError> {
        Ok(self.store.state_remove(AREA, &id.to_string())?)
    }
}
