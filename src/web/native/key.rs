//! Who calls: the holder of an API key.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::super::audited;
use super::super::auth::credentials;
use super::super::logins::Shown;
use super::super::notes::{Caller, Notes};
use super::super::room::Sender;
use super::super::state::AppState;
use super::problem::{Code, Problem};
use crate::access::{ApiKey, ApiKeyProof, Scope};
use crate::audit::Actor;
use crate::intake::{Disclosure, Intake};
use crate::turns::Account;
use crate::types::PartitionId;

/// A key that is valid now, and who sent it from where.
pub(super) struct Key(pub(super) ApiKey, pub(super) Actor);

impl Key {
    /// What can go wrong with the key itself.
    pub(super) const FAILURES: &[Code] = &[
        Code::KeyMissing,
        Code::KeyInvalid,
        Code::KeyExpired,
        Code::TooManyFailed,
    ];
    /// How [`Key::may`] fails.
    pub(super) const MAY_FAILURES: &[Code] = &[Code::ScopeMissing];
    /// How [`Key::may_use`] fails.
    pub(super) const MAY_USE_FAILURES: &[Code] = &[Code::ScopeMissing, Code::PartitionNotAllowed];

    /// What its work is charged to.
    pub(super) fn account(&self) -> Account {
        Account::new(format_args!("key {}", self.0.id))
    }

    /// How exactly its holder is told how alike people are.
    pub(super) fn disclosure(&self, intake: &Intake) -> Disclosure {
        if self.0.scopes.contains(Scope::Scores) {
            return Disclosure::Exact;
        }
        Disclosure::Coarse {
            digits: intake.policy().score_digits,
        }
    }

    /// Fails unless the key has `scope`.
    pub(super) fn may(&self, scope: Scope) -> Result<(), Problem> {
        if self.0.scopes.contains(scope) {
            return Ok(());
        }
        Err(Problem::scope_missing(scope))
    }

    /// Fails unless the key has `scope` and reaches `partition`.
    pub(super) fn may_use(&self, scope: Scope, partition: &PartitionId) -> Result<(), Problem> {
        self.may(scope)?;
        if self.0.reach.permits(partition) {
            return Ok(());
        }
        let detail = format!("the key may not be used on the partition `{partition}`");
        Err(Problem::new(Code::PartitionNotAllowed, detail))
    }
}

impl FromRequestParts<AppState> for Key {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Key, Problem> {
        let text = credentials(&parts.headers, &["Bearer"])
            .and_then(|text| str::from_utf8(text).ok())
            .ok_or_else(|| {
                let detail = "expected the header `Authorization: Bearer` with an API key";
                Problem::unauthorized(Code::KeyMissing, detail)
            })?;
        let tried = state
            .gate()
            .admit(&parts.extensions, Shown::Key(text))
            .await?;
        match state.api_keys().authenticate(text, state.clock().now())? {
            ApiKeyProof::Valid(key) => {
                tried.succeeded();
                parts.extensions.insert(Sender::Key(key.id));
                let caller = Caller::Key(key.id);
                let actor = audited::actor(&parts.extensions, &caller);
                Notes::caller(&parts.extensions, caller);
                Ok(Key(key, actor))
            }
            ApiKeyProof::Expired(_) => {
                let detail = "the time of the API key is over";
                Err(Problem::unauthorized(Code::KeyExpired, detail))
            }
            ApiKeyProof::Nothing => {
                tried.failed().await?;
                let detail = "the API key is malformed, wrong or revoked";
                Err(Problem::unauthorized(Code::KeyInvalid, detail))
            }
        }
    }
}
