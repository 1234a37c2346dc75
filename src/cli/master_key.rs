//! Fetching the master key from where settings say it is.

use std::env;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use zeroize::Zeroizing;

use crate::config::{KeySource, Settings};
use crate::partition::Keys;
use crate::secrets::MasterKey;

/// More bytes than a key has in any form. What is longer is something else.
const BYTES_MAX: u64 = 4096;

/// What the data directory is opened with.
pub(super) fn keys(settings: &Settings) -> anyhow::Result<Keys> {
    let source = settings.master_key.as_ref();
    Ok(Keys {
        master: source.map(from).transpose()?,
        encrypt_new: settings.encrypts_new,
    })
}

/// The key that comes from there.
pub(super) fn from(source: &KeySource) -> anyhow::Result<MasterKey> {
    fetch(source).with_context(|| format!("cannot get a master key from `{source}`"))
}

fn fetch(source: &KeySource) -> anyhow::Result<MasterKey> {
    let bytes = match source {
        KeySource::File(path) => file(path)?,
        KeySource::Variable(name) => variable(name)?,
        KeySource::Credential(name) => file(&credential(name)?)?,
        KeySource::Command(parts) => output_of(parts)?,
    };
    Ok(MasterKey::parse(&bytes)?)
}

fn file(path: &Path) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let file = File::open(path).with_context(|| format!("cannot open `{}`", path.display()))?;
    all_of(file).with_context(|| format!("cannot read `{}`", path.display()))
}

fn variable(name: &str) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let value = env::var_os(name).context("there is no such variable")?;
    Ok(Zeroizing::new(value.into_encoded_bytes()))
}

/// Where systemd puts a credential of the service.
fn credential(name: &str) -> anyhow::Result<PathBuf> {
    let folder = env::var_os("CREDENTIALS_DIRECTORY").context(
        "there is no `CREDENTIALS_DIRECTORY`: systemd sets it where the unit has `LoadCredential=`",
    )?;
    Ok(Path::new(&folder).join(name))
}

/// What a program writes. What it complains of goes where complaints of this one go.
fn output_of(parts: &[String]) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let (program, arguments) = parts.split_first().context("there is no program")?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run `{program}`"))?;
    let output = child.stdout.take().context("it has no output")?;
    let bytes = all_of(output);
    let status = child.wait().context("cannot wait for it")?;
    if !status.success() {
        bail!("it ended with {status}");
    }
    bytes
}

fn all_of(source: impl Read) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    // All at once: what grows leaves copies behind that nobody wipes.
    let mut bytes = Zeroizing::new(Vec::with_capacity(BYTES_MAX as usize + 1));
    source.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > BYTES_MAX {
        bail!("it is longer than {BYTES_MAX} bytes, and so no key");
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn fetched(source: &str) -> anyhow::Result<MasterKey> {
        fetch(&source.parse::<KeySource>()?)
    }

    #[test]
    fn keys_come_from_files_and_programs() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master.key");
        let digits = "0123456789abcdef".repeat(4);
        fs::write(&path, format!("{digits}\n")).unwrap();
        fetched(&format!("file:{}", path.display())).unwrap();
        fetched(&format!("command:cat {}", path.display())).unwrap();
        fs::write(&path, [7; 32]).unwrap();
        fetched(&format!("file:{}", path.display())).unwrap();
    }

    #[test]
    fn what_is_no_key_is_named_and_not_shown() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master.key");
        let said = |source: &str| format!("{:#}", fetched(source).unwrap_err());
        let file = format!("file:{}", path.display());
        assert!(said(&file).contains("cannot open"));
        for (contents, expected) in [
            ("", "there are 0 bytes"),
            ("hush hush", "there are 9 bytes"),
            (&"secret ".repeat(1_000), "longer than 4096 bytes"),
        ] {
            fs::write(&path, contents).unwrap();
            let said = said(&file);
            assert!(said.contains(expected) && !said.contains("hush"), "{said}");
        }
        assert!(said("command:false").contains("it ended with"));
        assert!(said("command:/nowhere/program").contains("cannot run"));
        assert!(said("variable:VULTUS_TEST_THAT_NOBODY_SETS").contains("no such variable"));
        assert!(fetched(&format!("file:{}", directory.path().display())).is_err());
    }
}
