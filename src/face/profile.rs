//! What has to be known about an embedder besides its network.

use std::fmt;

use crate::types::{EncoderError, EncoderId};

/// How an embedder wants to be fed and how its similarities are to be read.
///
/// Comes from a small TOML file beside the network. The built-in one,
/// `data/models/face_recognition_sface_2021dec.toml`, is an example with a comment on each line.
#[derive(Clone, Debug, PartialEq)]
pub struct EncoderProfile {
    encoder: EncoderId,
    side: usize,
    channels: ChannelOrder,
    mean: [f32; 3],
    scale: [f32; 3],
    score_map: ScoreMap,
}

/// In which order a network takes the three colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChannelOrder {
    /// Red first.
    Rgb,
    /// Blue first.
    Bgr,
}

/// Why a profile is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// It is not TOML, a line is missing, or one is not known.
    #[error("it is not the TOML that was expected")]
    Toml(#[from] toml::de::Error),
    /// It does not name an encoder.
    #[error(transparent)]
    Encoder(#[from] EncoderError),
    /// A number in it is out of range.
    #[error("`{key}` is {found}, expected {expected}")]
    Number {
        /// Which.
        key: &'static str,
        /// What it should be.
        expected: &'static str,
        /// What it is.
        found: f64,
    },
}

impl EncoderProfile {
    /// Reads the text of a profile.
    ///
    /// # Errors
    ///
    /// If it is not TOML, or something in it is missing, unknown or out of range.
    pub fn parse(text: &str) -> Result<EncoderProfile, ProfileError> {
        let file: ProfileFile = toml::from_str(text)?;
        let encoder = EncoderId::new(&file.name, &file.version, file.dimension)?;
        let number = |key, good: bool, found: f64, expected| {
            if good {
                Ok(())
            } else {
                Err(ProfileError::Number {
                    key,
                    expected,
                    found,
                })
            }
        };
        let side = file.input.side;
        number(
            "input.side",
            (32..=1024).contains(&side),
            side as f64,
            "32 to 1024",
        )?;
        for value in file.input.mean {
            number(
                "input.mean",
                value.is_finite(),
                value.into(),
                "a finite number",
            )?;
        }
        for value in file.input.scale {
            let good = value.is_finite() && value != 0.0;
            number(
                "input.scale",
                good,
                value.into(),
                "a finite number other than 0",
            )?;
        }
        let ScoreMap {
            midpoint,
            steepness,
        } = file.score;
        number(
            "score.midpoint",
            (-1.0..=1.0).contains(&midpoint),
            midpoint,
            "-1 to 1",
        )?;
        let good = steepness > 0.0 && steepness <= 1000.0;
        number(
            "score.steepness",
            good,
            steepness,
            "more than 0, at most 1000",
        )?;
        Ok(EncoderProfile {
            encoder,
            side,
            channels: file.input.channels,
            mean: file.input.mean,
            scale: file.input.scale,
            score_map: file.score,
        })
    }

    /// Which encoder this is. Embeddings of different encoders must not be compared.
    pub fn encoder(&self) -> &EncoderId {
        &self.encoder
    }

    /// How its similarities become scores.
    pub fn score_map(&self) -> ScoreMap {
        self.score_map
    }

    /// Pixels on each side of the aligned face that it takes.
    pub fn side(&self) -> usize {
        self.side
    }

    /// The values of the network's input: three planes in the profile's order.
    pub(super) fn values(&self, rgb: &[u8]) -> Vec<f32> {
        let order = match self.channels {
            ChannelOrder::Rgb => [0, 1, 2],
            ChannelOrder::Bgr => [2, 1, 0],
        };
        let mut values = Vec::with_capacity(rgb.len());
        for (plane, channel) in order.into_iter().enumerate() {
            let (mean, scale) = (self.mean[plane], self.scale[plane]);
            let plane = rgb[channel..].iter().step_by(3);
            values.extend(plane.map(|&value| (f32::from(value) - mean) * scale));
        }
        values
    }
}

/// Turns a similarity into a score from 0 to 1.
///
/// score = 1 / (1 + exp(-steepness (similarity - midpoint)))
///
/// A score is a reading aid, not a probability: it is strictly increasing until it reaches the end
/// of double precision, so it never changes an order. The midpoint is the similarity, score 0.5,
/// at which one in a thousand pairs of different people is mistaken for one person on the measured
/// data; the built-in profile states that data.
#[derive(Clone, Copy, Debug, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreMap {
    /// The similarity with score 0.5.
    pub midpoint: f64,
    /// How fast scores change about the midpoint: by a quarter of this per unit of similarity.
    pub steepness: f64,
}

impl ScoreMap {
    /// The score of a similarity.
    pub fn score(self, similarity: f64) -> f64 {
        1.0 / (1.0 + (-self.steepness * (similarity - self.midpoint)).exp())
    }

    /// The similarity with this score: minus infinity for 0, infinity for 1.
    pub fn similarity(self, score: f64) -> f64 {
        self.midpoint + (score / (1.0 - score)).ln() / self.steepness
    }
}

impl fmt::Display for ScoreMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "midpoint {}, steepness {}",
            self.midpoint, self.steepness
        )
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct ProfileFile {
    name: String,
    version: String,
    dimension: usize,
    input: InputTable,
    score: ScoreMap,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct InputTable {
    side: usize,
    channels: ChannelOrder,
    mean: [f32; 3],
    scale: [f32; 3],
}
