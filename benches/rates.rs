//! Do rates hold that were asked for? Of strangers whose scores have a known distribution, so that the
//! rate obtained is known, too, and need not be counted.
//!
//! ```sh
//! cargo bench --bench rates                   # 1,000 to 100,000 people, 100 runs each
//! cargo bench --bench rates -- 1000000 100 docs/rates.svg
//! ```
//!
//! Prints, for each asked rate, in how many of the runs the rate obtained lies in the range that was
//! stated, and its geometric mean by the one asked for. With a file, draws asked against obtained.
//! `docs/rates.md` has the results.
#![allow(
    clippy::unwrap_used,
    reason = "a measurement that cannot go on ends with an error"
)]

use std::collections::HashMap;
use std::fmt::Write as _;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use vultus::rates::{Calibration, Comparison, Observations, Stranger, TargetRate};
use vultus::types::{ClassId, EncoderId, Match, Timestamp};

const RATES: [f64; 5] = [0.1, 0.03, 0.01, 0.003, 0.001];
/// As many as `vultus calibrate` draws.
const PROBES_MAX: usize = 10_000;
/// How many scores of each probe are drawn, the highest ones.
const LISTED: f64 = 24.0;
/// How many brothers and sisters a family has.
const FAMILY: usize = 4;

/// What strangers reach.
struct World {
    name: &'static str,
    colour: &'static str,
    /// The score that a share of comparisons is above.
    score: fn(f64) -> f64,
    /// The share of people who are of a family.
    related: f64,
}

const WORLDS: [World; 4] = [
    World {
        name: "normal",
        colour: "#0072b2",
        score: |above| 0.05 * normal(above),
        related: 0.0,
    },
    World {
        name: "heavy tail (Student, 4)",
        colour: "#d55e00",
        score: |above| 0.002 * student(above),
        related: 0.0,
    },
    World {
        name: "families: 30 % have three siblings",
        colour: "#009e73",
        score: |above| 0.05 * normal(above),
        related: 0.3,
    },
    World {
        name: "families: 2 % have three siblings",
        colour: "#cc79a7",
        score: |above| 0.05 * normal(above),
        related: 0.02,
    },
];

/// What siblings reach with each other.
fn sibling(above: f64) -> f64 {
    0.3 + 0.08 * normal(above)
}

fn main() {
    // Cargo says `--bench`, too.
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|it| !it.starts_with('-'))
        .collect();
    let number = |at: usize| arguments.get(at).and_then(|it| it.parse::<usize>().ok());
    let sizes = number(0).map_or(vec![1_000, 10_000, 100_000], |people| vec![people]);
    let runs = number(1).unwrap_or(100) as u64;
    let mut points = Vec::new();
    for people in sizes {
        for world in &WORLDS {
            let obtained = repeat(world, people, runs);
            println!("{:36} {people:8} people: {}", world.name, told(&obtained));
            points.push((world, obtained));
        }
    }
    if let Some(path) = arguments.get(2) {
        std::fs::write(path, plot(&points)).unwrap();
    }
}

/// What came of an asked rate in all runs.
#[derive(Clone, Default)]
struct Obtained {
    inside: u64,
    rates: Vec<f64>,
    extrapolated: u64,
}

fn repeat(world: &World, people: usize, runs: u64) -> [Obtained; RATES.len()] {
    let mut obtained: [Obtained; RATES.len()] = Default::default();
    for seed in 0..runs {
        let strangers = world.strangers(people, seed);
        let calibration = calibrate(&strangers, people, seed);
        for (rate, obtained) in RATES.iter().zip(&mut obtained) {
            let found = calibration.threshold(TargetRate::new(*rate).unwrap(), people);
            let truth = world.fpir(found.similarity, people);
            obtained.inside += u64::from((found.low..=found.high).contains(&truth));
            obtained.extrapolated += u64::from(found.extrapolated);
            obtained.rates.push(truth);
        }
    }
    obtained
}

fn told(obtained: &[Obtained]) -> String {
    let mut told = String::new();
    for (rate, it) in RATES.iter().zip(obtained) {
        let runs = it.rates.len() as f64;
        let mean = (it.rates.iter().map(|it| it.ln()).sum::<f64>() / runs).exp();
        let star = if it.extrapolated > 0 { "*" } else { "" };
        let _ = write!(told, " {rate}{star}: {} ({:.2}x)", it.inside, mean / rate);
    }
    told
}

