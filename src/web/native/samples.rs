//! Samples of one person: pictures, in which the face is looked for, or embeddings that are ready.

use axum::body::Bytes;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_PAD_INDIFFERENT;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::data_url::DataUrl;
use super::super::state::AppState;
use super::listed::Listed;
use super::problem::{Code, Problem};
use crate::face::ScoreMap;
use crate::liveness::{self, Decision, FaceView, Observation, Reason};
use crate::types::{
    DIMENSION_MAX, DIMENSION_MIN, Embedding, EmbeddingError, EncoderId, PartitionId,
};

/// Far more than a call may have; see [`GivenSamples::check_count`].
const LISTED_MAX: usize = 1000;

/// The pictures of a call, as they came.
pub(super) type GivenPictures = Listed<GivenPicture, LISTED_MAX>;

/// The embeddings of a call, as they came.
pub(super) type GivenEmbeddings = Listed<GivenValues, LISTED_MAX>;

/// The values of an embedding, as they came.
pub(super) type GivenValues = Listed<f32, DIMENSION_MAX>;

/// The samples of a call, as they came.
#[derive(Default)]
pub(super) struct GivenSamples {
    pub(super) pictures: GivenPictures,
    pub(super) embeddings: GivenEmbeddings,
    pub(super) encoder: Option<String>,
    pub(super) liveness: Option<Liveness>,
}

/// What is demanded of a live person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(in super::super) enum Liveness {
    /// Each picture by itself has the texture of a live face.
    Passive,
    /// Two or more pictures show one head that moves and is solid.
    Active,
}

/// A picture, as it came.
#[derive(Deserialize)]
#[serde(from = "String")]
pub(super) enum GivenPicture {
    /// In base64, bare or as a data-URL.
    Text(String),
    /// As it is.
    Bytes(Bytes),
}

/// The samples of a call, ready to be used.
pub(super) struct Samples {
    /// What made the embeddings.
    pub(super) encoder: EncoderId,
    /// How similarities are read, if the encoder is the one of this service.
    pub(super) score_map: Option<ScoreMap>,
    pub(super) samples: Vec<Sample>,
}

pub(super) struct Sample {
    pub(super) embedding: Embedding,
    /// NaN for an embedding that came ready.
    pub(super) quality: f32,
    pub(super) report: SampleReport,
}

/// What was seen in a sample.
#[derive(Clone, Serialize, ToSchema)]
pub(in super::super) struct SampleReport {
    /// How suitable the picture is, from 0 to 1; null for an embedding.
    quality: Option<f32>,
    /// What could be better about the picture; it was used all the same.
    warnings: Vec<&'static str>,
}

impl From<String> for GivenPicture {
    fn from(text: String) -> GivenPicture {
        GivenPicture::Text(text)
    }
}

impl GivenPicture {
    fn bytes(self) -> Result<Bytes, Problem> {
        match self {
            GivenPicture::Bytes(bytes) => Ok(bytes),
            GivenPicture::Text(text) if DataUrl::begins(text.as_bytes()) => {
                let url = DataUrl::parse(text.as_bytes());
                let url = url.map_err(|error| Problem::new(Code::InvalidBase64, error.to_string()));
                Ok(url?.data.into())
            }
            GivenPicture::Text(text) => {
                let bytes = STANDARD_PAD_INDIFFERENT.decode(&text);
                let bytes = bytes.map_err(|_not_base64| {
                    Problem::new(Code::InvalidBase64, "the picture is not base64")
                });
                Ok(bytes?.into())
            }
        }
    }
}

impl GivenSamples {
    /// Fails unless there are as many samples as a call may have. Looks at none of them.
    pub(super) fn check_count(&self, state: &AppState) -> Result<(), Problem> {
        let (found, most) = (
            self.pictures.count() + self.embeddings.count(),
            state.options().samples.per_token.min(LISTED_MAX),
        );
        if found == 0 {
            let detail = "expected at least one picture or one embedding";
            return Err(Problem::new(Code::NoSamples, detail));
        }
        if found > most {
            let detail = format!("{found} samples came, and a call may have {most}");
            return Err(Problem::new(Code::TooManySamples, detail));
        }
        if self.liveness.is_some() && self.embeddings.count() > 0 {
            let detail = "liveness is seen in pictures, and there are embeddings";
            return Err(Problem::invalid_parameter(detail));
        }
        if self.liveness == Some(Liveness::Active) && self.pictures.count() < 2 {
            let detail = "active liveness is seen in two pictures or more";
            return Err(Problem::invalid_parameter(detail));
        }
        Ok(())
    }

    /// Makes embeddings of all. Takes the processor for as long as pictures take.
    pub(super) fn prepare(self, state: &AppState) -> Result<Samples, Problem> {
        let profile = state.faces().profile();
        let encoder = self.encoder(profile.encoder())?;
        let (mut samples, mut observations) = (Vec::new(), Vec::new());
        for (at, picture) in self.pictures.into_kept().into_iter().enumerate() {
            let observe = self.liveness.is_some();
            let seen = look(state, picture, observe).map_err(|problem| problem.of_sample(at))?;
            samples.push(seen.0);
            observations.extend(seen.1);
        }
        if let Some(kind) = self.liveness {
            demand(state, kind, &observations)?;
        }
        for values in self.embeddings.into_kept() {
            let at = samples.len();
            samples.push(ready(values, &encoder).map_err(|problem| problem.of_sample(at))?);
        }
        let own = encoder == *profile.encoder();
        Ok(Samples {
            encoder,
            score_map: own.then(|| profile.score_map()),
            samples,
        })
    }

