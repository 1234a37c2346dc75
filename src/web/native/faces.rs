//! Faces in pictures, as the calls tell them that look at all of a picture.

use serde::Serialize;
use utoipa::ToSchema;

use super::super::state::AppState;
use super::problem::{Code, Problem};
use super::samples::{GivenPictures, GivenSamples};
use crate::face::{Bounds, Everybody, Point, Warning};
use crate::turns::Account;

/// Where a face is, from forehead to chin: pixels of the picture as it is shown upright. It lies
/// within the picture.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[schema(as = FaceBox)]
pub(in super::super) struct BoxReport {
    /// Pixels from the left edge of the picture.
    left: usize,
    /// Pixels from the top edge.
    top: usize,
    /// Pixels from left to right.
    width: usize,
    /// Pixels from top to bottom.
    height: usize,
}

/// A place in a picture.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[schema(as = FacePoint)]
pub(in super::super) struct PointReport {
    /// Pixels from the left edge of the picture, to a tenth.
    x: f64,
    /// Pixels from the top edge.
    y: f64,
}

/// Everybody in a picture, and its size.
pub(super) struct Group {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) everybody: Everybody,
}

impl BoxReport {
    pub(super) fn of(bounds: &Bounds, size: (usize, usize)) -> BoxReport {
        let [left, top, width, height] = bounds.whole_within(size);
        BoxReport {
            left,
            top,
            width,
            height,
        }
    }
}

impl PointReport {
    pub(super) fn of(point: &Point) -> PointReport {
        let tenths = |at: f32| (f64::from(at) * 10.0).round() / 10.0 + 0.0;
        PointReport {
            x: tenths(point.x),
            y: tenths(point.y),
        }
    }
}

/// What could be better about a face.
pub(super) fn warning_names(warnings: &[Warning]) -> Vec<&'static str> {
    warnings.iter().map(|warning| warning.name()).collect()
}

/// The pictures of a call that takes pictures alone, so many of them.
pub(super) fn pictures(given: GivenSamples, count: usize) -> Result<GivenPictures, Problem> {
    if given.embeddings.count() > 0 {
        return Err(Problem::malformed(
            "faces are looked for in pictures, and there is an embedding",
        ));
    }
    let found = given.pictures.count();
    let (code, number) = match found {
        _ if found == count => return Ok(given.pictures),
        0 => (Code::NoSamples, "none".to_owned()),
        _ if found < count => (Code::NoSamples, found.to_string()),
        _ => (Code::TooManySamples, found.to_string()),
    };
    let pictures = if count == 1 { "picture" } else { "pictures" };
    let detail = format!("this call takes {count} {pictures}, and there came {number}");
    Err(Problem::new(code, detail))
}

/// Finds everybody in the only picture of a call, when its turn comes.
pub(super) async fn look(
    state: &AppState,
    account: &Account,
    pictures: GivenPictures,
) -> Result<Group, Problem> {
    let shared = state.clone();
    let lanes = state.lanes();
    let seen = lanes.see_crowd(account, move |left| {
        let looked = || -> Result<Group, Problem> {
            let picture = pictures.into_kept().into_iter().next();
            let bytes = picture.map(|picture| picture.bytes()).transpose();
            let bytes = bytes.map_err(|problem| problem.of_sample(0))?;
            let bytes = bytes.unwrap_or_default();
            let patience = shared.intake().patience().until_left(left);
            let crowd = shared.intake().look_at_all(&bytes, &patience)?;
            Ok(Group {
                width: crowd.picture.width(),
                height: crowd.picture.height(),
                everybody: crowd.everybody,
            })
        };
        let looked = looked();
        let faces = looked
            .as_ref()
            .map_or(0, |group| group.everybody.faces.len());
        // The looks for small faces take as long as some pictures.
        (looked, LOOKS_PICTURES + faces)
    });
    seen.await?
}

/// As how many pictures of one person the looks for all faces of one count.
const LOOKS_PICTURES: usize = 4;
