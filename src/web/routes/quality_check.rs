//! `POST /extension/qualitycheck`: is this picture good enough?

use axum::extract::{Request, State};
use axum::response::Response;
use base64::prelude::{BASE64_STANDARD, Engine};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::super::auth::Client;
use super::super::endpoint::Endpoint;
use super::super::error::Error;
use super::super::parameters::Parameters;
use super::super::state::AppState;
use super::direct::{self, EyeCenters, SampleError};
use crate::face::{PortraitFault, PortraitRules, portrait_bmp, portrait_faults};
use crate::intake::Seen;

/// What is wrong with a picture, if anything.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub(in super::super) struct QualityCheckResult {
    success: bool,
    /// Only with a state.
    #[serde(rename = "JobID", skip_serializing_if = "Option::is_none")]
    job: Option<String>,
    /// What the caller wrote there.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    /// After a success, what could be better.
    errors: Vec<SampleError>,
    eye_centers: Option<EyeCenters>,
    /// The portrait that a document would show, as a data-URL, after a success.
    processed_sample: String,
}

pub(super) fn endpoint() -> Endpoint {
    direct::endpoint(routes!(quality_check))
}

/// Checks a picture as an issuer of documents would, or with `full=false` as an upload would.
#[utoipa::path(
    post,
    path = "/extension/qualitycheck",
    tag = "bws",
    operation_id = "bws_qualitycheck",
    summary = "Check the quality of a picture",
    params(
        ("full" = Option<bool>, Query, description = "Check against the rules of an issuer of documents, not only those of an upload; `true` unless given"),
        ("issuer" = Option<String>, Query, description = "`ICAO`, `BioID`, or the two letters of a country; `ICAO` unless given"),
        ("state" = Option<String>, Query, description = "Any text; `JobID` and `State` are in the answer then"),
    ),
    request_body(
        content(
            (String = "text/plain"),
            (direct::SampleForm = "multipart/form-data"),
        ),
        description = "One data-URL with base64 data, as for upload"
    ),
    responses(
        (status = 200, description = "What is wrong with the picture", body = QualityCheckResult),
    ),
    security(("app" = []))
)]
async fn quality_check(
    State(state): State<AppState>,
    client: Client,
    parameters: Parameters,
    request: Request,
) -> Result<Response, Error> {
    let full = parameters.boolean("full")?.unwrap_or(true);
    let rules = rules(parameters.text("issuer"));
    let echo = parameters.echo("state");
    let text = direct::receive(&state, &client, 1, request)
        .await?
        .sample()
        .await?;
    direct::answer(&state, &client, 1, move |state| {
        let mut result = match direct::look_closely_at(state, Some(&text))? {
            Ok(seen) => check(state, &seen, full, rules)?,
            Err(fault) => QualityCheckResult {
                success: false,
                job: None,
                state: None,
                errors: vec![SampleError::of_fault(fault)],
                eye_centers: None,
                processed_sample: String::new(),
            },
        };
        result.job = echo.is_some().then(direct::job);
        result.state = echo;
        Ok(result)
    })
    .await
}

/// The rules of an issuer. Countries have those of travel documents, as has everybody else.
fn rules(issuer: Option<&str>) -> PortraitRules {
    match issuer {
        Some(issuer) if issuer.eq_ignore_ascii_case("BioID") => PortraitRules::BIOID,
        _ => PortraitRules::ICAO,
    }
}

/// By the rules of documents if `full`, else by those of an upload. Either way a face gives a portrait.
fn check(
    state: &AppState,
    seen: &Seen,
    full: bool,
    rules: PortraitRules,
) -> Result<QualityCheckResult, Error> {
    let Seen { picture, face } = seen;
    let mut success = true;
    let mut errors: Vec<SampleError> = SampleError::of_quality(face).collect();
    if full {
        let aligned = state.intake().align(seen)?;
        let faults = portrait_faults(picture, face, &aligned, &rules);
        success = !faults.iter().any(PortraitFault::is_fatal);
        errors = faults
            .iter()
            .map(|fault| SampleError::new(fault.code(), fault.message(), fault.details()))
            .collect();
    }
    let mut processed_sample = String::new();
    if success {
        let portrait = BASE64_STANDARD.encode(portrait_bmp(picture, face, &rules));
        processed_sample = format!("data:image/bmp;base64,{portrait}");
    }
    Ok(QualityCheckResult {
        success,
        job: None,
        state: None,
        errors,
        eye_centers: Some(EyeCenters::of(face)),
        processed_sample,
    })
}
