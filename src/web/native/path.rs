//! The partition and the class that a path names.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::problem::Problem;
use crate::types::{Bcid, ClassId, ParseBcidError, PartitionId};

/// `/partitions/{partition}`, such as `bws.112`.
pub(super) struct PartitionPath(pub(super) PartitionId);

/// `/partitions/{partition}/classes/{class}`, such as `bws.112` and `4711`.
pub(super) struct ClassPath(pub(super) Bcid);

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
