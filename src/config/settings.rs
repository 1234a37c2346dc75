//! What holds in the end, and how it is read.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use tracing_subscriber::filter::Targets;

use super::value::Given;
use super::{ConfigError, ListenAddress, Place, Setting, UnknownVariable, file, variables};
use crate::kernel::{Isa, Kernel};
use crate::web::{PublicUrl, ServiceOptions};

/// What holds in the end. [`SETTINGS`](super::SETTINGS) says what each is.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The file that settings were read from.
    pub config: Option<PathBuf>,
    /// What is logged; what the verb logs by itself if `None`.
    pub log: Option<Targets>,
    /// The directory in which everything is kept.
    pub data_dir: PathBuf,
    /// Threads that scan the gallery and read pictures.
    pub threads: usize,
    /// The instruction set that scans; the fastest that the processor has if `None`.
    pub isa: Option<Isa>,
    /// Another network than the built-in one, an ONNX file. Set if [`Settings::embedder_profile`]
    /// is.
    pub embedder: Option<PathBuf>,
    /// What that network expects and gives, a TOML file.
    pub embedder_profile: Option<PathBuf>,
    /// The library of ONNX Runtime.
    pub onnxruntime: Option<PathBuf>,
    /// Where the service listens.
    pub listen: ListenAddress,
    /// The URL under which clients reach the service; `None` stands for the address it listens on.
    pub public_url: Option<PublicUrl>,
    /// All else about the service. Its URL is that of the default address; see
    /// [`Settings::public_url`].
    pub service: ServiceOptions,
}

/// A flag that was typed, with its values: several if it was typed several times.
pub type Flag = (&'static Setting, Vec<OsString>);

/// What was read.
#[derive(Clone, Debug)]
pub struct Read {
    /// What holds.
    pub settings: Settings,
    /// Variables that look like ours and set nothing: worth a warning.
    pub unknown: Vec<UnknownVariable>,
}

/// One value from outside the settings file.
pub(super) struct Assignment {
    pub(super) setting: &'static Setting,
    pub(super) value: OsString,
    pub(super) place: Place,
}

impl Settings {
    /// The defaults; `processors` is how many there are.
    pub fn new(processors: usize) -> Settings {
        let listen = ListenAddress::default();
        Settings {
            config: None,
            log: None,
            data_dir: "vultus-data".into(),
            threads: processors,
            isa: None,
            embedder: None,
            embedder_profile: None,
            onnxruntime: None,
            service: ServiceOptions {
                workers: processors,
                ..ServiceOptions::new(&format!("http://{listen}"))
            },
            listen,
            public_url: None,
        }
    }

    /// The defaults, and over them the settings file, `variables` and `flags`.
    ///
    /// Variables without the prefix `VULTUS_`, and those that a container platform sets for a
    /// service of that name, are passed over.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or something in it is no setting; or if a value is wrong, or
    /// given twice, or needs another one that is missing.
    pub fn read(
        flags: Vec<Flag>,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        processors: usize,
    ) -> Result<Read, ConfigError> {
        let (mut assignments, unknown) = variables::assignments(variables);
        for (setting, values) in flags {
            assignments.push(typed(setting, values)?);
        }
        let mut settings = Settings::new(processors);
        let naming = assignments.iter().filter(|it| !it.setting.is_in_file());
        for assignment in naming {
            assignment.keep(&mut settings)?;
        }
        if let Some(path) = settings.config.clone() {
            file::read(&path, &mut settings)?;
        }
        for assignment in &assignments {
            assignment.keep(&mut settings)?;
        }
        settings.check()?;
        Ok(Read { settings, unknown })
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
    fn check(&self) -> Result<(), ConfigError> {
        self.kernel()?;
        let (given, missing) = match (&self.embedder, &self.embedder_profile) {
            (Some(_), None) => ("embedder", "embedder-profile"),
            (None, Some(_)) => ("embedder-profile", "embedder"),
            _ => return Ok(()),
        };
        Err(ConfigError::Half { given, missing })
    }
}

impl Assignment {
    fn keep(&self, settings: &mut Settings) -> Result<(), ConfigError> {
        self.setting
            .keep(settings, Given::Text(&self.value), &self.place)
    }
}

impl Setting {
    /// Keeps a value that was found at `place`.
    pub(super) fn keep(
        &self,
        settings: &mut Settings,
        given: Given<'_>,
        place: &Place,
    ) -> Result<(), ConfigError> {
        let kept = self.value.keep(settings, given);
        kept.ok_or_else(|| ConfigError::Wrong {
            place: place.clone(),
            found: given.shown(),
            expected: self.value.expected(),
        })
    }
}

/// A flag with its one value; a list may be typed in parts.
fn typed(setting: &'static Setting, mut values: Vec<OsString>) -> Result<Assignment, ConfigError> {
    let place = Place::Flag {
        name: setting.flag(),
    };
    let value = match &setting.value {
        super::Value::List(..) | super::Value::Table(..) => values.join(OsStr::new(",")),
        _ if values.len() > 1 => return Err(ConfigError::Twice { place }),
        _ => values.pop().unwrap_or_default(),
    };
    Ok(Assignment {
        setting,
        value,
        place,
    })
}
