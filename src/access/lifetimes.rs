//! How long what a token begins goes on: what is kept for it must last as long.

use std::time::Duration;

/// How long a token is valid.
pub(super) const TOKEN: Duration = Duration::from_secs(600);
/// How long a result can be read after its token has expired.
pub(super) const RESULT_AFTER_EXPIRY: Duration = Duration::from_secs(3600);
