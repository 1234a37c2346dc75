//! A service for one test, and what is sent to it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;
use vultus::access::{ApiKeyId, NewApiKey, Reach, Scope, ServerKey};
use vultus::engine::Engine;
use vultus::partition::Store;
use vultus::search::Pool;
use vultus::types::{Clock, Timestamp};
use vultus::web::{AppState, Settings, router};

use super::super::networks::{faces, liveness};

/// A service with one key that may do everything.
pub(super) struct Service {
    directory: TempDir,
    pub(super) state: AppState,
    pub(super) clock: Clock,
    pub(super) router: Router,
    pub(super) key: String,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

/// A body and what it says it is.
pub(super) struct Sent {
    kind: String,
    bytes: Vec<u8>,
}

impl Service {
    pub(super) fn new() -> Service {
        Service::with(|_| {})
    }

    pub(super) fn with(change: impl FnOnce(&mut Settings)) -> Service {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        let store = Arc::new(Store::open(&data).unwrap());
        let server_key = ServerKey::open_or_create(&data, &mut rand::rng()).unwrap();
        let clock = Clock::manual(Timestamp::from_unix_seconds(1_700_000_000));
        let mut settings = Settings::new("https://faces.example.org");
        // A machine with much else to do must not make a test fail.
        settings.queue_wait = Duration::from_secs(300);
        settings.snapshot_dir = Some(directory.path().join("snapshots"));
        change(&mut settings);
        let engine = Arc::new(Engine::new(store, Pool::Here));
        let state = AppState::new(
            engine,
            faces(),
            liveness(),
            &server_key,
            settings,
            clock.clone(),
        );
        let mut service = Service {
            directory,
            router: router(state.clone()),
            state,
            clock,
            key: String::new(),
        };
        service.key = service.make_key(&Scope::ALL, Reach::Everything).1;
        service
    }

    pub(super) fn directory(&self) -> &std::path::Path {
        self.directory.path()
    }

    /// A key that does not expire.
    pub(super) fn make_key(&self, scopes: &[Scope], reach: Reach) -> (ApiKeyId, String) {
        let new = NewApiKey {
            name: "Test".to_owned(),
            scopes: scopes.iter().copied().collect(),
            reach,
            expires: None,
        };
        self.create_key(&new)
    }

    pub(super) fn create_key(&self, new: &NewApiKey) -> (ApiKeyId, String) {
        let keys = self.state.api_keys();
        let made = keys.create(new, self.clock.now(), &mut rand::rng());
        let (key, secret) = made.unwrap();
        (key.id, secret.expose().to_owned())
    }

    /// Sends a request with a key.
    pub(super) async fn call(
        &self,
        key: &str,
        method: Method,
        path: &str,
        sent: impl Into<Sent>,
    ) -> Answer {
        let sent = sent.into();
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/v1/{path}"))
            .header(header::AUTHORIZATION, format!("Bearer {key}"));
        if !sent.kind.is_empty() {
            request = request.header(header::CONTENT_TYPE, sent.kind);
        }
        self.send(request.body(sent.bytes.into()).unwrap()).await
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

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.call(&self.key, Method::GET, path, ()).await
    }

    pub(super) async fn post(&self, path: &str, sent: impl Into<Sent>) -> Answer {
        self.call(&self.key, Method::POST, path, sent).await
    }

    pub(super) async fn delete(&self, path: &str) -> Answer {
        self.call(&self.key, Method::DELETE, path, ()).await
    }

    /// Enrols one embedding of the encoder `test`.
    pub(super) async fn enroll(&self, partition: &str, class: i64, embedding: &[f32]) {
        let path = format!("partitions/{partition}/classes/{class}/enroll");
        let body = json!({ "embeddings": [embedding], "encoder": "test" });
        let answer = self.post(&path, body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
}

impl Answer {
    /// The body of a success.
    #[track_caller]
    pub(super) fn json(&self) -> Value {
        assert!(self.status.is_success(), "{}: {}", self.status, self.body);
        let kind = self.headers[header::CONTENT_TYPE].to_str().unwrap();
        assert!(kind.starts_with("application/json"), "{kind}");
        serde_json::from_str(&self.body).unwrap()
    }

    /// The problem that must have come back.
    #[track_caller]
    pub(super) fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        assert_eq!(
            self.headers[header::CONTENT_TYPE],
            "application/problem+json"
        );
        let problem: Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status, "{problem}");
        assert_eq!(problem["type"], format!("/v1/problems#{code}"));
        for text in ["title", "detail"] {
            assert!(!problem[text].as_str().unwrap().is_empty(), "{problem}");
        }
        problem
    }
}

impl From<()> for Sent {
    fn from((): ()) -> Sent {
        Sent {
            kind: String::new(),
            bytes: Vec::new(),
        }
    }
}

impl From<Value> for Sent {
    fn from(body: Value) -> Sent {
        Sent::text("application/json", &body.to_string())
    }
}

impl Sent {
    pub(super) fn text(kind: &str, body: &str) -> Sent {
        Sent {
            kind: kind.to_owned(),
            bytes: body.as_bytes().to_owned(),
        }
    }

    /// A form with these fields.
    pub(super) fn form(fields: &[(&str, &[u8])]) -> Sent {
        let mut bytes = Vec::new();
        for (name, value) in fields {
            let head = format!(
                "--frontier\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"f\"\r\n\
                 Content-Type: application/octet-stream\r\n\r\n"
            );
            bytes.extend(head.as_bytes());
            bytes.extend(*value);
            bytes.extend(b"\r\n");
        }
        bytes.extend(b"--frontier--\r\n");
        Sent {
            kind: "multipart/form-data; boundary=frontier".to_owned(),
            bytes,
        }
    }
}

/// The bytes of a portrait.
pub(super) fn portrait(name: &str) -> Vec<u8> {
    let root = env!("CARGO_MANIFEST_DIR");
    std::fs::read(format!("{root}/data/faces/{name}.jpg")).unwrap()
}

pub(super) fn base64(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

/// An embedding of 16 values that points along one axis, a little towards the next.
pub(super) fn axis(at: usize) -> Vec<f32> {
    let mut values = vec![0.0; 16];
    values[at] = 1.0;
    values[(at + 1) % 16] = 0.25;
    values
}

pub(super) fn bytes_of(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}
