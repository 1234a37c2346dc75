//! Receipts: signed words that somebody was removed, and when nothing was stored of them any more.

use std::io;

use serde::{Deserialize, Serialize};

use super::signing::{AuditKey, PublicKey};
use crate::types::RemovalReason;

/// Before everything that is signed, with the version behind it, so that a signature of anything else is none
/// of a receipt.
const PURPOSE: &str = "vultus receipt";

/// The version of receipts. Those of version 1 do not say for which reason.
const VERSION: u32 = 2;

/// The class of a receipt that is about a whole partition.
const ALL_CLASSES: &str = "*";

/// The longest text that is read as a receipt: ten times what one has.
const RECEIPT_BYTES_MAX: usize = 8 << 10;

/// Signed words that somebody was removed, in the order of their JSON object. `vultus audit verify-receipt`
/// verifies them without the service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The version of the format, 2.
    pub receipt: u32,
    /// By which it is asked for again.
    pub id: String,
    /// The identity of the data directory, 16 hexadecimal digits.
    pub data_directory: String,
    /// From which partition somebody was removed.
    pub partition: String,
    /// Which class that was; `*` if it was the whole partition.
    pub class: String,
    /// Why: `deleted`, `expired`, `merged` or `partition_removed`. Receipts of version 1 do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Which class the templates went to, of one that was merged into another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub into: Option<String>,
    /// How many templates it had.
    pub templates: u64,
    /// When the removal was asked for, in milliseconds since 1970 in UTC. No search finds them since.
    pub asked_unix_milliseconds: i64,
    /// When all that was stored of them here was overwritten; null if it is not yet.
    pub erased_unix_milliseconds: Option<i64>,
    /// Until when at most snapshots of the service may have copies, while it runs; null where that is not known,
    /// as when they are made or kept by others.
    pub snapshots_until_unix_milliseconds: Option<i64>,
    /// The key that signed it, 64 hexadecimal digits: that of the audit log.
    pub public_key: String,
    /// The signature, 128 hexadecimal digits: of the words `vultus receipt 2`, a line feed, and this object as
    /// compact JSON with an empty signature.
    pub signature: String,
}

/// What is said in a receipt, before it is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// As [`Receipt::id`].
    pub id: String,
    /// As [`Receipt::data_directory`].
    pub data_directory: String,
    /// As [`Receipt::partition`].
    pub partition: String,
    /// As [`Receipt::class`]; `None` is the whole partition.
    pub class: Option<String>,
    /// As [`Receipt::reason`].
    pub reason: RemovalReason,
    /// As [`Receipt::into`].
    pub into: Option<String>,
    /// As [`Receipt::templates`].
    pub templates: u64,
    /// As [`Receipt::asked_unix_milliseconds`].
    pub asked_unix_milliseconds: i64,
    /// As [`Receipt::erased_unix_milliseconds`].
    pub erased_unix_milliseconds: Option<i64>,
    /// As [`Receipt::snapshots_until_unix_milliseconds`].
    pub snapshots_until_unix_milliseconds: Option<i64>,
}

/// Why a text is no receipt that can be believed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiptError {
    /// It is none.
    #[error("it is no receipt")]
    NotAReceipt(#[source] serde_json::Error),
    /// It is longer than any receipt.
    #[error("it is no receipt: it has {found} bytes, and a receipt at most {RECEIPT_BYTES_MAX}")]
    TooLong {
        /// How many it has.
        found: usize,
    },
    /// It was made by a newer version.
    #[error(
        "it is a receipt of version {found}, and this build reads 1 to {VERSION}: use a newer build"
    )]
    Version {
        /// The version found.
        found: u32,
    },
    /// It names a key that is none.
    #[error("it names a public key that is none: expected 64 hexadecimal digits")]
    NoKey,
    /// Another key signed it than was expected.
    #[error("it is signed with the key {found}, and not with {expected}")]
    OtherKey {
        /// The key that was expected.
        expected: PublicKey,
        /// The key that it names.
        found: PublicKey,
    },
    /// It is not what was signed.
    #[error("it is not what was signed with the key {key}: somebody changed it")]
    Forged {
        /// The key that it was to be signed with.
        key: PublicKey,
    },
}

