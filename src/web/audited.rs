//! What the audit log is told of calls, and whether an answer waits for it.

use std::sync::mpsc;

use axum::http::Extensions;
use tokio::sync::oneshot;
use tower_http::request_id::RequestId;

use super::notes::{Caller, Notes};
use super::state::AppState;
use crate::audit::{Actor, AuditLog, Done, Event, Head, Record};
use crate::partition::{Store, StoreError};
use crate::types::{Bcid, ClassId, Embedding, EncoderId, PartitionId};

/// Where the catalog remembers how far the log went.
const AREA: &str = "audit";
const HEAD: &str = "head";

/// A record did not come to disk, and the log is strict: there is no answer.
#[derive(Debug, thiserror::Error)]
#[error("the audit log could not be written")]
pub(super) struct Unaccounted;

/// Who sent a request with these extensions, and proved to be `caller`.
pub(super) fn actor(extensions: &Extensions, caller: &Caller) -> Actor {
    let id = extensions.get::<RequestId>();
    let id = id.and_then(|id| id.header_value().to_str().ok());
    Actor {
        caller: Some(caller.to_string()),
        address: extensions.get::<Notes>().and_then(Notes::client),
        request: id.map(str::to_owned),
    }
}

/// `name@version`, without the dimension.
pub(super) fn encoder_name(encoder: &EncoderId) -> String {
    format!("{}@{}", encoder.name(), encoder.version())
}

impl AppState {
    /// A record of something that `actor` does now, if a log is kept.
    pub(super) fn to_account(&self, actor: &Actor, event: Event) -> Option<Record> {
        self.audit()?;
        Some(Record::new(self.clock().now(), event, actor.clone()))
    }

    /// That templates were made of `samples`.
    pub(super) fn enrolled(
        &self,
        actor: &Actor,
        bcid: &Bcid,
        (encoder, samples): (&EncoderId, &[&Embedding]),
        added: usize,
    ) -> Result<(), Unaccounted> {
        let record = self.to_account(actor, Event::Enrolled);
        self.account_here(record.map(|record| Record {
            partition: Some(bcid.partition.clone()),
            class: Some(bcid.class),
            encoder: Some(encoder_name(encoder)),
            probe: Some(self.digest_of(samples)),
            templates: Some(added),
            ..record
        }))
    }

    /// That nobody was enrolled with `samples` as this class, or as one that the gallery would choose, since
    /// they look like somebody else.
    pub(super) fn not_enrolled(
        &self,
        actor: &Actor,
        (partition, class): (&PartitionId, Option<ClassId>),
        (encoder, samples): (&EncoderId, &[&Embedding]),
        other: ClassId,
    ) -> Result<(), Unaccounted> {
        let record = self.to_account(actor, Event::Enrolled);
        self.account_here(record.map(|record| Record {
            partition: Some(partition.clone()),
            class,
            encoder: Some(encoder_name(encoder)),
            decision: Some("duplicate"),
            candidates: vec![other],
            probe: Some(self.digest_of(samples)),
            templates: Some(0),
            ..record
        }))
    }

    /// That it was decided whether `samples` are of a class.
    pub(super) fn verified(
        &self,
        actor: &Actor,
        bcid: &Bcid,
        (encoder, samples): (&EncoderId, &[&Embedding]),
        (threshold, is_accepted): (f64, bool),
    ) -> Result<(), Unaccounted> {
        let record = self.to_account(actor, Event::Verified);
        self.account_here(record.map(|record| Record {
            partition: Some(bcid.partition.clone()),
            class: Some(bcid.class),
            encoder: Some(encoder_name(encoder)),
            threshold: Some(threshold),
            decision: Some(match is_accepted {
                true => "accepted",
                false => "rejected",
            }),
            probe: Some(self.digest_of(samples)),
            ..record
        }))
    }

    /// That a class was changed, and how many templates it got or lost; `object` is the other class, if there is
    /// one.
    pub(super) fn changed(
        &self,
        (actor, event): (&Actor, Event),
        bcid: &Bcid,
        templates: Option<usize>,
        object: Option<String>,
    ) -> Result<(), Unaccounted> {
        let record = self.to_account(actor, event);
        self.account_here(record.map(|record| Record {
            partition: Some(bcid.partition.clone()),
            class: Some(bcid.class),
            templates,
            object,
            ..record
        }))
    }

