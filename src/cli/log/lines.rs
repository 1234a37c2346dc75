//! Lines on their way to a writer that may be slow, full or gone, from threads that must not wait.

use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

use crate::config::LogFormat;

/// The most bytes that wait: some 8,000 lines. Twice as many are held, since those that are being
/// written leave the queue first.
const WAITING_BYTES_MAX: usize = 1 << 20;
/// How long a writer is left alone that says that it cannot take anything at the moment. Another
/// program that has the same pipe or terminal open may have told the system to say so.
const BUSY_PAUSE: Duration = Duration::from_millis(10);

/// A queue of lines, and a thread that writes them. Clones share both.
///
/// Nobody who adds a line waits for the writer: a line that finds the queue full is dropped, and so
/// is one that cannot be written. How many were is counted, and written when lines go through again.
#[derive(Clone)]
pub(super) struct Lines(Arc<Shared>);

struct Shared {
    queue: Mutex<Queue>,
    added: Condvar,
    written: Condvar,
    dropped: AtomicU64,
    format: LogFormat,
}

#[derive(Default)]
struct Queue {
    /// Whole lines.
    waiting: Vec<u8>,
    is_writing: bool,
}

impl Lines {
    /// A queue for `writer`, and its thread.
    ///
    /// # Errors
    ///
    /// If the system gives no thread.
    pub(super) fn start(
        writer: impl Write + Send + 'static,
        format: LogFormat,
    ) -> io::Result<Lines> {
        let lines = Lines(Arc::new(Shared {
            queue: Mutex::default(),
            added: Condvar::new(),
            written: Condvar::new(),
            dropped: AtomicU64::new(0),
            format,
        }));
        let theirs = lines.clone();
        let mut sink = Sink {
            writer,
            format,
            is_torn: false,
            told: 0,
        };
        let thread = thread::Builder::new().name("log".to_owned());
        thread.spawn(move || theirs.write_for_ever(&mut sink))?;
        Ok(lines)
    }

    /// Adds whole lines, all or none.
    pub(super) fn add(&self, lines: &[u8]) {
        let mut queue = self.queue();
        if queue.waiting.len() + lines.len() > WAITING_BYTES_MAX {
            drop(queue);
            self.are_dropped(lines);
            return;
        }
        queue.waiting.extend_from_slice(lines);
        drop(queue);
        self.0.added.notify_one();
    }

    /// A line of the log.
    pub(super) fn line(&self, level: &str, words: &str) -> String {
        line(self.0.format, level, words)
    }

    /// What people are told, as a line. Of those who read lines of the log it is one.
    pub(super) fn told(&self, words: &str) -> String {
        let level = match words {
            words if words.starts_with("error") => "ERROR",
            words if words.starts_with("warning") => "WARN",
            _ => "INFO",
        };
        match self.0.format {
            LogFormat::Text => format!("{words}\n"),
            LogFormat::Json => self.line(level, words),
        }
    }

    /// How many lines were dropped since the start.
    pub(super) fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    /// Waits until all lines are written or dropped, but no longer than `patience`.
    pub(super) fn finish(&self, patience: Duration) {
        let is_busy = |queue: &mut Queue| queue.is_writing || !queue.waiting.is_empty();
        let waited = self
            .0
            .written
            .wait_timeout_while(self.queue(), patience, is_busy);
        drop(waited);
    }

    /// Nothing panics while it holds the lock, so a poisoned one is whole.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn are_dropped(&self, lines: &[u8]) {
        let ends = lines.iter().filter(|&&byte| byte == b'\n').count();
        let count = u64::try_from(ends.max(1)).unwrap_or(u64::MAX);
        self.0.dropped.fetch_add(count, Ordering::Relaxed);
    }

    fn write_for_ever(&self, sink: &mut Sink<impl Write>) {
        let mut batch = Vec::new();
        loop {
            let mut queue = self.queue();
            while queue.waiting.is_empty() {
                let woken = self.0.added.wait(queue);
                queue = woken.unwrap_or_else(PoisonError::into_inner);
            }
            std::mem::swap(&mut queue.waiting, &mut batch);
            queue.is_writing = true;
            drop(queue);
            let lost = sink.write(&batch, self.dropped());
            if !lost.is_empty() {
                self.are_dropped(lost);
            }
            batch.clear();
            self.queue().is_writing = false;
            self.0.written.notify_all();
        }
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines")
            .field("dropped", &self.dropped())
            .finish_non_exhaustive()
    }
}

