//! The one door by which failures leave.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::audited::Unaccounted;
use super::budgets::BudgetSpent;
use super::connections::HeadFault;
use super::lanes::{Busy, Unidentified};
use super::notes::RefusedFor;
use super::receive::{self, BodyFault};
use super::render;
use crate::access::{AppError, AttemptError, TokenError, TooManyFailed};
use crate::engine::{EngineError, Fault};
use crate::intake::{Cause as IntakeCause, IntakeError};
use crate::partition::{StoreError, is_no_room};
use crate::samples::SampleError;
use crate::types::ParseBcidError;

const BASIC: HeaderValue = HeaderValue::from_static(r#"Basic realm="Vultus", charset="UTF-8""#);
const BEARER: HeaderValue = HeaderValue::from_static(r#"Bearer realm="Vultus""#);
const INTERNAL_TEXT: &str = "the server failed; its log says why";
pub(super) const NO_ROOM_TEXT: &str =
    "the disk of the server is full; try again when its operator has made room";
const BUSY_TEXT: &str = "the server is too busy; try again in a moment";

/// An answer other than 200: a status and a `Message` that names the cause.
#[derive(Debug)]
pub(super) struct Error {
    status: StatusCode,
    message: Cow<'static, str>,
    /// What it is counted as, where the status does not tell.
    cause: Option<&'static str>,
    /// A header that belongs to the status.
    header: Option<(header::HeaderName, HeaderValue)>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Error)]
#[serde(rename = "Error", rename_all = "PascalCase")]
pub(super) struct Body {
    /// The cause.
    message: Cow<'static, str>,
}

impl Error {
    pub(super) fn new(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Error {
        Error {
            status,
            message: message.into(),
            cause: None,
            header: None,
        }
    }

    /// The request cannot be understood.
    pub(super) fn bad_request(message: impl Into<Cow<'static, str>>) -> Error {
        Error::new(StatusCode::BAD_REQUEST, message)
    }

    /// No app has proved itself.
    pub(super) fn basic_needed(message: impl Into<Cow<'static, str>>) -> Error {
        Error::new(StatusCode::UNAUTHORIZED, message).with(header::WWW_AUTHENTICATE, BASIC)
    }

    /// There is no valid token.
    pub(super) fn token_needed(message: impl Into<Cow<'static, str>>) -> Error {
        Error::new(StatusCode::UNAUTHORIZED, message).with(header::WWW_AUTHENTICATE, BEARER)
    }

    /// The caller is known and may not do this.
    pub(super) fn forbidden(message: impl Into<Cow<'static, str>>) -> Error {
        Error::new(StatusCode::FORBIDDEN, message)
    }

    /// The path has other methods. The router says which, in the header `Allow`.
    pub(super) fn wrong_method() -> Error {
        Error::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "this path does not have that method",
        )
    }

    /// The path has the method GET alone.
    pub(super) fn only_get() -> Error {
        Error::wrong_method().with(header::ALLOW, HeaderValue::from_static("GET"))
    }

    /// Our fault. The cause is logged; the caller learns only that there was one, or that the disk is
    /// full.
    pub(super) fn internal(doing: &'static str, cause: &(dyn StdError + 'static)) -> Error {
        tracing::error!(error = %Chain(cause), "failed {doing}");
        if is_no_room(cause) {
            return Error::new(StatusCode::INSUFFICIENT_STORAGE, NO_ROOM_TEXT);
        }
        Error::new(StatusCode::INTERNAL_SERVER_ERROR, INTERNAL_TEXT)
    }

    /// A panic was caught. The panic hook has logged where.
    pub(super) fn panicked() -> Error {
        tracing::error!("a request handler panicked");
        Error::new(StatusCode::INTERNAL_SERVER_ERROR, INTERNAL_TEXT)
    }

    /// The server is too busy.
    pub(super) fn busy() -> Error {
        Error::try_again(StatusCode::SERVICE_UNAVAILABLE, BUSY_TEXT)
    }

    fn try_again(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Error {
        Error::new(status, message).with(header::RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// The same, counted as this.
    fn counted(self, cause: &'static str) -> Error {
        Error {
            cause: Some(cause),
            ..self
        }
    }

    fn with(mut self, name: header::HeaderName, value: HeaderValue) -> Error {
        self.header = Some((name, value));
        self
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let cause = self.cause.unwrap_or_else(|| cause_of(self.status));
        let body = Body {
            message: self.message,
        };
        let mut response = render::answer(self.status, body);
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, value);
        }
        response.extensions_mut().insert(RefusedFor(cause));
        response
    }
}

/// What failures of a status are counted as, in the words of the native API where it has the same.
fn cause_of(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "not_authenticated",
        StatusCode::FORBIDDEN => "forbidden",
        StatusCode::NOT_FOUND => "not_found",
        StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
        StatusCode::REQUEST_TIMEOUT => "body_timeout",
        StatusCode::PAYLOAD_TOO_LARGE => "body_too_large",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported_media_type",
        StatusCode::TOO_MANY_REQUESTS => "too_many_samples",
        StatusCode::SERVICE_UNAVAILABLE => "busy",
        StatusCode::INSUFFICIENT_STORAGE => "storage_full",
        status if status.is_server_error() => "internal",
        _ => "invalid_request",
    }
}

