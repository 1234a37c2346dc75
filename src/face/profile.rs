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
    verification_threshold: f64,
    photo_thresholds: PhotoThresholds,
    one_person_threshold: f64,
    lengths: Option<OutputLengths>,
}

/// How long the output of a network is before it is scaled to 1, which tells how much of a face it
/// found: the more alike all faces look to it, the shorter (Meng et al., "MagFace", CVPR 2021).
#[derive(Clone, Copy, Debug, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputLengths {
    /// Of this length and less, nobody can be told from anybody.
    pub useless: f32,
    /// From this length on, it says nothing against a face.
    pub good: f32,
}

/// The threshold for samples of one person, as a share of the midpoint, where none is measured.
const ONE_PERSON_SHARE: f64 = 0.9;

/// The similarities of an identity photo to a live picture that reach the levels 1 to 5, none below
/// the one before it.
pub type PhotoThresholds = [f64; 5];

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
    #[error("line {line}: {what}")]
    Toml {
        /// Where, from 1.
        line: usize,
        /// What is wrong there.
        what: String,
    },
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

impl ProfileError {
    fn toml(text: &str, error: &toml::de::Error) -> ProfileError {
        let start = error.span().unwrap_or_default().start.min(text.len());
        let before = &text.as_bytes()[..start];
        ProfileError::Toml {
            line: 1 + before.iter().filter(|byte| **byte == b'\n').count(),
            what: error.message().replace('\n', ", "),
        }
    }
}

