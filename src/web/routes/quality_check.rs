//! `POST /extension/qualitycheck`: is this picture good enough?

use axum::extract::{Request, State};
use axum::response::Response;
use base64::prelude::{BASE64_STANDARD, Engine};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::auth::Client;
use super::super::body::Received;
use super::super::error::Error;
use super::super::parameters::Parameters;
use super::super::state::AppState;
use super::direct::{self, EyeCenters, SampleError, Seen};
use crate::face::{PortraitRules, portrait_bmp, portrait_faults};

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
    /// The portrait that a document would show, as a data-URL, after a full check that succeeded.
    processed_sample: String,
}

/// Checks a picture as an upload would, or with `full` as an issuer of documents would.
#[utoipa::path(
    post,
    path = "/extension/qualitycheck",
    tag = "bws",
    operation_id = "bws_qualitycheck",
    summary = "Check the quality of a picture",
    params(
        ("full" = Option<bool>, Query, description = "Check against the rules of an issuer of documents; `false` unless given"),
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
pub(in super::super) async fn quality_check(
    State(state): State<AppState>,
    _client: Client,
    parameters: Parameters,
    request: Request,
) -> Result<Response, Error> {
    let full = parameters.boolean("full")?.unwrap_or(false);
    let rules = full.then(|| rules(parameters.text("issuer")));
    let echo = parameters.text("state").map(str::to_owned);
    let text = Received::whole(&state, request).await?.sample().await?;
    direct::answer(&state, move |state| {
        let picture = direct::picture(state, Some(&text))?;
        let mut result = match direct::look(state, picture)? {
            Ok(seen) => check(state, &seen, rules)?,
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

fn check(
    state: &AppState,
    seen: &Seen,
    rules: Option<PortraitRules>,
) -> Result<QualityCheckResult, Error> {
    let Seen { picture, face } = seen;
    let mut result = QualityCheckResult {
        success: true,
        job: None,
        state: None,
        errors: SampleError::of_quality(face).collect(),
        eye_centers: Some(EyeCenters::of(face)),
        processed_sample: String::new(),
    };
    if let Some(rules) = rules {
        let aligned = state.faces().align(picture, &face.landmarks)?;
        let faults = portrait_faults(picture, face, &aligned, &rules);
        result.success = faults.is_empty();
        if result.success {
            let portrait = BASE64_STANDARD.encode(portrait_bmp(picture, face));
            result.processed_sample = format!("data:image/bmp;base64,{portrait}");
        }
        let errors = faults
            .into_iter()
            .map(|fault| SampleError::new(fault.code, fault.message, fault.details));
        result.errors = errors.collect();
    }
    Ok(result)
}
