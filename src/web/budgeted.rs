//! Which questions are answered today, and what is done about probes that climb.

use std::time::Duration;

use super::budgets::BudgetSpent;
use super::state::AppState;
use crate::audit::{Actor, Event, Record};
use crate::budgets::{Asked, Found, Limits, Told};
use crate::partition::StoreError;
use crate::types::{Bcid, PartitionId};

impl AppState {
    /// `actor` asks.
    ///
    /// # Errors
    ///
    /// If that is not answered to it today.
    pub(super) fn ask(&self, actor: &Actor, asked: Asked<'_>) -> Result<(), BudgetSpent> {
        let (limits, now, budgets) = (self.limits(), self.clock().now(), self.budgets());
        let answered = budgets.ledger().ask(caller(actor), asked, now, &limits);
        answered.map_err(|spent| budgets.refuse(spent, now))
    }

    /// `actor` asks who so many probes are.
    ///
    /// # Errors
    ///
    /// As [`AppState::ask`].
    pub(super) fn ask_who(
        &self,
        actor: &Actor,
        partition: &PartitionId,
        probes: usize,
    ) -> Result<(), BudgetSpent> {
        let asked = Asked {
            partition,
            class: None,
            probes: u64::try_from(probes).unwrap_or(u64::MAX),
            is_scored: true,
        };
        self.ask(actor, asked)
    }

    /// `actor` asks whether a probe is of a class.
    ///
    /// # Errors
    ///
    /// As [`AppState::ask`].
    pub(super) fn ask_whether(
        &self,
        actor: &Actor,
        bcid: &Bcid,
        is_scored: bool,
    ) -> Result<(), BudgetSpent> {
        let asked = Asked {
            partition: &bcid.partition,
            class: Some(bcid.class),
            probes: 0,
            is_scored,
        };
        self.ask(actor, asked)
    }

    /// So many probes that `actor` asked about were not answered.
    pub(super) fn give_back(&self, actor: &Actor, probes: usize) {
        let probes = u64::try_from(probes).unwrap_or(u64::MAX);
        self.budgets().ledger().give_back(caller(actor), probes);
    }

    /// `actor` is about to be told this of people in a gallery, in so many answers that tell similarities.
    /// Returns by how much later.
    pub(super) fn tell(
        &self,
        actor: &Actor,
        partition: &PartitionId,
        (told, scored): (&[Told], u64),
    ) -> Duration {
        let (limits, now, budgets) = (self.limits(), self.clock().now(), self.budgets());
        let name = caller(actor);
        let noted = budgets
            .ledger()
            .tell(name, partition, (told, scored), now, &limits);
        for found in noted.found {
            budgets.found.one();
            self.suspect(actor, partition, found, &limits);
        }
        if !noted.delay.is_zero() {
            budgets.slowed.one();
        }
        noted.delay
    }

    /// Has the catalog keep what callers were told today.
    ///
    /// # Errors
    ///
    /// If the catalog cannot be written.
    pub(super) fn keep_budgets(&self) -> Result<(), StoreError> {
        self.budgets().keep(self.engine().store())
    }

    fn limits(&self) -> Limits {
        self.intake().policy().budgets
    }

    /// Says that probes climb. Nothing waits for the record: the answer has one of its own.
    fn suspect(&self, actor: &Actor, partition: &PartitionId, found: Found, limits: &Limits) {
        let Found {
            class,
            is_of_several,
        } = found;
        let caller = caller(actor);
        tracing::warn!(caller, %partition, %class, is_of_several, "probes climb towards a class");
        let (Some(log), Some(record)) = (self.audit(), self.to_account(actor, Event::Suspected))
        else {
            return;
        };
        let record = Record {
            partition: Some(partition.clone()),
            class: Some(class),
            decision: Some("climbs"),
            object: Some(match is_of_several {
                true => "of several callers".to_owned(),
                false => limits.climb.to_string(),
            }),
            ..record
        };
        log.record(record, None);
    }
}

/// By which name what a caller was told is remembered: that of its key, or of its app for all tokens of it.
fn caller(actor: &Actor) -> &str {
    actor.caller.as_deref().unwrap_or_default()
}
