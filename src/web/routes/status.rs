//! `GET /extension/status`: what this service can do for the calling app.

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use super::super::auth::Client;
use super::super::error::Error;
use super::super::render;

/// Must read as a decimal number.
const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION_MAJOR"),
    ".",
    env!("CARGO_PKG_VERSION_MINOR")
);
const LABEL: &str = concat!("Vultus ", env!("CARGO_PKG_VERSION"));
/// What there is, in the words of the API.
const FEATURES: [&str; 2] = ["Enrollment", "Identification"];

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct StatusResult {
    version: &'static str,
    label: &'static str,
    features: Vec<Feature>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Feature {
    name: &'static str,
    traits: &'static str,
    storage: String,
    /// `null` if the app may use all partitions of the storage.
    partitions: Option<String>,
}

/// Lists the features that the calling app may use.
pub(in super::super) async fn status(Client(app): Client) -> Result<Response, Error> {
    let features = FEATURES.map(|name| Feature {
        name,
        traits: "Face",
        storage: app.storage.to_string(),
        partitions: app.partition.map(|number| number.to_string()),
    });
    let result = StatusResult {
        version: VERSION,
        label: LABEL,
        features: features.into(),
    };
    Ok(render::json(StatusCode::OK, &result))
}
