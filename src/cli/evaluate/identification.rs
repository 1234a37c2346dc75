//! `vultus evaluate identification`

use std::collections::HashSet;

use anyhow::{bail, ensure};

use super::facts::GalleryFacts;
use super::material::{self, Material};
use super::places::Places;
use super::scratch::{self, Scratch};
use super::telling::{self, About};
use crate::cli::args::EvaluateIdentification;
use crate::cli::exit::Exit;
use crate::cli::output;
use crate::config::Settings;
use crate::engine::{Engine, Gallery};
use crate::eval::recognition::{
    Copy, Enrolled, IdentificationReport, Judging, People, Protocol, SampleName, Searched,
    search_probes, search_split,
};
use crate::rates::TargetRate;
use crate::search::Pool;
use crate::types::{ClassId, Match};

/// Without others, as NIST's table of identification has them, and two in between.
const RATES: [f64; 5] = [0.1, 0.03, 0.01, 0.003, 0.001];
/// Ranks that are told at most.
const RANKS_MAX: usize = 50;

pub(super) fn run(verb: &EvaluateIdentification, settings: &Settings) -> anyhow::Result<Exit> {
    let places = Places::check(&verb.told)?;
    let opened = material::open(&verb.samples, settings)?;
    let gallery = opened.as_ref().map(|(_engine, gallery)| gallery);
    let mut material = material::read(&verb.samples, settings, gallery)?;
    material::tell_copies(&material.copies);
    let people = People::of(std::mem::take(&mut material.samples));
    let groups = material::groups(&verb.samples, gallery, people.samples())?;
    let pool = Pool::new(settings.threads);
    let (searches, facts) = match &opened {
        Some((engine, gallery)) => search_gallery(verb, (engine, gallery), &people, &mut material)?,
        None => search_splits(verb, settings, &pool, &people, &material)?,
    };
    let judging = Judging {
        rates: rates(&verb.fpir, &RATES),
        threshold: material.threshold,
        rank: verb.rank,
        ranks_max: RANKS_MAX.min(facts.classes[1]),
        seed: verb.samples.seed,
        groups: groups.as_ref(),
    };
    let report = IdentificationReport::of(&people, &searches, &judging);
    let needs: Vec<_> = report.at_rates.iter().filter_map(|row| row.need).collect();
    let told = Asked {
        is_asked: !verb.fpir.is_empty(),
        needs: needs
            .iter()
            .map(|need| need.sentence("non-mated probes"))
            .collect(),
        rates: judging.rates.len(),
    };
    told.check()?;
    let about = About::of(&people, &material);
    let document = telling::identification(&about, &facts, &report);
    telling::tell(&verb.told, &places, &about, &facts, &report, &document)?;
    told.say();
    material.passed.print();
    Ok(material_exit(&material, told.is_lacking()))
}

/// What was asked for, and what cannot be told of it.
pub(super) struct Asked {
    pub(super) is_asked: bool,
    pub(super) needs: Vec<String>,
    pub(super) rates: usize,
}

impl Asked {
    /// Fails if nothing of what was asked for can be told.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        if self.is_asked && self.needs.len() == self.rates {
            bail!("{}", self.needs.join("; "));
        }
        Ok(())
    }

    /// Warns of what was asked for in vain; of the rest the report itself says it.
    pub(super) fn say(&self) {
        for need in self.needs.iter().filter(|_| self.is_asked) {
            output::tell!("warning: {need}");
        }
    }

    pub(super) fn is_lacking(&self) -> bool {
        self.is_asked && !self.needs.is_empty()
    }
}

pub(super) fn material_exit(material: &Material, is_lacking: bool) -> Exit {
    let is_contradicting = !material.copies.contradicting.is_empty();
    match is_lacking || is_contradicting || material.passed.is_missed() {
        true => Exit::No,
        false => Exit::Success,
    }
}

/// The rates by falling rate, each once.
pub(super) fn rates(typed: &[TargetRate], usual: &[f64]) -> Vec<f64> {
    let mut rates: Vec<f64> = match typed {
        [] => usual.to_vec(),
        typed => typed.iter().map(|rate| rate.get()).collect(),
    };
    rates.sort_by(|a, b| b.total_cmp(a));
    rates.dedup();
    rates
}

