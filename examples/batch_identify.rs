//! Offline identification in batches, with the library alone.
//!
//! ```text
//! cargo run --release --example batch_identify -- DATA_DIR PARTITION PROBES [OUTPUT [LIMIT]]
//! ```
//!
//! PROBES is an `.npy` file of embeddings: any number, they are not held in memory. OUTPUT ends in
//! `.jsonl` or `.parquet`; if the run is interrupted, the same command goes on where it stopped.
//! Without OUTPUT (or with `-`), prints one line of JSON for each probe.

use std::error::Error;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};
use vultus::engine::{Batch, Engine, IdentifyOptions};
use vultus::exchange::{AnswerFile, EmbeddingFile, Existing, write_json_answer};
use vultus::partition::Store;
use vultus::search::Pool;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (directory, partition, probes, output, limit) = match &arguments[..] {
        [directory, partition, probes] => (directory, partition, probes, "-", 20),
        [directory, partition, probes, output] => (directory, partition, probes, &**output, 20),
        [directory, partition, probes, output, limit] => {
            (directory, partition, probes, &**output, limit.parse()?)
        }
        _ => return Err("usage: batch_identify DATA_DIR PARTITION PROBES [OUTPUT [LIMIT]]".into()),
    };
    let threads = std::thread::available_parallelism()?.get();
    let store = Store::open_existing(Path::new(directory))?;
    let engine = Engine::new(Arc::new(store), Pool::new(threads));
    let options = IdentifyOptions {
        limit,
        threshold: None,
    };
    let probes = EmbeddingFile::open(Path::new(probes))?;
    let gallery = engine.enrolled(&partition.parse()?)?;
    let gallery = gallery.ok_or_else(|| format!("nobody was ever enrolled in `{partition}`"))?;
    let batch = gallery.batch(probes, options)?;
    match output {
        "-" => print(batch),
        output => write(batch, Path::new(output)),
    }
}

/// Prints the answers as they become known.
fn print(mut batch: Batch) -> Result<(), Box<dyn Error>> {
    let bar = bar(&batch)?;
    let mut stdout = BufWriter::new(io::stdout().lock());
    batch.identify(0, |first, answers| -> Result<(), Box<dyn Error>> {
        for (probe, answer) in (first..).zip(answers) {
            write_json_answer(&mut stdout, probe, &answer.matches)?;
        }
        bar.suspend(|| stdout.flush())?;
        bar.inc(answers.len() as u64);
        Ok(())
    })
}

/// Writes the answers to a file, or goes on with what an interrupted run has left.
fn write(mut batch: Batch, output: &Path) -> Result<(), Box<dyn Error>> {
    let job = batch.job()?;
    let mut file = AnswerFile::begin(output, Existing::Resume, batch.probes(), &job)?;
    let bar = bar(&batch)?.with_position(file.done() as u64);
    batch.identify(file.done(), |_, answers| -> Result<(), Box<dyn Error>> {
        for answer in answers {
            file.push(&answer.matches)?;
        }
        file.checkpoint()?;
        bar.inc(answers.len() as u64);
        Ok(())
    })?;
    Ok(file.finish()?)
}

/// Drawn on stderr, and only if that is a terminal.
fn bar(batch: &Batch) -> Result<ProgressBar, Box<dyn Error>> {
    let style = ProgressStyle::with_template("{wide_bar} {human_pos}/{human_len} ({eta} left)")?;
    Ok(ProgressBar::new(batch.probes() as u64).with_style(style))
}
