//! The side of the service.
//!
//! Each command has a thread of its own, and works as fast as one that is alone: what it changes
//! goes through the same queue as all changes, in which those that wait together share one sync.
//! Only what rewrites whole galleries is slowed down, as it is where the service does it by itself.

use std::io::{self, BufReader};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use clap::FromArgMatches;
use serde::Serialize;

use super::context::Context;
use super::importing::Importing;
use super::pieces::Streamed;
use super::socket;
use super::wire::{
    self, Ask, Enroll, EnrolledClass, ExistingImport, Import, ImportedItems, KeepCalibration, Kind,
    Request, Run,
};
use crate::cli::args::{self, Arguments, Gallery, Key, People, Verb};
use crate::cli::away::{self, Away, Channel};
use crate::cli::exit::Exit;
use crate::cli::{app, gallery, key, people};
use crate::engine::ImportOptions;
use crate::exchange::Existing;
use crate::partition::{MaintenanceOptions, NewTemplate, Pace, Whom};
use crate::rates::Calibration;
use crate::types::{ClassId, Clock, Embedding, PartitionId, Portrait, RecordChange};

/// The most commands at a time. There are people behind them, or a script.
const COMMANDS_MAX: usize = 32;
/// How long a command may take to ask, and to read what it is told.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the command may take to read the next piece of an import: some are pictures.
const PIECE_PATIENCE: Duration = Duration::from_secs(600);

/// What commands ask of a service is done until this is dropped.
#[derive(Debug)]
pub(in crate::cli) struct Administration {
    shared: Arc<Shared>,
    listening: Option<JoinHandle<()>>,
    path: PathBuf,
    /// The socket at the path when it was made.
    file: Option<(u64, u64)>,
}

#[derive(Debug)]
struct Shared {
    context: Context,
    /// What rewrites galleries is no faster than where the service does it by itself.
    pace: Pace,
    is_stopping: AtomicBool,
    /// How many commands there are.
    commands: AtomicUsize,
    working: Mutex<Vec<JoinHandle<()>>>,
    importing: Importing,
}

impl Administration {
    /// Listens in the data directory. A service that cannot be administered is a service all the same:
    /// the log tells why.
    pub(in crate::cli) fn start(context: Context) -> Option<Administration> {
        let data = context.engine.store().directory().to_owned();
        let begun = socket::listen(&data).and_then(|listener| {
            let shared = Arc::new(Shared {
                context,
                pace: Pace::new(MaintenanceOptions::default().compaction_bytes_per_second),
                is_stopping: AtomicBool::new(false),
                commands: AtomicUsize::new(0),
                working: Mutex::default(),
                importing: Importing::default(),
            });
            let served = shared.clone();
            let thread = thread::Builder::new().name("vultus-admin".to_owned());
            let thread = thread.spawn(move || served.accept(&listener));
            let listening = Some(thread.context("starting a thread")?);
            Ok(Administration {
                shared,
                listening,
                file: socket::file_id(&socket::path(&data)),
                path: socket::path(&data),
            })
        });
        match begun {
            Ok(administration) => Some(administration),
            Err(error) => {
                tracing::warn!(
                    "apps, keys and galleries cannot be managed while this service runs: {error:#}"
                );
                None
            }
        }
    }
}

impl Drop for Administration {
    fn drop(&mut self) {
        self.shared.is_stopping.store(true, Ordering::Relaxed);
        self.shared.pace.stop();
        // The data directory may have been replaced, and another service may listen in the new one.
        if socket::file_id(&self.path).is_some_and(|found| Some(found) == self.file) {
            // Whoever waits for somebody to connect is woken by it.
            let woken = socket::connect(self.shared.context.engine.store().directory());
            let removed = std::fs::remove_file(&self.path);
            if let (Ok(Some(_)), Some(listening)) = (woken, self.listening.take()) {
                let _panicked = listening.join();
            }
            if let Err(error) = removed {
                tracing::debug!(%error, "cannot remove the socket");
            }
        }
        let working = std::mem::take(&mut *self.shared.working());
        for thread in working {
            let _panicked = thread.join();
        }
    }
}

