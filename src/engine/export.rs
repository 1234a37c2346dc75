//! A whole gallery, to a file.

use std::path::Path;

use super::{EngineError, Gallery};
use crate::exchange::{Record, write_gallery};
use crate::partition::{Row, Snapshot, StoreError};
use crate::types::Timestamp;

/// Values that are read before the memory that shows them is given back: 64 MiB of them.
const VALUES_PER_RELEASE: usize = 1 << 24;

impl Gallery {
    /// Writes all templates, as they are at one moment, to a file, and returns how
    /// many there were. The end of its name decides on the format: `.jsonl`, `.npz` or `.parquet`.
    ///
    /// Imported again, they are the same: class, values bit by bit, time and quality. `progress` is
    /// told how many are written.
    ///
    /// # Errors
    ///
    /// If a segment is damaged, the name has no known end or is taken and `overwrite` is not set,
    /// or the disk fails.
    pub fn export(
        &self,
        path: &Path,
        overwrite: bool,
        mut progress: impl FnMut(u64),
    ) -> Result<u64, EngineError> {
        let snapshot = self.partition.snapshot();
        let rows = snapshot.templates() as u64;
        let dimension = snapshot.encoder().dimension();
        let mut most = 0;
        write_gallery(path, overwrite, rows, dimension, |visit| {
            let mut done = 0;
            each_template(&snapshot, &mut |record| {
                visit(record)?;
                done += 1;
                if done > most && done % 1024 == 0 {
                    most = done;
                    progress(done);
                }
                Ok(())
            })
        })?;
        Ok(rows)
    }
}

fn record(row: Row<'_>) -> Result<Record<'_>, StoreError> {
    let info = row.info()?;
    Ok(Record {
        class: row.class()?,
        values: row.values()?,
        enrolled: Some(Timestamp {
            unix_milliseconds: info.enrolled_unix_milliseconds,
        }),
        quality: info.quality,
    })
}

fn each_template(
    snapshot: &Snapshot,
    visit: &mut dyn FnMut(&Record<'_>) -> Result<(), EngineError>,
) -> Result<(), EngineError> {
    let rows_per_release = VALUES_PER_RELEASE / snapshot.encoder().dimension();
    for block in snapshot.blocks() {
        for (at, row) in block.live_rows().enumerate() {
            if at % rows_per_release == 0 {
                block.release();
            }
            visit(&record(row)?)?;
        }
        block.release();
    }
    Ok(())
}