impl Receipt {
    /// Signs that somebody was removed.
    pub fn sign(of: Removal, key: &AuditKey) -> Receipt {
        let mut receipt = Receipt {
            receipt: VERSION,
            id: of.id,
            data_directory: of.data_directory,
            partition: of.partition,
            class: of.class.unwrap_or_else(|| ALL_CLASSES.to_owned()),
            reason: Some(of.reason.name().to_owned()),
            into: of.into,
            templates: of.templates,
            asked_unix_milliseconds: of.asked_unix_milliseconds,
            erased_unix_milliseconds: of.erased_unix_milliseconds,
            snapshots_until_unix_milliseconds: of.snapshots_until_unix_milliseconds,
            public_key: key.public().to_string(),
            signature: String::new(),
        };
        receipt.signature = key.sign_text(&receipt.signed());
        receipt
    }

    /// Reads a receipt, and believes it if `key` has signed it; without one, if the key that it names has,
    /// which says no more than that it is as it was made. How its JSON is set does not matter.
    ///
    /// # Errors
    ///
    /// If it is none, another key signed it, or it is not what was signed.
    pub fn verify(text: &[u8], key: Option<&PublicKey>) -> Result<Receipt, ReceiptError> {
        let found = text.len();
        if found > RECEIPT_BYTES_MAX {
            return Err(ReceiptError::TooLong { found });
        }
        let receipt: Receipt = serde_json::from_slice(text).map_err(ReceiptError::NotAReceipt)?;
        if !(1..=VERSION).contains(&receipt.receipt) {
            let found = receipt.receipt;
            return Err(ReceiptError::Version { found });
        }
        let found: PublicKey = receipt
            .public_key
            .parse()
            .map_err(|_| ReceiptError::NoKey)?;
        if let Some(&expected) = key
            && expected != found
        {
            return Err(ReceiptError::OtherKey { expected, found });
        }
        match found.has_signed_text(&receipt.signed(), &receipt.signature) {
            true => Ok(receipt),
            false => Err(ReceiptError::Forged { key: found }),
        }
    }

    /// Reads and verifies the receipt in a file.
    ///
    /// # Errors
    ///
    /// If it cannot be read; the inner one as [`Receipt::verify`].
    pub fn verify_file(
        path: &std::path::Path,
        key: Option<&PublicKey>,
    ) -> io::Result<Result<Receipt, ReceiptError>> {
        use std::io::Read;
        let mut text = Vec::new();
        let file = std::fs::File::open(path)?;
        // No more than tells that it is too long.
        file.take(RECEIPT_BYTES_MAX as u64 + 1)
            .read_to_end(&mut text)?;
        Ok(Receipt::verify(&text, key))
    }

