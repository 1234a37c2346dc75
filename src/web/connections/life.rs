//! How far a connection is at this moment, and when that takes too long.

use std::time::Duration;

use tokio::time::Instant;

use super::framing::{Following, Framing};
use super::options::ConnectionOptions;
use super::pace::Pace;

/// The least speed at which an answer must be taken, in bytes per second.
const ANSWER_BYTES_PER_SECOND_MIN: usize = 1_024;

/// For how long it is not asked whether a client that has closed its side is still there: most
/// answers take less.
const LEAVE_WAIT: Duration = Duration::from_millis(100);
/// How often it is looked afterwards whether it is still there.
const LEFT_INTERVAL: Duration = Duration::from_millis(50);
const LEFT_INTERVAL_MAX: Duration = Duration::from_secs(1);

/// A connection that does nothing for so long waits for something that does not come soon.
const STALLED: Duration = Duration::from_secs(1);

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing was received.
    Silent,
    /// Part of a head was received.
    Head,
    /// A request is being received, worked on or answered.
    Request,
    /// All that was received was answered.
    Idle,
    /// The last answer was sent. What is still coming is thrown away.
    Lingering,
}

/// What is known of a connection.
#[derive(Debug)]
pub(super) struct Life {
    stage: Stage,
    /// When the stage began. The first head is part of the first stage.
    since: Instant,
    framing: Framing,
    /// When bytes were last received.
    heard: Instant,
    /// Whether hyper has begun to write an answer to the request at hand.
    is_answering: bool,
    /// Whether hyper has all of that answer.
    is_answered: bool,
    /// When bytes of answers were last taken.
    taken: Instant,
    /// How the client takes what does not fit the buffers of the system.
    unread: Option<Pace>,
    /// What to do about a client that has closed its side.
    leaving: Option<Leaving>,
    /// Whether the client understands answers that are none yet (`100 Continue`).
    knows_interim: bool,
}

/// A client that has closed its side may wait for its answer or have left: that is to be found out.
#[derive(Clone, Copy, Debug)]
struct Leaving {
    look_at: Instant,
    interval: Duration,
    is_asked: bool,
}

/// What to do now about a client that has closed its side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    Not,
    /// Send it something that it passes over, so that its system says if it is gone.
    Ask,
    /// See whether its system has said so.
    See,
}

/// Whose connection is to be closed first when there are too many: the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Worth {
    class: u8,
    since: Instant,
}

impl Life {
    pub(super) fn begin(now: Instant) -> Life {
        Life {
            stage: Stage::Silent,
            since: now,
            framing: Framing::default(),
            heard: now,
            taken: now,
            is_answering: false,
            is_answered: false,
            unread: None,
            leaving: None,
            knows_interim: false,
        }
    }

    pub(super) fn stage(&self) -> Stage {
        self.stage
    }

    pub(super) fn framing(&self) -> &Framing {
        &self.framing
    }

    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    /// How many of `bytes` may be read now.
    pub(super) fn pass(&mut self, now: Instant, bytes: &[u8]) -> usize {
        let passed = self.framing.pass(bytes);
        let is_begun = !self.framing.is_between();
        match self.stage {
            Stage::Silent if is_begun => self.stage = Stage::Head,
            Stage::Idle if is_begun => self.enter(Stage::Head, now),
            _ => {}
        }
        passed
    }

    /// So many bytes of a body were read.
    pub(super) fn pass_body(&mut self, bytes: usize) {
        self.framing.pass_body(bytes);
    }

    /// A head was understood. Tells whether it gives the length of its body in two ways; `None` if
    /// it is not the head that was read.
    pub(super) fn request(
        &mut self,
        now: Instant,
        following: Following,
        knows_interim: bool,
    ) -> Option<bool> {
        self.enter(Stage::Request, now);
        self.is_answering = false;
        self.is_answered = false;
        self.knows_interim = knows_interim;
        let head = self.framing.follow(following)?;
        Some(head.has_two_lengths())
    }

    /// The answer begins.
    pub(super) fn answer(&mut self) {
        self.is_answering = true;
    }

    /// The answer is all there.
    pub(super) fn answered(&mut self) {
        self.is_answered = true;
    }

    /// So many bytes of answers were taken.
    pub(super) fn wrote(&mut self, now: Instant, bytes: usize) {
        if bytes > 0 {
            self.taken = now;
        }
        if let Some(pace) = &mut self.unread {
            pace.moved(now, bytes);
        }
    }

