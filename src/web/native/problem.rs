//! How failures of the native API are told: problem details, RFC 9457.

use std::borrow::Cow;
use std::error::Error as StdError;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::audited::Unaccounted;
use super::super::budgets::BudgetSpent;
use super::super::connections::HeadFault;
use super::super::error::{Chain, NO_ROOM_TEXT};
use super::super::lanes::{Busy, Unidentified};
use super::super::notes::RefusedFor;
use super::super::receive::{self, BodyFault};
use crate::access::{ApiKeyError, Scope, TooManyFailed};
use crate::engine::{EngineError, Fault};
use crate::intake::{Cause, IntakeError};
use crate::partition::{StoreError, is_no_room};

/// The cause of a failure. Codes stay what they are: programs decide by them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ProblemCode)]
pub(in super::super) enum Code {
    InvalidParameter,
    InvalidCursor,
    MalformedBody,
    NoSamples,
    TooManySamples,
    KeyMissing,
    KeyInvalid,
    KeyExpired,
    ScopeMissing,
    PartitionNotAllowed,
    NotFound,
    PartitionNotFound,
    ClassNotFound,
    ReceiptNotFound,
    /// No portrait of the person is stored, or none is shown.
    PortraitNotFound,
    SnapshotsNotConfigured,
    MethodNotAllowed,
    BodyTimeout,
    EncoderMismatch,
    SnapshotRunning,
    BodyTooLarge,
    UnsupportedMediaType,
    InvalidBase64,
    InvalidPicture,
    NoFaceFound,
    MultipleFacesFound,
    InvalidEmbedding,
    ContradictingSamples,
    /// A picture is not good enough to enrol with.
    PoorQuality,
    NotLive,
    ThresholdUnknown,
    /// A rate is asked for, and nothing is known of strangers.
    NotCalibrated,
    /// What is to be known of a person cannot be.
    InvalidRecord,
    /// It contradicts what is known of others, or the time of the person is over.
    RecordConflict,
    /// The person seems to be enrolled under another class.
    AlreadyEnrolled,
    DecisionNotFound,
    /// It is over, or the key may not speak of it.
    DecisionConflict,
    /// Two people must confirm each identification, and this call does not wait for them.
    ConfirmationNeeded,
    /// Too many identifications wait for two people.
    TooManyPending,
    /// The caller was told as much as it may be in a day.
    BudgetSpent,
    ShareExceeded,
    Internal,
    Busy,
    StorageFull,
    TooManyFailed,
    HeadTimeout,
    AddressTooLong,
    HeadTooLarge,
    NotImplemented,
}

impl Code {
    pub(super) const ALL: [Code; 49] = [
        Code::InvalidParameter,
        Code::InvalidCursor,
        Code::MalformedBody,
        Code::NoSamples,
        Code::TooManySamples,
        Code::KeyMissing,
        Code::KeyInvalid,
        Code::KeyExpired,
        Code::ScopeMissing,
        Code::PartitionNotAllowed,
        Code::NotFound,
        Code::PartitionNotFound,
        Code::ClassNotFound,
        Code::ReceiptNotFound,
        Code::PortraitNotFound,
        Code::SnapshotsNotConfigured,
        Code::MethodNotAllowed,
        Code::BodyTimeout,
        Code::EncoderMismatch,
        Code::SnapshotRunning,
        Code::BodyTooLarge,
        Code::UnsupportedMediaType,
        Code::InvalidBase64,
        Code::InvalidPicture,
        Code::NoFaceFound,
        Code::MultipleFacesFound,
        Code::InvalidEmbedding,
        Code::ContradictingSamples,
        Code::PoorQuality,
        Code::NotLive,
        Code::ThresholdUnknown,
        Code::NotCalibrated,
        Code::InvalidRecord,
        Code::RecordConflict,
        Code::AlreadyEnrolled,
        Code::DecisionNotFound,
        Code::DecisionConflict,
        Code::ConfirmationNeeded,
        Code::TooManyPending,
        Code::BudgetSpent,
        Code::ShareExceeded,
        Code::Internal,
        Code::Busy,
        Code::StorageFull,
        Code::TooManyFailed,
        Code::HeadTimeout,
        Code::AddressTooLong,
        Code::HeadTooLarge,
        Code::NotImplemented,
    ];

