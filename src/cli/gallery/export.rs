//! `vultus gallery export`

use serde::Serialize;

use crate::cli::args::Export;
use crate::cli::exit::Exit;
use crate::cli::output::PathName;
use crate::cli::{open, output};
use crate::config::Settings;
use crate::engine::ExportOptions;

/// What was written where.
#[derive(Serialize)]
struct Exported<'a> {
    partition: String,
    encoder: String,
    exported: u64,
    #[serde(flatten)]
    file: PathName<'a>,
}

pub(super) fn run(verb: &Export, settings: &Settings) -> anyhow::Result<Exit> {
    let engine = open::reading_engine(settings)?;
    let gallery = open::gallery(&engine, &verb.partition)?;
    let (id, encoder) = (gallery.id(), gallery.encoder());
    let bar = output::progress(gallery.templates(), "exporting");
    let options = ExportOptions {
        overwrite: verb.overwrite,
        templates_only: verb.templates_only,
    };
    let exported = gallery.export(&verb.output, options, |done| {
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let (exported, file) = (exported?, verb.output.display());
    if verb.json {
        output::json_line(&Exported {
            partition: id.to_string(),
            encoder: encoder.to_string(),
            exported,
            file: PathName::new("file", &verb.output),
        })?;
    } else {
        output::say!("exported {exported} embeddings of `{encoder}` from {id} to `{file}`");
    }
    Ok(Exit::Success)
}
