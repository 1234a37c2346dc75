//! The figures of identification.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use super::bootstrap::over_people;
use super::estimate::{Estimate, Need};
use super::figures::{
    DetPoint, Falling, Histogram, Scores, det, falling, reaching, threshold, weighted_share,
    weighted_threshold,
};
use super::groups::{Counts, GroupReport, Groups};
use super::reliability::{Answered, Reliability};
use super::sample::People;
use super::search::Searched;

/// So many of the worst are told.
const WORST_MAX: usize = 10;

/// What is to be known of searches.
#[derive(Clone, Debug)]
pub struct Judging<'a> {
    /// The rates at which strangers may be taken for somebody, by falling rate.
    pub rates: Vec<f64>,
    /// A threshold that is in use.
    pub threshold: Option<f64>,
    /// Enrolled people are found if they are among so many of an answer.
    pub rank: usize,
    /// Which ranks are of interest at most.
    pub ranks_max: usize,
    /// Draws the people for intervals.
    pub seed: u64,
    /// The groups of people.
    pub groups: Option<&'a Groups>,
}

/// How often searches were answered wrongly.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct IdentificationReport {
    /// Searches for enrolled people, in all splits.
    pub mated_searches: usize,
    /// Different probes of them.
    pub mated_probes: usize,
    /// Searches for strangers.
    pub non_mated_searches: usize,
    /// Different probes of them.
    pub non_mated_probes: usize,
    /// Errors at each asked rate.
    pub at_rates: Vec<AtThreshold>,
    /// Errors at the threshold in use.
    pub in_use: Option<AtThreshold>,
    /// The share of enrolled people who are first, whatever their similarity.
    pub rank_1: Estimate,
    /// How many are among the first so many (CMC).
    pub ranks: Vec<RankShare>,
    /// Both errors as the threshold moves (DET).
    pub det: Vec<DetPoint>,
    /// How alike probes are to whom they show, and to whom strangers are most alike.
    pub scores: Scores,
    /// Whether confidence means what it says; `None` where nothing says how sure it is.
    pub reliability: Option<Reliability>,
    /// The threshold that `worst_people` and `groups` are about: that of the lowest rate that can
    /// be told, else the one in use.
    pub judged_at: Option<f64>,
    /// Those who are missed most.
    pub worst_people: Vec<WorstPerson>,
    /// Who is most alike to somebody else who is enrolled.
    pub worst_pairs: Vec<TakenFor>,
    /// Errors by group.
    pub groups: Option<GroupReport>,
}

/// Errors at one threshold.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AtThreshold {
    /// The rate that was asked for.
    pub target_fpir: Option<f64>,
    /// Why nothing is told: there are too few probes for this rate.
    pub need: Option<Need>,
    /// The similarity from which on somebody is named.
    pub threshold: Option<f64>,
    /// The share of searches for strangers with an answer.
    pub fpir: Option<Estimate>,
    /// The share of searches for enrolled people who are not found.
    pub fnir: Option<Estimate>,
    /// The share of searches for enrolled people in which somebody else is named first.
    pub misnamed: Option<Estimate>,
    /// The lowest and the highest FNIR of single splits, each at its own threshold for the rate.
    pub fnir_of_splits: Option<[f64; 2]>,
}

/// How many are found at some rank.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RankShare {
    /// The rank.
    pub rank: usize,
    /// The share of searches for enrolled people in which they are among the first so many.
    pub share: f64,
}

/// Somebody who is missed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WorstPerson {
    /// The person.
    pub class: i64,
    /// Searches for them.
    pub searches: usize,
    /// Those in which they were not found.
    pub missed: usize,
    /// The lowest similarity of their probes to them.
    pub similarity_min: f64,
    /// The probe of that.
    pub probe: String,
}

/// Somebody who is like somebody else.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TakenFor {
    /// Whom the probe shows.
    pub class: i64,
    /// Who is enrolled.
    pub other: i64,
    /// How alike they are at most.
    pub similarity: f64,
    /// The probe of that.
    pub probe: String,
    /// The other sample, of comparisons of single samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub with: Option<String>,
    /// Searches, or comparisons, in which they were as alike as the threshold that is judged at.
    pub reached: usize,
}

/// Searches as scores: at which threshold each is right or wrong.
struct Trials {
    /// The similarity of whoever is first, of strangers.
    strangers: Falling,
    /// The similarity up to which enrolled people are found; minus infinity beyond the rank.
    mated: Falling,
    /// The similarity up to which somebody else is named first; minus infinity where nobody is.
    misnamed: Falling,
    mated_probes: usize,
    non_mated_probes: usize,
}

