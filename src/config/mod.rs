//! Settings: what can be set, where from, and what holds when nothing is.
//!
//! Four layers, later ones winning: defaults, a TOML file, environment variables (`VULTUS_…`),
//! command-line flags. Every layer can set the same things under the same names; [`Layer`] lists
//! them.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Deserialize;

use crate::kernel::{Isa, Kernel};
use crate::liveness::{ThresholdError, Thresholds};
use crate::types::{ParseBcidError, PartitionId};

/// What one layer sets. In a file the names are written with hyphens, `data-dir`; as variables with
/// the prefix `VULTUS_` in capitals, `VULTUS_DATA_DIR`; as flags with two hyphens, `--data-dir`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Layer {
    /// Where everything is kept. `VULTUS_DATA_DIR`, default `vultus-data`.
    pub data_dir: Option<PathBuf>,
    /// Threads that scan. `VULTUS_THREADS`, default: one for each processor.
    pub threads: Option<usize>,
    /// The instruction set that scans. `VULTUS_ISA`, default: the fastest that the processor has.
    pub isa: Option<Isa>,
    /// Another network to make embeddings with, an ONNX file. `VULTUS_EMBEDDER`, default: the
    /// built-in SFace. Needs `embedder-profile`.
    pub embedder: Option<PathBuf>,
    /// What that network expects and gives, a TOML file. `VULTUS_EMBEDDER_PROFILE`.
    pub embedder_profile: Option<PathBuf>,
    /// The shared library of ONNX Runtime, to find faces with instead of the built-in runtime.
    /// `VULTUS_ONNXRUNTIME`. Needs a program built with the feature `onnxruntime`.
    pub onnxruntime: Option<PathBuf>,
    /// Where the service listens. `VULTUS_LISTEN`, default `127.0.0.1:8040`.
    pub listen: Option<SocketAddr>,
    /// The URL under which clients reach the service. `VULTUS_PUBLIC_URL`, default: `http://` and the
    /// address it listens on.
    pub public_url: Option<String>,
    /// Web origins whose pages may call the service, separated by commas as a variable.
    /// `VULTUS_CORS_ORIGINS`, default: all.
    pub cors_origins: Option<Vec<String>>,
    /// Pictures and searches that are worked on at once. `VULTUS_WORKERS`, default: one for each
    /// processor.
    pub workers: Option<usize>,
    /// The largest request body in bytes. `VULTUS_BODY_BYTES_MAX`, default 20 MiB.
    pub body_bytes_max: Option<usize>,
    /// Where the native API makes snapshots. `VULTUS_SNAPSHOT_DIR`, default: nowhere, they are refused.
    pub snapshot_dir: Option<PathBuf>,
    /// The similarity, -1 to 1, from which on a verification succeeds. `VULTUS_VERIFICATION_THRESHOLD`,
    /// default: that of the encoder's profile.
    pub verification_threshold: Option<f64>,
    /// The same for single partitions, a table such as `{ "bws.112" = 0.5 }`, and as a variable
    /// `bws.112=0.5,bws.113=0.6`. `VULTUS_VERIFICATION_THRESHOLDS`.
    pub verification_thresholds: Option<BTreeMap<String, f64>>,
    /// What samples must reach to be of a live person: the table `[liveness]` of a file, and nowhere else.
    /// [`Thresholds`] lists its names. Default: [`Thresholds::default`].
    pub liveness: Option<Thresholds>,
}

