//! Long lists, a page at a time.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use utoipa::IntoParams;

use super::problem::{Code, Problem};
use super::query;

const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 1000;

/// Which part of a list is wanted.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "queries are read parameter by parameter; this is their description"
)]
pub(in super::super) struct PageQuery {
    /// The most entries in the answer.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<usize>,
    /// Where to go on: `next` of the page before. None begins at the start.
    cursor: Option<String>,
}

/// A part of a list that exists: so many entries, after this one.
pub(super) struct Page<T> {
    pub(super) limit: usize,
    pub(super) after: Option<T>,
}

/// What can go wrong with a page.
pub(super) const FAILURES: &[Code] = &[Code::InvalidParameter, Code::InvalidCursor];

impl<T, S> FromRequestParts<S> for Page<T>
where
    T: std::str::FromStr,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Page<T>, Problem> {
        let limit = match query::value(&parts.uri, "limit") {
            None => LIMIT_DEFAULT,
            Some(text) => {
                let limit = text.parse().ok().filter(|at| (1..=LIMIT_MAX).contains(at));
                limit.ok_or_else(|| {
                    let detail = format!("`limit` must be a whole number from 1 to {LIMIT_MAX}");
                    Problem::invalid_parameter(detail)
                })?
            }
        };
        let cursor = query::value(&parts.uri, "cursor");
        let after = cursor.as_deref().map(read).transpose()?;
        Ok(Page { limit, after })
    }
}

impl<T> Page<T> {
    /// Cuts `entries`, of which one more than wanted was looked for, to the page; returns what to ask
    /// for next, if there is more.
    pub(super) fn cut<E>(
        &self,
        entries: &mut Vec<E>,
        name: impl Fn(&E) -> String,
    ) -> Option<String> {
        if entries.len() <= self.limit {
            return None;
        }
        entries.truncate(self.limit);
        entries.last().map(|last| cursor(&name(last)))
    }
}

/// What to ask for next, after an entry of this name.
pub(super) fn cursor(name: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(name)
}

fn read<T: std::str::FromStr>(cursor: &str) -> Result<T, Problem> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    let after = text.and_then(|text| text.parse().ok());
    after.ok_or_else(|| {
        let detail = "the cursor is not the `next` of another page of this list";
        Problem::new(Code::InvalidCursor, detail)
    })
}