impl Trials {
    fn of<'a>(
        people: &People,
        searches: impl Iterator<Item = &'a Searched>,
        rank: usize,
    ) -> Trials {
        let (mut strangers, mut mated, mut misnamed) = (Vec::new(), Vec::new(), Vec::new());
        let (mut mated_probes, mut other_probes) = (BTreeSet::new(), BTreeSet::new());
        for search in searches {
            let person = people.person_of(search.probe) as u32;
            let first = search
                .first
                .map_or(f64::NEG_INFINITY, |first| first.similarity);
            let Some(mate) = search.mate else {
                other_probes.insert(search.probe);
                strangers.push((first, person));
                continue;
            };
            mated_probes.insert(search.probe);
            let is_within = mate.rank.is_some_and(|found| found <= rank);
            let found = if is_within {
                mate.similarity
            } else {
                f64::NEG_INFINITY
            };
            mated.push((found, person));
            let is_first = mate.rank == Some(1);
            misnamed.push((if is_first { f64::NEG_INFINITY } else { first }, person));
        }
        Trials {
            strangers: falling(strangers),
            mated: falling(mated),
            misnamed: falling(misnamed),
            mated_probes: mated_probes.len(),
            non_mated_probes: other_probes.len(),
        }
    }

    fn threshold(&self, rate: f64) -> f64 {
        threshold(&self.strangers, self.strangers.len(), rate)
    }

    fn fnir(&self, threshold: f64) -> f64 {
        1.0 - reaching(&self.mated, threshold) as f64 / self.mated.len().max(1) as f64
    }

    /// What is told at a threshold, without ranges over people.
    fn at(&self, target: Option<f64>, threshold: f64) -> AtThreshold {
        let named = reaching(&self.strangers, threshold);
        let missed = self.mated.len() - reaching(&self.mated, threshold);
        let misnamed = reaching(&self.misnamed, threshold);
        let of_mated = |count| Estimate::of(count, self.mated.len(), self.mated_probes);
        let fpir = Estimate::of(named, self.strangers.len(), self.non_mated_probes);
        AtThreshold {
            target_fpir: target,
            need: None,
            threshold: Some(threshold),
            fpir: (!self.strangers.is_empty()).then_some(fpir),
            fnir: Some(of_mated(missed)),
            misnamed: Some(of_mated(misnamed)),
            fnir_of_splits: None,
        }
    }

    /// FPIR, FNIR and the share of the misnamed at a threshold, where each person counts so often.
    fn drawn(&self, weights: &[u32], threshold: f64) -> [Option<f64>; 3] {
        let share = |scores: &Falling| weighted_share(scores, weights, threshold);
        let found = share(&self.mated);
        [
            share(&self.strangers),
            found.map(|found| 1.0 - found),
            share(&self.misnamed),
        ]
    }
}

impl IdentificationReport {
    /// What came of searches of samples of `people`.
    pub fn of(
        people: &People,
        searches: &[Searched],
        judging: &Judging<'_>,
    ) -> IdentificationReport {
        let trials = Trials::of(people, searches.iter(), judging.rank);
        let (at_rates, in_use) = rows(people, searches, &trials, judging);
        let mut told = at_rates.iter().filter_map(|row| row.threshold);
        let judged_at = told.next_back().or(judging.threshold);
        let mate = |search: &Searched| search.mate.map(|mate| mate.similarity);
        let stranger = |search: &Searched| match search.mate {
            None => search.first.map(|first| first.similarity),
            Some(_) => None,
        };
        let ranks = ranks(searches, judging.ranks_max);
        let first = |search: &&Searched| search.mate.is_some_and(|mate| mate.rank == Some(1));
        let is_first = searches.iter().filter(first).count();
        let answered = |search: &Searched| {
            Some(Answered {
                confidence: search.confidence?,
                is_right: first(&search),
                is_mated: search.mate.is_some(),
            })
        };
        let answers: Vec<Answered> = searches.iter().filter_map(answered).collect();
        IdentificationReport {
            mated_searches: trials.mated.len(),
            mated_probes: trials.mated_probes,
            non_mated_searches: trials.strangers.len(),
            non_mated_probes: trials.non_mated_probes,
            at_rates,
            in_use,
            rank_1: Estimate::of(is_first, trials.mated.len(), trials.mated_probes),
            ranks,
            det: det(&trials.mated, &trials.strangers),
            scores: Scores {
                mated: Histogram::of(searches.iter().filter_map(mate)),
                non_mated: Histogram::of(searches.iter().filter_map(stranger)),
            },
            reliability: Reliability::of(&answers),
            judged_at,
            worst_people: worst_people(people, searches, judging.rank, judged_at),
            worst_pairs: worst_pairs(people, searches, judged_at),
            groups: judging.groups.zip(judged_at).map(|(groups, threshold)| {
                by_group(people, searches, judging.rank, groups, threshold)
            }),
        }
    }
}

