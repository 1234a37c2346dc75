//! Through the router, without a socket and with a clock of its own.

use axum::body::Body;
use axum::http::Request;
use tokio::runtime::Runtime;

use super::super::app::{TestApp, URL};
use super::door::{Credentials, NARROW_NAME, Who};
use super::{Call, Door, Format, Reply, Scene};

struct Memory {
    runtime: Runtime,
    app: TestApp,
    narrow: Credentials,
    stranger: Credentials,
}

/// Checks a fact with a service of its own.
pub(super) fn check(format: Format, fact: fn(&Scene)) {
    fact(&Scene::new(&Memory::new(), format, 112));
}

impl Memory {
    fn new() -> Memory {
        let runtime = Runtime::new().unwrap();
        let app = TestApp::new();
        let create = |name, storage: &str, partition| {
            let now = app.clock.now();
            let storage = storage.parse().unwrap();
            let apps = app.state.apps();
            let (app, secret) = apps
                .create(name, storage, partition, now, &mut rand::rng())
                .unwrap();
            Credentials {
                id: app.id.to_string(),
                secret: secret.expose().to_owned(),
            }
        };
        Memory {
            narrow: create(NARROW_NAME, "bws", Some(5)),
            stranger: create("Other", "other", None),
            runtime,
            app,
        }
    }
}

impl Door for Memory {
    fn send(&self, call: &Call) -> Reply {
        let mut request = Request::builder().method(call.method).uri(&call.path);
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        let request = request.body(Body::from(call.body.clone())).unwrap();
        let answer = self.runtime.block_on(self.app.send(request));
        Reply {
            status: answer.status.as_u16(),
            headers: answer.headers,
            body: answer.body,
        }
    }

    fn credentials(&self, who: Who) -> Credentials {
        match who {
            Who::Main => Credentials {
                id: self.app.id.to_string(),
                secret: self.app.secret.clone(),
            },
            Who::Narrow => self.narrow.clone(),
            Who::Stranger => self.stranger.clone(),
        }
    }

    fn public_url(&self) -> String {
        URL.to_owned()
    }

    fn advance(&self, seconds: u64) {
        self.app.advance(seconds);
    }
}
