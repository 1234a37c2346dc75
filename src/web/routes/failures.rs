//! What can go wrong with each call, for the description of the API, and that answers also come in XML.

use utoipa::Modify;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, ResponseBuilder};

/// Adds the failures of each call to its answers, and XML to all of them.
pub(super) struct Failures;

impl Modify for Failures {
    fn modify(&self, document: &mut OpenApi) {
        for (path, item) in &mut document.paths.paths {
            let operations = [&mut item.get, &mut item.post, &mut item.delete];
            for operation in operations.into_iter().flatten() {
                for (status, description) in failures(path, operation) {
                    add(operation, status, description);
                }
                also_in_xml(operation);
            }
        }
    }
}

fn failures(path: &str, operation: &Operation) -> Vec<(u16, &'static str)> {
    let has_body = operation.request_body.is_some();
    let mut failures = vec![
        (
            401,
            "There are no credentials, or they are wrong; `WWW-Authenticate` says what is wanted",
        ),
        (500, "The server failed; its log says why"),
    ];
    let waits_for_nothing = ["/extension/token", "/extension/status", "/extension/result"];
    if !waits_for_nothing.contains(&path) {
        let why = "The server is too busy, or holds as many samples as it can";
        failures.push((503, why));
    }
    if path != "/extension/status" {
        let why = "A parameter or the body is missing or wrong, or no samples wait for the task. Calls that \
                   bring pictures say it with a code: `MissingData`, `InvalidSampleData`, \
                   `SampleNotOfExpectedType`, `NoFaceFound`, `MultipleFacesFound`, `LiveDetectionFailed`";
        failures.push((400, why));
    }
    if !has_body && path != "/extension/status" || path == "/extension/upload" {
        let why = "The class is outside the storage or the partition of the app, `id` or the token is of \
                   another app, the token is for another task, or no tries are left";
        failures.push((403, why));
    }
    if path == "/extension/isenrolled" {
        failures.push((404, "The class has no such template"));
    }
    if has_body {
        failures.push((408, "The body took too long to arrive"));
        failures.push((413, "The body is too large"));
    }
    if path == "/extension/upload" {
        failures.push((429, "The token has as many waiting samples as it may"));
    }
    failures
}

fn add(operation: &mut Operation, status: u16, description: &str) {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Error")));
    let response = ResponseBuilder::new()
        .description(description)
        .content("application/json", content.build());
    let header = |text: &str| HeaderBuilder::new().description(Some(text)).build();
    let response = match status {
        401 => response.header("WWW-Authenticate", header("What is wanted")),
        503 => response.header("Retry-After", header("After how many seconds to try again")),
        _ => response,
    };
    let responses = &mut operation.responses.responses;
    responses.insert(status.to_string(), response.build().into());
}

/// Whatever comes in JSON comes in XML if the client prefers it. The token, which is plain text, comes in
/// both.
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
