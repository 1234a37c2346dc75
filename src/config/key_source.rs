//! Where the master key of encrypted galleries comes from.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where the master key comes from. The key itself is no setting, so that no list of settings shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A file.
    File(PathBuf),
    /// A variable of the environment.
    Variable(String),
    /// A credential that systemd hands over, by its name.
    Credential(String),
    /// What a program writes to its output: a client of a key management service or a module.
    Command(Vec<String>),
}

/// The text is not [`KeySource::EXPECTED`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {}", KeySource::EXPECTED)]
pub struct KeySourceError;

impl KeySource {
    /// What a text must be.
    pub const EXPECTED: &'static str = "`file:PATH`, `variable:NAME`, `credential:NAME` (of systemd), \
        or `command:PROGRAM ARGUMENTS`, of which blanks part the arguments";
}

impl FromStr for KeySource {
    type Err = KeySourceError;

    fn from_str(text: &str) -> Result<KeySource, KeySourceError> {
        let (kind, rest) = text.split_once(':').ok_or(KeySourceError)?;
        let is_name = !rest.is_empty() && !rest.contains(['/', '=', '\0']) && rest != "..";
        match kind {
            "file" if !rest.is_empty() => Ok(KeySource::File(rest.into())),
            "variable" if is_name => Ok(KeySource::Variable(rest.to_owned())),
            "credential" if is_name && rest != "." => Ok(KeySource::Credential(rest.to_owned())),
            "command" if !rest.trim().is_empty() => {
                let parts = rest.split_whitespace().map(str::to_owned);
                Ok(KeySource::Command(parts.collect()))
            }
            _ => Err(KeySourceError),
        }
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeySource::File(path) => write!(f, "file:{}", path.display()),
            KeySource::Variable(name) => write!(f, "variable:{name}"),
            KeySource::Credential(name) => write!(f, "credential:{name}"),
            KeySource::Command(parts) => write!(f, "command:{}", parts.join(" ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_come_back_from_their_texts_and_others_are_refused() {
        for text in [
            "file:/etc/vultus/master.key",
            "file:a:b",
            "variable:MASTER",
            "credential:vultus-master",
            "command:kms get --field key",
        ] {
            assert_eq!(text.parse::<KeySource>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "file",
            "file:",
            "variable:",
            "variable:A=B",
            "credential:../shadow",
            "credential:..",
            "credential:.",
            "command:",
            "command:  ",
            "0011223344556677",
            "FILE:x",
        ] {
            assert_eq!(text.parse::<KeySource>(), Err(KeySourceError), "{text}");
        }
    }
}