    fn signed(&self) -> String {
        let unsigned = Receipt {
            signature: String::new(),
            ..self.clone()
        };
        let json = serde_json::to_string(&unsigned).expect("texts and numbers become JSON");
        format!("{PURPOSE} {}\n{json}", self.receipt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> AuditKey {
        AuditKey::from_seed(&[seed; 32])
    }

    fn removal() -> Removal {
        Removal {
            id: "019a".to_owned(),
            data_directory: "b7fd3a96c1e20458".to_owned(),
            partition: "bws.1".to_owned(),
            class: Some("17".to_owned()),
            reason: RemovalReason::Merged,
            into: Some("5".to_owned()),
            templates: 2,
            asked_unix_milliseconds: 1_790_000_000_123,
            erased_unix_milliseconds: Some(1_790_000_001_456),
            snapshots_until_unix_milliseconds: None,
        }
    }

    fn text(of: &Receipt) -> String {
        serde_json::to_string(of).unwrap()
    }

    #[test]
    fn a_receipt_is_believed_as_it_was_signed_however_its_json_is_set() {
        let receipt = Receipt::sign(removal(), &key(1));
        let public = key(1).public();
        for text in [
            text(&receipt),
            serde_json::to_string_pretty(&receipt).unwrap(),
        ] {
            assert_eq!(
                Receipt::verify(text.as_bytes(), Some(&public)).unwrap(),
                receipt
            );
            assert_eq!(Receipt::verify(text.as_bytes(), None).unwrap(), receipt);
        }
    }

    #[test]
    fn whatever_is_changed_is_found() {
        let receipt = Receipt::sign(removal(), &key(1));
        let public = key(1).public();
        type Change = fn(&mut Receipt);
        let changes: [Change; 14] = [
            |it| it.id = "019b".to_owned(),
            |it| it.data_directory.insert(0, '0'),
            |it| it.partition = "bws.2".to_owned(),
            |it| it.class = "18".to_owned(),
            |it| it.receipt = 1,
            |it| it.reason = None,
            |it| it.reason = Some("deleted".to_owned()),
            |it| it.into = None,
            |it| it.templates = 3,
            |it| it.asked_unix_milliseconds -= 1,
            |it| it.erased_unix_milliseconds = None,
            |it| it.erased_unix_milliseconds = Some(1),
            |it| it.snapshots_until_unix_milliseconds = Some(0),
            |it| it.signature = "0".repeat(128),
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut changed = receipt.clone();
            change(&mut changed);
            let error = Receipt::verify(text(&changed).as_bytes(), Some(&public)).unwrap_err();
            assert!(
                matches!(error, ReceiptError::Forged { .. }),
                "{number}: {error}"
            );
        }
        // A signature of something else with the same key.
        let other = Removal {
            class: Some("18".to_owned()),
            ..removal()
        };
        let mut swapped = receipt;
        swapped.signature = Receipt::sign(other, &key(1)).signature;
        assert!(Receipt::verify(text(&swapped).as_bytes(), None).is_err());
    }

    #[test]
    fn those_of_the_first_version_are_believed_as_they_were_signed() {
        let key = key(1);
        let json = format!(
            "{{\"receipt\":1,\"id\":\"019a\",\"data_directory\":\"b7fd3a96c1e20458\",\"partition\":\"bws.1\",\"class\":\"17\",\"templates\":2,\"asked_unix_milliseconds\":5,\"erased_unix_milliseconds\":null,\"snapshots_until_unix_milliseconds\":null,\"public_key\":\"{}\",\"signature\":\"\"}}",
            key.public()
        );
        let signature = key.sign_text(&format!("vultus receipt 1\n{json}"));
        let signed = json.replace(
            "\"signature\":\"\"",
            &format!("\"signature\":\"{signature}\""),
        );
        let receipt = Receipt::verify(signed.as_bytes(), Some(&key.public())).unwrap();
        assert_eq!((receipt.class.as_str(), receipt.reason), ("17", None));
        let forged = signed.replacen("\"templates\"", "\"reason\":\"deleted\",\"templates\"", 1);
        assert!(Receipt::verify(forged.as_bytes(), None).is_err());
        let newer = signed.replacen("\"receipt\":1", "\"receipt\":2", 1);
        assert!(Receipt::verify(newer.as_bytes(), None).is_err());
    }

    #[test]
    fn a_partition_is_told_from_a_class() {
        let of = Removal {
            class: None,
            reason: RemovalReason::PartitionRemoved,
            into: None,
            ..removal()
        };
        let receipt = Receipt::sign(of, &key(1));
        assert_eq!(receipt.class, "*");
    }

    #[test]
    fn another_key_another_version_and_what_is_no_receipt_are_named() {
        let receipt = Receipt::sign(removal(), &key(2));
        let public = key(1).public();
        let error = Receipt::verify(text(&receipt).as_bytes(), Some(&public)).unwrap_err();
        assert!(matches!(error, ReceiptError::OtherKey { .. }), "{error}");
        // Who names the right key has not signed with it.
        let mut named = receipt.clone();
        named.public_key = public.to_string();
        let error = Receipt::verify(text(&named).as_bytes(), Some(&public)).unwrap_err();
        assert!(matches!(error, ReceiptError::Forged { .. }), "{error}");
        named.public_key = "zz".to_owned();
        let error = Receipt::verify(text(&named).as_bytes(), None).unwrap_err();
        assert!(matches!(error, ReceiptError::NoKey), "{error}");
        let mut newer = receipt.clone();
        newer.receipt = 3;
        let error = Receipt::verify(text(&newer).as_bytes(), None).unwrap_err();
        assert!(
            matches!(error, ReceiptError::Version { found: 3 }),
            "{error}"
        );
        let whole = text(&receipt);
        for length in 0..whole.len() {
            assert!(
                Receipt::verify(&whole.as_bytes()[..length], None).is_err(),
                "{length}"
            );
        }
        let more = whole.replacen('{', "{\"class\":\"18\",", 1);
        let unknown = whole.replacen('{', "{\"note\":\"\",", 1);
        let long = " ".repeat(RECEIPT_BYTES_MAX) + &whole;
        for wrong in [
            "",
            "[]",
            "null",
            "\u{0}",
            &more,
            &unknown,
            &long,
            &format!("{whole}{whole}"),
        ] {
            assert!(Receipt::verify(wrong.as_bytes(), None).is_err(), "{wrong}");
        }
    }
}