/// The errors at each asked rate, and at the threshold in use, with ranges over people.
fn rows(
    people: &People,
    searches: &[Searched],
    trials: &Trials,
    judging: &Judging<'_>,
) -> (Vec<AtThreshold>, Option<AtThreshold>) {
    let need = |rate: f64| Need::of(rate, trials.non_mated_probes);
    let told = judging.rates.iter().filter(|rate| need(**rate).is_none());
    let told: Vec<f64> = told.copied().collect();
    let counted = trials.strangers.len() + trials.mated.len();
    let drawn = over_people(people.count(), counted, judging.seed, |weights| {
        let of_rates = told.iter().flat_map(|rate| {
            let threshold = weighted_threshold(&trials.strangers, weights, *rate);
            // The threshold moves with the people so that FPIR stays: that of the measured one is
            // told.
            let [_, fnir, misnamed] = trials.drawn(weights, threshold);
            let [fpir, ..] = trials.drawn(weights, trials.threshold(*rate));
            [fpir, fnir, misnamed]
        });
        let in_use = judging.threshold.map(|it| trials.drawn(weights, it));
        of_rates.chain(in_use.into_iter().flatten()).collect()
    });
    let with_ranges = |row: AtThreshold, at: usize| AtThreshold {
        fpir: row.fpir.map(|it| it.over_people(drawn[3 * at])),
        fnir: row.fnir.map(|it| it.over_people(drawn[3 * at + 1])),
        misnamed: row.misnamed.map(|it| it.over_people(drawn[3 * at + 2])),
        ..row
    };
    let splits = splits(people, searches, judging.rank);
    let mut at = 0;
    let row = |&rate: &f64| {
        if let Some(need) = need(rate) {
            return AtThreshold {
                target_fpir: Some(rate),
                need: Some(need),
                threshold: None,
                fpir: None,
                fnir: None,
                misnamed: None,
                fnir_of_splits: None,
            };
        }
        let row = with_ranges(trials.at(Some(rate), trials.threshold(rate)), at);
        at += 1;
        AtThreshold {
            fnir_of_splits: range(splits.iter().map(|split| split.fnir(split.threshold(rate)))),
            ..row
        }
    };
    let rows = judging.rates.iter().map(row).collect();
    let in_use = judging.threshold.map(|threshold| {
        let row = with_ranges(trials.at(None, threshold), told.len());
        AtThreshold {
            fnir_of_splits: range(splits.iter().map(|split| split.fnir(threshold))),
            ..row
        }
    });
    (rows, in_use)
}

/// The trials of each split, if there are several.
fn splits(people: &People, searches: &[Searched], rank: usize) -> Vec<Trials> {
    let mut splits: BTreeMap<usize, Vec<&Searched>> = BTreeMap::new();
    for search in searches {
        splits.entry(search.split).or_default().push(search);
    }
    if splits.len() < 2 {
        return Vec::new();
    }
    let splits = splits.into_values();
    splits
        .map(|split| Trials::of(people, split.into_iter(), rank))
        .filter(|trials| !trials.mated.is_empty() && !trials.strangers.is_empty())
        .collect()
}

fn range(values: impl Iterator<Item = f64>) -> Option<[f64; 2]> {
    values.fold(None, |range, value| {
        let [low, high] = range.unwrap_or([value; 2]);
        Some([low.min(value), high.max(value)])
    })
}

fn ranks(searches: &[Searched], most: usize) -> Vec<RankShare> {
    let mut at_rank = vec![0_usize; most + 1];
    let mut mated = 0_usize;
    for mate in searches.iter().filter_map(|search| search.mate) {
        mated += 1;
        if let Some(rank) = mate.rank.filter(|rank| *rank <= most) {
            at_rank[rank] += 1;
        }
    }
    let mut sum = 0;
    let shares = (1..=most).map(|rank| {
        sum += at_rank[rank];
        RankShare {
            rank,
            share: sum as f64 / mated.max(1) as f64,
        }
    });
    shares.collect()
}

