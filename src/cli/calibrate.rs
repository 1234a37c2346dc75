//! `vultus calibrate`

use anyhow::bail;
use serde::Serialize;

use super::admin::{self, Holder};
use super::args::Calibrate;
use super::evaluate::make_encoder_profile;
use super::exit::Exit;
use super::{open, output};
use crate::config::Settings;
use crate::engine::{CalibrationOptions, Engine, EngineError, Gallery, leave_processor_to_others};
use crate::rates::{Calibration, MatedSource, RateThreshold, Tail, TargetRate};
use crate::types::{Clock, Pair, PartitionId};

/// The rates that are told.
const RATES: [f64; 5] = [0.1, 0.03, 0.01, 0.003, 0.001];
/// So many pairs are listed; JSON has all.
const PAIRS_SHOWN: usize = 10;

pub(super) fn run(verb: &Calibrate, settings: &Settings) -> anyhow::Result<Exit> {
    let calibration = match (&verb.encoder_profile, &verb.partition) {
        (Some(file), _) => make_encoder_profile(verb, settings, file)?,
        (None, Some(partition)) => calibrate(verb, settings, partition)?,
        (None, None) => bail!("which gallery? name it with --partition"),
    };
    let people = verb.people.unwrap_or(calibration.classes());
    match verb.json {
        true => output::json_line(&Told::of(verb, &calibration, people))?,
        false => show(verb, &calibration, people)?,
    }
    Ok(Exit::Success)
}

/// Measures a gallery, and keeps what was found in it.
fn calibrate(
    verb: &Calibrate,
    settings: &Settings,
    partition: &PartitionId,
) -> anyhow::Result<Calibration> {
    match admin::holder(settings, open::existing_engine)? {
        Holder::Own(engine) => {
            let calibration = measure(verb, &engine, partition)?;
            engine.keep_calibration(partition, &calibration)?;
            Ok(calibration)
        }
        Holder::Service(service) => {
            // Whoever asks the service is not to wait for this.
            leave_processor_to_others();
            let calibration = measure(verb, &open::reading_engine(settings)?, partition)?;
            service.keep_calibration(partition, &calibration)?;
            Ok(calibration)
        }
    }
}

fn measure(
    verb: &Calibrate,
    engine: &Engine,
    partition: &PartitionId,
) -> anyhow::Result<Calibration> {
    let gallery: Gallery = open::gallery(engine, partition)?;
    let options = CalibrationOptions {
        probes: verb.probes,
        seed: verb.seed,
        ..CalibrationOptions::default()
    };
    let bar = output::progress(0, "searching strangers");
    let calibration = gallery.calibrate(&options, Clock::System.now(), |done, all| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
        Ok::<_, EngineError>(())
    });
    bar.finish_and_clear();
    Ok(calibration?)
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    partition: Option<String>,
    encoder: String,
    classes: usize,
    /// Among whom the thresholds hold.
    people: usize,
    templates: usize,
    probes: usize,
    seed: u64,
    measured: String,
    identification: Vec<TargetFpir>,
    verification: Vec<TargetFmr>,
    tail: &'a Tail,
    single_comparisons: usize,
    mated_pairs: usize,
    mated: MatedSource,
    set_aside: &'a [Pair],
}

#[derive(Serialize)]
struct TargetFpir {
    target_fpir: f64,
    threshold: f64,
    /// Whether the threshold keeps strangers to the target.
    reached: bool,
    fpir: f64,
    low: f64,
    high: f64,
    extrapolated: bool,
}

#[derive(Serialize)]
struct TargetFmr {
    target_fmr: f64,
    threshold: f64,
    reached: bool,
    fmr: f64,
    low: f64,
    high: f64,
    extrapolated: bool,
}

