//! How the claims of a token are written, which clients of the old service read.

use std::fmt::Write;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::grant::{Claims, Task, Traits};
use crate::types::Timestamp;

/// Who issues tokens, as clients expect it.
pub(super) const ISSUER: &str = "BWS";

/// The bits of the claim `task`.
mod flag {
    pub(super) const TRIES: u32 = 0x000f;
    pub(super) const TASK: u32 = 0x00f0;
    pub(super) const VERIFY: u32 = 0x0000;
    pub(super) const IDENTIFY: u32 = 0x0010;
    pub(super) const ENROLL: u32 = 0x0020;
    pub(super) const LIVENESS: u32 = 0x0080;
    pub(super) const LIVE: u32 = 0x0100;
    pub(super) const CHALLENGE: u32 = 0x0200;
    pub(super) const AUTO_ENROLL: u32 = 0x1000;
}

/// The claims as they stand in a token, in this order.
#[derive(Serialize, Deserialize)]
pub(super) struct Payload {
    tokenid: String,
    clnt: String,
    app: String,
    bcid: String,
    task: u32,
    traits: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    challenge: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mirrored: Option<bool>,
    iss: String,
    aud: String,
    nbf: i64,
    exp: i64,
}

impl Payload {
    pub(super) fn new(claims: &Claims, audience: &str) -> Payload {
        let mut task = u32::from(claims.max_tries) | claims.task.flag();
        for (set, bit) in [
            (claims.live, flag::LIVE),
            (claims.challenge.is_some(), flag::CHALLENGE),
            (claims.auto_enroll, flag::AUTO_ENROLL),
        ] {
            task |= if set { bit } else { 0 };
        }
        let challenge = claims.challenge.as_ref();
        Payload {
            tokenid: claims.id.hyphenated().to_string(),
            clnt: claims.app_name.clone(),
            app: claims.app.to_string(),
            bcid: claims.bcid.with_slashes(),
            task,
            traits: claims.traits.0,
            challenge: challenge.map(|challenge| {
                serde_json::to_string(challenge).expect("words in lists become JSON")
            }),
            mirrored: claims.mirrored,
            iss: ISSUER.to_owned(),
            aud: audience.to_owned(),
            nbf: claims.not_before.unix_seconds(),
            exp: claims.expires.unix_seconds(),
        }
    }

    /// `None` if a claim cannot be: then somebody else used our key.
    pub(super) fn into_claims(self) -> Option<Claims> {
        let challenge = match &self.challenge {
            Some(text) => Some(serde_json::from_str(text).ok()?),
            None => None,
        };
        let max_tries = u8::try_from(self.task & flag::TRIES).ok()?;
        if max_tries == 0 {
            return None;
        }
        Some(Claims {
            id: Uuid::try_parse(&self.tokenid).ok()?,
            app_name: self.clnt,
            app: self.app.parse().ok()?,
            bcid: self.bcid.parse().ok()?,
            task: Task::from_flags(self.task)?,
            max_tries,
            live: self.task & flag::LIVE != 0,
            challenge,
            mirrored: self.mirrored,
            auto_enroll: self.task & flag::AUTO_ENROLL != 0,
            traits: Traits(self.traits),
            not_before: Timestamp::from_unix_seconds(self.nbf),
            expires: Timestamp::from_unix_seconds(self.exp),
        })
    }
}

impl Task {
    fn flag(self) -> u32 {
        match self {
            Task::Verify => flag::VERIFY,
            Task::Identify => flag::IDENTIFY,
            Task::Enroll => flag::ENROLL,
            Task::LivenessDetection => flag::LIVENESS,
        }
    }

    fn from_flags(flags: u32) -> Option<Task> {
        match flags & flag::TASK {
            flag::VERIFY => Some(Task::Verify),
            flag::IDENTIFY => Some(Task::Identify),
            flag::ENROLL => Some(Task::Enroll),
            flag::LIVENESS => Some(Task::LivenessDetection),
            _ => None,
        }
    }
}

/// Writes what is not ASCII, and `~`, `?`, `>` and DEL, as `\u` and four hexadecimal digits.
///
/// The base64url form of what remains contains neither `-` nor `_`: their six bits are 111110 and
/// 111111, which need either a byte of 0xf8 or more, or the low bits of `>`, `~`, `?` or DEL. Pages
/// that decode a token with plain base64 depend on that. In JSON such characters only occur within
/// texts, where the escape means the same.
pub(super) fn escape(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    let mut units = [0; 2];
    for c in json.chars() {
        if c.is_ascii() && !matches!(c, '~' | '?' | '>' | '\u{7f}') {
            escaped.push(c);
        } else {
            for unit in c.encode_utf16(&mut units) {
                write!(escaped, "\\u{unit:04x}").expect("a text can be written to");
            }
        }
    }
    escaped
}
