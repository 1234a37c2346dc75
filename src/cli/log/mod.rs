//! The log: events as lines on stderr.
//!
//! A service goes on whatever becomes of stderr. Its disk may be full, its reader may stall or be
//! gone: lines are then dropped and counted, and no request waits for one. Other verbs write their
//! few lines themselves, in order with what they tell people, and pass over what cannot be written.

mod lines;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::panic::{self, PanicHookInfo};
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, reload};

use self::lines::Lines;
use super::away::{self, Channel};
use crate::config::LogFormat;

/// How long the end of the program waits for a reader of stderr that stalls.
const FINISH_PATIENCE: Duration = Duration::from_secs(1);

/// The lines of a service, if one was started: a process has one stderr.
static QUEUE: OnceLock<Lines> = OnceLock::new();

/// What decides which events are logged, if anything was started.
static FILTER: OnceLock<Changeable> = OnceLock::new();

struct Changeable {
    filter: reload::Handle<Targets, Registry>,
    /// The filter where no other is set.
    standard: Targets,
}

/// Who writes lines to stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// Whoever has something to say, at once.
    Direct,
    /// A thread of its own, for a program that must not wait for it. Panics are logged, too.
    Queued,
}

/// Logs what passes the filter that is `set`, or the `standard` one, from now on. In colour where a
/// person reads it and has not set [`NO_COLOR`](https://no-color.org).
pub(super) fn start(standard: Targets, set: Option<Targets>, manner: Manner, format: LogFormat) {
    let (filter, handle) = reload::Layer::new(set.unwrap_or_else(|| standard.clone()));
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let is_colourful = io::stderr().is_terminal() && !no_color;
    let queue = match manner {
        Manner::Direct => None,
        // A system that gives no thread has other worries than this one.
        Manner::Queued => Lines::start(io::stderr(), format).ok(),
    };
    let writer = match queue {
        None => BoxMakeWriter::new(|| Heedless),
        Some(lines) => {
            let lines = QUEUE.get_or_init(|| lines).clone();
            panic::set_hook(Box::new(log_panic));
            BoxMakeWriter::new(lines)
        }
    };
    let layer = tracing_subscriber::fmt::layer()
        // Told on stderr, past the writer.
        .log_internal_errors(false)
        .with_writer(writer);
    let layer = match format {
        LogFormat::Text => layer.with_ansi(is_colourful).with_filter(filter).boxed(),
        LogFormat::Json => layer
            .with_ansi(false)
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .with_filter(filter)
            .boxed(),
    };
    // A second subscriber in one process (a test) is no reason to fail.
    if tracing_subscriber::registry()
        .with(layer)
        .try_init()
        .is_ok()
    {
        let filter = handle;
        let _first = FILTER.set(Changeable { filter, standard });
    }
}

/// Logs what passes the filter that is `set`, or the standard one, from now on.
pub(super) fn follow(set: Option<Targets>) {
    if let Some(changeable) = FILTER.get() {
        let filter = set.unwrap_or_else(|| changeable.standard.clone());
        // It fails only if the subscriber is gone, and then there is no log.
        let _ = changeable.filter.reload(filter);
    }
}

/// How many lines of the log of a service were dropped since it started, because stderr could not
/// take them.
pub fn dropped_lines() -> u64 {
    QUEUE.get().map_or(0, Lines::dropped)
}

/// Tells people a line on stderr, whether or not it can take one.
pub(super) fn tell(line: fmt::Arguments<'_>) {
    // What cannot be told cannot be complained of either.
    if away::send(Channel::Err, format!("{line}\n").as_bytes()).is_some() {
        return;
    }
    match QUEUE.get() {
        Some(lines) => lines.add(lines.told(&line.to_string()).as_bytes()),
        None => drop(Heedless.write(format!("{line}\n").as_bytes())),
    }
}

/// Writes to stderr what another process has said there, whether or not it can take it.
pub(super) fn pass_on(bytes: &[u8]) {
    drop(Heedless.write(bytes));
}

/// Waits a moment for lines that are not written yet. The last thing that a program does.
pub(super) fn finish() {
    if let Some(lines) = QUEUE.get() {
        lines.finish(FINISH_PATIENCE);
    }
}

/// Not by the subscriber, which may be where the panic came from.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let Some(lines) = QUEUE.get() else { return };
    let thread = thread::current();
    let name = thread.name().unwrap_or("without a name");
    let words = panic.payload_as_str().unwrap_or("no text");
    let place = panic.location();
    let place = place.map_or("an unknown place".to_owned(), ToString::to_string);
    let mut text = format!("thread `{name}` panicked at {place}: {words}");
    // If `RUST_BACKTRACE` asks for one.
    let trace = Backtrace::capture();
    if trace.status() == BacktraceStatus::Captured {
        text.push_str(&format!("\n{trace}"));
    }
    lines.add(lines.line("ERROR", &text).as_bytes());
}

/// Stderr, or nothing where it takes nothing.
struct Heedless;

impl Write for Heedless {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // What cannot be told cannot be complained of either.
        let _ = io::stderr().lock().write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
