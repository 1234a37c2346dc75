//! The templates and probes that are searched: made up, or from files.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use rayon::prelude::*;

use crate::cli::args::Bench;
use crate::cli::made_up::direction;
use crate::cli::output;
use crate::code::{Probe, length, similarity};
use crate::config::Settings;
use crate::engine::{Engine, ImportOptions};
use crate::exchange::{EmbeddingFile, Existing, open_source, write_json_answer};
use crate::partition::{Row, Snapshot, Store};
use crate::search::{Options, Plan, Pool, Query, search};
use crate::types::{ClassId, Clock, Embedding, EncoderId, Match, PartitionId};

/// Templates in a partition of their own, and probes.
pub(in crate::cli) struct Gallery {
    pub(in crate::cli) snapshot: Snapshot,
    pub(in crate::cli) probes: Vec<Probe>,
    /// What its files took up.
    pub(in crate::cli) file_bytes: u64,
    /// The most people in an answer.
    limit: usize,
    /// The values of the probes, for the full sort.
    embeddings: Vec<Embedding>,
}

/// Rows in random directions: the same for the same numbers.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct MadeUp {
    pub(in crate::cli) rows: usize,
    pub(in crate::cli) dimension: usize,
    pub(in crate::cli) seed: u64,
}

/// Rows that are made at once.
pub(super) const ROWS_PER_BATCH: usize = 8192;

impl Gallery {
    /// Imports or makes up what was asked for, with at least `most` probes.
    pub(super) fn prepare(
        verb: &Bench,
        settings: &Settings,
        most: usize,
    ) -> anyhow::Result<Gallery> {
        let parent = verb.directory.clone().unwrap_or_else(std::env::temp_dir);
        Gallery::filled(&parent, verb.limit, |store, id| {
            match (&verb.embeddings, &verb.probe_embeddings) {
                (Some(rows), Some(probes)) => {
                    import(store, id, rows, settings)?;
                    read_probes(probes, most)
                }
                _ => {
                    let made = MadeUp {
                        rows: verb.rows,
                        dimension: verb.dim,
                        seed: verb.seed,
                    };
                    make(store, id, made, most)
                }
            }
        })
    }

    /// Makes up a gallery with so many probes, whose answers have at most `limit` people. Its files
    /// are made in the folder `parent`, and go before this returns.
    pub(in crate::cli) fn made_up(
        parent: &Path,
        made: MadeUp,
        probes: usize,
        limit: usize,
    ) -> anyhow::Result<Gallery> {
        Gallery::filled(parent, limit, |store, id| make(store, id, made, probes))
    }

    /// `fill` makes the rows, and returns the probes.
    fn filled(
        parent: &Path,
        limit: usize,
        fill: impl FnOnce(&Arc<Store>, &PartitionId) -> anyhow::Result<Vec<Embedding>>,
    ) -> anyhow::Result<Gallery> {
        let directory = tempfile::Builder::new()
            .prefix("vultus-bench-")
            .tempdir_in(parent)
            .with_context(|| {
                format!(
                    "cannot create a directory for the gallery in `{}`",
                    parent.display()
                )
            })?;
        let store = Arc::new(Store::open(directory.path())?);
        let id: PartitionId = "bench.1".parse()?;
        let embeddings = fill(&store, &id)?;
        let partition = store
            .partition(&id)?
            .context("the partition was just made")?;
        let snapshot = partition.snapshot();
        ensure!(snapshot.templates() > 0, "there are no rows to search");
        let file_bytes = bytes_in(directory.path());
        // What is mapped stays until it is let go; so nothing is left behind, however this ends.
        let closed = directory.close();
        closed.context("cannot remove the directory of the gallery")?;
        Ok(Gallery {
            snapshot,
            probes: embeddings.iter().map(Probe::new).collect(),
            file_bytes,
            limit,
            embeddings,
        })
    }