impl Write for &Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.add(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Lines;

    fn make_writer(&'a self) -> &'a Lines {
        self
    }
}

/// Where lines go, and what became of the last.
struct Sink<W> {
    writer: W,
    format: LogFormat,
    /// The last line is there in part.
    is_torn: bool,
    /// How many dropped lines were written of.
    told: u64,
}

impl<W: Write> Sink<W> {
    /// Writes lines, behind one about those that were dropped before. Returns what could not be written,
    /// with the line that was torn.
    fn write<'a>(&mut self, lines: &'a [u8], dropped: u64) -> &'a [u8] {
        if self.is_torn && self.put(b"\n") == 0 {
            return lines;
        }
        self.is_torn = false;
        let count = dropped - self.told;
        if count > 0 {
            let words = match count {
                1 => "1 line of the log was dropped".to_owned(),
                _ => format!("{count} lines of the log were dropped"),
            };
            let notice = line(self.format, "WARN", &words);
            if self.put_lines(notice.as_bytes()) < notice.len() {
                return lines;
            }
            self.told = dropped;
        }
        let written = self.put_lines(lines);
        &lines[written..]
    }

    /// Returns how many bytes of whole lines were written.
    fn put_lines(&mut self, lines: &[u8]) -> usize {
        let written = self.put(lines);
        let last_end = lines[..written].iter().rposition(|&byte| byte == b'\n');
        let whole = last_end.map_or(0, |at| at + 1);
        self.is_torn = whole < written;
        whole
    }

    /// Returns how many bytes were written.
    fn put(&mut self, bytes: &[u8]) -> usize {
        let mut written = 0;
        while written < bytes.len() {
            match self.writer.write(&bytes[written..]) {
                Ok(0) => break,
                Ok(more) => written += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(BUSY_PAUSE),
                Err(_full_or_gone) => break,
            }
        }
        written
    }
}

