//! What was measured of a gallery, and what follows from it.

use serde::{Deserialize, Serialize};

use super::curve::{Curve, Level};
use super::evidence::{Evidence, MATED_MIN};
use super::strangers::{self, Comparison, Stranger};
use super::{RatesError, TargetRate};
use crate::types::{ClassId, EncoderId, Pair, Timestamp};

/// The version of a stored calibration.
const VERSION: u32 = 1;
/// Rates at more than so many times the classes that were measured are said to be extrapolated.
const CLASSES_BEYOND: f64 = 1.5;
/// How few people can be measured.
pub const CLASSES_MIN: usize = 20;

/// Where a calibration is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CalibrationSource {
    /// From the gallery that it is used for.
    Measured,
    /// It comes with the encoder.
    Shipped,
}

/// What strangers reach in a gallery, and what that means for its decisions. It holds no template.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    version: u32,
    source: CalibrationSource,
    encoder: EncoderId,
    classes: usize,
    templates: usize,
    probes: usize,
    seed: u64,
    measured_unix_milliseconds: i64,
    /// The highest score of each probe over the classes of others.
    highest: Curve,
    /// Single comparisons of a probe and a class.
    single: Curve,
    evidence: Evidence,
    set_aside: Vec<Pair>,
}

/// What was found in a gallery when it was searched for people of its own, each with the own class
/// left out.
#[derive(Clone, Debug)]
pub struct Observations<'a> {
    /// The encoder of the gallery.
    pub encoder: &'a EncoderId,
    /// How many people are enrolled.
    pub classes: usize,
    /// How many templates they have.
    pub templates: usize,
    /// What the choice of probes was drawn with.
    pub seed: u64,
    /// When that was.
    pub now: Timestamp,
    /// The probes: one template of each person who was drawn. Those of one person are not
    /// independent of each other.
    pub strangers: &'a [Stranger],
    /// Single comparisons, each of a probe and the templates of another class.
    pub comparisons: &'a [Comparison],
    /// How alike probes and the other templates of their own class are.
    pub mated: &'a [f64],
    /// The calibration that comes with the encoder, for what the gallery does not show.
    pub shipped: Option<&'a Calibration>,
}

impl Observations<'_> {
    /// Whether there are enough people for a measurement, before it is made.
    ///
    /// # Errors
    ///
    /// If there are fewer than [`CLASSES_MIN`].
    pub fn check(&self) -> Result<(), RatesError> {
        if self.classes < CLASSES_MIN {
            let (found, expected) = (self.classes, CLASSES_MIN);
            return Err(RatesError::TooFewClasses { found, expected });
        }
        Ok(())
    }
}

/// How often a stranger is taken for somebody.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RateEstimate {
    /// The rate, 0 to 1.
    pub rate: f64,
    /// The lower end of the range in which the true rate lies with 95 % confidence.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// Whether this is beyond what was measured: so rare, or for so many people, that it rests on
    /// the form of the tail alone.
    pub extrapolated: bool,
}

/// The similarity from which on it is somebody, so that a stranger is taken for somebody as often
/// as was asked.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RateThreshold {
    /// The similarity, at most 1.
    pub similarity: f64,
    /// How often a stranger reaches it: FPIR for an identification, FMR for a verification.
    pub fpir: f64,
    /// The lower end of the range in which the true rate lies with 95 % confidence.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// As of [`RateEstimate`].
    pub extrapolated: bool,
}

