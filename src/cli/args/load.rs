//! Flags of `vultus load`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;

use super::parse::{cosine, whole};
use crate::types::PartitionId;

/// Load a service with calls, and measure how long its answers take
///
/// With --rate calls are due at fixed times, whatever becomes of those before (an open loop, as many
/// clients are that know nothing of each other), and the time of a call counts from when it was
/// due, so that those that had to wait for a stalled service are not left out. With --clients each
/// client asks again as soon as it is answered. Several rates or numbers of clients are measured
/// one after the other. What is measured: identify (by embedding, /v1), picture (the same by
/// picture), status (/v1), token (BWS), and bws (a token, an upload and an identification).
///
/// The exit code is 0 if any call was answered with success, 1 if none was, 2 if it could not be
/// tried.
#[derive(Debug, Args)]
pub(in crate::cli) struct Load {
    /// Where the service is
    #[arg(value_name = "URL", default_value = "http://127.0.0.1:8040")]
    pub(in crate::cli) url: Url,
    #[command(flatten)]
    pub(in crate::cli) pace: Pace,
    /// Which calls, and in which shares: `identify=9,status=1`
    #[arg(
        long,
        value_name = "CALL[=SHARE]",
        value_delimiter = ',',
        default_value = "identify"
    )]
    pub(in crate::cli) calls: Vec<Share>,
    /// The API key, for the calls of /v1
    #[arg(long, value_name = "KEY")]
    pub(in crate::cli) key: Option<Secret>,
    /// The app, for the calls of BWS
    #[arg(long, value_name = "ID:SECRET")]
    pub(in crate::cli) app: Option<Secret>,
    /// The gallery in which people are looked for, such as bws.1
    #[arg(long, value_name = "STORAGE.PARTITION")]
    pub(in crate::cli) partition: Option<PartitionId>,
    /// What made the embeddings in that gallery, `name` or `name@version`
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) encoder: Option<String>,
    /// A file of embeddings to ask for, as `vultus identify` reads them; the first 10,000 are used in
    /// turn [default: 1,000 random directions]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["dim", "seed"])]
    pub(in crate::cli) embeddings: Option<PathBuf>,
    /// Values of each random direction
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = whole(16_usize..=4096))]
    pub(in crate::cli) dim: usize,
    /// Makes the same directions, shares and arrivals again
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole(0_u64..))]
    pub(in crate::cli) seed: u64,
    /// A picture to ask for, or a folder of them, used in turn; may be repeated
    #[arg(long, value_name = "PATH")]
    pub(in crate::cli) picture: Vec<PathBuf>,
    /// The most people in an answer
    #[arg(long = "top", value_name = "K", default_value_t = 20, value_parser = whole(1_usize..=1000))]
    pub(in crate::cli) limit: usize,
    /// People with a lower similarity are left out [default: that of the service]
    #[arg(long, value_name = "COSINE", allow_negative_numbers = true, value_parser = cosine)]
    pub(in crate::cli) threshold: Option<f64>,
    /// How long each rate or number of clients is measured
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub(in crate::cli) seconds: Duration,
    /// How long each is run before it is measured
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds_or_none)]
    pub(in crate::cli) warm_up: Duration,
    /// When a call counts as broken, since it was due
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub(in crate::cli) timeout: Duration,
    /// The most connections at a time. A call that finds none free waits
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = whole(1_usize..=100_000))]
    pub(in crate::cli) connections: usize,
    /// With --rate, let calls come at random times (Poisson), as those of many clients do, instead of
    /// at equal distances
    #[arg(long, conflicts_with = "clients")]
    pub(in crate::cli) poisson: bool,
    /// Draw what was passed on, and how long it took, at each rate or number of clients into this file,
    /// an SVG
    #[arg(long, value_name = "FILE.svg")]
    pub(in crate::cli) plot: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// How calls follow each other.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(in crate::cli) struct Pace {
    /// Calls a second, separated by commas; `100..1000/10` stands for ten rates from 100 to 1000
    #[arg(long, value_name = "N", value_delimiter = ',')]
    pub(in crate::cli) rate: Vec<Rates>,
    /// Clients that each ask again as soon as they are answered, separated by commas
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = whole(1_usize..=100_000))]
    pub(in crate::cli) clients: Vec<usize>,
}

