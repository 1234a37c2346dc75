//! What is known of an encoder that comes with nothing of its own.

use serde::{Deserialize, Serialize};

use super::{Calibration, RatesError, TargetRate};
use crate::types::EncoderId;

/// The version of a file.
const VERSION: u32 = 1;

/// What is known of an encoder from people whom its user knows: from which similarity on two faces are
/// one person, and what strangers reach. It holds no template.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownEncoder {
    version: u32,
    encoder: EncoderId,
    verification_threshold: f64,
    calibration: Calibration,
}

impl KnownEncoder {
    /// What a measurement says of its encoder. Two faces are one person from the similarity on that a
    /// stranger reaches with one person once in a thousand times.
    ///
    /// # Errors
    ///
    /// If no similarity is reached so seldom, since embeddings of strangers are the same.
    pub fn of(calibration: Calibration) -> Result<KnownEncoder, RatesError> {
        let threshold = calibration.verification_threshold(TargetRate::DEFAULT);
        if !threshold.keeps(TargetRate::DEFAULT) {
            return Err(RatesError::AllAlike {
                share: threshold.fpir,
                similarity: threshold.similarity,
            });
        }
        Ok(KnownEncoder {
            version: VERSION,
            encoder: calibration.encoder().clone(),
            verification_threshold: threshold.similarity,
            calibration: calibration.of_encoder(),
        })
    }

    /// Reads what [`KnownEncoder::to_bytes`] wrote.
    ///
    /// # Errors
    ///
    /// If the bytes are not that, or of another version.
    pub fn from_bytes(bytes: &[u8]) -> Result<KnownEncoder, RatesError> {
        let stored = |found: String| RatesError::Stored { found };
        let read: Result<KnownEncoder, _> = serde_json::from_slice(bytes);
        let known = read.map_err(|error| stored(error.to_string()))?;
        if known.version != VERSION {
            return Err(stored(format!("version {}", known.version)));
        }
        if !(-1.0..=1.0).contains(&known.verification_threshold) {
            let found = known.verification_threshold;
            return Err(stored(format!("a threshold of {found}")));
        }
        if known.encoder != *known.calibration.encoder() {
            let other = known.calibration.encoder();
            return Err(stored(format!(
                "of `{}`, with a calibration of `{other}`",
                known.encoder
            )));
        }
        known.calibration.check().map_err(stored)?;
        Ok(known)
    }

    /// For a file: JSON in lines.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("numbers and texts are JSON");
        bytes.push(b'\n');
        bytes
    }

    /// The encoder.
    pub fn encoder(&self) -> &EncoderId {
        &self.encoder
    }

    /// From which similarity on two faces are one person, from -1 to 1.
    pub fn verification_threshold(&self) -> f64 {
        self.verification_threshold
    }

    /// What strangers reach.
    pub fn calibration(&self) -> &Calibration {
        &self.calibration
    }
}