    /// The word in answers, the status, and a title, which is the same for every occurrence.
    fn facts(self) -> (&'static str, u16, &'static str) {
        match self {
            Code::InvalidParameter => ("invalid_parameter", 400, "A parameter is wrong"),
            Code::InvalidCursor => ("invalid_cursor", 400, "The cursor is not one of ours"),
            Code::MalformedBody => ("malformed_body", 400, "The body cannot be read"),
            Code::NoSamples => (
                "no_samples",
                400,
                "There is neither a picture nor an embedding",
            ),
            Code::TooManySamples => ("too_many_samples", 400, "There are too many samples"),
            Code::KeyMissing => ("key_missing", 401, "There is no API key"),
            Code::KeyInvalid => ("key_invalid", 401, "The API key is wrong or revoked"),
            Code::KeyExpired => ("key_expired", 401, "The time of the API key is over"),
            Code::ScopeMissing => ("scope_missing", 403, "The API key may not be used for this"),
            Code::PartitionNotAllowed => (
                "partition_not_allowed",
                403,
                "The API key may not be used on this partition",
            ),
            Code::NotFound => ("not_found", 404, "There is nothing at this path"),
            Code::PartitionNotFound => ("partition_not_found", 404, "There is no such partition"),
            Code::ClassNotFound => ("class_not_found", 404, "This class is not enrolled"),
            Code::ReceiptNotFound => ("receipt_not_found", 404, "There is no receipt of this id"),
            Code::PortraitNotFound => (
                "portrait_not_found",
                404,
                "There is no portrait of this class",
            ),
            Code::SnapshotsNotConfigured => (
                "snapshots_not_configured",
                404,
                "The service has no directory for snapshots",
            ),
            Code::MethodNotAllowed => (
                "method_not_allowed",
                405,
                "The path does not have this method",
            ),
            Code::BodyTimeout => ("body_timeout", 408, "The body took too long to arrive"),
            Code::EncoderMismatch => (
                "encoder_mismatch",
                409,
                "Embeddings of different encoders cannot be compared",
            ),
            Code::SnapshotRunning => ("snapshot_running", 409, "Another snapshot is being made"),
            Code::BodyTooLarge => ("body_too_large", 413, "The body is too large"),
            Code::UnsupportedMediaType => (
                "unsupported_media_type",
                415,
                "The body is of another type or packed otherwise",
            ),
            Code::InvalidBase64 => ("invalid_base64", 422, "A picture is not base64"),
            Code::InvalidPicture => ("invalid_picture", 422, "A picture cannot be decoded"),
            Code::NoFaceFound => ("no_face_found", 422, "A picture shows no face"),
            Code::MultipleFacesFound => (
                "multiple_faces_found",
                422,
                "A picture shows several people",
            ),
            Code::InvalidEmbedding => ("invalid_embedding", 422, "Some numbers are no embedding"),
            Code::ContradictingSamples => (
                "contradicting_samples",
                422,
                "The samples do not look like one person",
            ),
            Code::PoorQuality => (
                "poor_quality",
                422,
                "A picture is not good enough to enrol with",
            ),
            Code::NotLive => ("not_live", 422, "The pictures are not of a live person"),
            Code::ThresholdUnknown => (
                "threshold_unknown",
                422,
                "There is no threshold for this encoder, and none was given",
            ),
            Code::NotCalibrated => (
                "not_calibrated",
                409,
                "It was not measured how often strangers are taken for somebody",
            ),
            Code::AlreadyEnrolled => (
                "already_enrolled",
                409,
                "The person is enrolled under another class already",
            ),
            Code::DecisionNotFound => (
                "decision_not_found",
                404,
                "There is no such decision, or no longer",
            ),
            Code::DecisionConflict => (
                "decision_conflict",
                409,
                "The decision is over, or not for this key to confirm",
            ),
            Code::ConfirmationNeeded => (
                "confirmation_needed",
                409,
                "Two people must confirm each identification in this partition",
            ),
            Code::TooManyPending => (
                "too_many_pending",
                409,
                "Too many identifications wait for two people to confirm them",
            ),
            Code::BudgetSpent => (
                "budget_spent",
                429,
                "This key was told as much as it may be in a day",
            ),
            Code::InvalidRecord => (
                "invalid_record",
                422,
                "What is to be known of a person cannot be so",
            ),
            Code::RecordConflict => (
                "record_conflict",
                409,
                "It contradicts what is known of people",
            ),
            Code::ShareExceeded => (
                "share_exceeded",
                429,
                "This key asks for more than its share of a busy server",
            ),
            Code::Internal => ("internal", 500, "The server failed"),
            Code::Busy => ("busy", 503, "The server is too busy"),
            Code::TooManyFailed => (
                "too_many_failed",
                429,
                "Too many wrong API keys were shown from this address",
            ),
            Code::StorageFull => ("storage_full", 507, "The disk of the server is full"),
            Code::HeadTimeout => (
                "head_timeout",
                408,
                "The head of the request took too long to arrive",
            ),
            Code::AddressTooLong => (
                "address_too_long",
                414,
                "The address that the request is for is too long",
            ),
            Code::HeadTooLarge => (
                "head_too_large",
                431,
                "The head of the request is too large",
            ),
            Code::NotImplemented => (
                "not_implemented",
                501,
                "The body is packed on the way as nobody here can unpack it",
            ),
        }
    }
}