/// What holds in the end.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// See [`Layer::data_dir`].
    pub data_dir: PathBuf,
    /// See [`Layer::threads`].
    pub threads: usize,
    /// See [`Layer::isa`].
    pub kernel: Kernel,
    /// See [`Layer::embedder`] and [`Layer::embedder_profile`].
    pub embedder: Option<(PathBuf, PathBuf)>,
    /// See [`Layer::onnxruntime`].
    pub onnxruntime: Option<PathBuf>,
    /// See [`Layer::listen`].
    pub listen: SocketAddr,
    /// See [`Layer::public_url`]; `None` stands for the address that is listened on.
    pub public_url: Option<String>,
    /// See [`Layer::cors_origins`]; `None` stands for all.
    pub cors_origins: Option<Vec<String>>,
    /// See [`Layer::workers`].
    pub workers: usize,
    /// See [`Layer::body_bytes_max`].
    pub body_bytes_max: usize,
    /// See [`Layer::snapshot_dir`].
    pub snapshot_dir: Option<PathBuf>,
    /// See [`Layer::verification_threshold`]; `None` stands for that of the encoder.
    pub verification_threshold: Option<f64>,
    /// See [`Layer::verification_thresholds`].
    pub verification_thresholds: BTreeMap<PartitionId, f64>,
    /// See [`Layer::liveness`].
    pub liveness: Thresholds,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read settings from `{path}`")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The file is no TOML, or sets something that does not exist.
    #[error("cannot use settings from `{path}`: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A variable has a value of the wrong form.
    #[error("environment variable `{name}` is `{found}`, and {expected} is needed")]
    Variable {
        /// The variable.
        name: String,
        /// Its value.
        found: String,
        /// What is needed.
        expected: &'static str,
    },
    /// There is no variable of this name, perhaps a slip.
    #[error("environment variable `{name}` sets nothing: known are {known}")]
    UnknownVariable {
        /// The variable.
        name: String,
        /// The variables that exist.
        known: String,
    },
    /// A number must not be zero.
    #[error("`{name}` is 0, and at least 1 is needed")]
    Zero {
        /// The setting.
        name: &'static str,
    },
    /// The processor lacks the instruction set that was asked for.
    #[error("this processor has no `{isa}`: it has {available}")]
    Isa {
        /// What was asked for.
        isa: Isa,
        /// What there is.
        available: String,
    },
    /// A threshold of `[liveness]` is out of range.
    #[error("in `[liveness]`, {0}")]
    Liveness(#[from] ThresholdError),
    /// A threshold is no cosine.
    #[error("`{name}` is {found}, and a similarity from -1 to 1 is needed")]
    Threshold {
        /// The setting.
        name: String,
        /// Its value.
        found: f64,
    },
    /// A threshold is for something that is no partition.
    #[error("`verification-thresholds` has an entry that names no partition such as `bws.112`")]
    Partition(#[from] ParseBcidError),
    /// One of the two embedder settings is missing.
    #[error("`embedder` and `embedder-profile` are needed together")]
    HalfAnEmbedder,
}

const PREFIX: &str = "VULTUS_";
/// Variables that others read: the log filter, and the name of the settings file.
const FOREIGN: [&str; 2] = ["VULTUS_LOG", "VULTUS_CONFIG"];
const VARIABLES: [&str; 14] = [
    "VULTUS_DATA_DIR",
    "VULTUS_THREADS",
    "VULTUS_ISA",
    "VULTUS_EMBEDDER",
    "VULTUS_EMBEDDER_PROFILE",
    "VULTUS_ONNXRUNTIME",
    "VULTUS_LISTEN",
    "VULTUS_PUBLIC_URL",
    "VULTUS_CORS_ORIGINS",
    "VULTUS_WORKERS",
    "VULTUS_BODY_BYTES_MAX",
    "VULTUS_SNAPSHOT_DIR",
    "VULTUS_VERIFICATION_THRESHOLD",
    "VULTUS_VERIFICATION_THRESHOLDS",
];

impl Layer {
    /// What a TOML file sets.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is no TOML, or sets something that does not exist.
    pub fn from_file(path: &Path) -> Result<Layer, ConfigError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigError::Io {
            path: path.to_owned(),
            source,
        })?;
        let parsed = toml::from_str(&text);
        parsed.map_err(|source| ConfigError::File {
            path: path.to_owned(),
            source: Box::new(source),
        })
    }

    /// What environment variables set; those without our prefix are passed over.
    ///
    /// # Errors
    ///
    /// If a value has the wrong form, or a variable with our prefix does not exist.
    pub fn from_variables(
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Layer, ConfigError> {
        let mut layer = Layer::default();
        for (name, value) in variables {
            if !name.starts_with(PREFIX) || FOREIGN.contains(&&*name) {
                continue;
            }
            match &*name {
                "VULTUS_DATA_DIR" => layer.data_dir = Some(value.into()),
                "VULTUS_THREADS" => layer.threads = Some(parse(&name, value, "a number")?),
                "VULTUS_ISA" => {
                    layer.isa = Some(parse(
                        &name,
                        value,
                        "one of scalar, simsimd, avx2, avxvnni, avx512, amx",
                    )?);
                }
                "VULTUS_EMBEDDER" => layer.embedder = Some(value.into()),
                "VULTUS_EMBEDDER_PROFILE" => layer.embedder_profile = Some(value.into()),
                "VULTUS_ONNXRUNTIME" => layer.onnxruntime = Some(value.into()),
                "VULTUS_LISTEN" => {
                    let expected = "an address and a port like `127.0.0.1:8040`";
                    layer.listen = Some(parse(&name, value, expected)?);
                }
                "VULTUS_PUBLIC_URL" => layer.public_url = Some(value),
                "VULTUS_CORS_ORIGINS" => {
                    let origins = value.split(',').map(|origin| origin.trim().to_owned());
                    layer.cors_origins = Some(origins.collect());
                }
                "VULTUS_WORKERS" => layer.workers = Some(parse(&name, value, "a number")?),
                "VULTUS_BODY_BYTES_MAX" => {
                    layer.body_bytes_max = Some(parse(&name, value, "a number of bytes")?);
                }
                "VULTUS_SNAPSHOT_DIR" => layer.snapshot_dir = Some(value.into()),
                "VULTUS_VERIFICATION_THRESHOLD" => {
                    layer.verification_threshold = Some(parse(&name, value, "a number")?);
                }
                "VULTUS_VERIFICATION_THRESHOLDS" => {
                    layer.verification_thresholds = Some(thresholds(&name, &value)?);
                }
                _ => {
                    let known = VARIABLES.join(", ");
                    return Err(ConfigError::UnknownVariable { name, known });
                }
            }
        }
        Ok(layer)
    }

    /// This layer, with what it leaves open taken from a lower one.
    #[must_use]
    pub fn over(self, lower: Layer) -> Layer {
        Layer {
            data_dir: self.data_dir.or(lower.data_dir),
            threads: self.threads.or(lower.threads),
            isa: self.isa.or(lower.isa),
            embedder: self.embedder.or(lower.embedder),
            embedder_profile: self.embedder_profile.or(lower.embedder_profile),
            onnxruntime: self.onnxruntime.or(lower.onnxruntime),
            listen: self.listen.or(lower.listen),
            public_url: self.public_url.or(lower.public_url),
            cors_origins: self.cors_origins.or(lower.cors_origins),
            workers: self.workers.or(lower.workers),
            body_bytes_max: self.body_bytes_max.or(lower.body_bytes_max),
            snapshot_dir: self.snapshot_dir.or(lower.snapshot_dir),
            verification_threshold: self.verification_threshold.or(lower.verification_threshold),
            verification_thresholds: self
                .verification_thresholds
                .or(lower.verification_thresholds),
            liveness: self.liveness.or(lower.liveness),
        }
    }

    /// Fills what is still open with the defaults; `processors` is how many there are.
    ///
    /// # Errors
    ///
    /// If settings contradict each other or are of no use.
    pub fn resolve(self, processors: usize) -> Result<Settings, ConfigError> {
        let at_least_one = |name, value: Option<usize>, default| match value {
            Some(0) => Err(ConfigError::Zero { name }),
            value => Ok(value.unwrap_or(default)),
        };
        let embedder = match (self.embedder, self.embedder_profile) {
            (Some(onnx), Some(profile)) => Some((onnx, profile)),
            (None, None) => None,
            _ => return Err(ConfigError::HalfAnEmbedder),
        };
        let verification_threshold = self
            .verification_threshold
            .map(|threshold| cosine("verification-threshold", threshold))
            .transpose()?;
        let mut verification_thresholds = BTreeMap::new();
        for (partition, threshold) in self.verification_thresholds.unwrap_or_default() {
            let threshold = cosine(&format!("verification-thresholds.{partition}"), threshold)?;
            verification_thresholds.insert(partition.parse()?, threshold);
        }
        let liveness = self.liveness.unwrap_or_default();
        liveness.validate()?;
        Ok(Settings {
            data_dir: self.data_dir.unwrap_or_else(|| "vultus-data".into()),
            threads: at_least_one("threads", self.threads, processors)?,
            kernel: kernel(self.isa)?,
            embedder,
            onnxruntime: self.onnxruntime,
            listen: self
                .listen
                .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8040))),
            public_url: self.public_url,
            cors_origins: self.cors_origins,
            workers: at_least_one("workers", self.workers, processors)?,
            body_bytes_max: at_least_one("body-bytes-max", self.body_bytes_max, 20 << 20)?,
            snapshot_dir: self.snapshot_dir,
            verification_threshold,
            verification_thresholds,
            liveness,
        })
    }
}