/// A line as the subscriber writes them, without its help: about the log itself, or at a moment when
/// the subscriber may be at work.
fn line(format: LogFormat, level: &str, words: &str) -> String {
    let mut time = String::new();
    // Into memory, which takes everything.
    let _ = SystemTime.format_time(&mut Writer::new(&mut time));
    match format {
        LogFormat::Text => format!("{time} {level:>5} vultus: {words}\n"),
        LogFormat::Json => {
            let line = json!({
                "timestamp": time,
                "level": level,
                "message": words,
                "target": "vultus",
            });
            format!("{line}\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// A writer that takes what it is told to: each number is of bytes, `None` an error. Afterwards it
    /// takes everything.
    #[derive(Clone, Default)]
    struct Disk {
        taken: Arc<Mutex<Vec<u8>>>,
        plan: Arc<Mutex<Vec<Option<usize>>>>,
    }

    impl Disk {
        fn with_plan(plan: &[Option<usize>]) -> Disk {
            let disk = Disk::default();
            *disk.plan.lock().unwrap() = plan.iter().rev().copied().collect();
            disk
        }

        fn text(&self) -> String {
            String::from_utf8(self.taken.lock().unwrap().clone()).unwrap()
        }

        /// What it holds, without the times of lines about dropped ones.
        fn lines(&self) -> Vec<String> {
            let text = self.text();
            let lines = text.lines().map(|line| match line.split_once(" vultus: ") {
                Some((_time, words)) => words.to_owned(),
                None => line.to_owned(),
            });
            lines.collect()
        }
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let most = match self.plan.lock().unwrap().pop() {
                None => bytes.len(),
                Some(None) => return Err(io::Error::from(ErrorKind::StorageFull)),
                Some(Some(most)) => most.min(bytes.len()),
            };
            self.taken.lock().unwrap().extend_from_slice(&bytes[..most]);
            Ok(most)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Adds a line and waits for it.
    fn add(lines: &Lines, line: &str) {
        lines.add(format!("{line}\n").as_bytes());
        lines.finish(PATIENCE);
    }

    #[test]
    fn lines_come_in_order_and_whole() {
        let disk = Disk::with_plan(&[Some(1), Some(3), Some(2)]);
        let lines = Lines::start(disk.clone(), LogFormat::Text).unwrap();
        for line in ["first", "second", "third"] {
            lines.add(format!("{line}\n").as_bytes());
        }
        lines.finish(PATIENCE);
        assert_eq!(disk.text(), "first\nsecond\nthird\n");
        assert_eq!(lines.dropped(), 0);
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_told_when_there_is_room() {
        let disk = Disk::with_plan(&[None, None, None]);
        let lines = Lines::start(disk.clone(), LogFormat::Text).unwrap();
        add(&lines, "one");
        // The line about the first fails here, and with it this one.
        add(&lines, "two\nof two lines");
        add(&lines, "three");
        assert_eq!((disk.text().as_str(), lines.dropped()), ("", 4));
        add(&lines, "four");
        add(&lines, "five");
        let expected = ["4 lines of the log were dropped", "four", "five"];
        assert_eq!(disk.lines(), expected);
        assert_eq!(lines.dropped(), 4);
    }

    #[test]
    fn a_torn_line_is_counted_and_the_next_begins_anew() {
        let disk = Disk::with_plan(&[Some(3), None, None]);
        let lines = Lines::start(disk.clone(), LogFormat::Text).unwrap();
        add(&lines, "torn");
        // The end of the torn line fails, too.
        add(&lines, "lost");
        add(&lines, "whole");
        let expected = ["tor", "2 lines of the log were dropped", "whole"];
        assert_eq!(disk.lines(), expected);

        // Two lines at once, of which the disk takes the first and a part of the second.
        let disk = Disk::with_plan(&[Some(6), None]);
        let lines = Lines::start(disk.clone(), LogFormat::Text).unwrap();
        add(&lines, "one\ntwo");
        assert_eq!(lines.dropped(), 1);
        add(&lines, "three");
        let expected = ["one", "tw", "1 line of the log was dropped", "three"];
        assert_eq!(disk.lines(), expected);
    }

    /// A writer that waits for a word before it takes anything.
    struct Stalled(mpsc::Receiver<()>, Disk);

    impl Write for Stalled {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // A closed channel lets everything through.
            let _ = self.0.recv();
            self.1.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_writer_that_stalls_holds_nobody_up_and_a_bounded_number_of_lines() {
        let disk = Disk::default();
        let (go, wait) = mpsc::channel();
        let lines = Lines::start(Stalled(wait, disk.clone()), LogFormat::Text).unwrap();
        let line = format!("{}\n", "x".repeat(999));
        let count = 5 * WAITING_BYTES_MAX / line.len();
        for _ in 0..count {
            lines.add(line.as_bytes());
        }
        lines.finish(Duration::from_millis(10));
        assert_eq!(disk.text(), "");
        let held = 2 * WAITING_BYTES_MAX / line.len();
        let dropped = usize::try_from(lines.dropped()).unwrap();
        assert!((count - held..count).contains(&dropped), "{dropped}");
        drop(go);
        add(&lines, "the last");
        let text = disk.lines();
        // The last may have found the queue still full.
        let told: u64 = text
            .iter()
            .filter(|line| line.contains("dropped"))
            .map(|line| number(line))
            .sum();
        let written = text.iter().filter(|found| found.len() == 999).count();
        assert_eq!(written + dropped, count);
        assert!(told >= lines.dropped() - 1, "{told}");
    }

    fn number(line: &str) -> u64 {
        line.split(' ').next().unwrap().parse().unwrap()
    }

    #[test]
    fn a_writer_that_is_busy_for_a_moment_is_asked_again() {
        struct Busy(u32, Disk);
        impl Write for Busy {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0 += 1;
                match self.0 {
                    1 => Err(ErrorKind::WouldBlock.into()),
                    2 => Err(ErrorKind::Interrupted.into()),
                    _ => self.1.write(bytes),
                }
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let disk = Disk::default();
        let lines = Lines::start(Busy(0, disk.clone()), LogFormat::Text).unwrap();
        add(&lines, "patience");
        assert_eq!((disk.text().as_str(), lines.dropped()), ("patience\n", 0));
    }

    #[test]
    fn a_line_of_our_own_looks_like_any() {
        let line = line(LogFormat::Text, "WARN", "words");
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(time.ends_with('Z') && time.contains('T'), "{line}");
        assert_eq!(rest, " WARN vultus: words\n");
    }

    #[test]
    fn lines_of_json_are_objects_whatever_is_said() {
        let lines = Lines::start(Disk::default(), LogFormat::Json).unwrap();
        let odd = "a \"quoted\" word,\na second line, \u{1b}[31m and \\";
        for (line, level) in [
            (lines.line("ERROR", odd), "ERROR"),
            (lines.told(odd), "INFO"),
            (lines.told("error: no"), "ERROR"),
            (lines.told("warning: perhaps"), "WARN"),
        ] {
            assert_eq!(line.matches('\n').count(), 1, "{line}");
            let line: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!(line["level"], level);
            assert!(line["timestamp"].is_string() && line["target"] == "vultus");
        }
    }
}
