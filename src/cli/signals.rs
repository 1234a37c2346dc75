//! What the operating system tells the service: to stop, to stop at once, to read its settings
//! again.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;
use std::{fs, io, thread};

use anyhow::Context;
use rustix::process::Signal as RawSignal;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time;

use super::log;

/// What is left to do when all connections are ended takes less.
const END_WAIT: Duration = Duration::from_millis(500);

/// So often a folder is removed that others write to.
const REMOVALS_TRIED: usize = 100;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    /// Ctrl-C, or SIGTERM.
    Stop,
    /// SIGHUP.
    Reload,
}

/// Lets a write beyond the limit of the size of files (`ulimit -f`) fail, as one on a full disk does: by
/// default the system ends the process by SIGXFSZ.
pub(super) fn survive_long_files() {
    let kept = Builder::new_current_thread().enable_all().build();
    let kept = kept.and_then(|runtime| {
        let _runtime = runtime.enter();
        // The signal is taken from now on, and nobody asks for it.
        signal(SignalKind::from_raw(RawSignal::XFSZ.as_raw()))
    });
    if let Err(error) = kept {
        tracing::debug!(%error, "a file that becomes too long will end this process");
    }
}

/// Folders that are removed if this process is told to end.
static GONE_AT_THE_END: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
static ARE_WATCHED: AtomicBool = AtomicBool::new(false);

/// A folder of templates that are nobody's any more when this process is told to end, by Ctrl-C, SIGTERM or
/// SIGHUP: it is removed then. Nothing helps against SIGKILL.
pub(super) struct GoneAtTheEnd(PathBuf);

impl GoneAtTheEnd {
    /// Has a folder removed at the end, as long as this lives.
    pub(super) fn new(folder: &Path) -> anyhow::Result<GoneAtTheEnd> {
        let mut folders = lock(&GONE_AT_THE_END);
        if !ARE_WATCHED.swap(true, Ordering::Relaxed) {
            remove_at_the_end()?;
        }
        folders.push(folder.to_owned());
        Ok(GoneAtTheEnd(folder.to_owned()))
    }
}

impl Drop for GoneAtTheEnd {
    fn drop(&mut self) {
        lock(&GONE_AT_THE_END).retain(|folder| *folder != self.0);
    }
}

fn lock(folders: &Mutex<Vec<PathBuf>>) -> MutexGuard<'_, Vec<PathBuf>> {
    folders.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for a signal on a thread of its own, removes what is to go, and ends the process.
#[expect(
    clippy::exit,
    reason = "whoever sends the signal wants the process to end, which it would have done by itself"
)]
fn remove_at_the_end() -> anyhow::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("preparing for signals")?;
    let ends = [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ];
    // `nohup`, and shells for what runs in the background, have some ignored, and mean it.
    let ignored = ignored_signals();
    let is_heard = |end: &SignalKind| ignored >> (end.as_raw_value() - 1) & 1 == 0;
    let ends: Vec<SignalKind> = ends.into_iter().filter(is_heard).collect();
    let mut told = {
        let _runtime = runtime.enter();
        let told: io::Result<Vec<Signal>> = ends.iter().map(|end| signal(*end)).collect();
        told.context("asking for signals")?
    };
    spawn("vultus-signals", move || {
        let first = runtime.block_on(std::future::poll_fn(|context| {
            let mut ends = ends.iter().zip(&mut told);
            let end = ends.find_map(|(end, told)| {
                let is_told = told.poll_recv(context).is_ready();
                is_told.then(|| end.as_raw_value())
            });
            end.map_or(Poll::Pending, Poll::Ready)
        }));
        // Held to the end, so that nobody begins another.
        let folders = lock(&GONE_AT_THE_END);
        folders.iter().for_each(|folder| remove_in_use(folder));
        // As a shell tells of a process that a signal ended.
        std::process::exit(128 + first);
    })
}

