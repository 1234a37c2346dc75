//! Many ready embeddings at once, from a file.

use std::path::Path;

use super::{Engine, EngineError};
use crate::exchange::{ClassFile, EmbeddingFile, ExchangeError};
use crate::types::{ClassId, EncoderId, PartitionId, Timestamp};

/// Rows that are read before they are coded.
const BATCH_ROWS: usize = 1024;

impl Engine {
    /// Adds all embeddings of an open file to a partition, and returns how many there were.
    ///
    /// Classes are read from `classes`, or are the row numbers from 1. Nothing is seen by a search,
    /// and nothing stays after a failure, until all rows are durable. `progress` is told how many
    /// rows are done.
    ///
    /// # Errors
    ///
    /// If a row is no embedding, the numbers of rows differ, the partition belongs to another
    /// encoder or dimension, or the disk fails.
    pub fn import(
        &self,
        id: &PartitionId,
        encoder: &EncoderId,
        embeddings: &mut EmbeddingFile,
        mut classes: Option<(&Path, &mut ClassFile)>,
        now: Timestamp,
        mut progress: impl FnMut(usize),
    ) -> Result<usize, EngineError> {
        if embeddings.dimension() != encoder.dimension() {
            let (found, encoder) = (embeddings.dimension(), encoder.clone());
            return Err(EngineError::Dimension { found, encoder });
        }
        let rows = embeddings.rows();
        if let Some((path, classes)) = &classes
            && classes.rows() != rows
        {
            return Err(EngineError::Exchange(ExchangeError::Contents {
                path: path.to_path_buf(),
                expected: format!("one class for each of {rows} rows"),
                found: format!("{} classes", classes.rows()),
            }));
        }
        if rows == 0 {
            return Err(EngineError::NoSamples);
        }
        // Before a partition is made: one made for a file that is refused would stay bound to its
        // encoder.
        embeddings.check()?;
        let partition = self.store().partition_for(id, encoder, now)?;
        let mut import = partition.import(encoder, rows, now)?;
        let mut done = 0;
        while done < rows {
            for row in embeddings.read(BATCH_ROWS)?.outer_iter() {
                done += 1;
                let class = match &mut classes {
                    Some((_, classes)) => classes.read()?,
                    None => ClassId(done as i64),
                };
                let row = row
                    .to_slice()
                    .expect("rows of a matrix in C order lie together");
                import.push(class, row, f32::NAN)?;
            }
            progress(done);
        }
        import.finish()?;
        Ok(rows)
    }
}
