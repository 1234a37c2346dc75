//! Tables and JSON lines on stdout, progress bars on stderr.

use std::fmt::Write as _;
use std::io::{self, BufWriter, ErrorKind, StdoutLock, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use comfy_table::presets::UTF8_BORDERS_ONLY;
use comfy_table::{CellAlignment, Table};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::away::{self, Channel};
use crate::exchange::Length;
use crate::partition::LeftAlone;

/// A path as a member of a JSON object, to be flattened into it. One that is no text has its
/// bytes beside it, as hexadecimal digits: `{"path":"a\u{fffd}.jpg","path_bytes":"61ff2e6a7067"}`.
#[derive(Clone, Copy, Debug)]
pub(super) struct PathName<'a> {
    member: &'static str,
    path: &'a Path,
}

impl<'a> PathName<'a> {
    /// As a member of this name.
    pub(super) fn new(member: &'static str, path: &'a Path) -> PathName<'a> {
        PathName { member, path }
    }
}

impl Serialize for PathName<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(self.member, &self.path.to_string_lossy())?;
        if self.path.to_str().is_none() {
            map.serialize_entry(&format!("{}_bytes", self.member), &digits(self.path))?;
        }
        map.end()
    }
}

/// Paths as a member, as [`PathName`] is one: a list of texts and, if one is no text, a list of the
/// bytes of all beside it.
#[derive(Clone, Copy, Debug)]
pub(super) struct PathNames<'a> {
    member: &'static str,
    paths: &'a [PathBuf],
}

impl<'a> PathNames<'a> {
    /// As a member of this name.
    pub(super) fn new(member: &'static str, paths: &'a [PathBuf]) -> PathNames<'a> {
        PathNames { member, paths }
    }
}

impl Serialize for PathNames<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let texts = self.paths.iter().map(|path| path.to_string_lossy());
        map.serialize_entry(self.member, &texts.collect::<Vec<_>>())?;
        if self.paths.iter().any(|path| path.to_str().is_none()) {
            let bytes: Vec<String> = self.paths.iter().map(|path| digits(path)).collect();
            map.serialize_entry(&format!("{}_bytes", self.member), &bytes)?;
        }
        map.end()
    }
}

/// The bytes of a path that is no text, as hexadecimal digits.
pub(super) fn path_bytes(path: &Path) -> Option<String> {
    path.to_str().is_none().then(|| digits(path))
}