/// The same of what a picture shows.
fn cause_in(cause: &IntakeCause) -> &'static str {
    match cause {
        IntakeCause::Picture(_) => "invalid_picture",
        IntakeCause::NoFace(_) => "no_face_found",
        IntakeCause::SeveralFaces(_) => "multiple_faces_found",
        IntakeCause::NotLive(_) => "not_live",
        IntakeCause::Contradicting => "contradicting_samples",
        IntakeCause::PoorQuality { .. } => "poor_quality",
        _ => "invalid_request",
    }
}

/// An error and all that caused it, on one line.
pub(super) struct Chain<'a>(pub(super) &'a (dyn StdError + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(cause) = next {
            write!(f, ": {cause}")?;
            next = cause.source();
        }
        Ok(())
    }
}

impl From<Unaccounted> for Error {
    fn from(error: Unaccounted) -> Error {
        Error::internal("to account for a call", &error)
    }
}

impl From<HeadFault> for Error {
    fn from(fault: HeadFault) -> Error {
        let message = fault.to_string();
        match fault {
            HeadFault::Slow => {
                Error::new(StatusCode::REQUEST_TIMEOUT, message).counted("head_timeout")
            }
            HeadFault::LongTarget => {
                Error::new(StatusCode::URI_TOO_LONG, message).counted("address_too_long")
            }
            HeadFault::TooLarge => {
                let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
                Error::new(status, message).counted("head_too_large")
            }
            HeadFault::UnknownCoding => {
                Error::new(StatusCode::NOT_IMPLEMENTED, message).counted("not_implemented")
            }
            HeadFault::NoSeat => Error::try_again(StatusCode::SERVICE_UNAVAILABLE, message),
            _ => Error::bad_request(message),
        }
    }
}

impl From<BodyFault> for Error {
    fn from(fault: BodyFault) -> Error {
        let message = fault.to_string();
        match fault {
            BodyFault::NoRoom => Error::busy(),
            BodyFault::Slow => Error::new(StatusCode::REQUEST_TIMEOUT, message),
            BodyFault::TooLarge { .. } | BodyFault::UnpackedTooLarge { .. } => {
                Error::new(StatusCode::PAYLOAD_TOO_LARGE, message)
            }
            BodyFault::Broken | BodyFault::NotGzip => Error::bad_request(message),
            BodyFault::UnknownEncoding => Error::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message)
                .with(header::ACCEPT_ENCODING, receive::ENCODINGS),
        }
    }
}

