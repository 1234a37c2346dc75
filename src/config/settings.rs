//! What holds in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use tracing_subscriber::filter::Targets;

use super::{ConfigError, KeySource, ListenAddress, LogFormat, Place};
use crate::audit::AuditMode;
use crate::face::PIXELS_MAX;
use crate::kernel::{Isa, Kernel};
use crate::partition::MaintenanceOptions;
use crate::web::{OtlpEndpoint, PublicUrl, ServiceOptions};

/// What holds in the end. [`SETTINGS`](super::SETTINGS) says what each is.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The file that settings were read from.
    pub config: Option<PathBuf>,
    /// What is logged; what the verb logs by itself if `None`.
    pub log: Option<Targets>,
    /// How its lines are written.
    pub log_format: LogFormat,
    /// The directory in which everything is kept.
    pub data_dir: PathBuf,
    /// Where the key comes from that the keys of galleries are sealed with.
    pub master_key: Option<KeySource>,
    /// Whether a new data directory is encrypted.
    pub encrypts_new: bool,
    /// Whether a service accounts for what is done.
    pub audit: AuditMode,
    /// How long what it wrote is kept; for good if `None`.
    pub audit_keep: Option<Duration>,
    /// Threads that scan the gallery and read pictures.
    pub threads: usize,
    /// The instruction set that scans; the fastest that the processor has if `None`.
    pub isa: Option<Isa>,
    /// Another network than the built-in one, an ONNX file. Set if [`Settings::embedder_profile`]
    /// is.
    pub embedder: Option<PathBuf>,
    /// What that network expects and gives, a TOML file.
    pub embedder_profile: Option<PathBuf>,
    /// What was measured of encoders whose embeddings come ready, files of `vultus calibrate`.
    pub encoder_profiles: Vec<PathBuf>,
    /// The library of ONNX Runtime.
    pub onnxruntime: Option<PathBuf>,
    /// Within which time the service overwrites what is stored of removed people.
    pub erase_within: Duration,
    /// Whether the service measures what strangers reach in its galleries as they grow.
    pub calibrate_background: bool,
    /// The most pixels that a picture may have.
    pub picture_pixels_max: usize,
    /// Where the service listens.
    pub listen: ListenAddress,
    /// Where it tells its metrics; nowhere if `None`.
    pub metrics_listen: Option<ListenAddress>,
    /// The collector that is told what requests take; none if `None`.
    pub otlp_endpoint: Option<OtlpEndpoint>,
    /// The URL under which clients reach the service; `None` stands for the address it listens on.
    pub public_url: Option<PublicUrl>,
    /// The certificate that the service speaks TLS with, a PEM file. Set if [`Settings::tls_key`] is.
    pub tls_certificate: Option<PathBuf>,
    /// The key of that certificate, a PEM file.
    pub tls_key: Option<PathBuf>,
    /// All else about the service. Its URL is that of the default address; see
    /// [`Settings::public_url`].
    pub service: ServiceOptions,
    /// What was given, as it was given.
    pub(super) given: AsGiven,
}

/// The values that were given, by the names of their settings.
#[derive(Clone, Default)]
pub(super) struct AsGiven(BTreeMap<&'static str, Kept>);

/// A value that was given.
#[derive(Clone)]
pub(super) struct Kept {
    /// All of it, to be compared with another.
    pub(super) whole: String,
    /// What people are shown of it.
    pub(super) plain: String,
    /// Where it stands.
    pub(super) place: Place,
}

/// One value can be given in several ways: what counts is what became of it.
impl fmt::Debug for AsGiven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AsGiven")
    }
}

impl AsGiven {
    pub(super) fn keep(&mut self, name: &'static str, value: Kept) {
        self.0.insert(name, value);
    }

    pub(super) fn get(&self, name: &str) -> Option<&Kept> {
        self.0.get(name)
    }
}

impl Settings {
    /// The defaults; `processors` is how many there are.
    pub fn new(processors: usize) -> Settings {
        let listen = ListenAddress::default();
        Settings {
            config: None,
            log: None,
            log_format: LogFormat::Text,
            data_dir: "vultus-data".into(),
            master_key: None,
            encrypts_new: false,
            audit: AuditMode::Off,
            audit_keep: None,
            threads: processors,
            isa: None,
            embedder: None,
            embedder_profile: None,
            encoder_profiles: Vec::new(),
            onnxruntime: None,
            erase_within: MaintenanceOptions::default().erase_within,
            calibrate_background: true,
            picture_pixels_max: PIXELS_MAX as usize,
            service: ServiceOptions {
                workers: processors,
                ..ServiceOptions::new(&format!("http://{listen}"))
            },
            listen,
            metrics_listen: None,
            otlp_endpoint: None,
            public_url: None,
            tls_certificate: None,
            tls_key: None,
            given: AsGiven::default(),
        }
    }

    /// What keeps a service from starting with them, though each by itself is good.
    pub fn problem_of_service(&self) -> Option<&'static str> {
        let is_missing =
            self.service.snapshot_every.is_some() && self.service.snapshot_dir.is_none();
        is_missing
            .then_some("`snapshot-every` needs `snapshot-dir`: where are snapshots to be made?")
    }

    /// How many settings are given.
    pub fn given_count(&self) -> usize {
        self.given.0.len()
    }

    /// The names of the settings that are given otherwise in `other`, or in one of both only.
    pub fn changed(&self, other: &Settings) -> Vec<&'static str> {
        let (ours, theirs) = (&self.given.0, &other.given.0);
        let names: BTreeSet<&'static str> = ours.keys().chain(theirs.keys()).copied().collect();
        let changed = |name: &&'static str| {
            let [ours, theirs] = [ours, theirs].map(|given| given.get(name).map(|it| &it.whole));
            ours != theirs
        };
        names.into_iter().filter(changed).collect()
    }

    /// What scans.
    ///
    /// # Errors
    ///
    /// If the processor lacks the instruction set.
    pub fn kernel(&self) -> Result<Kernel, ConfigError> {
        let Some(isa) = self.isa else {
            return Ok(Kernel::detect());
        };
        Kernel::for_isa(isa).ok_or_else(|| {
            let available: Vec<String> = Isa::available().map(|isa| isa.to_string()).collect();
            let available = available.join(", ");
            ConfigError::Isa { isa, available }
        })
    }

    /// What no single value can be blamed for, or depends on the machine: a file with settings may
    /// be that of several machines, and a flag helps.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        self.kernel()?;
        if let Some(metrics) = &self.metrics_listen
            && metrics.is_same_port_as(&self.listen)
        {
            let address = metrics.clone();
            return Err(ConfigError::SameAddress { address });
        }
        let pairs = [
            (
                ("embedder", &self.embedder),
                ("embedder-profile", &self.embedder_profile),
            ),
            (
                ("tls-cert", &self.tls_certificate),
                ("tls-key", &self.tls_key),
            ),
        ];
        for ((one, its), (other, others)) in pairs {
            let (given, missing) = match (its, others) {
                (Some(_), None) => (one, other),
                (None, Some(_)) => (other, one),
                _ => continue,
            };
            return Err(ConfigError::Half { given, missing });
        }
        Ok(())
    }
}
