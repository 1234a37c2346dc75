//! `GET /extension/token`: a permission for a device.

use axum::extract::State;
use axum::response::Response;
use utoipa_axum::routes;

use super::super::auth::Client;
use super::super::endpoint::Endpoint;
use super::super::error::Error;
use super::super::parameters::Parameters;
use super::super::render;
use super::super::state::AppState;
use super::failures::{self, ErrorStatus};
use crate::access::{AppId, Challenge, Grant, Task, Trait};

const FAILURES: &[ErrorStatus] = &[
    ErrorStatus::BadRequest,
    ErrorStatus::Unauthorized,
    ErrorStatus::Forbidden,
    ErrorStatus::Internal,
];

pub(super) fn endpoint() -> Endpoint {
    failures::endpoint(routes!(token), FAILURES)
}

/// Issues a token to the calling app.
#[utoipa::path(
    get,
    path = "/extension/token",
    tag = "bws",
    operation_id = "bws_token",
    summary = "Issue a token",
    params(
        ("id" = String, Query, description = "The App-ID of the caller"),
        ("bcid" = Option<String>, Query, description = "The class the token is for, such as `bws.112.4711`. Required but for `livenessdetection`; for `identify` its class does not matter"),
        ("task" = Option<String>, Query, description = "`verify`, `identify`, `enroll` or `livenessdetection`, in any letter case; `verify` unless given"),
        ("maxtries" = Option<u8>, Query, minimum = 1, maximum = 15, description = "How often the task may be tried; 3 unless given"),
        ("livedetection" = Option<bool>, Query, description = "Whether the person must be shown to be alive; `true` unless given"),
        ("challenge" = Option<bool>, Query, description = "Whether head movements are demanded; `false` unless given, and only with liveness"),
        ("challenges" = Option<usize>, Query, minimum = 2, maximum = 7, description = "How many; 3 unless given"),
        ("mirrored" = Option<bool>, Query, description = "Whether the client sends pictures that show people as a mirror does, so that `left` is left in the picture; as the service is set (`liveness.mirrored`) unless given"),
        ("autoenroll" = Option<bool>, Query, description = "Only for `verify`: after a success, samples become templates; `false` unless given"),
        ("traits" = Option<String>, Query, description = "List of `face` and `periocular`; `face` unless given. `voice` is refused"),
    ),
    responses(
        (status = 200, description = "The token, a JSON web token", body = String, content_type = "text/plain"),
    ),
    security(("app" = []))
)]
async fn token(
    State(state): State<AppState>,
    client: Client,
    parameters: Parameters,
) -> Result<Response, Error> {
    check_id(&client, &parameters)?;
    let grant = grant(&parameters)?;
    let now = state.clock().now();
    let token = state
        .tokens()
        .issue(&client.0, &grant, now, &mut rand::rng())?;
    Ok(render::text(token.expose()))
}

/// The parameter `id` says who calls, as the credentials do.
fn check_id(client: &Client, parameters: &Parameters) -> Result<(), Error> {
    let id = parameters
        .text("id")
        .ok_or_else(|| Error::bad_request("the parameter `id` is missing"))?;
    if id.parse::<AppId>().as_ref() == Ok(&client.0.id) {
        return Ok(());
    }
    Err(Error::forbidden(
        "the parameter `id` is not the App-ID of the caller",
    ))
}

fn grant(parameters: &Parameters) -> Result<Grant, Error> {
    let task = match parameters.text("task") {
        None => Task::Verify,
        Some(text) => text.parse().map_err(|()| {
            Error::bad_request(
                "the parameter `task` must be `verify`, `identify`, `enroll` or `livenessdetection`",
            )
        })?,
    };
    let bcid = match task {
        // Clients send anything here.
        Task::LivenessDetection => parameters.bcid().ok(),
        _ => Some(parameters.bcid()?),
    };
    let traits = parameters.traits("traits")?;
    if traits.contains(Trait::Voice) {
        return Err(Error::bad_request(
            "the trait `voice` is not available in this service",
        ));
    }
    let lengths = Challenge::LENGTH_MIN..=Challenge::LENGTH_MAX;
    let length = parameters.integer("challenges", lengths)?;
    let challenge = parameters.boolean("challenge")?.unwrap_or(false);
    Ok(Grant {
        bcid,
        task,
        max_tries: parameters
            .integer("maxtries", 1..=Grant::TRIES_MAX)?
            .unwrap_or(Grant::TRIES_DEFAULT),
        live: parameters.boolean("livedetection")?.unwrap_or(true),
        challenge_length: challenge.then_some(length.unwrap_or(Challenge::LENGTH_DEFAULT)),
        mirrored: parameters.boolean("mirrored")?,
        auto_enroll: parameters.boolean("autoenroll")?.unwrap_or(false),
        traits,
    })
}
