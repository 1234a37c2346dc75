//! `vultus demo`: the main job, once, over a real socket.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::args::Demo;
use super::exit::Exit;
use super::{open, output, serve};
use crate::access::{
    ApiKeySecret, ApiKeys, AppId, AppSecret, Apps, NewApiKey, Reach, Scope, ServerKey,
};
use crate::config::Settings;
use crate::types::Clock;
use crate::web;

/// A portrait that is built in: public-domain pictures of the White House, see `data/faces`.
struct Portrait {
    name: &'static str,
    jpeg: &'static [u8],
}

macro_rules! portrait {
    ($name:literal) => {
        Portrait {
            name: $name,
            jpeg: include_bytes!(concat!("../../data/faces/", $name)),
        }
    };
}

const OBAMA_PORTRAIT: Portrait = portrait!("obama-portrait.jpg");
/// The bytes of one of them.
pub(super) const PORTRAIT: &[u8] = OBAMA_PORTRAIT.jpeg;
const OBAMA_SPEECH: Portrait = portrait!("obama-speech.jpg");
const OBAMA_WHITE_HOUSE: Portrait = portrait!("obama-white-house.jpg");
const BIDEN_PORTRAIT: Portrait = portrait!("biden-portrait.jpg");

const PARTITION: &str = "bws.1";
/// The API lists people however little alike they are: by this score they are told from others.
const SAME_PERSON_SCORE_MIN: f64 = 0.5;
/// Class ids are numbers, so that a service need not know names.
const OBAMA: i32 = 1;

const ENROLLED: [(i32, &str, &[Portrait]); 1] = [(OBAMA, "Barack Obama", &[OBAMA_PORTRAIT])];
/// New pictures, and whom they show; nobody who is enrolled of a stranger.
const PROBES: [(Portrait, Option<i32>); 3] = [
    (OBAMA_SPEECH, Some(OBAMA)),
    (OBAMA_WHITE_HOUSE, Some(OBAMA)),
    (BIDEN_PORTRAIT, None),
];

pub(super) fn run(verb: &Demo, settings: &Settings) -> anyhow::Result<Exit> {
    let directory = tempfile::Builder::new().prefix("vultus-demo-").tempdir();
    let directory = directory.context("cannot create a directory for the demonstration")?;
    let mut settings = settings.clone();
    settings.data_dir = directory.path().to_owned();
    settings.public_url = None;
    let engine = Arc::new(open::engine(&settings)?);
    let faces = Arc::new(open::faces(&settings)?);
    let mut random = rand::rng();
    let key = ServerKey::open_or_create(&settings.data_dir, &mut random)?;
    let apps = Apps::new(engine.store().clone(), &key);
    let storage = "bws".parse()?;
    let now = Clock::System.now();
    let (app, secret) = apps.create("demo", storage, None, now, &mut random)?;
    let keys = ApiKeys::new(engine.store().clone(), &key);
    let new = NewApiKey {
        name: "demo".to_owned(),
        scopes: [Scope::Identify].into_iter().collect(),
        reach: Reach::Partition(PARTITION.parse()?),
        expires: None,
    };
    let (_, api_key) = keys.create(&new, now, &mut random)?;

    let runtime = tokio::runtime::Runtime::new().context("starting the service")?;
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into();
    let listener = runtime.block_on(serve::bind(&listen))?;
    let address = listener.local_addr().context("asking for the address")?;
    let state = serve::state(&settings, engine, faces, address)?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = runtime.spawn(web::serve(listener, state, async {
        // A closed channel is as good a reason to stop.
        let _ = stopped.await;
    }));
    output::say!(
        "serving the BWS Web API on http://{address}/extension/, and the native API on http://{address}/v1/"
    );
    let client = Client::new(format!("http://{address}"), app.id, secret, api_key);
    let right = client.tell()?;
    client.print_curl_lines()?;
    if verb.stay {
        output::say!("\nserving until Ctrl-C");
        runtime.block_on(serve::stop_signal());
    }
    let _ = stop.send(());
    runtime
        .block_on(serving)
        .context("stopping the service")?
        .context("serving")?;
    let closed = directory.close();
    closed.context("cannot remove the directory of the demonstration")?;
    Ok(if right { Exit::Success } else { Exit::No })
}

