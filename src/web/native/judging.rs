//! Who is recognised: what a call may say of it, and what an answer tells.

use serde::Serialize;
use utoipa::ToSchema;

use super::super::audited;
use super::super::state::AppState;
use super::key::Key;
use super::problem::{Code, Problem};
use super::samples::check_threshold;
use crate::access::{DecisionId, Scope};
use crate::audit::{Actor, Event, Record};
use crate::engine::{Gallery, IdentifyOptions};
use crate::intake::{Bar, Disclosure, Judge, JudgeError, Undisclosed, Verdict, VerificationBar};
use crate::rates::{RateEstimate, TargetRate};
use crate::types::{Embedding, Match, PartitionId};

/// What can go wrong with a rate that is asked for, and with what the caller has been told today.
pub(super) const FAILURES: &[Code] = &[Code::NotCalibrated, Code::BudgetSpent];

/// What is decided about a person.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = IdentifyDecision)]
pub(in super::super) enum Decision {
    /// The first of the matches is who it is.
    Match,
    /// Nobody who is enrolled is alike enough.
    Unknown,
    /// Several are alike enough, and it cannot be told which of them it is.
    Ambiguous,
    /// Somebody is alike enough, and it is told who when two people have confirmed it.
    Pending,
}

/// How often a stranger is taken for somebody who is enrolled.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[schema(as = FalsePositiveRate)]
pub(in super::super) struct RateReport {
    /// The rate, from 0 to 1.
    rate: f64,
    /// The lower end of the range in which the true rate lies with 95 % confidence.
    low: f64,
    /// The upper end.
    high: f64,
    /// Whether it rests on the form of the tail of a distribution alone, beyond what was measured.
    extrapolated: bool,
}

impl From<RateEstimate> for RateReport {
    fn from(estimate: RateEstimate) -> RateReport {
        let RateEstimate {
            rate,
            low,
            high,
            extrapolated,
        } = estimate;
        RateReport {
            rate,
            low,
            high,
            extrapolated,
        }
    }
}

impl From<Verdict> for Decision {
    fn from(verdict: Verdict) -> Decision {
        match verdict {
            Verdict::Match => Decision::Match,
            Verdict::Unknown => Decision::Unknown,
            Verdict::Ambiguous => Decision::Ambiguous,
        }
    }
}

impl Decision {
    /// In the audit log.
    fn name(self) -> &'static str {
        match self {
            Decision::Match => "match",
            Decision::Unknown => "unknown",
            Decision::Ambiguous => "ambiguous",
            Decision::Pending => "pending",
        }
    }
}

/// What the audit log is told of searches.
#[derive(Clone, Copy)]
pub(super) struct Audited<'a> {
    pub(super) state: &'a AppState,
    pub(super) actor: &'a Actor,
    pub(super) gallery: &'a Gallery,
    pub(super) judge: &'a Judge,
}

impl Audited<'_> {
    /// That this was decided of a probe, who was found, and under which name it waits to be confirmed, if it
    /// does; nothing if no log is kept.
    pub(super) fn record(
        self,
        probe: &[&Embedding],
        decision: Option<Decision>,
        found: &[Match],
        pending: Option<DecisionId>,
    ) -> Option<Record> {
        let record = self.state.to_account(self.actor, Event::Identified)?;
        let decision = pending.map_or(decision, |_| Some(Decision::Pending));
        Some(Record {
            partition: Some(self.gallery.id().clone()),
            people: Some(self.judge.classes()),
            encoder: Some(audited::encoder_name(self.gallery.encoder())),
            threshold: self.judge.threshold(),
            decision: decision.map(Decision::name),
            object: pending.map(|id| id.to_string()),
            candidates: found.iter().map(|found| found.class).collect(),
            probe: Some(self.state.digest_of(probe)),
            ..record
        })
    }
}

/// What is decided, and how sure the first is.
pub(super) type Decided = (Option<Decision>, Option<f64>);

/// Whom a call leaves out.
pub(super) fn bar(threshold: Option<f64>, target_fpir: Option<f64>) -> Result<Bar, Problem> {
    bar_of(threshold, ("target_fpir", target_fpir))
}

