//! What to think of the service: settings, ports, networks, and whether it finds people.

use std::time::Duration;

use super::facts::{KeyFileFacts, PortFacts, PortState, SettingsFacts, TrialFacts};
use super::finding::Finding;
use crate::cli::output::milliseconds;
use crate::types::Timestamp;
use crate::web::{Standing, Validity};

pub(super) fn settings(facts: &SettingsFacts) -> Finding {
    const CHECK: &str = "settings";
    match &facts.given {
        Err(error) => Finding::wrong(
            CHECK,
            error,
            "correct that; what depends on it was not looked at",
        ),
        Ok(_) if !facts.unknown.is_empty() => Finding::warning(
            CHECK,
            facts.unknown.join("; "),
            "correct the names or remove the variables",
        ),
        Ok(count) => Finding::ok(
            CHECK,
            format!(
                "{count} given, all others as they are by default; `vultus config show` has all"
            ),
        ),
    }
}

/// `is_being_written` is whether a process has the data directory open to change it.
pub(super) fn port(facts: &PortFacts, is_being_written: Option<bool>) -> Finding {
    const CHECK: &str = "port";
    let found = format!("`{}` {}", facts.setting, facts.address);
    match &facts.state {
        PortState::Free => Finding::ok(CHECK, format!("{found} is free")),
        PortState::Any => Finding::ok(CHECK, format!("{found} takes a free one")),
        PortState::Vultus if is_being_written == Some(false) => Finding::wrong(
            CHECK,
            format!("at {found} a Vultus answers that serves another data directory"),
            "stop that one, or choose another port or data directory",
        ),
        PortState::Vultus => Finding::ok(CHECK, format!("at {found} Vultus answers")),
        PortState::Taken => Finding::wrong(
            CHECK,
            format!("{found} is taken by something that does not answer as Vultus does"),
            "stop that, or choose another port (`ss -ltnp` says who has it)",
        ),
        PortState::Unusable(error) => Finding::wrong(
            CHECK,
            format!("cannot listen on {found}: {error}"),
            "choose an address of this machine and a port that this user may take (1024 or more)",
        ),
    }
}

pub(super) fn certificate(facts: &Result<Option<Validity>, String>, now: Timestamp) -> Finding {
    const CHECK: &str = "certificate";
    let validity = match facts {
        Err(error) => {
            let advice = "correct `tls-cert` and `tls-key`: the service would not start";
            return Finding::wrong(CHECK, error, advice);
        }
        Ok(None) => {
            let found = "none: plain HTTP, for this machine or a proxy that speaks TLS";
            return Finding::ok(CHECK, found);
        }
        Ok(Some(validity)) => *validity,
    };
    let Validity { from, until } = validity;
    let found = format!("valid from {from} until {until}");
    let advice = "renew it, and send the service SIGHUP";
    match validity.standing(now) {
        Standing::Valid => Finding::ok(CHECK, found),
        Standing::EndsSoon => Finding::warning(CHECK, format!("{found}, which is soon"), advice),
        Standing::Over => Finding::wrong(CHECK, format!("{found}, which is over"), advice),
        Standing::TooEarly => Finding::wrong(
            CHECK,
            format!("{found}, which has not begun"),
            "correct the clock, or use another certificate until then",
        ),
    }
}

/// The group may read it: that of those who renew certificates often does.
pub(super) fn key_file(facts: &KeyFileFacts) -> Finding {
    const CHECK: &str = "tls key";
    let path = facts.path.display();
    match facts.mode & 0o007 {
        0 => Finding::ok(CHECK, format!("`{path}`, which others cannot read")),
        _ => Finding::warning(
            CHECK,
            format!("all users of this machine can read or change `{path}`"),
            format!(
                "`chmod o-rwx {path}`, and get another key and certificate if somebody else was on this \
                 machine"
            ),
        ),
    }
}

