//! The description of both doors, OpenAPI 3.1, made from the types and functions that serve them, and a
//! page to browse it with.

mod page;

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Components, InfoBuilder, LicenseBuilder, OpenApi};
use utoipa::{Modify, OpenApi as _};

/// What is said of the whole.
#[derive(utoipa::OpenApi)]
#[openapi(modifiers(&Security))]
struct Head;

/// How callers prove who they are.
struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut OpenApi) {
        let components = document.components.get_or_insert_with(Components::new);
        let scheme = |scheme, format: Option<&str>, description: &str| {
            let mut http = Http::new(scheme);
            http.bearer_format = format.map(str::to_owned);
            http.description = Some(description.to_owned());
            SecurityScheme::Http(http)
        };
        components.add_security_scheme(
            "api_key",
            scheme(
                HttpAuthScheme::Bearer,
                Some("vk_"),
                "A key of the native API, made by `vultus key create`",
            ),
        );
        components.add_security_scheme(
            "app",
            scheme(
                HttpAuthScheme::Basic,
                None,
                "App-ID and App-Secret, made by `vultus app create`",
            ),
        );
        components.add_security_scheme(
            "bws_token",
            scheme(
                HttpAuthScheme::Bearer,
                Some("JWT"),
                "A token of `GET /extension/token`; `JWT` instead of `Bearer` means the same",
            ),
        );
    }
}

/// What is true of both doors.
pub(super) fn head() -> OpenApi {
    let mut document = Head::openapi();
    document.info = InfoBuilder::new()
        .title("Vultus")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Who is this? Exact face identification, over the classic BWS Web API and over a native \
             API under `/v1`.",
        ))
        .license(Some(
            LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build(),
        ))
        .build();
    document
}

/// Serves `description`, and a page that shows it.
pub(super) fn router<S: Clone + Send + Sync + 'static>(description: OpenApi) -> Router<S> {
    // Made when somebody asks for it: most services are never asked.
    let text = Arc::new(LazyLock::new(move || {
        let text = description.to_pretty_json();
        Bytes::from(text.expect("a description has texts, numbers and lists only"))
    }));
    Router::new()
        .route("/openapi.json", get(async move || json(text.as_ref())))
        .route("/docs", get(async || page::file(page::INDEX_NAME)))
        .route("/docs/", get(async || page::without_slash()))
        .route("/docs/{file}", get(page::named))
}

fn json(text: &Bytes) -> Response {
    let kind = HeaderValue::from_static("application/json");
    (StatusCode::OK, [(header::CONTENT_TYPE, kind)], text.clone()).into_response()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::server;

    #[test]
    fn every_call_has_a_summary_and_a_name_of_its_own() {
        let mut names = BTreeSet::new();
        let (_, document) = server::doors().split();
        for (path, item) in document.paths.paths {
            for operation in [item.get, item.post, item.delete].into_iter().flatten() {
                assert!(
                    operation.summary.is_some_and(|text| !text.is_empty()),
                    "{path}"
                );
                assert!(names.insert(operation.operation_id.unwrap()), "{path}");
                assert!(operation.security.is_some(), "{path}");
            }
        }
        assert!(names.len() > 25);
    }
}
