//! Reading settings: from a file, from variables and from flags.

use std::ffi::OsString;

use super::assignment::{Flag, typed};
use super::{ConfigError, Settings, UnknownVariable, file, variables};

/// What was read.
#[derive(Clone, Debug)]
pub struct Read {
    /// What holds.
    pub settings: Settings,
    /// Variables that look like ours and set nothing: worth a warning.
    pub unknown: Vec<UnknownVariable>,
}

impl Settings {
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
}
