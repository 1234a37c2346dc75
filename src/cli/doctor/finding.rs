//! What was found about one thing, and what to do.

use serde::Serialize;

use crate::cli::exit::Exit;

/// How it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// As it should be.
    Ok,
    /// It could not be looked at.
    Skipped,
    /// It works, and may not for long, or not well.
    Warning,
    /// It does not work.
    Wrong,
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// What was looked at.
    pub(super) check: &'static str,
    pub(super) verdict: Verdict,
    /// What was found, as part of a sentence.
    pub(super) found: String,
    /// What to do; nothing if it is as it should be.
    pub(super) advice: Option<String>,
}

impl Verdict {
    pub(super) fn word(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Skipped => "skipped",
            Verdict::Warning => "warning",
            Verdict::Wrong => "WRONG",
        }
    }
}

impl Finding {
    pub(super) fn ok(check: &'static str, found: impl Into<String>) -> Finding {
        Finding {
            check,
            verdict: Verdict::Ok,
            found: found.into(),
            advice: None,
        }
    }

    pub(super) fn skipped(check: &'static str, found: impl Into<String>) -> Finding {
        Finding {
            verdict: Verdict::Skipped,
            ..Finding::ok(check, found)
        }
    }

    pub(super) fn warning(
        check: &'static str,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Finding {
        Finding {
            verdict: Verdict::Warning,
            advice: Some(advice.into()),
            ..Finding::ok(check, found)
        }
    }

    pub(super) fn wrong(
        check: &'static str,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Finding {
        Finding {
            verdict: Verdict::Wrong,
            ..Finding::warning(check, found, advice)
        }
    }

    /// One line for people: whatever is in it, no line break.
    pub(super) fn line(&self) -> String {
        let advice = self.advice.as_ref().map(|advice| format!(": {advice}"));
        let text = format!("{}{}", self.found, advice.unwrap_or_default());
        let text: String = text
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        format!("{:<8} {:<14} {text}", self.verdict.word(), self.check)
    }
}

/// The exit code: no if something is wrong, or with `strict` if something is to be warned of.
pub(super) fn exit(findings: &[Finding], strict: bool) -> Exit {
    let worst = findings.iter().map(|finding| finding.verdict).max();
    match worst {
        Some(Verdict::Wrong) => Exit::No,
        Some(Verdict::Warning) if strict => Exit::No,
        _ => Exit::Success,
    }
}

/// Fails unless a finding has this verdict, says this, and has advice where there is something to do.
#[cfg(test)]
#[track_caller]
pub(super) fn expect(finding: &Finding, verdict: Verdict, part: &str) {
    let line = finding.line();
    assert_eq!(finding.verdict, verdict, "{line}");
    assert!(line.contains(part), "{part} is missing: {line}");
    assert_eq!(
        finding.advice.is_some(),
        verdict >= Verdict::Warning,
        "{line}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_decides_and_warnings_only_if_that_is_asked_for() {
        let all = [
            Finding::ok("a", "x"),
            Finding::skipped("b", "x"),
            Finding::warning("c", "x", "y"),
            Finding::wrong("d", "x", "y"),
        ];
        for (count, strict, expected) in [
            (0, true, Exit::Success),
            (2, true, Exit::Success),
            (3, false, Exit::Success),
            (3, true, Exit::No),
            (4, false, Exit::No),
        ] {
            assert_eq!(exit(&all[..count], strict), expected, "{count} {strict}");
        }
    }

    #[test]
    fn a_finding_is_one_line() {
        let line = Finding::wrong("disk", "a\nb", "mend it").line();
        assert_eq!(line, "WRONG    disk           a b: mend it");
    }
}
