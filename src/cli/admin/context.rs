//! What verbs need, whoever carries them out.

use crate::access::ServerKey;
use crate::engine::Engine;
use crate::web::AppState;

/// What verbs work with that change apps and keys.
#[derive(Debug)]
pub(in crate::cli) struct Context {
    /// The data directory, open to be changed.
    pub(in crate::cli) engine: Engine,
    /// What secrets are hashed with.
    pub(in crate::cli) key: ServerKey,
    /// The service, if verbs are carried out in one.
    pub(in crate::cli) service: Option<AppState>,
}

impl Context {
    /// The data directory with the key that is in it, which is made if there is none.
    pub(in crate::cli) fn of(engine: Engine) -> anyhow::Result<Context> {
        let key = ServerKey::of_store(engine.store(), &mut rand::rng())?;
        Ok(Context {
            engine,
            key,
            service: None,
        })
    }
}