pub(super) fn trial(facts: &Result<TrialFacts, String>) -> Finding {
    const CHECK: &str = "identification";
    match facts {
        Ok(TrialFacts {
            rows,
            answers,
            duration,
        }) => Finding::ok(
            CHECK,
            format!(
                "{answers} answers among {rows} made-up templates are those of a full sort ({})",
                milliseconds(*duration)
            ),
        ),
        Err(error) => Finding::wrong(
            CHECK,
            error,
            "give it a directory for temporary files (`TMPDIR`); if it has one, do not use this machine: \
             memory or processor may be broken",
        ),
    }
}

pub(super) fn networks(facts: &Result<Duration, String>) -> Finding {
    const CHECK: &str = "networks";
    match facts {
        Ok(time) => Finding::ok(CHECK, format!("loaded in {}", milliseconds(*time))),
        Err(error) => Finding::wrong(
            CHECK,
            error,
            "correct `embedder`, `embedder-profile` or `onnxruntime`, or give it memory",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict::{Ok as Good, Warning, Wrong};
    use super::super::finding::expect;
    use super::*;

    #[test]
    fn settings_hold_or_say_why_not() {
        let of = |given: Result<usize, &str>, unknown: &[&str]| {
            settings(&SettingsFacts {
                given: given.map_err(str::to_owned),
                unknown: unknown.iter().map(|it| (*it).to_owned()).collect(),
            })
        };
        expect(&of(Ok(3), &[]), Good, "3 given");
        expect(
            &of(Ok(3), &["`VULTUS_X` sets nothing"]),
            Warning,
            "VULTUS_X",
        );
        expect(&of(Err("`--threads` is `0`"), &["x"]), Wrong, "`--threads`");
    }

    #[test]
    fn a_port_is_free_or_a_service_answers() {
        let of = |state, is_being_written| {
            let facts = PortFacts {
                setting: "listen",
                address: "127.0.0.1:8040".to_owned(),
                state,
            };
            port(&facts, is_being_written)
        };
        expect(&of(PortState::Free, None), Good, "free");
        expect(&of(PortState::Any, None), Good, "a free one");
        expect(&of(PortState::Vultus, Some(true)), Good, "answers");
        expect(&of(PortState::Vultus, None), Good, "answers");
        expect(
            &of(PortState::Vultus, Some(false)),
            Wrong,
            "another data directory",
        );
        expect(&of(PortState::Taken, Some(true)), Wrong, "taken");
        let error = "not ours".to_owned();
        expect(&of(PortState::Unusable(error), None), Wrong, "not ours");
    }

    #[test]
    fn a_certificate_is_valid_for_a_while() {
        const DAY: i64 = 86_400;
        let of = |days: i64| {
            let [from, until] = [0, 100].map(|day| Timestamp::from_unix_seconds(day * DAY));
            let now = Timestamp::from_unix_seconds(days * DAY);
            certificate(&Ok(Some(Validity { from, until })), now)
        };
        expect(&of(69), Good, "1970-04-11");
        expect(&of(71), Warning, "soon");
        expect(&of(101), Wrong, "over");
        expect(&of(-1), Wrong, "not begun");
        let now = Timestamp::from_unix_seconds(0);
        expect(&certificate(&Ok(None), now), Good, "plain HTTP");
        let error = "the key is not that of the certificate".to_owned();
        expect(&certificate(&Err(error), now), Wrong, "`tls-key`");
    }

    #[test]
    fn a_key_is_not_for_everybody() {
        let of = |mode| {
            key_file(&KeyFileFacts {
                path: "/etc/key.pem".into(),
                mode,
            })
        };
        expect(&of(0o600), Good, "/etc/key.pem");
        expect(&of(0o640), Good, "cannot read");
        for open in [0o644, 0o604, 0o666, 0o602] {
            expect(&of(open), Warning, "chmod o-rwx /etc/key.pem");
        }
    }

    #[test]
    fn answers_are_right_and_networks_load() {
        let right = TrialFacts {
            rows: 9,
            answers: 4,
            duration: Duration::from_millis(5),
        };
        expect(&trial(&Ok(right)), Good, "4 answers among 9");
        expect(&trial(&Err("it differs".to_owned())), Wrong, "it differs");
        expect(&networks(&Ok(Duration::from_millis(7))), Good, "7.0 ms");
        expect(
            &networks(&Err("no library".to_owned())),
            Wrong,
            "no library",
        );
    }
}
