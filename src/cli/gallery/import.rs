//! `vultus gallery import`

use crate::cli::args::Import;
use crate::cli::exit::Exit;
use crate::cli::{open, output};
use crate::config::Settings;
use crate::exchange::{ClassFile, EmbeddingFile};
use crate::types::{Clock, EncoderId};

pub(super) fn run(verb: &Import, settings: &Settings) -> anyhow::Result<Exit> {
    let mut embeddings = EmbeddingFile::open(&verb.embeddings)?;
    let encoder = EncoderId::parse(&verb.encoder, embeddings.dimension())?;
    let classes = verb.classes.as_deref();
    let mut class_file = classes.map(ClassFile::open).transpose()?;
    let classes = classes.zip(class_file.as_mut());
    let engine = open::engine(settings)?;
    let bar = output::progress(embeddings.rows(), "importing");
    let imported = engine.import(
        &verb.partition,
        &encoder,
        &mut embeddings,
        classes,
        Clock::System.now(),
        |done| {
            bar.set_position(done as u64);
        },
    );
    bar.finish_and_clear();
    let imported = imported?;
    if verb.json {
        let encoder = encoder.to_string();
        output::json_line(&serde_json::json!({
            "partition": verb.partition.to_string(), "imported": imported, "encoder": encoder,
        }))?;
    } else {
        eprintln!(
            "imported {imported} embeddings of `{encoder}` into {}",
            verb.partition
        );
    }
    Ok(Exit::Success)
}
