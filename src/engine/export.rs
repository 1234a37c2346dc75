//! A whole gallery, to a file.

use std::path::Path;

use super::{EngineError, Gallery};
use crate::exchange::{Record, write_gallery};
use crate::partition::{Partition, RecordReader, Snapshot};
use crate::types::Timestamp;

/// Values that are read before the memory that shows them is given back: 64 MiB of them.
const VALUES_PER_RELEASE: usize = 1 << 24;

/// What an export writes, and what of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExportOptions {
    /// Whether a file of that name is replaced.
    pub overwrite: bool,
    /// Whether nothing is written of what is known of people.
    pub templates_only: bool,
}

/// Rows of which it is asked together what is known of their people.
const ROWS_ASKED_TOGETHER: usize = 1024;

impl Gallery {
    /// Writes all templates, as they are at one moment, to a file, and returns how
    /// many there were. The end of its name decides on the format: `.jsonl`, `.npz` or `.parquet`.
    ///
    /// Imported again, they are the same: class, values bit by bit, time and quality; and so is what is
    /// known of their people, but for the classes that they are not. `progress` is told how many are written.
    ///
    /// # Errors
    ///
    /// If a segment or the catalog is damaged, the name has no known end or is taken and is not to
    /// be replaced, or the disk fails.
    pub fn export(
        &self,
        path: &Path,
        options: ExportOptions,
        mut progress: impl FnMut(u64),
    ) -> Result<u64, EngineError> {
        self.partition
            .with_records(|snapshot, people| -> Result<u64, EngineError> {
                let rows = snapshot.templates() as u64;
                let dimension = snapshot.encoder().dimension();
                let with_people = !options.templates_only && people.are_any()?;
                let (mut most, file) = (0, (path, options.overwrite));
                write_gallery(file, rows, dimension, with_people, |with_people, visit| {
                    let mut done = 0;
                    let people = with_people.then_some(people);
                    each_template(&self.partition, snapshot, people, &mut |record| {
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
            })?
    }
}

fn each_template(
    partition: &Partition,
    snapshot: &Snapshot,
    people: Option<&RecordReader<'_>>,
    visit: &mut dyn FnMut(&Record<'_>) -> Result<(), EngineError>,
) -> Result<(), EngineError> {
    let rows_per_release = VALUES_PER_RELEASE / snapshot.encoder().dimension();
    for block in snapshot.blocks() {
        let (mut pass, mut seen) = (partition.pass(block)?, 0);
        while let Some(some) = pass.some(ROWS_ASKED_TOGETHER)? {
            let mut known = match people {
                Some(people) => people.of(&some.classes().collect::<Vec<_>>())?,
                None => Vec::new(),
            }
            .into_iter();
            for (class, info, values) in some.iter() {
                let known = known.next().filter(|known| !known.is_empty());
                seen += 1;
                visit(&Record {
                    class,
                    values,
                    enrolled: Some(Timestamp {
                        unix_milliseconds: info.enrolled_unix_milliseconds,
                    }),
                    quality: info.quality,
                    person: known.map(Box::new),
                })?;
            }
            if seen >= rows_per_release {
                seen = 0;
                block.release();
            }
        }
        block.release();
    }
    Ok(())
}
