//! Evaluations of recognition, told as a table, JSON, Markdown, drawings and a page.

use std::collections::BTreeMap;

use serde::Serialize;

use super::facts::{ComparedFacts, GalleryFacts};
use super::material::{Failures, Material};
use super::places::{self, Places};
use crate::cli::args::Told;
use crate::cli::output;
use crate::eval::Rate;
use crate::eval::document::{Document, Figure, Section, Table};
use crate::eval::plot::recognition::{self as draw, ErrorNames};
use crate::eval::recognition::{
    AtThreshold, Copies, DetPoint, Differential, Estimate, GroupReport, IdentificationReport, Need,
    People, Reliability, ReliabilityBin, TakenFor, VerificationAt, VerificationReport, WorstPerson,
};
use crate::types::ClassId;

/// Samples under two labels that are named.
const COPIES_NAMED_MAX: usize = 20;

/// What was evaluated.
#[derive(Clone, Debug, Serialize)]
pub(super) struct About {
    version: &'static str,
    source: String,
    encoder: String,
    people: usize,
    samples: usize,
    left_out: LeftOut,
    #[serde(skip_serializing_if = "Option::is_none")]
    failures: Option<Failures>,
    /// What people are called, by their classes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    names: BTreeMap<String, String>,
}

/// Samples that say nothing.
#[derive(Clone, Debug, Serialize)]
struct LeftOut {
    /// Further copies under one label, and probes that are enrolled themselves.
    copies: usize,
    /// Samples that are there under two labels.
    two_labels: usize,
    /// The first of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    two_labels_first: Vec<TwoLabels>,
}

#[derive(Clone, Debug, Serialize)]
struct TwoLabels {
    class: i64,
    sample: String,
    other_class: i64,
    other_sample: String,
}

impl About {
    pub(super) fn of(people: &People, material: &Material) -> About {
        let names = material.names.iter();
        About {
            version: env!("CARGO_PKG_VERSION"),
            source: material.source.clone(),
            encoder: material.encoder.to_string(),
            people: people.count(),
            samples: people.samples().len(),
            left_out: LeftOut::of(&material.copies),
            failures: material.failures.clone(),
            names: names
                .map(|(class, name)| (class.to_string(), name.clone()))
                .collect(),
        }
    }

    fn who(&self, class: i64) -> String {
        let number = ClassId(class).to_string();
        self.names.get(&number).cloned().unwrap_or(number)
    }
}

impl LeftOut {
    fn of(copies: &Copies) -> LeftOut {
        let first = copies.contradicting.iter().take(COPIES_NAMED_MAX);
        LeftOut {
            copies: copies.repeated,
            two_labels: copies.contradicting_samples,
            two_labels_first: first
                .map(|copy| TwoLabels {
                    class: copy.one.0.0,
                    sample: copy.one.1.to_string(),
                    other_class: copy.other.0.0,
                    other_sample: copy.other.1.to_string(),
                })
                .collect(),
        }
    }
}

/// All of it, as JSON.
#[derive(Serialize)]
struct Whole<'a, F: Serialize, R: Serialize> {
    #[serde(flatten)]
    about: &'a About,
    #[serde(flatten)]
    facts: &'a F,
    #[serde(flatten)]
    report: &'a R,
}

/// Writes and prints what was asked for. Files first, so that nothing is told where they fail.
pub(super) fn tell<F: Serialize, R: Serialize>(
    told: &Told,
    places: &Places,
    about: &About,
    facts: &F,
    report: &R,
    document: &Document,
) -> anyhow::Result<()> {
    if let Some(folder) = &places.plots {
        let mut files = Vec::new();
        for figure in document.figures() {
            files.push((
                format!("{}.svg", figure.name),
                figure.drawing.finish().into_bytes(),
            ));
            files.push((format!("{}.png", figure.name), figure.drawing.png()?));
        }
        places::make_folder(folder)?;
        for (name, bytes) in files {
            places::write(&folder.join(name), &bytes)?;
        }
    }
    if let Some(path) = &places.html {
        places::write(path, document.html().as_bytes())?;
    }
    if told.json {
        let whole = Whole {
            about,
            facts,
            report,
        };
        output::json_line(&whole)?;
    } else if told.markdown {
        let plots = places
            .plots
            .as_ref()
            .map(|folder| folder.to_string_lossy().into_owned());
        output::line(document.markdown(plots.as_deref()).trim_end())?;
    } else {
        print(document)?;
    }
    Ok(())
}

