//! `vultus man`

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use clap::Command;
use clap_mangen::Man as Page;

use super::args::{self, Man};
use super::exit::Exit;
use super::output::{self, say};

pub(super) fn run(verb: &Man) -> anyhow::Result<Exit> {
    match &verb.all {
        Some(folder) => write_all(folder)?,
        None => print_one(&verb.verb)?,
    }
    Ok(Exit::Success)
}

fn print_one(path: &[String]) -> anyhow::Result<()> {
    let mut root = args::command();
    root.build();
    let mut command = &root;
    for name in path {
        command = command.find_subcommand(name).with_context(|| {
            format!(
                "there is no verb `{}`: `vultus --help` lists all",
                path.join(" ")
            )
        })?;
    }
    let page = page(command)?;
    output::buffered(|stdout| stdout.write_all(&page))?;
    Ok(())
}

fn write_all(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the folder `{}`", folder.display()))?;
    let mut root = args::command().disable_help_subcommand(true);
    root.build();
    let mut open = vec![&root];
    let mut written = 0;
    while let Some(command) = open.pop() {
        let path = folder.join(Page::new(command.clone()).get_filename());
        fs::write(&path, page(command)?)
            .with_context(|| format!("cannot write `{}`", path.display()))?;
        written += 1;
        open.extend(command.get_subcommands());
    }
    say!("wrote {written} pages into `{}`", folder.display());
    Ok(())
}

fn page(command: &Command) -> anyhow::Result<Vec<u8>> {
    let mut text = Vec::new();
    let source = concat!("vultus ", env!("CARGO_PKG_VERSION"));
    let page = Page::new(command.clone()).source(source).manual("Vultus");
    page.render(&mut text)?;
    Ok(text)
}
