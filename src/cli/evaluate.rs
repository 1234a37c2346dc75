//! `vultus evaluate`

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Serialize;

use super::args::Evaluate;
use super::exit::Exit;
use super::pictures::{self, PictureError};
use super::{open, output, parallel};
use crate::config::Settings;
use crate::eval::{self, LivenessReport, Outcome, Presentation, Rate, Truth};
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
}

#[derive(Serialize)]
struct Section {
    threshold: f64,
    #[serde(flatten)]
    report: LivenessReport,
}

pub(super) fn run(verb: &Evaluate, settings: &Settings) -> anyhow::Result<Exit> {
    let Evaluate::Liveness(verb) = verb;
    let shown = shown_in(&verb.folders)?;
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
    };
    if let Some(path) = &verb.plot {
        let drawn = reports
            .several_pictures
            .as_ref()
            .or(reports.one_picture.as_ref());
        let drawn = drawn.context("there is nothing to plot")?;
        eval::plot(&drawn.report, drawn.threshold, path)
            .map_err(|reason| anyhow::anyhow!("cannot plot into `{}`: {reason}", path.display()))?;
    }
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
    Ok(Exit::Success)
}

/// What the folders present.
fn shown_in(folders: &[PathBuf]) -> anyhow::Result<Vec<Shown>> {
    let mut shown = Vec::new();
    for folder in folders {
        let before = shown.len();
        let live = folder.join("live");
        if live.is_dir() {
            add(&live, &Truth::Live, &mut shown)?;
        }
        let attacks = folder.join("attack");
        if attacks.is_dir() {
            for kind in pictures::entries(&attacks)?
                .into_iter()
                .filter(|p| p.is_dir())
            {
                add(&kind, &Truth::Attack(name_of(&kind)), &mut shown)?;
            }
        }
        if shown.len() == before {
            bail!(
                "`{}` presents nothing: pictures, or folders of pictures, are expected in `live` and in \
                 `attack/KIND`",
                folder.display()
            );
        }
    }
    Ok(shown)
}

fn add(folder: &Path, truth: &Truth, shown: &mut Vec<Shown>) -> anyhow::Result<()> {
    for entry in pictures::entries(folder)? {
        let pictures = if entry.is_dir() {
            let inside = pictures::entries(&entry)?;
            let inside: Vec<PathBuf> = inside
                .into_iter()
                .filter(|path| pictures::is_picture(path))
                .collect();
            if inside.len() < 2 {
                bail!(
                    "`{}` holds {} pictures: a folder presents two or more together",
                    entry.display(),
                    inside.len()
                );
            }
            inside
        } else if pictures::is_picture(&entry) {
            vec![entry.clone()]
        } else {
            continue;
        };
        shown.push(Shown {
            name: entry.display().to_string(),
            truth: truth.clone(),
            pictures,
        });
    }
    Ok(())
}

fn name_of(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
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
    if let Some(equal) = report.equal {
        output::line(format!(
            "both errors are equal (D-EER) at threshold {:.3}: {}",
            equal.threshold,
            percent(equal.rate)
        ))?;
    }
    Ok(())
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

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
        let shown = shown_in(&[directory.path().to_owned()]).unwrap();
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
        fs::remove_file(directory.path().join("live/ben/2.png")).unwrap();
        assert!(shown_in(&[directory.path().to_owned()]).is_err());
    }
}