fn kernel(isa: Option<Isa>) -> Result<Kernel, ConfigError> {
    let Some(isa) = isa else {
        return Ok(Kernel::detect());
    };
    Kernel::for_isa(isa).ok_or_else(|| {
        let available: Vec<String> = Isa::available().map(|isa| isa.to_string()).collect();
        let available = available.join(", ");
        ConfigError::Isa { isa, available }
    })
}

/// `threshold` if it is one.
fn cosine(name: &str, threshold: f64) -> Result<f64, ConfigError> {
    if (-1.0..=1.0).contains(&threshold) {
        return Ok(threshold);
    }
    Err(ConfigError::Threshold {
        name: name.to_owned(),
        found: threshold,
    })
}

/// Reads `bws.112=0.5,bws.113=0.6`.
fn thresholds(name: &str, value: &str) -> Result<BTreeMap<String, f64>, ConfigError> {
    let entries = value.split(',').map(|entry| {
        let (partition, threshold) = entry.split_once('=')?;
        Some((partition.trim().to_owned(), threshold.trim().parse().ok()?))
    });
    let entries: Option<BTreeMap<String, f64>> = entries.collect();
    entries.ok_or_else(|| ConfigError::Variable {
        name: name.to_owned(),
        found: value.to_owned(),
        expected: "a list such as `bws.112=0.5,bws.113=0.6`",
    })
}

