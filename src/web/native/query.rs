//! The parameters behind the `?` of a call: those of its description, each at most once but for
//! labels.
//!
//! A parameter that is passed over is a wish that is not granted without a word: who writes
//! `?threshold=0.6` believes in a threshold. So the door puts [`strict`] before every endpoint, and
//! what a call takes is read from its description, which cannot be forgotten.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::Request;
use axum::http::{Method, Uri};
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;
use percent_encoding::percent_decode_str;
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::{RefOr, Schema};

use super::super::endpoint::{Routed, operations};
use super::problem::Problem;

/// The longest part of a name that is said again.
const NAME_CHARACTERS_MAX: usize = 60;
/// Names that are as alike as this are taken for slips of each other.
const LIKENESS_MIN: f64 = 0.85;
/// Parameters that may be there several times.
const REPEATED: [&str; 1] = ["labels"];
/// What other services call a key in a query.
const KEY_NAMES: [&str; 5] = ["access_token", "api_key", "apikey", "authorization", "key"];

/// Puts before an endpoint that a query is refused unless all of it is taken.
pub(super) fn strict((schemas, mut paths, methods): Routed) -> Routed {
    let calls = paths.paths.values_mut().flat_map(operations);
    let calls: Arc<[(Method, Known)]> = calls
        .map(|(method, operation)| (method, Known::of(operation, &schemas)))
        .collect();
    let check = move |request: Request, next: Next| {
        let calls = calls.clone();
        async move {
            match refusal(&calls, request.method(), request.uri()) {
                Some(problem) => problem.into_response(),
                None => next.run(request).await,
            }
        }
    };
    (schemas, paths, methods.route_layer(from_fn(check)))
}

fn refusal(calls: &[(Method, Known)], method: &Method, uri: &Uri) -> Option<Problem> {
    let query = uri.query().unwrap_or_default();
    // HEAD is answered as GET is.
    let method = match *method {
        Method::HEAD => &Method::GET,
        _ => method,
    };
    let (_, known) = calls.iter().find(|(own, _)| own == method)?;
    known.check(query).err()
}

/// What a call takes, by the place where it belongs.
#[derive(Debug, Default)]
struct Known {
    query: Vec<String>,
    path: Vec<String>,
    /// Members of the JSON and fields of the form.
    body: BTreeSet<String>,
}

impl Known {
    fn of(operation: &Operation, schemas: &[(String, RefOr<Schema>)]) -> Known {
        let mut known = Known::default();
        for parameter in operation.parameters.iter().flatten() {
            let RefOr::T(parameter) = parameter else {
                continue;
            };
            match parameter.parameter_in {
                ParameterIn::Query => known.query.push(parameter.name.clone()),
                ParameterIn::Path => known.path.push(parameter.name.clone()),
                _ => {}
            }
        }
        if let Some(RefOr::T(body)) = &operation.request_body {
            for content in body.content.values() {
                if let RefOr::T(content) = content {
                    known.body.extend(members(content.schema.as_ref(), schemas));
                }
            }
        }
        known
    }

    fn check(&self, query: &str) -> Result<(), Problem> {
        let mut seen: Vec<String> = Vec::new();
        for pair in pairs(query) {
            let (name, value) = pair;
            let Some(name) = decoded(name) else {
                return Err(undecodable(name));
            };
            if !self.query.contains(&name) {
                return Err(Problem::invalid_parameter(self.unknown(&name)));
            }
            if decoded(value).is_none() {
                return Err(undecodable(&name));
            }
            if seen.contains(&name) && !REPEATED.contains(&&*name) {
                let detail = format!("`{name}` is in the query twice");
                return Err(Problem::invalid_parameter(detail));
            }
            seen.push(name);
        }
        Ok(())
    }

    /// Why a name is refused, and what the right one or its place is.
    fn unknown(&self, name: &str) -> String {
        let shown = shown(name);
        if self.body.contains(name) {
            return format!("`{shown}` belongs into the body, not into the query");
        }
        if self.path.iter().any(|known| known == name) {
            return format!("`{shown}` belongs into the path, not into the query");
        }
        if KEY_NAMES.contains(&name.to_ascii_lowercase().as_str()) {
            return format!("`{shown}`: a key belongs into the header `Authorization: Bearer`");
        }
        let known = match &self.query[..] {
            [] => "whose query has none".to_owned(),
            names => {
                let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
                format!("whose query may have {}", names.join(" and "))
            }
        };
        let meant = self.body.iter().find(|other| is_slip(name, other));
        let meant = meant.map(|other| format!("; `{other}` belongs into the body"));
        let meant = meant.unwrap_or_default();
        format!("`{shown}` is no parameter of this call, {known}{meant}")
    }
}

fn is_slip(name: &str, other: &str) -> bool {
    let name: String = name.chars().take(NAME_CHARACTERS_MAX).collect();
    strsim::jaro_winkler(&name.to_ascii_lowercase(), other) >= LIKENESS_MIN
}

