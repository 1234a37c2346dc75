//! `vultus evaluate liveness`

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Serialize;

use crate::cli::args::EvaluateLiveness;
use crate::cli::exit::Exit;
use crate::cli::pictures::{self, Passed, PictureError, Walk, Why};
use crate::cli::{open, output, parallel};
use crate::config::Settings;
use crate::eval::{self, AttackKind, Curve, LivenessReport, Outcome, Presentation, Rate, Truth};
use crate::liveness::Observation;

/// What is shown: its truth, and its pictures.
struct Shown {
    name: String,
    truth: Truth,
    pictures: Vec<PathBuf>,
}

/// The reports of both ways to present.
#[derive(Serialize)]
struct Reports {
    #[serde(skip_serializing_if = "Option::is_none")]
    one_picture: Option<Section>,
    #[serde(skip_serializing_if = "Option::is_none")]
    several_pictures: Option<Section>,
    #[serde(skip_serializing_if = "Passed::is_empty")]
    passed_over: Passed,
}

#[derive(Serialize)]
struct Section {
    threshold: f64,
    #[serde(flatten)]
    report: LivenessReport,
}

pub(super) fn run(verb: &EvaluateLiveness, settings: &Settings) -> anyhow::Result<Exit> {
    let (shown, passed) = shown_in(&verb.folders)?;
    let decided = decide(&shown, settings)?;
    if let Some(path) = &verb.details {
        write_details(&decided, path)?;
    }
    let (alone, several): (Vec<_>, Vec<_>) = shown
        .iter()
        .zip(decided)
        .partition(|(shown, _)| shown.pictures.len() == 1);
    let section = |part: Vec<(&Shown, Presentation)>, threshold| {
        let part: Vec<Presentation> = part.into_iter().map(|(_, p)| p).collect();
        (!part.is_empty()).then(|| Section {
            threshold,
            report: LivenessReport::of(&part),
        })
    };
    let reports = Reports {
        one_picture: section(alone, settings.service.liveness.passive_score_min),
        several_pictures: section(several, settings.service.liveness.active_score_min),
        passed_over: passed,
    };
    if verb.json {
        output::json_line(&reports)?;
    } else {
        let alone = reports
            .one_picture
            .iter()
            .map(|s| ("One picture, by its texture", s));
        let several = reports.several_pictures.iter();
        let several = several.map(|s| ("Several pictures, with the motion between them", s));
        for (title, section) in alone.chain(several) {
            print(title, section)?;
        }
    }
    reports.passed_over.print();
    // Last, so that a wrong place for it costs no answer.
    if let Some(path) = &verb.plot {
        let drawn = reports
            .several_pictures
            .as_ref()
            .or(reports.one_picture.as_ref());
        let drawn = drawn.context("there is nothing to plot")?;
        eval::plot(&drawn.report, drawn.threshold, path)
            .with_context(|| format!("cannot plot into `{}`", path.display()))?;
    }
    Ok(if reports.passed_over.is_missed() {
        Exit::No
    } else {
        Exit::Success
    })
}

/// What the folders present, and what was passed over.
fn shown_in(folders: &[PathBuf]) -> anyhow::Result<(Vec<Shown>, Passed)> {
    let mut walk = Walk::new();
    let mut shown = Vec::new();
    for folder in folders {
        if walk.take(folder, None).is_err() {
            continue;
        }
        let before = shown.len();
        let listing = walk.list(folder);
        for picture in listing.pictures {
            walk.pass(Why::Loose, &picture);
        }
        for inside in listing.folders {
            if walk.take(&inside, None).is_err() {
                continue;
            }
            match &*name_of(&inside) {
                "live" => add(&inside, &Truth::Live, &mut walk, &mut shown),
                "attack" => add_attacks(&inside, &mut walk, &mut shown),
                _ => walk.pass(Why::Deeper, &inside),
            }
        }
        if shown.len() == before {
            let passed = walk.passed().lines();
            bail!(
                "`{}` presents nothing: pictures, or folders of pictures, are expected in `live` and in \
                 `attack/KIND`\n{}",
                folder.display(),
                passed.join("\n")
            );
        }
    }
    Ok((shown, walk.passed()))
}

fn add_attacks(folder: &Path, walk: &mut Walk, shown: &mut Vec<Shown>) {
    let listing = walk.list(folder);
    for picture in listing.pictures {
        walk.pass(Why::Loose, &picture);
    }
    for kind in listing.folders {
        if walk.take(&kind, None).is_ok() {
            add(&kind, &Truth::Attack(name_of(&kind)), walk, shown);
        }
    }
}

