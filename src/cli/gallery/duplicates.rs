//! `vultus gallery duplicates`

use crate::cli::args::Duplicates;
use crate::cli::exit::Exit;
use crate::cli::{open, output};
use crate::config::Settings;
use crate::exchange::{PairFile, write_json_pair};

pub(super) fn run(verb: &Duplicates, settings: &Settings) -> anyhow::Result<Exit> {
    // Before hours of work: whether there will be a place for what it finds.
    let output = verb.output.as_deref();
    let output = output.map(|path| PairFile::new(path, verb.overwrite));
    let output = output.transpose()?;
    let engine = open::reading_engine(settings)?;
    let gallery = open::gallery(&engine, &verb.partition)?;
    let bar = output::progress(gallery.templates(), "comparing");
    let pairs = gallery.duplicates(verb.threshold, |done| {
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    let pairs = pairs?;
    if let Some(output) = output {
        output.write(&pairs)?;
        output::say!("found {} pairs in {}", pairs.len(), verb.partition);
    } else if verb.json {
        output::buffered(|stdout| {
            let mut pairs = pairs.iter();
            pairs.try_for_each(|pair| write_json_pair(stdout, pair))
        })?;
    } else if pairs.is_empty() {
        output::say!("nobody in {} is that similar to another", verb.partition);
    } else {
        let mut table = output::table(&["class", "other", "similarity"]);
        for pair in &pairs {
            let similarity = format!("{:.6}", pair.similarity);
            table.add_row([pair.class.to_string(), pair.other.to_string(), similarity]);
        }
        output::line(table.to_string())?;
    }
    Ok(Exit::Success)
}
