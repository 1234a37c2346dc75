//! The side of the command.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, anyhow, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use indicatif::ProgressBar;
use serde::de::DeserializeOwned;

use super::wire::{
    self, Ask, ChooseClasses, Enroll, EnrolledClass, ExistingImport, Import, ImportedItems,
    KeepCalibration, Kind, Run, Template,
};
use super::{pieces, socket};
use crate::cli::away::HowFar;
use crate::cli::enrolled_already::Asked;
use crate::cli::exit::Exit;
use crate::cli::{audit, log, open, output};
use crate::config::Settings;
use crate::engine::{Engine, ImportOptions, Imported};
use crate::exchange::{Existing, Job, Piece, RefusedFile, RefusedItem, Source};
use crate::partition::{Enrolled, NewTemplate};
use crate::rates::Calibration;
use crate::types::{ClassId, EncoderId, PartitionId, PersonName};

/// Who has a data directory open to change it.
pub(in crate::cli) enum Holder {
    /// This process.
    Own(Box<Engine>),
    /// A service, which does what it is asked.
    Service(Remote),
}

/// A service that runs in another process.
#[derive(Debug)]
pub(in crate::cli) struct Remote {
    data: PathBuf,
}

/// Opens the data directory with `open_own`, and accounts for the command where there is a log, or connects to
/// the service that has it, which does that itself.
///
/// # Errors
///
/// If another process has it that is no service, the service is that of another user, the log cannot be
/// written, or as `open_own`.
pub(in crate::cli) fn holder(
    settings: &Settings,
    open_own: impl Fn(&Settings) -> anyhow::Result<Engine>,
) -> anyhow::Result<Holder> {
    let mut tries = 0;
    loop {
        tries += 1;
        if let Some(service) = service(settings)? {
            return Ok(Holder::Service(service));
        }
        match open_own(settings) {
            Ok(engine) => {
                audit::commanded(&engine)?;
                return Ok(Holder::Own(Box::new(engine)));
            }
            // A service that is starting, or another command that is soon done.
            Err(error) if open::is_locked(&error) && tries < open::TRIES => {
                thread::sleep(open::TRY_AGAIN);
            }
            Err(error) => return Err(error),
        }
    }
}

/// The service that has the data directory, if one has it.
///
/// # Errors
///
/// If it is that of another user.
pub(in crate::cli) fn service(settings: &Settings) -> anyhow::Result<Option<Remote>> {
    let data = settings.data_dir.clone();
    let found = socket::connect(&data)?;
    Ok(found.map(|_stream| Remote { data }))
}

impl Remote {
    /// Has the service do what this process was started to do. Prints what it says, and returns how
    /// it ended. `input` is what the verb reads from stdin.
    ///
    /// # Errors
    ///
    /// If it cannot be done, or the service does not say whether it is done.
    pub(in crate::cli) fn run(&self, input: Option<String>) -> anyhow::Result<Exit> {
        let text = |argument: OsString| {
            let argument = argument.into_string();
            argument.map_err(|it| anyhow!("`{}` is no text", it.display()))
        };
        // The service knows where its data directory is, by whatever name it was typed.
        let arguments = without_data_dir(std::env::args_os().skip(1));
        let arguments: Result<Vec<String>, _> = arguments.into_iter().map(text).collect();
        let directory = std::env::current_dir().context("asking where this is")?;
        let ask = Ask::Run(Run {
            arguments: arguments?,
            directory: directory.to_string_lossy().into_owned(),
            input,
        });
        match self.ask(&ask)? {
            (Kind::Exit, code) => match code[..] {
                [0] => Ok(Exit::Success),
                [1] => Ok(Exit::No),
                _ => Ok(Exit::Error),
            },
            (_, text) => bail!("{}", String::from_utf8_lossy(&text)),
        }
    }

    /// Has the service enrol a class, or somebody new of a name: [`Engine::enroll_person`]. Returns the
    /// class, too.
    ///
    /// # Errors
    ///
    /// As there, or if the service does not say whether it is done.
    pub(in crate::cli) fn enroll(
        &self,
        (partition, class, name): (&PartitionId, Option<ClassId>, Option<&PersonName>),
        encoder: &EncoderId,
        templates: &[NewTemplate],
        replace: bool,
    ) -> anyhow::Result<(ClassId, Enrolled)> {
        let template = |new: &NewTemplate| Template {
            value_bits: new
                .embedding
                .values()
                .iter()
                .map(|it| it.to_bits())
                .collect(),
            quality_bits: new.quality.to_bits(),
            portrait: new
                .portrait
                .as_ref()
                .map(|portrait| BASE64_STANDARD.encode(portrait.jpeg())),
        };
        let enrolled: EnrolledClass = self.answer(&Ask::Enroll(Enroll {
            partition: partition.to_string(),
            class: class.map(|class| class.0),
            name: name.map(|name| name.as_str().to_owned()),
            encoder: encoder.clone(),
            replace,
            templates: templates.iter().map(template).collect(),
        }))?;
        let class = ClassId(enrolled.class);
        let enrolled = Enrolled {
            added: enrolled.added,
            known: enrolled.known,
            removed: enrolled.removed,
            templates: enrolled.templates,
        };
        Ok((class, enrolled))
    }

