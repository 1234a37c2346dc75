//! One value from outside the settings file, on its way to where it is kept.

use std::ffi::{OsStr, OsString};

use super::value::Given;
use super::{ConfigError, Place, Setting, Settings, Value};

/// A flag that was typed, with its values: several if it was typed several times.
pub type Flag = (&'static Setting, Vec<OsString>);

/// One value from outside the settings file.
pub(super) struct Assignment {
    pub(super) setting: &'static Setting,
    pub(super) value: OsString,
    pub(super) place: Place,
}

impl Assignment {
    /// Keeps the value.
    pub(super) fn keep(&self, settings: &mut Settings) -> Result<(), ConfigError> {
        self.setting
            .keep(settings, Given::Text(&self.value), &self.place)
    }
}

/// A flag with its one value; a list may be typed in parts.
pub(super) fn typed(
    setting: &'static Setting,
    mut values: Vec<OsString>,
) -> Result<Assignment, ConfigError> {
    let place = Place::Flag {
        name: setting.flag(),
    };
    let value = match &setting.value {
        Value::List(..) | Value::Table(..) => values.join(OsStr::new(",")),
        _ if values.len() > 1 => return Err(ConfigError::Twice { place }),
        _ => values.pop().unwrap_or_default(),
    };
    Ok(Assignment {
        setting,
        value,
        place,
    })
}
