//! What was found on the machine, before anybody judges it. Nothing here is secret.

use std::path::PathBuf;
use std::time::Duration;

use crate::cli::admin::SocketState;
use crate::cli::machine::{Disk, Memory, Mount};
use crate::kernel::Isa;
use crate::partition::Encryption;
use crate::types::Timestamp;
use crate::web::Validity;

/// All of it.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) clock: ClockFacts,
    pub(super) settings: SettingsFacts,
    pub(super) processor: ProcessorFacts,
    pub(super) descriptors: DescriptorFacts,
    pub(super) memory: Option<Memory>,
    /// Nothing if the settings cannot be used: where would it be?
    pub(super) directory: Option<DirectoryFacts>,
    pub(super) store: Option<StoreFacts>,
    /// From when to when the certificate is valid, or why it cannot be used; nothing if there is none.
    pub(super) certificate: Result<Option<Validity>, String>,
    /// The file of its key.
    pub(super) tls_key: Option<KeyFileFacts>,
    pub(super) ports: Vec<PortFacts>,
    pub(super) snapshots: Option<FolderFacts>,
    pub(super) trial: Result<TrialFacts, String>,
    /// How long the networks took to load.
    pub(super) networks: Option<Result<Duration, String>>,
    /// The most memory that pictures take together.
    pub(super) picture_bytes_max: u64,
}

#[derive(Clone, Debug)]
pub(super) struct ClockFacts {
    pub(super) now: Timestamp,
    /// The newest thing on disk, with its time.
    pub(super) newest: Option<(PathBuf, Timestamp)>,
    /// How much farther the time of day went than the time that passed, while it was watched.
    pub(super) jumped_seconds: f64,
}

#[derive(Clone, Debug)]
pub(super) struct SettingsFacts {
    /// How many are given, or why they cannot be used.
    pub(super) given: Result<usize, String>,
    /// Variables that set nothing.
    pub(super) unknown: Vec<String>,
}

#[derive(Clone, Debug)]
pub(super) struct ProcessorFacts {
    pub(super) name: String,
    /// What scans.
    pub(super) isa: Isa,
    /// The fastest that the processor has.
    pub(super) fastest: Isa,
    pub(super) is_x86: bool,
    pub(super) threads: usize,
    pub(super) workers: usize,
    pub(super) processors: usize,
    /// How many a container may use.
    pub(super) limit: Option<f64>,
}

/// `None` stands for any number.
#[derive(Clone, Copy, Debug)]
pub(super) struct DescriptorFacts {
    pub(super) soft: Option<u64>,
    pub(super) hard: Option<u64>,
    /// The setting `connections-max`.
    pub(super) connections_max: Option<usize>,
}

#[derive(Clone, Debug)]
pub(super) struct DirectoryFacts {
    pub(super) path: PathBuf,
    /// Whether there is a data directory, something else (what it is), or nothing.
    pub(super) there: There,
    /// What was looked at: the directory, or the nearest folder above it that exists.
    pub(super) looked_at: PathBuf,
    pub(super) mount: Option<Mount>,
    pub(super) disk: Result<Disk, String>,
    pub(super) sync: Result<Duration, String>,
    /// All that it has.
    pub(super) bytes: u64,
    /// The first thing that others can read.
    pub(super) open_to_others: Option<PathBuf>,
    /// Whose it is, if it is there.
    pub(super) owner: Option<u32>,
    /// The first thing in it that is another user's than it is, with the number of that user.
    pub(super) foreign: Option<(PathBuf, u32)>,
    /// The first thing that this user cannot look into.
    pub(super) unreadable: Option<(PathBuf, String)>,
    /// The number of this user.
    pub(super) user: u32,
    /// The key for tokens: whether there is one, or why it cannot be used.
    pub(super) key: Result<bool, String>,
    /// What is where commands meet a service.
    pub(super) socket: SocketState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum There {
    DataDirectory,
    /// A folder without a catalog, which is made on the first start.
    Folder,
    SomethingElse,
    Nothing,
}

/// A data directory that was opened to be read.
#[derive(Clone, Debug)]
pub(super) struct StoreFacts {
    /// What it has, or why it cannot be opened.
    pub(super) contents: Result<Contents, String>,
    /// Whether another process may change it at the moment; nothing where that is not told.
    pub(super) is_being_written: Option<bool>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Contents {
    pub(super) galleries: usize,
    pub(super) templates: usize,
    /// What searches read of all templates.
    pub(super) scanned_bytes: u64,
    /// Whether all of it is encrypted.
    pub(super) encryption: Encryption,
    /// What is wrong with one half of the key file, if anything is.
    pub(super) half_of_keys: Option<&'static str>,
    /// Galleries that cannot be opened, with why.
    pub(super) damaged: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
pub(super) struct PortFacts {
    /// The setting.
    pub(super) setting: &'static str,
    pub(super) address: String,
    pub(super) state: PortState,
}

#[derive(Clone, Debug)]
pub(super) enum PortState {
    /// Nobody listens, and this user could.
    Free,
    /// Any free port is taken when the service starts.
    Any,
    /// A Vultus answers.
    Vultus,
    /// Something else has it.
    Taken,
    /// Nobody can listen there: why.
    Unusable(String),
}

/// A file with a key.
#[derive(Clone, Debug)]
pub(super) struct KeyFileFacts {
    pub(super) path: PathBuf,
    /// What its owner, its group and others may do with it.
    pub(super) mode: u32,
}

/// A folder that must be there and take files.
#[derive(Clone, Debug)]
pub(super) struct FolderFacts {
    pub(super) path: PathBuf,
    pub(super) writable: Result<(), String>,
    pub(super) free_bytes: Option<u64>,
    /// Snapshots in it that are later than now, the latest first.
    pub(super) later: Vec<String>,
}

/// An identification among made-up people.
#[derive(Clone, Copy, Debug)]
pub(super) struct TrialFacts {
    pub(super) rows: usize,
    pub(super) answers: usize,
    pub(super) duration: Duration,
}
