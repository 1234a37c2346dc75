//! What an operator allows, and what is done where that is exceeded.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// How much a caller may learn in a day of UTC. `None` sets no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many probes may be looked for.
    pub identifications: Option<u64>,
    /// How many answers may tell how alike somebody is.
    pub scores: Option<u64>,
    /// How many answers may be about one class.
    pub of_class: Option<u64>,
    /// What is done about probes that climb.
    pub climb: Reaction,
}

/// What is done about probes that climb.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reaction {
    /// Nobody looks.
    Off,
    /// It is said: to the log, the metrics and the audit log.
    Report,
    /// It is said, and further answers about the class come later.
    #[default]
    Slow,
    /// It is said, and nothing more is answered about the class on that day.
    Refuse,
}

/// A text is not what can be done about probes that climb.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected off, report, slow or refuse")]
pub struct ReactionError;

/// A question is not to be answered today: which budget is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Spent {
    /// Too many probes were looked for.
    #[error("the caller has looked for as many probes as it may in a day")]
    Identifications,
    /// Too many answers told how alike somebody is.
    #[error("the caller was told as many similarities as it may be in a day")]
    Scores,
    /// Too many answers were about this class, or one of those that are looked for.
    #[error("the caller was answered about one class as often as it may be in a day")]
    OfClass,
    /// Probes climb to this class, or to one of those that are looked for.
    #[error("the probes of the caller come nearer and nearer to one class")]
    Climb,
}

impl Limits {
    /// As many answers about one class may a caller have in a day, unless something else is set. Whoever is
    /// recognised a hundred times an hour needs 2,400, and a door that is asked ten times a second and has
    /// everybody in each list 864,000.
    pub const OF_CLASS: u64 = 1_000_000;
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            identifications: None,
            scores: None,
            of_class: Some(Limits::OF_CLASS),
            climb: Reaction::default(),
        }
    }
}

impl Reaction {
    /// What is expected where it is read.
    pub const EXPECTED: &str = "`off`, `report`, `slow` or `refuse`";
    /// By how much later it is answered about a class to which probes climb.
    pub const DELAY: Duration = Duration::from_secs(2);

    const ALL: [Reaction; 4] = [
        Reaction::Off,
        Reaction::Report,
        Reaction::Slow,
        Reaction::Refuse,
    ];
}

impl fmt::Display for Reaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reaction::Off => "off",
            Reaction::Report => "report",
            Reaction::Slow => "slow",
            Reaction::Refuse => "refuse",
        })
    }
}

impl FromStr for Reaction {
    type Err = ReactionError;

    fn from_str(text: &str) -> Result<Reaction, ReactionError> {
        let mut all = Reaction::ALL.into_iter();
        all.find(|reaction| reaction.to_string() == text)
            .ok_or(ReactionError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reactions_are_read_as_they_are_written() {
        for reaction in Reaction::ALL {
            assert_eq!(reaction.to_string().parse(), Ok(reaction));
            assert!(Reaction::EXPECTED.contains(&format!("`{reaction}`")));
        }
        for bad in ["", "Slow", "on", " off"] {
            assert_eq!(bad.parse::<Reaction>(), Err(ReactionError));
        }
    }
}