impl Calibration {
    /// Draws the conclusions of a measurement. `is_known` says of two classes that they are
    /// different people, however alike.
    ///
    /// # Errors
    ///
    /// If there are fewer than [`CLASSES_MIN`] people, too few of them are probes, or a similarity
    /// is not finite.
    pub fn of(
        observed: &Observations<'_>,
        is_known: &dyn Fn(ClassId, ClassId) -> bool,
    ) -> Result<Calibration, RatesError> {
        observed.check()?;
        if observed
            .mated
            .iter()
            .any(|similarity| !similarity.is_finite())
        {
            return Err(RatesError::NotFinite);
        }
        let known = observed.shipped.map(|shipped| &shipped.evidence);
        let is_measured = observed.mated.len() >= MATED_MIN;
        /// Three of four pairs of one person are more alike.
        const MATED_SHARE: f64 = 0.25;
        let mated = match is_measured {
            true => Some(quantile(observed.mated, MATED_SHARE)),
            false => known.map(|evidence| evidence.mated_quantile(MATED_SHARE)),
        };
        let (set_aside, others) =
            strangers::without_copies(observed.strangers, observed.classes, mated, is_known);
        let highest = strangers::highest_scores(&others, observed.classes)?;
        let is_set_aside = |it: &&Comparison| {
            let pair = (it.probe.min(it.other), it.probe.max(it.other));
            set_aside
                .iter()
                .any(|aside| (aside.class, aside.other) == pair)
        };
        let singles = observed.comparisons.iter().filter(|it| !is_set_aside(it));
        let single = strangers::single_comparisons(singles.copied().collect())?;
        let evidence = match known {
            _ if is_measured => Evidence::measured(observed.mated, &highest),
            Some(known) => Evidence::with_mated_of(known, &highest),
            None => Evidence::assumed(&highest),
        };
        Ok(Calibration {
            version: VERSION,
            source: CalibrationSource::Measured,
            encoder: observed.encoder.clone(),
            classes: observed.classes,
            templates: observed.templates,
            probes: observed.strangers.len(),
            seed: observed.seed,
            measured_unix_milliseconds: observed.now.unix_milliseconds,
            highest,
            single,
            evidence,
            set_aside,
        })
    }