impl Told<'_> {
    fn of<'a>(verb: &Calibrate, calibration: &'a Calibration, people: usize) -> Told<'a> {
        let identification = targets().map(|target| {
            let found = calibration.threshold(target, people);
            TargetFpir {
                target_fpir: target.get(),
                threshold: found.similarity,
                reached: found.keeps(target),
                fpir: found.fpir,
                low: found.low,
                high: found.high,
                extrapolated: found.extrapolated,
            }
        });
        let verification = targets().map(|target| {
            let found = calibration.verification_threshold(target);
            TargetFmr {
                target_fmr: target.get(),
                threshold: found.similarity,
                reached: found.keeps(target),
                fmr: found.fpir,
                low: found.low,
                high: found.high,
                extrapolated: found.extrapolated,
            }
        });
        Told {
            partition: verb.partition.as_ref().map(PartitionId::to_string),
            encoder: calibration.encoder().to_string(),
            classes: calibration.classes(),
            people,
            templates: calibration.templates(),
            probes: calibration.probes(),
            seed: calibration.seed(),
            measured: calibration.measured().to_string(),
            identification: identification.collect(),
            verification: verification.collect(),
            tail: calibration.highest().tail(),
            single_comparisons: calibration.single().scores(),
            mated_pairs: calibration.evidence().pairs(),
            mated: calibration.evidence().source(),
            set_aside: calibration.set_aside(),
        }
    }
}

fn targets() -> impl Iterator<Item = TargetRate> {
    RATES
        .into_iter()
        .filter_map(|rate| TargetRate::new(rate).ok())
}

fn show(verb: &Calibrate, calibration: &Calibration, people: usize) -> anyhow::Result<()> {
    let probes = calibration.probes();
    let columns = [
        "strangers let through",
        "threshold",
        "95 % sure",
        "one to one",
        "95 % sure",
    ];
    let mut table = output::table(&columns);
    let (mut is_extrapolated, mut is_reached) = (false, true);
    for target in targets() {
        let identification = calibration.threshold(target, people);
        let verification = calibration.verification_threshold(target);
        is_extrapolated |= identification.extrapolated || verification.extrapolated;
        is_reached &= identification.keeps(target) && verification.keeps(target);
        table.add_row([
            target.to_string(),
            similarity(&identification, target),
            range(&identification),
            similarity(&verification, target),
            range(&verification),
        ]);
    }
    output::line(table.to_string())?;
    let place = match &verb.partition {
        Some(partition) => format!("{partition}: "),
        None => String::new(),
    };
    output::say!(
        "{place}{} were searched among {} of encoder {}; one to one is against a single person",
        output::count(probes, "person", "people"),
        output::count(calibration.classes(), "person", "people"),
        calibration.encoder()
    );
    if let Some(people) = verb.people {
        output::say!(
            "thresholds are those among {}",
            output::count(people, "person", "people")
        );
    }
    if is_extrapolated {
        output::say!(
            "* beyond what was measured: it rests on the form of the tail. 1/1000 needs about 3000 \
             people who are searched; there are {probes}"
        );
    }
    if !is_reached {
        output::say!(
            "none: so many strangers have the highest similarity of all that no threshold keeps them \
             to this rate; are the embeddings of different people the same?"
        );
    }
    let aside = calibration.set_aside();
    if !aside.is_empty() {
        let mut table = output::table(&["class", "other", "similarity"]);
        for pair in aside.iter().take(PAIRS_SHOWN) {
            let similarity = format!("{:.6}", pair.similarity);
            table.add_row([pair.class.to_string(), pair.other.to_string(), similarity]);
        }
        output::say!(
            "{} like one person who is enrolled twice, and left out: merge them, or say that they are \
             not the same",
            output::count(aside.len(), "pair looks", "pairs look")
        );
        output::line(table.to_string())?;
    }
    Ok(())
}

fn similarity(found: &RateThreshold, target: TargetRate) -> String {
    if !found.keeps(target) {
        return "none".to_owned();
    }
    let mark = if found.extrapolated { " *" } else { "" };
    format!("{:.4}{mark}", found.similarity)
}

fn range(found: &RateThreshold) -> String {
    format!("{:.1e} to {:.1e}", found.low, found.high)
}