/// On a terminal, whatever has a table; drawings are for pages.
fn print(document: &Document) -> anyhow::Result<()> {
    output::line(&document.title)?;
    for section in &document.sections {
        if section.words.is_empty() && section.table.is_none() {
            continue;
        }
        output::line(format!("\n{}", section.heading))?;
        for words in &section.words {
            output::line(words)?;
        }
        if let Some(table) = &section.table {
            let columns: Vec<&str> = table.columns.iter().map(String::as_str).collect();
            let mut drawn = output::table(&columns);
            table.rows.iter().for_each(|row| {
                drawn.add_row(row);
            });
            output::line(drawn.to_string())?;
        }
    }
    Ok(())
}

/// What is told of an identification.
pub(super) fn identification(
    about: &About,
    facts: &GalleryFacts,
    report: &IdentificationReport,
) -> Document {
    let mut sections = vec![material_section(
        about,
        &identification_words(facts, report),
    )];
    let mut errors = Section::new("Errors at rates of strangers who are named");
    let rank = match facts.rank {
        1 => "first".to_owned(),
        rank => format!("among the first {rank}"),
    };
    errors.words.push(format!(
        "FPIR: searches for strangers in which somebody is named. FNIR: searches for enrolled people in which \
         they are not {rank} at the threshold. Misnamed: those in which somebody else is named first. Ranges are \
         of 95 % confidence: for different probes, and over people."
    ));
    errors.words.extend(needs(
        report.at_rates.iter().filter_map(|row| row.need),
        "non-mated probes",
    ));
    errors.table = Some(identification_table(report));
    errors.figures = identification_figures(report);
    sections.push(errors);
    let mut ranks = Section::new("Ranks");
    ranks.words.push(format!(
        "First, whatever the similarity: {}.",
        told_estimate(&report.rank_1)
    ));
    let mut table = Table::new(&["among the first", "share found"]);
    let told = report
        .ranks
        .iter()
        .filter(|it| matches!(it.rank, 1 | 2 | 5 | 10 | 20 | 50));
    table.rows = told
        .map(|it| vec![it.rank.to_string(), percent(it.share)])
        .collect();
    ranks.table = Some(table);
    ranks.figures = vec![Figure {
        name: "cmc",
        caption: "How many enrolled people are among the first so many.".to_owned(),
        drawing: draw::ranks(&report.ranks),
    }];
    sections.push(ranks);
    if let Some(reliability) = &report.reliability {
        let mut section = Section::new("Reliability of the confidence");
        section.words.push(format!(
            "Expected calibration error {:.4}, Brier score {:.4}, of {} answers, those for people and those for \
             strangers weighing alike. Whoever is first is judged, however little alike.",
            reliability.expected_calibration_error, reliability.brier, reliability.answers
        ));
        section.table = Some(reliability_table(reliability));
        section.figures = vec![Figure {
            name: "reliability",
            caption: "What was said of being right, and how often it was.".to_owned(),
            drawing: draw::reliability(reliability),
        }];
        sections.push(section);
    }
    sections.extend(groups_section(report.groups.as_ref(), ["FNIR", "FPIR"]));
    sections.extend(people_sections(
        about,
        &report.worst_people,
        &report.worst_pairs,
        report.judged_at,
    ));
    Document {
        title: format!("Identification, evaluated with {}", about.source),
        sections,
    }
}

