//! `vultus gallery verify`

use anyhow::bail;

use crate::cli::args::Verify;
use crate::cli::exit::Exit;
use crate::cli::{open, output};
use crate::config::Settings;
use crate::partition::Pace;

pub(super) fn run(verb: &Verify, settings: &Settings) -> anyhow::Result<Exit> {
    let engine = open::reading_engine(settings)?;
    open::warn_of_readers(settings);
    open::warn_of_plain(&engine)?;
    let bar = output::byte_progress("verifying");
    let only = verb.partition.as_ref();
    let verified = engine
        .store()
        .verify(only, &Pace::unlimited(), output::advance(&bar));
    bar.finish_and_clear();
    let verified = verified?;
    if let (Some(partition), 0) = (only, verified.partitions) {
        bail!(open::no_gallery(partition));
    }
    if verb.json {
        output::json_line(&verified)?;
    } else {
        for damage in &verified.damage {
            output::line(format!("{}: {}", damage.partition, damage.what))?;
        }
        if let Some(text) = output::left_alone(&verified.left_alone) {
            output::line(text)?;
        }
        output::say!(
            "read {} templates in {}, {:.1} MB: {}",
            verified.templates,
            output::count(verified.segments, "segment", "segments"),
            verified.bytes as f64 / 1e6,
            match verified.damage.len() {
                0 => "all is as it was written".to_owned(),
                1 => "1 place is damaged".to_owned(),
                count => format!("{count} places are damaged"),
            }
        );
    }
    Ok(match verified.damage.is_empty() {
        true => Exit::Success,
        false => Exit::No,
    })
}
