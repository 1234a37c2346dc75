//! Whom do pictures show?

use std::path::{Path, PathBuf};

use anyhow::bail;

use super::annotate::Annotating;
use super::answer::{Answer, Decided, Person, Printing};
use super::groups::{self, Answered, AnsweredFace};
use super::{Known, among, bar, options};
use crate::cli::args::Identify;
use crate::cli::exit::Exit;
use crate::cli::open;
use crate::cli::output::{self, PathName, PathNames};
use crate::cli::pictures::{self, Found, PictureError};
use crate::cli::{parallel, watch};
use crate::code::Probe;
use crate::config::Settings;
use crate::engine::{Engine, Gallery, IdentifyOptions};
use crate::face::{FoundFace, ScoreMap};
use crate::intake::{Crowd, Intake, Judge};

/// The exit code says whether anybody was found and every picture was answered.
pub(super) fn run(verb: &Identify, settings: &Settings, engine: &Engine) -> anyhow::Result<Exit> {
    if verb.watch {
        return watch_folders(verb, settings);
    }
    let Found { pictures, passed } = pictures::find(&verb.paths)?;
    let annotating = Annotating::of(verb, &pictures)?;
    let intake = open::intake(settings)?;
    let mut asking = Asking::new(verb, settings, engine, &intake)?;
    asking.annotating = annotating;
    let answered = if verb.fuse {
        asking.identify_fused(&pictures, settings.threads)?
    } else {
        asking.identify_each(&pictures, settings.threads)?
    };
    if verb.json && !passed.is_empty() {
        output::json_line(&serde_json::json!({ "passed_over": passed }))?;
    }
    passed.print();
    Ok(if answered && !passed.is_missed() {
        Exit::Success
    } else {
        Exit::No
    })
}

/// Answers for each picture that comes, among those who are enrolled then, until the process ends.
fn watch_folders(verb: &Identify, settings: &Settings) -> anyhow::Result<Exit> {
    pictures::find_any(&verb.paths)?;
    let intake = open::intake(settings)?;
    output::say!("watching for pictures; Ctrl-C ends it");
    let mut passed_before = Vec::new();
    let list = || {
        let Found { pictures, passed } = pictures::find_any(&verb.paths)?;
        passed.print_new(&mut passed_before);
        Ok(pictures)
    };
    let each = |new: &[PathBuf]| {
        let engine = open::reading_engine(settings)?;
        let asking = Asking::new(verb, settings, &engine, &intake)?;
        asking.identify_each(new, settings.threads)?;
        Ok(())
    };
    Err(watch::watch(list, each))
}

/// Questions about pictures.
struct Asking<'a> {
    gallery: Gallery,
    intake: &'a Intake,
    options: IdentifyOptions,
    annotating: Option<Annotating>,
    verb: &'a Identify,
    /// How similarities become scores, where that is known.
    scores: Option<ScoreMap>,
    /// Who decides of those who are found, whoever is listed.
    judge: Judge,
}

