//! What strangers reached, and how their scores hang together.

use std::collections::{HashMap, HashSet};

use super::RatesError;
use super::curve::{Curve, Dependence};
use crate::types::{ClassId, Match, Pair};

/// A probe whose person is not in what was searched, and the classes that are most like it.
#[derive(Clone, Debug, PartialEq)]
pub struct Stranger {
    /// Whose template it is.
    pub class: ClassId,
    /// The other classes that are most like it, by falling similarity.
    pub best: Vec<Match>,
}

/// A comparison of a probe with one other class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// Whose template the probe is.
    pub probe: ClassId,
    /// The other class.
    pub other: ClassId,
    /// How alike they are.
    pub similarity: f64,
}

/// The curve of the highest score of each probe.
///
/// # Errors
///
/// If there are too few probes, or a similarity is not finite.
pub(super) fn highest_scores(strangers: &[Stranger], classes: usize) -> Result<Curve, RatesError> {
    let scores = strangers
        .iter()
        .filter_map(|it| it.best.first())
        .map(|best| best.similarity);
    let scores: Vec<f64> = scores.collect();
    let links = Links::of(strangers, classes);
    Curve::of_dependent(scores, &links)
}

/// Which scores are one event, seen from both sides.
///
/// What is wanted is how often strangers reach a similarity in this gallery, which is as it is:
/// that one enrolled person is like many others is no chance. That two probes are like each other
/// is one: it is counted twice if both were drawn, and families of `n` are counted `n` times.
struct Links {
    probes: usize,
    /// Of how many classes the probes were drawn.
    classes: usize,
    /// For each link, the similarity up to which both of its probes reach it; falling.
    links: Vec<f64>,
    /// All that was found of all probes, falling.
    listed: Vec<f64>,
}

impl Links {
    fn of(strangers: &[Stranger], classes: usize) -> Links {
        let highest = |it: &Stranger| it.best.first().map(|best| (it.class, best.similarity));
        let highest: HashMap<ClassId, f64> = strangers.iter().filter_map(highest).collect();
        let (mut links, mut listed) = (Vec::new(), Vec::new());
        for other in strangers.iter().flat_map(|it| &it.best) {
            listed.push(other.similarity);
            if let Some(of_other) = highest.get(&other.class) {
                links.push(other.similarity.min(*of_other));
            }
        }
        for sorted in [&mut links, &mut listed] {
            sorted.sort_unstable_by(|a, b| b.total_cmp(a));
        }
        Links {
            probes: strangers.len(),
            classes,
            links,
            listed,
        }
    }
}

impl Dependence for Links {
    fn design_effect(&self, similarity: f64, count: usize) -> f64 {
        let links = self.links.partition_point(|link| *link >= similarity);
        let seen = links as f64 / count.max(1) as f64;
        // What is to be expected without families. Of few scores chance may show none of it.
        let expected = self.probes as f64 / self.classes.max(1) as f64;
        1.0 + seen.max(expected.min(1.0))
    }

    fn mean(&self, similarity: f64, rate: f64) -> f64 {
        let probes = self.probes as f64;
        let listed = self.listed.partition_point(|listed| *listed >= similarity) as f64 / probes;
        // Of so few the mean is no mean: those above were like these.
        const ENOUGH: usize = 20;
        let seen = match self
            .listed
            .get(ENOUGH.min(self.listed.len().saturating_sub(1)))
        {
            Some(enough) if similarity > *enough => rate * self.each_above(*enough),
            _ => listed,
        };
        // Were all independent, it would be this.
        let independent = -(-rate.min(1.0 - 1e-9)).ln_1p();
        seen.max(independent)
    }
}

impl Links {
    /// How many classes reach a similarity, on the mean of the probes of which one does.
    fn each_above(&self, similarity: f64) -> f64 {
        let listed = self.listed.partition_point(|listed| *listed >= similarity) as f64;
        // Each link has two ends, and each probe above has one score at least that is its highest.
        let links = self.links.partition_point(|link| *link >= similarity) as f64;
        let probes = (listed - links).max(links).max(1.0);
        (listed / probes).max(1.0)
    }
}

/// The curve of single comparisons.
///
/// # Errors
///
/// If there are too few, or a similarity is not finite.
pub(super) fn single_comparisons(comparisons: Vec<Comparison>) -> Result<Curve, RatesError> {
    let mut falling = comparisons;
    falling.sort_unstable_by(|a, b| b.similarity.total_cmp(&a.similarity));
    let scores = falling.iter().map(|it| it.similarity).collect();
    let distinct = |of: fn(&Comparison) -> ClassId| {
        let all: HashSet<ClassId> = falling.iter().map(of).collect();
        all.len().max(1) as f64
    };
    let (probes, others) = (distinct(|it| it.probe), distinct(|it| it.other));
    Curve::of_dependent(
        scores,
        &Crossed {
            falling,
            probes,
            others,
        },
    )
}