/// From which similarity on a call takes somebody for the person of a class.
pub(super) fn verification_bar(
    threshold: Option<f64>,
    target_fmr: Option<f64>,
) -> Result<Bar, Problem> {
    bar_of(threshold, ("target_fmr", target_fmr))
}

fn bar_of(threshold: Option<f64>, (name, target): (&str, Option<f64>)) -> Result<Bar, Problem> {
    check_threshold(threshold)?;
    match (threshold, target) {
        (Some(_), Some(_)) => Err(Problem::invalid_parameter(format!(
            "expected `threshold` or `{name}`, found both",
        ))),
        (Some(similarity), None) => Ok(Bar::Similarity(similarity)),
        (None, Some(rate)) => match TargetRate::new(rate) {
            Ok(rate) => Ok(Bar::Rate(rate)),
            Err(error) => Err(Problem::invalid_parameter(format!(
                "wrong `{name}`: {error}"
            ))),
        },
        (None, None) => Ok(Bar::Usual),
    }
}

/// Whoever decides of those who are found in `gallery`, for a caller who is told no more than `disclosure`.
pub(super) async fn judge(
    state: &AppState,
    gallery: &Gallery,
    bar: Bar,
    disclosure: Disclosure,
) -> Result<Judge, Problem> {
    let (is_brief, shared, gallery) = (gallery.is_counted(), state.clone(), gallery.clone());
    let judge = move || {
        let intake = shared.intake();
        intake.judge_for(shared.engine(), &gallery, bar, disclosure)
    };
    Ok(state.lanes().glance(is_brief, judge).await?)
}

/// Fails unless `key` may ask about the people in `partition` by ready embeddings: whoever chooses the
/// numbers of an embedding asks about the values of templates, one by one. Where there is no threshold, for
/// an encoder of which nothing is known, nobody could be identified without.
pub(super) async fn check_embeddings(
    state: &AppState,
    key: &Key,
    partition: &PartitionId,
) -> Result<(), Problem> {
    let Err(missing) = key.may(Scope::Embeddings) else {
        return Ok(());
    };
    let (shared, partition) = (state.clone(), partition.clone());
    let least = move || -> Result<Option<Option<f64>>, JudgeError> {
        let engine = shared.engine();
        let gallery = engine.enrolled(&partition)?;
        let least = gallery.map(|gallery| shared.intake().least_verification(engine, &gallery));
        least.transpose()
    };
    match state.lanes().small(least).await? {
        Some(None) => Ok(()),
        _ => Err(missing),
    }
}

/// How often a stranger is taken for one person, as an answer tells it; null if that is not known.
pub(super) fn fmr(bar: &VerificationBar) -> Option<RateReport> {
    bar.fmr.map(RateReport::from)
}

/// What is searched for, so that a judge can decide: never the first alone, since how sure it is hangs on
/// the second.
pub(super) fn options(judge: &Judge, limit: usize) -> IdentifyOptions {
    IdentifyOptions {
        limit: limit.max(2),
        threshold: judge.threshold(),
    }
}

/// What is decided of those who were found, of whom `limit` stay, and how sure the first is. How alike they
/// are is then as the caller is told it, and so is all that follows from it.
pub(super) fn decide(judge: &Judge, found: &mut Vec<Match>, limit: usize) -> Decided {
    let verdict = judge.verdict(found).map(Decision::from);
    judge.tell(found);
    let confidence = judge.confidence(found);
    let confidence = confidence.map(|confidence| judge.disclosure().score(confidence));
    found.truncate(limit);
    (verdict, confidence)
}

impl From<JudgeError> for Problem {
    fn from(error: JudgeError) -> Problem {
        match error {
            JudgeError::Engine(error) => error.into(),
            JudgeError::Undisclosed(error) => error.into(),
            error => Problem::new(Code::NotCalibrated, error.to_string()),
        }
    }
}

impl From<Undisclosed> for Problem {
    fn from(error: Undisclosed) -> Problem {
        let remedy = "ask for a higher one or for none, or use a key that has the scope";
        Problem::scope_missing_for(Scope::Scores, &format!("{error}; {remedy}"))
    }
}