fn reliability_table(reliability: &Reliability) -> Table {
    let mut table = Table::new(&["confidence", "answers", "in the mean", "right"]);
    let row = |bin: &ReliabilityBin| {
        vec![
            format!("{:.1} to {:.1}", bin.from, bin.to),
            bin.answers.to_string(),
            format!("{:.3}", bin.confidence),
            format!("{:.3}", bin.right),
        ]
    };
    table.rows = reliability.bins.iter().map(row).collect();
    table
}

/// What is told of a verification.
pub(super) fn verification(
    about: &About,
    facts: &ComparedFacts,
    report: &VerificationReport,
) -> Document {
    let how = match &facts.partition {
        Some(partition) => format!("each with every class of {partition}"),
        None => "each with each".to_owned(),
    };
    let compared = format!(
        "{} samples were compared, {how}: {} comparisons of one person, {} of different people.",
        facts.samples, report.mated_comparisons, report.non_mated_comparisons
    );
    let mut sections = vec![material_section(about, &[compared])];
    let mut errors = Section::new("Errors at rates of different people taken for one");
    errors.words.push(
        "FMR: comparisons of different people that reach the threshold. FNMR: comparisons of one person that do \
         not. Ranges are of 95 % confidence: for comparisons, as if each were independent, and over people."
            .to_owned(),
    );
    if let Some(equal) = &report.equal {
        errors.words.push(format!(
            "Both are equal (EER) at threshold {}: {}.",
            similarity(equal.threshold),
            percent(equal.false_negative)
        ));
    }
    let needed = report.at_rates.iter().filter_map(|row| row.need);
    errors
        .words
        .extend(needs(needed, "comparisons of different people"));
    errors.table = Some(verification_table(report));
    let marks = report.at_rates.iter().chain(&report.in_use);
    let marks = marks.filter_map(|row| {
        let text = row
            .target_fmr
            .map_or("in use".to_owned(), |rate| format!("FMR {rate}"));
        Some((point(row.threshold?, &row.fmr?, &row.fnmr?), text))
    });
    let thresholds = report.at_rates.iter().chain(&report.in_use);
    let thresholds = thresholds.filter_map(|row| {
        let text = row
            .target_fmr
            .map_or("in use".to_owned(), |rate| format!("FMR {rate}"));
        Some((row.threshold?, text))
    });
    let names = ErrorNames {
        positive: "different people taken for one (FMR), %",
        negative: "one person taken for two (FNMR), %",
        heading: "FMR and FNMR against each other (DET)",
    };
    let trials = (report.non_mated_comparisons, report.mated_comparisons);
    let mut rows = report.at_rates.iter().chain(&report.in_use);
    let distinct = rows.find_map(|row| Some((row.fmr?.distinct, row.fnmr?.distinct)));
    errors.figures = vec![
        det_figure(
            &report.det,
            trials,
            distinct,
            &marks.collect::<Vec<_>>(),
            names,
        ),
        Figure {
            name: "scores",
            caption: "How alike one person and different people are.".to_owned(),
            drawing: draw::scores(
                &report.scores,
                [
                    "comparisons of one person",
                    "comparisons of different people",
                ],
                &thresholds.collect::<Vec<_>>(),
            ),
        },
    ];
    sections.push(errors);
    sections.extend(groups_section(report.groups.as_ref(), ["FNMR", "FMR"]));
    sections.extend(people_sections(
        about,
        &report.worst_people,
        &report.worst_pairs,
        report.judged_at,
    ));
    Document {
        title: format!("Verification, evaluated with {}", about.source),
        sections,
    }
}

