//! Live or not, and every number that the answer came from.

use std::fmt;

use serde::Serialize;

use crate::types::Direction;

/// Whether samples are of a live person.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Decision {
    /// Whether they are.
    pub live: bool,
    /// What to answer if they are not.
    pub failure: Option<LivenessFailure>,
    /// What it was decided by.
    pub parts: Parts,
}

/// The error with which the BWS Web API answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum LivenessFailure {
    /// The samples do not prove a live person.
    LiveDetectionFailed,
    /// The head did not move as was demanded.
    ChallengeResponseFailed,
    /// There is no sample at all.
    NotEnoughSamples,
}

impl LivenessFailure {
    /// The code that BWS clients know.
    pub fn code(self) -> &'static str {
        match self {
            LivenessFailure::LiveDetectionFailed => "LiveDetectionFailed",
            LivenessFailure::ChallengeResponseFailed => "ChallengeResponseFailed",
            LivenessFailure::NotEnoughSamples => "NotEnoughSamples",
        }
    }
}

/// The code.
impl fmt::Display for LivenessFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// Why, in one word more than the web service has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub enum Reason {
    /// No sample.
    NoSamples,
    /// One sample cannot show that something moves.
    OneSample,
    /// The samples do not show one and the same person.
    DifferentPeople,
    /// There is one picture only, sent several times; or the head kept so still that it comes to
    /// the same.
    SamePicture,
    /// The head hardly moved between the samples.
    NoMotion,
    /// What moved is flat, such as a photo or a screen.
    FlatMotion,
    /// The picture looks like a print or a screen.
    Texture,
    /// The head did not turn where the tag or the token wants it.
    WrongMovement,
    /// There are fewer samples than movements that the token wants.
    MissingMovement,
}

impl Reason {
    /// A sentence for people.
    pub fn message(self) -> &'static str {
        match self {
            Reason::NoSamples => "there is no sample",
            Reason::OneSample => "one sample cannot show that a head moves: two are needed",
            Reason::DifferentPeople => "the samples do not show one and the same person",
            Reason::SamePicture => "the pictures are the same, or nothing moved between them",
            Reason::NoMotion => "the head did not move between the samples",
            Reason::FlatMotion => "what moved between the samples is flat",
            Reason::Texture => "the picture looks like a print or a screen",
            Reason::WrongMovement => "the head did not move as demanded",
            Reason::MissingMovement => "there are fewer samples than movements demanded",
        }
    }

    /// The code that a sample gets for it, of those with which clients give hints.
    pub fn sample_code(self) -> &'static str {
        match self {
            Reason::FlatMotion | Reason::WrongMovement => "UnnaturalMotionDetected",
            Reason::Texture => "UnsuitableImage",
            _ => "LiveDetectionFailed",
        }
    }
}

/// A sentence for people.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

/// The numbers behind a decision. What was not looked at, since it was decided before, is `None` or
/// empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Parts {
    /// Why the samples are not live.
    pub reason: Option<Reason>,
    /// The number that was compared with the threshold, 0 to 1: of one sample that of its texture,
    /// of several the score of the pair that shows most.
    pub score: Option<f64>,
    /// Of each sample, in the order in which they came.
    pub samples: Vec<SamplePart>,
    /// The lowest similarity of two samples, -1 to 1.
    pub similarity: Option<f64>,
    /// The two samples that show most of a solid head.
    pub motion: Option<Motion>,
    /// Each movement that was demanded.
    pub movements: Vec<Movement>,
}

/// What is said of one sample.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SamplePart {
    /// See [`super::Observation::passive_score`].
    pub passive_score: f32,
    /// Degrees to the left of the picture.
    pub yaw: f32,
    /// Degrees up.
    pub pitch: f32,
    /// What is wrong with it.
    pub fault: Option<Reason>,
}

/// How one sample differs from another.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Motion {
    /// The number of one sample, from 0.
    pub first: usize,
    /// The number of the other.
    pub second: usize,
    /// By how many degrees the head turned.
    pub turn: f64,
    /// How far the landmarks are from being affine maps of each other, in eye distances.
    pub parallax: f64,
    /// How alike the two faces are when one is laid over the other, up to 1.
    pub correlation: f64,
    /// How alike their fine detail is there, up to 1: the edge of a shadow is none.
    pub detail: f64,
    /// The geometric mean of the odds of the passive scores, as a score, 0 to 1: that of the two,
    /// or of all samples if that is lower.
    pub passive: f64,
    /// How strong coloured fringes are, as on a screen, the stronger of the two; 0.1 to 0.4 for
    /// faces.
    pub fringes: f64,
    /// All of it together, 0 to 1.
    pub score: f64,
}

/// A movement that was demanded of a sample, and what was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Movement {
    /// The number of the sample, from 0 in the order in which they came.
    pub sample: usize,
    /// Any of these would do, as the tag says.
    pub tag: Vec<Direction>,
    /// This one must be it, as the token says.
    pub token: Option<Direction>,
    /// By how many degrees the head turned to the left as the user sees it.
    pub left: f64,
    /// By how many degrees the head turned up.
    pub up: f64,
    /// Whether that is what was demanded.
    pub met: bool,
}

impl Decision {
    pub(super) fn live(parts: Parts) -> Decision {
        Decision {
            live: true,
            failure: None,
            parts,
        }
    }

    pub(super) fn refused(failure: LivenessFailure, reason: Reason, mut parts: Parts) -> Decision {
        parts.reason = Some(reason);
        Decision {
            live: false,
            failure: Some(failure),
            parts,
        }
    }
}