/// A client of the API as an integrator would write it.
struct Client {
    url: String,
    id: AppId,
    secret: AppSecret,
    api_key: ApiKeySecret,
    agent: ureq::Agent,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Uploaded {
    accepted: bool,
    error: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Enrolled {
    success: bool,
    error: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Identified {
    success: bool,
    error: Option<String>,
    #[serde(default)]
    matches: Vec<Found>,
}

/// What the native API decides.
#[derive(Deserialize)]
struct Judged {
    decision: String,
    confidence: Option<f64>,
    matches: Vec<JudgedMatch>,
}

#[derive(Deserialize)]
struct JudgedMatch {
    class: String,
}

#[derive(Deserialize)]
struct Found {
    #[serde(rename = "Score")]
    score: f64,
    #[serde(rename = "ClassID")]
    class: i32,
}

impl Client {
    fn new(url: String, id: AppId, secret: AppSecret, api_key: ApiKeySecret) -> Client {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)));
        Client {
            url,
            id,
            secret,
            api_key,
            agent: config.build().into(),
        }
    }

    /// Enrols and identifies; returns whether everybody was told from everybody else.
    fn tell(&self) -> anyhow::Result<bool> {
        let mut table = output::table(&["enrolled", "pictures", "upload", "enroll"]);
        for (class, name, portraits) in ENROLLED {
            let token = self.token(class, "enroll")?;
            let uploading = self.upload(&token, portraits)?;
            let (enrolled, enrolling): (Enrolled, _) = self.task(&token, "enroll")?;
            ensure!(
                enrolled.success,
                "enrolling {name}: {}",
                enrolled.error.unwrap_or_default()
            );
            let person = format!("{PARTITION}.{class}  {name}");
            let count = portraits.len().to_string();
            let times = [uploading, enrolling].map(output::milliseconds);
            let [uploading, enrolling] = times;
            table.add_row([person, count, uploading, enrolling]);
        }
        output::line(table.to_string())?;
        let columns = [
            "new picture",
            "most likely shows",
            "score",
            "decision",
            "confidence",
            "upload",
            "identify",
        ];
        let mut table = output::table(&columns);
        let mut right = true;
        for (portrait, expected) in PROBES {
            let (row, is_right) = self.look_for(portrait, expected)?;
            table.add_row(row);
            right &= is_right;
        }
        output::line(table.to_string())?;
        let verdict = if right {
            "the person was recognised, and the stranger is unknown"
        } else {
            "somebody was not told from somebody else"
        };
        output::line(format!(
            "{verdict}; a score of 0.5 is where one in a thousand strangers would be taken for the person\n"
        ))?;
        Ok(right)
    }

    /// Looks for whom a picture shows, by both APIs. Returns what is told, and whether it is right.
    fn look_for(
        &self,
        portrait: Portrait,
        expected: Option<i32>,
    ) -> anyhow::Result<([String; 7], bool)> {
        // The class of the token does not matter: storage and partition pick the gallery.
        let token = self.token(0, "identify")?;
        let (picture, jpeg) = (portrait.name, portrait.jpeg);
        let uploading = self.upload(&token, &[portrait])?;
        let (identified, identifying): (Identified, _) = self.task(&token, "identify")?;
        let error = identified.error.unwrap_or_default();
        ensure!(identified.success, "identifying {picture}: {error}");
        let judged = self.judge(jpeg)?;
        let named = judged.matches.first().map(|found| found.class.clone());
        let decision = match expected {
            Some(_) => "match",
            None => "unknown",
        };
        let is_named = |found: &Found| found.score >= SAME_PERSON_SCORE_MIN;
        let first = identified.matches.first();
        let is_right = judged.decision == decision
            && named == expected.map(|class| class.to_string())
            && first.is_some_and(|found| is_named(found) == expected.is_some());
        let person = first.map(|found| {
            let person = ENROLLED.iter().find(|(class, ..)| *class == found.class);
            let name = person.map_or("somebody else", |(_, name, _)| name);
            let unlike = if is_named(found) { "" } else { ", not alike" };
            format!("{PARTITION}.{}  {name}{unlike}", found.class)
        });
        let confidence = judged.confidence;
        let [uploading, identifying] = [uploading, identifying].map(output::milliseconds);
        let row = [
            picture.to_owned(),
            person.unwrap_or_default(),
            first.map_or(String::new(), |found| format!("{:.4}", found.score)),
            judged.decision,
            confidence.map_or(String::new(), |sure| format!("{sure:.3}")),
            uploading,
            identifying,
        ];
        Ok((row, is_right))
    }

