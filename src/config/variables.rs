//! Settings from environment variables, and variables that are none.

use std::ffi::{OsStr, OsString};
use std::fmt;

use super::assignment::Assignment;
use super::{Place, SETTINGS, Setting};

const PREFIX: &str = "VULTUS_";

/// A variable with our prefix that sets nothing, perhaps a slip. Its text is a warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownVariable {
    /// The variable.
    pub name: String,
    /// The variable that was perhaps meant.
    pub nearest: String,
}

impl fmt::Display for UnknownVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let UnknownVariable { name, nearest } = self;
        write!(
            f,
            "environment variable `{name}` sets nothing: the nearest known name is `{nearest}`"
        )
    }
}

/// What variables set, and which of ours set nothing.
pub(super) fn assignments(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> (Vec<Assignment>, Vec<UnknownVariable>) {
    let (mut assignments, mut unknown) = (Vec::new(), Vec::new());
    for (name, value) in variables {
        let name = name.to_string_lossy();
        let Some(rest) = name.strip_prefix(PREFIX) else {
            continue;
        };
        if let Some(setting) = named(&name) {
            assignments.push(Assignment {
                setting,
                value,
                place: Place::Variable {
                    name: name.into_owned(),
                },
            });
        } else if !is_of_a_platform(rest, &value) {
            unknown.push(UnknownVariable {
                nearest: nearest_variable(rest),
                name: name.escape_debug().to_string(),
            });
        }
    }
    (assignments, unknown)
}

fn named(variable: &str) -> Option<&'static Setting> {
    SETTINGS
        .iter()
        .find(|setting| setting.variable() == variable)
}

/// Whether Kubernetes or Docker sets such a variable beside a service called `vultus`, or `vultus`
/// and something: `VULTUS_SERVICE_HOST`, `VULTUS_API_PORT_8040_TCP_ADDR`. `rest` is what follows
/// our prefix.
fn is_of_a_platform(rest: &str, value: &OsStr) -> bool {
    let value = value.to_string_lossy();
    // `VULTUS_API_PORT` as `VULTUS_PORT`.
    let ends_with = |end: &str| {
        let before = rest.strip_suffix(end);
        before.is_some_and(|before| before.is_empty() || before.ends_with('_'))
    };
    let is_service = ends_with("SERVICE_HOST") || ends_with("SERVICE_PORT");
    // `SERVICE_PORT_HTTP`: a port that has a name.
    let is_named_port = rest.starts_with("SERVICE_PORT_") || rest.contains("_SERVICE_PORT_");
    let is_url = ends_with("PORT") && value.contains("://");
    let is_link = ends_with("NAME") && value.starts_with('/');
    let is_copy = rest.starts_with("ENV_") || rest.contains("_ENV_");
    is_service || is_named_port || is_url || is_port(rest) || is_link || is_copy
}

/// `PORT_8040_TCP`, and the same with `_ADDR`, `_PORT` or `_PROTO`.
fn is_port(rest: &str) -> bool {
    let parts: Vec<&str> = rest.split('_').collect();
    let is_at = |at: usize| match parts[at..] {
        ["PORT", port, protocol] | ["PORT", port, protocol, "ADDR" | "PORT" | "PROTO"] => {
            port.parse::<u16>().is_ok() && ["TCP", "UDP", "SCTP"].contains(&protocol)
        }
        _ => false,
    };
    (0..parts.len()).any(is_at)
}

fn nearest_variable(rest: &str) -> String {
    let variables: Vec<String> = SETTINGS.iter().map(Setting::variable).collect();
    let known = variables
        .iter()
        .filter_map(|variable| variable.strip_prefix(PREFIX));
    format!("{PREFIX}{}", nearest(rest, known))
}

/// The name that is most like `name`.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> &'a str {
    let likeness = |other: &str| strsim::jaro_winkler(name, other);
    let nearest = known.max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    nearest.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_platform_sets_is_passed_over_and_slips_are_named() {
        for (name, value) in [
            ("VULTUS_PORT", "tcp://10.0.0.7:8040"),
            ("VULTUS_SERVICE_HOST", "10.0.0.7"),
            ("VULTUS_SERVICE_PORT", "8040"),
            ("VULTUS_SERVICE_PORT_HTTP", "8040"),
            ("VULTUS_PORT_8040_TCP", "tcp://10.0.0.7:8040"),
            ("VULTUS_PORT_8040_TCP_ADDR", "10.0.0.7"),
            ("VULTUS_PORT_8040_TCP_PORT", "8040"),
            ("VULTUS_PORT_8040_TCP_PROTO", "tcp"),
            ("VULTUS_PORT_53_UDP", "udp://10.0.0.7:53"),
            ("VULTUS_API_PORT", "tcp://10.0.0.7:8040"),
            ("VULTUS_API_SERVICE_HOST", "10.0.0.7"),
            ("VULTUS_API_PORT_8040_TCP_ADDR", "10.0.0.7"),
            ("VULTUS_NAME", "/web/vultus"),
            ("VULTUS_ENV_PATH", "/bin"),
            ("HOME", "/root"),
        ] {
            let (set, unknown) = assignments([(name.into(), value.into())]);
            assert!(set.is_empty() && unknown.is_empty(), "{name}");
        }
        for (name, value, nearest) in [
            ("VULTUS_THREAD", "1", "VULTUS_THREADS"),
            ("VULTUS_DATADIR", "x", "VULTUS_DATA_DIR"),
            (
                "VULTUS_VERIFICATION_TRESHOLD",
                "1",
                "VULTUS_VERIFICATION_THRESHOLD",
            ),
            ("VULTUS_BODY_MAX", "1", "VULTUS_BODY_BYTES_MAX"),
            ("VULTUS_LISTEN_ON", "1", "VULTUS_LISTEN"),
        ] {
            let (set, unknown) = assignments([(name.into(), value.into())]);
            assert!(set.is_empty(), "{name}");
            assert_eq!(unknown[0].name, name);
            assert_eq!(unknown[0].nearest, nearest, "{name}");
        }
        // A number in it is a slip, not what a platform sets.
        for name in ["VULTUS_PORT", "VULTUS_NAME", "VULTUS_PORT_X_TCP"] {
            let (_, unknown) = assignments([(name.into(), "8040".into())]);
            assert_eq!(unknown.len(), 1, "{name}");
        }
    }
}
