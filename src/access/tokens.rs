//! Signed permissions for one task on one class.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Validation};
use rand::{CryptoRng, RngExt};
use uuid::Builder;

use super::grant::{Claims, Grant, Task};
use super::lifetimes;
use super::payload::{ISSUER, Payload, escape};
use super::server_key::RetiredKey;
use super::{App, AppError, Apps, Challenge, ServerKey, token_hash};
use crate::types::{Bcid, ClassId, PartitionId, Timestamp};

/// The header of every token. Fixed, so that nothing in a token chooses how it is checked.
const HEADER: &str = r#"{"typ":"JWT","alg":"HS256"}"#;
/// How far the clock may have been set back since a token was issued. Expiry has no such allowance.
const CLOCK_SET_BACK_MAX: Duration = Duration::from_secs(60);

/// A signed token. Whoever holds it may do what it says, so `Debug` shows the claims only.
#[derive(Clone)]
pub struct Token {
    text: String,
    claims: Claims,
}

/// Issues tokens and checks them.
pub struct Tokens {
    audience: String,
    validation: Validation,
    keys: RwLock<Arc<Keys>>,
}

/// The keys that sign and check.
struct Keys {
    signing: EncodingKey,
    checking: DecodingKey,
    /// Keys that only check, and what is known of each.
    retired: Vec<(DecodingKey, RetiredKey)>,
}

/// Why a token is not issued or not accepted. The text names the cause and never shows the token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// A token for this task needs a class.
    #[error("a token for this task needs a BCID")]
    NoBcid,
    /// The app may not use the class, or may no longer use it.
    #[error("the app may not use the class `{bcid}`")]
    NotPermitted {
        /// The class.
        bcid: Bcid,
    },
    /// The number of tries is out of range.
    #[error("{found} tries are outside 1 to {max}", max = Grant::TRIES_MAX)]
    Tries {
        /// How many were asked for.
        found: u8,
    },
    /// The number of head movements is out of range.
    #[error(transparent)]
    Challenge(#[from] super::ChallengeError),
    /// The text is no token of the kind issued here.
    #[error("the token is malformed: expected a JSON web token signed with HS256")]
    Malformed,
    /// Another key signed the token, or somebody changed it.
    #[error("the signature of the token is not ours")]
    Signature,
    /// The token was issued by or for another installation.
    #[error("the token belongs to another installation")]
    Foreign,
    /// The token is not valid yet.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// The time of the token is over.
    #[error("the token has expired")]
    Expired,
    /// The app that the token was issued to has been removed.
    #[error("the app of the token no longer exists")]
    NoSuchApp,
    /// The apps could not be looked up.
    #[error(transparent)]
    Apps(#[from] AppError),
}

impl Token {
    /// The text to be handed to the client.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// What the token says.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("claims", &self.claims)
            .finish_non_exhaustive()
    }
}

impl Tokens {
    /// How long a token is valid.
    pub const LIFETIME: Duration = lifetimes::TOKEN;

