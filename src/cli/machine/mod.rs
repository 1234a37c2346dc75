//! What this machine gives the program: memory, processors and disks, with the limits of a container
//! around it. Read from what Linux tells in files; elsewhere it is unknown.

mod cgroup;
mod disk;
mod memory;

pub(super) use disk::{Disk, Mount, nearest_existing, sync_time};
pub(super) use memory::Memory;

/// How many processors a container may use at most, in the mean; `None` if that is not limited.
pub(super) fn processor_limit() -> Option<f64> {
    cgroup::Limits::read().processors
}

/// As Linux calls it.
pub(super) fn processor_name() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// A number of bytes for people, in units of 1,000.
pub(super) fn bytes_text(bytes: u64) -> String {
    let number = bytes as f64;
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{:.0} kB", number / 1e3),
        1_000_000..1_000_000_000 => format!("{:.0} MB", number / 1e6),
        1_000_000_000..1_000_000_000_000 => format!("{:.1} GB", number / 1e9),
        _ => format!("{:.1} TB", number / 1e12),
    }
}

#[cfg(test)]
mod tests {
    use super::bytes_text;

    #[test]
    fn bytes_have_the_unit_that_fits() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (999, "999 bytes"),
            (1_500, "2 kB"),
            (75_000_000, "75 MB"),
            (2_600_000_000, "2.6 GB"),
            (u64::MAX, "18446744.1 TB"),
        ] {
            assert_eq!(bytes_text(bytes), text);
        }
    }
}
