//! `vultus completions`

use super::args::{self, Completions};
use super::exit::Exit;
use super::output;

pub(super) fn run(verb: &Completions) -> anyhow::Result<Exit> {
    // Into memory first: a reader that closes stdout early would be a panic there.
    let mut script = Vec::new();
    clap_complete::generate(verb.shell, &mut args::command(), "vultus", &mut script);
    output::buffered(|stdout| std::io::Write::write_all(stdout, &script))?;
    Ok(Exit::Success)
}