fn calibrate(strangers: &[Stranger], people: usize, seed: u64) -> Calibration {
    // Single comparisons are not what is asked about here.
    let comparison = |it: &Stranger| Comparison {
        probe: it.class,
        other: it.best[0].class,
        similarity: it.best[0].similarity,
    };
    let comparisons: Vec<Comparison> = strangers.iter().map(comparison).collect();
    let observed = Observations {
        encoder: &EncoderId::new("drawn", "1", 16).unwrap(),
        classes: people,
        templates: people,
        seed,
        now: Timestamp::from_unix_seconds(0),
        strangers,
        comparisons: &comparisons,
        mated: &[],
        shipped: None,
    };
    Calibration::of(&observed, &|_, _| true).unwrap()
}

impl World {
    /// The highest scores of each probe: people `0..probes` of `0..people`. Scores are alike from both
    /// sides.
    fn strangers(&self, people: usize, seed: u64) -> Vec<Stranger> {
        let mut random = StdRng::seed_from_u64(seed * 7919 + people as u64);
        let probes = people.min(PROBES_MAX);
        let mut lists: Vec<HashMap<usize, f64>> = vec![HashMap::new(); probes];
        let mut meet = |one: usize, other: usize, score: f64| {
            for (from, to) in [(one, other), (other, one)] {
                if from < probes && from != to {
                    let best = lists[from].entry(to).or_insert(score);
                    *best = best.max(score);
                }
            }
        };
        let share = LISTED.min(people as f64 * 0.5) / people as f64;
        let (inner, outer) = (probes as f64, (people - probes) as f64);
        let pairs = (inner * (inner - 1.0) / 2.0 * share).round() as usize;
        let others = (inner * outer * share).round() as usize;
        for at in 0..pairs + others {
            let one = random.random_range(0..probes);
            let other = match at < pairs {
                true => random.random_range(0..probes),
                false => random.random_range(probes..people),
            };
            let above = random.random_range(f64::MIN_POSITIVE..1.0) * share;
            meet(one, other, (self.score)(above));
        }
        for family in self.families(people) {
            for (at, one) in family.iter().enumerate() {
                for other in &family[at + 1..] {
                    meet(
                        *one,
                        *other,
                        sibling(random.random_range(f64::MIN_POSITIVE..1.0)),
                    );
                }
            }
        }
        let lists = lists
            .into_iter()
            .enumerate()
            .filter(|(_, list)| !list.is_empty());
        lists.map(|(class, list)| stranger(class, list)).collect()
    }

    /// Families, spread evenly over all people.
    fn families(&self, people: usize) -> Vec<[usize; FAMILY]> {
        let quarter = people / FAMILY;
        let count = (people as f64 * self.related) as usize / FAMILY;
        let step = quarter.checked_div(count).unwrap_or(1);
        let family = |at: usize| std::array::from_fn(|member| at * step + member * quarter);
        (0..count).map(family).collect()
    }

    /// How often a stranger who has siblings as often as everybody else reaches a similarity.
    fn fpir(&self, similarity: f64, people: usize) -> f64 {
        let probes = people.min(PROBES_MAX);
        let related = self.families(people).into_iter().flatten();
        let share = related.filter(|it| *it < probes).count() as f64 / probes as f64;
        let (single, of_sibling) = (above(self.score, similarity), above(sibling, similarity));
        let nobody = (1.0 - single).powf(people as f64 - 1.0);
        let no_sibling = (1.0 - of_sibling).powi(FAMILY as i32 - 1);
        1.0 - nobody * (1.0 - share + share * no_sibling)
    }
}

fn stranger(class: usize, list: HashMap<usize, f64>) -> Stranger {
    let other = |(other, similarity): (usize, f64)| Match {
        class: ClassId(other as i64),
        similarity,
    };
    let mut best: Vec<Match> = list.into_iter().map(other).collect();
    best.sort_by(Match::rank_order);
    best.truncate(16);
    Stranger {
        class: ClassId(class as i64),
        best,
    }
}

/// The share of scores above one.
fn above(score: fn(f64) -> f64, similarity: f64) -> f64 {
    let (mut low, mut high) = (-60.0_f64, 0.0_f64);
    for _ in 0..80 {
        let middle = 0.5 * (low + high);
        match score(middle.exp()) > similarity {
            true => low = middle,
            false => high = middle,
        }
    }
    (0.5 * (low + high)).exp()
}

