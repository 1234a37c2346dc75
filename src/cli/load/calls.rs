//! What is asked: requests that are ready to be sent.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail, ensure};
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http_body_util::Full;
use hyper::body::Bytes;
use rand::RngExt;
use rand::rngs::StdRng;
use serde::Serialize;

use super::wire::{Answer, Broken, Wire};
use crate::cli::args::{CallKind, Load, Secret};
use crate::cli::made_up::direction;
use crate::cli::pictures;
use crate::exchange::EmbeddingFile;
use crate::types::PartitionId;

/// Embeddings of a file that are used.
const EMBEDDINGS_MAX: usize = 10_000;
/// Embeddings that are made up.
const MADE_UP: usize = 1_000;
/// Bytes of an answer that an error shows.
const SHOWN_BYTES_MAX: usize = 300;

/// A call of the first kind of `/v1`, as the service reads it.
#[derive(Serialize)]
struct IdentifyBody<'a> {
    embeddings: [&'a [f32]; 1],
    encoder: &'a str,
    limit: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    threshold: Option<f64>,
}

/// All calls that were asked for.
pub(super) struct Calls {
    plans: BTreeMap<CallKind, Plan>,
    /// Each kind, with the sum of its share and those before it.
    shares: Vec<(CallKind, f64)>,
}