    /// Asks for the best people for each of some probes.
    pub(in crate::cli) fn queries<'a>(&self, probes: &'a [Probe]) -> Vec<Query<'a>> {
        let query = |probe| Query::best(probe, self.limit);
        probes.iter().map(query).collect()
    }

    /// Compares the answers for `count` probes, spread over all, with a full sort of all scores in
    /// double precision; returns how many were compared.
    ///
    /// # Errors
    ///
    /// If one differs.
    pub(in crate::cli) fn check(
        &self,
        count: usize,
        plans: impl IntoIterator<Item = Plan>,
        options: &Options,
        pool: &Pool,
    ) -> anyhow::Result<usize> {
        let count = count.min(self.probes.len());
        let chosen: Vec<usize> = (0..count)
            .map(|at| at * self.probes.len() / count)
            .collect();
        let probes: Vec<Probe> = chosen.iter().map(|&at| self.probes[at].clone()).collect();
        let sorted = chosen.iter().map(|&at| self.sort(at));
        let expected = sorted.collect::<anyhow::Result<Vec<_>>>()?;
        for plan in plans {
            let options = Options {
                plan: Some(plan),
                ..*options
            };
            let answers = search(&self.snapshot, &self.queries(&probes), &options, pool)?;
            for ((at, answer), expected) in chosen.iter().zip(answers).zip(&expected) {
                ensure!(
                    answer.matches == *expected,
                    "the answer of the {plan} plan for probe {at} is not that of a full sort"
                );
            }
        }
        Ok(chosen.len())
    }

    /// The best classes for a probe, by scoring every row.
    fn sort(&self, probe: usize) -> anyhow::Result<Vec<Match>> {
        let values = self.embeddings[probe].values();
        let probe_length = length(values);
        let rows: Vec<Row<'_>> = self.snapshot.live_rows().collect();
        let scored = rows.into_par_iter().map(|row| {
            let similarity = similarity(values, probe_length, row.values()?, row.length()?);
            Ok(Match {
                class: row.class()?,
                similarity,
            })
        });
        let mut all = scored.collect::<anyhow::Result<Vec<Match>>>()?;
        // One template a class, so that sorting is all.
        all.sort_unstable_by(Match::rank_order);
        all.truncate(self.limit);
        Ok(all)
    }

    /// Writes the answers for the first `count` probes as `vultus identify --json` prints them.
    pub(super) fn write_answers(
        &self,
        path: &Path,
        count: usize,
        options: &Options,
        pool: &Pool,
    ) -> anyhow::Result<()> {
        let context = || format!("cannot write `{}`", path.display());
        let mut file = BufWriter::new(File::create(path).with_context(context)?);
        let queries = self.queries(&self.probes[..count]);
        let answers = search(&self.snapshot, &queries, options, pool)?;
        for (probe, answer) in answers.iter().enumerate() {
            write_json_answer(&mut file, probe, &answer.matches).with_context(context)?;
        }
        file.flush().with_context(context)
    }
}

/// What all files in a folder and below it have.
pub(super) fn bytes_in(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let bytes = entries.map(|entry| match entry.metadata() {
        Ok(found) if found.is_dir() => bytes_in(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    });
    bytes.sum()
}

fn import(
    store: &Arc<Store>,
    id: &PartitionId,
    path: &Path,
    settings: &Settings,
) -> anyhow::Result<()> {
    let mut source = open_source(path, None, None)?;
    let encoder = EncoderId::new("bench", "1", source.dimension())?;
    let engine = Engine::new(store.clone(), Pool::new(settings.threads));
    let bar = output::progress_of(source.length(), "importing");
    let options = ImportOptions {
        existing: Existing::Refuse,
        refused: None,
        duplicates: None,
    };
    let now = Clock::System.now();
    engine.import(id, &encoder, &mut *source, options, now, |_, position| {
        bar.set_position(position);
    })?;
    bar.finish_and_clear();
    Ok(())
}

fn read_probes(path: &Path, most: usize) -> anyhow::Result<Vec<Embedding>> {
    let mut file = EmbeddingFile::open(path)?;
    if file.rows() < most {
        bail!(
            "`{}` has {} probes, and {most} are needed",
            path.display(),
            file.rows()
        );
    }
    let rows = file.read(most)?;
    let embeddings = rows.outer_iter().map(|row| Embedding::new(row.to_vec()));
    Ok(embeddings.collect::<Result<_, _>>()?)
}

/// Makes rows in random directions, and probes of which every other one is a row with noise, at a
/// similarity of about 0.7.
fn make(
    store: &Store,
    id: &PartitionId,
    made: MadeUp,
    most: usize,
) -> anyhow::Result<Vec<Embedding>> {
    ensure!(made.rows > 0, "--rows is 0, and at least 1 is needed");
    let encoder = EncoderId::new("bench", "1", made.dimension)?;
    let now = Clock::System.now();
    let partition = store.partition_for(id, &encoder, now)?;
    let mut import = partition.import(&encoder, made.rows, now)?;
    let bar = output::progress(made.rows, "making rows");
    let mut mated = Vec::new();
    for first in (0..made.rows).step_by(ROWS_PER_BATCH) {
        let batch = first..made.rows.min(first + ROWS_PER_BATCH);
        let rows: Vec<Vec<f32>> = batch
            .into_par_iter()
            .map(|row| direction(made.dimension, made.seed, row as u64))
            .collect();
        for (at, row) in rows.iter().enumerate() {
            let class = ClassId((first + at) as i64 + 1);
            import.push(class, row, f32::NAN)?;
        }
        mated.extend(rows.into_iter().take(most.saturating_sub(mated.len())));
        bar.set_position(first as u64);
    }
    import.finish()?;
    bar.finish_and_clear();
    let probe = |at: usize| {
        let mut probe = direction(made.dimension, made.seed, u64::MAX - at as u64);
        if at.is_multiple_of(2) {
            let row = &mated[at % mated.len()];
            probe
                .iter_mut()
                .zip(row)
                .for_each(|(value, row)| *value += row);
        }
        Embedding::new(probe)
    };
    Ok((0..most).map(probe).collect::<Result<_, _>>()?)
}