/// A call that a service is loaded with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::cli) enum CallKind {
    /// `/v1/.../identify` by embedding.
    Identify,
    /// `/v1/.../identify` by picture.
    Picture,
    /// `/v1/status`.
    Status,
    /// `/extension/token`.
    Token,
    /// A token, an upload and an identification.
    Bws,
}

impl CallKind {
    pub(in crate::cli) const ALL: [CallKind; 5] = [
        CallKind::Identify,
        CallKind::Picture,
        CallKind::Status,
        CallKind::Token,
        CallKind::Bws,
    ];

    /// What it is called.
    pub(in crate::cli) fn name(self) -> &'static str {
        match self {
            CallKind::Identify => "identify",
            CallKind::Picture => "picture",
            CallKind::Status => "status",
            CallKind::Token => "token",
            CallKind::Bws => "bws",
        }
    }
}

/// A call, and how often it is made in comparison with others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::cli) struct Share {
    pub(in crate::cli) kind: CallKind,
    pub(in crate::cli) share: f64,
}

/// The highest share of a call.
const SHARE_MAX: f64 = 1e6;

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Share, String> {
        let (name, share) = text.split_once('=').unwrap_or((text, "1"));
        let kind = CallKind::ALL.into_iter().find(|kind| kind.name() == name);
        let share = share
            .parse()
            .ok()
            .filter(|&share: &f64| share > 0.0 && share <= SHARE_MAX);
        match (kind, share) {
            (Some(kind), Some(share)) => Ok(Share { kind, share }),
            (None, _) => {
                let names = CallKind::ALL.map(CallKind::name).join(", ");
                Err(format!(
                    "expected one of {names}, each with or without `=SHARE`"
                ))
            }
            (_, None) => Err("expected a share above 0, at most a million".to_owned()),
        }
    }
}

/// One rate, or several at equal distances.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::cli) struct Rates {
    from: f64,
    to: f64,
    steps: u32,
}

/// More calls a second are not made by one thread.
const RATE_MAX: f64 = 100_000.0;
/// More rates take longer than anybody waits.
const STEPS_MAX: u32 = 100;

impl Rates {
    /// The rates in calls a second.
    pub(in crate::cli) fn list(self) -> impl Iterator<Item = f64> {
        let last = f64::from(self.steps.max(2) - 1);
        (0..self.steps).map(move |step| {
            let share = f64::from(step) / last;
            self.from + (self.to - self.from) * share
        })
    }
}

impl FromStr for Rates {
    type Err = String;

    fn from_str(text: &str) -> Result<Rates, String> {
        let rate = |text: &str| {
            let rate: Option<f64> = text.parse().ok();
            rate.filter(|rate| *rate > 0.0 && *rate <= RATE_MAX)
        };
        let rates = match text.split_once("..") {
            None => rate(text).map(|rate| (rate, rate, 1)),
            Some((from, rest)) => {
                let (to, steps) = rest.split_once('/').unwrap_or((rest, ""));
                let steps: Option<u32> = steps.parse().ok();
                let steps = steps.filter(|steps| (2..=STEPS_MAX).contains(steps));
                match (rate(from), rate(to), steps) {
                    (Some(from), Some(to), Some(steps)) => Some((from, to, steps)),
                    _ => None,
                }
            }
        };
        let (from, to, steps) = rates.ok_or_else(|| {
            format!(
                "expected calls a second, above 0 and at most {RATE_MAX}, or a range of 2 to \
                 {STEPS_MAX} rates such as `100..1000/10`"
            )
        })?;
        Ok(Rates { from, to, steps })
    }
}

