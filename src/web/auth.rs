//! Who sends a request.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_PAD_INDIFFERENT;
use uuid::Uuid;

use super::audited;
use super::error::Error;
use super::logins::{Shown, Try};
use super::notes::{self, Notes};
use super::parameters::Parameters;
use super::room::Sender;
use super::state::AppState;
use crate::access::{App, AppId, Claims, Task, TokenError};
use crate::audit::Actor;
use crate::turns::Account;
use crate::types::Bcid;

/// An app that has proved itself with its secret.
pub(super) struct Client(pub(super) App, pub(super) Actor);

/// A device that has shown a valid token.
pub(super) struct Caller(pub(super) Claims, pub(super) Actor);

/// Somebody who may read the result of a token: the app that it was issued to, or who holds it.
pub(super) struct Reader(pub(super) Uuid);

impl Client {
    /// What its work is charged to.
    pub(super) fn account(&self) -> Account {
        account(&self.0.id)
    }

    /// Fails unless the app may use the class.
    pub(super) fn may_use(&self, bcid: &Bcid) -> Result<(), Error> {
        if self.0.permits(&bcid.partition) {
            return Ok(());
        }
        Err(Error::forbidden(format!(
            "the app may not use the class `{bcid}`"
        )))
    }
}

impl Caller {
    /// What the work of the app is charged to.
    pub(super) fn account(&self) -> Account {
        account(&self.0.app)
    }

    /// Fails unless the token is for `task`.
    pub(super) fn may(&self, task: Task) -> Result<(), Error> {
        if self.0.task == task {
            return Ok(());
        }
        Err(Error::forbidden(format!(
            "the token is for the task `{}`, not `{task}`",
            self.0.task
        )))
    }
}

impl FromRequestParts<AppState> for Client {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Client, Error> {
        let encoded = credentials(&parts.headers, &["Basic"]).ok_or_else(|| {
            Error::basic_needed("expected the header `Authorization: Basic` with App-ID and secret")
        })?;
        let (id, secret) = pair(encoded).ok_or_else(|| {
            Error::basic_needed("the Basic credentials are not `App-ID:secret` in base64")
        })?;
        let tried = state
            .gate()
            .admit(&parts.extensions, Shown::App(&id))
            .await?;
        let Some(app) = state.apps().authenticate(&id, &secret)? else {
            tried.failed().await?;
            return Err(Error::basic_needed("the App-ID or the secret is wrong"));
        };
        tried.succeeded();
        parts.extensions.insert(Sender::App(app.id.clone()));
        let caller = notes::Caller::App(app.id.clone());
        let actor = audited::actor(&parts.extensions, &caller);
        Notes::caller(&parts.extensions, caller);
        Ok(Client(app, actor))
    }
}

impl FromRequestParts<AppState> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Caller, Error> {
        let token = credentials(&parts.headers, &["Bearer", "JWT"])
            .and_then(|token| str::from_utf8(token).ok())
            .ok_or_else(|| {
                Error::token_needed("expected the header `Authorization: Bearer` with a BWS token")
            })?;
        let tried = state.gate().admit(&parts.extensions, Shown::Token).await?;
        let claims = state
            .tokens()
            .check(token, state.apps(), state.clock().now());
        let claims = judged(tried, claims).await?;
        let sender = Sender::Token(claims.app.clone(), claims.id);
        parts.extensions.insert(sender);
        let caller = notes::Caller::App(claims.app.clone());
        let actor = audited::actor(&parts.extensions, &caller);
        Notes::caller(&parts.extensions, caller);
        Ok(Caller(claims, actor))
    }
}

impl FromRequestParts<AppState> for Reader {
    type Rejection = Error;

