//! Whom do pictures show?

use std::path::PathBuf;

use anyhow::bail;

use super::answer::{Answer, Printing};
use super::{Known, options};
use crate::cli::args::Identify;
use crate::cli::exit::Exit;
use crate::cli::open;
use crate::cli::output::{self, PathName, PathNames};
use crate::cli::pictures::{self, Found, PictureError};
use crate::config::Settings;
use crate::engine::{Engine, Gallery, IdentifyOptions};
use crate::face::Face;

/// The exit code says whether anybody was found and every picture was answered.
pub(super) fn run(verb: &Identify, settings: &Settings, engine: &Engine) -> anyhow::Result<Exit> {
    let Found { pictures, passed } = pictures::find(&verb.paths)?;
    let intake = open::intake(settings)?;
    let gallery = open::gallery_of(engine, &verb.partition, intake.encoder())?;
    let known = Known::of(intake.encoder(), &verb.partition, settings)?;
    let found = pictures::only_faces(&intake, settings.threads, &pictures);
    let options = options(verb, known.as_ref());
    let asking = Asking {
        gallery,
        options,
        printing: Printing {
            verb,
            scores: known.as_ref().map(|known| &known.scores),
            has_threshold: options.threshold.is_some(),
        },
    };
    let answered = if verb.fuse {
        asking.identify_fused(&pictures, &found)?
    } else {
        asking.identify_each(&pictures, &found)?
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

/// Questions about pictures.
struct Asking<'a> {
    gallery: Gallery,
    options: IdentifyOptions,
    printing: Printing<'a>,
}

impl Asking<'_> {
    /// Asks once for all pictures. Returns whether anybody was found.
    fn identify_fused(
        &self,
        paths: &[PathBuf],
        found: &[Result<Face, PictureError>],
    ) -> anyhow::Result<bool> {
        let mut samples = Vec::new();
        for (path, face) in paths.iter().zip(found) {
            match face {
                Ok(face) => samples.push(&face.embedding),
                Err(refusal) => bail!("`{}`: {refusal}", path.display()),
            }
        }
        let identified = self.gallery.identify(&samples, &self.options)?;
        let name = output::count(paths.len(), "picture", "pictures");
        self.printing.print(&name, &identified, |answer| {
            answer.pictures = Some(PathNames::new("pictures", paths));
            answer.threshold = self.options.threshold;
        })?;
        Ok(!identified.matches.is_empty())
    }

    /// Asks for each picture. Returns whether anybody was found and none was refused.
    fn identify_each(
        &self,
        paths: &[PathBuf],
        found: &[Result<Face, PictureError>],
    ) -> anyhow::Result<bool> {
        let (mut somebody, mut refused) = (false, false);
        for (path, face) in paths.iter().zip(found) {
            let picture = Some(PathName::new("picture", path));
            match face {
                Ok(face) => {
                    let identified = self.gallery.identify(&[&face.embedding], &self.options)?;
                    somebody |= !identified.matches.is_empty();
                    let name = path.display().to_string();
                    self.printing.print(&name, &identified, |answer| {
                        answer.picture = picture;
                        answer.threshold = self.options.threshold;
                    })?;
                }
                Err(refusal) => {
                    refused = true;
                    if self.printing.verb.json {
                        output::json_line(&Answer {
                            picture,
                            error: Some(refusal.to_string()),
                            ..Answer::default()
                        })?;
                    } else {
                        output::tell!("refused `{}`: {refusal}", path.display());
                    }
                }
            }
        }
        Ok(somebody && !refused)
    }
}
