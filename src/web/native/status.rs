//! `GET /v1/status`: what is this service, and what may the key do here?

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::super::endpoint::Endpoint;
use super::super::state::AppState;
use super::answer;
use super::failures;
use super::key::Key;
use super::problem::Problem;
use super::samples::encoder_name;
use crate::access::Reach;
use crate::partition::{Encryption, Health, PartitionHealth};

/// The service and the calling key.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct StatusAnswer {
    /// The version of the program.
    version: &'static str,
    /// What makes embeddings of pictures here.
    encoder: String,
    /// How many values such an embedding has.
    dimension: usize,
    /// The similarity from which on two faces count as one person, unless the operator or a call says
    /// otherwise.
    threshold: f64,
    /// Whether portraits of people are stored and shown.
    portraits: bool,
    /// Whether galleries can be searched and changed.
    storage: StorageAnswer,
    /// The key that was shown.
    key: KeyAnswer,
}

/// The state of the data directory, as far as the service has seen it.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct StorageAnswer {
    /// Whether changes are taken and no gallery is known to be damaged.
    good: bool,
    /// Whether what is stored is encrypted: `off`, `on`, or `partly` while `vultus gallery encrypt` is at work, and
    /// where it was broken off; null where that cannot be read.
    encryption: Option<&'static str>,
    /// Why nothing can be enrolled or removed until the service is restarted. Only told to a key for
    /// everything, since it names files of the machine; null to others, and while changes are taken.
    stopped: Option<String>,
    /// The galleries in which damage was met. Only told to a key for everything; empty to others.
    damaged: Vec<DamagedPartition>,
}

/// A gallery that answers no searches, since part of it cannot be read.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct DamagedPartition {
    /// Its name.
    partition: String,
    /// The file, the place, what was expected there and what was found.
    damage: String,
}

impl StorageAnswer {
    fn new(health: Health, encryption: Option<Encryption>, to_operator: bool) -> StorageAnswer {
        let good = health.is_good();
        let told = |partition: PartitionHealth| {
            let (partition, damage) = (partition.partition, partition.damage?);
            Some(DamagedPartition { partition, damage })
        };
        let damaged = health.partitions.into_iter().filter_map(told);
        StorageAnswer {
            good,
            encryption: encryption.map(word_of),
            stopped: health.stopped.filter(|_| to_operator),
            damaged: damaged.filter(|_| to_operator).collect(),
        }
    }
}

fn word_of(encryption: Encryption) -> &'static str {
    match encryption {
        Encryption::Off => "off",
        Encryption::On => "on",
        Encryption::Partly => "partly",
    }
}

/// A key, without its secret.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct KeyAnswer {
    /// Its public name.
    id: String,
    /// What people call it.
    name: String,
    /// What it may be used for.
    scopes: Vec<&'static str>,
    /// What it may be used on: a storage, a partition, or `everything`.
    reach: String,
    /// When it expires, in milliseconds since 1970 in UTC; null if it does not.
    expires_unix_milliseconds: Option<i64>,
}

pub(super) fn endpoint() -> Endpoint {
    failures::endpoint(routes!(status), &[Key::FAILURES, failures::OURS])
}

/// Describe the service and the key
///
/// Any valid key will do.
#[utoipa::path(
    get,
    path = "/status",
    tag = "native",
    operation_id = "status",
    responses((status = 200, description = "The service and the key", body = StatusAnswer)),
    security(("api_key" = []))
)]
async fn status(State(state): State<AppState>, Key(key, _): Key) -> Result<Response, Problem> {
    let engine = state.engine().clone();
    let work = move || {
        // A service with a broken catalog still says that it is broken.
        let encryption = engine.store().encryption().ok();
        engine.health().map(|health| (health, encryption))
    };
    let (health, encryption) = state.lanes().small(work).await?;
    let profile = state.intake().profile();
    let answer = StatusAnswer {
        version: env!("CARGO_PKG_VERSION"),
        encoder: encoder_name(profile.encoder()),
        dimension: profile.encoder().dimension(),
        threshold: profile.verification_threshold(),
        portraits: state.intake().keeps_portraits(),
        storage: StorageAnswer::new(health, encryption, key.reach == Reach::Everything),
        key: KeyAnswer {
            id: key.id.to_string(),
            scopes: key.scopes.iter().map(|scope| scope.as_str()).collect(),
            reach: key.reach.to_string(),
            expires_unix_milliseconds: key.expires.map(|expires| expires.unix_milliseconds),
            name: key.name,
        },
    };
    Ok(answer::json(StatusCode::OK, &answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_told_to_all_and_its_place_to_the_operator() {
        let health = || Health {
            stopped: Some("the disk is full".to_owned()),
            partitions: vec![
                PartitionHealth {
                    partition: "bws.1".to_owned(),
                    damage: None,
                },
                PartitionHealth {
                    partition: "bws.2".to_owned(),
                    damage: Some("segment `/data/2.vseg` is damaged".to_owned()),
                },
            ],
        };
        let operator = StorageAnswer::new(health(), Some(Encryption::Partly), true);
        assert!(!operator.good && operator.stopped.is_some());
        assert_eq!(operator.encryption, Some("partly"));
        let named: Vec<&str> = operator.damaged.iter().map(|d| &*d.partition).collect();
        assert_eq!(named, ["bws.2"]);
        let other = serde_json::to_value(StorageAnswer::new(health(), None, false)).unwrap();
        let expected = serde_json::json!(
            { "good": false, "encryption": null, "stopped": null, "damaged": [] }
        );
        assert_eq!(other, expected);
    }
}