/// A failure: its code, and what it was this time.
#[derive(Debug)]
pub(in super::super) struct Problem {
    code: Code,
    detail: Cow<'static, str>,
    sample: Option<usize>,
    /// A header that belongs to the status.
    header: Option<(HeaderName, HeaderValue)>,
}

/// Why a call was not done (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(in super::super) struct ProblemDetails {
    /// Where the code is explained.
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// What the code means, the same each time.
    pub(super) title: &'static str,
    /// The status of the answer.
    pub(super) status: u16,
    /// The cause, for programs.
    pub(super) code: Code,
    /// What it was this time, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) detail: Option<String>,
    /// Which sample is at fault, from 0: pictures first, then embeddings, each in the order given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sample: Option<usize>,
}

impl ProblemDetails {
    /// What can be said of a code in general.
    pub(super) fn of(code: Code) -> ProblemDetails {
        let (word, status, title) = code.facts();
        ProblemDetails {
            kind: format!("/v1/problems#{word}"),
            title,
            status,
            code,
            detail: None,
            sample: None,
        }
    }
}

impl Problem {
    pub(super) fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Problem {
        Problem {
            code,
            detail: detail.into(),
            sample: None,
            header: None,
        }
    }

    pub(super) fn invalid_parameter(detail: impl Into<Cow<'static, str>>) -> Problem {
        Problem::new(Code::InvalidParameter, detail)
    }

    pub(super) fn malformed(detail: impl Into<Cow<'static, str>>) -> Problem {
        Problem::new(Code::MalformedBody, detail)
    }

    /// There is no key that proves something. The header is that of RFC 6750.
    pub(super) fn unauthorized(code: Code, detail: &'static str) -> Problem {
        let challenge = if code == Code::KeyMissing {
            r#"Bearer realm="Vultus""#
        } else {
            r#"Bearer realm="Vultus", error="invalid_token""#
        };
        let value = HeaderValue::from_static(challenge);
        Problem::new(code, detail).with(header::WWW_AUTHENTICATE, value)
    }

    /// The key is right, and does not have this scope.
    pub(super) fn scope_missing(scope: Scope) -> Problem {
        Problem::lacking(scope, format!("the key does not have the scope `{scope}`"))
    }

    /// The same of a scope that not every such call needs, with why this one does.
    pub(super) fn scope_missing_for(scope: Scope, why: &str) -> Problem {
        Problem::lacking(
            scope,
            format!("the key does not have the scope `{scope}`: {why}"),
        )
    }