fn identification_words(facts: &GalleryFacts, report: &IdentificationReport) -> Vec<String> {
    let classes = match facts.classes {
        [least, most] if least == most => format!("{most}"),
        [least, most] => format!("{least} to {most}"),
    };
    let templates = facts.templates;
    let searched = match (&facts.partition, &facts.protocol) {
        (Some(partition), _) => {
            format!("Searched {classes} people with {templates} templates in {partition}.")
        }
        (_, Some(protocol)) => format!(
            "In {} by seed {}, {classes} people were enrolled with at most {templates} templates together, and the \
             others were strangers.",
            output::count(protocol.splits, "split", "splits"),
            protocol.seed
        ),
        _ => String::new(),
    };
    let searches = format!(
        "{} searches for enrolled people with {} different probes, {} for strangers with {}.",
        report.mated_searches,
        report.mated_probes,
        report.non_mated_searches,
        report.non_mated_probes
    );
    vec![searched, searches]
}

fn material_section(about: &About, words: &[String]) -> Section {
    let mut section = Section::new("What was evaluated");
    section.words.push(format!(
        "{} of {}, encoder {}.",
        output::count(about.samples, "sample", "samples"),
        output::count(about.people, "person", "people"),
        about.encoder
    ));
    section.words.extend(words.iter().cloned());
    let left_out = &about.left_out;
    if left_out.copies + left_out.two_labels > 0 {
        section.words.push(format!(
            "Left out: {} that are there again, {} that are there under two labels.",
            left_out.copies, left_out.two_labels
        ));
    }
    if let Some(failures) = &about.failures {
        let mut table = Table::new(&["failure", "of", "share", "95 % confidence"]);
        for (name, rate) in [
            (
                "to acquire: pictures without one face (FTA)",
                &failures.failure_to_acquire,
            ),
            (
                "to enrol: people without a picture that is good enough (FTE)",
                &failures.failure_to_enrol,
            ),
            (
                "pictures not good enough to enrol with",
                &failures.refused_as_templates,
            ),
        ] {
            table.rows.push(vec![
                name.to_owned(),
                format!("{} of {}", rate.count, rate.total),
                percent(rate.rate),
                range(rate.low, rate.high),
            ]);
        }
        section.table = Some(table);
        if !failures.reasons.is_empty() {
            let reasons = failures.reasons.iter();
            let reasons: Vec<String> = reasons
                .map(|(reason, count)| format!("{count} {}", reason.replace('_', " ")))
                .collect();
            section.words.push(format!(
                "Pictures without one face: {}.",
                reasons.join(", ")
            ));
        }
    }
    section
}

fn needs(needs: impl Iterator<Item = Need>, trials: &str) -> Vec<String> {
    needs
        .map(|need| format!("{}.", need.sentence(trials)))
        .collect()
}

/// The row of a rate that cannot be told.
fn lacking(table: &Table, asked: String, need: Option<Need>, trials: &str) -> Vec<String> {
    let needed = need.map_or(0, |need| need.needed);
    let mut cells = vec![asked, format!("needs {needed} {trials}")];
    cells.resize(table.columns.len(), String::new());
    cells
}

fn identification_table(report: &IdentificationReport) -> Table {
    let mut table = Table::new(&[
        "FPIR asked",
        "threshold",
        "FPIR",
        "FNIR",
        "95 %, probes",
        "95 %, people",
        "of splits",
        "misnamed",
    ]);
    for row in report.at_rates.iter().chain(&report.in_use) {
        let AtThreshold {
            target_fpir,
            threshold,
            fpir,
            fnir,
            misnamed,
            fnir_of_splits,
            ..
        } = row;
        let asked = target_fpir.map_or("in use".to_owned(), |rate| rate.to_string());
        let (Some(threshold), Some(fnir)) = (threshold, fnir) else {
            table.rows.push(lacking(&table, asked, row.need, "probes"));
            continue;
        };
        let of_splits = fnir_of_splits.map(|[low, high]| range(low, high));
        table.rows.push(vec![
            asked,
            similarity(*threshold),
            fpir.as_ref().map(told_share).unwrap_or_default(),
            told_share(fnir),
            range(fnir.low, fnir.high),
            told_people(fnir),
            of_splits.unwrap_or_default(),
            misnamed.as_ref().map(told_share).unwrap_or_default(),
        ]);
    }
    table
}