/// The requests of a call, which are sent one after the other, and what each is called.
struct Plan(Vec<(&'static str, Prepared)>);

/// A request, with bodies that are sent in turn.
struct Prepared {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    bodies: Vec<Bytes>,
    next: Cell<usize>,
}

/// A part of a call that was answered, or was not: what it is called, when it was due and what came
/// of it.
pub(super) struct Part {
    pub(super) name: &'static str,
    pub(super) due: Instant,
    pub(super) ended: Result<StatusCode, Broken>,
    pub(super) at: Instant,
}

impl Calls {
    /// Makes all requests that will be needed.
    ///
    /// # Errors
    ///
    /// If something is missing that a call needs, or a file cannot be read.
    pub(super) fn prepare(verb: &Load) -> anyhow::Result<Calls> {
        let mut calls = Calls {
            plans: BTreeMap::new(),
            shares: Vec::new(),
        };
        let mut sum = 0.0;
        for share in &verb.calls {
            let name = share.kind.name();
            let plan = plan(verb, share.kind).with_context(|| format!("preparing `{name}`"))?;
            ensure!(
                calls.plans.insert(share.kind, plan).is_none(),
                "--calls names `{name}` twice"
            );
            sum += share.share;
            calls.shares.push((share.kind, sum));
        }
        Ok(calls)
    }

    /// A kind by chance, each as often as its share says.
    pub(super) fn choose(&self, random: &mut StdRng) -> CallKind {
        let last = self.shares[self.shares.len() - 1];
        let place = random.random::<f64>() * last.1;
        let found = self.shares.iter().find(|(_, sum)| place < *sum);
        found.unwrap_or(&last).0
    }

    /// The shares, of 1 together.
    pub(super) fn shares(&self) -> impl Iterator<Item = (CallKind, f64)> {
        let total = self.shares.last().map_or(1.0, |(_, sum)| *sum);
        let mut before = 0.0;
        self.shares.iter().map(move |&(kind, sum)| {
            let share = (sum - before) / total;
            before = sum;
            (kind, share)
        })
    }

    /// Makes each call once, so that a mistake is told rather than measured.
    ///
    /// # Errors
    ///
    /// If one is neither answered with success nor refused for the moment.
    pub(super) async fn try_once(&self, wire: &Wire, timeout: Duration) -> anyhow::Result<()> {
        for (kind, plan) in &self.plans {
            let deadline = Instant::now() + timeout;
            let ended = plan.make(wire, deadline, &mut |_part| ()).await;
            let answer = match ended {
                Err(broken) => bail!("`{}` was not answered: {broken}", kind.name()),
                Ok(answer) => answer,
            };
            let is_busy = |status| {
                [
                    StatusCode::SERVICE_UNAVAILABLE,
                    StatusCode::TOO_MANY_REQUESTS,
                ]
                .contains(&status)
            };
            ensure!(
                answer.status.is_success() || is_busy(answer.status),
                "`{}` was answered {}: {}",
                kind.name(),
                answer.status,
                shown(&answer.body)
            );
        }
        Ok(())
    }

    /// Makes a call that is due, and tells what came of it and of its parts.
    pub(super) async fn make(
        &self,
        kind: CallKind,
        wire: &Wire,
        due: Instant,
        deadline: Instant,
        tell: &mut impl FnMut(Part),
    ) {
        let answer = self.plans[&kind].make(wire, deadline, tell).await;
        let ended = answer.map(|answer| answer.status);
        tell(Part {
            name: kind.name(),
            due,
            ended,
            at: Instant::now(),
        });
    }
}

impl Prepared {
    fn request(&self, bearer: Option<&HeaderValue>) -> Request<Full<Bytes>> {
        let at = self.next.get();
        let body = self.bodies.get(at).cloned().unwrap_or_default();
        self.next.set((at + 1) % self.bodies.len().max(1));
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        if let Some(bearer) = bearer {
            let headers = request.headers_mut();
            headers.insert(header::AUTHORIZATION, bearer.clone());
        }
        request
    }
}

impl Plan {
    /// Sends one request after the other, as long as answers are of success, and returns the last
    /// answer. Tells what came of each, if there are several. The answer to the first is the token
    /// that the others show.
    async fn make(
        &self,
        wire: &Wire,
        deadline: Instant,
        tell: &mut impl FnMut(Part),
    ) -> Result<Answer, Broken> {
        let mut bearer = None;
        for (at, (name, prepared)) in self.0.iter().enumerate() {
            let due = Instant::now();
            let ended = wire.ask(prepared.request(bearer.as_ref()), deadline).await;
            let is_last = at + 1 == self.0.len();
            if self.0.len() > 1 {
                tell(Part {
                    name,
                    due,
                    ended: match &ended {
                        Ok(answer) => Ok(answer.status),
                        Err(broken) => Err(*broken),
                    },
                    at: Instant::now(),
                });
            }
            let answer = ended?;
            if is_last || !answer.status.is_success() {
                return Ok(answer);
            }
            if bearer.is_none() {
                let text = format!("Bearer {}", String::from_utf8_lossy(&answer.body));
                bearer = HeaderValue::from_str(&text).ok();
            }
        }
        // No call is without a request.
        Err(Broken::Malformed)
    }
}

fn plan(verb: &Load, kind: CallKind) -> anyhow::Result<Plan> {
    let only = match kind {
        CallKind::Identify => identify(verb)?,
        CallKind::Picture => picture(verb)?,
        CallKind::Status => prepared(verb, "/v1/status", &key(verb)?)?,
        CallKind::Token => token(verb)?,
        CallKind::Bws => return Ok(Plan(bws(verb)?)),
    };
    Ok(Plan(vec![(kind.name(), only)]))
}

fn identify(verb: &Load) -> anyhow::Result<Prepared> {
    let authorization = key(verb)?;
    let encoder = verb.encoder.as_deref().context("--encoder is needed")?;
    let path = format!("/v1/partitions/{}/identify", partition(verb)?);
    let made_up = |row| direction(verb.dim, verb.seed, row as u64);
    let embeddings: Vec<Vec<f32>> = match &verb.embeddings {
        None => (0..MADE_UP).map(made_up).collect(),
        Some(file) => read(file)?,
    };
    let body = |embedding: &Vec<f32>| {
        let body = IdentifyBody {
            embeddings: [embedding],
            encoder,
            limit: verb.limit,
            threshold: verb.threshold,
        };
        Ok(Bytes::from(serde_json::to_vec(&body)?))
    };
    let bodies = embeddings.iter().map(body).collect::<anyhow::Result<_>>()?;
    posted(verb, &path, &authorization, "application/json", bodies)
}

fn read(file: &Path) -> anyhow::Result<Vec<Vec<f32>>> {
    let mut file = EmbeddingFile::open(file)?;
    let rows = file.read(file.rows().min(EMBEDDINGS_MAX))?;
    Ok(rows.outer_iter().map(|row| row.to_vec()).collect())
}

fn picture(verb: &Load) -> anyhow::Result<Prepared> {
    const BOUNDARY: &str = "vultus-load-5f0c7d0d6b1e4b7f";
    let authorization = key(verb)?;
    let path = format!("/v1/partitions/{}/identify", partition(verb)?);
    let field = |name: &str, value: &[u8]| {
        let head =
            format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
        [head.as_bytes(), value, b"\r\n"].concat()
    };
    let body = |picture: &Vec<u8>| {
        let mut body = field("limit", verb.limit.to_string().as_bytes());
        if let Some(threshold) = verb.threshold {
            body.extend(field("threshold", threshold.to_string().as_bytes()));
        }
        body.extend(field("picture", picture));
        body.extend(format!("--{BOUNDARY}--\r\n").into_bytes());
        Bytes::from(body)
    };
    let bodies = pictures_of(verb)?.iter().map(body).collect();
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    posted(verb, &path, &authorization, &kind, bodies)
}

fn token(verb: &Load) -> anyhow::Result<Prepared> {
    let app = verb.app.as_ref().map(Secret::expose);
    let app = app.context("--app is needed")?;
    let (id, _secret) = app.split_once(':').context("--app is not ID:SECRET")?;
    ensure!(
        id.bytes()
            .all(|byte| byte.is_ascii_hexdigit() || byte == b'-'),
        "--app does not begin with an App-ID"
    );
    let bcid = format!("{}.0", partition(verb)?);
    let path = format!("/extension/token?id={id}&bcid={bcid}&task=identify&livedetection=false");
    let basic = format!("Basic {}", BASE64_STANDARD.encode(app));
    prepared(verb, &path, &basic)
}

fn bws(verb: &Load) -> anyhow::Result<Vec<(&'static str, Prepared)>> {
    let body = |picture: &Vec<u8>| {
        // The bytes tell the format, whatever is said here.
        let text = format!("data:image/jpeg;base64,{}", BASE64_STANDARD.encode(picture));
        Bytes::from(text)
    };
    let bodies = pictures_of(verb)?.iter().map(body).collect();
    let identify = format!("/extension/identify?maxresults={}", verb.limit);
    Ok(vec![
        ("bws token", token(verb)?),
        (
            "bws upload",
            posted(verb, "/extension/upload", "", "text/plain", bodies)?,
        ),
        ("bws identify", prepared(verb, &identify, "")?),
    ])
}

fn key(verb: &Load) -> anyhow::Result<String> {
    let key = verb.key.as_ref().context("--key is needed")?;
    Ok(format!("Bearer {}", key.expose()))
}

fn partition(verb: &Load) -> anyhow::Result<&PartitionId> {
    verb.partition.as_ref().context("--partition is needed")
}

fn pictures_of(verb: &Load) -> anyhow::Result<Vec<Vec<u8>>> {
    ensure!(!verb.picture.is_empty(), "--picture is needed");
    let found = pictures::find(&verb.picture)?;
    ensure!(!found.pictures.is_empty(), "--picture names no picture");
    let read = |path: &PathBuf| {
        std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))
    };
    found.pictures.iter().map(read).collect()
}