impl From<ParseBcidError> for Error {
    fn from(error: ParseBcidError) -> Error {
        Error::bad_request(format!("invalid BCID: {error}"))
    }
}

impl From<AppError> for Error {
    fn from(error: AppError) -> Error {
        Error::internal("to look up an app", &error)
    }
}

impl From<BudgetSpent> for Error {
    fn from(error: BudgetSpent) -> Error {
        let again_after = HeaderValue::from(error.again_after_seconds);
        Error::new(StatusCode::TOO_MANY_REQUESTS, error.to_string())
            .counted("budget_spent")
            .with(header::RETRY_AFTER, again_after)
    }
}

impl From<TooManyFailed> for Error {
    fn from(error: TooManyFailed) -> Error {
        let again_after = HeaderValue::from(TooManyFailed::AGAIN_AFTER_SECONDS);
        Error::new(StatusCode::TOO_MANY_REQUESTS, error.to_string())
            .counted("too_many_failed")
            .with(header::RETRY_AFTER, again_after)
    }
}

impl From<AttemptError> for Error {
    fn from(error: AttemptError) -> Error {
        match error {
            AttemptError::UsedUp { .. } => Error::forbidden(error.to_string()),
            _ => Error::internal("to count an attempt", &error),
        }
    }
}

impl From<TokenError> for Error {
    fn from(error: TokenError) -> Error {
        let message = error.to_string();
        match error {
            TokenError::NoBcid | TokenError::Tries { .. } | TokenError::Challenge(_) => {
                Error::bad_request(message)
            }
            TokenError::NotPermitted { .. } => Error::forbidden(message),
            TokenError::Apps(error) => error.into(),
            _ => Error::token_needed(message),
        }
    }
}

impl From<SampleError> for Error {
    fn from(error: SampleError) -> Error {
        let message = error.to_string();
        match error {
            SampleError::TokenFull { .. } | SampleError::TooManyRefused { .. } => {
                Error::new(StatusCode::TOO_MANY_REQUESTS, message)
            }
            SampleError::AboveShare { .. } => {
                Error::try_again(StatusCode::TOO_MANY_REQUESTS, message).counted("share_exceeded")
            }
            SampleError::Full { .. } => Error::try_again(StatusCode::SERVICE_UNAVAILABLE, message),
            SampleError::Expired => Error::token_needed(message),
        }
    }
}

impl From<EngineError> for Error {
    fn from(error: EngineError) -> Error {
        Error::from(&error)
    }
}

impl From<&EngineError> for Error {
    fn from(error: &EngineError) -> Error {
        // Neither the device that calls nor its user can do anything about the encoder that this
        // service was started with; whoever operates it should read why in the answer too.
        if let EngineError::Store(error @ StoreError::Encoder { .. }) = error {
            tracing::error!(%error, "this service runs with another encoder than it was filled with");
            return Error::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
        }
        match error.fault() {
            Fault::Caller => Error::bad_request(error.to_string()),
            Fault::Ours => Error::internal("to read or write templates", error),
        }
    }
}

impl From<IntakeError> for Error {
    fn from(error: IntakeError) -> Error {
        match error.fault() {
            Fault::Caller => {
                Error::bad_request(error.cause.to_string()).counted(cause_in(&error.cause))
            }
            Fault::Ours => Error::internal("to find a face", &error.cause),
        }
    }
}

impl From<Busy> for Error {
    /// Also for an app above its share: the classic clients know no other answer of the kind.
    fn from(busy: Busy) -> Error {
        let again_after = HeaderValue::from(busy.again_after_seconds());
        let error = Error::busy().with(header::RETRY_AFTER, again_after);
        match busy.is_above_share {
            true => error.counted("share_exceeded"),
            false => error,
        }
    }
}

impl From<Unidentified> for Error {
    fn from(error: Unidentified) -> Error {
        match error {
            Unidentified::Busy(busy) => busy.into(),
            Unidentified::Failed(error) => Error::from(&*error),
        }
    }
}