fn add(folder: &Path, truth: &Truth, walk: &mut Walk, shown: &mut Vec<Shown>) {
    let listing = walk.list(folder);
    let alone = listing.pictures.into_iter();
    let mut presented: Vec<(PathBuf, Vec<PathBuf>)> =
        alone.map(|path| (path.clone(), vec![path])).collect();
    for folder in listing.folders {
        if walk.take(&folder, None).is_err() {
            continue;
        }
        let inside = walk.list(&folder);
        for deeper in inside.folders {
            walk.pass(Why::Deeper, &deeper);
        }
        if inside.pictures.len() < 2 {
            walk.pass(Why::TooFew, &folder);
        } else {
            presented.push((folder, inside.pictures));
        }
    }
    let presented = presented.into_iter().map(|(path, pictures)| Shown {
        name: path.display().to_string(),
        truth: truth.clone(),
        pictures,
    });
    shown.extend(presented);
}

fn name_of(path: &Path) -> String {
    pictures::composed(path.file_name().unwrap_or_default())
}

/// Decides about each as the service would.
fn decide(shown: &[Shown], settings: &Settings) -> anyhow::Result<Vec<Presentation>> {
    let intake = open::live_intake(settings)?;
    let bar = output::progress(shown.len(), "looking at presentations");
    let decide = |shown: &Shown| {
        let seen: Result<Vec<Observation>, PictureError> = shown
            .pictures
            .iter()
            .map(|path| Ok(intake.observe(&pictures::look(&intake, path)?)?))
            .collect();
        bar.inc(1);
        let outcome = match seen {
            Err(refusal) => Outcome::NoResponse(refusal.to_string()),
            Ok(seen) => Outcome::Decided(match seen.as_slice() {
                [alone] => intake.passive(alone),
                several => intake.active(&several.iter().collect::<Vec<_>>()),
            }),
        };
        Presentation {
            name: shown.name.clone(),
            truth: shown.truth.clone(),
            outcome,
        }
    };
    let decided = parallel::map(shown, settings.threads, decide);
    bar.finish_and_clear();
    Ok(decided)
}

fn write_details(decided: &[Presentation], path: &Path) -> anyhow::Result<()> {
    let write = || {
        let mut file = BufWriter::new(File::create(path)?);
        for presentation in decided {
            serde_json::to_writer(&mut file, presentation)?;
            file.write_all(b"\n")?;
        }
        file.flush()
    };
    write().with_context(|| format!("cannot write `{}`", path.display()))
}

fn print(title: &str, section: &Section) -> anyhow::Result<()> {
    let Section { threshold, report } = section;
    let mut table = output::table(&[
        "shown",
        "decided",
        "wrong",
        "95 % confidence",
        "no answer",
        "refused for",
    ]);
    let mut row = |name: String, wrong: &Rate, silent: &Rate, refused: &BTreeMap<String, usize>| {
        let refused: Vec<String> = refused
            .iter()
            .map(|(why, n)| format!("{why} {n}"))
            .collect();
        table.add_row([
            name,
            wrong.total.to_string(),
            format!("{} = {}", wrong.count, percent(wrong.rate)),
            format!("{} to {}", percent(wrong.low), percent(wrong.high)),
            format!("{} = {}", silent.count, percent(silent.rate)),
            refused.join(", "),
        ]);
    };
    row(
        "live (BPCER)".to_owned(),
        &report.bpcer,
        &report.bpnrr,
        &report.live_refused,
    );
    for attack in &report.attacks {
        row(
            format!("{} (APCER)", attack.kind),
            &attack.apcer,
            &attack.apnrr,
            &attack.refused,
        );
    }
    output::line(format!("{title}; threshold {threshold}"))?;
    output::line(table.to_string())?;
    if let Some(apcer) = report.apcer_max {
        output::line(format!("largest APCER: {}", percent(apcer)))?;
    }
    output::line(equal_errors(report))?;
    Ok(())
}

