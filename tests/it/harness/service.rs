//! The service through its router, without a socket and with a clock of its own.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tower::ServiceExt;
use vultus::access::{ApiKeyId, NewApiKey, Reach, Scope, ServerKey};
use vultus::engine::Engine;
use vultus::partition::{Keys, Store};
use vultus::search::Pool;
use vultus::secrets::MasterKey;
use vultus::types::{ClassId, Clock, EncoderId, Timestamp};
use vultus::web::{AppState, ServiceOptions, router};

use super::networks::{faces, liveness};
use super::{Answer, Call, Credentials, Door, Who};

pub(crate) const URL: &str = "https://faces.example.org";

/// A service for one test, which may send from many threads.
pub(crate) struct Service {
    pub(crate) store: Arc<Store>,
    pub(crate) server_key: ServerKey,
    pub(crate) state: AppState,
    pub(crate) clock: Clock,
    pub(crate) runtime: Runtime,
    router: Router,
    settings: ServiceOptions,
    /// Made when somebody asks for them.
    apps: [OnceLock<Credentials>; Who::ALL.len()],
    key: OnceLock<String>,
    directory: TempDir,
}

impl Service {
    pub(crate) fn new() -> Service {
        Service::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut ServiceOptions)) -> Service {
        Service::on(tempfile::tempdir().unwrap(), change)
    }

    fn on(directory: TempDir, change: impl FnOnce(&mut ServiceOptions)) -> Service {
        let data = directory.path().join("data");
        let clock = Clock::manual(Timestamp::from_unix_seconds(1_700_000_000));
        let mut settings = ServiceOptions::new(URL);
        // A machine with much else to do must not make a test fail.
        settings.queue_wait = Duration::from_secs(300);
        settings.search_wait = Duration::from_secs(300);
        settings.picture_time_max = Duration::from_secs(300);
        settings.snapshot_dir = Some(directory.path().join("snapshots"));
        change(&mut settings);
        // Portraits are stored encrypted alone.
        let keys = Keys {
            master: settings.store_portraits.then(|| MasterKey::random().0),
            encrypt_new: settings.store_portraits,
        };
        let store = Arc::new(Store::open_with(&data, &keys).unwrap());
        let server_key = ServerKey::open_or_create(&data, &mut rand::rng()).unwrap();
        let state = state(&store, &server_key, &settings, &clock);
        Service {
            router: router(state.clone()),
            runtime: Runtime::new().unwrap(),
            apps: Default::default(),
            key: OnceLock::new(),
            store,
            server_key,
            state,
            clock,
            settings,
            directory,
        }
    }

    /// Another service on the same data, which it opens anew: what was verified is verified again.
    pub(crate) fn reopened(self) -> Service {
        Service::on(self.into_directory(), |_| {})
    }

    /// Ends everything that has the data open.
    fn into_directory(self) -> TempDir {
        self.directory
    }

    /// Makes it the same service after a restart: what was only in memory is gone.
    pub(crate) fn restart(&mut self) {
        self.state = state(&self.store, &self.server_key, &self.settings, &self.clock);
        self.router = router(self.state.clone());
    }

    /// Where everything is kept: the data in `data`, snapshots in `snapshots`.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Enrols so many classes, from 0, with one template each.
    pub(crate) fn enroll_crowd(&self, partition: &str, encoder: &EncoderId, classes: usize) {
        let now = self.clock.now();
        let id = partition.parse().unwrap();
        let partition = self.store.partition_for(&id, encoder, now).unwrap();
        let mut import = partition.import(encoder, classes, now).unwrap();
        for class in 0..classes {
            let mut values = vec![0.5; encoder.dimension()];
            values[class % encoder.dimension()] = class as f32;
            let class = ClassId(i64::try_from(class).unwrap());
            import.push(class, &values, f32::NAN).unwrap();
        }
        import.finish().unwrap();
    }

    /// A key that does not expire.
    pub(crate) fn make_key(&self, scopes: &[Scope], reach: Reach) -> (ApiKeyId, String) {
        self.create_key(&NewApiKey {
            name: "Test".to_owned(),
            scopes: scopes.iter().copied().collect(),
            reach,
            expires: None,
        })
    }

    pub(crate) fn create_key(&self, new: &NewApiKey) -> (ApiKeyId, String) {
        let keys = self.state.api_keys();
        let made = keys.create(new, self.clock.now(), &mut rand::rng());
        let (key, secret) = made.unwrap();
        (key.id, secret.expose().to_owned())
    }

    fn create_app(&self, who: Who) -> Credentials {
        let apps = self.state.apps();
        let storage = who.storage().parse().unwrap();
        let now = self.clock.now();
        let made = apps.create(who.name(), storage, who.partition(), now, &mut rand::rng());
        let (app, secret) = made.unwrap();
        Credentials {
            id: app.id.to_string(),
            secret: secret.expose().to_owned(),
        }
    }
}

impl Door for Service {
    fn send(&self, call: Call) -> Answer {
        let mut request = Request::builder().method(&call.method[..]).uri(&call.path);
        for (name, value) in &call.headers {
            request = request.header(*name, &value[..]);
        }
        let path = call.path;
        let request = request.body(Body::from(call.body)).unwrap();
        self.runtime.block_on(async {
            let response = self.router.clone().oneshot(request).await.unwrap();
            let (parts, body) = response.into_parts();
            let body = to_bytes(body, usize::MAX).await.unwrap();
            Answer::new(&path, parts.status.as_u16(), parts.headers, body.to_vec())
        })
    }

    fn credentials(&self, who: Who) -> Credentials {
        let made = &self.apps[who as usize];
        made.get_or_init(|| self.create_app(who)).clone()
    }

    fn key(&self) -> String {
        let made = || self.make_key(&Scope::ALL, Reach::Everything).1;
        self.key.get_or_init(made).clone()
    }

    fn public_url(&self) -> String {
        URL.to_owned()
    }

    fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

fn state(
    store: &Arc<Store>,
    key: &ServerKey,
    settings: &ServiceOptions,
    clock: &Clock,
) -> AppState {
    let engine = Arc::new(Engine::new(store.clone(), Pool::Here));
    let settings = settings.clone();
    AppState::new(engine, faces(), liveness(), key, settings, clock.clone())
}
