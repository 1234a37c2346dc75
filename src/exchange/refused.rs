//! The report of refused items.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::draft::{Draft, refuse_existing};
use super::report::ReportBegun;
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
    /// Begins a report, or goes on with it.
    ///
    /// # Errors
    ///
    /// As [`RefusedFile::begin`] and [`RefusedFile::resume`].
    pub fn open(path: &Path, begun: ReportBegun) -> Result<RefusedFile, ExchangeError> {
        match begun {
            ReportBegun::Anew { overwrite } => RefusedFile::begin(path, overwrite),
            ReportBegun::Resumed { items, refused } => RefusedFile::resume(path, items, refused),
        }
    }

    /// Begins a report, of which nothing is seen before an item is refused. Makes sure that it can
    /// be written. A report that is there is removed with `overwrite`.
    ///
    /// # Errors
    ///
    /// If a file of that name is there and is not to be overwritten, or its folder cannot be
    /// written.
    pub fn begin(path: &Path, overwrite: bool) -> Result<RefusedFile, ExchangeError> {
        refuse_existing(path, overwrite)?;
        let path = path.to_owned();
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

    /// Goes on with a report of an import of which so many items are certain, of which so many were
    /// refused; what it says of later ones is cut off.
    ///
    /// # Errors
    ///
    /// If it does not say that of as many items, or cannot be written.
    pub fn resume(path: &Path, items: u64, refused: u64) -> Result<RefusedFile, ExchangeError> {
        let mut report = RefusedFile {
            path: path.to_owned(),
            file: None,
            bytes: 0,
        };
        if refused == 0 && !path.exists() {
            return Ok(report);
        }
        let mut file = private::reopen(path).map_err(ExchangeError::io("open", path))?;
        let certain = certain(&file, items).map_err(ExchangeError::io("read", path))?;
        let (found, bytes) = certain;
        if found != refused {
            let (path, lines) = (path.to_owned(), "lines of what is certain");
            let what = format!("it was left with {refused} {lines}, it has {found}");
            return Err(ExchangeError::NotResumable { path, what });
        }
        file.set_len(bytes)
            .and_then(|()| file.seek(SeekFrom::Start(bytes)))
            .map_err(ExchangeError::io("write", path))?;
        (report.file, report.bytes) = (Some(file), bytes);
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

/// How many lines a report begins with that are about the first `items`, and how many bytes these lines
/// have.
fn certain(file: &File, items: u64) -> io::Result<(u64, u64)> {
    #[derive(Deserialize)]
    struct About {
        item: u64,
    }
    let (mut lines, mut bytes, mut line) = (0, 0, Vec::new());
    let mut from = BufReader::new(file);
    loop {
        line.clear();
        from.read_until(b'\n', &mut line)?;
        let about = serde_json::from_slice(&line).ok();
        let is_certain = about.is_some_and(|About { item }| item < items);
        if !is_certain || !line.ends_with(b"\n") {
            return Ok((lines, bytes));
        }
        (lines, bytes) = (lines + 1, bytes + line.len() as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Refused;
    use super::*;

    fn refusals(items: &[u64]) -> Vec<RefusedItem> {
        let refusal = |item: &u64| RefusedItem {
            item: *item,
            refused: Refused::new("it is none"),
        };
        items.iter().map(refusal).collect()
    }

    #[test]
    fn a_report_goes_on_behind_what_is_certain() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("report");
        let mut report = RefusedFile::begin(&path, false).unwrap();
        report.append(&refusals(&[1, 4, 9])).unwrap();
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{whole}{{\"item\":1")).unwrap();
        for (items, refused) in [(0, 1), (5, 1), (5, 3), (10, 2), (100, 4)] {
            let error = RefusedFile::resume(&path, items, refused).unwrap_err();
            assert!(matches!(error, ExchangeError::NotResumable { .. }));
        }
        // Of item 9 it was not certain: what is found now may be another thing.
        let mut report = RefusedFile::resume(&path, 9, 2).unwrap();
        report.append(&refusals(&[10])).unwrap();
        let now = std::fs::read_to_string(&path).unwrap();
        assert_eq!(now, whole.replace("\"item\":9", "\"item\":10"));
        // One in which nothing is certain is empty again, and one that never was begins.
        drop(RefusedFile::resume(&path, 0, 0).unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), b"");
        std::fs::remove_file(&path).unwrap();
        let mut report = RefusedFile::resume(&path, 3, 0).unwrap();
        report.append(&refusals(&[3])).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 1);
    }
}