impl<'a> Asking<'a> {
    fn new(
        verb: &'a Identify,
        settings: &Settings,
        engine: &Engine,
        intake: &'a Intake,
    ) -> anyhow::Result<Asking<'a>> {
        let gallery = open::gallery_of(engine, &verb.partition, intake.encoder())?;
        let gallery = among(verb, &gallery)?;
        let known = Known::of(engine, &gallery, settings, bar(verb))?;
        let options = options(verb, &known);
        Ok(Asking {
            gallery,
            intake,
            options,
            annotating: None,
            verb,
            scores: known.scores,
            judge: known.judge,
        })
    }

    fn printing(&self) -> Printing<'_> {
        Printing {
            verb: self.verb,
            gallery: &self.gallery,
            judge: &self.judge,
            scores: self.scores,
            has_threshold: self.options.threshold.is_some(),
        }
    }

    /// Asks once for all pictures. Returns whether anybody was found.
    fn identify_fused(&self, paths: &[PathBuf], threads: usize) -> anyhow::Result<bool> {
        let found = pictures::only_faces(self.intake, threads, paths);
        let mut samples = Vec::new();
        for (path, face) in paths.iter().zip(&found) {
            match face {
                Ok(face) => samples.push(&face.embedding),
                Err(refusal) => bail!("`{}`: {refusal}", path.display()),
            }
        }
        let identified = self.gallery.identify(&samples, &self.options)?;
        let name = output::count(paths.len(), "picture", "pictures");
        self.printing().print(&name, &identified, |answer| {
            answer.pictures = Some(PathNames::new("pictures", paths));
        })?;
        Ok(!identified.matches.is_empty())
    }

    /// Asks for each picture. Returns whether anybody was found and none was refused.
    fn identify_each(&self, paths: &[PathBuf], threads: usize) -> anyhow::Result<bool> {
        let bar = output::progress(paths.len(), "reading pictures");
        let numbered: Vec<(usize, &PathBuf)> = paths.iter().enumerate().collect();
        let answered = parallel::map(&numbered, threads, |(at, path)| {
            let answered = self.identify_picture(*at, path);
            bar.inc(1);
            answered
        });
        bar.finish_and_clear();
        let answered: Vec<_> = answered.into_iter().collect::<anyhow::Result<_>>()?;
        let is_found = |one: &Result<Answered, PictureError>| {
            one.as_ref().is_ok_and(|answered| {
                let mut faces = answered.faces.iter();
                faces.any(|face| !face.people.is_empty())
            })
        };
        let somebody = answered.iter().any(is_found);
        let refused = answered.iter().any(Result::is_err);
        self.print(paths, &answered)?;
        Ok(somebody && !refused)
    }

    /// Asks for everybody in a picture at once, and draws the answer if that is wanted.
    fn identify_picture(
        &self,
        at: usize,
        path: &Path,
    ) -> anyhow::Result<Result<Answered, PictureError>> {
        let crowd = match pictures::crowd(self.intake, path, self.verb.faces) {
            Ok(crowd) => crowd,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let answered = self.answer(&crowd)?;
        if let Some(annotating) = &self.annotating {
            annotating.draw(at, &crowd.picture, &answered)?;
        }
        Ok(Ok(answered))
    }

    fn answer(&self, crowd: &Crowd) -> anyhow::Result<Answered> {
        let faces = &crowd.everybody.faces;
        let probes = faces.iter().filter_map(|face| face.embedding.as_ref());
        let probes: Vec<Probe> = probes.map(Probe::new).collect();
        let queries: Vec<_> = probes.iter().map(|one| self.options.query(one)).collect();
        let found = match queries.is_empty() {
            true => Vec::new(),
            false => self.gallery.identify_many(&queries)?,
        };
        let mut found = found.into_iter();
        let face = |face: &FoundFace| -> anyhow::Result<AnsweredFace> {
            let identification = face.embedding.as_ref().and_then(|_| found.next());
            let matches = identification.as_ref().map_or(&[][..], |it| &it.matches);
            let printing = self.printing();
            Ok(AnsweredFace {
                bounds: face.bounds,
                quality: face.quality,
                warnings: face.warnings.clone(),
                people: Person::all(&self.gallery, printing.listed(matches))?,
                decided: identification
                    .as_ref()
                    .map_or_else(Decided::default, |_| printing.decide(matches)),
                identification,
            })
        };
        Ok(Answered {
            width: crowd.picture.width(),
            height: crowd.picture.height(),
            faces: faces.iter().map(face).collect::<anyhow::Result<_>>()?,
            left_out: crowd.everybody.left_out,
        })
    }

    fn print(
        &self,
        paths: &[PathBuf],
        answered: &[Result<Answered, PictureError>],
    ) -> anyhow::Result<()> {
        let verb = self.verb;
        for (path, one) in paths.iter().zip(answered) {
            match one {
                Ok(answered) if verb.json => {
                    groups::print_json(self.printing(), path, answered)?;
                }
                Ok(answered) if verb.explain => groups::explain(path, answered),
                Ok(_) => {}
                Err(refusal) if verb.json => output::json_line(&Answer {
                    picture: Some(PathName::new("picture", path)),
                    error: Some(refusal.to_string()),
                    ..Answer::default()
                })?,
                Err(refusal) => output::tell!("refused `{}`: {refusal}", path.display()),
            }
        }
        if verb.json {
            return Ok(());
        }
        if verb.watch {
            return groups::print_lines(self.printing(), paths, answered);
        }
        if let ([path], [Ok(one)]) = (paths, answered)
            && let [only] = &one.faces[..]
            && only.identification.is_some()
        {
            let title = path.display().to_string();
            return self
                .printing()
                .print_table(&title, &only.people, only.decided);
        }
        groups::print_table(self.printing(), paths, answered)
    }
}