fn posted(
    verb: &Load,
    path: &str,
    authorization: &str,
    kind: &str,
    bodies: Vec<Bytes>,
) -> anyhow::Result<Prepared> {
    let mut prepared = prepared(verb, path, authorization)?;
    prepared.method = Method::POST;
    let kind = HeaderValue::from_str(kind).context("wrong content type")?;
    prepared.headers.insert(header::CONTENT_TYPE, kind);
    prepared.bodies = bodies;
    Ok(prepared)
}

/// A GET.
fn prepared(verb: &Load, path: &str, authorization: &str) -> anyhow::Result<Prepared> {
    let url = &verb.url;
    let uri = format!("{}{path}", url.prefix);
    let uri = uri
        .parse()
        .map_err(|_no_uri| anyhow!("`{uri}` is no path"))?;
    let mut headers = HeaderMap::new();
    let host = HeaderValue::from_str(&url.authority).context("wrong host")?;
    headers.insert(header::HOST, host);
    if !authorization.is_empty() {
        let value = HeaderValue::from_str(authorization);
        let mut value =
            value.map_err(|_sign| anyhow!("--key or --app has a sign that no header has"))?;
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
    }
    Ok(Prepared {
        method: Method::GET,
        uri,
        headers,
        bodies: Vec::new(),
        next: Cell::new(0),
    })
}

/// The beginning of an answer, for people.
fn shown(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(SHOWN_BYTES_MAX)]);
    text.trim().escape_debug().to_string().replace("\\\"", "\"")
}
