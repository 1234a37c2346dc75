//! What an operator wants of people who seem to be enrolled twice.

use std::fmt;
use std::str::FromStr;

use crate::rates::TargetRate;

/// What is done about somebody who seems to be enrolled under another class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnDuplicate {
    /// Nobody looks.
    #[default]
    Off,
    /// The person is enrolled, and it is said.
    Warn,
    /// The person is not enrolled.
    Refuse,
}

/// How it is looked for people who are enrolled twice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DuplicateCheck {
    /// What is done about them.
    pub action: OnDuplicate,
    /// How often somebody new may be taken for somebody who is enrolled.
    pub target_fpir: TargetRate,
    /// From which similarity on two are one, in place of the rate.
    pub threshold: Option<f64>,
}

impl Default for DuplicateCheck {
    /// Off; if it is switched on, one of ten thousand who are new is taken for somebody else.
    fn default() -> DuplicateCheck {
        DuplicateCheck {
            action: OnDuplicate::Off,
            target_fpir: DuplicateCheck::TARGET_FPIR,
            threshold: None,
        }
    }
}

impl DuplicateCheck {
    /// The rate unless another is set.
    pub const TARGET_FPIR: TargetRate = TargetRate::ONE_IN_TEN_THOUSAND;
}

impl OnDuplicate {
    /// What is needed.
    pub const EXPECTED: &str = "`off`, `warn` or `refuse`";

    /// In settings.
    pub fn name(self) -> &'static str {
        match self {
            OnDuplicate::Off => "off",
            OnDuplicate::Warn => "warn",
            OnDuplicate::Refuse => "refuse",
        }
    }
}

impl fmt::Display for OnDuplicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text is none of the three words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {}", OnDuplicate::EXPECTED)]
pub struct OnDuplicateError;

impl FromStr for OnDuplicate {
    type Err = OnDuplicateError;

    fn from_str(text: &str) -> Result<OnDuplicate, OnDuplicateError> {
        let all = [OnDuplicate::Off, OnDuplicate::Warn, OnDuplicate::Refuse];
        let named = all.into_iter().find(|action| action.name() == text);
        named.ok_or(OnDuplicateError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_words_are_read_and_nothing_else() {
        for action in [OnDuplicate::Off, OnDuplicate::Warn, OnDuplicate::Refuse] {
            assert_eq!(action.to_string().parse(), Ok(action));
        }
        for text in ["", "Off", "warn ", "yes", "true", "1"] {
            assert_eq!(text.parse::<OnDuplicate>(), Err(OnDuplicateError), "{text}");
        }
    }
}