impl Shared {
    fn working(&self) -> std::sync::MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.working.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accept(self: &Arc<Shared>, listener: &UnixListener) {
        while !self.is_stopping.load(Ordering::Relaxed) {
            let stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // No descriptors, or no memory: it may pass.
                    tracing::warn!(%error, "cannot take a command");
                    thread::sleep(Duration::from_millis(100));
                    continue;
                }
            };
            if self.is_stopping.load(Ordering::Relaxed) {
                return;
            }
            self.begin(stream);
        }
    }

    fn begin(self: &Arc<Shared>, stream: UnixStream) {
        let here = self.commands.fetch_add(1, Ordering::Relaxed);
        let shared = self.clone();
        let work = move || {
            if let Err(error) = shared.serve(&stream, here >= COMMANDS_MAX) {
                // It went away, or sent something else than a request.
                tracing::debug!("a command ended early: {error:#}");
            }
            shared.commands.fetch_sub(1, Ordering::Relaxed);
        };
        let thread = thread::Builder::new().name("vultus-command".to_owned());
        match thread.spawn(work) {
            Ok(thread) => {
                let mut working = self.working();
                working.retain(|thread| !thread.is_finished());
                working.push(thread);
            }
            Err(error) => {
                self.commands.fetch_sub(1, Ordering::Relaxed);
                tracing::warn!(%error, "cannot take a command");
            }
        }
    }

    /// Answers the request of one command.
    fn serve(&self, stream: &UnixStream, is_full: bool) -> anyhow::Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let user = socket::peer(stream)?;
        if !socket::may_administer(user) {
            tracing::warn!(user, "refused a command of another user");
            let text = format!("user {user} may not administer this service");
            return Ok(wire::answer(&mut &*stream, Kind::Failed, text.as_bytes())?);
        }
        if is_full {
            let text = format!("the service is doing {COMMANDS_MAX} other commands: try again");
            return Ok(wire::answer(&mut &*stream, Kind::Failed, text.as_bytes())?);
        }
        // None comes of a command that only looks whether a service is here.
        let Some(request) = wire::receive(&mut BufReader::new(stream))? else {
            return Ok(());
        };
        let (kind, bytes) = match self.answer(request, stream, user) {
            Ok(answer) => answer,
            Err(error) => (Kind::Failed, format!("{error:#}").into_bytes()),
        };
        Ok(wire::answer(&mut &*stream, kind, &bytes)?)
    }

    fn answer(
        &self,
        request: Request,
        stream: &UnixStream,
        user: u32,
    ) -> anyhow::Result<(Kind, Vec<u8>)> {
        let own = env!("CARGO_PKG_VERSION");
        if request.version != own {
            bail!(
                "the service is version {own} of this program, and the command is version {}: use \
                 the command that the service was started with, or restart the service",
                request.version.escape_default()
            );
        }
        // Not what the parser says: it may show a secret.
        let ask = serde_json::from_value(request.ask);
        match ask.map_err(|_| anyhow::anyhow!("the service cannot read what it is asked"))? {
            Ask::Run(run) => {
                let exit = self.run(&run, stream, user)?;
                Ok((Kind::Exit, vec![exit as u8]))
            }
            Ask::Enroll(enroll) => {
                let enrolled = told(self.enroll(&enroll), user, "enroll")?;
                let class = format!("{}.{}", enroll.partition, enrolled.class);
                self.account(user, &format!("enroll {class}"));
                tracing::info!(user, class, "enrolled for a command");
                json(&enrolled)
            }
            Ask::Import(import) => {
                let imported = told(self.import(&import, stream, user), user, "gallery import")?;
                let (partition, accepted) = (&import.partition, imported.accepted);
                self.account(user, &format!("gallery import {partition}: {accepted}"));
                tracing::info!(user, partition, accepted, "imported for a command");
                json(&imported)
            }
            Ask::ChooseClasses(ask) => {
                let (partition, now) = (ask.partition.parse()?, Clock::System.now());
                let engine = &self.context.engine;
                let chosen = engine.choose_classes(&partition, &ask.encoder, ask.count, now)?;
                json(&chosen.iter().map(|class| class.0).collect::<Vec<i64>>())
            }
            Ask::KeepBest(partition) => {
                let gallery = self.context.engine.enrolled(&partition.parse()?)?;
                let now = Clock::System.now();
                let removed = gallery.map_or(Ok(0), |gallery| gallery.keep_best(now))?;
                json(&removed)
            }
            Ask::KeepCalibration(ask) => {
                let kept = self.keep_calibration(&ask);
                told(kept, user, "calibrate")?;
                tracing::info!(
                    user,
                    partition = ask.partition,
                    "kept a calibration for a command"
                );
                json(&())
            }
        }
    }

    /// Does what was typed elsewhere, and has what it says printed there.
    fn run(&self, run: &Run, stream: &UnixStream, user: u32) -> anyhow::Result<Exit> {
        let typed = ["vultus"].into_iter();
        let typed = typed.chain(run.arguments.iter().map(String::as_str));
        let matches = args::command().try_get_matches_from(typed);
        let matches = matches.context("the service cannot read what was typed")?;
        let verb = Arguments::from_arg_matches(&matches)?.verb;
        let mut stream = stream.try_clone()?;
        let send = move |channel: Channel, bytes: &[u8]| -> io::Result<()> {
            let kind = match channel {
                Channel::Out => Kind::Out,
                Channel::Err => Kind::Err,
                Channel::HowFar => Kind::HowFar,
            };
            wire::answer(&mut stream, kind, bytes)
        };
        let away = Away {
            is_quiet: args::is_quiet(&matches),
            send: Box::new(send),
        };
        let work = || carry_out(&verb, run, &self.context, &self.pace);
        let done = away::elsewhere(away, work);
        let what = args::words(&matches);
        self.account(user, &what);
        match &done {
            Ok(exit) => tracing::info!(user, command = what, ?exit, "did a command"),
            Err(error) => tracing::info!(user, command = what, "could not do a command: {error:#}"),
        }
        done
    }

    /// Has the audit log tell what was done, however it ended.
    fn account(&self, user: u32, command: &str) {
        if let Some(service) = &self.context.service {
            service.commanded(user, command);
        }
    }

    fn keep_calibration(&self, ask: &KeepCalibration) -> anyhow::Result<()> {
        let calibration = Calibration::from_bytes(ask.calibration.as_bytes())?;
        let partition = ask.partition.parse()?;
        Ok(self
            .context
            .engine
            .keep_calibration(&partition, &calibration)?)
    }

    /// A portrait that a command has made. Whether any are stored is for the service to say.
    fn portrait(&self, base64: &str) -> anyhow::Result<Portrait> {
        let service = self.context.service.as_ref();
        if !service.is_some_and(|service| service.options().store_portraits) {
            bail!(
                "`store-portraits` is on here, and off for the service that has the data directory: set it for \
                 both or for neither"
            );
        }
        let jpeg = BASE64_STANDARD.decode(base64);
        // Not what the decoder says: it may show a byte of it.
        let jpeg = jpeg.map_err(|_| anyhow::anyhow!("a portrait is not base64"))?;
        Ok(Portrait::new(&jpeg)?)
    }

    fn enroll(&self, ask: &Enroll) -> anyhow::Result<EnrolledClass> {
        let partition: PartitionId = ask.partition.parse()?;
        let whom = ask
            .class
            .map_or(Whom::New, |class| Whom::Class(ClassId(class)));
        let name = ask.name.as_deref().map(str::parse).transpose()?;
        let record = RecordChange {
            name: name.map(Some),
            ..RecordChange::default()
        };
        let mut templates = Vec::with_capacity(ask.templates.len());
        for template in &ask.templates {
            let values = template.value_bits.iter().copied().map(f32::from_bits);
            templates.push(NewTemplate {
                embedding: Embedding::new(values.collect::<Vec<f32>>())?,
                quality: f32::from_bits(template.quality_bits),
                portrait: template
                    .portrait
                    .as_deref()
                    .map(|text| self.portrait(text))
                    .transpose()?,
            });
        }
        let (engine, now) = (&self.context.engine, Clock::System.now());
        let place = (&partition, whom);
        let person =
            engine.enroll_person(place, &ask.encoder, &templates, ask.replace, record, now)?;
        let enrolled = person.enrolled;
        Ok(EnrolledClass {
            class: person.class.0,
            added: enrolled.added,
            known: enrolled.known,
            removed: enrolled.removed,
            templates: enrolled.templates,
        })
    }
}

