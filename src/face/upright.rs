//! Which way is up: a face that lies on a side or upside down is found by the detector, too, with its
//! landmarks reported as if it were upright.

use super::align::{Outside, Similarity, to_the_middle, warp};
use super::decode::Picture;
use super::detect::{Bounds, Canvas, Detection, Landmarks, SCORE_MIN};
use super::error::FaceError;
use super::looking::{Looking, only, sort_by_prominence};
use super::pipeline::no_face_in_one_place;

/// A face that is found again in what was cut out by its landmarks with so high a score is upright.
/// Of 439 natural portraits one in thirty has less, and 0.86 at least (`docs/quality.md`).
const UPRIGHT_SURE: f32 = 0.89;
/// A picture is turned only if its face has so high a score then, and so much more than without.
const TURNED_SCORE_MIN: f32 = 0.8;
const TURNED_GAIN_MIN: f32 = 0.05;
/// Where a face should be, lower scores than that of any face tell how little of one it is.
const MIDDLE_SCORE_MIN: f32 = 0.05;

impl Looking<'_> {
    /// The face as it is seen upright, and how sure the detector is of it then.
    ///
    /// The detector finds faces that lie on a side or upside down, too, and reports their landmarks
    /// as if they were upright. In what is cut out by them it does not find a face again, and finds
    /// one when that is turned.
    pub(super) fn upright(
        &self,
        picture: &Picture,
        detection: &Detection,
    ) -> Result<(Detection, f32), FaceError> {
        let as_found = self.look_in_the_middle(picture, &detection.landmarks, 0.0)?;
        let score = as_found.map_or(0.0, |(score, _)| score);
        if score >= UPRIGHT_SURE {
            return Ok((*detection, score));
        }
        let mut best: Option<(f32, Landmarks)> = None;
        for degrees in [180.0, 90.0, 270.0] {
            let turned = self.look_in_the_middle(picture, &detection.landmarks, degrees)?;
            let better = |(found, _): &(f32, Landmarks)| {
                *found >= TURNED_SCORE_MIN.max(best.map_or(score + TURNED_GAIN_MIN, |best| best.0))
            };
            best = turned.filter(better).or(best);
        }
        let Some((_, landmarks)) = best else {
            return Ok((*detection, score));
        };
        let turned = Detection {
            landmarks,
            ..*detection
        };
        // The landmarks are those of a small crop: they are found again in a larger one.
        let again = self.look_again(picture, &turned, 0.0)?;
        let turned = Detection {
            landmarks: again.unwrap_or(landmarks),
            ..turned
        };
        let again = self.look_in_the_middle(picture, &turned.landmarks, 0.0)?;
        Ok((turned, again.map_or(0.0, |(score, _)| score)))
    }

    /// How sure the detector is of the face with these landmarks, cut out by them with its
    /// surroundings and turned by `degrees`, and where it finds them again. `None` if it sees
    /// nothing there at all.
    fn look_in_the_middle(
        &self,
        picture: &Picture,
        landmarks: &Landmarks,
        degrees: f64,
    ) -> Result<Option<(f32, Landmarks)>, FaceError> {
        let side = Canvas::Glance.side();
        let there = to_the_middle(landmarks, side, degrees).ok_or_else(no_face_in_one_place)?;
        let crop = warp(picture, &there, (side, side), Outside::Nearest);
        let seen = self.detect(&crop, Canvas::Glance, MIDDLE_SCORE_MIN)?;
        let middle = side as f32 / 2.0;
        let near = |seen: &&Detection| {
            let centre = seen.bounds.centre();
            (centre.x - middle).hypot(centre.y - middle) < side as f32 / 4.0
        };
        let back = there.inverse();
        Ok(seen.iter().find(near).map(|seen| {
            let landmarks = seen.landmarks.map(|point| back.apply_to_point(point));
            (seen.score, landmarks)
        }))
    }

    /// The only face in a picture that lies on a side or upside down, where none is found as it is;
    /// `None` if none is found then either.
    pub(super) fn find_turned(&self, picture: &Picture) -> Result<Option<Detection>, FaceError> {
        let mut best: Vec<Detection> = Vec::new();
        let sureness = |found: &[Detection]| found.first().map_or(0.0, |first| first.score);
        for degrees in [90.0, 270.0, 180.0] {
            let found = self.find_at(picture, degrees, Canvas::One)?;
            if sureness(&found) >= TURNED_SCORE_MIN.max(sureness(&best)) {
                best = found;
            }
        }
        if best.is_empty() {
            return Ok(None);
        }
        sort_by_prominence(picture, &mut best);
        let mut only = *only(picture, &best)?;
        let again = self.look_again(picture, &only, 0.0)?;
        only.landmarks = again.unwrap_or(only.landmarks);
        Ok(Some(only))
    }

    /// The faces in a picture that is turned by a multiple of 90 degrees, the surest first, in
    /// places of the picture as it is.
    pub(super) fn find_at(
        &self,
        picture: &Picture,
        degrees: f64,
        canvas: Canvas,
    ) -> Result<Vec<Detection>, FaceError> {
        let (width, height) = (picture.width() as f64, picture.height() as f64);
        let scale = f64::from(canvas.scale(picture));
        let lies = degrees != 180.0;
        let (across, down) = if lies {
            (height, width)
        } else {
            (width, height)
        };
        let size = |length: f64| ((length * scale).round() as usize).max(1);
        let (to_width, to_height) = (size(across), size(down));
        let middle = |length: f64| (length - 1.0) / 2.0;
        let there = Similarity::about(
            degrees,
            scale,
            (middle(width), middle(height)),
            (middle(to_width as f64), middle(to_height as f64)),
        );
        let turned = warp(picture, &there, (to_width, to_height), Outside::Nearest);
        let back = there.inverse();
        let found = self.detect(&turned, canvas, SCORE_MIN)?.into_iter();
        Ok(found
            .map(|seen| back_to_picture(&seen, &back, lies))
            .collect())
    }
}

/// A detection in places of the picture. `lies` if the two pictures lie across one another.
pub(super) fn back_to_picture(seen: &Detection, back: &Similarity, lies: bool) -> Detection {
    let scale = back.scale() as f32;
    let (width, height) = (seen.bounds.width * scale, seen.bounds.height * scale);
    let (width, height) = if lies {
        (height, width)
    } else {
        (width, height)
    };
    let centre = back.apply_to_point(seen.bounds.centre());
    Detection {
        score: seen.score,
        bounds: Bounds {
            x: centre.x - width / 2.0,
            y: centre.y - height / 2.0,
            width,
            height,
        },
        landmarks: seen.landmarks.map(|point| back.apply_to_point(point)),
    }
}
