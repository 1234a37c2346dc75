//! What disk a path is on, how much room it has, and how long it takes to sync.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{StatVfsMountFlags, statvfs};

/// Room on the disk of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Disk {
    /// What this user may still write.
    pub(in crate::cli) free_bytes: u64,
    /// How many files can still be made; `None` where that is not counted.
    pub(in crate::cli) free_files: Option<u64>,
    /// Whether nothing can be written.
    pub(in crate::cli) is_read_only: bool,
}

impl Disk {
    /// That of a path, which exists.
    pub(in crate::cli) fn of(path: &Path) -> io::Result<Disk> {
        let found = statvfs(path)?;
        Ok(Disk {
            free_bytes: found.f_bavail.saturating_mul(found.f_frsize),
            // Some count no files, and say that they have none at all.
            free_files: (found.f_files > 0).then_some(found.f_favail),
            is_read_only: found.f_flag.contains(StatVfsMountFlags::RDONLY),
        })
    }
}

/// A file system, as `/proc/self/mountinfo` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Mount {
    /// What it is, such as `ext4`.
    pub(in crate::cli) kind: String,
    /// Where it is mounted.
    pub(in crate::cli) point: PathBuf,
}

impl Mount {
    /// That of a path, which exists; `None` if it is not told.
    pub(in crate::cli) fn of(path: &Path) -> Option<Mount> {
        let text = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
        Mount::among(&text, &path.canonicalize().ok()?)
    }

    /// The last one counts of those whose point is the longest: it covers the others.
    fn among(text: &str, path: &Path) -> Option<Mount> {
        let mounts = text.lines().filter_map(|line| {
            let (before, after) = line.split_once(" - ")?;
            let point = PathBuf::from(unescaped(before.split(' ').nth(4)?));
            let kind = after.split(' ').next()?.to_owned();
            path.starts_with(&point).then_some(Mount { kind, point })
        });
        mounts.max_by_key(|mount| mount.point.components().count())
    }
}

/// Blanks and the like stand there as `\040`.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let code = after.get(..3).filter(|_| *first == b'\\');
        let code = code.and_then(|code| u8::from_str_radix(str::from_utf8(code).ok()?, 8).ok());
        bytes.push(code.unwrap_or(*first));
        rest = code.map_or(after, |_| &after[3..]);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The path itself, or the nearest folder above it that exists.
pub(in crate::cli) fn nearest_existing(path: &Path) -> PathBuf {
    nearest_existing_of(path, |path| path.exists())
}

/// The same, as `exists` knows it.
fn nearest_existing_of(path: &Path, exists: impl Fn(&Path) -> bool) -> PathBuf {
    let above = path
        .ancestors()
        .filter(|above| !above.as_os_str().is_empty());
    let found = above.into_iter().find(|above| exists(above));
    // A single name stands in the present folder.
    found.map_or_else(|| PathBuf::from("."), Path::to_owned)
}

/// Syncs are few, since some disks take long; the middle one of them counts.
const SYNCS: usize = 5;

/// How long it takes until a few bytes are on the disk of `folder`: what an enrolment waits for.
/// The file that it writes is gone afterwards.
pub(in crate::cli) fn sync_time(folder: &Path) -> io::Result<Duration> {
    let mut file = tempfile::Builder::new()
        .prefix(".vultus-doctor-")
        .tempfile_in(folder)?;
    let sync = |file: &mut File| {
        file.write_all(&[0x56; 4096])?;
        let began = Instant::now();
        file.sync_data()?;
        Ok(began.elapsed())
    };
    let times: io::Result<Vec<Duration>> = (0..SYNCS).map(|_| sync(file.as_file_mut())).collect();
    let mut times = times?;
    times.sort();
    file.close()?;
    Ok(times[SYNCS / 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:25 / /var/lib/vultus rw - nfs4 server:/x rw
31 22 0:26 / /var/lib/my\\040disk rw - xfs /dev/b rw
32 22 0:27 / /run rw shared:5 - tmpfs tmpfs rw
33 22 0:28 / /run rw shared:6 - overlay overlay rw
nonsense
";

    #[test]
    fn the_longest_point_counts_and_the_last_of_several() {
        for (path, kind, point) in [
            ("/etc", "ext4", "/"),
            ("/var/lib/vultus/segments", "nfs4", "/var/lib/vultus"),
            ("/var/lib/vultus2", "ext4", "/"),
            ("/var/lib/my disk/a", "xfs", "/var/lib/my disk"),
            ("/run", "overlay", "/run"),
        ] {
            let found = Mount::among(MOUNTS, Path::new(path)).unwrap();
            assert_eq!((&*found.kind, found.point), (kind, point.into()), "{path}");
        }
        assert_eq!(Mount::among("", Path::new("/")), None);
    }

    #[test]
    fn what_does_not_exist_is_on_the_disk_of_what_it_would_be_made_in() {
        let exists = |path: &Path| path == Path::new("/var") || path == Path::new("/");
        for (path, found) in [
            ("/var/lib/x", "/var"),
            ("/x/y", "/"),
            ("x/y", "."),
            ("x", "."),
        ] {
            assert_eq!(
                nearest_existing_of(Path::new(path), exists),
                Path::new(found)
            );
        }
    }

    #[test]
    fn nothing_is_left_of_what_is_synced() {
        let folder = tempfile::tempdir().unwrap();
        sync_time(folder.path()).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(sync_time(&folder.path().join("missing")).is_err());
        assert!(Disk::of(folder.path()).unwrap().free_bytes > 0);
    }
}
