//! A service for one test, and the pictures it is shown.

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use image::{DynamicImage, ImageFormat, RgbImage, imageops};
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt;
use vultus::access::{AppId, ServerKey};
use vultus::engine::Engine;
use vultus::partition::Store;
use vultus::search::Pool;
use vultus::types::{Clock, Timestamp};
use vultus::web::{AppState, Settings, router};

use super::super::networks::{faces, liveness};

pub(super) const URL: &str = "https://faces.example.org";

/// A service with one app, which may use the storage `bws`.
pub(super) struct TestApp {
    directory: TempDir,
    pub(super) store: Arc<Store>,
    pub(super) key: ServerKey,
    pub(super) state: AppState,
    pub(super) clock: Clock,
    pub(super) router: Router,
    pub(super) id: AppId,
    pub(super) secret: String,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl TestApp {
    pub(super) fn new() -> TestApp {
        TestApp::with(|_| {})
    }

    pub(super) fn with(change: impl FnOnce(&mut Settings)) -> TestApp {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(directory.path()).unwrap());
        let key = ServerKey::open_or_create(directory.path(), &mut rand::rng()).unwrap();
        let clock = Clock::manual(Timestamp::from_unix_seconds(1_700_000_000));
        let mut settings = Settings::new(URL);
        // A machine with much else to do must not make a test fail.
        settings.queue_wait = Duration::from_secs(300);
        change(&mut settings);
        let state = state(&store, &key, settings, &clock);
        let (app, secret) = state
            .apps()
            .create(
                "Test",
                "bws".parse().unwrap(),
                None,
                clock.now(),
                &mut rand::rng(),
            )
            .unwrap();
        TestApp {
            directory,
            router: router(state.clone()),
            id: app.id,
            secret: secret.expose().to_owned(),
            store,
            key,
            state,
            clock,
        }
    }

    /// The same service after a restart: what was only in memory is gone.
    pub(super) fn restarted(&mut self) {
        self.state = state(&self.store, &self.key, Settings::new(URL), &self.clock);
        self.router = router(self.state.clone());
    }

    /// Where everything is kept.
    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// `Authorization` of the app.
    pub(super) fn basic(&self) -> String {
        basic(&self.id.to_string(), &self.secret)
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    /// A request of the app itself.
    pub(super) async fn ask(&self, method: Method, path: &str) -> Answer {
        self.call(method, path, &self.basic(), Body::empty()).await
    }

    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        authorization: &str,
        body: impl Into<Body>,
    ) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, authorization)
            .body(body.into());
        self.send(request.unwrap()).await
    }

    /// A token for `query`, without liveness unless the query says otherwise.
    pub(super) async fn token(&self, query: &str) -> String {
        let live = if query.contains("livedetection") {
            ""
        } else {
            "&livedetection=false"
        };
        let path = format!("/extension/token?id={}&{query}{live}", self.id);
        let answer = self.ask(Method::GET, &path).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }

    pub(super) async fn upload(&self, token: &str, picture: &str) -> Answer {
        let authorization = format!("Bearer {token}");
        let picture = picture.to_owned();
        self.call(Method::POST, "/extension/upload", &authorization, picture)
            .await
    }

    /// A task call.
    pub(super) async fn task(&self, token: &str, path: &str) -> Answer {
        let authorization = format!("Bearer {token}");
        let path = format!("/extension/{path}");
        self.call(Method::GET, &path, &authorization, Body::empty())
            .await
    }

    /// Enrols a person with one picture.
    pub(super) async fn enroll(&self, bcid: &str, picture: &str) {
        let token = self.token(&format!("bcid={bcid}&task=enroll")).await;
        let uploaded = self.upload(&token, picture).await;
        assert_eq!(uploaded.json()["Accepted"], true, "{}", uploaded.body);
        let enrolled = self.task(&token, "enroll").await;
        assert_eq!(enrolled.body, r#"{"Success":true}"#);
    }

    /// A token with one sample, ready for its task.
    pub(super) async fn ready(&self, query: &str) -> String {
        let token = self.token(query).await;
        self.refill(&token).await;
        token
    }

    pub(super) async fn refill(&self, token: &str) {
        let uploaded = self.upload(token, &obama()).await;
        assert_eq!(uploaded.json()["Accepted"], true, "{}", uploaded.body);
    }

    pub(super) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

impl Answer {
    /// The body, which must be said to be JSON.
    pub(super) fn json(&self) -> Value {
        let kind = self.headers[header::CONTENT_TYPE].to_str().unwrap();
        assert!(kind.starts_with("application/json"), "{kind}");
        serde_json::from_str(&self.body).unwrap()
    }

    /// The cause in an error answer, which must have this status.
    #[track_caller]
    pub(super) fn message(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.body);
        let json = self.json();
        assert_eq!(json.as_object().unwrap().len(), 1);
        json["Message"].as_str().unwrap().to_owned()
    }

    /// Fails unless the answer has this status and a message with these words.
    #[track_caller]
    pub(super) fn says(&self, status: u16, words: &str) {
        let message = self.message(status);
        assert!(message.contains(words), "{message}");
    }
}

pub(super) fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{id}:{secret}")))
}

fn state(store: &Arc<Store>, key: &ServerKey, settings: Settings, clock: &Clock) -> AppState {
    let engine = Arc::new(Engine::new(store.clone(), Pool::Here));
    AppState::new(engine, faces(), liveness(), key, settings, clock.clone())
}

pub(super) fn obama() -> String {
    portrait("obama-portrait")
}

pub(super) fn biden() -> String {
    portrait("biden-portrait")
}

/// Another picture of the same person.
pub(super) fn obama_again() -> String {
    portrait("obama-white-house")
}

pub(super) fn portrait(name: &str) -> String {
    data_url("image/jpeg", &file(name))
}

pub(super) fn file(name: &str) -> Vec<u8> {
    let root = env!("CARGO_MANIFEST_DIR");
    std::fs::read(format!("{root}/data/faces/{name}.jpg")).unwrap()
}

pub(super) fn data_url(kind: &str, bytes: &[u8]) -> String {
    format!("data:{kind};base64,{}", BASE64_STANDARD.encode(bytes))
}

/// Two people side by side.
pub(super) fn two_people() -> String {
    let [left, right] = ["obama-portrait", "biden-portrait"].map(|name| {
        let picture = image::load_from_memory(&file(name)).unwrap();
        picture
            .resize_exact(300, 400, imageops::FilterType::Triangle)
            .to_rgb8()
    });
    let mut both = RgbImage::new(600, 400);
    imageops::replace(&mut both, &left, 0, 0);
    imageops::replace(&mut both, &right, 300, 0);
    png(&both)
}

/// A grey wall.
pub(super) fn nobody() -> String {
    png(&RgbImage::from_pixel(320, 240, image::Rgb([128; 3])))
}

pub(super) fn png(picture: &RgbImage) -> String {
    encoded(&DynamicImage::ImageRgb8(picture.clone()), ImageFormat::Png)
}

/// A picture in a format, as data-URL.
pub(super) fn encoded(picture: &DynamicImage, format: ImageFormat) -> String {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    data_url(format.to_mime_type(), bytes.get_ref())
}
