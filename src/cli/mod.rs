//! The command line: one file for each verb, which turns what was typed into calls of the engine.
//!
//! Data goes to stdout, talk and progress to stderr. A reader that closes stdout early is no error.

mod app;
mod args;
mod bench;
mod demo;
mod enroll;
mod evaluate;
mod exit;
mod gallery;
mod identify;
mod inspect;
mod key;
mod open;
mod output;
mod parallel;
mod pictures;
mod serve;

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use self::args::{Arguments, Verb};
use self::exit::Exit;
use crate::config::{Layer, Settings};

/// Runs what the process was started with.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    start_log(&arguments.verb);
    match run(arguments) {
        Ok(exit) => exit.into(),
        Err(error) if is_closed_pipe(&error) => Exit::Success.into(),
        Err(error) => {
            eprintln!("error: {error:#}");
            Exit::Error.into()
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<Exit> {
    let settings = settings(&arguments)?;
    match arguments.verb {
        Verb::Demo(verb) => demo::run(&verb, &settings),
        Verb::Serve(_) => serve::run(&settings),
        Verb::App(verb) => app::run(&verb, &settings),
        Verb::Key(verb) => key::run(&verb, &settings),
        Verb::Enroll(verb) => enroll::run(&verb, &settings),
        Verb::Identify(verb) => identify::run(&verb, &settings),
        Verb::Gallery(verb) => gallery::run(&verb, &settings),
        Verb::Inspect(verb) => inspect::run(&verb),
        Verb::Evaluate(verb) => evaluate::run(&verb, &settings),
        Verb::Bench(verb) => bench::run(&verb, &settings),
    }
}

/// Flags over environment over file over defaults.
fn settings(arguments: &Arguments) -> anyhow::Result<Settings> {
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let environment = Layer::from_variables(variables)?;
    let named = arguments.common.config.clone();
    let path = named.or_else(|| std::env::var_os("VULTUS_CONFIG").map(Into::into));
    let file = path
        .map(|path| Layer::from_file(&path))
        .transpose()?
        .unwrap_or_default();
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let layers = arguments.layer().over(environment).over(file);
    layers.resolve(processors).context("reading the settings")
}

/// Logs go to stderr: of the service each request, otherwise warnings and worse, unless
/// `VULTUS_LOG` asks for something else. In colour where a person reads them and has not set
/// [`NO_COLOR`](https://no-color.org).
fn start_log(verb: &Verb) {
    let default = if matches!(verb, Verb::Serve(_)) {
        "warn,vultus=info"
    } else {
        "warn"
    };
    let filter = std::env::var("VULTUS_LOG").unwrap_or_else(|_| default.to_owned());
    let filter: Targets = filter.parse().unwrap_or_else(|_| Targets::new());
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let is_colourful = io::stderr().is_terminal() && !no_color;
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(is_colourful)
        .with_writer(io::stderr);
    // A second subscriber in one process (a test) is no reason to fail.
    let _ = tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .try_init();
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let mut causes = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes.any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}