    /// An app names the token in the parameter `access_token`; old clients send the token alone, as
    /// if to use it. Either way the token may have expired.
    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Reader, Error> {
        let now = state.clock().now();
        let parameters = Parameters::of(&parts.uri);
        if let Some(token) = credentials(&parts.headers, &["Bearer", "JWT"]) {
            let token = str::from_utf8(token).unwrap_or_default();
            let tried = state.gate().admit(&parts.extensions, Shown::Token).await?;
            let claims = judged(tried, state.tokens().read(token, now)).await?;
            if state.apps().find(&claims.app)?.is_none() {
                return Err(TokenError::NoSuchApp.into());
            }
            Notes::caller(&parts.extensions, notes::Caller::App(claims.app.clone()));
            return Ok(Reader(claims.id));
        }
        let client = Client::from_request_parts(parts, state).await?;
        let token = parameters
            .text("access_token")
            .ok_or_else(|| Error::bad_request("the parameter `access_token` is missing"))?;
        let claims = state.tokens().read(token, now).map_err(|error| {
            // The credentials of the app are right: what is wrong is a parameter.
            Error::bad_request(format!(
                "the parameter `access_token` is of no use: {error}"
            ))
        })?;
        if claims.app == client.0.id {
            return Ok(Reader(claims.id));
        }
        Err(Error::forbidden(
            "the token was issued to another app than the caller",
        ))
    }
}

/// Tells what came of a try with a token. One that is over was ours once.
async fn judged(tried: Try<'_>, claims: Result<Claims, TokenError>) -> Result<Claims, Error> {
    match &claims {
        Ok(_) => tried.succeeded(),
        Err(TokenError::Malformed | TokenError::Signature | TokenError::Foreign) => {
            tried.failed().await?;
        }
        Err(_) => {}
    }
    Ok(claims?)
}

/// What the work of an app is charged to.
pub(super) fn account(app: &AppId) -> Account {
    Account::new(format_args!("app {app}"))
}

/// What follows one of the `schemes`, written in any letter case, in the header `Authorization`.
pub(super) fn credentials<'a>(headers: &'a HeaderMap, schemes: &[&str]) -> Option<&'a [u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes().trim_ascii();
    let end = value.iter().position(u8::is_ascii_whitespace)?;
    let (scheme, rest) = value.split_at(end);
    let known = schemes
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known.as_bytes()));
    known.then(|| rest.trim_ascii())
}

/// The two texts in Basic credentials, which clients encode as UTF-8, ISO-8859-1 or ASCII.
fn pair(encoded: &[u8]) -> Option<(String, String)> {
    let bytes = STANDARD_PAD_INDIFFERENT.decode(encoded).ok()?;
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        // The first 256 characters of Unicode are those of ISO-8859-1.
        Err(not_utf8) => not_utf8
            .as_bytes()
            .iter()
            .copied()
            .map(char::from)
            .collect(),
    };
    let (id, secret) = text.split_once(':')?;
    Some((id.to_owned(), secret.to_owned()))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn found<'a>(headers: &'a HeaderMap, schemes: &[&str]) -> Option<&'a str> {
        credentials(headers, schemes).map(|rest| str::from_utf8(rest).unwrap())
    }

    #[test]
    fn schemes_have_no_letter_case() {
        for (value, expected) in [
            ("Bearer abc", Some("abc")),
            ("bearer abc", Some("abc")),
            ("JWT  abc ", Some("abc")),
            ("jwt abc", Some("abc")),
            ("Basic abc", None),
            ("Bearer", None),
            ("Bearerabc", None),
            ("abc", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_static(value));
            assert_eq!(found(&headers, &["Bearer", "JWT"]), expected, "{value}");
        }
        assert_eq!(found(&HeaderMap::new(), &["Basic"]), None);
    }

    #[test]
    fn basic_pairs_may_be_latin_1_and_secrets_may_have_colons() {
        let both = |id: &str, secret: &str| Some((id.to_owned(), secret.to_owned()));
        assert_eq!(pair(b"YTpiOmM="), both("a", "b:c"));
        assert_eq!(pair(b"YTpiOmM"), both("a", "b:c"), "padding is not needed");
        let utf8 = STANDARD_PAD_INDIFFERENT.encode("a:\u{fc}");
        let latin1 = STANDARD_PAD_INDIFFERENT.encode(b"a:\xfc");
        assert_eq!(pair(utf8.as_bytes()), both("a", "\u{fc}"));
        assert_eq!(pair(latin1.as_bytes()), both("a", "\u{fc}"));
        assert_eq!(pair(b"YWJj"), None, "no colon");
        assert_eq!(pair(b"!!"), None);
        assert_eq!(pair(b""), None);
    }
}