    fn lacking(scope: Scope, detail: String) -> Problem {
        let challenge =
            format!(r#"Bearer realm="Vultus", error="insufficient_scope", scope="{scope}""#);
        let value = HeaderValue::try_from(challenge).expect("scopes are words of ASCII");
        Problem::new(Code::ScopeMissing, detail).with(header::WWW_AUTHENTICATE, value)
    }

    /// Our fault. The cause is logged; the caller learns only that there was one, or that the disk is
    /// full.
    pub(super) fn internal(doing: &'static str, cause: &(dyn StdError + 'static)) -> Problem {
        tracing::error!(error = %Chain(cause), "failed {doing}");
        if is_no_room(cause) {
            return Problem::new(Code::StorageFull, NO_ROOM_TEXT);
        }
        Problem::new(Code::Internal, "the server failed; its log says why")
    }

    /// A panic was caught. The panic hook has logged where.
    pub(super) fn panicked() -> Problem {
        tracing::error!("a request handler panicked");
        Problem::new(Code::Internal, "the server failed; its log says why")
    }

    /// The same, said of one sample.
    pub(super) fn of_sample(self, sample: usize) -> Problem {
        Problem {
            sample: Some(sample),
            ..self
        }
    }

    fn with(self, name: HeaderName, value: HeaderValue) -> Problem {
        Problem {
            header: Some((name, value)),
            ..self
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = ProblemDetails {
            detail: Some(self.detail.into_owned()),
            sample: self.sample,
            ..ProblemDetails::of(self.code)
        };
        let status = StatusCode::from_u16(body.status).expect("codes have statuses of HTTP");
        let text = serde_json::to_string(&body).expect("texts and numbers become JSON");
        let kind = HeaderValue::from_static("application/problem+json");
        let mut response = (status, [(header::CONTENT_TYPE, kind)], text).into_response();
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, value);
        }
        let (word, _, _) = self.code.facts();
        response.extensions_mut().insert(RefusedFor(word));
        response
    }
}

impl From<Busy> for Problem {
    fn from(busy: Busy) -> Problem {
        let again_after = HeaderValue::from(busy.again_after_seconds());
        let problem = if busy.is_above_share {
            let detail =
                "others wait for the server, too, and less of theirs; try again in a moment";
            Problem::new(Code::ShareExceeded, detail)
        } else {
            let detail = "the server is too busy; try again in a moment";
            Problem::new(Code::Busy, detail)
        };
        problem.with(header::RETRY_AFTER, again_after)
    }
}

impl From<Unidentified> for Problem {
    fn from(error: Unidentified) -> Problem {
        match error {
            Unidentified::Busy(busy) => busy.into(),
            Unidentified::Failed(error) => Problem::from(&*error),
        }
    }
}

impl From<HeadFault> for Problem {
    fn from(fault: HeadFault) -> Problem {
        let code = match fault {
            HeadFault::Slow => Code::HeadTimeout,
            HeadFault::LongTarget => Code::AddressTooLong,
            HeadFault::TooLarge => Code::HeadTooLarge,
            HeadFault::UnknownCoding => Code::NotImplemented,
            HeadFault::NoSeat => {
                let again_after = HeaderValue::from(Busy::FOR_A_MOMENT.again_after_seconds());
                return Problem::new(Code::Busy, fault.to_string())
                    .with(header::RETRY_AFTER, again_after);
            }
            _ => Code::InvalidParameter,
        };
        Problem::new(code, fault.to_string())
    }
}

impl From<BodyFault> for Problem {
    fn from(fault: BodyFault) -> Problem {
        let code = match fault {
            BodyFault::NoRoom => return Busy::FOR_A_MOMENT.into(),
            BodyFault::Slow => Code::BodyTimeout,
            BodyFault::TooLarge { .. } | BodyFault::UnpackedTooLarge { .. } => Code::BodyTooLarge,
            BodyFault::Broken | BodyFault::NotGzip => Code::MalformedBody,
            BodyFault::UnknownEncoding => {
                return Problem::new(Code::UnsupportedMediaType, fault.to_string())
                    .with(header::ACCEPT_ENCODING, receive::ENCODINGS);
            }
        };
        Problem::new(code, fault.to_string())
    }
}

