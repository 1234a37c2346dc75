//! Bodies of JSON, and what is wrong with them: by the name of the member, and without its value.
//!
//! The values of a body are pictures and templates, so nothing of them is said again: a member is
//! named by its path, such as `embeddings[2][17]`, with what it must be and what kind of thing came.

use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::error::Category;
use serde_json::{Map, Value};
use serde_path_to_error::Path;

use super::problem::Problem;

/// The longest part of a name, or of what a reader says, that is passed on.
const SHOWN_CHARACTERS_MAX: usize = 200;

/// Reads an object.
pub(super) fn object<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    match body.trim_ascii_start() {
        [] => Err(Problem::malformed(
            "the body is empty, and must be an object",
        )),
        [b'{', ..] => {
            // Only a wrong body is read again, with an eye on where in it we are.
            serde_json::from_slice(body).map_err(|_error| fault::<T>(body))
        }
        _ => Err(no_object(body)),
    }
}

/// Reads the fields of a form.
pub(super) fn fields<T: DeserializeOwned>(fields: Map<String, Value>) -> Result<T, Problem> {
    let read = serde_path_to_error::deserialize(Value::Object(fields));
    read.map_err(|error| misfit(error.path(), error.inner()))
}

/// The beginning of a name, which somebody else chose.
pub(super) fn shown(name: &str) -> String {
    name.chars().take(SHOWN_CHARACTERS_MAX).collect()
}

fn no_object(body: &[u8]) -> Problem {
    match serde_json::from_slice::<IgnoredAny>(body) {
        Err(error) => no_json(&error, ""),
        Ok(IgnoredAny) if body.trim_ascii() == b"null" => {
            Problem::malformed("the body is missing: it is null")
        }
        Ok(IgnoredAny) => Problem::malformed("the body must be an object"),
    }
}

/// What is wrong with a body that cannot be read as a `T`.
fn fault<T: DeserializeOwned>(body: &[u8]) -> Problem {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let read = serde_path_to_error::deserialize::<_, T>(&mut reader);
    let error = match read {
        Err(error) => error,
        Ok(_) => {
            // The object is right, so what follows it is not.
            let more = reader.end().err();
            return more.map_or_else(
                || Problem::malformed("the body is not JSON"),
                |error| no_json(&error, ", behind the object"),
            );
        }
    };
    match error.inner().classify() {
        Category::Data => misfit(error.path(), error.inner()),
        _ => {
            let path = path_of(error.path());
            let place = path
                .map(|path| format!(", in `{path}`"))
                .unwrap_or_default();
            no_json(error.inner(), &place)
        }
    }
}

fn no_json(error: &serde_json::Error, place: &str) -> Problem {
    let what = match error.classify() {
        Category::Eof => "breaks off",
        _ if error.to_string().starts_with("number out of range") => "has a number out of range",
        _ => "is not JSON",
    };
    let (line, column) = (error.line(), error.column());
    let detail = format!("the body {what} at line {line}, column {column}{place}");
    Problem::malformed(detail)
}

/// What is wrong with a member that is JSON but not what is documented.
fn misfit(path: &Path, error: &serde_json::Error) -> Problem {
    let text = error.to_string();
    let text = text
        .rsplit_once(" at line ")
        .map_or(&text[..], |(text, _)| text);
    // These say names alone.
    let safe = ["unknown field", "missing field", "duplicate field"];
    if safe.iter().any(|safe| text.starts_with(safe)) {
        return Problem::malformed(shown(text));
    }
    let name = match path_of(path) {
        Some(path) => format!("`{path}`"),
        None => "the body".to_owned(),
    };
    if text.starts_with("invalid type: null") || text.starts_with("invalid type: unit") {
        return Problem::malformed(format!("{name} is missing: it is null"));
    }
    // What came may be anything, and is before what was expected, which are words of ours.
    let expected = text
        .rsplit_once(", expected ")
        .map(|(_, expected)| expected);
    let Some(expected) = expected else {
        return Problem::malformed(format!("{name} does not have the documented form"));
    };
    let found = found(text).map(|found| format!(", and is {found}"));
    let (expected, found) = (in_words(expected), found.unwrap_or_default());
    Problem::malformed(format!("{name} must be {expected}{found}"))
}

/// Where in a body something is; `None` if it is the body itself.
fn path_of(path: &Path) -> Option<String> {
    let is_inside = path.iter().next().is_some();
    is_inside.then(|| shown(&path.to_string()))
}

/// The kind of thing that came, in the words of JSON, without what it was.
fn found(text: &str) -> Option<&'static str> {
    let kind = text.strip_prefix("invalid type: ")?;
    let kinds = [
        ("boolean", "`true` or `false`"),
        ("integer", "a whole number"),
        ("floating point", "a number with a fraction"),
        ("string", "a text"),
        ("sequence", "a list"),
        ("map", "an object"),
    ];
    let found = kinds.iter().find(|(word, _)| kind.starts_with(word))?;
    Some(found.1)
}