/// Where a service is reached over plain HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Url {
    /// Host and port.
    pub(in crate::cli) authority: String,
    /// What stands before the paths of the service, without a slash at the end.
    pub(in crate::cli) prefix: String,
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Url, String> {
        let expected =
            || "expected a URL that begins with `http://`, such as `http://127.0.0.1:8040`";
        let uri: axum::http::Uri = text.parse().map_err(|_no_uri| expected())?;
        let authority = uri
            .authority()
            .filter(|found| !found.as_str().contains('@'));
        let (Some("http"), Some(authority), None) = (uri.scheme_str(), authority, uri.query())
        else {
            return Err(expected().to_owned());
        };
        Ok(Url {
            authority: match authority.port() {
                Some(_) => authority.to_string(),
                None => format!("{authority}:80"),
            },
            prefix: uri.path().trim_end_matches('/').to_owned(),
        })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority, self.prefix)
    }
}

/// A key or a secret, which is not shown.
#[derive(Clone)]
pub(in crate::cli) struct Secret(String);

impl Secret {
    /// The text itself.
    pub(in crate::cli) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// Takes everything, since whoever refuses a text shows it.
impl From<String> for Secret {
    fn from(text: String) -> Secret {
        Secret(text)
    }
}

/// The longest time that anything is given.
const SECONDS_MAX: f64 = 86_400.0;

fn seconds(text: &str) -> Result<Duration, String> {
    seconds_or_none(text)
        .ok()
        .filter(|time| *time >= Duration::from_millis(10))
        .ok_or_else(|| format!("expected seconds, from 0.01 to {SECONDS_MAX}"))
}

fn seconds_or_none(text: &str) -> Result<Duration, String> {
    let seconds: Option<f64> = text.parse().ok();
    let seconds = seconds.filter(|seconds| (0.0..=SECONDS_MAX).contains(seconds));
    seconds
        .map(Duration::from_secs_f64)
        .ok_or_else(|| format!("expected seconds, from 0 to {SECONDS_MAX}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_one_or_a_range() {
        let list = |text: &str| -> Vec<f64> { text.parse::<Rates>().unwrap().list().collect() };
        assert_eq!(list("0.5"), [0.5]);
        assert_eq!(
            list("100..1000/10"),
            (1..=10).map(|n| f64::from(n) * 100.0).collect::<Vec<_>>()
        );
        assert_eq!(list("200..100/2"), [200.0, 100.0]);
        for wrong in [
            "", "0", "-1", "NaN", "inf", "1e6", "1..", "1..2", "1..2/1", "1..2/101", "..2/3",
            "1../3", "1..2/x", "x",
        ] {
            assert!(wrong.parse::<Rates>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn shares_name_calls() {
        let parse = |text: &str| text.parse::<Share>();
        for kind in CallKind::ALL {
            assert_eq!(parse(kind.name()), Ok(Share { kind, share: 1.0 }));
            let text = format!("{}=0.25", kind.name());
            assert_eq!(parse(&text), Ok(Share { kind, share: 0.25 }));
        }
        for wrong in [
            "",
            "identity",
            "identify=",
            "identify=0",
            "identify=-1",
            "identify=NaN",
            "=1",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_url_is_one_of_plain_http() {
        for (text, authority, prefix) in [
            ("http://127.0.0.1:8040", "127.0.0.1:8040", ""),
            ("http://localhost/", "localhost:80", ""),
            ("http://[::1]:9/a/b/", "[::1]:9", "/a/b"),
        ] {
            let url: Url = text.parse().unwrap();
            assert_eq!(
                (url.authority.as_str(), url.prefix.as_str()),
                (authority, prefix)
            );
        }
        for wrong in [
            "",
            "127.0.0.1:8040",
            "https://a.org",
            "http://",
            "http://u:p@a.org",
            "http://a.org?x",
            "/v1",
        ] {
            assert!(wrong.parse::<Url>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_have_ends() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(seconds_or_none("0"), Ok(Duration::ZERO));
        for wrong in ["0", "-1", "NaN", "inf", "1e9", "", "5s"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        let secret = Secret::from("vk_1_abc".to_owned());
        assert!(!format!("{secret:?}").contains("abc"));
    }
}
