//! The limits of the control group that this process is in, of version 2 or 1. A limit of a group
//! above holds for all below it, so the least of all counts.

use std::fs;
use std::path::{Path, PathBuf};

/// Where groups are, as nearly all systems mount them.
const ROOT: &str = "/sys/fs/cgroup";
/// Version 1 says so if there is no limit: the largest whole number of pages.
const NO_LIMIT: u64 = 1 << 62;

/// What a group may use; `None` stands for any amount.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Limits {
    /// How much memory can still be taken before the limit: what files take up in caches does not
    /// count, since it is given back.
    pub(super) memory_left_bytes: Option<u64>,
    /// The limit itself.
    pub(super) memory_bytes: Option<u64>,
    /// How many processors, in the mean.
    pub(super) processors: Option<f64>,
}

impl Limits {
    /// Those of this process.
    pub(super) fn read() -> Limits {
        let text = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Limits::of(&text, Path::new(ROOT))
    }

    /// Those of a process whose `/proc/self/cgroup` has this text, with groups under `root`.
    fn of(text: &str, root: &Path) -> Limits {
        let mut limits = Limits::default();
        for line in text.lines() {
            let mut parts = line.splitn(3, ':');
            let (_, Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next())
            else {
                continue;
            };
            let named = |name: &str| controllers.split(',').any(|one| one == name);
            if controllers.is_empty() {
                groups(root, path).for_each(|group| limits.take_version_2(&group));
            }
            if named("memory") {
                groups(&root.join("memory"), path).for_each(|group| limits.take_memory_1(&group));
            }
            if named("cpu") {
                let root = [controllers, "cpu", "cpu,cpuacct"].map(|name| root.join(name));
                let root = root.into_iter().find(|root| root.is_dir());
                let groups = root.into_iter().flat_map(|root| groups(&root, path));
                groups.for_each(|group| limits.take_processors_1(&group));
            }
        }
        limits
    }

    fn take_version_2(&mut self, group: &Path) {
        let limit = number(&group.join("memory.max"));
        let used = number(&group.join("memory.current")).unwrap_or(0);
        self.take_memory(
            limit,
            used,
            member(&group.join("memory.stat"), "inactive_file"),
        );
        let text = fs::read_to_string(group.join("cpu.max")).unwrap_or_default();
        let mut words = text.split_whitespace().map(str::parse::<f64>);
        if let (Some(Ok(quota)), Some(Ok(period))) = (words.next(), words.next()) {
            self.take_processors(quota / period);
        }
    }

    fn take_memory_1(&mut self, group: &Path) {
        let limit = number(&group.join("memory.limit_in_bytes"));
        let used = number(&group.join("memory.usage_in_bytes")).unwrap_or(0);
        let files = member(&group.join("memory.stat"), "total_inactive_file");
        self.take_memory(limit.filter(|limit| *limit < NO_LIMIT), used, files);
    }

    fn take_processors_1(&mut self, group: &Path) {
        let quota = number(&group.join("cpu.cfs_quota_us"));
        let period = number(&group.join("cpu.cfs_period_us"));
        // Without a limit the quota is -1, which is no such number.
        if let (Some(quota), Some(period)) = (quota, period) {
            self.take_processors(quota as f64 / period as f64);
        }
    }

    fn take_memory(&mut self, limit: Option<u64>, used: u64, files: Option<u64>) {
        let Some(limit) = limit else { return };
        let left = limit.saturating_sub(used.saturating_sub(files.unwrap_or(0)));
        let least = |known: Option<u64>, found| Some(known.map_or(found, |it| it.min(found)));
        self.memory_bytes = least(self.memory_bytes, limit);
        self.memory_left_bytes = least(self.memory_left_bytes, left);
    }

    fn take_processors(&mut self, found: f64) {
        if found.is_finite() && found > 0.0 {
            self.processors = Some(self.processors.map_or(found, |known| known.min(found)));
        }
    }
}

/// The group of a process and all above it. In a container the path is often one that is not there:
/// the group itself is then the root.
fn groups(root: &Path, path: &str) -> std::vec::IntoIter<PathBuf> {
    let below = path.trim_start_matches('/');
    let mut all: Vec<PathBuf> = Path::new(below)
        .ancestors()
        .map(|group| root.join(group))
        .collect();
    all.dedup();
    all.into_iter()
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// A member of a file of lines such as `inactive_file 4096`.
fn member(path: &Path, name: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn the_least_limit_of_a_group_and_those_above_it_holds() {
        let root = tree(&[
            ("a/memory.max", "8000\n"),
            ("a/memory.current", "3000\n"),
            ("a/memory.stat", "anon 1\ninactive_file 1000\n"),
            ("a/cpu.max", "400000 100000\n"),
            ("a/b/memory.max", "max\n"),
            ("a/b/cpu.max", "150000 100000\n"),
        ]);
        let limits = Limits::of("0::/a/b\n", root.path());
        assert_eq!(
            limits,
            Limits {
                memory_left_bytes: Some(6000),
                memory_bytes: Some(8000),
                processors: Some(1.5),
            }
        );
    }

    #[test]
    fn in_a_container_the_root_is_the_group() {
        let root = tree(&[
            ("memory.max", "8000\n"),
            ("memory.current", "9000\n"),
            ("cpu.max", "max 100000\n"),
        ]);
        let limits = Limits::of("0::/kubepods/pod1\n", root.path());
        assert_eq!(limits.memory_left_bytes, Some(0));
        assert_eq!(limits.processors, None);
    }

    #[test]
    fn version_1_has_files_of_other_names_and_no_limit_is_a_number() {
        let root = tree(&[
            ("memory/a/memory.limit_in_bytes", "8000\n"),
            ("memory/a/memory.usage_in_bytes", "2000\n"),
            ("memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("cpu,cpuacct/a/cpu.cfs_quota_us", "50000\n"),
            ("cpu,cpuacct/a/cpu.cfs_period_us", "100000\n"),
            ("cpu,cpuacct/cpu.cfs_quota_us", "-1\n"),
            ("cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
        ]);
        let text = "4:memory:/a\n3:cpu,cpuacct:/a\n1:name=systemd:/a\n";
        let limits = Limits::of(text, root.path());
        assert_eq!(limits.memory_left_bytes, Some(6000));
        assert_eq!(limits.processors, Some(0.5));
    }

    #[test]
    fn nothing_and_nonsense_limit_nothing() {
        let root = tree(&[("memory.max", "much\n"), ("cpu.max", "1 0\n")]);
        for text in ["", "nonsense", "0::", "0::/\n", "5:memory\n"] {
            assert_eq!(Limits::of(text, root.path()), Limits::default(), "{text}");
        }
    }
}