/// Parts people, enrols some, and looks for all.
fn search_splits(
    verb: &EvaluateIdentification,
    settings: &Settings,
    pool: &Pool,
    people: &People,
    material: &Material,
) -> anyhow::Result<(Vec<Searched>, GalleryFacts)> {
    Protocol::check(people)?;
    let protocol = Protocol {
        splits: verb.splits,
        strangers: verb.strangers,
        templates: verb.templates,
        seed: verb.samples.seed,
    };
    let splits: Vec<_> = (0..protocol.splits)
        .map(|number| protocol.split(people, number))
        .collect();
    let probes = splits
        .iter()
        .map(|split| split.mated.len() + split.strangers.len());
    let bar = output::progress(probes.sum(), "searching");
    let (mut searches, mut classes, mut templates) = (Vec::new(), [usize::MAX, 0], 0);
    for (number, split) in splits.iter().enumerate() {
        if split.templates.is_empty() {
            continue;
        }
        let enrolled = split.templates.iter();
        let enrolled = enrolled.map(|&sample| (people.samples()[sample].class, sample));
        let of: HashSet<ClassId> = enrolled.clone().map(|(class, _)| class).collect();
        classes = [classes[0].min(of.len()), classes[1].max(of.len())];
        templates = templates.max(split.templates.len());
        let scratch = Scratch::of(settings, pool, &material.encoder, people, enrolled)?;
        let limit = RANKS_MAX.max(verb.rank);
        let judge = scratch.judge()?;
        let sure = |found: &[Match]| judge.confidence(found);
        let done = |probes: usize| bar.inc(probes as u64);
        searches.extend(search_split(
            &scratch.gallery,
            people,
            (split, number),
            (limit, &sure),
            done,
        )?);
    }
    bar.finish_and_clear();
    ensure!(
        searches.iter().any(|search| search.mate.is_some()),
        "in none of the {} splits anybody is looked for who is enrolled: too few people have two samples; more \
         --splits or fewer --strangers may do",
        protocol.splits
    );
    let facts = GalleryFacts {
        partition: None,
        protocol: Some(protocol),
        classes,
        templates,
        rank: verb.rank,
    };
    Ok((searches, facts))
}

/// Looks for all samples in a gallery.
fn search_gallery(
    verb: &EvaluateIdentification,
    (engine, gallery): (&Engine, &Gallery),
    people: &People,
    material: &mut Material,
) -> anyhow::Result<(Vec<Searched>, GalleryFacts)> {
    let judge = scratch::judge(engine, gallery)?;
    let sure = |found: &[Match]| judge.confidence(found);
    let mut probes = Vec::new();
    for (class, samples) in people.classes() {
        let enrolled = match gallery.is_enrolled(*class)? {
            true => Enrolled::Mated,
            false => Enrolled::Stranger,
        };
        probes.extend(samples.iter().map(|&sample| (sample, enrolled)));
    }
    ensure!(!probes.is_empty(), "there is no sample to evaluate with");
    let contents = gallery.contents()?;
    let bar = output::progress(probes.len(), "searching");
    let limit = RANKS_MAX.max(verb.rank);
    let done = |probes: usize| bar.inc(probes as u64);
    let searches = search_probes(gallery, people, (&probes, 0), (limit, &sure), done)?;
    bar.finish_and_clear();
    let searches = leave_out_templates(searches, gallery, people, material);
    let is_mated = |search: &Searched| search.mate.is_some();
    let id = gallery.id();
    if !searches.iter().any(is_mated) {
        bail!(
            "nobody among the samples is enrolled in `{id}`, so that nobody can be missed: their classes must \
             be those of the gallery"
        );
    }
    let facts = GalleryFacts {
        partition: Some(id.to_string()),
        protocol: None,
        classes: [contents.classes; 2],
        templates: contents.templates,
        rank: verb.rank,
    };
    Ok((searches, facts))
}

/// Leaves out probes that are templates of the gallery: nothing is measured by them.
fn leave_out_templates(
    searches: Vec<Searched>,
    gallery: &Gallery,
    people: &People,
    material: &mut Material,
) -> Vec<Searched> {
    let (mut repeated, mut kept) = (0, Vec::new());
    for search in searches {
        let sample = &people.samples()[search.probe];
        if let Some(other) = search.other.filter(|other| other.similarity >= 1.0) {
            output::tell!(
                "warning: {} of class {} is a template of class {} in `{}`: one label is wrong, and it is left out",
                sample.name,
                sample.class,
                other.class,
                gallery.id()
            );
            material.copies.contradicting_samples += 1;
            material.copies.contradicting.push(Copy {
                one: (sample.class, sample.name.clone()),
                other: (other.class, SampleName::Template),
            });
        } else if search.mate.is_some_and(|mate| mate.similarity >= 1.0) {
            repeated += 1;
        } else {
            kept.push(search);
        }
    }
    if repeated > 0 {
        output::say!(
            "left out {} that are templates of `{}` already: whoever is enrolled with one is found with it",
            output::count(repeated, "probe", "probes"),
            gallery.id()
        );
        material.copies.repeated += repeated;
    }
    kept
}
