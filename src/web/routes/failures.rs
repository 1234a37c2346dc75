//! What can go wrong with each call, for the description of the API, and that answers also come in
//! XML.

use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};

use super::super::endpoint::{Endpoint, Routed};

/// The statuses of answers that are errors. A handler lists those that it can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ErrorStatus {
    BadRequest,
    Unauthorized,
    Forbidden,
    NoTemplate,
    BodyTimeout,
    BodyTooLarge,
    UnknownEncoding,
    TooManyFailed,
    TokenFull,
    BudgetSpent,
    Internal,
    Busy,
    NoRoom,
}

impl ErrorStatus {
    /// The number, and what it means here.
    fn facts(self) -> (u16, &'static str) {
        match self {
            ErrorStatus::BadRequest => (
                400,
                "A parameter or the body is missing or wrong, or no samples wait for the task. Calls that \
                 bring pictures say it with a code: `MissingData`, `InvalidSampleData`, \
                 `SampleNotOfExpectedType`, `NoFaceFound`, `MultipleFacesFound`, `LiveDetectionFailed`",
            ),
            ErrorStatus::Unauthorized => (
                401,
                "There are no credentials, or they are wrong; `WWW-Authenticate` says what is wanted",
            ),
            ErrorStatus::Forbidden => (
                403,
                "The class is outside the storage or the partition of the app, `id` or the token is of \
                 another app, the token is for another task, or no tries are left",
            ),
            ErrorStatus::NoTemplate => (404, "The class has no such template"),
            ErrorStatus::BodyTimeout => (408, "The body took too long to arrive"),
            ErrorStatus::BodyTooLarge => (413, "The body is too large"),
            ErrorStatus::UnknownEncoding => (
                415,
                "The body is packed with something else than gzip; `Accept-Encoding` says what is taken",
            ),
            ErrorStatus::TooManyFailed => (429, "Too many log-ins from this address have failed"),
            ErrorStatus::TokenFull => (
                429,
                "The token has as many waiting samples as it may, or the server holds as many as it can and \
                 this app has its share of them, or too many log-ins from this address have failed",
            ),
            ErrorStatus::BudgetSpent => (
                429,
                "The app was told as much as it may be in a day, or too many log-ins from this address have \
                 failed",
            ),
            ErrorStatus::Internal => (500, "The server failed; its log says why"),
            ErrorStatus::Busy => (
                503,
                "The server is too busy, or holds as many samples as it can",
            ),
            ErrorStatus::NoRoom => (507, "The disk of the server is full"),
        }
    }
}

/// A handler with what can go wrong with it.
pub(super) fn endpoint(routed: Routed, failures: &[ErrorStatus]) -> Endpoint {
    Endpoint::new(routed, |operation| {
        if failures.contains(&ErrorStatus::Unauthorized) {
            add(operation, ErrorStatus::TooManyFailed);
        }
        for failure in failures {
            add(operation, *failure);
        }
        also_in_xml(operation);
    })
}

fn add(operation: &mut Operation, failure: ErrorStatus) {
    let (status, description) = failure.facts();
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Error")));
    let response = ResponseBuilder::new()
        .description(description)
        .content("application/json", content.build());
    let header = |text: &str| HeaderBuilder::new().description(Some(text)).build();
    let response = match status {
        401 => response.header("WWW-Authenticate", header("What is wanted")),
        415 => response.header("Accept-Encoding", header("How a body may be packed")),
        503 => response.header("Retry-After", header("After how many seconds to try again")),
        _ => response,
    };
    let responses = &mut operation.responses.responses;
    responses.insert(status.to_string(), response.build().into());
}

/// Whatever comes in JSON comes in XML if the client prefers it. The token, which is plain text,
/// comes in both.
fn also_in_xml(operation: &mut Operation) {
    for response in operation.responses.responses.values_mut() {
        let RefOr::T(response) = response else {
            continue;
        };
        if response.content.contains_key("text/plain") {
            let text = ObjectBuilder::new().schema_type(Type::String);
            let content = ContentBuilder::new().schema(Some(text)).build();
            response
                .content
                .insert("application/json".to_owned(), content.into());
        }
        if let Some(content) = response.content.get("application/json").cloned() {
            for kind in ["application/xml", "text/xml"] {
                response.content.insert(kind.to_owned(), content.clone());
            }
        }
    }
}