    /// No more bytes are taken at this moment.
    pub(super) fn blocked(&mut self, now: Instant, options: &ConnectionOptions) {
        let begin = || Pace::begin(now, options.write_wait, ANSWER_BYTES_PER_SECOND_MIN);
        self.unread.get_or_insert_with(begin);
    }

    /// Everything was taken that there is to be sent.
    pub(super) fn flushed(&mut self, now: Instant) {
        self.unread = None;
        let is_done = self.is_answered && !self.framing.is_in_body();
        if self.stage == Stage::Request && is_done {
            self.is_answered = false;
            self.enter(Stage::Idle, now);
        }
    }

    /// Only what is thrown away is still received.
    pub(super) fn linger(&mut self, now: Instant) {
        self.enter(Stage::Lingering, now);
    }

    /// The client has closed its side.
    pub(super) fn closed_its_side(&mut self, now: Instant) {
        self.leaving.get_or_insert(Leaving {
            look_at: now + LEAVE_WAIT,
            interval: LEFT_INTERVAL,
            is_asked: false,
        });
    }

    /// Whether it is time to find out if a client that has closed its side is still there. Once it
    /// is answered, the answer will tell.
    pub(super) fn look(&self, now: Instant) -> Look {
        match self.leaving {
            Some(leaving) if self.is_waited_for() && leaving.look_at <= now => {
                if leaving.is_asked {
                    Look::See
                } else {
                    Look::Ask
                }
            }
            _ => Look::Not,
        }
    }

    /// It was found to be there; it is looked again later.
    pub(super) fn looked(&mut self, now: Instant, is_asked: bool) {
        if let Some(leaving) = &mut self.leaving {
            leaving.look_at = now + leaving.interval;
            leaving.interval = (2 * leaving.interval).min(LEFT_INTERVAL_MAX);
            leaving.is_asked |= is_asked;
        }
    }

    /// Whether a client waits, or would if it were there, for an answer that has not begun, and can
    /// be asked.
    fn is_waited_for(&self) -> bool {
        self.stage == Stage::Request && self.knows_interim && !self.is_answering
    }

    /// When the connection is to be looked at again, if nothing happens before.
    pub(super) fn due(&self, options: &ConnectionOptions) -> Option<Instant> {
        let look_at = self.leaving.map(|leaving| leaving.look_at);
        let look_at = look_at.filter(|_| self.is_waited_for());
        [self.late_at(options), look_at].into_iter().flatten().min()
    }

    /// When the connection takes too long, if nothing happens before.
    pub(super) fn late_at(&self, options: &ConnectionOptions) -> Option<Instant> {
        match self.stage {
            Stage::Silent | Stage::Head => Some(self.since + options.header_wait),
            Stage::Idle => Some(self.since + options.idle_wait),
            Stage::Request => self.unread.map(|pace| pace.late_at()),
            Stage::Lingering => None,
        }
    }

    /// What the connection is worth when another one needs its place: first go those that never
    /// sent a whole request, then idle ones, each the oldest first; bodies that do not come and
    /// answers that nobody takes go last. `None` if it must not be closed.
    pub(super) fn worth(&self, now: Instant) -> Option<Worth> {
        let is_stalled = |since: Instant| now.saturating_duration_since(since) >= STALLED;
        let (class, since) = match self.stage {
            Stage::Lingering => (0, self.since),
            Stage::Silent | Stage::Head if is_stalled(self.since) => (1, self.since),
            Stage::Idle => (2, self.since),
            // Just opened: most likely the request is on its way.
            Stage::Silent | Stage::Head => (3, self.since),
            Stage::Request => {
                let is_awaited = self.framing.is_in_body() && is_stalled(self.heard);
                let is_unread = self.unread.is_some() && is_stalled(self.taken.max(self.since));
                if !is_awaited && !is_unread {
                    return None;
                }
                (4, self.heard.max(self.taken))
            }
        };
        Some(Worth { class, since })
    }