    /// Signs with `key` for the installation whose public URL is `audience`.
    pub fn new(key: &ServerKey, audience: &str) -> Tokens {
        token_hash::install();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_required_spec_claims(&["iss", "aud"]);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[audience]);
        // Times are compared with the clock that callers pass, not with that of the library.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        Tokens {
            audience: audience.to_owned(),
            validation,
            keys: RwLock::new(Arc::new(Keys::new(key))),
        }
    }

    /// Signs with `key` from now on. What it has retired is still good for what it signed.
    pub fn renew(&self, key: &ServerKey) {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        *keys = Arc::new(Keys::new(key));
    }

    /// Issues a token to `app` for what `grant` asks, valid from `now`.
    ///
    /// # Errors
    ///
    /// If the app may not use the class, or a number in `grant` is out of range.
    pub fn issue(
        &self,
        app: &App,
        grant: &Grant,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<Token, TokenError> {
        if !(1..=Grant::TRIES_MAX).contains(&grant.max_tries) {
            return Err(TokenError::Tries {
                found: grant.max_tries,
            });
        }
        let live = grant.live || grant.task == Task::LivenessDetection;
        let challenge = match grant.challenge_length {
            Some(length) if live => Some(Challenge::random(grant.max_tries, length, rng)?),
            _ => None,
        };
        let mut id = [0; 16];
        rng.fill(&mut id);
        let not_before = Timestamp::from_unix_seconds(now.unix_seconds());
        let claims = Claims {
            id: Builder::from_random_bytes(id).into_uuid(),
            app_name: app.name.clone(),
            app: app.id.clone(),
            bcid: class_of(app, grant)?,
            task: grant.task,
            max_tries: grant.max_tries,
            live,
            challenge,
            mirrored: grant.mirrored.filter(|_| live),
            auto_enroll: grant.auto_enroll && grant.task == Task::Verify,
            traits: grant.traits,
            not_before,
            expires: not_before.after(Tokens::LIFETIME),
        };
        Ok(Token {
            text: self.sign(&claims),
            claims,
        })
    }

    /// What the token `text` says, if it is one of ours, its time has come and is not over, and
    /// its app is still there and may still use the class.
    ///
    /// # Errors
    ///
    /// If any of this is not so. [`TokenError::Apps`] alone is no fault of the token.
    pub fn check(&self, text: &str, apps: &Apps, now: Timestamp) -> Result<Claims, TokenError> {
        let claims = self.read(text, now)?;
        if now >= claims.expires {
            return Err(TokenError::Expired);
        }
        let app = apps.find(&claims.app)?.ok_or(TokenError::NoSuchApp)?;
        if !app.permits(&claims.bcid.partition) {
            return Err(TokenError::NotPermitted { bcid: claims.bcid });
        }
        Ok(claims)
    }

    /// What the token `text` says, if it is one of ours and its time has come. It may be over, and
    /// the app may be gone.
    ///
    /// # Errors
    ///
    /// If any of this is not so.
    pub fn read(&self, text: &str, now: Timestamp) -> Result<Claims, TokenError> {
        let claims = self.verified(text, now)?;
        if now.after(CLOCK_SET_BACK_MAX) < claims.not_before {
            return Err(TokenError::NotYetValid);
        }
        Ok(claims)
    }

    /// The claims of a token that one of our keys signed, while it could.
    fn verified(&self, text: &str, now: Timestamp) -> Result<Claims, TokenError> {
        let keys = self.keys();
        match self.decoded(text, &keys.checking) {
            Err(TokenError::Signature) => {}
            found => return found,
        }
        for (checking, retired) in &keys.retired {
            if !retired.is_good(now) {
                continue;
            }
            match self.decoded(text, checking) {
                Err(TokenError::Signature) => {}
                // Whoever came to know an old key can say anything with it, but not for long.
                Ok(claims) if !retired.can_have_signed(claims.expires) => {
                    return Err(TokenError::Signature);
                }
                found => return found,
            }
        }
        Err(TokenError::Signature)
    }

    fn decoded(&self, text: &str, key: &DecodingKey) -> Result<Claims, TokenError> {
        let payload =
            jsonwebtoken::decode::<Payload>(text, key, &self.validation).map_err(|error| {
                match error.kind() {
                    ErrorKind::InvalidSignature => TokenError::Signature,
                    ErrorKind::InvalidIssuer | ErrorKind::InvalidAudience => TokenError::Foreign,
                    _ => TokenError::Malformed,
                }
            })?;
        payload.claims.into_claims().ok_or(TokenError::Malformed)
    }

    fn keys(&self) -> Arc<Keys> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.clone()
    }

    fn sign(&self, claims: &Claims) -> String {
        let payload = Payload::new(claims, &self.audience);
        let json = serde_json::to_string(&payload).expect("texts and numbers become JSON");
        let mut text = BASE64_URL_SAFE_NO_PAD.encode(HEADER);
        text.push('.');
        BASE64_URL_SAFE_NO_PAD.encode_string(escape(&json), &mut text);
        let signature =
            jsonwebtoken::crypto::sign(text.as_bytes(), &self.keys().signing, Algorithm::HS256)
                .expect("the key is one for this algorithm");
        text.push('.');
        text.push_str(&signature);
        text
    }
}

