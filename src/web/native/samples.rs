//! Samples of one person: pictures, in which the face is looked for, or embeddings that are ready.

use axum::body::Bytes;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::data_url::{self, DataUrl};
use super::super::lanes::Left;
use super::super::state::AppState;
use super::given_box::GivenBox;
use super::listed::Listed;
use super::problem::{Code, Problem};
use crate::intake::{Announced, Care, Demand, SAMPLES_MAX, Sample, Samples};
use crate::turns::Account;
use crate::types::{DIMENSION_MAX, EmbeddingError, EncoderId, Rounded};

/// The pictures of a call, as they came.
pub(super) type GivenPictures = Listed<GivenPicture, SAMPLES_MAX>;

/// The embeddings of a call, as they came.
pub(super) type GivenEmbeddings = Listed<GivenValues, SAMPLES_MAX>;

/// The values of an embedding, as they came.
pub(super) type GivenValues = Listed<Rounded, DIMENSION_MAX>;

/// The samples of a call, as they came.
#[derive(Default)]
pub(super) struct GivenSamples {
    pub(super) pictures: GivenPictures,
    pub(super) embeddings: GivenEmbeddings,
    pub(super) encoder: Option<String>,
    pub(super) liveness: Option<Liveness>,
    /// Which face of the only picture is meant, where that shows several.
    pub(super) face_box: Option<GivenBox>,
    /// Whether they are to be enrolled.
    pub(super) is_enrolment: bool,
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
    /// A field of a form: the bytes of a file, or the text that would stand in JSON.
    pub(super) fn from_field(bytes: Bytes) -> GivenPicture {
        match str::from_utf8(&bytes) {
            Ok(text) if is_text(&bytes) => GivenPicture::Text(text.to_owned()),
            _ => GivenPicture::Bytes(bytes),
        }
    }

    pub(super) fn bytes(self) -> Result<Bytes, Problem> {
        let text = match &self {
            GivenPicture::Bytes(bytes) => return Ok(bytes.clone()),
            GivenPicture::Text(text) => text.as_bytes(),
        };
        let fault = |detail: String| Problem::new(Code::InvalidBase64, detail);
        if DataUrl::begins(text) {
            let url = DataUrl::parse(text).map_err(|error| fault(error.to_string()))?;
            return Ok(url.data.into());
        }
        let bytes = data_url::base64(text);
        let bytes = bytes.map_err(|_not_base64| fault("the picture is not base64".to_owned()))?;
        Ok(bytes.into())
    }
}

/// Whether a field is the text of a picture, not its bytes. There are pictures that are texts
/// themselves, and begin with `P1` to `P7` and a blank.
fn is_text(bytes: &[u8]) -> bool {
    let is_picture = matches!(bytes, [b'P', b'1'..=b'7', blank, ..] if blank.is_ascii_whitespace());
    let is_base64 = |byte: &u8| {
        byte.is_ascii_alphanumeric() || byte.is_ascii_whitespace() || b"+/=-_".contains(byte)
    };
    DataUrl::begins(bytes) || !is_picture && !bytes.is_empty() && bytes.iter().all(is_base64)
}

impl GivenSamples {
    /// Pictures alone.
    pub(super) fn of_pictures(pictures: GivenPictures) -> GivenSamples {
        GivenSamples {
            pictures,
            ..GivenSamples::default()
        }
    }

    /// Whether it takes more than a moment to take them in.
    pub(super) fn has_pictures(&self) -> bool {
        self.pictures.count() > 0
    }

    /// Whether the numbers of a sample are of the caller's choice.
    pub(super) fn has_embeddings(&self) -> bool {
        self.embeddings.count() > 0
    }

    /// Fails unless as many samples came as a call may have. Looks at none of them.
    pub(super) fn check(&self, state: &AppState) -> Result<(), Problem> {
        let is_one_picture = self.pictures.count() == 1 && self.embeddings.count() == 0;
        if self.face_box.is_some() && !is_one_picture {
            return Err(Problem::invalid_parameter(
                "`box` says which face of a picture is meant: it wants one picture, and no embedding",
            ));
        }
        Ok(state.intake().check(&self.announced())?)
    }

    /// Makes embeddings of all, when the turn of the pictures comes.
    pub(super) async fn take_in(
        self,
        state: &AppState,
        account: &Account,
    ) -> Result<Samples, Problem> {
        let pictures = self.pictures.count();
        if pictures == 0 {
            return self.take_in_now(state, &Left::default());
        }
        let shared = state.clone();
        let work = move |left| self.take_in_now(&shared, &left);
        state.lanes().see(account, pictures, work).await?
    }

    /// Makes embeddings of pictures, of one person each, whether of the same or not.
    pub(super) async fn take_in_each(
        self,
        state: &AppState,
        account: &Account,
    ) -> Result<Vec<Sample>, Problem> {
        let (shared, count) = (state.clone(), self.pictures.count());
        let work = move |left: Left| {
            let one = |(at, picture): (usize, GivenPicture)| {
                let intake = shared.intake();
                let patience = intake.patience().until_left(left.clone());
                let bytes = picture.bytes().map_err(|problem| problem.of_sample(at))?;
                let seen = intake.look_within(&bytes, Care::Glance, &patience);
                let seen = seen.map_err(|error| Problem::from(error).of_sample(at))?;
                Ok(Sample::from(seen.face))
            };
            let pictures = self.pictures.into_kept().into_iter().enumerate();
            pictures.map(one).collect()
        };
        state.lanes().see(account, count, work).await?
    }

    /// Takes the processor for as long as pictures take.
    fn take_in_now(self, state: &AppState, left: &Left) -> Result<Samples, Problem> {
        let mut taking = state.intake().begin(&self.announced())?;
        if self.is_enrolment {
            taking = taking.to_enroll();
        }
        for picture in self.pictures.into_kept() {
            let bytes = picture.bytes();
            let bytes = bytes.map_err(|problem| problem.of_sample(taking.taken()))?;
            let patience = state.intake().patience().until_left(left.clone());
            match &self.face_box {
                Some(GivenBox(bounds)) => taking.add_face_within(&bytes, bounds, &patience)?,
                None => taking.add_picture(&bytes, &patience)?,
            }
        }
        for values in self.embeddings.into_kept() {
            let found = values.count();
            if found > DIMENSION_MAX {
                let error = EmbeddingError::Dimension { found };
                let problem = Problem::new(Code::InvalidEmbedding, error.to_string());
                return Err(problem.of_sample(taking.taken()));
            }
            taking.add_embedding(Rounded::all(values.into_kept()))?;
        }
        Ok(taking.finish()?)
    }

    fn announced(&self) -> Announced<'_> {
        Announced {
            pictures: self.pictures.count(),
            embeddings: self.embeddings.count(),
            dimension: self.embeddings.first().map(Listed::count),
            encoder: self.encoder.as_deref(),
            liveness: self.liveness.map(|kind| match kind {
                Liveness::Passive => Demand::Passive,
                Liveness::Active => Demand::Active,
            }),
        }
    }
}

impl SampleReport {
    /// One for each of `samples`.
    pub(super) fn of(samples: &Samples) -> Vec<SampleReport> {
        samples.samples.iter().map(SampleReport::of_one).collect()
    }

    pub(super) fn of_one(sample: &Sample) -> SampleReport {
        let warnings = sample.warnings.iter();
        SampleReport {
            quality: sample.quality,
            warnings: warnings.map(|warning| warning.name()).collect(),
        }
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