    fn enter(&mut self, stage: Stage, now: Instant) {
        self.stage = stage;
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

    fn after(begin: Instant, milliseconds: u64) -> Instant {
        begin + Duration::from_millis(milliseconds)
    }

    /// A connection whose request was received and begins now.
    fn asked(now: Instant, following: Following) -> Life {
        let mut life = Life::begin(now);
        assert_eq!(life.pass(now, HEAD), HEAD.len());
        assert_eq!(life.request(now, following, true), Some(false));
        life
    }

    #[test]
    fn each_stage_has_its_time() {
        let options = ConnectionOptions::default();
        let begin = Instant::now();
        let mut life = Life::begin(begin);
        let late = |life: &Life| life.late_at(&options);
        assert_eq!(late(&life), Some(begin + options.header_wait));
        // Neither empty lines nor a head that grows move the end of the first head.
        life.pass(after(begin, 500), b"\r\n");
        assert_eq!(life.stage(), Stage::Silent);
        life.pass(after(begin, 900), &HEAD[..5]);
        assert_eq!(life.stage(), Stage::Head);
        assert_eq!(late(&life), Some(begin + options.header_wait));
        life.pass(after(begin, 950), &HEAD[5..]);
        life.request(after(begin, 950), Following::Bytes(0), true);
        assert_eq!(late(&life), None, "work is bounded elsewhere");
        life.answer();
        life.blocked(after(begin, 1_000), &options);
        assert_eq!(late(&life), Some(after(begin, 1_000) + options.write_wait));
        life.answered();
        life.flushed(after(begin, 1_100));
        assert_eq!(life.stage(), Stage::Idle);
        assert_eq!(late(&life), Some(after(begin, 1_100) + options.idle_wait));
        life.pass(after(begin, 9_000), &HEAD[..1]);
        assert_eq!(late(&life), Some(after(begin, 9_000) + options.header_wait));
    }

    #[test]
    fn a_connection_is_not_idle_before_the_body_is_read() {
        let begin = Instant::now();
        let mut life = asked(begin, Following::Bytes(3));
        life.answer();
        life.answered();
        life.flushed(begin);
        assert_eq!(life.stage(), Stage::Request);
        life.pass_body(3);
        life.flushed(begin);
        assert_eq!(life.stage(), Stage::Idle);
    }

    #[test]
    fn it_is_found_out_whether_a_client_has_left() {
        let begin = Instant::now();
        let mut life = asked(begin, Following::Bytes(0));
        assert_eq!(life.look(after(begin, 9_000)), Look::Not);
        life.closed_its_side(begin);
        assert_eq!(life.look(after(begin, 99)), Look::Not);
        assert_eq!(life.look(after(begin, 100)), Look::Ask);
        life.looked(after(begin, 100), true);
        life.closed_its_side(after(begin, 110));
        assert_eq!(life.look(after(begin, 149)), Look::Not);
        assert_eq!(life.look(after(begin, 150)), Look::See);
        life.answer();
        assert_eq!(life.look(after(begin, 9_000)), Look::Not);
        // HTTP/1.0 knows no answer that is none yet.
        let mut old = Life::begin(begin);
        old.pass(begin, HEAD);
        old.request(begin, Following::Bytes(0), false);
        old.closed_its_side(begin);
        assert_eq!(old.look(after(begin, 9_000)), Look::Not);
    }

    #[test]
    fn who_never_asked_goes_before_who_is_idle_and_who_works_stays() {
        let begin = Instant::now();
        let now = after(begin, 5_000);
        let silent = Life::begin(begin);
        let mut older = Life::begin(begin - Duration::from_secs(1));
        older.pass(now, b"GET");
        let fresh = Life::begin(now);
        let mut idle = asked(begin, Following::Bytes(0));
        idle.answered();
        idle.flushed(begin);
        let sending = asked(begin, Following::Chunks);
        let mut order = [&fresh, &sending, &idle, &silent, &older].map(|life| life.worth(now));
        order.sort();
        let expected = [&older, &silent, &idle, &fresh, &sending].map(|life| life.worth(now));
        assert_eq!(order, expected);
        assert_eq!(asked(begin, Following::Bytes(0)).worth(now), None);
        assert_eq!(asked(now, Following::Chunks).worth(now), None);
    }

    #[test]
    fn a_long_answer_that_is_read_stays_and_one_that_is_not_goes() {
        let options = ConnectionOptions::default();
        let begin = Instant::now();
        let mut life = asked(begin, Following::Bytes(0));
        life.answer();
        life.blocked(begin, &options);
        life.wrote(after(begin, 60_000), 1_000);
        assert_eq!(life.worth(after(begin, 60_999)), None);
        life.wrote(after(begin, 61_500), 0);
        assert!(life.worth(after(begin, 61_000)).is_some());
    }
}