    /// Asks the native API, which decides.
    fn judge(&self, jpeg: &[u8]) -> anyhow::Result<Judged> {
        let url = format!("{}/v1/partitions/{PARTITION}/identify", self.url);
        let request = self.agent.post(url);
        let request = request.header("Authorization", format!("Bearer {}", self.api_key.expose()));
        let request = request.header("Content-Type", "application/json");
        let body = serde_json::json!({ "pictures": [BASE64_STANDARD.encode(jpeg)] });
        json(request.send(body.to_string())).context("asking who it is")
    }

    fn token(&self, class: i32, task: &str) -> anyhow::Result<String> {
        let pair = format!("{}:{}", self.id, self.secret.expose());
        let request = self.agent.get(format!("{}/extension/token", self.url));
        let answer = request
            .header(
                "Authorization",
                format!("Basic {}", BASE64_STANDARD.encode(pair)),
            )
            .query("id", self.id.to_string())
            .query("bcid", format!("{PARTITION}.{class}"))
            .query("task", task)
            .query("livedetection", "false")
            .call();
        text(answer).context("asking for a token")
    }

    fn upload(&self, token: &str, portraits: &[Portrait]) -> anyhow::Result<Duration> {
        let start = Instant::now();
        for portrait in portraits {
            let body = format!(
                "data:image/jpeg;base64,{}",
                BASE64_STANDARD.encode(portrait.jpeg)
            );
            let request = self.agent.post(format!("{}/extension/upload", self.url));
            let request = request.header("Authorization", format!("Bearer {token}"));
            let answer = request.header("Content-Type", "text/plain").send(body);
            let uploaded: Uploaded = json(answer).context("uploading a picture")?;
            let error = uploaded.error.unwrap_or_default();
            ensure!(uploaded.accepted, "{} was refused: {error}", portrait.name);
        }
        Ok(start.elapsed())
    }

    fn task<T: DeserializeOwned>(&self, token: &str, task: &str) -> anyhow::Result<(T, Duration)> {
        let start = Instant::now();
        let request = self.agent.get(format!("{}/extension/{task}", self.url));
        let answer = request
            .header("Authorization", format!("Bearer {token}"))
            .call();
        let answer = json(answer).with_context(|| format!("calling {task}"))?;
        Ok((answer, start.elapsed()))
    }

    fn print_curl_lines(&self) -> anyhow::Result<()> {
        let (url, id) = (&self.url, &self.id);
        let secret = self.secret.expose();
        let picture = OBAMA_SPEECH.name;
        output::line(format!(
            "The same with curl, from the root of the source tree while the service runs (`--stay`):

  API={url}/extension
  TOKEN=$(curl -s -u '{id}:{secret}' \\
    \"$API/token?id={id}&bcid={PARTITION}.0&task=identify&livedetection=false\")
  (printf 'data:image/jpeg;base64,'; base64 -w0 data/faces/{picture}) | \\
    curl -s -H \"Authorization: Bearer $TOKEN\" -H 'Content-Type: text/plain' \\
      --data-binary @- \"$API/upload\"
  curl -s -H \"Authorization: Bearer $TOKEN\" \"$API/identify\""
        ))?;
        Ok(())
    }
}

type Answered = Result<ureq::http::Response<ureq::Body>, ureq::Error>;

/// The body of a successful answer.
fn text(answer: Answered) -> anyhow::Result<String> {
    let mut answer = answer?;
    let status = answer.status();
    let body = answer.body_mut().read_to_string()?;
    if !status.is_success() {
        bail!("{status}: {body}");
    }
    Ok(body)
}

fn json<T: DeserializeOwned>(answer: Answered) -> anyhow::Result<T> {
    let body = text(answer)?;
    serde_json::from_str(&body).with_context(|| format!("reading the answer `{body}`"))
}
