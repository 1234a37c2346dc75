//! `GET /extension/status`: what this service can do for the calling app.

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::super::auth::Client;
use super::super::endpoint::Endpoint;
use super::super::error::Error;
use super::super::render;
use super::failures::{self, ErrorStatus};

/// Must read as a decimal number.
const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION_MAJOR"),
    ".",
    env!("CARGO_PKG_VERSION_MINOR")
);
const LABEL: &str = concat!("Vultus ", env!("CARGO_PKG_VERSION"));
/// What there is, in the words of the API, and whether it is about people in a storage.
const FEATURES: [(&str, bool); 6] = [
    ("QualityCheck", false),
    ("LiveDetection", false),
    ("Enrollment", true),
    ("Verification", true),
    ("Identification", true),
    ("PhotoVerify", false),
];

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub(in super::super) struct StatusResult {
    version: &'static str,
    label: &'static str,
    features: Vec<Feature>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub(in super::super) struct Feature {
    name: &'static str,
    traits: &'static str,
    /// `null` for what needs none.
    storage: Option<String>,
    /// `null` if the app may use all partitions of the storage.
    partitions: Option<String>,
}

const FAILURES: &[ErrorStatus] = &[ErrorStatus::Unauthorized, ErrorStatus::Internal];

pub(super) fn endpoint() -> Endpoint {
    failures::endpoint(routes!(status), FAILURES)
}

/// Lists the features that the calling app may use.
#[utoipa::path(
    get,
    path = "/extension/status",
    tag = "bws",
    operation_id = "bws_status",
    summary = "List the features of the service",
    responses(
        (status = 200, description = "The features that the app may use", body = StatusResult),
    ),
    security(("app" = []))
)]
async fn status(Client(app, _): Client) -> Result<Response, Error> {
    let partitions = app.partition.map(|number| number.to_string());
    let features = FEATURES.map(|(name, of_people)| Feature {
        name,
        traits: "Face",
        storage: of_people.then(|| app.storage.to_string()),
        partitions: partitions.clone().filter(|_| of_people),
    });
    let result = StatusResult {
        version: VERSION,
        label: LABEL,
        features: features.into(),
    };
    Ok(render::answer(StatusCode::OK, result))
}