fn verification_table(report: &VerificationReport) -> Table {
    let mut table = Table::new(&[
        "FMR asked",
        "threshold",
        "FMR",
        "FNMR",
        "95 %, comparisons",
        "95 %, people",
    ]);
    for row in report.at_rates.iter().chain(&report.in_use) {
        let VerificationAt {
            target_fmr,
            threshold,
            fmr,
            fnmr,
            need,
        } = row;
        let asked = target_fmr.map_or("in use".to_owned(), |rate| rate.to_string());
        let (Some(threshold), Some(fnmr)) = (threshold, fnmr) else {
            table
                .rows
                .push(lacking(&table, asked, *need, "comparisons"));
            continue;
        };
        table.rows.push(vec![
            asked,
            similarity(*threshold),
            fmr.as_ref().map(told_share).unwrap_or_default(),
            told_share(fnmr),
            range(fnmr.low, fnmr.high),
            told_people(fnmr),
        ]);
    }
    table
}

/// Both errors against each other; the band is that of the `distinct` trials, of all where nothing tells them.
fn det_figure(
    points: &[DetPoint],
    trials: (usize, usize),
    distinct: Option<(usize, usize)>,
    marks: &[(DetPoint, String)],
    names: ErrorNames,
) -> Figure {
    Figure {
        name: "det",
        caption: "Both errors as the threshold moves; rings are single thresholds.".to_owned(),
        drawing: draw::det(points, trials, distinct.unwrap_or(trials), marks, names),
    }
}

fn identification_figures(report: &IdentificationReport) -> Vec<Figure> {
    let name = |row: &AtThreshold| {
        row.target_fpir
            .map_or("in use".to_owned(), |rate| format!("FPIR {rate}"))
    };
    let rows = || report.at_rates.iter().chain(&report.in_use);
    let marks = rows().filter_map(|row| {
        let (threshold, fpir, fnir) = (row.threshold?, row.fpir?, row.fnir?);
        Some((point(threshold, &fpir, &fnir), name(row)))
    });
    let thresholds = rows().filter_map(|row| Some((row.threshold?, name(row))));
    let names = ErrorNames {
        positive: "strangers who are named (FPIR), %",
        negative: "enrolled people who are missed (FNIR), %",
        heading: "FPIR and FNIR against each other (DET)",
    };
    let trials = (report.non_mated_searches, report.mated_searches);
    let distinct = rows().find_map(|row| Some((row.fpir?.distinct, row.fnir?.distinct)));
    vec![
        det_figure(
            &report.det,
            trials,
            distinct,
            &marks.collect::<Vec<_>>(),
            names,
        ),
        Figure {
            name: "scores",
            caption:
                "How alike probes are to whom they show, and strangers to whoever is most alike."
                    .to_owned(),
            drawing: draw::scores(
                &report.scores,
                [
                    "enrolled people and themselves",
                    "strangers and whoever is most alike",
                ],
                &thresholds.collect::<Vec<_>>(),
            ),
        },
    ]
}

fn point(threshold: f64, positive: &Estimate, negative: &Estimate) -> DetPoint {
    DetPoint {
        threshold,
        false_positive: positive.rate,
        false_negative: negative.rate,
    }
}

