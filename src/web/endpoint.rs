//! Endpoints and the doors that they are registered at.
//!
//! An endpoint is a route, its description and what can go wrong with it. It comes from the file of
//! its handler and takes one line of a door, which has no other way to get a route: so there is
//! none without a description.

use axum::Router;
use axum::routing::MethodRouter;
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::Operation;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter, UtoipaMethodRouterExt};

use super::state::AppState;

/// What [`utoipa_axum::routes`] makes of a handler: its path, methods and description.
pub(super) type Routed = UtoipaMethodRouter<AppState>;

/// A route with all that is said of it.
pub(super) struct Endpoint(Routed);

/// Endpoints, and the description of them all.
pub(super) struct Door(OpenApiRouter<AppState>);

impl Endpoint {
    /// A handler, with what `describe` adds to its description: above all what can go wrong.
    pub(super) fn new(routed: Routed, describe: impl Fn(&mut Operation)) -> Endpoint {
        let (schemas, mut paths, methods) = routed;
        for item in paths.paths.values_mut() {
            let operations = [&mut item.get, &mut item.post, &mut item.delete];
            operations.into_iter().flatten().for_each(&describe);
        }
        Endpoint((schemas, paths, methods))
    }

    /// The same with other methods, of which the description says nothing.
    pub(super) fn map(
        self,
        change: impl FnOnce(MethodRouter<AppState>) -> MethodRouter<AppState>,
    ) -> Endpoint {
        Endpoint(self.0.map(change))
    }
}

impl Door {
    /// A door without endpoints, of which `description` says what is true of them all.
    pub(super) fn new(description: OpenApi) -> Door {
        Door(OpenApiRouter::with_openapi(description))
    }

    /// The same with one more endpoint.
    pub(super) fn with(self, endpoint: Endpoint) -> Door {
        Door(self.0.routes(endpoint.0))
    }

    /// The same with all endpoints of `other`.
    pub(super) fn merge(self, other: Door) -> Door {
        Door(self.0.merge(other.0))
    }

    /// The same with all endpoints of `other`, at paths that begin with `prefix`.
    pub(super) fn nest(self, prefix: &str, other: Door) -> Door {
        Door(self.0.nest(prefix, other.0))
    }

    /// The same with what happens around the endpoints, such as fallbacks and layers.
    pub(super) fn around(self, change: impl FnOnce(Router<AppState>) -> Router<AppState>) -> Door {
        let (router, description) = self.split();
        let mut door = OpenApiRouter::from(change(router));
        *door.get_openapi_mut() = description;
        Door(door)
    }

    /// The routes, and the description of them.
    pub(super) fn split(self) -> (Router<AppState>, OpenApi) {
        self.0.split_for_parts()
    }
}
