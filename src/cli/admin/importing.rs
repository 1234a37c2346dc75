//! Imports under way, and who waits for them.
//!
//! Two of one source would not know of each other, and each takes some memory: so a few go on at a
//! time, and of one source into one partition a single one. Whoever waits is told for whom, and leaves
//! when nobody waits for it any more.

use std::fmt;
use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::bail;
use rustix::net::{RecvFlags, recv};

use super::wire::{self, Import, Kind};

/// The most imports at a time.
const IMPORTS_MAX: usize = 4;
/// How often it is looked whether whoever waits is still there.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// All imports under way.
#[derive(Debug, Default)]
pub(super) struct Importing {
    under_way: Mutex<Vec<UnderWay>>,
    ended: Condvar,
}

#[derive(Clone, Debug)]
struct UnderWay {
    number: u64,
    source: String,
    partition: String,
    user: u32,
    began: Instant,
}

/// A place among the imports, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    importing: &'a Importing,
    number: u64,
}

impl fmt::Display for UnderWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let UnderWay {
            source,
            partition,
            user,
            began,
            ..
        } = self;
        let seconds = began.elapsed().as_secs();
        write!(
            f,
            "that of `{source}` into {partition} by user {user}, which began {seconds} s ago"
        )
    }
}

impl Importing {
    /// Waits until an import may begin, and has the command tell for which others.
    ///
    /// # Errors
    ///
    /// If the command has gone, or the service ends.
    pub(super) fn turn(
        &self,
        ask: &Import,
        user: u32,
        stream: &UnixStream,
        is_stopping: impl Fn() -> bool,
    ) -> anyhow::Result<Turn<'_>> {
        let mut is_told = false;
        let mut under_way = self.under_way();
        loop {
            let Some(before) = in_the_way(&under_way, ask) else {
                let number = under_way.last().map_or(0, |last| last.number + 1);
                under_way.push(UnderWay {
                    number,
                    source: ask.name.clone(),
                    partition: ask.partition.clone(),
                    user,
                    began: Instant::now(),
                });
                return Ok(Turn {
                    importing: self,
                    number,
                });
            };
            if is_stopping() {
                bail!("the service ends: {before} is not done");
            }
            if !std::mem::replace(&mut is_told, true) {
                let told = format!("waiting for another import: {before}; Ctrl-C does not wait\n");
                // With the list let go: who is told may take its time.
                drop(under_way);
                wire::answer(&mut &*stream, Kind::Err, told.as_bytes())?;
            } else {
                let waited = self.ended.wait_timeout(under_way, LOOK_INTERVAL);
                drop(waited);
                if has_gone(stream) {
                    bail!("the command that waited for another import has gone");
                }
            }
            under_way = self.under_way();
        }
    }

    fn under_way(&self) -> MutexGuard<'_, Vec<UnderWay>> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which import must end before this one can begin.
fn in_the_way(under_way: &[UnderWay], ask: &Import) -> Option<UnderWay> {
    let is_same = |it: &&UnderWay| it.source == ask.name && it.partition == ask.partition;
    let oldest = || under_way.first().filter(|_| under_way.len() >= IMPORTS_MAX);
    under_way.iter().find(is_same).or_else(oldest).cloned()
}

/// Whether the other side has closed the connection. It sends nothing while it waits.
fn has_gone(stream: &UnixStream) -> bool {
    let mut byte = [0_u8];
    match recv(stream, &mut byte, RecvFlags::PEEK | RecvFlags::DONTWAIT) {
        Ok((_, bytes)) => bytes == 0,
        Err(error) => {
            let kind = std::io::Error::from(error).kind();
            !matches!(kind, ErrorKind::WouldBlock | ErrorKind::Interrupted)
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.importing
            .under_way()
            .retain(|it| it.number != self.number);
        self.importing.ended.notify_all();
    }
}