fn groups_section(
    groups: Option<&GroupReport>,
    [negative, positive]: [&str; 2],
) -> Option<Section> {
    let report = groups?;
    let mut section = Section::new("Groups of people");
    section.words.push(format!(
        "At the threshold for all, {}. MXOG is the rate of the worst group over the geometric mean of all, GINI is 0 \
         where all are alike and 1 where one group has all errors.",
        similarity(report.threshold)
    ));
    if report.people_without > 0 {
        section.words.push(format!(
            "{} of no known group left out.",
            output::count(report.people_without, "person is", "people are")
        ));
    }
    for (name, differential) in [
        (negative, &report.false_negative),
        (positive, &report.false_positive),
    ] {
        section
            .words
            .extend(differential.as_ref().map(|it| told_differential(name, it)));
    }
    let share = |rate: &Rate| format!("{} of {} = {}", rate.count, rate.total, percent(rate.rate));
    let mut table = Table::new(&["group", "people", negative, "95 %", positive, "95 % "]);
    table.rows = report
        .groups
        .iter()
        .map(|group| {
            vec![
                group.name.clone(),
                group.people.to_string(),
                share(&group.false_negative),
                range(group.false_negative.low, group.false_negative.high),
                share(&group.false_positive),
                range(group.false_positive.low, group.false_positive.high),
            ]
        })
        .collect();
    section.table = Some(table);
    Some(section)
}

fn told_differential(name: &str, differential: &Differential) -> String {
    let Differential { mxog, gini, worst } = differential;
    let Some(gini) = gini else {
        return format!("{name}: no group has an error.");
    };
    let mxog = match mxog {
        Some(mxog) => format!("{mxog:.2}"),
        None => "not to be told, since a group has no error".to_owned(),
    };
    format!("{name}: MXOG {mxog}, GINI {gini:.2}; worst for {worst}.")
}

fn people_sections(
    about: &About,
    people: &[WorstPerson],
    pairs: &[TakenFor],
    judged_at: Option<f64>,
) -> Vec<Section> {
    let at = judged_at.map_or("at any threshold".to_owned(), |threshold| {
        format!("at threshold {}", similarity(threshold))
    });
    let mut missed = Section::new("People who are least like themselves");
    missed.words.push(format!("Missed {at}."));
    let mut table = Table::new(&["person", "missed", "of", "lowest similarity", "sample"]);
    table.rows = people
        .iter()
        .map(|it| {
            vec![
                about.who(it.class),
                it.missed.to_string(),
                it.searches.to_string(),
                similarity(it.similarity_min),
                it.probe.clone(),
            ]
        })
        .collect();
    missed.table = Some(table);
    let mut alike = Section::new("People who are most like somebody else");
    alike.words.push(format!(
        "Somebody enrolled twice looks like this, too. Taken for the other {at}."
    ));
    let mut table = Table::new(&["person", "is like", "similarity", "taken for", "sample"]);
    table.rows = pairs
        .iter()
        .map(|it| {
            vec![
                about.who(it.class),
                about.who(it.other),
                similarity(it.similarity),
                it.reached.to_string(),
                it.probe.clone(),
            ]
        })
        .collect();
    alike.table = Some(table);
    vec![missed, alike]
}

fn told_estimate(estimate: &Estimate) -> String {
    format!(
        "{} of {} = {}, {} with 95 % confidence",
        estimate.count,
        estimate.total,
        percent(estimate.rate),
        range(estimate.low, estimate.high)
    )
}

fn told_share(estimate: &Estimate) -> String {
    format!(
        "{} of {} = {}",
        estimate.count,
        estimate.total,
        percent(estimate.rate)
    )
}

fn told_people(estimate: &Estimate) -> String {
    let ends = estimate.people_low.zip(estimate.people_high);
    ends.map(|(low, high)| range(low, high)).unwrap_or_default()
}

fn range(low: f64, high: f64) -> String {
    format!("{} to {}", percent(low), percent(high))
}

/// A share with as many digits as say something.
fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    match percent {
        0.0 => "0 %".to_owned(),
        100.0 => "100 %".to_owned(),
        _ if percent > 99.9 => format!("{percent:.4} %"),
        _ if percent < 0.01 => format!("{percent:.4} %"),
        _ if !(10.0..=90.0).contains(&percent) => format!("{percent:.2} %"),
        _ => format!("{percent:.1} %"),
    }
}

/// A similarity for people. One just above a score stands above it, and above 1 nobody is.
fn similarity(similarity: f64) -> String {
    if similarity > 1.0 {
        return "above 1".to_owned();
    }
    format!("{similarity:.4}")
}
