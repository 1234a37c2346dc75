//! Files for their owner alone, at names where others may have put something.
//!
//! Whoever can write a folder can put a link at a name that is going to be written. So nothing is
//! ever opened there that this program would not have made: a new file is made where nothing is, and
//! what is replaced or gone on with must be a plain file of our own, with one name.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
#[cfg(any(feature = "web", test))]
use std::path::PathBuf;

use rustix::fs::{Gid, OFlags, Uid};

/// Permissions of everybody but the owner.
const OTHERS: u32 = 0o077;

/// Makes a file that only its owner can read, where nothing has the name.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create_new(true).mode(0o600);
    let file = options.open(path)?;
    leave_to_owner_of_folder(path, &file)?;
    Ok(file)
}

/// Gives what root made in the folder of another user to that user: a service that runs as the owner of a
/// data directory must be able to read what a command of root left in it.
pub(crate) fn leave_to_owner_of_folder(path: &Path, made: impl AsFd) -> io::Result<()> {
    let Some((user, group)) = served_by_root(path)? else {
        return Ok(());
    };
    rustix::fs::fchown(made, Some(user), Some(group)).map_err(io::Error::from)
}

/// For whom root makes what is at `path`: the owner of the folder. `None` if this is not root, or the
/// folder is one where everybody may write, such as that of temporary files: there a file is its maker's.
fn served_by_root(path: &Path) -> io::Result<Option<(Uid, Gid)>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
    let folder = fs::metadata(folder.unwrap_or(Path::new(".")))?;
    let is_theirs = folder.uid() != 0 && folder.mode() & 0o002 == 0;
    Ok(is_theirs.then(|| (Uid::from_raw(folder.uid()), Gid::from_raw(folder.gid()))))
}

