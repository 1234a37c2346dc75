//! Fetching the master key from where settings say it is.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{env, thread};

use anyhow::{Context, bail};
use zeroize::Zeroizing;

use crate::config::{KeySource, Settings};
use crate::partition::Keys;
use crate::secrets::MasterKey;

/// More bytes than a key has in any form. What is longer is something else.
const BYTES_MAX: u64 = 4096;

/// How long a program may take: somebody may have to approve it.
const COMMAND_TIME_MAX: Duration = Duration::from_secs(120);

/// How often it is looked whether a program has ended that has written all.
const WAIT_INTERVAL: Duration = Duration::from_millis(10);

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
        KeySource::File(path) => {
            warn_of_others(path);
            file(path)?
        }
        KeySource::Variable(name) => variable(name)?,
        KeySource::Credential(name) => file(&credential(name)?)?,
        KeySource::Command(parts) => output_of(parts, COMMAND_TIME_MAX)?,
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

/// Warns of a key that every user of the machine can read, or put another in the place of.
fn warn_of_others(path: &Path) {
    if is_open_to_all(path) {
        let path = path.display();
        tracing::warn!(
            "every user of this machine may read or change the master key `{path}`: `chmod o-rwx {path}`"
        );
    }
}

/// Whether permissions of the file and of the folder that it is in let everybody in. A group is somebody's
/// choice: a service often reads its key by one.
fn is_open_to_all(path: &Path) -> bool {
    const OTHERS_READ_OR_WRITE: u32 = 0o006;
    const OTHERS_PASS: u32 = 0o001;
    let mode = |path: &Path| fs::metadata(path).map_or(0, |found| found.mode());
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
    mode(path) & OTHERS_READ_OR_WRITE != 0
        && mode(folder.unwrap_or(Path::new("."))) & OTHERS_PASS != 0
}

/// What a program writes within a time. What it complains of goes where complaints of this one go.
fn output_of(parts: &[String], time_max: Duration) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let (program, arguments) = parts.split_first().context("there is no program")?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run `{program}`"))?;
    let output = child.stdout.take().context("it has no output")?;
    let (send, receive) = mpsc::channel();
    // What the program has started may keep its output open: then this ends with the process.
    thread::spawn(move || send.send(all_of(output)));
    let until = Instant::now() + time_max;
    let bytes = receive.recv_timeout(time_max).ok();
    let status = loop {
        match child.try_wait().context("cannot wait for it")? {
            Some(status) if bytes.is_some() => break status,
            _ if Instant::now() < until => thread::sleep(WAIT_INTERVAL),
            _ => {
                let _gone = child.kill();
                let _status = child.wait();
                bail!("it did not end within {} s", time_max.as_secs_f64());
            }
        }
    };
    if !status.success() {
        bail!("it ended with {status}");
    }
    bytes.context("it has no output")?
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
    use std::os::unix::fs::PermissionsExt;

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
    fn a_key_that_everybody_may_read_is_seen_as_such() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master.key");
        fs::write(&path, [7; 32]).unwrap();
        for (folder, file, expected) in [
            (0o755, 0o644, true),
            (0o711, 0o602, true),
            (0o755, 0o640, false),
            (0o755, 0o600, false),
            (0o700, 0o644, false),
            (0o750, 0o666, false),
        ] {
            fs::set_permissions(&path, fs::Permissions::from_mode(file)).unwrap();
            let of_folder = fs::Permissions::from_mode(folder);
            fs::set_permissions(directory.path(), of_folder).unwrap();
            assert_eq!(is_open_to_all(&path), expected, "{folder:o}, {file:o}");
        }
        // Where there is none, opening it says so.
        assert!(!is_open_to_all(&directory.path().join("none")));
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
        // One that waits for ever, and one that leaves something behind that does.
        for program in ["sleep 1000", "sh -c sleep\t20\t2>/dev/null&"] {
            let parts: Vec<String> = program.split(' ').map(str::to_owned).collect();
            let told = output_of(&parts, Duration::from_millis(200)).unwrap_err();
            assert!(
                told.to_string().contains("did not end within 0.2 s"),
                "{told}"
            );
        }
        assert!(said("command:/nowhere/program").contains("cannot run"));
        assert!(said("variable:VULTUS_TEST_THAT_NOBODY_SETS").contains("no such variable"));
        assert!(fetched(&format!("file:{}", directory.path().display())).is_err());
    }
}