fn digits(path: &Path) -> String {
    let mut digits = String::new();
    for byte in path.as_os_str().as_encoded_bytes() {
        // Into memory, which takes everything.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

/// Writes to stdout, or to where this thread says something.
fn print(bytes: &[u8]) -> io::Result<()> {
    match away::send(Channel::Out, bytes) {
        Some(sent) => sent,
        None => Stdout::lock().write_all(bytes),
    }
}

/// Passes on what a service that does the work of this process prints.
pub(super) fn pass_on(bytes: &[u8]) -> io::Result<()> {
    Stdout::lock().write_all(bytes)
}

/// Stdout. That its reader has gone can be told from the end of any other pipe or socket.
#[derive(Debug)]
pub(super) struct Stdout(StdoutLock<'static>);

/// What is wrong with stdout.
#[derive(Debug, thiserror::Error)]
enum StdoutFault {
    /// Its reader has gone, as `head` does when it has seen enough.
    #[error("nobody reads stdout any more")]
    Closed,
    /// The disk that it leads to is full, for instance.
    #[error("cannot write to stdout: {0}")]
    Failed(io::Error),
}

impl Stdout {
    fn lock() -> Stdout {
        Stdout(io::stdout().lock())
    }

    fn marked(error: io::Error) -> io::Error {
        match error.kind() {
            ErrorKind::BrokenPipe => io::Error::new(error.kind(), StdoutFault::Closed),
            ErrorKind::Interrupted => error,
            _ => io::Error::new(error.kind(), StdoutFault::Failed(error)),
        }
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.write(bytes).map_err(Stdout::marked) {
            Err(error) if is_of_stdout(&error, true) && GOES_ON_UNREAD.load(Ordering::Relaxed) => {
                Ok(bytes.len())
            }
            written => written,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.0.flush().map_err(Stdout::marked) {
            Err(error) if is_of_stdout(&error, true) && GOES_ON_UNREAD.load(Ordering::Relaxed) => {
                Ok(())
            }
            flushed => flushed,
        }
    }
}

/// Whether all that is wrong is that the reader of stdout has gone.
pub(super) fn is_closed_stdout(error: &anyhow::Error) -> bool {
    has_stdout_fault(error, true)
}

/// Whether it was stdout that could not be written to.
pub(super) fn is_failed_stdout(error: &anyhow::Error) -> bool {
    has_stdout_fault(error, false)
}

fn has_stdout_fault(error: &anyhow::Error, only_closed: bool) -> bool {
    error.chain().any(|cause| {
        let cause = cause.downcast_ref::<io::Error>();
        cause.is_some_and(|cause| is_of_stdout(cause, only_closed))
    })
}

fn is_of_stdout(error: &io::Error, only_closed: bool) -> bool {
    let fault = error
        .get_ref()
        .and_then(|it| it.downcast_ref::<StdoutFault>());
    fault.is_some_and(|fault| !only_closed || matches!(fault, StdoutFault::Closed))
}

static GOES_ON_UNREAD: AtomicBool = AtomicBool::new(false);

/// From now on, what nobody reads on stdout is no reason to stop: for verbs that change something, or
/// whose exit code says what they found.
pub(super) fn go_on_unread() {
    GOES_ON_UNREAD.store(true, Ordering::Relaxed);
}

static IS_QUIET: AtomicBool = AtomicBool::new(false);

/// From now on, says nothing that is neither an error nor an answer.
pub(super) fn be_quiet() {
    IS_QUIET.store(true, Ordering::Relaxed);
}

/// Whether [`be_quiet`] was called, or the process that this thread says something for is quiet.
pub(super) fn is_quiet() -> bool {
    away::is_quiet().unwrap_or_else(|| IS_QUIET.load(Ordering::Relaxed))
}

/// Tells people on stderr what was done. Errors and what was refused are told with [`tell!`], since
/// they are told in any case.
macro_rules! say {
    ($($part:tt)*) => {
        if !$crate::cli::output::is_quiet() {
            $crate::cli::output::tell!($($part)*);
        }
    };
}

/// Tells people a line on stderr, as `eprintln!` does, but goes on if it is full or closed.
macro_rules! tell {
    ($($part:tt)*) => {
        $crate::cli::log::tell(format_args!($($part)*))
    };
}

pub(super) use {say, tell};

/// Prints a value as one line of JSON.
pub(super) fn json_line(value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value).map_err(io::Error::other)?;
    line.push(b'\n');
    print(&line)
}

/// Lets `print` print many pieces at once.
pub(super) fn buffered(
    print: impl FnOnce(&mut BufWriter<Stdout>) -> io::Result<()>,
) -> io::Result<()> {
    let mut stdout = BufWriter::new(Stdout::lock());
    print(&mut stdout)?;
    stdout.flush()
}

/// Fails if what is to be written is one of the files that are read.
pub(super) fn refuse_input<'a>(
    output: &Path,
    inputs: impl IntoIterator<Item = &'a Path>,
) -> anyhow::Result<()> {
    let Ok(place) = output.canonicalize() else {
        return Ok(());
    };
    let mut inputs = inputs.into_iter();
    let is_read = inputs.any(|input| input.canonicalize().is_ok_and(|it| it == place));
    anyhow::ensure!(
        !is_read,
        "`{}` is what is read: write to another file",
        output.display()
    );
    Ok(())
}

/// Prints text and ends the line.
pub(super) fn line(text: impl AsRef<str>) -> io::Result<()> {
    print(format!("{}\n", text.as_ref()).as_bytes())
}

/// A table with these columns; all but the first are aligned to the right.
pub(super) fn table(columns: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY).set_header(columns);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// A bar with rate and time left; drawn on stderr, and only if that is a terminal.
pub(super) fn progress(length: usize, what: &'static str) -> ProgressBar {
    let target = match away::is_quiet().is_some() || is_quiet() {
        true => ProgressDrawTarget::hidden(),
        false => ProgressDrawTarget::stderr(),
    };
    let bar = ProgressBar::with_draw_target(Some(length as u64), target);
    let template = "{msg} {wide_bar} {human_pos}/{human_len} ({per_sec}, {eta} left)";
    let style = ProgressStyle::with_template(template).expect("the template is well-formed");
    bar.set_style(style);
    bar.set_message(what);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// A bar for a source, in what its length is known in.
pub(super) fn progress_of(length: Length, what: &'static str) -> ProgressBar {
    match length {
        Length::Items(items) => progress(usize::try_from(items).unwrap_or(usize::MAX), what),
        Length::Bytes(bytes) => {
            let bar = byte_progress(what);
            bar.set_length(bytes);
            bar
        }
    }
}

/// A bar that counts bytes; [`advance`] moves it.
pub(super) fn byte_progress(what: &'static str) -> ProgressBar {
    let bar = progress(0, what);
    let template =
        "{msg} {wide_bar} {binary_bytes}/{binary_total_bytes} ({binary_bytes_per_sec}, {eta} left)";
    bar.set_style(ProgressStyle::with_template(template).expect("the template is well-formed"));
    bar
}

/// Shows that so many bytes of so many are done.
pub(super) fn advance(bar: &ProgressBar) -> impl FnMut(u64, u64) + '_ {
    |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    }
}

/// A number of things for people.
pub(super) fn count(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// What is said of files among the segments that are none of the data directory's, if there are any.
pub(super) fn left_alone(found: &LeftAlone) -> Option<String> {
    let LeftAlone {
        files,
        bytes,
        first,
    } = found;
    let more = match files - first.len() {
        0 => String::new(),
        _ => ", ...".to_owned(),
    };
    (*files > 0).then(|| {
        format!(
            "{} among the segments that the catalog does not name, {:.1} MB, left alone: {}{more}",
            count(*files, "file", "files"),
            *bytes as f64 / 1e6,
            first.join(", ")
        )
    })
}

/// A time for people.
pub(super) fn milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1e3)
}