    /// That a partition was removed, with so many templates.
    pub(super) fn removed(
        &self,
        actor: &Actor,
        partition: &PartitionId,
        templates: u64,
    ) -> Result<(), Unaccounted> {
        let record = self.to_account(actor, Event::Deleted);
        self.account_here(record.map(|record| Record {
            partition: Some(partition.clone()),
            templates: usize::try_from(templates).ok(),
            ..record
        }))
    }

    /// The keyed digest of samples, by which the same ones are known again and nothing else is.
    pub(super) fn digest_of(&self, samples: &[&Embedding]) -> [u8; Record::PROBE_BYTES] {
        let values = samples.iter().flat_map(|sample| sample.values());
        let bytes: Vec<u8> = values.flat_map(|value| value.to_le_bytes()).collect();
        let digest = self.server_key().digest("audited probe", &bytes);
        std::array::from_fn(|at| digest[at])
    }

    /// Writes records, and waits for them where the log is strict.
    pub(super) async fn account(&self, records: Vec<Record>) -> Result<(), Unaccounted> {
        let Some(log) = self.audit() else {
            return Ok(());
        };
        let mut waiting = Vec::new();
        for record in records {
            let (told, done) = oneshot::channel();
            let tell = move |is_written| {
                let _gone = told.send(is_written);
            };
            push(log, record, Box::new(tell));
            waiting.extend(log.is_strict().then_some(done));
        }
        for done in waiting {
            if !done.await.unwrap_or(false) {
                return Err(Unaccounted);
            }
        }
        Ok(())
    }

    /// The same of one record, on a thread that may wait.
    pub(super) fn account_here(&self, record: Option<Record>) -> Result<(), Unaccounted> {
        let (Some(log), Some(record)) = (self.audit(), record) else {
            return Ok(());
        };
        let (told, done) = mpsc::channel();
        let tell = move |is_written| {
            let _gone = told.send(is_written);
        };
        push(log, record, Box::new(tell));
        match !log.is_strict() || done.recv().unwrap_or(false) {
            true => Ok(()),
            false => Err(Unaccounted),
        }
    }

    /// Ends the audit log when all of it is on disk: what is done from now on is not accounted for.
    pub fn end_audit(&self) {
        let Some(log) = self.audit() else {
            return;
        };
        let now = self.clock().now();
        log.record(Record::new(now, Event::Stopped, Actor::default()), None);
        log.close();
        if let Err(error) = self.remember_audit() {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "cannot remember how far the audit log is");
        }
    }

    /// Accounts for a command that the user `user` of the system gave, with these words of it.
    pub fn commanded(&self, user: u32, command: &str) {
        let actor = Actor {
            caller: Some(format!("user {user}")),
            ..Actor::default()
        };
        let record = self.to_account(&actor, Event::Commanded);
        let told = self.account_here(record.map(|record| Record {
            object: Some(command.to_owned()),
            ..record
        }));
        if told.is_err() {
            tracing::error!(user, command, "a command was not accounted for");
        }
    }

    /// Has the catalog remember how far the log went, so that one that is cut off or put back is found.
    ///
    /// # Errors
    ///
    /// If the catalog cannot be written.
    pub(super) fn remember_audit(&self) -> Result<(), StoreError> {
        let Some(log) = self.audit() else {
            return Ok(());
        };
        remember_audit(self.engine().store(), log)
    }
}

/// Has the catalog of `store` remember how far its log went.
///
/// # Errors
///
/// If the catalog cannot be written.
pub fn remember_audit(store: &Store, log: &AuditLog) -> Result<(), StoreError> {
    let head = serde_json::to_vec(&log.head()).expect("texts and numbers become JSON");
    if store.state_get(AREA, HEAD)?.as_ref() != Some(&head) {
        store.state_put(AREA, HEAD, &head)?;
    }
    Ok(())
}

/// What the catalog of `store` remembers of the log, if anything.
///
/// # Errors
///
/// If it cannot be read.
pub fn remembered_audit(store: &Store) -> Result<Option<Head>, StoreError> {
    let head = store.state_get(AREA, HEAD)?;
    Ok(head.and_then(|head| serde_json::from_slice(&head).ok()))
}

fn push(log: &AuditLog, record: Record, done: Done) {
    log.record(record, log.is_strict().then_some(done));
}
