//! The command line: one file for each verb, which turns what was typed into calls of the engine.
//!
//! Data goes to stdout, talk and progress to stderr. A reader that closes stdout early is no error.

mod admin;
mod app;
mod args;
mod audit;
mod away;
mod bench;
mod browser;
mod calibrate;
mod compare;
mod completions;
mod config;
mod demo;
mod detect;
mod doctor;
mod embed;
mod enroll;
mod enrolled_already;
mod erasing;
mod evaluate;
mod exit;
mod gallery;
mod identify;
mod init;
mod inspect;
mod key;
mod load;
mod log;
mod machine;
mod made_up;
mod man;
mod master_key;
mod open;
mod output;
mod parallel;
mod people;
mod pictures;
mod plan;
mod reload;
mod serve;
mod signals;
mod watch;
mod watched;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{ArgMatches, FromArgMatches};
use tracing_subscriber::filter::{LevelFilter, Targets};

use self::args::{Arguments, Verb};
use self::exit::Exit;
pub use self::log::dropped_lines;
use crate::config::{Read, Settings};

/// Runs what the process was started with.
pub fn main() -> ExitCode {
    let typed: Vec<OsString> = std::env::args_os().collect();
    let command = args::command();
    let parsed = command.clone().try_get_matches_from(&typed);
    let parsed = parsed.and_then(|matches| {
        let arguments = Arguments::from_arg_matches(&matches)?;
        Ok((matches, arguments))
    });
    let (matches, arguments) = match parsed {
        Ok(parsed) => parsed,
        // Help and the version, which somebody asked for or needs.
        Err(error) if !is_mistake(&error) => error.exit(),
        Err(error) => {
            output::tell!("error: {}", args::explain(&command, &typed, &error));
            return Exit::Error.into();
        }
    };
    if args::is_quiet(&matches) {
        output::be_quiet();
    }
    let again = matches.clone();
    let reread = move || settings(&again);
    let unread = Unread::of(&arguments.verb);
    if unread == Unread::GoesOn {
        output::go_on_unread();
    }
    let ran = match (arguments.verb, settings(&matches)) {
        // Settings that cannot be used are one of its findings.
        (Verb::Doctor(verb), Err(error)) => doctor::run(&verb, Err(&error)),
        (verb, read) => read.and_then(|read| run(verb, &read, reread)),
    };
    let exit = match ran {
        Ok(exit) => exit,
        Err(error) if unread == Unread::Fails && output::is_failed_stdout(&error) => {
            output::tell!(
                "error: {error:#}: what was made has a secret that was not shown, and cannot be shown \
                 again: find it with `list`, remove it, and make another"
            );
            Exit::Error
        }
        Err(error) if output::is_closed_stdout(&error) => Exit::Success,
        Err(error) => {
            output::tell!("error: {error:#}");
            Exit::Error
        }
    };
    log::finish();
    exit.into()
}

/// What becomes of a verb when nobody reads its stdout any more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unread {
    /// It ends: what it still has to do is only to be read.
    Ends,
    /// It goes on to its end, since it changes something or its exit code says what it found.
    GoesOn,
    /// What it says is shown once, and was not.
    Fails,
}

impl Unread {
    fn of(verb: &Verb) -> Unread {
        match verb {
            Verb::App(args::App::Create { id: None, .. }) | Verb::Key(args::Key::Create(_)) => {
                Unread::Fails
            }
            Verb::Gallery(args::Gallery::List(_) | args::Gallery::Export(_)) => Unread::Ends,
            Verb::Init(_)
            | Verb::App(_)
            | Verb::Key(_)
            | Verb::Audit(args::Audit::Verify(_))
            | Verb::Enroll(_)
            | Verb::People(_)
            | Verb::Gallery(_)
            | Verb::Calibrate(_)
            | Verb::Inspect(_)
            | Verb::Doctor(_) => Unread::GoesOn,
            _ => Unread::Ends,
        }
    }
}

fn is_mistake(error: &clap::Error) -> bool {
    let help = ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    error.use_stderr() && error.kind() != help
}

/// Flags over environment over file over defaults.
fn settings(matches: &ArgMatches) -> anyhow::Result<Read> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let flags = args::typed(matches);
    Ok(Settings::read(flags, std::env::vars_os(), processors)?)
}

fn run(
    verb: Verb,
    read: &Read,
    reread: impl Fn() -> anyhow::Result<Read> + Send + 'static,
) -> anyhow::Result<Exit> {
    let settings = &read.settings;
    start_log(&verb, settings);
    signals::survive_long_files();
    for variable in &read.unknown {
        tracing::warn!("{variable}");
    }
    match verb {
        Verb::Demo(verb) => demo::run(&verb, settings),
        Verb::Init(verb) => init::run(&verb, settings),
        Verb::Serve(verb) => serve::run(&verb, settings, reread),
        Verb::App(verb) => app::run(&verb, settings),
        Verb::Key(verb) => key::run(&verb, settings),
        Verb::Audit(verb) => audit::run(&verb, settings),
        Verb::Enroll(verb) => enroll::run(&verb, settings),
        Verb::Identify(verb) => identify::run(&verb, settings),
        Verb::Detect(verb) => detect::run(&verb, settings),
        Verb::Compare(verb) => compare::run(&verb, settings),
        Verb::Embed(verb) => embed::run(&verb, settings),
        Verb::People(verb) => people::run(&verb, settings),
        Verb::Gallery(verb) => gallery::run(&verb, settings),
        Verb::Calibrate(verb) => calibrate::run(&verb, settings),
        Verb::Inspect(verb) => inspect::run(&verb),
        Verb::Evaluate(verb) => evaluate::run(&verb, settings),
        Verb::Bench(verb) => bench::run(&verb, settings),
        Verb::Plan(verb) => plan::run(&verb, settings),
        Verb::Load(verb) => load::run(&verb),
        Verb::Config(verb) => config::run(&verb, settings),
        Verb::Doctor(verb) => doctor::run(&verb, Ok(read)),
        Verb::Completions(verb) => completions::run(&verb),
        Verb::Man(verb) => man::run(&verb),
    }
}

/// Logs go to stderr: of the service each request, otherwise warnings and worse, and with `--quiet`
/// errors alone, unless the setting `log` asks for something else.
fn start_log(verb: &Verb, settings: &Settings) {
    // What the doctor would warn of is an answer of it.
    let level = match output::is_quiet() || matches!(verb, Verb::Doctor(_)) {
        true => LevelFilter::ERROR,
        false => LevelFilter::WARN,
    };
    let mut standard = Targets::new().with_default(level);
    if matches!(verb, Verb::Serve(_)) && !output::is_quiet() {
        standard = standard.with_target("vultus", LevelFilter::INFO);
    }
    let manner = match verb {
        Verb::Serve(_) | Verb::Demo(_) => log::Manner::Queued,
        _ => log::Manner::Direct,
    };
    log::start(standard, settings.log.clone(), manner, settings.log_format);
}
