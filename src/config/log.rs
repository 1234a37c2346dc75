//! What is logged.

use std::fmt;
use std::str::FromStr;

use tracing_subscriber::filter::Targets;

/// What a filter must be.
pub(super) const EXPECTED: &str = "a level (off, error, warn, info, debug or trace), or a list such as \
    `warn,vultus::web=debug`";

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// How lines of the log are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// As one JSON object each.
    Json,
}

/// The text is not [`LogFormat::EXPECTED`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {}", LogFormat::EXPECTED)]
pub struct LogFormatError;

impl LogFormat {
    /// What a text must be.
    pub const EXPECTED: &'static str = "`text` or `json`";
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        })
    }
}

impl FromStr for LogFormat {
    type Err = LogFormatError;

    fn from_str(text: &str) -> Result<LogFormat, LogFormatError> {
        match text {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err(LogFormatError),
        }
    }
}

/// What a text chooses to be logged; `None` if it is no [`EXPECTED`].
///
/// A word that is no level is to `tracing` the name of a module, of which everything is logged, and
/// nothing of all others: `json` would silence the program. Names of our own modules alone may
/// therefore stand without a level.
pub(super) fn filter(text: &str) -> Option<Targets> {
    let is_directive = |directive: &str| match directive.rsplit_once('=') {
        Some((target, level)) => !target.is_empty() && is_level(level),
        None => is_level(directive) || is_ours(directive),
    };
    let filter = text.parse().ok();
    filter.filter(|_| text.split(',').all(is_directive))
}

fn is_level(text: &str) -> bool {
    LEVELS.iter().any(|level| text.eq_ignore_ascii_case(level))
}

fn is_ours(target: &str) -> bool {
    let rest = target.strip_prefix("vultus");
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_silence_the_log_by_mistake_is_no_filter() {
        for good in [
            "off",
            "INFO",
            "warn,vultus=info",
            "vultus",
            "vultus::web",
            "hyper=debug",
        ] {
            assert!(filter(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "json",
            "verbose",
            "vultus=loud",
            "=info",
            "warn,",
            "vultusx",
            "a b",
        ] {
            assert!(filter(bad).is_none(), "{bad}");
        }
    }
}
