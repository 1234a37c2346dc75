//! Many probes at once, from a file.

use super::{EngineError, Gallery, Identification, IdentifyOptions};
use crate::code::Probe;
use crate::exchange::{EmbeddingFile, ExchangeError, IdKind, ItemId, Job};
use crate::partition::{Snapshot, StoreError};
use crate::types::Embedding;

/// Probes that share one pass over the gallery. More would save little: by then a pass computes far
/// longer than it waits for memory.
pub const PROBES_PER_PASS: usize = 1024;

/// All probes of a file, to be identified in one gallery.
///
/// The probes stream: memory does not grow with their number. They were checked when the batch was
/// made, all of them, so that a bad row is known before anything is answered.
#[derive(Debug)]
pub struct Batch {
    gallery: Gallery,
    probes: EmbeddingFile,
    checksum: u64,
    ids: IdKind,
    options: IdentifyOptions,
}

impl Gallery {
    /// Makes the probes of an open file ready to be identified: reads and checks all of them.
    ///
    /// # Errors
    ///
    /// If the probes have another dimension than the embeddings here, or a row is no embedding; the
    /// file and the row are named.
    pub fn batch(
        &self,
        mut probes: EmbeddingFile,
        options: IdentifyOptions,
    ) -> Result<Batch, EngineError> {
        let (id, encoder) = (self.id(), self.encoder());
        if probes.dimension() != encoder.dimension() {
            return Err(EngineError::Exchange(ExchangeError::Contents {
                path: probes.path().to_owned(),
                expected: format!(
                    "a dimension of {} (`{id}` is of encoder `{encoder}`)",
                    encoder.dimension()
                ),
                found: format!("rows of {} values", probes.dimension()),
            }));
        }
        let (checksum, ids) = probes.check()?;
        Ok(Batch {
            gallery: self.clone(),
            probes,
            checksum,
            ids,
            options,
        })
    }
}

impl Batch {
    /// How many probes there are.
    pub fn probes(&self) -> usize {
        self.probes.rows()
    }

    /// What the probes are called by in their file.
    pub fn ids(&self) -> IdKind {
        self.ids
    }

    /// Everything that decides the answers, so that an interrupted run is resumed with the same.
    ///
    /// Reads the class and the length of every enrolled template: about forty bytes each.
    ///
    /// # Errors
    ///
    /// If a segment is damaged.
    pub fn job(&self) -> Result<Job, EngineError> {
        let (rows, values) = (self.probes.rows(), self.probes.dimension());
        // Those alone who are looked for: somebody else may have the labels by then.
        let snapshot = self.gallery.searched()?;
        let (templates, gallery) = (snapshot.templates(), checksum(&snapshot)?);
        let job = Job::new()
            .with(
                "probes",
                format_args!("{rows} of {values} values, checksum {:016x}", self.checksum),
            )
            .with("partition", self.gallery.id())
            .with("encoder", self.gallery.encoder())
            .with(
                "gallery",
                format_args!("{templates} templates, checksum {gallery:016x}"),
            )
            .with("top", self.options.limit);
        let job = match self.ids {
            IdKind::None => job,
            IdKind::Numbers => job.with("ids", "numbers"),
            IdKind::Texts => job.with("ids", "texts"),
        };
        let job = match self.gallery.labels.is_empty() {
            true => job,
            false => job.with("labels", self.gallery.labels.to_text()),
        };
        Ok(match self.options.threshold {
            Some(threshold) => job.with("threshold", threshold),
            None => job,
        })
    }

    /// Answers for the probes from number `first` on, [`PROBES_PER_PASS`] at a time; `answered` is
    /// told the number of the first of them.
    ///
    /// # Errors
    ///
    /// If the file has changed and is no longer right, a segment is damaged, or `answered` fails.
    ///
    /// # Panics
    ///
    /// Panics if there are fewer than `first` probes.
    pub fn identify<E: From<EngineError>>(
        &mut self,
        first: usize,
        mut answered: impl FnMut(usize, &[Identification]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.identify_named(first, |first, _, answers| answered(first, answers))
    }

    /// As [`Batch::identify`]; `answered` is told, too, what the probes are called in their file.
    ///
    /// # Errors
    ///
    /// As [`Batch::identify`].
    ///
    /// # Panics
    ///
    /// As [`Batch::identify`].
    pub fn identify_named<E: From<EngineError>>(
        &mut self,
        first: usize,
        mut answered: impl FnMut(usize, &[Option<ItemId>], &[Identification]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.probes.go_to(first).map_err(EngineError::from)?;
        let mut first = first;
        while first < self.probes() {
            let probes = self.next_probes(first)?;
            let queries: Vec<_> = probes
                .iter()
                .map(|probe| self.options.query(probe))
                .collect();
            let answers = self.gallery.identify_many(&queries)?;
            answered(first, self.probes.ids(), &answers)?;
            first += answers.len();
        }
        Ok(())
    }

    fn next_probes(&mut self, first: usize) -> Result<Vec<Probe>, EngineError> {
        let rows = self.probes.read(PROBES_PER_PASS)?;
        let probe = |(at, row): (usize, ndarray::ArrayView1<'_, f32>)| {
            let embedding = Embedding::new(row.to_vec());
            let embedding = embedding.map_err(|source| ExchangeError::Row {
                path: self.probes.path().to_owned(),
                row: first + at,
                source,
            })?;
            Ok(Probe::new(&embedding))
        };
        rows.outer_iter().enumerate().map(probe).collect()
    }
}

/// A number that two galleries share if they hold the same templates, and else hardly ever, however
/// the templates are spread over segments: the sum over all of a checksum of number, class and
/// length.
fn checksum(snapshot: &Snapshot) -> Result<u64, StoreError> {
    let mut sum = 0_u64;
    for row in snapshot.live_rows() {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&row.info()?.template.to_le_bytes());
        bytes[8..16].copy_from_slice(&row.class()?.0.to_le_bytes());
        bytes[16..].copy_from_slice(&row.length()?.to_le_bytes());
        let of_row = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, &bytes);
        sum = sum.wrapping_add(of_row);
    }
    Ok(sum)
}