impl From<BudgetSpent> for Problem {
    fn from(error: BudgetSpent) -> Problem {
        let again_after = HeaderValue::from(error.again_after_seconds);
        Problem::new(Code::BudgetSpent, error.to_string()).with(header::RETRY_AFTER, again_after)
    }
}

impl From<TooManyFailed> for Problem {
    fn from(error: TooManyFailed) -> Problem {
        let again_after = HeaderValue::from(TooManyFailed::AGAIN_AFTER_SECONDS);
        Problem::new(Code::TooManyFailed, error.to_string()).with(header::RETRY_AFTER, again_after)
    }
}

impl From<ApiKeyError> for Problem {
    fn from(error: ApiKeyError) -> Problem {
        Problem::internal("to look up an API key", &error)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        EngineError::Store(error).into()
    }
}

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Problem {
        Problem::from(&error)
    }
}

impl From<&EngineError> for Problem {
    fn from(error: &EngineError) -> Problem {
        let code = match error {
            EngineError::NoSamples => Code::NoSamples,
            EngineError::NoPartition { .. }
            | EngineError::Store(StoreError::PartitionRemoved { .. }) => Code::PartitionNotFound,
            EngineError::Dimension { .. } => Code::InvalidEmbedding,
            EngineError::Contradiction => Code::ContradictingSamples,
            EngineError::Store(StoreError::Encoder { .. }) => Code::EncoderMismatch,
            EngineError::Store(StoreError::NotEnrolled { .. }) => Code::ClassNotFound,
            EngineError::Store(StoreError::Record(_)) => Code::InvalidRecord,
            EngineError::Store(
                StoreError::ExternalIdTaken { .. }
                | StoreError::SaidNotSame { .. }
                | StoreError::TimeOver { .. }
                | StoreError::NoNumberLeft { .. },
            ) => Code::RecordConflict,
            error if error.fault() == Fault::Caller => Code::InvalidParameter,
            error => return Problem::internal("to read or write templates", error),
        };
        Problem::new(code, error.to_string())
    }
}

impl From<IntakeError> for Problem {
    fn from(error: IntakeError) -> Problem {
        let problem = match &error.cause {
            cause if error.fault() == Fault::Ours => Problem::internal("to find a face", cause),
            cause => Problem::new(code_of(cause), cause.to_string()),
        };
        match error.sample {
            Some(sample) => problem.of_sample(sample),
            None => problem,
        }
    }
}

fn code_of(cause: &Cause) -> Code {
    match cause {
        Cause::NoSamples => Code::NoSamples,
        Cause::TooManySamples { .. } => Code::TooManySamples,
        Cause::OtherEncoder { .. } => Code::EncoderMismatch,
        Cause::Embedding(_) | Cause::Dimension { .. } => Code::InvalidEmbedding,
        Cause::Picture(_) => Code::InvalidPicture,
        Cause::NoFace(_) => Code::NoFaceFound,
        Cause::SeveralFaces(_) => Code::MultipleFacesFound,
        Cause::NotLive(_) => Code::NotLive,
        Cause::Contradicting => Code::ContradictingSamples,
        Cause::PoorQuality { .. } => Code::PoorQuality,
        Cause::LivenessOfEmbeddings
        | Cause::LivenessOfOnePicture
        | Cause::EncoderMissing
        | Cause::EncoderName(_) => Code::InvalidParameter,
        Cause::Network(_) | Cause::NoDetector => Code::Internal,
    }
}

impl From<Unaccounted> for Problem {
    fn from(error: Unaccounted) -> Problem {
        Problem::internal("to account for a call", &error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_listed_once_and_written_as_it_is_named() {
        for (at, code) in Code::ALL.into_iter().enumerate() {
            let written = serde_json::to_value(code).unwrap();
            assert_eq!(written, code.facts().0);
            assert!(!Code::ALL[..at].contains(&code), "{code:?}");
            let status = StatusCode::from_u16(code.facts().1).unwrap();
            assert!(status.is_client_error() || status.is_server_error());
        }
        // The last one: if another is added behind it, the list must grow.
        assert_eq!(Code::ALL.len(), Code::NotImplemented as usize + 1);
    }
}
