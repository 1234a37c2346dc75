//! The report of refused items.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::draft::Draft;
use super::{ExchangeError, RefusedItem};
use crate::partition::private;

/// A file with a line of JSON for each item that was refused:
/// `{"item":3,"line":4,"reason":"the line is empty"}`. It is made when the first is.
#[derive(Debug)]
pub struct RefusedFile {
    path: PathBuf,
    file: Option<File>,
    bytes: u64,
}

impl RefusedFile {
    /// Begins a report, of which nothing is seen before an item is refused. Makes sure that it can
    /// be written. A report that is there is removed with `overwrite`.
    ///
    /// # Errors
    ///
    /// If a file of that name is there and is not to be overwritten, or its folder cannot be
    /// written.
    pub fn begin(path: &Path, overwrite: bool) -> Result<RefusedFile, ExchangeError> {
        let path = path.to_owned();
        if !overwrite && path.exists() {
            return Err(ExchangeError::Exists { path });
        }
        drop(Draft::create(&path)?);
        if path.exists() {
            std::fs::remove_file(&path).map_err(ExchangeError::io("remove", &path))?;
        }
        Ok(RefusedFile {
            path,
            file: None,
            bytes: 0,
        })
    }

    /// Goes on with a report of which `bytes` bytes are certain; what follows them is cut off.
    ///
    /// # Errors
    ///
    /// If it is shorter than that, or cannot be written.
    pub fn resume(path: &Path, bytes: u64) -> Result<RefusedFile, ExchangeError> {
        let mut report = RefusedFile {
            path: path.to_owned(),
            file: None,
            bytes,
        };
        if bytes == 0 && !path.exists() {
            return Ok(report);
        }
        let mut file = private::reopen(path).map_err(ExchangeError::io("open", path))?;
        let metadata = file.metadata().map_err(ExchangeError::io("read", path))?;
        if metadata.len() < bytes {
            let (path, found) = (path.to_owned(), metadata.len());
            let what = format!("it was left with {bytes} bytes or more, it has {found}");
            return Err(ExchangeError::NotResumable { path, what });
        }
        file.set_len(bytes)
            .and_then(|()| file.seek(SeekFrom::Start(bytes)))
            .map_err(ExchangeError::io("write", path))?;
        report.file = Some(file);
        Ok(report)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds items. They are on disk when this returns, which says how long the report is then.
    ///
    /// # Errors
    ///
    /// If the disk fails.
    pub fn append(&mut self, refusals: &[RefusedItem]) -> Result<u64, ExchangeError> {
        if refusals.is_empty() {
            return Ok(self.bytes);
        }
        let mut lines = Vec::new();
        for refusal in refusals {
            // Into memory, which takes everything.
            let _ = serde_json::to_writer(&mut lines, refusal);
            lines.push(b'\n');
        }
        let path = &self.path;
        if self.file.is_none() {
            self.file = Some(private::create(path).map_err(ExchangeError::io("create", path))?);
        }
        if let Some(file) = &mut self.file {
            let written = file.write_all(&lines).and_then(|()| file.sync_data());
            written.map_err(ExchangeError::io("write", path))?;
        }
        self.bytes += lines.len() as u64;
        Ok(self.bytes)
    }
}
