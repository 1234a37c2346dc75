//! Endpoints and the doors that they are registered at.
//!
//! An endpoint is a route, its description and what can go wrong with it. It comes from the file of
//! its handler and takes one line of a door, which has no other way to get a route: so there is
//! none without a description.

use axum::Router;
use axum::http::Method;
use axum::routing::MethodRouter;
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter, UtoipaMethodRouterExt};

use super::state::AppState;

/// What [`utoipa_axum::routes`] makes of a handler: its path, methods and description.
pub(super) type Routed = UtoipaMethodRouter<AppState>;

/// A route with all that is said of it.
pub(super) struct Endpoint(Routed);

/// Endpoints, and the description of them all.
pub(super) struct Door {
    routes: OpenApiRouter<AppState>,
    /// What every endpoint goes through that comes by [`Door::with`].
    guard: fn(Routed) -> Routed,
}

/// The calls of a path that a door may have, by their methods.
pub(super) fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    let all = [
        (Method::GET, &mut item.get),
        (Method::POST, &mut item.post),
        (Method::PUT, &mut item.put),
        (Method::PATCH, &mut item.patch),
        (Method::DELETE, &mut item.delete),
    ];
    all.into_iter()
        .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

impl Endpoint {
    /// A handler, with what `describe` adds to its description: above all what can go wrong.
    pub(super) fn new(routed: Routed, describe: impl Fn(&mut Operation)) -> Endpoint {
        let (schemas, mut paths, methods) = routed;
        for item in paths.paths.values_mut() {
            operations(item).for_each(|(_method, operation)| describe(operation));
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
        Door::of(OpenApiRouter::with_openapi(description))
    }

    fn of(routes: OpenApiRouter<AppState>) -> Door {
        let guard = |routed| routed;
        Door { routes, guard }
    }

    /// The same with something that every endpoint goes through that comes from now on, so that
    /// none can be without it.
    pub(super) fn guarded(self, guard: fn(Routed) -> Routed) -> Door {
        Door { guard, ..self }
    }

    /// The same with one more endpoint.
    pub(super) fn with(self, endpoint: Endpoint) -> Door {
        Door {
            routes: self.routes.routes((self.guard)(endpoint.0)),
            ..self
        }
    }

    /// The same with all endpoints of `other`.
    pub(super) fn merge(self, other: Door) -> Door {
        Door {
            routes: self.routes.merge(other.routes),
            ..self
        }
    }

    /// The same with all endpoints of `other`, at paths that begin with `prefix`.
    pub(super) fn nest(self, prefix: &str, other: Door) -> Door {
        Door {
            routes: self.routes.nest(prefix, other.routes),
            ..self
        }
    }

    /// The same with what happens around the endpoints, such as fallbacks and layers.
    pub(super) fn around(self, change: impl FnOnce(Router<AppState>) -> Router<AppState>) -> Door {
        let guard = self.guard;
        let (router, description) = self.split();
        let mut routes = OpenApiRouter::from(change(router));
        *routes.get_openapi_mut() = description;
        Door { routes, guard }
    }

    /// The routes, and the description of them.
    pub(super) fn split(self) -> (Router<AppState>, OpenApi) {
        self.routes.split_for_parts()
    }
}