    /// Has the service import what this process reads: [`Engine::import`], with the same meaning of
    /// `options`, but that `duplicates` says what is done about those. `progress` is told the position in the source after each piece.
    ///
    /// # Errors
    ///
    /// As there, or if the service does not say whether it is done: what is durable is whole pieces.
    pub(in crate::cli) fn import(
        &self,
        partition: &PartitionId,
        encoder: &EncoderId,
        source: &mut dyn Source,
        (options, duplicates): (ImportOptions<'_>, Option<&Asked>),
        mut progress: impl FnMut(u64),
    ) -> anyhow::Result<Imported> {
        let text = |path: &Path| -> anyhow::Result<String> {
            let path = std::path::absolute(path).context("asking where this is")?;
            let path = path.canonicalize().unwrap_or(path).into_os_string();
            let path = path.into_string();
            path.map_err(|path| anyhow!("`{}` is no text", path.display()))
        };
        let facts = source.describe(Job::new());
        let facts = facts
            .facts()
            .map(|(name, value)| (name.into(), value.into()));
        let ask = Ask::Import(Import {
            partition: partition.to_string(),
            encoder: encoder.clone(),
            name: text(source.name())?,
            dimension: source.dimension(),
            items_per_commit: source.items_per_commit(),
            facts: facts.collect(),
            existing: match options.existing {
                Existing::Refuse => ExistingImport::Refuse,
                Existing::Resume => ExistingImport::Resume,
                Existing::Overwrite => ExistingImport::Overwrite,
            },
            report: options.refused.map(text).transpose()?,
            duplicates: duplicates.copied(),
        });
        let (mut report, mut items) = (None, 0);
        let mut last = None::<(u64, Box<dyn Piece>)>;
        let end = self.converse(&ask, |kind, bytes| {
            match (kind, options.refused) {
                (Kind::Report, Some(path)) => {
                    let begun = serde_json::from_slice(bytes);
                    let begun = begun.context("reading what the service asks")?;
                    report = Some(RefusedFile::open(path, begun)?);
                    return Ok(Vec::new());
                }
                (Kind::Refused, _) => {
                    let mut refusals: Vec<RefusedItem> =
                        serde_json::from_slice(bytes).context("reading what the service tells")?;
                    if let Some((first, piece)) = &last {
                        locate(&mut refusals, *first, &**piece);
                    }
                    source.contradicted(&refusals)?;
                    if let Some(report) = &mut report {
                        report.append(&refusals)?;
                    }
                    return Ok(Vec::new());
                }
                (Kind::Skip, _) => {
                    let count = bytes.try_into().map(u64::from_le_bytes);
                    items = count.context("reading what the service asks")?;
                    source.skip(items)?;
                    return Ok(Vec::new());
                }
                _ => {}
            }
            let piece = source.next_piece()?;
            progress(source.position());
            let (bytes, refusals) = pieces::encode(piece.as_deref(), items)?;
            let first = items;
            items += piece.as_ref().map_or(0, |piece| piece.items() as u64);
            last = piece.map(|piece| (first, piece));
            if let Some(report) = &mut report {
                // Before the service can say that it is certain what became of them.
                report.append(&refusals)?;
            }
            Ok(bytes)
        })?;
        let imported: ImportedItems = answer_of(end)?;
        Ok(Imported {
            items: imported.items,
            accepted: imported.accepted,
            known: imported.known,
            refused: imported.refused,
            duplicates: imported.duplicates,
            earlier: imported.earlier,
        })
    }

    /// Has the service choose classes for people who are to be imported: [`Engine::choose_classes`].
    ///
    /// # Errors
    ///
    /// As there, or if the service does not answer.
    pub(in crate::cli) fn choose_classes(
        &self,
        partition: &PartitionId,
        encoder: &EncoderId,
        count: usize,
    ) -> anyhow::Result<Vec<ClassId>> {
        let (partition, encoder) = (partition.to_string(), encoder.clone());
        let chosen: Vec<i64> = self.answer(&Ask::ChooseClasses(ChooseClasses {
            partition,
            encoder,
            count,
        }))?;
        Ok(chosen.into_iter().map(ClassId).collect())
    }

    /// Has the service leave each person of a partition the templates that an enrolment would.
    /// Returns how many gave way.
    ///
    /// # Errors
    ///
    /// If it cannot be done, or the service does not say whether it is done.
    pub(in crate::cli) fn keep_best(&self, partition: &PartitionId) -> anyhow::Result<usize> {
        self.answer(&Ask::KeepBest(partition.to_string()))
    }

    /// Has the service keep a calibration: [`Engine::keep_calibration`].
    ///
    /// # Errors
    ///
    /// As there, or if the service does not say whether it is done.
    pub(in crate::cli) fn keep_calibration(
        &self,
        partition: &PartitionId,
        calibration: &Calibration,
    ) -> anyhow::Result<()> {
        let calibration = String::from_utf8(calibration.to_bytes());
        self.answer(&Ask::KeepCalibration(KeepCalibration {
            partition: partition.to_string(),
            calibration: calibration.context("writing the calibration as text")?,
        }))
    }

    fn answer<T: DeserializeOwned>(&self, ask: &Ask) -> anyhow::Result<T> {
        answer_of(self.ask(ask)?)
    }

    fn ask(&self, ask: &Ask) -> anyhow::Result<(Kind, Vec<u8>)> {
        self.converse(ask, |_, _| bail!("the service asks for what there is not"))
    }

    /// Asks, prints what is to be printed, sends what `reply` answers to what the service asks for,
    /// and returns the last frame.
    fn converse(
        &self,
        ask: &Ask,
        mut reply: impl FnMut(Kind, &[u8]) -> anyhow::Result<Vec<u8>>,
    ) -> anyhow::Result<(Kind, Vec<u8>)> {
        let stream = socket::connect(&self.data)?;
        let mut stream =
            stream.context("the service ended before it was asked: nothing is done")?;
        // Where it takes nothing more, it says why before it goes, or it has ended: what comes next
        // tells.
        let _taken = wire::send(&mut stream, ask);
        let mut bar = HowFarBar::default();
        loop {
            match wire::next(&mut stream) {
                Ok(Some((Kind::Out, bytes))) => output::pass_on(&bytes)?,
                Ok(Some((Kind::Err, bytes))) => log::pass_on(&bytes),
                Ok(Some((Kind::HowFar, bytes))) => bar.show(&bytes),
                Ok(Some((
                    kind @ (Kind::Next | Kind::Skip | Kind::Report | Kind::Refused),
                    bytes,
                ))) => {
                    let _taken = stream.write_all(&reply(kind, &bytes)?);
                }
                Ok(Some(last)) => return Ok(last),
                Ok(None) => bail!(
                    "the service ended before it said whether this is done: start it, look \
                     whether it is, and give the command again if it is not"
                ),
                Err(error) => {
                    return Err(error).context(
                        "the service ended in the middle of its answer: start it, and look whether \
                         this is done",
                    );
                }
            }
        }
    }
}

/// A bar for work that a service does, once it tells of any; it goes with this.
#[derive(Default)]
struct HowFarBar(Option<ProgressBar>);

impl HowFarBar {
    /// Shows how far it is, if that can be read.
    fn show(&mut self, bytes: &[u8]) {
        let Ok(HowFar { what, done, total }) = serde_json::from_slice(bytes) else {
            return;
        };
        let bar = self.0.get_or_insert_with(|| output::byte_progress(""));
        bar.set_message(what);
        bar.set_length(total);
        bar.set_position(done);
    }
}

impl Drop for HowFarBar {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// What was typed, but for where the data directory is, which may be no text.
fn without_data_dir(mut typed: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut kept = Vec::new();
    while let Some(argument) = typed.next() {
        let bytes = argument.as_encoded_bytes();
        if bytes == b"--" {
            kept.push(argument);
            kept.extend(typed);
            return kept;
        }
        if bytes == b"--data-dir" {
            typed.next();
        } else if !bytes.starts_with(b"--data-dir=") {
            kept.push(argument);
        }
    }
    kept
}

/// Says of items where they can be found in the piece that they are of, as far as whoever refused them did not
/// know it.
fn locate(refusals: &mut [RefusedItem], first: u64, piece: &dyn Piece) {
    for RefusedItem { item, refused } in refusals {
        let at = item.checked_sub(first);
        let at = at.and_then(|at| usize::try_from(at).ok());
        if let Some(at) = at.filter(|at| *at < piece.items()) {
            *refused = piece.located(at, refused.clone());
        }
    }
}

fn answer_of<T: DeserializeOwned>((kind, bytes): (Kind, Vec<u8>)) -> anyhow::Result<T> {
    match kind {
        Kind::Answer => serde_json::from_slice(&bytes).context("reading what the service answered"),
        _ => bail!("{}", String::from_utf8_lossy(&bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_data_directory_is_stays_here() {
        let of = |typed: &[&str]| {
            let typed = typed.iter().map(OsString::from);
            let kept = without_data_dir(typed).into_iter();
            let kept: Vec<String> = kept.map(|it| it.into_string().unwrap()).collect();
            kept.join(" ")
        };
        assert_eq!(of(&["app", "list"]), "app list");
        assert_eq!(of(&["app", "--data-dir", "x", "list"]), "app list");
        assert_eq!(
            of(&["app", "list", "--data-dir=x", "--json"]),
            "app list --json"
        );
        assert_eq!(
            of(&["app", "--data-dirs=x", "--data-dir"]),
            "app --data-dirs=x"
        );
        let behind = ["people", "remove", "--", "--data-dir", "x"];
        assert_eq!(of(&behind), behind.join(" "));
    }
}
