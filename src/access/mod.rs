//! Who may do what: client apps, the tokens they are issued, and the attempts a token has left.
//!
//! * [`Apps`] are the programs that integrate the service. Each has an [`AppId`] and an
//!   [`AppSecret`], of which only a keyed hash is kept, and may use one storage, or one partition
//!   of it.
//! * [`Tokens`] issues and checks the signed texts that an app hands to its users' devices. A token
//!   names one class, one [`Task`] and how often it may be tried, for ten minutes.
//! * [`Attempts`] counts those tries, durably and exactly, however many arrive at once.
//! * [`ApiKeys`] are what programs of the native API show. Each has [`Scopes`] and a [`Reach`]; of
//!   them, too, only a keyed hash is kept.
//! * [`Decisions`] are identifications that two people must confirm, each with a key of their own.
//! * [`Results`] keeps what came of a token's last task, for the app that issued it.
//!
//! Who fails to prove who they are again and again is answered later ([`Logins`]), and nobody else.
//!
//! [`ServerKey`] keys the hashes and signs the tokens. Time and randomness come in as arguments.
//! Nothing here knows HTTP, and nothing here prints a secret, a token or a key: their `Debug` shows
//! that they are there, no more.

mod api_keys;
mod apps;
mod attempts;
mod challenge;
mod decisions;
mod grant;
mod known_key;
mod lifetimes;
mod logins;
mod payload;
mod receipts;
mod results;
mod server_key;
mod token_hash;
mod tokens;

pub use api_keys::{
    ApiKey, ApiKeyError, ApiKeyId, ApiKeyProof, ApiKeySecret, ApiKeys, NewApiKey,
    ParseApiKeyIdError, ParseScopeError, Reach, Scope, Scopes,
};
pub use apps::{App, AppError, AppId, AppSecret, AppSecretError, Apps, ParseAppIdError};
pub use attempts::{Attempt, AttemptError, Attempts};
pub use challenge::{Challenge, ChallengeError};
pub use decisions::{
    Candidate, Decision, DecisionError, DecisionId, DecisionPlace, Decisions, ParseDecisionIdError,
    Standing, Vote,
};
pub use grant::{Claims, Grant, Task, Trait, Traits};
pub use logins::{Admitted, Flood, Login, LoginName, Logins, TooManyFailed};
pub use results::{Results, TaskMatch, TaskResult};
pub use server_key::{Retire, ServerKey, ServerKeyError};
pub use tokens::{Token, TokenError, Tokens};