fn worst_people(
    people: &People,
    searches: &[Searched],
    rank: usize,
    threshold: Option<f64>,
) -> Vec<WorstPerson> {
    let mut worst: BTreeMap<usize, WorstPerson> = BTreeMap::new();
    for search in searches {
        let Some(mate) = search.mate else { continue };
        let sample = &people.samples()[search.probe];
        let person = worst
            .entry(people.person_of(search.probe))
            .or_insert_with(|| WorstPerson {
                class: sample.class.0,
                searches: 0,
                missed: 0,
                similarity_min: f64::INFINITY,
                probe: String::new(),
            });
        let is_found = mate.rank.is_some_and(|it| it <= rank)
            && threshold.is_none_or(|least| mate.similarity >= least);
        person.searches += 1;
        person.missed += usize::from(!is_found);
        if mate.similarity < person.similarity_min {
            person.similarity_min = mate.similarity;
            person.probe = sample.name.to_string();
        }
    }
    let mut worst: Vec<WorstPerson> = worst.into_values().collect();
    let share = |it: &WorstPerson| it.missed as f64 / it.searches.max(1) as f64;
    worst.sort_by(|a, b| {
        let by_share = share(b).total_cmp(&share(a));
        by_share.then(a.similarity_min.total_cmp(&b.similarity_min))
    });
    worst.truncate(WORST_MAX);
    worst
}

fn worst_pairs(people: &People, searches: &[Searched], threshold: Option<f64>) -> Vec<TakenFor> {
    let mut pairs: HashMap<(i64, i64), (f64, usize, usize)> = HashMap::new();
    for search in searches {
        let Some(other) = search.other else { continue };
        let class = people.samples()[search.probe].class.0;
        let reached = usize::from(threshold.is_some_and(|it| other.similarity >= it));
        let pair = (class, other.class.0);
        let (most, probe, count) = pairs.entry(pair).or_insert((f64::NEG_INFINITY, 0, 0));
        *count += reached;
        if other.similarity > *most {
            (*most, *probe) = (other.similarity, search.probe);
        }
    }
    let pairs = pairs.into_iter();
    let mut pairs: Vec<TakenFor> = pairs
        .map(|((class, other), (similarity, probe, reached))| TakenFor {
            class,
            other,
            similarity,
            probe: people.samples()[probe].name.to_string(),
            with: None,
            reached,
        })
        .collect();
    sort_pairs(&mut pairs);
    pairs
}

/// The most alike first, and no more than are told.
pub(super) fn sort_pairs(pairs: &mut Vec<TakenFor>) {
    pairs.sort_by(|a, b| {
        let by_similarity = b.similarity.total_cmp(&a.similarity);
        by_similarity.then((a.class, a.other).cmp(&(b.class, b.other)))
    });
    pairs.truncate(WORST_MAX);
}

fn by_group(
    people: &People,
    searches: &[Searched],
    rank: usize,
    groups: &Groups,
    threshold: f64,
) -> GroupReport {
    let (mut counts, without) = count_people(people, groups);
    for search in searches {
        let class = people.samples()[search.probe].class;
        let Some(counts) = groups.get(&class).and_then(|group| counts.get_mut(group)) else {
            continue;
        };
        let reaches = |similarity: f64| similarity >= threshold;
        match search.mate {
            None => {
                counts.strangers += 1;
                let is_named = search.first.is_some_and(|first| reaches(first.similarity));
                counts.named += usize::from(is_named);
            }
            Some(mate) => {
                counts.mated += 1;
                let is_within = mate.rank.is_some_and(|it| it <= rank);
                counts.missed += usize::from(!is_within || !reaches(mate.similarity));
            }
        }
    }
    GroupReport::of(threshold, counts, without)
}

/// The groups with their numbers of people, and how many people are of none.
pub(super) fn count_people(people: &People, groups: &Groups) -> (BTreeMap<String, Counts>, usize) {
    let (mut counts, mut without) = (BTreeMap::<String, Counts>::new(), 0);
    for (class, _) in people.classes() {
        match groups.get(class) {
            Some(group) => counts.entry(group.clone()).or_default().people += 1,
            None => without += 1,
        }
    }
    (counts, without)
}
