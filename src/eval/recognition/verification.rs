//! The figures of verification.

use std::collections::{BTreeSet, HashMap};

use serde::Serialize;

use super::bootstrap::over_people;
use super::estimate::{Estimate, Need};
use super::figures::{
    DetPoint, Falling, Histogram, Scores, det, equal_error, reaching, threshold, weighted_share,
};
use super::groups::{GroupReport, Groups};
use super::identification::{Judging, TakenFor, WorstPerson, count_people, sort_pairs};
use super::sample::People;
use super::search::Compared;

/// So many of the worst are told.
const WORST_MAX: usize = 10;

/// How often comparisons were wrong.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VerificationReport {
    /// Comparisons of two samples of one person, or of a sample and its own class.
    pub mated_comparisons: usize,
    /// Comparisons of different people.
    pub non_mated_comparisons: usize,
    /// Different people who were compared.
    #[serde(rename = "people_compared")]
    pub people: usize,
    /// Errors at each asked rate.
    pub at_rates: Vec<VerificationAt>,
    /// Errors at the threshold in use.
    pub in_use: Option<VerificationAt>,
    /// Where both errors are equal (EER).
    pub equal: Option<DetPoint>,
    /// Both errors as the threshold moves (DET).
    pub det: Vec<DetPoint>,
    /// How alike one person and different people are.
    pub scores: Scores,
    /// The threshold that `worst_people` and `groups` are about.
    pub judged_at: Option<f64>,
    /// Those who are refused most.
    pub worst_people: Vec<WorstPerson>,
    /// Different people who are most alike.
    pub worst_pairs: Vec<TakenFor>,
    /// Errors by group.
    pub groups: Option<GroupReport>,
}

/// Errors of verification at one threshold.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VerificationAt {
    /// The rate that was asked for.
    pub target_fmr: Option<f64>,
    /// Why nothing is told: there are too few comparisons for this rate.
    pub need: Option<Need>,
    /// The similarity from which on two are one person.
    pub threshold: Option<f64>,
    /// The share of comparisons of different people that reach it.
    pub fmr: Option<Estimate>,
    /// The share of comparisons of one person that do not.
    pub fnmr: Option<Estimate>,
}

/// Comparisons by their scores.
struct Trials {
    mated: Falling,
    non_mated: Vec<Pair>,
    non_mated_falling: Falling,
}

/// A comparison of different people.
#[derive(Clone, Copy)]
struct Pair {
    similarity: f64,
    one: u32,
    other: Option<u32>,
}

impl Trials {
    fn of(people: &People, compared: &[Compared]) -> Trials {
        let (mut mated, mut non_mated) = (Vec::new(), Vec::new());
        for it in compared {
            let one = people.person_of(it.probe) as u32;
            let other = it.person.map(|person| person as u32);
            let similarity = it.similarity;
            match other == Some(one) {
                true => mated.push((similarity, one)),
                false => non_mated.push(Pair {
                    similarity,
                    one,
                    other,
                }),
            }
        }
        mated.sort_by(|a, b| b.0.total_cmp(&a.0));
        non_mated.sort_by(|a, b| b.similarity.total_cmp(&a.similarity));
        Trials {
            non_mated_falling: non_mated.iter().map(|it| (it.similarity, it.one)).collect(),
            mated,
            non_mated,
        }
    }

    fn threshold(&self, rate: f64) -> f64 {
        threshold(&self.non_mated_falling, self.non_mated.len(), rate)
    }

    fn at(&self, target: Option<f64>, threshold: f64) -> VerificationAt {
        let matched = reaching(&self.non_mated_falling, threshold);
        let missed = self.mated.len() - reaching(&self.mated, threshold);
        let estimate = |count, total| (total > 0).then(|| Estimate::of(count, total, total));
        VerificationAt {
            target_fmr: target,
            need: None,
            threshold: Some(threshold),
            fmr: estimate(matched, self.non_mated.len()),
            fnmr: estimate(missed, self.mated.len()),
        }
    }