impl Shared {
    fn import(
        &self,
        ask: &Import,
        stream: &UnixStream,
        user: u32,
    ) -> anyhow::Result<ImportedItems> {
        let is_stopping = || self.is_stopping.load(Ordering::Relaxed);
        let _turn = self.importing.turn(ask, user, stream, is_stopping)?;
        stream.set_read_timeout(Some(PIECE_PATIENCE))?;
        let report = ask.report.as_ref().map(Path::new);
        let partition: PartitionId = ask.partition.parse()?;
        let (engine, encoder) = (&self.context.engine, &ask.encoder);
        let duplicates = match &ask.duplicates {
            Some(asked) => Some(asked.in_gallery(engine, &partition, encoder)?),
            None => None,
        };
        let options = ImportOptions {
            duplicates: duplicates.as_ref(),
            existing: match ask.existing {
                ExistingImport::Refuse => Existing::Refuse,
                ExistingImport::Resume => Existing::Resume,
                ExistingImport::Overwrite => Existing::Overwrite,
            },
            refused: report,
        };
        let mut source = Streamed::new(stream, ask);
        let imported = engine.import(
            &partition,
            encoder,
            &mut source,
            options,
            Clock::System.now(),
            |_, _| (),
        )?;
        Ok(ImportedItems {
            items: imported.items,
            accepted: imported.accepted,
            known: imported.known,
            refused: imported.refused,
            duplicates: imported.duplicates,
            earlier: imported.earlier,
        })
    }
}

