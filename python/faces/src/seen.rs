//! What is told of a picture, in the words of the command line.

use pyo3::prelude::*;
use vultus::face::{Everybody, FoundFace, Picture, Quality, Warning};
use vultus::intake::{Crowd, Seen};
use vultus::liveness::{Decision, Reason};

/// A picture that was looked at; a dictionary in Python.
#[derive(IntoPyObject)]
pub(crate) struct SeenPicture {
    width: usize,
    height: usize,
    faces: Vec<SeenFace>,
    left_out: usize,
    /// Whether the only face is live, the score, and why not.
    live: Option<(bool, f64, Option<&'static str>)>,
}

#[derive(IntoPyObject)]
struct SeenFace {
    /// Left, top, width and height, in whole pixels within the picture.
    r#box: (usize, usize, usize, usize),
    points: Vec<Vec<f32>>,
    detection_score: f32,
    quality: f32,
    /// Names and sentences.
    warnings: Vec<(&'static str, &'static str)>,
    embedding: Option<Vec<f32>>,
    /// What was measured, of the only face of a picture.
    measures: Vec<(&'static str, f32)>,
}

impl SeenPicture {
    pub(crate) fn of_crowd(crowd: &Crowd) -> SeenPicture {
        SeenPicture::of(&crowd.picture, &crowd.everybody)
    }

    pub(crate) fn of_everybody(picture: &Picture, everybody: &Everybody) -> SeenPicture {
        SeenPicture::of(picture, everybody)
    }

    /// The only face, with what was measured of it.
    pub(crate) fn of_one(seen: Seen, decision: Option<&Decision>) -> SeenPicture {
        let measures = measures(&seen.face.quality);
        let crowd = Crowd::from(seen);
        let mut told = SeenPicture::of(&crowd.picture, &crowd.everybody);
        for face in &mut told.faces {
            face.measures.clone_from(&measures);
        }
        told.live = decision.map(|decision| {
            let parts = &decision.parts;
            let reason = parts.reason.map(Reason::message);
            (decision.live, parts.score.unwrap_or(0.0), reason)
        });
        told
    }

    fn of(picture: &Picture, everybody: &Everybody) -> SeenPicture {
        let (width, height) = (picture.width(), picture.height());
        let face = |face: &FoundFace| SeenFace::of(face, (width, height));
        SeenPicture {
            width,
            height,
            faces: everybody.faces.iter().map(face).collect(),
            left_out: everybody.left_out,
            live: None,
        }
    }
}

impl SeenFace {
    fn of(face: &FoundFace, size: (usize, usize)) -> SeenFace {
        let points = face.landmarks.iter();
        let warning = |warning: &Warning| (warning.name(), warning.message());
        let embedding = face.embedding.as_ref();
        SeenFace {
            r#box: face.bounds.whole_within(size).into(),
            points: points.map(|point| vec![point.x, point.y]).collect(),
            detection_score: face.detection_score,
            quality: face.quality,
            warnings: face.warnings.iter().map(warning).collect(),
            embedding: embedding.map(|embedding| embedding.values().to_vec()),
            measures: Vec::new(),
        }
    }
}

fn measures(quality: &Quality) -> Vec<(&'static str, f32)> {
    vec![
        ("eye_distance", quality.eye_distance),
        ("brightness", quality.brightness),
        ("sharpness", quality.sharpness),
        ("turned", quality.turned),
        ("roll", quality.roll),
        ("turn", quality.turn),
        ("nose_height", quality.nose_height),
        ("visible", quality.visible),
        ("upright", quality.upright),
        ("strength", quality.strength),
        ("repeated", quality.repeated),
        ("fine_detail", quality.fine_detail),
        ("shading", quality.shading),
        ("blank", quality.blank),
        ("imbalance", quality.imbalance),
        ("eye_shadow", quality.eye_shadow),
        ("nose_light", quality.nose_light),
    ]
}
