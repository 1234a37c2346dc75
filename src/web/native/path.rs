//! The partition and the class that a path names.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use super::problem::{Code, Problem};
use crate::types::{Bcid, ClassId, ParseBcidError, PartitionId};

/// What stands for `{partition}` in a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(
    dead_code,
    reason = "paths are read by other types; this is their description"
)]
pub(in super::super) struct PartitionParameter {
    /// Storage and number, such as `bws.112`: 1 to 64 ASCII letters, digits, `-` or `_`, and a signed 32-bit
    /// number. `/` and `:` may stand for the dot, escaped.
    #[param(example = "bws.112")]
    partition: String,
}

/// What stands for `{class}` in a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(
    dead_code,
    reason = "paths are read by other types; this is their description"
)]
pub(in super::super) struct ClassParameter {
    /// A signed 64-bit number. In answers it is a text: JavaScript rounds numbers of more than 53 bits.
    #[param(example = "4711")]
    class: String,
}

/// What stands for `{decision}` in a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(
    dead_code,
    reason = "paths are read by other types; this is their description"
)]
pub(in super::super) struct DecisionParameter {
    /// The name of the decision, as `identify` tells it.
    #[param(example = "7f39e0fb-bc7f-4068-b6d6-42de561cfc3c")]
    decision: String,
}

/// `/partitions/{partition}`, such as `bws.112`.
pub(super) struct PartitionPath(pub(super) PartitionId);

/// `/partitions/{partition}/classes/{class}`, such as `bws.112` and `4711`.
pub(super) struct ClassPath(pub(super) Bcid);

/// What can go wrong with the texts of a path.
pub(super) const FAILURES: &[Code] = &[Code::InvalidParameter];

impl<S: Send + Sync> FromRequestParts<S> for PartitionPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let partition: String = texts(parts, state).await?;
        Ok(PartitionPath(read(&partition)?))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ClassPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let (partition, class): (String, String) = texts(parts, state).await?;
        let class = read::<ClassId>(&class)?;
        Ok(ClassPath(Bcid::new(read(&partition)?, class)))
    }
}

async fn texts<T, S>(parts: &mut Parts, state: &S) -> Result<T, Problem>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    let texts = Path::<T>::from_request_parts(parts, state).await;
    let Path(texts) =
        texts.map_err(|_not_utf8| Problem::invalid_parameter("the path is not UTF-8"))?;
    Ok(texts)
}

fn read<T: std::str::FromStr<Err = ParseBcidError>>(text: &str) -> Result<T, Problem> {
    text.parse()
        .map_err(|error: ParseBcidError| Problem::invalid_parameter(error.to_string()))
}