/// The names of what a schema has.
fn members<'a>(
    schema: Option<&'a RefOr<Schema>>,
    schemas: &'a [(String, RefOr<Schema>)],
) -> impl Iterator<Item = String> + 'a {
    let schema = match schema {
        Some(RefOr::Ref(reference)) => {
            let name = reference.ref_location.rsplit('/').next();
            let mut all = schemas.iter();
            all.find(|(own, _)| Some(own.as_str()) == name)
                .map(|(_, schema)| schema)
        }
        schema => schema,
    };
    let object = match schema {
        Some(RefOr::T(Schema::Object(object))) => Some(object),
        _ => None,
    };
    object
        .into_iter()
        .flat_map(|object| object.properties.keys().cloned())
}

fn undecodable(name: &str) -> Problem {
    let detail = format!(
        "`{}` cannot be decoded: an escape is `%` and two hexadecimal digits, and a text is UTF-8",
        shown(name)
    );
    Problem::invalid_parameter(detail)
}

fn shown(name: &str) -> String {
    name.chars().take(NAME_CHARACTERS_MAX).collect()
}

/// Names and values as they were sent. `?`, `&&` and the like are no pairs.
fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    let parts = query.split('&').filter(|part| !part.is_empty());
    parts.map(|part| part.split_once('=').unwrap_or((part, "")))
}

/// What a name or a value stands for; `None` if an escape is none, or is of no UTF-8.
fn decoded(text: &str) -> Option<String> {
    let is_digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    let mut escapes = text.as_bytes().split(|&byte| byte == b'%').skip(1);
    if !escapes.all(|rest| is_digit(rest.first()) && is_digit(rest.get(1))) {
        return None;
    }
    let text = text.replace('+', " ");
    let text = percent_decode_str(&text).decode_utf8().ok()?;
    Some(text.into_owned())
}

/// The value of a parameter of a query that was checked.
pub(super) fn value(uri: &Uri, name: &str) -> Option<String> {
    let mut pairs = pairs(uri.query().unwrap_or_default());
    let (_, value) = pairs.find(|(found, _)| decoded(found).as_deref() == Some(name))?;
    decoded(value)
}

/// All values of a parameter of a query that was checked.
pub(super) fn values(uri: &Uri, name: &str) -> Vec<String> {
    let pairs = pairs(uri.query().unwrap_or_default());
    let own = pairs.filter(|(found, _)| decoded(found).as_deref() == Some(name));
    own.filter_map(|(_, value)| decoded(value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(query: &str) -> Option<String> {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let known = Known {
            query: names(&["limit", "cursor"]),
            path: names(&["partition"]),
            body: ["threshold".to_owned(), "pictures".to_owned()].into(),
        };
        let answer = known.check(query).err()?.into_response();
        assert_eq!(answer.status(), 400);
        let body = axum::body::to_bytes(answer.into_body(), 10_000);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let body = runtime.block_on(body).unwrap();
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(problem["code"], "invalid_parameter");
        Some(problem["detail"].as_str().unwrap().to_owned())
    }

    #[test]
    fn what_a_call_takes_is_taken_however_it_is_written() {
        for query in [
            "",
            "&",
            "limit=1",
            "limit",
            "limit=",
            "&limit=1&&cursor=a%20b+c&",
            "%6cimit=%31",
            "cursor=%C3%BC=",
        ] {
            assert_eq!(refused(query), None, "{query}");
        }
        let uri: Uri = "/?%6cimit=%31&cursor=a+b%2B".parse().unwrap();
        assert_eq!(value(&uri, "limit").as_deref(), Some("1"));
        assert_eq!(value(&uri, "cursor").as_deref(), Some("a b+"));
        assert_eq!(value(&uri, "other"), None);
    }

    #[test]
    fn all_else_is_refused_by_name_and_the_right_place_is_told() {
        for (query, words) in [
            (
                "offset=1",
                "`offset` is no parameter of this call, whose query may have `limit` and `cursor`",
            ),
            ("limit=1&_=123", "`_` is no parameter"),
            ("Limit=1", "`Limit` is no parameter"),
            ("=1", "`` is no parameter"),
            ("limit[]=1", "`limit[]` is no parameter"),
            ("threshold=2", "`threshold` belongs into the body"),
            ("thres%68old", "`threshold` belongs into the body"),
            ("treshold=0.9", "`threshold` belongs into the body"),
            ("picture=x", "`pictures` belongs into the body"),
            ("partition=bws.1", "`partition` belongs into the path"),
            (
                "API_KEY=vk_secret",
                "`API_KEY`: a key belongs into the header",
            ),
            ("limit=1&limit=1", "`limit` is in the query twice"),
            ("limit=1&lim%69t=2", "`limit` is in the query twice"),
            ("limit=%zz", "`limit` cannot be decoded"),
            ("limit=%", "`limit` cannot be decoded"),
            ("cursor=%f", "`cursor` cannot be decoded"),
            ("cursor=%ff", "`cursor` cannot be decoded"),
            ("%ff=1", "`%ff` cannot be decoded"),
            ("%=1", "`%` cannot be decoded"),
        ] {
            let detail = refused(query).unwrap_or_else(|| panic!("{query} was taken"));
            assert!(detail.contains(words), "{query}: {detail}");
            assert!(!detail.contains("secret"), "{detail}");
        }
        let long = "x".repeat(10_000);
        assert!(refused(&long).unwrap().len() < 300);
    }
}