fn parse<T: FromStr>(name: &str, value: String, expected: &'static str) -> Result<T, ConfigError> {
    let parsed = value.parse();
    parsed.map_err(|_| ConfigError::Variable {
        name: name.to_owned(),
        found: value,
        expected,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(list: &[(&str, &str)]) -> Result<Layer, ConfigError> {
        Layer::from_variables(
            list.iter()
                .map(|(name, value)| ((*name).into(), (*value).into())),
        )
    }

    #[test]
    fn later_layers_win_setting_by_setting() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("vultus.toml");
        fs::write(
            &path,
            "data-dir = 'file'\nthreads = 3\nlisten = '[::1]:1'\n",
        )
        .unwrap();
        let file = Layer::from_file(&path).unwrap();
        let variables =
            variables(&[("VULTUS_DATA_DIR", "variable"), ("VULTUS_THREADS", "5")]).unwrap();
        let flags = Layer {
            data_dir: Some("flag".into()),
            ..Layer::default()
        };
        let settings = flags.over(variables).over(file).resolve(2).unwrap();
        assert_eq!(settings.data_dir, Path::new("flag"));
        assert_eq!(settings.threads, 5);
        assert_eq!(settings.listen.to_string(), "[::1]:1");
        assert_eq!(settings.workers, 2);
    }

    #[test]
    fn an_instruction_set_that_is_not_here_is_refused_by_name() {
        let missing = Isa::ALL.into_iter().find(|isa| !isa.is_available());
        let Some(isa) = missing else { return };
        let layer = Layer {
            isa: Some(isa),
            ..Layer::default()
        };
        let error = layer.resolve(2).unwrap_err().to_string();
        assert!(error.contains(&isa.to_string()) && error.contains("it has scalar, simsimd"));
        let unknown = variables(&[("VULTUS_ISA", "mmx")]).unwrap_err().to_string();
        assert!(
            unknown.contains("`mmx`") && unknown.contains("avx512"),
            "{unknown}"
        );
    }

    #[test]
    fn every_variable_sets_something() {
        for name in VARIABLES {
            let value = match name {
                "VULTUS_LISTEN" => "127.0.0.1:1",
                "VULTUS_ISA" => "scalar",
                "VULTUS_VERIFICATION_THRESHOLDS" => "bws.1=0.5",
                _ => "1",
            };
            assert_ne!(
                variables(&[(name, value)]).unwrap(),
                Layer::default(),
                "{name}"
            );
        }
        assert_eq!(
            variables(&[("VULTUS_LOG", "x"), ("HOME", "y")]).unwrap(),
            Layer::default()
        );
    }

    #[test]
    fn thresholds_may_differ_between_partitions() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("vultus.toml");
        let text = "verification-threshold = 0.4\n[verification-thresholds]\n\"bws.-7\" = 0.55\n";
        fs::write(&path, text).unwrap();
        let settings = Layer::from_file(&path).unwrap().resolve(1).unwrap();
        assert_eq!(settings.verification_threshold, Some(0.4));
        let expected = BTreeMap::from([("bws.-7".parse().unwrap(), 0.55)]);
        assert_eq!(settings.verification_thresholds, expected);
        let name = "VULTUS_VERIFICATION_THRESHOLDS";
        let layer = variables(&[(name, "bws.-7 = 0.55")]).unwrap();
        assert_eq!(layer.resolve(1).unwrap().verification_thresholds, expected);
        for bad in ["", "bws.1", "bws.1=", "bws.1=x"] {
            assert!(variables(&[(name, bad)]).is_err(), "{bad}");
        }
        for bad in ["bws=0.5", "bws.1=1.5", "bws.1=NaN"] {
            assert!(
                variables(&[(name, bad)]).unwrap().resolve(1).is_err(),
                "{bad}"
            );
        }
        let beyond = variables(&[("VULTUS_VERIFICATION_THRESHOLD", "-1.01")]).unwrap();
        assert!(matches!(
            beyond.resolve(1),
            Err(ConfigError::Threshold { .. })
        ));
    }

    #[test]
    fn slips_are_named() {
        let error = variables(&[("VULTUS_THREAD", "1")])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("`VULTUS_THREAD`") && error.contains("VULTUS_THREADS"),
            "{error}"
        );
        let error = variables(&[("VULTUS_LISTEN", "8040")])
            .unwrap_err()
            .to_string();
        assert!(error.contains("127.0.0.1:8040"), "{error}");
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("vultus.toml");
        fs::write(&path, "data_dir = 'x'\n").unwrap();
        let error = Layer::from_file(&path).unwrap_err().to_string();
        assert!(
            error.contains("data_dir") && error.contains("data-dir"),
            "{error}"
        );
        assert!(matches!(
            Layer {
                threads: Some(0),
                ..Layer::default()
            }
            .resolve(1),
            Err(ConfigError::Zero { name: "threads" })
        ));
        assert!(matches!(
            Layer {
                embedder: Some("x".into()),
                ..Layer::default()
            }
            .resolve(1),
            Err(ConfigError::HalfAnEmbedder)
        ));
    }

    #[test]
    fn the_table_for_liveness_sets_what_it_names_and_is_checked() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("vultus.toml");
        let resolve = |text: &str| {
            fs::write(&path, text).unwrap();
            Layer::from_file(&path)?.resolve(1)
        };
        let settings = resolve("[liveness]\nactive-score-min = 0.7\nmirrored = false\n").unwrap();
        let expected = Thresholds {
            active_score_min: 0.7,
            mirrored: false,
            ..Thresholds::default()
        };
        assert_eq!(settings.liveness, expected);
        assert_eq!(resolve("").unwrap().liveness, Thresholds::default());
        for (text, named) in [
            ("[liveness]\nactive-score-min = 1.5\n", "active-score-min"),
            ("[liveness]\nsimilarity-min = nan\n", "similarity-min"),
            ("[liveness]\nscore = 1.0\n", "score"),
        ] {
            let error = resolve(text).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
