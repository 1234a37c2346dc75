//! One thing that can be set, and what follows from its row.

use super::settings::Kept;
use super::value::Given;
use super::{ConfigError, Place, Settings, Value};

/// Verbs that look at all settings, and so take all flags. They are not among those of each row.
pub(super) const LOOKING_AT_ALL: &[&str] = &["config show", "doctor"];

/// Of which a wrong value is not repeated: somebody may have given the key in the place of its source.
const NOT_SHOWN: &str = "master-key";

/// One thing that can be set.
#[derive(Debug)]
pub struct Setting {
    /// Its key in a settings file; one with a dot stands in a table: `liveness.mirrored`.
    pub name: &'static str,
    /// What stands for its value in help: `N`, `FILE`.
    pub value_name: &'static str,
    /// What it is, as one sentence without its full stop.
    pub text: &'static str,
    /// What it can be, and where it goes.
    pub value: Value,
    /// What holds when it is not set.
    pub standard: Standard,
    /// The verbs that use it; `gallery` stands for all that begin so.
    pub verbs: &'static [&'static str],
}

/// What holds when a setting is not set.
#[derive(Debug)]
pub enum Standard {
    /// What the field holds in [`Settings::new`].
    Field(fn(&Settings) -> String),
    /// What the field holds, which is another on every machine, and how that is said of all.
    Machine(&'static str, fn(&Settings) -> String),
    /// Something that depends on other settings or on the verb, or nothing at all.
    Words(&'static str),
}

impl Setting {
    /// Its flag, without the hyphens before it: `liveness-mirrored`.
    pub fn flag(&self) -> String {
        self.name.replace('.', "-")
    }

    /// Its environment variable: `VULTUS_LIVENESS_MIRRORED`.
    pub fn variable(&self) -> String {
        let name = self.name.replace(['.', '-'], "_");
        format!("VULTUS_{}", name.to_ascii_uppercase())
    }

    /// Whether it can stand in a settings file.
    pub fn is_in_file(&self) -> bool {
        !matches!(self.value, Value::SettingsFile(_))
    }

    /// Whether the verb uses it; `verb` is what is typed, such as `gallery import`.
    pub fn is_used_by(&self, verb: &str) -> bool {
        if LOOKING_AT_ALL.contains(&verb) {
            return true;
        }
        self.verbs.iter().any(|user| {
            let rest = verb.strip_prefix(user);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        })
    }

    /// Its default, for people.
    pub fn standard(&self) -> String {
        match self.standard {
            Standard::Field(show) => show(&Settings::new(1)),
            Standard::Machine(words, _) | Standard::Words(words) => words.to_owned(),
        }
    }

    /// What help says about it. That a path is needed stands in its name already.
    pub fn help(&self) -> String {
        let text = match self.value {
            Value::SettingsFile(_) | Value::File(_) | Value::Folder(_) => self.text.to_owned(),
            _ => format!("{}: {}", self.text, self.value.expected()),
        };
        let (variable, standard) = (self.variable(), self.standard());
        format!("{text} [env: {variable}] [default: {standard}]")
    }

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
            found: match self.name {
                NOT_SHOWN => "something else, not shown since it may be a key".to_owned(),
                _ => self.value.wrong_entry(given).unwrap_or(given.shown()),
            },
            expected: self.value.expected(),
        })?;
        let kept = Kept {
            whole: given.whole_text(),
            plain: given.plain(),
            place: place.clone(),
        };
        settings.given.keep(self.name, kept);
        Ok(())
    }
}
