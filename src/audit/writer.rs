//! The log that is being written: one thread, which writes all records that wait together, with a head
//! behind them, and syncs once.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::error::AuditError;
use super::folder::{self, AuditFile, Identity};
use super::head::Head;
use super::mending::{self, End};
use super::queue::{AuditCounts, Done, Queue, Waiting};
use super::record::Record;
use super::signing::AuditKey;
use crate::types::Timestamp;

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditOptions {
    /// Whether somebody waits for records: then they are written at once, else some together.
    pub is_strict: bool,
    /// A file that has as many bytes is followed by another.
    pub file_bytes_max: u64,
    /// How long records are kept: a file goes when all that is in it is older. For good if `None`.
    pub keep: Option<Duration>,
}

impl Default for AuditOptions {
    fn default() -> AuditOptions {
        AuditOptions {
            is_strict: false,
            file_bytes_max: 64 << 20,
            keep: None,
        }
    }
}

/// How long records wait for others where nobody waits for them: one sync for all of them.
const PATIENCE: Duration = Duration::from_millis(500);

/// Where records are kept for a time, a file is followed by another after this part of it: so much longer are
/// they kept at most.
const FILES_IN_TIME: u32 = 8;

/// An audit log that is open to be written. When it is dropped, all that waits is written first.
#[derive(Debug)]
pub struct AuditLog {
    queue: Arc<Queue>,
    written: Arc<Mutex<Head>>,
    is_strict: bool,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What the thread works on.
struct Writing {
    folder: PathBuf,
    /// Which folder that was when the log was opened.
    folder_identity: Identity,
    key: AuditKey,
    options: AuditOptions,
    head: Head,
    /// The last file, its length, and where it is.
    file: Option<(File, u64, PathBuf)>,
    /// When that was begun.
    begun: Option<Timestamp>,
    /// Whether it was said that the log is no longer at its place.
    is_moved: bool,
    /// Whether the file has something at its end that could not be cut off.
    is_broken: bool,
}

impl AuditLog {
    /// Opens the log in `folder`, which is made if it is missing, and mends what a crash left of its end.
    /// Nobody else may have it open: whoever holds the data directory. If it has not what was before
    /// `known`, a place that was seen once, a record says so for good.
    ///
    /// # Errors
    ///
    /// If the folder cannot be read or written, or something is damaged that a head stands behind.
    pub fn open(
        folder: &Path,
        key: AuditKey,
        options: AuditOptions,
        known: Option<&Head>,
        now: Timestamp,
    ) -> Result<AuditLog, AuditError> {
        folder::make(folder)?;
        let End {
            head,
            file,
            dropped,
        } = mending::mend(folder)?;
        let lost = match known {
            Some(known) if !mending::has(folder, &head, known)? => Some(known.sequence),
            _ => None,
        };
        let identity = folder::identity(folder);
        let mut writing = Writing {
            folder: folder.to_owned(),
            folder_identity: identity.map_err(AuditError::io("looking at", folder))?,
            key,
            options,
            head,
            file,
            begun: None,
            is_moved: false,
            is_broken: false,
        };
        writing.begun = match folder::files(folder)?.last() {
            Some(last) => folder::begun(last)?,
            None => None,
        };
        if let Some(bytes) = dropped {
            let push = |head: &mut Head, text: &mut Vec<u8>| head.push_recovered(bytes, now, text);
            let mended = writing.write(push, now);
            mended.map_err(AuditError::io("writing the audit log", folder))?;
        }
        if let Some(known) = lost {
            tracing::error!(
                folder = %folder.display(),
                known = known.saturating_sub(1),
                "the audit log is shorter than it was, or another one"
            );
            let push = |head: &mut Head, text: &mut Vec<u8>| head.push_replaced(known, now, text);
            let told = writing.write(push, now);
            told.map_err(AuditError::io("writing the audit log", folder))?;
        }
        writing.prune(now);
        let queue = Arc::new(Queue::default());
        let written = Arc::new(Mutex::new(writing.head.clone()));
        let (theirs, known) = (queue.clone(), written.clone());
        let thread = thread::Builder::new()
            .name("vultus-audit".to_owned())
            .spawn(move || writing.run(&theirs, &known))
            .map_err(AuditError::io("starting a thread for", folder))?;
        Ok(AuditLog {
            queue,
            written,
            is_strict: options.is_strict,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Whether records are waited for.
    pub fn is_strict(&self) -> bool {
        self.is_strict
    }

    /// Writes a record. `done` is called when it is on disk, or is known not to come there.
    pub fn record(&self, record: Record, done: Option<Done>) {
        self.queue.push(Waiting { record, done });
    }

    /// What is on disk: all that comes before this place.
    pub fn head(&self) -> Head {
        let head = self.written.lock();
        head.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends the log when all that waits is written. What comes later is lost.
    pub fn close(&self) {
        self.queue.close();
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take() {
            let _panicked = thread.join();
        }
    }

    /// What became of records.
    pub fn counts(&self) -> AuditCounts {
        self.queue.counts()
    }
}

impl Drop for AuditLog {
    fn drop(&mut self) {
        self.close();
    }
}

impl Writing {
    fn run(mut self, queue: &Queue, written: &Mutex<Head>) {
        let patience = match self.options.is_strict {
            true => Duration::ZERO,
            false => PATIENCE,
        };
        loop {
            let batch = queue.take(patience);
            let Some(last) = batch.last() else {
                return;
            };
            let now = last.record.time;
            let push = |head: &mut Head, text: &mut Vec<u8>| {
                for one in &batch {
                    head.push_record(&one.record, text);
                }
            };
            let result = self.write(push, now);
            if let Err(error) = &result {
                let records = batch.len();
                tracing::error!(%error, records, "cannot write the audit log: records are lost");
            }
            let mut known = written.lock().unwrap_or_else(PoisonError::into_inner);
            known.clone_from(&self.head);
            drop(known);
            queue.end(batch, result.is_ok());
        }
    }

    /// Writes lines with a head behind them, all or nothing, and syncs them. Where that begins a file, those
    /// whose time is over go.
    fn write(
        &mut self,
        push: impl FnOnce(&mut Head, &mut Vec<u8>),
        now: Timestamp,
    ) -> io::Result<()> {
        if self.is_broken {
            return Err(io::Error::other("its end could not be mended before"));
        }
        self.check_place()?;
        if self.append(push, now)? {
            self.prune(now);
        }
        Ok(())
    }

    /// Writes lines with a head behind them. Returns whether that has begun a file.
    fn append(
        &mut self,
        push: impl FnOnce(&mut Head, &mut Vec<u8>),
        now: Timestamp,
    ) -> io::Result<bool> {
        let (mut head, mut text) = (self.head.clone(), Vec::new());
        push(&mut head, &mut text);
        head.push_head(&self.key, now, &mut text);
        let is_full = |(_, length, _): &(File, u64, PathBuf)| {
            *length > 0 && length + text.len() as u64 > self.options.file_bytes_max
        };
        let is_old = |keep: Duration| {
            let begun = self.begun.map(|begun| begun.after(keep / FILES_IN_TIME));
            begun.is_some_and(|until| until <= now)
        };
        let is_old = self.options.keep.is_some_and(is_old);
        let begins = is_old || self.file.as_ref().is_none_or(is_full);
        if begins {
            let made = folder::create(&self.folder, self.head.sequence);
            let (file, path) = made.map_err(io::Error::other)?;
            self.file = Some((file, 0, path));
            self.begun = Some(now);
        }
        let Some((file, length, _)) = &mut self.file else {
            return Err(io::Error::other("there is no file"));
        };
        let written = file.write_all(&text).and_then(|()| file.sync_data());
        if let Err(error) = written {
            // Half a batch must not stand before the next one.
            self.is_broken = file.set_len(*length).is_err();
            return Err(error);
        }
        *length += text.len() as u64;
        self.head = head;
        Ok(begins)
    }

    /// Removes the files whose time is over. First it is written, and signed, with which number the log begins
    /// then: whoever verifies it can tell that from files that somebody else has taken away.
    fn prune(&mut self, now: Timestamp) {
        let pruned = self.expired(now).and_then(|expired| {
            let Some((first, files)) = expired else {
                return Ok(());
            };
            let push = |head: &mut Head, text: &mut Vec<u8>| head.push_pruned(first, now, text);
            let written = self.append(push, now);
            written.map_err(AuditError::io("writing the audit log", &self.folder))?;
            folder::remove(&self.folder, &files)?;
            tracing::info!(
                files = files.len(),
                first,
                "removed audit files whose time is over"
            );
            Ok(())
        });
        if let Err(error) = pruned {
            // Records are written all the same; it is tried again with the next file.
            tracing::error!(%error, "cannot remove audit files whose time is over");
        }
    }

    /// The files whose time is over, and the number that the one behind them begins with.
    fn expired(&self, now: Timestamp) -> Result<Option<(u64, Vec<AuditFile>)>, AuditError> {
        let Some(keep) = self.options.keep.filter(|_| !self.is_moved) else {
            return Ok(None);
        };
        let mut files = folder::files(&self.folder)?;
        let mut gone = 0;
        // Never the last, which is written.
        for file in files.iter().rev().skip(1).rev() {
            let ended = folder::ended(file)?;
            if ended.is_none_or(|ended| ended.after(keep) > now) {
                break;
            }
            gone += 1;
        }
        files.truncate(gone + 1);
        let first = files.pop().filter(|_| gone > 0);
        Ok(first.map(|next| (next.first, files)))
    }

    /// Whether the names of the folder and of the last file still lead to them. What was moved away, replaced
    /// or removed would be written for nobody: where records are waited for that is an error until it is
    /// back; else it is said, and the records go where the log went.
    fn check_place(&mut self) -> io::Result<()> {
        let is_there = |path: &Path, known: Identity| {
            folder::identity(path).is_ok_and(|identity| identity == known)
        };
        let mut is_moved = !is_there(&self.folder, self.folder_identity);
        if let Some((file, _, path)) = &self.file {
            let known = file.metadata().map(|it| (it.dev(), it.ino()))?;
            is_moved |= !is_there(path, known);
        }
        let was_moved = std::mem::replace(&mut self.is_moved, is_moved);
        if !is_moved {
            return Ok(());
        }
        if self.options.is_strict {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "it was moved away, replaced or removed",
            ));
        }
        if !was_moved {
            let folder = self.folder.display();
            tracing::error!(%folder, "the audit log was moved away, replaced or removed");
        }
        Ok(())
    }
}
