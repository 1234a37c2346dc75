//! What can go wrong with each call, for the description of the API.

use std::collections::BTreeMap;

use utoipa::Modify;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{HttpMethod, Operation};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, Response, ResponseBuilder};

use super::problem::{Code, ProblemDetails};

/// Adds the failures of each call to its answers. Which there are follows from what the call takes, so
/// that no call need list them.
pub(super) struct Failures;

impl Modify for Failures {
    fn modify(&self, document: &mut OpenApi) {
        for (path, item) in &mut document.paths.paths {
            for (method, operation) in [
                (HttpMethod::Get, &mut item.get),
                (HttpMethod::Post, &mut item.post),
                (HttpMethod::Delete, &mut item.delete),
            ] {
                if let Some(operation) = operation {
                    describe(operation, &codes(path, &method, operation));
                }
            }
        }
    }
}

fn codes(path: &str, method: &HttpMethod, operation: &Operation) -> Vec<Code> {
    if path == "/v1/problems" {
        return Vec::new();
    }
    let mut codes = vec![
        Code::KeyMissing,
        Code::KeyInvalid,
        Code::KeyExpired,
        Code::Internal,
        Code::Busy,
    ];
    if path == "/v1/status" {
        return codes;
    }
    codes.push(Code::ScopeMissing);
    let of_partition = path.contains("{partition}");
    if of_partition {
        codes.extend([Code::InvalidParameter, Code::PartitionNotAllowed]);
    }
    if operation
        .parameters
        .as_ref()
        .is_some_and(|list| list.len() > usize::from(of_partition))
    {
        codes.push(Code::InvalidParameter);
    }
    if matches!(
        path,
        "/v1/partitions" | "/v1/partitions/{partition}/classes"
    ) {
        codes.push(Code::InvalidCursor);
    }
    if path.ends_with("/verify") {
        codes.push(Code::ThresholdUnknown);
    }
    if operation.request_body.is_some() {
        codes.extend([
            Code::MalformedBody,
            Code::NoSamples,
            Code::TooManySamples,
            Code::BodyTimeout,
            Code::EncoderMismatch,
            Code::BodyTooLarge,
            Code::UnsupportedMediaType,
            Code::InvalidBase64,
            Code::InvalidPicture,
            Code::NoFaceFound,
            Code::MultipleFacesFound,
            Code::InvalidEmbedding,
            Code::ContradictingSamples,
            Code::NotLive,
        ]);
    }
    match (path, method) {
        (_, HttpMethod::Delete) => {}
        ("/v1/snapshots", HttpMethod::Post) => {
            codes.extend([Code::SnapshotsNotConfigured, Code::SnapshotRunning]);
        }
        ("/v1/snapshots", _) => codes.push(Code::SnapshotsNotConfigured),
        ("/v1/partitions", _) => {}
        (path, _) if path.ends_with("/{class}") || path.ends_with("/verify") => {
            codes.push(Code::ClassNotFound);
        }
        (path, _) if path.ends_with("/enroll") => {}
        _ => codes.push(Code::PartitionNotFound),
    }
    codes
}

fn describe(operation: &mut Operation, codes: &[Code]) {
    let mut by_status: BTreeMap<u16, Vec<ProblemDetails>> = BTreeMap::new();
    for code in codes {
        let details = ProblemDetails::of(*code);
        let known = by_status.entry(details.status).or_default();
        if known.iter().all(|known| known.code != *code) {
            known.push(details);
        }
    }
    for (status, problems) in by_status {
        let response = response(status, &problems);
        let responses = &mut operation.responses.responses;
        responses.insert(status.to_string(), response.into());
    }
}

fn response(status: u16, problems: &[ProblemDetails]) -> Response {
    let lines = problems.iter().map(|problem| {
        let word = problem.kind.rsplit('#').next().unwrap_or_default();
        format!("* `{word}`: {}", problem.title)
    });
    let lines: Vec<String> = lines.collect();
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem")));
    let response = ResponseBuilder::new()
        .description(lines.join("\n"))
        .content("application/problem+json", content.build());
    let header = |text: &str| HeaderBuilder::new().description(Some(text)).build();
    match status {
        401 | 403 => response.header("WWW-Authenticate", header("What is wanted, RFC 6750")),
        503 => response.header("Retry-After", header("After how many seconds to try again")),
        _ => response,
    }
    .build()
}