/// Makes a file that only its owner can read. What another run left unfinished under the name, which only
/// its owner could read either, is removed.
///
/// # Errors
///
/// If anything else has the name, or the disk refuses.
pub(crate) fn create_draft(path: &Path) -> io::Result<File> {
    match fs::symlink_metadata(path) {
        Ok(left) if is_own(path, &left) && left.mode() & OTHERS == 0 => fs::remove_file(path)?,
        Ok(_) => return Err(not_ours()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    create(path)
}

/// Fails if what has a name, or a link of that name leads to, is no file: a device, a pipe or a folder is never
/// replaced by one.
pub(crate) fn refuse_special(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(found) if !found.is_file() => Err(no_file(&found)),
        _ => Ok(()),
    }
}

/// Opens a file to read it. Whoever opens a pipe would wait for somebody to write into it.
///
/// # Errors
///
/// If there is none, it is no file, or the disk refuses.
pub(crate) fn open_file(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    let at_once = OFlags::NONBLOCK.bits().cast_signed();
    let file = options.read(true).custom_flags(at_once).open(path)?;
    expect_file(&file)?;
    Ok(file)
}

/// Fails if what was opened is no file.
pub(crate) fn expect_file(opened: &File) -> io::Result<()> {
    match opened.metadata()? {
        found if found.is_file() => Ok(()),
        found => Err(no_file(&found)),
    }
}

fn no_file(found: &Metadata) -> io::Error {
    let kind = found.file_type();
    let what = match (kind.is_dir(), kind.is_fifo()) {
        (true, _) => "a folder",
        (_, true) => "a pipe",
        _ => "a device or a socket",
    };
    let text = format!("expected a file, found {what}");
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

/// Opens a file to go on writing it, and makes it private.
///
/// # Errors
///
/// If there is none, it is a link or was made by somebody else, or the disk refuses.
pub(crate) fn reopen(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true).write(true);
    let no_links = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    let file = options.custom_flags(no_links.cast_signed()).open(path);
    let file = match file {
        Err(error) if fs::symlink_metadata(path).is_ok_and(|it| it.is_symlink()) => {
            return Err(io::Error::new(error.kind(), not_ours()));
        }
        file => file?,
    };
    if !is_own(path, &file.metadata()?) {
        return Err(not_ours());
    }
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    Ok(file)
}

/// Whether a directory is one of our own, and no link to one.
pub(crate) fn is_own_directory(path: &Path) -> io::Result<bool> {
    let metadata = fs::symlink_metadata(path)?;
    Ok(metadata.is_dir() && is_of_this_user(&metadata))
}

/// Also what root made for the owner of the folder.
fn is_own(path: &Path, metadata: &Metadata) -> bool {
    let is_for_another = || {
        let served = served_by_root(path).ok().flatten();
        served.is_some_and(|(user, _)| metadata.uid() == user.as_raw())
    };
    let is_ours = is_of_this_user(metadata) || is_for_another();
    metadata.is_file() && metadata.nlink() == 1 && is_ours
}

fn is_of_this_user(metadata: &Metadata) -> bool {
    metadata.uid() == rustix::process::geteuid().as_raw()
}

fn not_ours() -> io::Error {
    io::Error::new(
        io::ErrorKind::AlreadyExists,
        "something of this name is there that this program did not leave: move it away",
    )
}

/// The first thing in a data directory that others than its owner can read or change, itself
/// included; `None` if there is nothing.
#[cfg(any(feature = "web", test))]
pub(crate) fn open_to_others(directory: &Path) -> Option<PathBuf> {
    let metadata = fs::symlink_metadata(directory).ok()?;
    if !metadata.is_symlink() && metadata.mode() & OTHERS != 0 {
        return Some(directory.to_owned());
    }
    if !metadata.is_dir() {
        return None;
    }
    let mut inside: Vec<PathBuf> = fs::read_dir(directory)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    inside.sort();
    inside.iter().find_map(|path| open_to_others(path))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::symlink;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    /// What may stand at the name of a draft, and was not left by this program.
    const OTHERS_WORK: &[fn(&Path, &Path)] = &[
        |path, victim| symlink(victim, path).unwrap(),
        |path, victim| fs::hard_link(victim, path).unwrap(),
        |path, _| symlink("nowhere", path).unwrap(),
        |path, _| fs::create_dir(path).unwrap(),
    ];

    #[test]
    fn what_is_no_file_is_neither_waited_for_nor_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let made = std::process::Command::new("mkfifo")
            .arg(at("pipe"))
            .status();
        assert!(made.unwrap().success());
        fs::create_dir(at("folder")).unwrap();
        symlink("/dev/null", at("device")).unwrap();
        fs::write(at("file"), b"abc").unwrap();
        symlink(at("file"), at("link")).unwrap();
        for (name, what) in [
            ("pipe", "found a pipe"),
            ("folder", "found a folder"),
            ("device", "found a device"),
        ] {
            for refused in [open_file(&at(name)).err(), refuse_special(&at(name)).err()] {
                let refused = refused.unwrap().to_string();
                assert!(refused.contains(what), "{name}: {refused}");
            }
        }
        for name in ["file", "link"] {
            assert_eq!(open_file(&at(name)).unwrap().metadata().unwrap().len(), 3);
            assert!(refuse_special(&at(name)).is_ok());
        }
        assert!(refuse_special(&at("nothing")).is_ok());
        let missing = open_file(&at("nothing")).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn nothing_is_written_through_what_others_put_at_the_name() {
        for put in OTHERS_WORK {
            let directory = tempfile::tempdir().unwrap();
            let (path, victim) = (
                directory.path().join("draft"),
                directory.path().join("victim"),
            );
            drop(create(&victim).unwrap());
            fs::write(&victim, b"precious").unwrap();
            put(&path, &victim);
            assert!(create(&path).is_err());
            assert!(create_draft(&path).is_err());
            assert!(reopen(&path).is_err());
            assert_eq!(fs::read(&victim).unwrap(), b"precious");
            assert!(fs::symlink_metadata(&path).is_ok());
        }
    }

    #[test]
    fn what_this_program_left_is_replaced_or_gone_on_with() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("draft");
        create_draft(&path).unwrap().write_all(b"half").unwrap();
        assert_eq!(mode(&path), 0o600);
        reopen(&path).unwrap().write_all(b"HA").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"HAlf");
        create_draft(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"");
        // Somebody's own file, which everybody can read.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(create_draft(&path).is_err());
        reopen(&path).unwrap();
        assert_eq!(mode(&path), 0o600);
    }

    #[test]
    fn what_others_can_read_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let inner = directory.path().join("segments");
        fs::create_dir(&inner).unwrap();
        let file = inner.join("1.vseg");
        drop(create(&file).unwrap());
        let set = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        set(directory.path(), 0o700);
        set(&inner, 0o700);
        assert_eq!(open_to_others(directory.path()), None);
        set(&file, 0o604);
        assert_eq!(open_to_others(directory.path()).as_deref(), Some(&*file));
        set(&inner, 0o750);
        assert_eq!(open_to_others(directory.path()).as_deref(), Some(&*inner));
    }
}
