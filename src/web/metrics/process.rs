//! What the system says of this process. Nothing where there is no `/proc`.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::process::{Resource, getrlimit};

/// Times of processors are told in hundredths of a second on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// Each number as far as it is known.
#[derive(Debug, Default)]
pub(super) struct Process {
    pub(super) resident_bytes: Option<u64>,
    pub(super) virtual_bytes: Option<u64>,
    pub(super) threads: Option<u64>,
    pub(super) descriptors: Option<u64>,
    pub(super) descriptors_max: Option<u64>,
    pub(super) processor_seconds: Option<f64>,
    pub(super) start_unix_seconds: Option<f64>,
}

impl Process {
    pub(super) fn read() -> Process {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let number = |name: &str| -> Option<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // The name of the program stands in parentheses, and may have spaces. What follows is
        // numbered from the third field.
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let seconds = |field: usize| -> Option<f64> {
            let ticks: f64 = fields.get(field - 3)?.parse().ok()?;
            Some(ticks / TICKS_PER_SECOND)
        };
        let descriptors = fs::read_dir("/proc/self/fd").ok();
        Process {
            resident_bytes: number("VmRSS:").map(|kibibytes| kibibytes << 10),
            virtual_bytes: number("VmSize:").map(|kibibytes| kibibytes << 10),
            threads: number("Threads:"),
            // Less the one that is open to count them.
            descriptors: descriptors.map(|all| (all.count() as u64).saturating_sub(1)),
            descriptors_max: getrlimit(Resource::Nofile).current,
            processor_seconds: seconds(14).and_then(|user| Some(user + seconds(15)?)),
            start_unix_seconds: seconds(22).and_then(started),
        }
    }
}

/// When something began that began so long after the system did.
fn started(seconds_after_boot: f64) -> Option<f64> {
    let uptime = fs::read_to_string("/proc/uptime").ok()?;
    let uptime: f64 = uptime.split_whitespace().next()?.parse().ok()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    Some(now.as_secs_f64() - uptime + seconds_after_boot)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn linux_tells_everything() {
        let process = Process::read();
        assert!(process.resident_bytes.unwrap() > 1 << 20);
        assert!(process.virtual_bytes.unwrap() > process.resident_bytes.unwrap());
        assert!(process.threads.unwrap() > 0 && process.descriptors.unwrap() > 2);
        assert!(process.processor_seconds.unwrap() >= 0.0);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let age = now.as_secs_f64() - process.start_unix_seconds.unwrap();
        assert!((-1.0..86_400.0).contains(&age), "{age}");
    }
}