impl EncoderProfile {
    /// Reads the text of a profile.
    ///
    /// # Errors
    ///
    /// If it is not TOML, or something in it is missing, unknown or out of range.
    pub fn parse(text: &str) -> Result<EncoderProfile, ProfileError> {
        let file: ProfileFile =
            toml::from_str(text).map_err(|error| ProfileError::toml(text, &error))?;
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
        let cosine = |key, found: f64| number(key, (-1.0..=1.0).contains(&found), found, "-1 to 1");
        // What one in a thousand strangers reach is a sound decision where nothing else is said.
        let verification_threshold = file.verification.map_or(midpoint, |table| table.threshold);
        cosine("verification.threshold", verification_threshold)?;
        let photo_thresholds = file.photo.map_or([midpoint; 5], |table| table.thresholds);
        let one_person_threshold = file
            .one_person
            .map_or(ONE_PERSON_SHARE * midpoint, |table| table.threshold);
        cosine("one-person.threshold", one_person_threshold)?;
        if let Some(OutputLengths { useless, good }) = file.length {
            number(
                "length.good",
                useless >= 0.0 && good > useless && good.is_finite(),
                good.into(),
                "more than `length.useless`, which is 0 or more",
            )?;
        }
        let mut least = -1.0;
        for threshold in photo_thresholds {
            cosine("photo.thresholds", threshold)?;
            number(
                "photo.thresholds",
                threshold >= least,
                threshold,
                "no less than the one before it",
            )?;
            least = threshold;
        }
        Ok(EncoderProfile {
            encoder,
            side,
            channels: file.input.channels,
            mean: file.input.mean,
            scale: file.input.scale,
            score_map: file.score,
            verification_threshold,
            photo_thresholds,
            one_person_threshold,
            lengths: file.length,
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

    /// The similarity from which on a verification succeeds, unless settings say otherwise.
    pub fn verification_threshold(&self) -> f64 {
        self.verification_threshold
    }

    /// The similarities from which on an identity photo is accepted at the levels 1 to 5.
    pub fn photo_thresholds(&self) -> &PhotoThresholds {
        &self.photo_thresholds
    }

    /// The similarity below which samples that come together do not look like one person. Much lower
    /// than that of a verification: who says that they are of one person is believed where pictures
    /// differ in age and light.
    pub fn one_person_threshold(&self) -> f64 {
        self.one_person_threshold
    }

    /// What the length of the network's output tells, if it was measured.
    pub fn lengths(&self) -> Option<OutputLengths> {
        self.lengths
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
/// data; the steepness gives the median pair of one person 0.99. For SFace that is 0.373 and 10,
/// measured on ORL (40 people, 400 pictures) with `examples/score_profile.rs`, where no pair of one
/// person is missed at 0.373.
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
    verification: Option<VerificationTable>,
    photo: Option<PhotoTable>,
    #[serde(rename = "one-person")]
    one_person: Option<OnePersonTable>,
    length: Option<OutputLengths>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct VerificationTable {
    threshold: f64,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct PhotoTable {
    thresholds: PhotoThresholds,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct OnePersonTable {
    threshold: f64,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct InputTable {
    side: usize,
    channels: ChannelOrder,
    mean: [f32; 3],
    scale: [f32; 3],
}

#[cfg(test)]
mod tests {
    use super::*;

    const SFACE: &str = include_str!("../../data/models/face_recognition_sface_2021dec.toml");

    #[test]
    fn the_built_in_profile_is_read() {
        let profile = EncoderProfile::parse(SFACE).unwrap();
        assert_eq!(profile.encoder().to_string(), "sface@2021dec/128");
        assert_eq!(profile.side(), 112);
        assert_eq!(
            profile.score_map(),
            ScoreMap {
                midpoint: 0.373,
                steepness: 10.0
            }
        );
        assert_eq!(profile.verification_threshold(), 0.41);
        assert_eq!(profile.photo_thresholds(), &[0.21, 0.25, 0.28, 0.31, 0.39]);
        assert_eq!(profile.one_person_threshold(), 0.35);
        let lengths = OutputLengths {
            useless: 9.3,
            good: 10.3,
        };
        assert_eq!(profile.lengths(), Some(lengths));
    }

    #[test]
    fn thresholds_that_nobody_measured_are_the_midpoint() {
        let (text, _thresholds) = SFACE.split_once("[verification]").unwrap();
        let profile = EncoderProfile::parse(text).unwrap();
        assert_eq!(profile.verification_threshold(), 0.373);
        assert_eq!(profile.photo_thresholds(), &[0.373; 5]);
        assert!((profile.one_person_threshold() - 0.9 * 0.373).abs() < 1e-12);
        assert_eq!(profile.lengths(), None);
    }

    #[test]
    fn pixels_are_fed_as_the_profile_says() {
        let text = SFACE
            .replace("\"rgb\"", "\"bgr\"")
            .replace("mean = [0.0, 0.0, 0.0]", "mean = [1.0, 2.0, 3.0]")
            .replace("scale = [1.0, 1.0, 1.0]", "scale = [1.0, 0.5, 2.0]");
        let profile = EncoderProfile::parse(&text).unwrap();
        // Two pixels; blue comes first and takes the first mean and scale.
        let values = profile.values(&[10, 20, 30, 40, 50, 60]);
        assert_eq!(values, [29.0, 59.0, 9.0, 24.0, 14.0, 74.0]);
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        for (from, to, expected) in [
            (
                "side = 112",
                "side = 0",
                "`input.side` is 0, expected 32 to 1024",
            ),
            (
                "scale = [1.0, 1.0",
                "scale = [0.0, 1.0",
                "`input.scale` is 0",
            ),
            ("mean = [0.0", "mean = [nan", "`input.mean` is NaN"),
            (
                "midpoint = 0.373",
                "midpoint = 37",
                "`score.midpoint` is 37, expected -1 to 1",
            ),
            (
                "steepness = 10.0",
                "steepness = 0",
                "`score.steepness` is 0",
            ),
            (
                "steepness = 10.0",
                "steepness = inf",
                "`score.steepness` is inf",
            ),
            ("dimension = 128", "dimension = 3", "dimension 3"),
            (
                "threshold = 0.41",
                "threshold = 1.5",
                "`verification.threshold` is 1.5, expected -1 to 1",
            ),
            (
                "0.28, 0.31",
                "0.28, 0.27",
                "`photo.thresholds` is 0.27, expected no less",
            ),
            ("good = 10.3", "good = 9.25", "`length.good` is 9.2"),
            (
                "threshold = 0.35\n",
                "threshold = 3\n",
                "`one-person.threshold` is 3",
            ),
            (
                "name = \"sface\"",
                "name = \"s face\"",
                "name of the encoder",
            ),
        ] {
            let text = SFACE.replace(from, to);
            assert_ne!(text, SFACE, "{from}");
            let error = EncoderProfile::parse(&text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}, expected {expected}");
        }
        for (from, to) in [
            ("dimension = 128", ""),
            ("dimension = 128", "dimension = 128\ndimensions = 128"),
            ("\"rgb\"", "\"grb\""),
            ("side = 112", "side = -1"),
        ] {
            let error = EncoderProfile::parse(&SFACE.replace(from, to)).unwrap_err();
            assert!(matches!(error, ProfileError::Toml { .. }), "{error:?}");
        }
    }

    #[test]
    fn scores_rise_from_0_to_1_through_a_half_at_the_midpoint() {
        let map = ScoreMap {
            midpoint: 0.373,
            steepness: 10.0,
        };
        assert!((map.score(0.373) - 0.5).abs() < 1e-15);
        assert!((map.score(0.8376) - 0.99).abs() < 0.001);
        let mut last = 0.0;
        for step in -1000..=1000 {
            let score = map.score(f64::from(step) / 1000.0);
            assert!(score > last && score < 1.0);
            last = score;
            let back = map.similarity(score);
            assert!((back - f64::from(step) / 1000.0).abs() < 1e-9);
        }
        // The steepest that is allowed still gives numbers.
        let steep = ScoreMap {
            midpoint: 1.0,
            steepness: 1000.0,
        };
        assert_eq!(
            (
                steep.score(-1.0),
                ScoreMap {
                    midpoint: -1.0,
                    ..steep
                }
                .score(1.0)
            ),
            (0.0, 1.0)
        );
    }
}