/// Where both errors are equal, if anywhere.
fn equal_errors(report: &LivenessReport) -> String {
    let is_decided = |kind: &AttackKind| kind.apcer.total > 0;
    if report.bpcer.total == 0 || !report.attacks.iter().any(is_decided) {
        return "there is no D-EER without decisions about live people and about attacks"
            .to_owned();
    }
    let Some(equal) = report.equal else {
        return "both errors are equal (D-EER) at no threshold: one of them is greater at every one"
            .to_owned();
    };
    let place = if equal.to - equal.from > Curve::STEP {
        format!("from threshold {:.3} to {:.3}", equal.from, equal.to)
    } else {
        format!("at threshold {:.3}", equal.threshold)
    };
    format!(
        "both errors are equal (D-EER) {place}: {}",
        percent(equal.rate)
    )
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::liveness::{Decision, Parts};

    #[test]
    fn folders_say_what_is_shown() {
        let directory = tempfile::tempdir().unwrap();
        for name in [
            "live/anna.png",
            "live/notes.txt",
            "live/ben/2.png",
            "live/ben/10.png",
            "attack/print/anna.jpg",
        ] {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let (shown, passed) = shown_in(&[directory.path().to_owned()]).unwrap();
        assert!(!passed.is_missed(), "notes are no pictures");
        let mut found: Vec<_> = shown
            .iter()
            .map(|shown| {
                (
                    shown.truth.clone(),
                    shown
                        .pictures
                        .iter()
                        .map(|p| name_of(p))
                        .collect::<Vec<_>>(),
                )
            })
            .collect();
        found.sort();
        let print = Truth::Attack("print".to_owned());
        assert_eq!(
            found,
            [
                (Truth::Live, vec!["2.png".to_owned(), "10.png".to_owned()]),
                (Truth::Live, vec!["anna.png".to_owned()]),
                (print, vec!["anna.jpg".to_owned()]),
            ]
        );
        let empty = [directory.path().join("live")];
        assert!(shown_in(&empty).is_err());
        for name in [
            "live/carl/1.png",
            "live/ben/deep/1.png",
            "attack/loose.png",
            "live/d.heic",
        ] {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let (shown, passed) = shown_in(&[directory.path().to_owned()]).unwrap();
        assert_eq!(shown.len(), 3, "the others are not stopped");
        let said = passed.lines().join("\n");
        for name in ["live/carl", "ben/deep", "loose.png", "d.heic"] {
            assert!(said.contains(name), "{name}: {said}");
        }
    }

    #[test]
    fn kinds_that_look_alike_are_one() {
        let [composed, marked] = ["print\u{e9}", "printe\u{301}"].map(|kind| {
            let directory = tempfile::tempdir().unwrap();
            let folder = directory.path().join("attack").join(kind);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("a.png"), "").unwrap();
            directory
        });
        let folders = [composed.path().to_owned(), marked.path().to_owned()];
        let (shown, _) = shown_in(&folders).unwrap();
        assert_eq!(shown.len(), 2);
        assert_eq!(shown[0].truth, shown[1].truth);
    }

    #[test]
    fn where_errors_are_equal_is_a_threshold_a_range_or_nowhere() {
        let decided = |truth: Truth, score: f64| Presentation {
            name: String::new(),
            truth,
            outcome: Outcome::Decided(Decision {
                live: score >= 0.5,
                failure: None,
                parts: Parts {
                    score: Some(score),
                    ..Parts::default()
                },
            }),
        };
        let print = || Truth::Attack("print".to_owned());
        let said = |live: &[f64], attacks: &[f64]| {
            let live = live.iter().map(|&score| decided(Truth::Live, score));
            let attacks = attacks.iter().map(|&score| decided(print(), score));
            equal_errors(&LivenessReport::of(
                &live.chain(attacks).collect::<Vec<_>>(),
            ))
        };
        for (live, attacks, words) in [
            // One attack, which no threshold lets pass.
            (
                &[0.9, 0.8][..],
                &[0.0][..],
                "from threshold 0.000 to 0.800: 0.0 %",
            ),
            (&[0.9, 0.8], &[0.2], "from threshold 0.202 to 0.800: 0.0 %"),
            (&[0.501, 0.9], &[0.1, 0.503], "at threshold 0.502: 50.0 %"),
            (&[0.0, 0.9], &[0.0], "at no threshold"),
            (&[1.0], &[1.0], "at no threshold"),
            (&[0.9], &[], "there is no D-EER without"),
            (&[], &[0.9], "there is no D-EER without"),
            (&[], &[], "there is no D-EER without"),
        ] {
            let said = said(live, attacks);
            assert!(said.contains(words), "{live:?} {attacks:?}: {said}");
        }
    }
}
