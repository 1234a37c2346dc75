//! Offline identification in batches, with the library alone.
//!
//! ```text
//! cargo run --release --example batch_identify -- DATA_DIR PARTITION PROBES [TOP]
//! ```
//!
//! PROBES is an `.npy` file of embeddings or a folder of pictures. Prints one line of JSON for each
//! probe.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;
use vultus::code::Probe;
use vultus::engine::{Engine, Identification, IdentifyOptions};
use vultus::exchange::EmbeddingFile;
use vultus::face::{FacePipeline, PipelineOptions};
use vultus::partition::Store;
use vultus::search::Pool;
use vultus::types::{Embedding, PartitionId};

/// Probes that share one pass over the gallery.
const BATCH: usize = 256;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (directory, partition, probes, top) = match &arguments[..] {
        [directory, partition, probes] => (directory, partition, probes, 20),
        [directory, partition, probes, top] => (directory, partition, probes, top.parse()?),
        _ => return Err("usage: batch_identify DATA_DIR PARTITION PROBES [TOP]".into()),
    };
    let threads = std::thread::available_parallelism()?.get();
    let store = Store::open_existing(Path::new(directory))?;
    let engine = Engine::new(Arc::new(store), Pool::new(threads));
    let partition: PartitionId = partition.parse()?;
    let options = IdentifyOptions {
        count: top,
        threshold: None,
    };
    let probes = Path::new(probes);
    if probes.is_dir() {
        identify_pictures(&engine, &partition, probes, &options)
    } else {
        identify_embeddings(&engine, &partition, probes, &options)
    }
}

fn identify_embeddings(
    engine: &Engine,
    id: &PartitionId,
    path: &Path,
    options: &IdentifyOptions,
) -> Result<(), Box<dyn Error>> {
    let partition = engine
        .store()
        .partition(id)?
        .ok_or("there is no such partition")?;
    let mut file = EmbeddingFile::open(path)?;
    let mut first = 0;
    while first < file.rows() {
        let mut probes = Vec::new();
        for row in file.read(BATCH)?.outer_iter() {
            probes.push(Probe::new(&Embedding::new(row.to_vec())?));
        }
        let answers = engine.identify_many(id, partition.encoder(), &probes, options)?;
        for (at, answer) in answers.iter().enumerate() {
            println!(
                "{}",
                json!({ "probe": first + at, "matches": matches(answer) })
            );
        }
        first += probes.len();
    }
    Ok(())
}

fn identify_pictures(
    engine: &Engine,
    id: &PartitionId,
    folder: &Path,
    options: &IdentifyOptions,
) -> Result<(), Box<dyn Error>> {
    let faces = FacePipeline::new(&PipelineOptions::default())?;
    let mut pictures: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder)? {
        pictures.push(entry?.path());
    }
    pictures.retain(|path| path.is_file());
    pictures.sort();
    for path in pictures {
        match faces.only_face(&fs::read(&path)?) {
            Ok(face) => {
                let encoder = faces.profile().encoder();
                let answer = engine.identify(id, encoder, &[&face.embedding], options)?;
                println!(
                    "{}",
                    json!({ "picture": path, "matches": matches(&answer) })
                );
            }
            Err(refusal) => {
                println!(
                    "{}",
                    json!({ "picture": path, "error": refusal.to_string() })
                );
            }
        }
    }
    Ok(())
}

fn matches(answer: &Identification) -> Vec<serde_json::Value> {
    let line = |found: &vultus::types::Match| json!({ "class": found.class.0, "similarity": found.similarity });
    answer.matches.iter().map(line).collect()
}