/// What a reader expected, in the words of JSON.
fn in_words(expected: &str) -> &str {
    match expected {
        "f32" | "f64" => "a number",
        "usize" => "a whole number from 0 on",
        "a string" => "a text",
        "a boolean" => "`true` or `false`",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use serde::Deserialize;

    use super::super::listed::Listed;
    use super::*;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only what cannot be read matters here")]
    struct Call {
        lists: Option<Listed<Listed<f32, 4>, 4>>,
        texts: Option<Listed<String, 4>>,
        kind: Option<Kind>,
        limit: Option<usize>,
        replace: Option<bool>,
        name: String,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        One,
        Other,
    }

    /// Somebody is at least as similar as was answered: whoever asks again with that as the threshold finds
    /// the same people.
    #[test]
    fn a_similarity_that_was_answered_is_read_as_the_same_number() {
        let mut similarity = 0.1_f64;
        for _ in 0..10_000 {
            let told = serde_json::to_string(&similarity).unwrap();
            let read: f64 = serde_json::from_str(&told).unwrap();
            assert_eq!(read.to_bits(), similarity.to_bits(), "{told}");
            similarity = (similarity * 3.999).mul_add(-similarity, similarity * 3.999);
        }
    }

    fn detail(problem: Problem) -> String {
        let answer = problem.into_response();
        assert_eq!(answer.status(), 400);
        let body = axum::body::to_bytes(answer.into_body(), 10_000);
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let body = runtime.unwrap().block_on(body).unwrap();
        let problem: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(problem["code"], "malformed_body");
        problem["detail"].as_str().unwrap().to_owned()
    }

    fn refused(body: &str) -> String {
        detail(object::<Call>(body.as_bytes()).err().unwrap())
    }

    #[test]
    fn null_is_as_good_as_nothing_where_nothing_will_do() {
        let body = r#"{"lists":null,"texts":null,"kind":null,"limit":null,"name":"n"}"#;
        for body in [body, r#"{"name":"n"}"#, "\u{feff} {\"name\":\"n\"}\n"] {
            let call: Call = object(body.as_bytes()).ok().unwrap();
            assert!(call.lists.is_none() && call.limit.is_none(), "{body}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_and_never_shown() {
        for (body, expected) in [
            ("", "the body is empty, and must be an object"),
            (" \n", "the body is empty, and must be an object"),
            ("null", "the body is missing: it is null"),
            ("[null]", "the body must be an object"),
            ("\"secret\"", "the body must be an object"),
            ("secret", "the body is not JSON at line 1, column 1"),
            ("{", "the body breaks off at line 1, column 1"),
            ("{}", "missing field `name`"),
            (r#"{"name":null}"#, "`name` is missing: it is null"),
            (
                r#"{"name":7}"#,
                "`name` must be a text, and is a whole number",
            ),
            (r#"{"name":{}}"#, "`name` must be a text, and is an object"),
            (r#"{"nane":7}"#, "unknown field `nane`, expected one of"),
            (r#"{"limit":1,"limit":2}"#, "duplicate field `limit`"),
            (
                r#"{"limit":-1}"#,
                "`limit` must be a whole number from 0 on",
            ),
            (r#"{"limit":1.5}"#, "and is a number with a fraction"),
            (
                r#"{"limit":"secret"}"#,
                "`limit` must be a whole number from 0 on, and is a text",
            ),
            (
                r#"{"limit":"secret, expected secret at line secret"}"#,
                "`limit` must be a whole number from 0 on, and is a text",
            ),
            (
                r#"{"replace":"secret"}"#,
                "`replace` must be `true` or `false`, and is a text",
            ),
            (r#"{"kind":"secret"}"#, "`kind` must be `one` or `other`"),
            (
                r#"{"lists":7}"#,
                "`lists` must be a list, and is a whole number",
            ),
            (
                r#"{"lists":[[1],[1,2,"secret"]]}"#,
                "`lists[1][2]` must be a number, and is a text",
            ),
            (
                r#"{"lists":[[1],[1,null]]}"#,
                "`lists[1][1]` is missing: it is null",
            ),
            (
                r#"{"lists":[[1],null]}"#,
                "`lists[1]` is missing: it is null",
            ),
            (
                r#"{"texts":["a",true]}"#,
                "`texts[1]` must be a text, and is `true` or `false`",
            ),
            (
                r#"{"lists":[[1,NaN]]}"#,
                "the body is not JSON at line 1, column 14, in `lists[0][1]`",
            ),
            (
                r#"{"lists":[[1e999]]}"#,
                "has a number out of range at line 1, column 16, in `lists[0][0]`",
            ),
            (
                r#"{"texts":["secret"#,
                "the body breaks off at line 1, column 17, in `texts[0]`",
            ),
            (
                r#"{"name":"n"} secret"#,
                "the body is not JSON at line 1, column 14, behind the object",
            ),
        ] {
            let found = refused(body);
            assert!(found.contains(expected), "{body}: {found}");
            assert!(!found.contains("secret"), "{body}: {found}");
        }
        let long = format!(r#"{{"{}":1}}"#, "x".repeat(100_000));
        assert!(refused(&long).len() < 300);
        let deep = format!(r#"{{"lists":{}"#, "[".repeat(100_000));
        assert!(refused(&deep).len() < 1000);
    }

    #[test]
    fn fields_of_a_form_are_named_likewise() {
        for (name, value, expected) in [
            (
                "limit",
                Value::from("secret"),
                "`limit` must be a whole number from 0 on, and is a text",
            ),
            (
                "limit",
                Value::from(-1),
                "`limit` must be a whole number from 0 on",
            ),
            ("other", Value::Null, "unknown field `other`"),
            ("name", Value::Null, "`name` is missing: it is null"),
            (
                "kind",
                Value::from("secret"),
                "`kind` must be `one` or `other`",
            ),
        ] {
            let found = fields::<Call>([(name.to_owned(), value)].into_iter().collect());
            let found = detail(found.err().unwrap());
            assert!(found.contains(expected), "{name}: {found}");
            assert!(!found.contains("secret"), "{found}");
        }
    }
}
