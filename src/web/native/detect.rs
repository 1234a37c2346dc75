//! `POST /v1/detect`: which faces are in this picture?

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::super::endpoint::Endpoint;
use super::super::state::AppState;
use super::answer;
use super::body::{self, CallBody};
use super::faces::{self, BoxReport, Group, PointReport, warning_names};
use super::failures;
use super::key::Key;
use super::problem::Problem;
use super::samples::{GivenPictures, GivenSamples};
use crate::access::Scope;
use crate::face::FoundFace;

/// A picture in which faces are looked for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct DetectRequest {
    /// One picture, in base64, bare or as data-URL.
    #[schema(value_type = Option<Vec<String>>)]
    pictures: Option<GivenPictures>,
}

/// The same as a form.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "forms are read field by field; this is their description"
)]
pub(in super::super) struct DetectForm {
    /// The picture, as it is.
    #[schema(value_type = String, format = Binary)]
    picture: Vec<u8>,
}

/// The faces in a picture.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct DetectAnswer {
    /// The faces, the most prominent first; at most 100.
    faces: Vec<DetectedFace>,
    /// How many more faces there are, all less prominent.
    faces_left_out: usize,
    /// Pixels from left to right of the picture as it is shown upright.
    width: usize,
    /// Pixels from top to bottom.
    height: usize,
}

/// A face.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct DetectedFace {
    /// Where it is.
    r#box: BoxReport,
    /// Where its parts are.
    points: FacePoints,
    /// How sure the detector is that it is a face, from 0.6 to 1.
    detection_score: f32,
    /// How suitable it is, from 0 to 1.
    quality: f32,
    /// What could be better about it.
    warnings: Vec<&'static str>,
}

/// The parts of a face. Left and right are those of the picture where the face is upright in it.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct FacePoints {
    /// The eye on the left of the picture.
    left_eye: PointReport,
    /// The eye on its right.
    right_eye: PointReport,
    /// The tip of the nose.
    nose: PointReport,
    /// The corner of the mouth on the left.
    left_mouth: PointReport,
    /// The corner of the mouth on the right.
    right_mouth: PointReport,
}

impl CallBody for DetectRequest {
    type Options = ();

    fn split(self) -> (GivenSamples, ()) {
        let samples = GivenSamples::of_pictures(self.pictures.unwrap_or_default());
        (samples, ())
    }
}

pub(super) fn endpoint() -> Endpoint {
    failures::endpoint(
        routes!(detect),
        &[
            Key::FAILURES,
            Key::MAY_FAILURES,
            body::PICTURE_FAILURES,
            failures::OURS,
        ],
    )
}

/// Find the faces in a picture
///
/// Says where they are and how good they are, and nothing of who they are. A picture of nobody is no error.
/// Needs the scope `identify`.
#[utoipa::path(
    post,
    path = "/detect",
    tag = "native",
    operation_id = "detect",
    request_body(content(
        (DetectRequest = "application/json"),
        (DetectForm = "multipart/form-data"),
    )),
    responses((status = 200, description = "The picture was looked at", body = DetectAnswer)),
    security(("api_key" = []))
)]
async fn detect(
    State(state): State<AppState>,
    key: Key,
    request: Request,
) -> Result<Response, Problem> {
    key.may(Scope::Identify)?;
    let (given, ()) = body::read::<DetectRequest>(&state, request).await?;
    let picture = faces::pictures(given, 1)?;
    let group = faces::look(&state, &key.account(), picture).await?;
    Ok(answer::json(StatusCode::OK, &DetectAnswer::of(&group)))
}

impl DetectAnswer {
    fn of(group: &Group) -> DetectAnswer {
        let size = (group.width, group.height);
        let face = |face: &FoundFace| {
            let [left_eye, right_eye, nose, left_mouth, right_mouth] =
                face.landmarks.each_ref().map(PointReport::of);
            DetectedFace {
                r#box: BoxReport::of(&face.bounds, size),
                points: FacePoints {
                    left_eye,
                    right_eye,
                    nose,
                    left_mouth,
                    right_mouth,
                },
                detection_score: face.detection_score,
                quality: face.quality,
                warnings: warning_names(&face.warnings),
            }
        };
        DetectAnswer {
            faces: group.everybody.faces.iter().map(face).collect(),
            faces_left_out: group.everybody.left_out,
            width: group.width,
            height: group.height,
        }
    }
}