    /// Reads what [`Calibration::to_bytes`] wrote.
    ///
    /// # Errors
    ///
    /// If the bytes are not that, or of another version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Calibration, RatesError> {
        let stored = |found: String| RatesError::Stored { found };
        let read: Result<Calibration, _> = serde_json::from_slice(bytes);
        let calibration = read.map_err(|error| stored(error.to_string()))?;
        calibration.check().map_err(stored)?;
        Ok(calibration)
    }

    /// What is wrong with a calibration that was read.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.version != VERSION {
            return Err(format!("version {}", self.version));
        }
        self.highest.check()?;
        self.single.check()?;
        self.evidence.check()
    }

    /// The same, for other galleries of the encoder: whoever was measured is nobody there.
    pub(super) fn of_encoder(self) -> Calibration {
        Calibration {
            source: CalibrationSource::Shipped,
            set_aside: Vec::new(),
            ..self
        }
    }

    /// For storage: JSON.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers and texts are JSON")
    }

    /// Where it is from.
    pub fn source(&self) -> CalibrationSource {
        self.source
    }

    /// The encoder whose similarities these are. Those of another mean something else.
    pub fn encoder(&self) -> &EncoderId {
        &self.encoder
    }

    /// How many people were enrolled when it was measured.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// How many templates they had.
    pub fn templates(&self) -> usize {
        self.templates
    }

    /// How many of the people were probes, with one template each.
    pub fn probes(&self) -> usize {
        self.probes
    }

    /// What the choice of probes was drawn with.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// When it was measured.
    pub fn measured(&self) -> Timestamp {
        Timestamp {
            unix_milliseconds: self.measured_unix_milliseconds,
        }
    }

    /// The highest score of each probe over all classes of others.
    pub fn highest(&self) -> &Curve {
        &self.highest
    }

    /// Single comparisons of a probe and a class of another.
    pub fn single(&self) -> &Curve {
        &self.single
    }

    /// How much similarities say for a person.
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// Pairs that look like one person who is enrolled twice, by falling similarity. They count
    /// nowhere.
    pub fn set_aside(&self) -> &[Pair] {
        &self.set_aside
    }

    /// The similarity that a stranger reaches as often as `target` with somebody of `classes`
    /// people.
    pub fn threshold(&self, target: TargetRate, classes: usize) -> RateThreshold {
        let rate_at = |level: &Level| self.among(level, classes).rate;
        let similarity = self
            .highest
            .similarity_where(target.get(), rate_at)
            .min(1.0);
        RateThreshold::of(similarity, self.fpir(similarity, classes))
    }

    /// How often a stranger reaches `similarity` with somebody of `classes` people: FPIR.
    pub fn fpir(&self, similarity: f64, classes: usize) -> RateEstimate {
        self.among(&self.highest.at(similarity), classes)
    }

    /// The similarity that a stranger reaches as often as `target` with one class.
    pub fn verification_threshold(&self, target: TargetRate) -> RateThreshold {
        let similarity = self.single.similarity(target.get()).min(1.0);
        RateThreshold::of(similarity, self.fmr(similarity))
    }

    /// How often a stranger reaches `similarity` with one class: FMR.
    pub fn fmr(&self, similarity: f64) -> RateEstimate {
        let Level {
            rate, low, high, ..
        } = self.single.at(similarity);
        let extrapolated = self.single.is_beyond(rate);
        RateEstimate {
            rate,
            low,
            high,
            extrapolated,
        }
    }

    /// The probability that the first of an answer is right, 0 to 1, given how alike the first two
    /// of `classes` people are; `second` is `None` where only one was searched. One in two probes
    /// is taken to be of somebody who is enrolled.
    pub fn confidence(&self, best: f64, second: Option<f64>, classes: usize) -> f64 {
        self.evidence.confidence(best, second, self.times(classes))
    }

    /// How many times the classes that probes were compared with.
    fn times(&self, classes: usize) -> f64 {
        // The own class was left out.
        classes.max(1) as f64 / (self.classes.max(2) - 1) as f64
    }

    /// What a level means for another number of classes.
    ///
    /// Of fewer classes, each is left with the same chance: where `mean` classes reach the level if
    /// one does, none of them is left with a chance of `(1 - times)^mean`. Of more, the rate grows
    /// at most as if probes were all alike, `1 - (1 - rate)^times`, and at least not at all: who is
    /// like families of the gallery is not more so if it grows.
    fn among(&self, level: &Level, classes: usize) -> RateEstimate {
        let times = self.times(classes);
        let more = |rate: f64| -(times * (-rate.min(1.0 - 1e-12)).ln_1p()).exp_m1();
        let Level {
            rate,
            low,
            high,
            mean,
            ..
        } = *level;
        let extrapolated = self.highest.is_beyond(rate) || times > CLASSES_BEYOND;
        if times >= 1.0 {
            return RateEstimate {
                rate: more(rate),
                low,
                high: more(high),
                extrapolated,
            };
        }
        let stays = 1.0 - (1.0 - times).powf((mean / rate).max(1.0));
        let [rate, low, high] = [rate, low, high].map(|rate| rate * stays);
        RateEstimate {
            rate,
            low,
            high,
            extrapolated,
        }
    }
}

impl RateThreshold {
    /// Whether strangers are kept to `target`, which the threshold was asked for. They are not where so many
    /// of them have the highest similarity that was seen, or 1, that no threshold tells them apart.
    pub fn keeps(&self, target: TargetRate) -> bool {
        // A rate between two levels is a logarithm in between, and back.
        self.fpir <= target.get() * (1.0 + 1e-6)
    }

    fn of(similarity: f64, estimate: RateEstimate) -> RateThreshold {
        let RateEstimate {
            rate,
            low,
            high,
            extrapolated,
        } = estimate;
        RateThreshold {
            similarity,
            fpir: rate,
            low,
            high,
            extrapolated,
        }
    }
}

/// The similarity that a share is below.
fn quantile(of: &[f64], share: f64) -> f64 {
    let mut rising = of.to_vec();
    rising.sort_unstable_by(f64::total_cmp);
    rising[((rising.len() as f64 * share) as usize).min(rising.len() - 1)]
}
