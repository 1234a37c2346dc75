//! Why samples were not taken in, which of them, and whose fault it is.

use std::error::Error;
use std::fmt;

use crate::engine::Fault;
use crate::face::{FaceError, Warning};
use crate::liveness::Reason;
use crate::types::{EmbeddingError, EncoderError, EncoderId};

/// Samples were not taken in.
#[derive(Debug)]
pub struct IntakeError {
    /// Which sample is at fault, from 0 in the order in which they came; none if it is no single
    /// one.
    pub sample: Option<usize>,
    /// Why.
    pub cause: Cause,
}

/// Why samples were not taken in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// There are none.
    #[error("expected at least one picture or one embedding")]
    NoSamples,
    /// There are more than may come together.
    #[error("{found} samples came, and a call may have {samples_max}")]
    TooManySamples {
        /// How many came.
        found: usize,
        /// How many may.
        samples_max: usize,
    },
    /// Liveness is demanded of what is no picture.
    #[error("liveness is seen in pictures, and there are embeddings")]
    LivenessOfEmbeddings,
    /// Motion is demanded of less than two pictures.
    #[error("active liveness is seen in two pictures or more")]
    LivenessOfOnePicture,
    /// There are embeddings, and nobody said what made them.
    #[error("`encoder` must name what made the embeddings, as `name` or `name@version`")]
    EncoderMissing,
    /// What is said to have made the embeddings is no encoder.
    #[error("wrong `encoder`: {0}")]
    EncoderName(EncoderError),
    /// There are pictures, and the encoder that was named is not the one that encodes them.
    #[error("pictures are encoded by `{own}` here, not by `{named}`")]
    OtherEncoder {
        /// The encoder of this intake.
        own: EncoderId,
        /// The one that was named.
        named: EncoderId,
    },
    /// Some numbers are no embedding.
    #[error(transparent)]
    Embedding(EmbeddingError),
    /// An embedding has not the dimension of its encoder.
    #[error(
        "the embedding has {found} values, and `{encoder}` makes {expected}",
        expected = encoder.dimension()
    )]
    Dimension {
        /// How many values it has.
        found: usize,
        /// The encoder it is said to be of.
        encoder: EncoderId,
    },
    /// The bytes cannot be read as a picture.
    #[error(transparent)]
    Picture(FaceError),
    /// The picture shows no face, or has too few pixels for one.
    #[error(transparent)]
    NoFace(FaceError),
    /// The picture shows several people.
    #[error(transparent)]
    SeveralFaces(FaceError),
    /// The samples do not look like one person.
    #[error("it does not look like the person of the other samples")]
    Contradicting,
    /// A picture is not good enough to know a person by.
    #[error(
        "the picture is not good enough to enrol with: its quality is {quality:.2}, and at least \
         {quality_min} is needed{}",
        reasons(warnings)
    )]
    PoorQuality {
        /// Its quality, from 0 to 1.
        quality: f32,
        /// The least that is demanded.
        quality_min: f32,
        /// What is wrong with it.
        warnings: Vec<Warning>,
    },
    /// The pictures do not show a live person, as far as it is known why.
    #[error("{}", .0.map_or("the person is not live", Reason::message))]
    NotLive(Option<Reason>),
    /// A network failed.
    #[error(transparent)]
    Network(FaceError),
    /// Liveness is demanded, and this intake was made without the networks that see it.
    #[error("the networks that see liveness were not loaded")]
    NoDetector,
}

/// What is wrong with a picture, as the end of a sentence.
fn reasons(warnings: &[Warning]) -> String {
    warnings
        .iter()
        .enumerate()
        .map(|(at, warning)| {
            let separator = if at == 0 { ": " } else { ", " };
            format!("{separator}{}", warning.message())
        })
        .collect()
}

impl IntakeError {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self.cause {
            Cause::Network(_) | Cause::NoDetector => Fault::Ours,
            _ => Fault::Caller,
        }
    }

    /// Whether a picture shows nobody.
    pub fn is_no_face(&self) -> bool {
        matches!(self.cause, Cause::NoFace(_))
    }

    /// The same, said of one sample.
    pub(super) fn of_sample(self, sample: usize) -> IntakeError {
        IntakeError {
            sample: Some(sample),
            ..self
        }
    }
}

/// The cause, and which sample it is about unless there is only one.
impl fmt::Display for IntakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(sample) = self.sample {
            write!(f, "sample {sample}: ")?;
        }
        write!(f, "{}", self.cause)
    }
}

impl Error for IntakeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.source()
    }
}

impl From<Cause> for IntakeError {
    fn from(cause: Cause) -> IntakeError {
        IntakeError {
            sample: None,
            cause,
        }
    }
}

impl From<FaceError> for IntakeError {
    fn from(error: FaceError) -> IntakeError {
        let cause = match error {
            FaceError::NoFaceFound
            | FaceError::NoFaceInBox
            | FaceError::BoxOutside { .. }
            | FaceError::TooSmall { .. } => Cause::NoFace(error),
            FaceError::MultipleFacesFound { .. } => Cause::SeveralFaces(error),
            error if error.is_callers_fault() => Cause::Picture(error),
            error => Cause::Network(error),
        };
        cause.into()
    }
}