/// What a share of a normal distribution is above, within 1e-9 of itself (Acklam 2003).
fn normal(above: f64) -> f64 {
    if above > 0.5 {
        return -normal(1.0 - above);
    }
    let polynomial = |terms: &[f64], x: f64| terms.iter().fold(0.0, |sum, term| sum * x + term);
    if above < 0.02425 {
        let x = (-2.0 * above.ln()).sqrt();
        let over = [
            -7.784894002430293e-3,
            -0.3223964580411365,
            -2.400758277161838,
            -2.549732539343734,
            4.374664141464968,
            2.938163982698783,
        ];
        let under = [
            7.784695709041462e-3,
            0.3224671290700398,
            2.445134137142996,
            3.754408661907416,
            1.0,
        ];
        return -polynomial(&over, x) / polynomial(&under, x);
    }
    let x = above - 0.5;
    let over = [
        -39.69683028665376,
        220.9460984245205,
        -275.9285104469687,
        138.357751867269,
        -30.66479806614716,
        2.506628277459239,
    ];
    let under = [
        -54.47609879822406,
        161.5858368580409,
        -155.6989798598866,
        66.80131188771972,
        -13.28068155288572,
        1.0,
    ];
    -x * polynomial(&over, x * x) / polynomial(&under, x * x)
}

/// What a share of a distribution of Student with four degrees of freedom is above.
fn student(above: f64) -> f64 {
    let root = (4.0 * above * (1.0 - above)).sqrt();
    let high = 2.0 * ((root.acos() / 3.0).cos() / root - 1.0).max(0.0).sqrt();
    if above < 0.5 { high } else { -high }
}

/// Asked against obtained, both by powers of ten: a dot for each run.
fn plot(points: &[(&World, [Obtained; RATES.len()])]) -> String {
    let (left, top, size) = (70.0, 50.0, 480.0);
    let place = |rate: f64| ((rate.log10() + 4.0) / 4.0).clamp(0.0, 1.0) * size;
    let mut svg = String::from(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 620 640\" font-family=\"sans-serif\" \
         font-size=\"13\">\n<rect width=\"620\" height=\"640\" fill=\"white\"/>\n",
    );
    let (bottom, right) = (top + size, left + size);
    for power in 0..=4 {
        let rate = 10_f64.powi(-power);
        let (x, y) = (left + place(rate), bottom - place(rate));
        let _ = writeln!(
            svg,
            "<path d=\"M{x} {top}V{bottom}M{left} {y}H{right}\" stroke=\"#ddd\"/>\n<text x=\"{x}\" \
             y=\"{}\" text-anchor=\"middle\">{rate}</text><text x=\"{}\" y=\"{}\" \
             text-anchor=\"end\">{rate}</text>",
            bottom + 18.0,
            left - 6.0,
            y + 4.0
        );
    }
    let _ = writeln!(
        svg,
        "<path d=\"M{left} {bottom}L{right} {top}\" stroke=\"black\" stroke-dasharray=\"5 4\"/>\n<text \
         x=\"310\" y=\"570\" text-anchor=\"middle\">FPIR asked for</text>\n<text x=\"20\" y=\"290\" \
         transform=\"rotate(-90 20 290)\" text-anchor=\"middle\">FPIR obtained</text>"
    );
    for (at, (world, obtained)) in points.iter().enumerate() {
        let shift = (at % WORLDS.len()) as f64 * 9.0 - 13.5;
        let line = 16.0 * (at % WORLDS.len()) as f64;
        for (rate, it) in RATES.iter().zip(obtained) {
            for truth in &it.rates {
                let (x, y) = (left + place(*rate) + shift, bottom - place(*truth));
                let _ = writeln!(
                    svg,
                    "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2\" fill=\"{}\" fill-opacity=\"0.5\"/>",
                    world.colour
                );
            }
        }
        if at < WORLDS.len() {
            let _ = writeln!(
                svg,
                "<circle cx=\"90\" cy=\"{}\" r=\"4\" fill=\"{}\"/><text x=\"100\" y=\"{}\">{}</text>",
                66.0 + line,
                world.colour,
                70.0 + line,
                world.name
            );
        }
    }
    svg.push_str("</svg>\n");
    svg
}