    /// FMR at the threshold, where each person counts so often, and FNMR at the threshold that then
    /// gives `rate`; at the same one without a rate.
    fn drawn(&self, weights: &[u32], threshold: f64, rate: Option<f64>) -> [Option<f64>; 2] {
        let of = |person: u32| u64::from(weights[person as usize]);
        let pair = |pair: &Pair| of(pair.one) * pair.other.map_or(1, of);
        let total: u64 = self.non_mated.iter().map(pair).sum();
        if total == 0 {
            return [None, None];
        }
        let at = reaching(&self.non_mated_falling, threshold);
        let matched: u64 = self.non_mated[..at].iter().map(pair).sum();
        let moved = rate.map_or(threshold, |rate| {
            let (most, mut sum) = ((rate * total as f64 + 1e-9).floor() as u64, 0);
            let first = self.non_mated.iter().find(|it| {
                sum += pair(it);
                sum > most
            });
            first.map_or(-1.0, |it| it.similarity.next_up())
        });
        let found = weighted_share(&self.mated, weights, moved);
        [
            Some(matched as f64 / total as f64),
            found.map(|found| 1.0 - found),
        ]
    }
}

impl VerificationReport {
    /// What came of comparisons of samples of `people`.
    pub fn of(people: &People, compared: &[Compared], judging: &Judging<'_>) -> VerificationReport {
        let trials = Trials::of(people, compared);
        let (at_rates, in_use) = rows(people, &trials, judging);
        let mut told = at_rates.iter().filter_map(|row| row.threshold);
        let judged_at = told.next_back().or(judging.threshold);
        let met: BTreeSet<usize> = compared
            .iter()
            .map(|it| people.person_of(it.probe))
            .collect();
        let similarities =
            |scores: &Falling| Histogram::of(scores.iter().map(|(similarity, _)| *similarity));
        VerificationReport {
            mated_comparisons: trials.mated.len(),
            non_mated_comparisons: trials.non_mated.len(),
            people: met.len(),
            at_rates,
            in_use,
            equal: equal_error(&trials.mated, &trials.non_mated_falling),
            det: det(&trials.mated, &trials.non_mated_falling),
            scores: Scores {
                mated: similarities(&trials.mated),
                non_mated: similarities(&trials.non_mated_falling),
            },
            judged_at,
            worst_people: worst_people(people, compared, judged_at),
            worst_pairs: worst_pairs(people, compared, judged_at),
            groups: judging
                .groups
                .zip(judged_at)
                .map(|(groups, threshold)| by_group(people, compared, groups, threshold)),
        }
    }
}

fn rows(
    people: &People,
    trials: &Trials,
    judging: &Judging<'_>,
) -> (Vec<VerificationAt>, Option<VerificationAt>) {
    let need = |rate: f64| Need::of(rate, trials.non_mated.len());
    let told = judging.rates.iter().filter(|rate| need(**rate).is_none());
    let told: Vec<f64> = told.copied().collect();
    let thresholds: Vec<f64> = told.iter().map(|rate| trials.threshold(*rate)).collect();
    let counted = trials.non_mated.len() * (1 + told.len());
    let drawn = over_people(people.count(), counted, judging.seed, |weights| {
        let of_rates = told.iter().zip(&thresholds);
        let of_rates = of_rates.flat_map(|(rate, at)| trials.drawn(weights, *at, Some(*rate)));
        let in_use = judging.threshold.map(|it| trials.drawn(weights, it, None));
        of_rates.chain(in_use.into_iter().flatten()).collect()
    });
    let with_ranges = |row: VerificationAt, at: usize| VerificationAt {
        fmr: row.fmr.map(|it| it.over_people(drawn[2 * at])),
        fnmr: row.fnmr.map(|it| it.over_people(drawn[2 * at + 1])),
        ..row
    };
    let mut at = 0;
    let row = |&rate: &f64| {
        if let Some(need) = need(rate) {
            return VerificationAt {
                target_fmr: Some(rate),
                need: Some(need),
                threshold: None,
                fmr: None,
                fnmr: None,
            };
        }
        let row = with_ranges(trials.at(Some(rate), thresholds[at]), at);
        at += 1;
        row
    };
    let rows = judging.rates.iter().map(row).collect();
    let in_use = judging
        .threshold
        .map(|threshold| with_ranges(trials.at(None, threshold), told.len()));
    (rows, in_use)
}

