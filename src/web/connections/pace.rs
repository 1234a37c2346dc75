//! How slow a peer may be.

use std::time::Duration;

use tokio::time::Instant;

/// A deadline that moves on as bytes do: whoever keeps the pace is never late.
///
/// A peer may pause for `wait`. Each byte buys the time that it may take at the least speed, but a
/// peer never has more than `wait` in hand.
#[derive(Clone, Copy, Debug)]
pub(in crate::web) struct Pace {
    wait: Duration,
    /// 0: every byte buys all of `wait`.
    bytes_per_second: usize,
    late_at: Instant,
}

impl Pace {
    pub(in crate::web) fn begin(now: Instant, wait: Duration, bytes_per_second: usize) -> Pace {
        Pace {
            wait,
            bytes_per_second,
            late_at: now + wait,
        }
    }

    /// So many bytes came, or were taken.
    pub(in crate::web) fn moved(&mut self, now: Instant, bytes: usize) {
        let most = now + self.wait;
        if bytes == 0 {
            return;
        }
        if self.bytes_per_second == 0 {
            self.late_at = most;
            return;
        }
        let bought = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
        self.late_at = (self.late_at + bought).min(most);
    }

    /// When the peer is late unless more bytes move.
    pub(in crate::web) fn late_at(&self) -> Instant {
        self.late_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_secs(10);

    /// When a peer that moves so many bytes each so many seconds is late, within an hour.
    fn late_after(bytes: usize, seconds: u64, bytes_per_second: usize) -> Option<u64> {
        let begin = Instant::now();
        let mut pace = Pace::begin(begin, WAIT, bytes_per_second);
        for second in 1..3_600 {
            let now = begin + Duration::from_secs(second);
            if pace.late_at() < now {
                return Some(second);
            }
            if second.is_multiple_of(seconds) {
                pace.moved(now, bytes);
            }
        }
        None
    }

    #[test]
    fn whoever_keeps_the_pace_is_never_late() {
        assert_eq!(late_after(1_024, 1, 1_024), None);
        assert_eq!(late_after(9 * 1_024, 9, 1_024), None);
        assert_eq!(late_after(1, 9, 0), None, "any byte will do");
    }

    #[test]
    fn whoever_does_not_is_late_after_the_grace() {
        assert_eq!(late_after(0, 1, 1_024), Some(11));
        assert_eq!(late_after(1, 1, 1_024), Some(11));
        assert_eq!(late_after(512, 1, 1_024), Some(20));
        assert_eq!(late_after(1_000_000, 20, 1_024), Some(11));
        assert_eq!(late_after(0, 1, 0), Some(11));
    }

    #[test]
    fn much_at_once_buys_no_long_pause() {
        let begin = Instant::now();
        let mut pace = Pace::begin(begin, WAIT, 1_024);
        pace.moved(begin, 100 << 20);
        assert_eq!(pace.late_at(), begin + WAIT);
    }
}