impl Keys {
    fn new(key: &ServerKey) -> Keys {
        let retired = key.retired().iter();
        Keys {
            signing: EncodingKey::from_secret(key.for_tokens()),
            checking: DecodingKey::from_secret(key.for_tokens()),
            retired: retired
                .map(|retired| (DecodingKey::from_secret(&retired.key), retired.clone()))
                .collect(),
        }
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens")
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}

/// The class that a token names: the one asked for. For liveness alone clients send anything, so
/// that what is of no use there is replaced by class 0 of what the app may use.
fn class_of(app: &App, grant: &Grant) -> Result<Bcid, TokenError> {
    if grant.task == Task::LivenessDetection {
        let usable = |bcid: &&Bcid| app.permits(&bcid.partition);
        return Ok(grant
            .bcid
            .as_ref()
            .filter(usable)
            .cloned()
            .unwrap_or_else(|| {
                let partition = PartitionId::new(app.storage.clone(), app.partition.unwrap_or(0));
                Bcid::new(partition, ClassId(0))
            }));
    }
    let bcid = grant.bcid.clone().ok_or(TokenError::NoBcid)?;
    if !app.permits(&bcid.partition) {
        return Err(TokenError::NotPermitted { bcid });
    }
    Ok(bcid)
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::super::Retire;
    use super::super::Traits;
    use super::super::apps::tests::store;
    use super::*;
    use crate::partition::Store;

    const NOW: Timestamp = Timestamp {
        unix_milliseconds: 1_700_000_000_999,
    };
    const URL: &str = "https://faces.example.org";

    /// The claims of some token with this many tries.
    pub(crate) fn claims(now: Timestamp, max_tries: u8) -> Claims {
        let mut id = [0; 16];
        rand::rng().fill(&mut id);
        Claims {
            id: Builder::from_random_bytes(id).into_uuid(),
            app_name: "Test".to_owned(),
            app: Uuid::from_bytes(id).to_string().parse().unwrap(),
            bcid: "bws.1.2".parse().unwrap(),
            task: Task::Identify,
            max_tries,
            live: false,
            challenge: None,
            mirrored: None,
            auto_enroll: false,
            traits: Traits::FACE,
            not_before: now,
            expires: now.after(Tokens::LIFETIME),
        }
    }

    struct Fixture {
        _directory: tempfile::TempDir,
        store: Arc<Store>,
        key: ServerKey,
        apps: Apps,
        app: App,
        tokens: Tokens,
    }

    fn fixture() -> Fixture {
        let (directory, store) = store();
        let key = ServerKey::random(&mut rand::rng());
        let apps = Apps::new(store.clone(), &key);
        let storage = "bws".parse().unwrap();
        let created = apps.create("Ü ~?> app", storage, None, NOW, &mut rand::rng());
        Fixture {
            _directory: directory,
            store,
            tokens: Tokens::new(&key, URL),
            app: created.unwrap().0,
            key,
            apps,
        }
    }

    fn grant(task: Task) -> Grant {
        Grant {
            bcid: Some("bws.112.-987".parse().unwrap()),
            task,
            max_tries: 3,
            live: true,
            challenge_length: None,
            mirrored: None,
            auto_enroll: false,
            traits: Traits::FACE,
        }
    }

    fn payload(text: &str) -> Value {
        let parts: Vec<&str> = text.split('.').collect();
        assert_eq!(parts.len(), 3);
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap()
    }

    /// Signs a payload as the service does, to make tokens that it would not issue.
    fn forge(key: &[u8], header: &str, payload: &Value) -> String {
        let header = BASE64_URL_SAFE_NO_PAD.encode(header);
        let body = format!(
            "{header}.{}",
            BASE64_URL_SAFE_NO_PAD.encode(payload.to_string())
        );
        let key = EncodingKey::from_secret(key);
        let signature = jsonwebtoken::crypto::sign(body.as_bytes(), &key, Algorithm::HS256);
        format!("{body}.{}", signature.unwrap())
    }

    #[test]
    fn claims_are_those_of_the_reference_in_its_order() {
        let f = fixture();
        let mut asked = grant(Task::Enroll);
        asked.challenge_length = Some(3);
        let token = f
            .tokens
            .issue(&f.app, &asked, NOW, &mut rand::rng())
            .unwrap();
        let found = payload(token.expose());
        let json = BASE64_URL_SAFE_NO_PAD.decode(token.expose().split('.').nth(1).unwrap());
        let json = String::from_utf8(json.unwrap()).unwrap();
        let names = [
            "tokenid",
            "clnt",
            "app",
            "bcid",
            "task",
            "traits",
            "challenge",
            "iss",
            "aud",
            "nbf",
            "exp",
        ];
        let places = names.map(|name| json.find(&format!("\"{name}\":")).unwrap());
        assert!(places.is_sorted(), "{json}");
        assert_eq!(found.as_object().unwrap().len(), names.len());
        assert_eq!(found["bcid"], "bws/112/-987");
        assert_eq!(found["clnt"], "Ü ~?> app");
        assert_eq!(found["app"], f.app.id.to_string());
        assert_eq!((&found["iss"], &found["aud"]), (&json!("BWS"), &json!(URL)));
        assert_eq!(found["nbf"], 1_700_000_000);
        assert_eq!(found["exp"], 1_700_000_600);
        assert_eq!(found["task"], 0x323);
        assert_eq!(found["traits"], 1);
        let challenge: Vec<Vec<String>> =
            serde_json::from_str(found["challenge"].as_str().unwrap()).unwrap();
        assert_eq!(challenge.len(), 3);
        assert!(challenge.iter().all(|sequence| sequence.len() == 3));
        let header = token.expose().split('.').next().unwrap();
        let header = BASE64_URL_SAFE_NO_PAD.decode(header).unwrap();
        assert_eq!(header, br#"{"typ":"JWT","alg":"HS256"}"#);
    }

    #[test]
    fn task_flags_are_those_of_the_tokens_seen_in_the_wild() {
        let f = fixture();
        let flags = |grant: &Grant| {
            let token = f
                .tokens
                .issue(&f.app, grant, NOW, &mut rand::rng())
                .unwrap();
            payload(token.expose())["task"].as_u64().unwrap()
        };
        assert_eq!(flags(&grant(Task::Verify)), 259);
        assert_eq!(flags(&grant(Task::Enroll)), 291);
        let mut asked = grant(Task::Identify);
        asked.live = false;
        // Neither counts without what it belongs to.
        asked.challenge_length = Some(3);
        asked.auto_enroll = true;
        asked.max_tries = 15;
        assert_eq!(flags(&asked), 0x1f);
        let mut asked = grant(Task::LivenessDetection);
        asked.live = false;
        assert_eq!(flags(&asked), 0x183);
        let mut asked = grant(Task::Verify);
        asked.auto_enroll = true;
        assert_eq!(flags(&asked), 0x1103);
    }

    #[test]
    fn what_was_issued_is_accepted_until_it_expires() {
        let f = fixture();
        let asked = grant(Task::Identify);
        let token = f
            .tokens
            .issue(&f.app, &asked, NOW, &mut rand::rng())
            .unwrap();
        let check = |now| f.tokens.check(token.expose(), &f.apps, now);
        assert_eq!(check(NOW).unwrap(), *token.claims());
        let end = token.claims().expires;
        assert_eq!(
            end.unix_seconds() - token.claims().not_before.unix_seconds(),
            600
        );
        let last = Timestamp {
            unix_milliseconds: end.unix_milliseconds - 1,
        };
        assert!(check(last).is_ok());
        assert!(matches!(check(end), Err(TokenError::Expired)));
        let set_back = |seconds| Timestamp::from_unix_seconds(NOW.unix_seconds() - seconds);
        assert!(check(set_back(60)).is_ok());
        assert!(matches!(check(set_back(61)), Err(TokenError::NotYetValid)));
    }

    #[test]
    fn nothing_but_our_signature_under_hs256_is_accepted() {
        let f = fixture();
        let asked = grant(Task::Identify);
        let token = f
            .tokens
            .issue(&f.app, &asked, NOW, &mut rand::rng())
            .unwrap();
        let good = payload(token.expose());
        let key = f.key.for_tokens();
        assert!(
            f.tokens
                .check(&forge(key, HEADER, &good), &f.apps, NOW)
                .is_ok()
        );

        let other_key = forge(&[7; 32], HEADER, &good);
        let found = f.tokens.check(&other_key, &f.apps, NOW);
        assert!(matches!(found, Err(TokenError::Signature)));

        let parts: Vec<&str> = token.expose().split('.').collect();
        let mut raised = good.clone();
        raised["task"] = json!(0x2f);
        let raised = BASE64_URL_SAFE_NO_PAD.encode(raised.to_string());
        let changed = format!("{}.{raised}.{}", parts[0], parts[2]);
        let found = f.tokens.check(&changed, &f.apps, NOW);
        assert!(matches!(found, Err(TokenError::Signature)));

        for header in [
            r#"{"typ":"JWT","alg":"none"}"#,
            r#"{"typ":"JWT","alg":"HS512"}"#,
            r#"{"typ":"JWT","alg":"RS256"}"#,
            r#"{"typ":"JWT"}"#,
            "",
        ] {
            let found = f.tokens.check(&forge(key, header, &good), &f.apps, NOW);
            assert!(matches!(found, Err(TokenError::Malformed)), "{header}");
        }
        let none = BASE64_URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"none"}"#);
        for text in [
            String::new(),
            ".".to_owned(),
            "..".to_owned(),
            "no token".to_owned(),
            format!("{}.{}", parts[0], parts[1]),
            format!("{}.{}.", parts[0], parts[1]),
            format!("{none}.{}.", parts[1]),
            format!("{}.x", token.expose()),
        ] {
            assert!(f.tokens.check(&text, &f.apps, NOW).is_err(), "{text}");
        }
    }

    #[test]
    fn tokens_of_other_installations_and_impossible_claims_are_refused() {
        let f = fixture();
        let asked = grant(Task::Identify);
        let token = f
            .tokens
            .issue(&f.app, &asked, NOW, &mut rand::rng())
            .unwrap();
        let good = payload(token.expose());
        for (name, value, foreign) in [
            ("iss", json!("other"), true),
            ("aud", json!("https://other.example.org"), true),
            ("task", json!(0x10), false),
            ("task", json!(0x43), false),
            ("bcid", json!("bws"), false),
            ("app", json!("not an id"), false),
            ("challenge", json!("[]]"), false),
            ("exp", json!("soon"), false),
        ] {
            let mut bad = good.clone();
            bad[name] = value;
            let text = forge(f.key.for_tokens(), HEADER, &bad);
            match f.tokens.check(&text, &f.apps, NOW) {
                Err(TokenError::Foreign) => assert!(foreign, "{name}"),
                Err(TokenError::Malformed) => assert!(!foreign, "{name}"),
                other => panic!("{name}: {other:?}"),
            }
        }
        for name in ["iss", "aud", "exp", "nbf", "tokenid", "app", "task"] {
            let mut bad = good.clone();
            bad.as_object_mut().unwrap().remove(name);
            let text = forge(f.key.for_tokens(), HEADER, &bad);
            assert!(f.tokens.check(&text, &f.apps, NOW).is_err(), "{name}");
        }
        let elsewhere = Tokens::new(&f.key, "https://other.example.org");
        let found = elsewhere.check(token.expose(), &f.apps, NOW);
        assert!(matches!(found, Err(TokenError::Foreign)));
    }

    #[test]
    fn a_removed_app_takes_its_tokens_with_it() {
        let f = fixture();
        let asked = grant(Task::Identify);
        let token = f
            .tokens
            .issue(&f.app, &asked, NOW, &mut rand::rng())
            .unwrap();
        f.apps.remove(&f.app.id).unwrap();
        let found = f.tokens.check(token.expose(), &f.apps, NOW);
        assert!(matches!(found, Err(TokenError::NoSuchApp)));
        let other = Apps::new(f.store.clone(), &f.key);
        assert!(f.tokens.check(token.expose(), &other, NOW).is_err());
    }

    #[test]
    fn a_class_outside_the_storage_gets_no_token() {
        let f = fixture();
        let mut asked = grant(Task::Enroll);
        asked.bcid = Some("other.112.1".parse().unwrap());
        let refused = f.tokens.issue(&f.app, &asked, NOW, &mut rand::rng());
        assert!(matches!(refused, Err(TokenError::NotPermitted { .. })));
        asked.bcid = None;
        let refused = f.tokens.issue(&f.app, &asked, NOW, &mut rand::rng());
        assert!(matches!(refused, Err(TokenError::NoBcid)));
        asked.task = Task::LivenessDetection;
        let token = f
            .tokens
            .issue(&f.app, &asked, NOW, &mut rand::rng())
            .unwrap();
        assert_eq!(payload(token.expose())["bcid"], "bws/0/0");
        assert!(f.tokens.check(token.expose(), &f.apps, NOW).is_ok());
    }

    #[test]
    fn a_rotated_key_goes_on_serving_its_tokens_and_nothing_else() {
        let mut f = fixture();
        let directory = f._directory.path().to_owned();
        f.key = ServerKey::open_or_create(&directory, &mut rand::rng()).unwrap();
        f.tokens = Tokens::new(&f.key, URL);
        let issue = |tokens: &Tokens, now| {
            let issued = tokens.issue(&f.app, &grant(Task::Identify), now, &mut rand::rng());
            issued.unwrap().expose().to_owned()
        };
        let seconds = |seconds| NOW.after(Duration::from_secs(seconds));
        let old = issue(&f.tokens, NOW);
        let new_key = ServerKey::rotate(&directory, Retire::Keep, NOW, &mut rand::rng()).unwrap();
        // A service that has not looked yet still signs with the old key.
        let late = issue(&f.tokens, seconds(59));
        let forged = issue(&f.tokens, seconds(62));
        f.tokens.renew(&new_key);
        let new = issue(&f.tokens, NOW);
        for good in [&old, &late, &new] {
            assert!(f.tokens.check(good, &f.apps, seconds(60)).is_ok());
        }
        let refused = f.tokens.check(&forged, &f.apps, seconds(62));
        assert!(matches!(refused, Err(TokenError::Signature)));
        // Its result can be read for an hour more, as long as the key is kept.
        assert!(f.tokens.read(&old, seconds(600 + 3600)).is_ok());
        assert!(f.tokens.read(&old, seconds(60 + 600 + 3600)).is_err());
        assert!(f.tokens.read(&new, seconds(60 + 600 + 3600)).is_ok());
        let forgotten =
            ServerKey::rotate(&directory, Retire::Forget, NOW, &mut rand::rng()).unwrap();
        f.tokens.renew(&forgotten);
        for bad in [&old, &late, &new] {
            let refused = f.tokens.check(bad, &f.apps, NOW);
            assert!(matches!(refused, Err(TokenError::Signature)));
        }
    }

    #[test]
    fn tries_are_from_1_to_15() {
        let f = fixture();
        for (max_tries, good) in [(0, false), (1, true), (15, true), (16, false)] {
            let mut asked = grant(Task::Identify);
            asked.max_tries = max_tries;
            let issued = f.tokens.issue(&f.app, &asked, NOW, &mut rand::rng());
            assert_eq!(issued.is_ok(), good, "{max_tries}");
        }
    }

    #[test]
    fn debug_shows_neither_token_nor_key() {
        let f = fixture();
        let asked = grant(Task::Identify);
        let token = f
            .tokens
            .issue(&f.app, &asked, NOW, &mut rand::rng())
            .unwrap();
        let signature = token.expose().rsplit('.').next().unwrap();
        assert!(!format!("{token:?}").contains(signature));
        assert_eq!(
            format!("{:?}", f.tokens),
            format!("Tokens {{ audience: {URL:?}, .. }}")
        );
    }

    proptest! {
        #[test]
        fn a_payload_has_neither_hyphen_nor_underscore(
            name in "\\PC{0,40}|[~?>\u{7f}a\u{10ffff}é]{0,12}",
            audience in "[ -~\u{7f}]{0,40}",
            shift in 0_usize..3,
        ) {
            let key = ServerKey::random(&mut rand::rng());
            let mut claims = claims(NOW, 3);
            // All alignments of the characters to the groups of three that base64 encodes.
            claims.app_name = format!("{}{name}", "x".repeat(shift));
            let text = Tokens::new(&key, &audience).sign(&claims);
            let body = text.split('.').nth(1).unwrap();
            prop_assert!(!body.contains(['-', '_']), "{body}");
            prop_assert_eq!(&payload(&text)["clnt"], &json!(claims.app_name));
            prop_assert_eq!(&payload(&text)["aud"], &json!(audience));
        }
    }
}