fn is_mated(people: &People, it: &Compared) -> bool {
    it.person == Some(people.person_of(it.probe))
}

fn worst_people(
    people: &People,
    compared: &[Compared],
    threshold: Option<f64>,
) -> Vec<WorstPerson> {
    let mut worst: HashMap<usize, WorstPerson> = HashMap::new();
    for it in compared.iter().filter(|it| is_mated(people, it)) {
        let sample = &people.samples()[it.probe];
        let person = worst
            .entry(people.person_of(it.probe))
            .or_insert_with(|| WorstPerson {
                class: sample.class.0,
                searches: 0,
                missed: 0,
                similarity_min: f64::INFINITY,
                probe: String::new(),
            });
        person.searches += 1;
        person.missed += usize::from(threshold.is_some_and(|least| it.similarity < least));
        if it.similarity < person.similarity_min {
            person.similarity_min = it.similarity;
            person.probe = sample.name.to_string();
        }
    }
    let mut worst: Vec<WorstPerson> = worst.into_values().collect();
    let share = |it: &WorstPerson| it.missed as f64 / it.searches.max(1) as f64;
    worst.sort_by(|a, b| {
        let by_share = share(b).total_cmp(&share(a));
        let by_similarity = a.similarity_min.total_cmp(&b.similarity_min);
        by_share.then(by_similarity).then(a.class.cmp(&b.class))
    });
    worst.truncate(WORST_MAX);
    worst
}

fn worst_pairs(people: &People, compared: &[Compared], threshold: Option<f64>) -> Vec<TakenFor> {
    let mut pairs: HashMap<(i64, i64), (&Compared, usize)> = HashMap::new();
    for it in compared.iter().filter(|it| !is_mated(people, it)) {
        let class = people.samples()[it.probe].class.0;
        let other = match it.person {
            Some(person) => people.classes()[person].0.0,
            None => it.with,
        };
        let reached = usize::from(threshold.is_some_and(|least| it.similarity >= least));
        let (best, count) = pairs.entry((class, other)).or_insert((it, 0));
        *count += reached;
        if it.similarity > best.similarity {
            *best = it;
        }
    }
    let pair = |((class, other), (best, reached)): ((i64, i64), (&Compared, usize))| TakenFor {
        class,
        other,
        similarity: best.similarity,
        probe: people.samples()[best.probe].name.to_string(),
        with: None,
        reached,
    };
    let mut pairs: Vec<TakenFor> = pairs.into_iter().map(pair).collect();
    sort_pairs(&mut pairs);
    pairs
}

fn by_group(
    people: &People,
    compared: &[Compared],
    groups: &Groups,
    threshold: f64,
) -> GroupReport {
    let (mut counts, without) = count_people(people, groups);
    for it in compared {
        let class = people.samples()[it.probe].class;
        let Some(group) = groups.get(&class) else {
            continue;
        };
        let other = it.person.map(|person| people.classes()[person].0);
        let is_within = other.is_some_and(|other| groups.get(&other) == Some(group));
        let Some(counts) = counts.get_mut(group).filter(|_| is_within) else {
            continue;
        };
        let reaches = it.similarity >= threshold;
        match is_mated(people, it) {
            true => {
                counts.mated += 1;
                counts.missed += usize::from(!reaches);
            }
            false => {
                counts.strangers += 1;
                counts.named += usize::from(reaches);
            }
        }
    }
    GroupReport::of(threshold, counts, without)
}