/// The signals that this process ignores, that with the number 1 in the lowest bit; none where the system does
/// not tell.
fn ignored_signals() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut lines = status.lines();
    let ignored = lines.find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.map_or(0, |digits| {
        u64::from_str_radix(digits.trim(), 16).unwrap_or(0)
    })
}

/// Removes a folder to which others of this process still write.
fn remove_in_use(folder: &Path) {
    for _ in 0..REMOVALS_TRIED {
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                thread::sleep(Duration::from_millis(5));
            }
            _ => return,
        }
    }
    tracing::warn!(folder = %folder.display(), "cannot remove templates");
}

/// SIGHUP, which is kept from ending the process and waits to be looked at.
pub(super) struct Hangups {
    // Of its own, so that signals are heard whatever the service is busy with.
    runtime: Runtime,
    hangup: Signal,
}

/// Keeps SIGHUP from ending the process from now on: a service may be told to read its settings again
/// while it is still starting. What comes meanwhile is done when it [watches](watch).
pub(super) fn hold_hangups() -> anyhow::Result<Hangups> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("preparing for signals")?;
    let hangup = {
        let _runtime = runtime.enter();
        signal(SignalKind::hangup()).context("asking for signals")?
    };
    Ok(Hangups { runtime, hangup })
}

/// Takes signals from now on. The receiver is told of the first that asks to stop; `reload` is
/// called, on a thread of its own, after each that asks for it, or once after several that come
/// meanwhile.
///
/// The process ends at once on a second signal to stop, and also when it has not ended by itself
/// `stop_wait` and a moment after the first: a picture that is being looked at, or a merge, must
/// not keep it. Nothing acknowledged is lost by that.
pub(super) fn watch(
    hangups: Hangups,
    stop_wait: Duration,
    reload: impl Fn() + Send + 'static,
) -> anyhow::Result<oneshot::Receiver<()>> {
    let Hangups { runtime, hangup } = hangups;
    let signals = {
        let _runtime = runtime.enter();
        Signals::new(hangup).context("asking for signals")?
    };
    let (stop, stopped) = oneshot::channel();
    // It may wait for a disk, for which the signals after it do not.
    let (wanted, wishes) = mpsc::sync_channel(1);
    spawn("reload", move || wishes.iter().for_each(|()| reload()))?;
    spawn("signals", move || {
        obey(&runtime, signals, stop, stop_wait, &wanted);
    })?;
    Ok(stopped)
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> anyhow::Result<()> {
    let thread = thread::Builder::new().name(name.to_owned()).spawn(work);
    thread.context("preparing for signals")?;
    Ok(())
}

#[expect(
    clippy::exit,
    reason = "whoever sends a second signal, or waits too long, wants no more tidying up"
)]
fn obey(
    runtime: &Runtime,
    mut signals: Signals,
    stop: oneshot::Sender<()>,
    stop_wait: Duration,
    reload: &SyncSender<()>,
) {
    while runtime.block_on(signals.next()) == Wish::Reload {
        // If it is full, one is about to begin, and sees what this one would.
        let _ = reload.try_send(());
    }
    tracing::info!("stopping: a second signal ends the service at once");
    let _told = stop.send(());
    let again = async { while signals.next().await == Wish::Reload {} };
    let wait = stop_wait + END_WAIT;
    let code = match runtime.block_on(async { time::timeout(wait, again).await }) {
        Ok(()) => {
            tracing::warn!("ended at once by a second signal");
            1
        }
        Err(_elapsed) => {
            tracing::warn!("ended with work at hand that nobody waits for");
            0
        }
    };
    log::finish();
    std::process::exit(code);
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn new(hangup: Signal) -> io::Result<Signals> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup,
        })
    }

    async fn next(&mut self) -> Wish {
        tokio::select! {
            Some(()) = self.interrupt.recv() => Wish::Stop,
            Some(()) = self.terminate.recv() => Wish::Stop,
            Some(()) = self.hangup.recv() => Wish::Reload,
            else => std::future::pending().await,
        }
    }
}
