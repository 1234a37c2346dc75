//! Looking at the machine. Nothing is changed, but for files that are made, synced and deleted again
//! to see whether that works.

use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use rustix::process::{Resource, getrlimit};

use super::data;
use super::facts::{
    ClockFacts, DescriptorFacts, Facts, FolderFacts, KeyFileFacts, PortFacts, PortState,
    ProcessorFacts, SettingsFacts, TrialFacts,
};
use super::port;
use crate::cli::bench::gallery::{Gallery, MadeUp};
use crate::cli::machine::{Disk, Memory, processor_limit, processor_name, sync_time};
use crate::cli::{master_key, open};
use crate::config::{Read, Settings};
use crate::kernel::Kernel;
use crate::liveness::LivenessDetector;
use crate::partition::snapshots_in;
use crate::search::{Options, Plan, Pool};
use crate::types::Clock;
use crate::web::Validity;

/// The clock, watched while all else is done.
struct Watch {
    began: Instant,
    time_of_day: SystemTime,
}

impl Watch {
    fn start() -> Watch {
        Watch {
            began: Instant::now(),
            time_of_day: SystemTime::now(),
        }
    }

    /// How much farther the time of day went than the time that passed.
    fn jumped_seconds(&self) -> f64 {
        let passed = self.began.elapsed().as_secs_f64();
        let went = match SystemTime::now().duration_since(self.time_of_day) {
            Ok(went) => went.as_secs_f64(),
            Err(back) => -back.duration().as_secs_f64(),
        };
        went - passed
    }
}

/// Looks at everything; with settings that cannot be used at what does not depend on them.
pub(super) fn gather(read: Result<&Read, &anyhow::Error>) -> Facts {
    let watch = Watch::start();
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let standard = Settings::new(processors);
    let (usable, settings) = match read {
        Ok(read) => (true, &read.settings),
        Err(_) => (false, &standard),
    };
    let directory = usable.then(|| data::directory(&settings.data_dir));
    let look = || data::store(&settings.data_dir, master_key::keys(settings));
    let seen = usable.then(look).flatten();
    let (store, key, newest_template) = match seen {
        Some(seen) => (Some(seen.facts), seen.key, seen.newest),
        None => (None, None, None),
    };
    let (directory, newest_file) = match directory {
        Some((mut directory, newest)) => {
            // With what is in the catalog, more is known of the key.
            directory.key = key.unwrap_or(directory.key);
            (Some(directory), newest)
        }
        None => (None, None),
    };
    let newest = [newest_file, newest_template].into_iter().flatten();
    let newest = newest.max_by_key(|(_, at)| *at);
    let service = &settings.service;
    Facts {
        settings: settings_facts(read),
        processor: processor(settings, processors),
        descriptors: descriptors(settings),
        memory: Memory::read(),
        ports: if usable { ports(settings) } else { Vec::new() },
        certificate: certificate(settings),
        tls_key: settings.tls_key.as_deref().and_then(key_file),
        snapshots: service.snapshot_dir.as_deref().map(folder),
        trial: trial(settings).map_err(|error| format!("{error:#}")),
        networks: usable.then(|| networks(settings).map_err(|error| format!("{error:#}"))),
        picture_bytes_max: service.picture_bytes_max,
        directory,
        store,
        clock: ClockFacts {
            now: Clock::System.now(),
            newest,
            jumped_seconds: watch.jumped_seconds(),
        },
    }
}

fn settings_facts(read: Result<&Read, &anyhow::Error>) -> SettingsFacts {
    match read {
        Ok(read) => SettingsFacts {
            given: match read.settings.problem_of_service() {
                Some(problem) => Err(problem.to_owned()),
                None => Ok(read.settings.given_count()),
            },
            unknown: read.unknown.iter().map(ToString::to_string).collect(),
        },
        Err(error) => SettingsFacts {
            given: Err(format!("{error:#}")),
            unknown: Vec::new(),
        },
    }
}

fn processor(settings: &Settings, processors: usize) -> ProcessorFacts {
    let fastest = Kernel::detect().isa();
    ProcessorFacts {
        name: processor_name().unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
        isa: settings.isa.unwrap_or(fastest),
        fastest,
        is_x86: cfg!(target_arch = "x86_64"),
        threads: settings.threads,
        workers: settings.service.workers,
        processors: logical_processors().unwrap_or(processors),
        limit: processor_limit(),
    }
}

/// Those that this process may run on, whatever a container limits: Linux tells them as a list of
/// ranges.
fn logical_processors() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let list = text
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    count_of_list(list.trim())
}

fn count_of_list(list: &str) -> Option<usize> {
    let counts = list.split(',').map(|range| match range.split_once('-') {
        Some((first, last)) => {
            let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
            Some(last.checked_sub(first)? + 1)
        }
        None => range.parse::<usize>().ok().map(|_| 1),
    });
    counts.sum()
}

fn descriptors(settings: &Settings) -> DescriptorFacts {
    let limit = getrlimit(Resource::Nofile);
    DescriptorFacts {
        soft: limit.current,
        hard: limit.maximum,
        connections_max: settings.service.connections.count_max,
    }
}