    /// The encoder of all samples.
    fn encoder(&self, own: &EncoderId) -> Result<EncoderId, Problem> {
        let dimension = self.embeddings.first().map(Listed::count);
        let Some(text) = &self.encoder else {
            return match dimension {
                None => Ok(own.clone()),
                Some(_) => Err(Problem::invalid_parameter(
                    "`encoder` must name what made the embeddings, as `name` or `name@version`",
                )),
            };
        };
        // What is no length of an embedding is found when the embedding is looked at.
        let dimensions = DIMENSION_MIN..=DIMENSION_MAX;
        let known = dimension.filter(|dimension| dimensions.contains(dimension));
        let encoder = EncoderId::parse(text, known.unwrap_or(own.dimension()));
        let encoder = encoder
            .map_err(|error| Problem::invalid_parameter(format!("wrong `encoder`: {error}")))?;
        if self.pictures.count() > 0 && encoder != *own {
            let detail = format!("pictures are encoded by `{own}` here, not by `{encoder}`");
            return Err(Problem::new(Code::EncoderMismatch, detail));
        }
        Ok(encoder)
    }
}

impl Samples {
    pub(super) fn embeddings(&self) -> Vec<&Embedding> {
        self.samples
            .iter()
            .map(|sample| &sample.embedding)
            .collect()
    }

    pub(super) fn reports(&self) -> Vec<SampleReport> {
        self.samples
            .iter()
            .map(|sample| sample.report.clone())
            .collect()
    }

    /// The similarity from which on two faces count as one person in `partition`, unless the caller says
    /// otherwise; none for an encoder that this service knows nothing of.
    pub(super) fn threshold(
        &self,
        state: &AppState,
        partition: &PartitionId,
        given: Option<f64>,
    ) -> Option<f64> {
        let own = self
            .score_map
            .map(|_| state.verification_threshold(partition));
        given.or(own)
    }

    /// A similarity as a score from 0 to 1, where that is known.
    pub(super) fn score(&self, similarity: f64) -> Option<f64> {
        self.score_map.map(|map| map.score(similarity))
    }

    /// The name of the encoder, with its version.
    pub(super) fn encoder_name(&self) -> String {
        encoder_name(&self.encoder)
    }
}

/// `name@version`, as calls name encoders.
pub(super) fn encoder_name(encoder: &EncoderId) -> String {
    format!("{}@{}", encoder.name(), encoder.version())
}

/// A threshold is a cosine.
pub(super) fn check_threshold(threshold: Option<f64>) -> Result<(), Problem> {
    if threshold.is_none_or(|threshold| (-1.0..=1.0).contains(&threshold)) {
        return Ok(());
    }
    Err(Problem::invalid_parameter(
        "`threshold` must be a number from -1 to 1",
    ))
}

/// A picture, and what the liveness decisions need of it if that is wanted.
fn look(
    state: &AppState,
    picture: GivenPicture,
    observe: bool,
) -> Result<(Sample, Option<Observation>), Problem> {
    let picture = state.faces().decode(&picture.bytes()?)?;
    let face = state.faces().only_face_in(&picture)?;
    let observation = observe
        .then(|| state.liveness().observe(&FaceView::new(&picture, &face)))
        .transpose()?;
    let quality = face.quality.score();
    let warnings = face.warnings.iter().map(|warning| warning.code());
    let sample = Sample {
        quality,
        report: SampleReport {
            quality: Some(quality),
            warnings: warnings.collect(),
        },
        embedding: face.embedding,
    };
    Ok((sample, observation))
}

/// Fails unless the pictures are of a live person.
fn demand(state: &AppState, kind: Liveness, seen: &[Observation]) -> Result<(), Problem> {
    let thresholds = &state.options().liveness;
    let fail = |decision: &Decision| {
        let reason = decision
            .parts
            .reason
            .map_or("the person is not live", Reason::message);
        Err(Problem::new(Code::NotLive, reason))
    };
    match kind {
        Liveness::Active => {
            let all: Vec<&Observation> = seen.iter().collect();
            let decision = liveness::active(&all, thresholds);
            if decision.live {
                Ok(())
            } else {
                fail(&decision)
            }
        }
        Liveness::Passive => seen.iter().enumerate().try_for_each(|(at, one)| {
            let decision = liveness::passive(one, thresholds);
            if decision.live {
                return Ok(());
            }
            fail(&decision).map_err(|problem| problem.of_sample(at))
        }),
    }
}

fn ready(values: GivenValues, encoder: &EncoderId) -> Result<Sample, Problem> {
    let invalid = |detail: String| Problem::new(Code::InvalidEmbedding, detail);
    let found = values.count();
    let embedding = if found <= DIMENSION_MAX {
        Embedding::new(values.into_kept())
    } else {
        Err(EmbeddingError::Dimension { found })
    };
    let embedding = embedding.map_err(|error| invalid(error.to_string()))?;
    let (found, expected) = (embedding.dimension(), encoder.dimension());
    if found != expected {
        let detail = format!("the embedding has {found} values, and `{encoder}` makes {expected}");
        return Err(invalid(detail));
    }
    Ok(Sample {
        embedding,
        quality: f32::NAN,
        report: SampleReport {
            quality: None,
            warnings: Vec::new(),
        },
    })
}
