//! `vultus gallery list`

use crate::cli::args::List;
use crate::cli::exit::Exit;
use crate::cli::{open, output};
use crate::config::Settings;

pub(super) fn run(verb: &List, settings: &Settings) -> anyhow::Result<Exit> {
    let engine = open::reading_engine(settings)?;
    for id in engine.partitions()? {
        if verb.json {
            output::json_line(&serde_json::json!({ "partition": id.to_string() }))?;
        } else {
            output::line(id.to_string())?;
        }
    }
    Ok(Exit::Success)
}
