//! `vultus evaluate verification`

use std::collections::BTreeMap;

use anyhow::{bail, ensure};

use super::facts::ComparedFacts;
use super::identification::{Asked, material_exit, rates};
use super::material::{self, Material};
use super::places::Places;
use super::scratch::Scratch;
use super::telling::{self, About};
use crate::cli::args::EvaluateVerification;
use crate::cli::exit::Exit;
use crate::cli::output;
use crate::config::Settings;
use crate::engine::Gallery;
use crate::eval::recognition::{
    Compared, Copy, Judging, People, Protocol, Sample, SampleName, VerificationReport, compare_all,
    compare_with, draw_people,
};
use crate::search::Pool;
use crate::types::ClassId;

/// Rates of single comparisons are lower than those of searches among many.
const RATES: [f64; 4] = [0.01, 0.001, 0.0001, 0.00001];
/// Comparisons that there is room for: each takes 40 bytes.
const COMPARISONS_MAX: usize = 20_000_000;

pub(super) fn run(verb: &EvaluateVerification, settings: &Settings) -> anyhow::Result<Exit> {
    let places = Places::check(&verb.told)?;
    let opened = material::open(&verb.samples, settings)?;
    let gallery = opened.as_ref().map(|(_engine, gallery)| gallery);
    let mut material = material::read(&verb.samples, settings, gallery)?;
    material::tell_copies(&material.copies);
    let all = std::mem::take(&mut material.samples);
    let samples_of = all.len();
    let samples_max = most_samples(verb, gallery)?;
    let people = People::of(all);
    let people = People::of(drawn(&people, samples_max, verb.samples.seed));
    let groups = material::groups(&verb.samples, gallery, people.samples())?;
    let compared = match gallery {
        Some(gallery) => with_gallery(gallery, &people, &mut material)?,
        None => each_with_each(settings, &people, &material)?,
    };
    let facts = ComparedFacts {
        partition: gallery.map(|gallery| gallery.id().to_string()),
        samples: people.samples().len(),
        samples_of,
        seed: verb.samples.seed,
    };
    let judging = Judging {
        rates: rates(&verb.fmr, &RATES),
        threshold: material.threshold,
        rank: 1,
        ranks_max: 1,
        seed: verb.samples.seed,
        groups: groups.as_ref(),
    };
    let report = VerificationReport::of(&people, &compared, &judging);
    let needs = report.at_rates.iter().filter_map(|row| row.need);
    let told = Asked {
        is_asked: !verb.fmr.is_empty(),
        needs: needs
            .map(|need| need.sentence("comparisons of different people"))
            .collect(),
        rates: judging.rates.len(),
    };
    told.check()?;
    let about = About::of(&people, &material);
    let document = telling::verification(&about, &facts, &report);
    telling::tell(&verb.told, &places, &about, &facts, &report, &document)?;
    if facts.samples < samples_of {
        output::say!(
            "compared {} of {samples_of} samples, drawn by person; --samples-max takes more",
            facts.samples
        );
    }
    told.say();
    material.passed.print();
    Ok(material_exit(&material, told.is_lacking()))
}

/// How many samples there is room to compare.
fn most_samples(verb: &EvaluateVerification, gallery: Option<&Gallery>) -> anyhow::Result<usize> {
    let Some(gallery) = gallery else {
        return Ok(verb.samples_max);
    };
    let classes = gallery.contents()?.classes;
    Ok((COMPARISONS_MAX / classes.max(1)).clamp(1, verb.samples_max))
}

/// The samples of people who are drawn, until there are so many.
fn drawn(people: &People, samples_max: usize, seed: u64) -> Vec<Sample> {
    let drawn = draw_people(people, samples_max, seed);
    drawn
        .into_iter()
        .map(|at| people.samples()[at].clone())
        .collect()
}

fn each_with_each(
    settings: &Settings,
    people: &People,
    material: &Material,
) -> anyhow::Result<Vec<Compared>> {
    Protocol::check_people(people)?;
    let all: Vec<usize> = (0..people.samples().len()).collect();
    let pool = Pool::new(settings.threads);
    let templates = all.iter().map(|&sample| (ClassId(sample as i64), sample));
    let scratch = Scratch::of(settings, &pool, &material.encoder, people, templates)?;
    let bar = output::progress(all.len(), "comparing");
    let compared = compare_all(&scratch.gallery, people, &all, |done| bar.inc(done as u64))?;
    bar.finish_and_clear();
    Ok(compared)
}

fn with_gallery(
    gallery: &Gallery,
    people: &People,
    material: &mut Material,
) -> anyhow::Result<Vec<Compared>> {
    ensure!(
        !people.samples().is_empty(),
        "there is no sample to evaluate with"
    );
    let all: Vec<usize> = (0..people.samples().len()).collect();
    let persons: BTreeMap<ClassId, usize> = people
        .classes()
        .iter()
        .enumerate()
        .map(|(at, (class, _))| (*class, at))
        .collect();
    let classes = gallery.contents()?.classes;
    let bar = output::progress(all.len(), "comparing");
    let person = |class| persons.get(&class).copied();
    let done = |done: usize| bar.inc(done as u64);
    let compared = compare_with(gallery, people, (&all, classes), person, done)?;
    bar.finish_and_clear();
    // A probe that is a template says nothing, and one that is another's has a wrong label.
    let is_mated = |it: &Compared| it.person == Some(people.person_of(it.probe));
    let mut is_template = vec![false; all.len()];
    for it in compared.iter().filter(|it| it.similarity >= 1.0) {
        let sample = &people.samples()[it.probe];
        if !is_mated(it) {
            output::tell!(
                "warning: {} of class {} is a template of class {} in `{}`: one label is wrong, and it is left out",
                sample.name,
                sample.class,
                it.with,
                gallery.id()
            );
            material.copies.contradicting_samples += 1;
            material.copies.contradicting.push(Copy {
                one: (sample.class, sample.name.clone()),
                other: (ClassId(it.with), SampleName::Template),
            });
        } else {
            material.copies.repeated += 1;
        }
        is_template[it.probe] = true;
    }
    let left_out = is_template.iter().filter(|is| **is).count();
    if left_out > 0 {
        output::say!(
            "left out {} of `{}`",
            output::count(
                left_out,
                "probe that is a template",
                "probes that are templates"
            ),
            gallery.id()
        );
    }
    let kept = compared.into_iter().filter(|it| !is_template[it.probe]);
    let kept: Vec<Compared> = kept.collect();
    if !kept.iter().any(is_mated) {
        bail!(
            "nobody among the samples is enrolled in `{}`, so that nobody can be refused: their classes must be \
             those of the gallery",
            gallery.id()
        );
    }
    Ok(kept)
}