fn certificate(settings: &Settings) -> Result<Option<Validity>, String> {
    let certificates = open::certificates(settings).map_err(|error| format!("{error:#}"))?;
    Ok(certificates.map(|certificates| certificates.validity()))
}

fn ports(settings: &Settings) -> Vec<PortFacts> {
    let service = PortFacts {
        setting: "listen",
        address: settings.listen.to_string(),
        state: port_state(settings.listen.as_str(), &port::SERVICE),
    };
    let metrics = settings.metrics_listen.as_ref().map(|listen| PortFacts {
        setting: "metrics-listen",
        address: listen.to_string(),
        state: port_state(listen.as_str(), &port::METRICS),
    });
    [Some(service), metrics].into_iter().flatten().collect()
}

/// Of the first address of the host that the service would take.
fn port_state(listen: &str, question: &port::Question) -> PortState {
    let addresses = match std::net::ToSocketAddrs::to_socket_addrs(listen) {
        Ok(addresses) => addresses,
        Err(error) => return PortState::Unusable(format!("the host cannot be looked up: {error}")),
    };
    let mut addresses: Vec<SocketAddr> = addresses.collect();
    addresses.sort_by_key(SocketAddr::is_ipv6);
    let states = addresses
        .into_iter()
        .map(|address| port::state(address, question));
    let mut unusable = None;
    for state in states {
        match state {
            PortState::Unusable(_) => unusable = unusable.or(Some(state)),
            usable => return usable,
        }
    }
    unusable.unwrap_or_else(|| PortState::Unusable("the host has no address".to_owned()))
}

/// Nothing if it is not there: `certificate` tells.
fn key_file(path: &Path) -> Option<KeyFileFacts> {
    let found = std::fs::metadata(path).ok()?;
    Some(KeyFileFacts {
        path: path.to_owned(),
        mode: found.mode() & 0o777,
    })
}

fn folder(path: &Path) -> FolderFacts {
    let now = Clock::System.now();
    let snapshots = snapshots_in(path).unwrap_or_default().into_iter();
    let later = snapshots.filter(|snapshot| snapshot.created > now);
    FolderFacts {
        later: later.map(|snapshot| snapshot.name).collect(),
        path: path.to_owned(),
        writable: sync_time(path).map(drop).map_err(|error| error.to_string()),
        free_bytes: Disk::of(path).ok().map(|disk| disk.free_bytes),
    }
}

/// Few, so that it takes no time; many enough for every way to search.
const TRIAL: MadeUp = MadeUp {
    rows: 2_048,
    dimension: 128,
    seed: 1,
};
const TRIAL_PROBES: usize = 6;
const TRIAL_LIMIT: usize = 20;

/// Identifies among made-up people, in every way, and compares with a full sort.
fn trial(settings: &Settings) -> anyhow::Result<TrialFacts> {
    let began = Instant::now();
    let kernel = settings.kernel()?;
    // A root that is read-only may have one place that is not.
    let folders = [
        std::env::temp_dir(),
        settings.data_dir.clone(),
        PathBuf::from("/dev/shm"),
    ];
    let made = folders
        .iter()
        .map(|folder| Gallery::made_up(folder, TRIAL, TRIAL_PROBES, TRIAL_LIMIT));
    let mut first_error = None;
    let made = made.filter_map(|made| made.map_err(|error| first_error.get_or_insert(error)).ok());
    let gallery = { made }.next();
    let gallery = match (gallery, first_error) {
        (Some(gallery), _) => gallery,
        (None, error) => {
            let error = error.unwrap_or_else(|| anyhow::anyhow!("there is no folder"));
            return Err(error.context("cannot make a gallery to try"));
        }
    };
    let pool = Pool::new(settings.threads);
    let answers = gallery.check(TRIAL_PROBES, Plan::ALL, &Options::with(kernel), &pool)?;
    Ok(TrialFacts {
        rows: TRIAL.rows,
        answers: answers * Plan::ALL.len(),
        duration: began.elapsed(),
    })
}

fn networks(settings: &Settings) -> anyhow::Result<Duration> {
    let began = Instant::now();
    open::faces(settings)?;
    LivenessDetector::new(1).context("loading the networks for liveness")?;
    Ok(began.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_processors_are_counted() {
        for (list, count) in [
            ("0", Some(1)),
            ("0-3", Some(4)),
            ("0-3,8,10-11", Some(7)),
            ("", None),
            ("3-0", None),
            ("x", None),
        ] {
            assert_eq!(count_of_list(list), count, "{list}");
        }
    }

    #[test]
    fn a_clock_that_nobody_moves_does_not_jump() {
        assert!(Watch::start().jumped_seconds().abs() < 3600.0);
        let moved = Watch {
            began: Instant::now(),
            time_of_day: SystemTime::now() + Duration::from_secs(86_400),
        };
        assert!(moved.jumped_seconds() < -80_000.0);
    }

    #[test]
    fn a_trial_is_right_wherever_there_is_room() {
        let mut settings = Settings::new(2);
        let folder = tempfile::tempdir().unwrap();
        settings.data_dir = folder.path().to_owned();
        let facts = trial(&settings).unwrap();
        assert_eq!(facts.answers, TRIAL_PROBES * Plan::ALL.len());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
