//! What a thread says for another process: a command that a service carries out.

use std::cell::RefCell;
use std::io;

use serde::{Deserialize, Serialize};

/// Where something is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Channel {
    /// Stdout.
    Out,
    /// Stderr.
    Err,
    /// How far work is, as JSON: whoever asked shows it.
    HowFar,
}

/// How far work is that is done for another process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HowFar {
    /// What is done, as a bar says it.
    pub(super) what: String,
    /// So many bytes are done.
    pub(super) done: u64,
    /// Of so many, about.
    pub(super) total: u64,
}

/// Tells bytes to another process.
pub(super) type Send = Box<dyn FnMut(Channel, &[u8]) -> io::Result<()>>;

/// Another process, for which a thread says something.
pub(super) struct Away {
    /// Whether it wants to hear nothing but errors and answers.
    pub(super) is_quiet: bool,
    /// Tells it something.
    pub(super) send: Send,
}

thread_local! {
    static AWAY: RefCell<Option<Away>> = const { RefCell::new(None) };
}

/// Does `work`, and has all that this thread says meanwhile told to another process.
pub(super) fn elsewhere<T>(away: Away, work: impl FnOnce() -> T) -> T {
    /// Also after a panic.
    struct Back;
    impl Drop for Back {
        fn drop(&mut self) {
            AWAY.set(None);
        }
    }
    AWAY.set(Some(away));
    let _back = Back;
    work()
}

/// Tells another process what this thread says, if it is for one. Returns `None` if not.
pub(super) fn send(channel: Channel, bytes: &[u8]) -> Option<io::Result<()>> {
    AWAY.with_borrow_mut(|away| away.as_mut().map(|away| (away.send)(channel, bytes)))
}

/// Whether the process that this thread says something for is quiet; `None` if it is this one.
pub(super) fn is_quiet() -> Option<bool> {
    AWAY.with_borrow(|away| away.as_ref().map(|away| away.is_quiet))
}

/// Tells another process how far work is that this thread has done for it; nobody else.
pub(super) fn send_how_far(how_far: &HowFar) {
    if is_quiet() != Some(false) {
        return;
    }
    if let Ok(bytes) = serde_json::to_vec(how_far) {
        // Whoever has gone does not want to know.
        let _told = send(Channel::HowFar, &bytes);
    }
}