/// Has the log tell what could not be done.
fn told<T>(done: anyhow::Result<T>, user: u32, command: &str) -> anyhow::Result<T> {
    done.inspect_err(|error| tracing::info!(user, command, "could not do a command: {error:#}"))
}

fn json(value: &impl Serialize) -> anyhow::Result<(Kind, Vec<u8>)> {
    Ok((Kind::Answer, serde_json::to_vec(value)?))
}

/// Does a verb by the function that does it for this process.
fn carry_out(verb: &Verb, run: &Run, context: &Context, pace: &Pace) -> anyhow::Result<Exit> {
    match verb {
        Verb::App(verb) => app::carry_out(verb, run.input.as_deref(), context),
        Verb::Key(Key::Create(verb)) => key::create(verb, context),
        Verb::Key(Key::Revoke(verb)) => key::revoke(verb, &context.engine),
        Verb::Key(Key::Rotate(verb)) => key::rotate(verb, context),
        Verb::Gallery(Gallery::Erase(verb)) => gallery::erase(verb, context, pace),
        Verb::Gallery(Gallery::Remove(verb)) => gallery::remove(verb, context, pace),
        Verb::Gallery(Gallery::RotateKeys(verb)) => {
            gallery::rotate_keys(verb, &context.engine, pace)
        }
        Verb::Gallery(Gallery::Encrypt(verb)) => {
            gallery::encrypt(verb, run.input.as_deref(), &context.engine, pace)
        }
        Verb::Gallery(Gallery::Compact(verb)) => gallery::compact(verb, &context.engine, pace),
        Verb::Gallery(Gallery::Repair(verb)) => {
            gallery::repair(verb, &context.engine, Path::new(&run.directory))
        }
        Verb::People(People::Expire(verb)) => people::expire(verb, context, pace),
        Verb::People(verb) => people::change(verb, run.input.as_deref(), context, pace),
        _ => bail!("this cannot be done while the service runs: stop it first"),
    }
}
