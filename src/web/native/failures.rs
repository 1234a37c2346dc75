//! What can go wrong with each call, for the description of the API.
//!
//! A handler lists the codes beside itself. What it reads from a request has lists of its own: a
//! key, a path, a page, samples.

use std::collections::BTreeMap;

use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{ContentBuilder, Ref, Response, ResponseBuilder};

use super::super::endpoint::{Endpoint, Routed};
use super::problem::{Code, ProblemDetails};

/// What can go wrong with every call that does something.
pub(super) const OURS: &[Code] = &[Code::ShareExceeded, Code::Internal, Code::Busy];

/// What can go wrong besides where something is kept.
pub(super) const OF_CHANGES: &[Code] = &[Code::StorageFull];

/// What the door refuses before any endpoint: a query that is not taken.
const OF_EVERY_CALL: &[Code] = &[Code::InvalidParameter];

/// A handler with what can go wrong with it. The description lists the codes of a status as they
/// come here.
pub(super) fn endpoint(routed: Routed, failures: &[&[Code]]) -> Endpoint {
    Endpoint::new(routed, |operation| {
        let all = [OF_EVERY_CALL].into_iter().chain(failures.iter().copied());
        describe(operation, all);
    })
}

fn describe<'a>(operation: &mut Operation, failures: impl Iterator<Item = &'a [Code]>) {
    let mut by_status: BTreeMap<u16, Vec<ProblemDetails>> = BTreeMap::new();
    for code in failures.flatten() {
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
        415 => response.header(
            "Accept-Encoding",
            header("How a body may be packed, if that is it"),
        ),
        429 | 503 => response.header("Retry-After", header("After how many seconds to try again")),
        _ => response,
    }
    .build()
}