/// Comparisons that share a probe or the other class depend on each other. The variance of their
/// number is, about, the sum of the squares of how many each probe and each other class has, less
/// what is in both (Cameron, Gelbach and Miller 2011).
struct Crossed {
    falling: Vec<Comparison>,
    /// How many probes there are, and how many other classes.
    probes: f64,
    others: f64,
}

impl Dependence for Crossed {
    fn design_effect(&self, _: f64, count: usize) -> f64 {
        let (mut probes, mut others) = (HashMap::new(), HashMap::new());
        for it in &self.falling[..count] {
            *probes.entry(it.probe).or_insert(0_u64) += 1;
            *others.entry(it.other).or_insert(0_u64) += 1;
        }
        let squares = |counts: &HashMap<ClassId, u64>| -> f64 {
            counts.values().map(|count| (count * count) as f64).sum()
        };
        let count = count.max(1) as f64;
        // Chance alone gives a probe several, too.
        let by_chance = (count - 1.0) / self.probes + (count - 1.0) / self.others;
        (squares(&probes) + squares(&others) - count) / count - by_chance
    }

    fn mean(&self, _: f64, rate: f64) -> f64 {
        rate
    }
}

/// Pairs that look like one person who is enrolled twice, by falling similarity, and the strangers
/// without them.
///
/// A pair is one if it is as alike as three of four pairs of one person are (`mated`; where it is
/// not known how alike these are, as hardly anything but copies is), and if so high a score would
/// come once in a hundred such measurements only, by the tail of all others. So a heavy tail of
/// strangers stays whole. `is_known` says of two that they are different people.
pub(super) fn without_copies(
    strangers: &[Stranger],
    classes: usize,
    mated: Option<f64>,
    is_known: &dyn Fn(ClassId, ClassId) -> bool,
) -> (Vec<Pair>, Vec<Stranger>) {
    /// As alike are two of the same picture, at other sizes or packed once more.
    const COPY: f64 = 0.95;
    /// How many scores as high as that of a pair would be expected of strangers.
    const EXPECTED_MAX: f64 = 0.01;
    let alike = mated.unwrap_or(COPY);
    let mut suspected: Pairs = HashMap::new();
    let mut known: Pairs = HashMap::new();
    for stranger in strangers {
        for other in stranger.best.iter().take_while(|it| it.similarity >= alike) {
            let pair = pair_of(stranger.class, other.class);
            let pairs = match is_known(pair.0, pair.1) {
                true => &mut known,
                false => &mut suspected,
            };
            let highest = pairs.entry(pair).or_insert(other.similarity);
            *highest = highest.max(other.similarity);
        }
    }
    if suspected.is_empty() {
        return (Vec::new(), strangers.to_vec());
    }
    // By the tail of those who are in no doubt.
    known.extend(&suspected);
    let others = left_over(strangers, &known);
    match highest_scores(&others, classes) {
        Ok(curve) if others.len() * 2 >= strangers.len() => {
            let probes = others.len() as f64;
            suspected.retain(|_, similarity| curve.at(*similarity).rate * probes < EXPECTED_MAX);
        }
        // Where nearly everybody is like somebody, that is what strangers are here.
        _ => suspected.clear(),
    }
    let pair = |((class, other), similarity): (&(ClassId, ClassId), &f64)| Pair {
        class: *class,
        other: *other,
        similarity: *similarity,
    };
    let mut pairs: Vec<Pair> = suspected.iter().map(pair).collect();
    pairs.sort_unstable_by(Pair::rank_order);
    let others = left_over(strangers, &suspected);
    (pairs, others)
}

/// Pairs of classes, the smaller one first, and how alike they are.
type Pairs = HashMap<(ClassId, ClassId), f64>;

fn pair_of(one: ClassId, other: ClassId) -> (ClassId, ClassId) {
    (one.min(other), one.max(other))
}

fn left_over(strangers: &[Stranger], pairs: &Pairs) -> Vec<Stranger> {
    let without = |stranger: &Stranger| {
        let is_other = |other: &&Match| !pairs.contains_key(&pair_of(stranger.class, other.class));
        let best: Vec<Match> = stranger.best.iter().filter(is_other).copied().collect();
        Stranger {
            class: stranger.class,
            best,
        }
    };
    let left = strangers.iter().map(without);
    left.filter(|stranger| !stranger.best.is_empty()).collect()
}
