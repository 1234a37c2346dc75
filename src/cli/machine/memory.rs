//! How much memory there is.

use std::fs;

use super::cgroup::Limits;

/// Memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct Memory {
    /// What can be taken before something else must go; caches of files count as free.
    pub(in crate::cli) available_bytes: u64,
    /// What there is at all, within the limit of a container.
    pub(in crate::cli) total_bytes: u64,
    /// The limit of a container, if that is what counts.
    pub(in crate::cli) limit_bytes: Option<u64>,
}

impl Memory {
    /// That of this machine; `None` if it does not tell.
    pub(in crate::cli) fn read() -> Option<Memory> {
        let text = fs::read_to_string("/proc/meminfo").ok()?;
        Memory::of(&text, Limits::read())
    }

    fn of(text: &str, limits: Limits) -> Option<Memory> {
        let member = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            let kib: u64 = line
                .trim_start_matches(':')
                .trim()
                .strip_suffix(" kB")?
                .parse()
                .ok()?;
            Some(kib * 1024)
        };
        let (total, available) = (member("MemTotal")?, member("MemAvailable")?);
        let limit = limits.memory_bytes.filter(|limit| *limit < total);
        Some(Memory {
            available_bytes: available.min(limits.memory_left_bytes.unwrap_or(u64::MAX)),
            total_bytes: limit.unwrap_or(total),
            limit_bytes: limit,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "MemTotal:        2000 kB\nMemFree:  10 kB\nMemAvailable:    1000 kB\n";

    #[test]
    fn the_limit_of_a_container_counts_where_it_is_less() {
        let of = |left: Option<u64>, limit: Option<u64>| {
            let limits = Limits {
                memory_left_bytes: left,
                memory_bytes: limit,
                processors: None,
            };
            Memory::of(TEXT, limits).unwrap()
        };
        let free = of(None, None);
        assert_eq!(
            (free.available_bytes, free.total_bytes),
            (1_024_000, 2_048_000)
        );
        let tight = of(Some(500), Some(9_000));
        assert_eq!(
            (tight.available_bytes, tight.limit_bytes),
            (500, Some(9_000))
        );
        let loose = of(Some(1 << 40), Some(1 << 40));
        assert_eq!(
            (loose.available_bytes, loose.limit_bytes),
            (1_024_000, None)
        );
        assert_eq!(Memory::of("", Limits::default()), None);
    }
}
