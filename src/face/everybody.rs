//! Everybody in a picture: a crowd is looked at in pieces, so that small faces are found, too.
//!
//! What is done for the only face of a picture, a glance first, is not done here: who asks for
//! everybody expects many.

use std::fmt;

use super::align::{Outside, Similarity, to_the_middle, warp};
use super::decode::Picture;
use super::detect::{Bounds, Canvas, Detection, Landmarks, SCORE_MIN};
use super::error::FaceError;
use super::looking::{Looking, prominence};
use super::pipeline::Face;
use super::quality::Warning;
use super::upright::back_to_picture;
use crate::types::Embedding;

/// All faces in a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Everybody {
    /// Those that were looked at closely, the most prominent first: by the area inside the picture
    /// times the detector's score.
    pub faces: Vec<FoundFace>,
    /// How many more there are, all of them less prominent.
    pub left_out: usize,
}

/// One of the faces in a picture.
#[derive(Clone, PartialEq)]
pub struct FoundFace {
    /// From forehead to chin. It may reach beyond the picture.
    pub bounds: Bounds,
    /// Eyes, nose and mouth.
    pub landmarks: Landmarks,
    /// How sure the detector is that it is a face, 0.6 to 1.
    pub detection_score: f32,
    /// How suitable it is, from 0 to 1.
    pub quality: f32,
    /// What is wrong with it, if anything.
    pub warnings: Vec<Warning>,
    /// What the encoder says of it; none if it has too few pixels for that.
    pub embedding: Option<Embedding>,
}

/// It is somebody's face.
impl fmt::Debug for FoundFace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FoundFace(hidden)")
    }
}

/// The only face of a picture is one that was found.
impl From<Face> for FoundFace {
    fn from(face: Face) -> FoundFace {
        FoundFace {
            quality: face.quality.score(),
            bounds: face.bounds,
            landmarks: face.landmarks,
            detection_score: face.detection_score,
            warnings: face.warnings,
            embedding: Some(face.embedding),
        }
    }
}

/// Faces with a smaller side, in pixels of the picture, are not encoded: the eyes are then less than
/// eight pixels apart, which is of no use to anybody.
const ENCODED_SIDE_MIN: f32 = 18.0;

/// A picture is looked at in pieces of a canvas of so many pixels, besides as a whole: two pieces of
/// 640 with what they share, so that a face of up to 128 is whole in one of them. Larger ones are
/// seen in the whole, where they have 71.
const PIECES_SIDE: usize = 1152;
/// The same for pictures that would lose too much on that: up to four pieces across.
const LARGE_PIECES_SIDE: usize = 2176;
/// Those are pictures whose longer side is more than this: a face of 36 pixels has nine on the
/// smaller canvas, hardly enough to be found.
const LARGE_SIDE_MIN: usize = 4096;
/// What neighbouring pieces share.
const SHARED_SIDE: usize = 128;
/// What comes so near to the edge of a piece, in pixels of it, is cut off by it.
const CUT_OFF_MARGIN: f32 = 3.0;

/// Two sightings are of one face if they overlap more than this,
const SAME_OVERLAP_MIN: f32 = 0.3;
/// or if one lies within the other by more than this.
const SAME_WITHIN_MIN: f32 = 0.75;

/// A face that is found again with a lower score in what was cut out may be none, or not upright.
const UPRIGHT_DOUBTED: f32 = 0.8;

/// How much around a box, as a share of its longer side, is looked at again.
const AROUND_SHARE: f32 = 0.75;

/// A picture is turned only if one of its faces has so high a score then.
const TURNED_SCORE_MIN: f32 = 0.8;

/// A face, and what the look that saw it multiplied lengths by.
#[derive(Clone, Copy)]
struct Sighting {
    detection: Detection,
    scale: f32,
}

/// A face that was looked at closely.
struct Described {
    face: FoundFace,
    /// How sure the detector is of it, upright.
    upright: f32,
    /// By how many degrees clockwise it has to be turned.
    turned: f32,
}

impl Looking<'_> {
    /// All faces in a picture. Of more than `most`, the most prominent are looked at closely, each
    /// of which takes about as long as a picture of one person, and for each of which there is more
    /// patience; the others are only counted.
    ///
    /// # Errors
    ///
    /// If a network fails or there is no patience left. A picture without a face is no error.
    pub fn everybody_in(&self, picture: &Picture, most: usize) -> Result<Everybody, FaceError> {
        let mut sightings = self.sightings(picture, 0.0)?;
        let mut patience = self.patience_for(sightings.len().min(most));
        let patient = self.with_patience(&patience);
        let mut described = patient.describe_all(picture, &sightings, most)?;
        for degrees in other_ways_up(&described) {
            // In pieces only if the whole says that it is worth the time.
            let patient = self.with_patience(&patience);
            let whole = patient.find_at(picture, degrees, Canvas::Many)?;
            if !whole.iter().any(|seen| seen.score >= TURNED_SCORE_MIN) {
                continue;
            }
            let more = new_ones(&sightings, patient.sightings(picture, degrees)?);
            patience = patient.patience_for(more.len().min(most));
            let patient = self.with_patience(&patience);
            described.extend(patient.describe_all(picture, &more, most)?);
            sightings.extend(more);
            break;
        }
        let count = sightings.len();
        let mut faces: Vec<FoundFace> = described.into_iter().map(|it| it.face).collect();
        let of = |face: &FoundFace| prominence(picture, &face.bounds, face.detection_score);
        faces.sort_by(|a, b| of(b).total_cmp(&of(a)));
        faces.truncate(most);
        Ok(Everybody {
            left_out: count - faces.len(),
            faces,
        })
    }

    /// The face in a picture that overlaps `bounds` most; none if no face does.
    ///
    /// # Errors
    ///
    /// If a network fails or there is no patience left.
    pub fn face_within(
        &self,
        picture: &Picture,
        bounds: &Bounds,
    ) -> Result<Option<Face>, FaceError> {
        let mut nearest = nearest(self.sightings(picture, 0.0)?, bounds);
        if nearest.is_none() {
            nearest = self.sighting_around(picture, bounds)?;
        }
        let Some(Sighting {
            mut detection,
            scale,
        }) = nearest
        else {
            return Ok(None);
        };
        self.refine(picture, &mut detection, scale)?;
        if to_the_middle(&detection.landmarks, Canvas::Glance.side(), 0.0).is_none() {
            return Ok(None);
        }
        Ok(Some(self.describe(picture, &detection)?))
    }

    /// The face that overlaps `bounds` most in what is cut out around them, whichever way up.
    fn sighting_around(
        &self,
        picture: &Picture,
        bounds: &Bounds,
    ) -> Result<Option<Sighting>, FaceError> {
        let around = bounds.grown(AROUND_SHARE * bounds.width.max(bounds.height));
        let [left, top, ..] = around.whole_within((picture.width(), picture.height()));
        let cut = picture.cut(&around);
        let scale = Canvas::One.scale(&cut);
        for degrees in [0.0, 90.0, 270.0, 180.0] {
            let mut found = of_scale(self.find_at(&cut, degrees, Canvas::One)?, scale);
            for seen in &mut found {
                seen.detection.move_by(left as f32, top as f32);
            }
            let nearest = nearest(found, bounds);
            if nearest.is_some() {
                return Ok(nearest);
            }
        }
        Ok(None)
    }

    fn describe_all(
        &self,
        picture: &Picture,
        sightings: &[Sighting],
        most: usize,
    ) -> Result<Vec<Described>, FaceError> {
        let nearest = sightings.iter().take(most);
        nearest
            .map(|seen| self.describe_one(picture, seen))
            .collect()
    }

    fn describe_one(&self, picture: &Picture, seen: &Sighting) -> Result<Described, FaceError> {
        let mut detection = seen.detection;
        if detection.bounds.area().sqrt() < ENCODED_SIDE_MIN {
            return Ok(Described::of_few_pixels(&detection));
        }
        self.refine(picture, &mut detection, seen.scale)?;
        // Landmarks in one place are no reason to refuse all the others.
        if to_the_middle(&detection.landmarks, Canvas::Glance.side(), 0.0).is_none() {
            return Ok(Described::of_few_pixels(&detection));
        }
        let face = self.describe(picture, &detection)?;
        Ok(Described {
            upright: face.quality.upright,
            turned: face.quality.turned,
            face: face.into(),
        })
    }

    /// What is seen of a picture that is turned by a multiple of 90 degrees, as a whole and in
    /// pieces, in places of the picture as it is; the most prominent first, each face once.
    fn sightings(&self, picture: &Picture, degrees: f64) -> Result<Vec<Sighting>, FaceError> {
        let whole = Canvas::Many.scale(picture);
        let found = if degrees == 0.0 {
            self.detect(picture, Canvas::Many, SCORE_MIN)?
        } else {
            self.find_at(picture, degrees, Canvas::Many)?
        };
        let mut sightings = of_scale(found, whole);
        let longer = picture.width().max(picture.height());
        let side = if longer > LARGE_SIDE_MIN {
            LARGE_PIECES_SIDE
        } else {
            PIECES_SIDE
        };
        let scale = (side as f32 / longer as f32).min(1.0);
        if scale > whole {
            sightings.extend(self.sightings_in_pieces(picture, degrees, scale)?);
        }
        if sightings.is_empty() && degrees == 0.0 {
            let (found, scale) = self.find_with_border(picture)?;
            sightings = of_scale(found, scale);
        }
        let mut sightings = each_once(sightings);
        let of =
            |seen: &Sighting| prominence(picture, &seen.detection.bounds, seen.detection.score);
        sightings.sort_by(|a, b| of(b).total_cmp(&of(a)));
        Ok(sightings)
    }

    fn sightings_in_pieces(
        &self,
        picture: &Picture,
        degrees: f64,
        scale: f32,
    ) -> Result<Vec<Sighting>, FaceError> {
        let (width, height) = (picture.width() as f64, picture.height() as f64);
        let lies = degrees == 90.0 || degrees == 270.0;
        let (across, down) = if lies {
            (height, width)
        } else {
            (width, height)
        };
        let length = |length: f64| ((length * f64::from(scale)).round() as usize).max(1);
        let (across, down) = (length(across), length(down));
        let middle = |length: f64| (length - 1.0) / 2.0;
        let (mut all, mut looks) = (Vec::new(), 0);
        for top in pieces(down) {
            for left in pieces(across) {
                if looks == self.pieces_max() {
                    return Ok(all);
                }
                let side = Canvas::Many.side();
                let size = (across.min(side), down.min(side));
                let there = Similarity::about(
                    degrees,
                    f64::from(scale),
                    (middle(width), middle(height)),
                    (
                        middle(across as f64) - left as f64,
                        middle(down as f64) - top as f64,
                    ),
                );
                let piece = warp(picture, &there, size, Outside::Nearest);
                if piece.is_of_one_colour() {
                    continue;
                }
                looks += 1;
                let seen = self.detect(&piece, Canvas::Many, SCORE_MIN)?.into_iter();
                let place = Place {
                    start: (left, top),
                    size,
                    of: (across, down),
                };
                let whole = seen.filter(|seen| !place.cuts_off(&seen.bounds));
                let back = there.inverse();
                let found = whole.map(|seen| back_to_picture(&seen, &back, lies));
                all.extend(of_scale(found.collect(), scale));
            }
        }
        Ok(all)
    }
}

/// Where a piece lies on the canvas that it is one of.
struct Place {
    start: (usize, usize),
    size: (usize, usize),
    of: (usize, usize),
}

impl Place {
    /// Whether a face reaches an edge of the piece behind which the picture goes on.
    fn cuts_off(&self, face: &Bounds) -> bool {
        let cut = |from: f32, to: f32, start: usize, size: usize, of: usize| {
            start > 0 && from < CUT_OFF_MARGIN
                || start + size < of && to > size as f32 - CUT_OFF_MARGIN
        };
        let Bounds {
            x,
            y,
            width,
            height,
        } = *face;
        cut(x, x + width, self.start.0, self.size.0, self.of.0)
            || cut(y, y + height, self.start.1, self.size.1, self.of.1)
    }
}

impl Described {
    /// A face of which there is nothing to say but that it is there.
    fn of_few_pixels(detection: &Detection) -> Described {
        Described {
            face: FoundFace {
                bounds: detection.bounds,
                landmarks: detection.landmarks,
                detection_score: detection.score,
                quality: 0.0,
                warnings: vec![Warning::ImageWayTooSmall],
                embedding: None,
            },
            upright: 0.0,
            turned: 0.0,
        }
    }
}

/// The sighting that overlaps `bounds` most, if one does.
fn nearest(sightings: Vec<Sighting>, bounds: &Bounds) -> Option<Sighting> {
    let shared = |seen: &Sighting| seen.detection.bounds.overlap(bounds);
    let nearest = sightings.into_iter().filter(|seen| shared(seen) > 0.0);
    nearest.max_by(|a, b| shared(a).total_cmp(&shared(b)))
}

fn of_scale(found: Vec<Detection>, scale: f32) -> Vec<Sighting> {
    let sighting = |detection| Sighting { detection, scale };
    found.into_iter().map(sighting).collect()
}

/// Where the pieces of so many pixels begin: as few as share enough with their neighbours, spread
/// evenly.
fn pieces(length: usize) -> Vec<usize> {
    let side = Canvas::Many.side();
    if length <= side {
        return vec![0];
    }
    let count = (length - SHARED_SIDE).div_ceil(side - SHARED_SIDE);
    let last = length - side;
    (0..count).map(|at| at * last / (count - 1)).collect()
}

/// Whether two rectangles are of one face.
fn is_same(a: &Bounds, b: &Bounds) -> bool {
    a.overlap(b) > SAME_OVERLAP_MIN || a.share_of_smaller(b) > SAME_WITHIN_MIN
}

/// The surest sighting of each face.
fn each_once(mut sightings: Vec<Sighting>) -> Vec<Sighting> {
    sightings.sort_by(|a, b| b.detection.score.total_cmp(&a.detection.score));
    let mut kept: Vec<Sighting> = Vec::new();
    for seen in sightings {
        let same = |other: &Sighting| is_same(&other.detection.bounds, &seen.detection.bounds);
        if !kept.iter().any(same) {
            kept.push(seen);
        }
    }
    kept
}

/// Those of `more` that are none of the `known`.
fn new_ones(known: &[Sighting], more: Vec<Sighting>) -> Vec<Sighting> {
    let is_new = |seen: &Sighting| {
        let same = |known: &Sighting| is_same(&known.detection.bounds, &seen.detection.bounds);
        !known.iter().any(same)
    };
    more.into_iter().filter(is_new).collect()
}

/// Which other ways up a picture is to be looked at, by the faces that were found in it as it is:
/// all, if none of them is surely one; that of most of them, if it is another.
fn other_ways_up(described: &[Described]) -> Vec<f64> {
    let sure: Vec<f32> = described
        .iter()
        .filter(|it| it.upright >= UPRIGHT_DOUBTED)
        .map(|it| it.turned)
        .collect();
    if sure.is_empty() {
        return vec![90.0, 270.0, 180.0];
    }
    let is_most = |degrees: &f64| {
        let count = sure
            .iter()
            .filter(|turned| f64::from(**turned) == *degrees)
            .count();
        2 * count > sure.len()
    };
    [90.0, 180.0, 270.0].into_iter().filter(is_most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::face::Point;

    fn sighting(score: f32, x: f32, side: f32) -> Sighting {
        Sighting {
            detection: Detection {
                score,
                bounds: Bounds {
                    x,
                    y: 0.0,
                    width: side,
                    height: side,
                },
                landmarks: [Point::default(); 5],
            },
            scale: 1.0,
        }
    }

    #[test]
    fn pieces_cover_all_and_share_enough() {
        let side = Canvas::Many.side();
        for (length, expected) in [
            (1, vec![0]),
            (640, vec![0]),
            (641, vec![0, 1]),
            (1152, vec![0, 512]),
            (1153, vec![0, 256, 513]),
            (2176, vec![0, 512, 1024, 1536]),
        ] {
            let found = pieces(length);
            assert_eq!(found, expected, "{length}");
            assert!(found.last().unwrap() + side >= length);
            for two in found.windows(2) {
                assert!(two[0] + side >= two[1] + SHARED_SIDE, "{length}: {found:?}");
            }
        }
    }

    #[test]
    fn a_face_at_an_edge_of_a_piece_is_left_to_its_neighbour() {
        let place = |start, of| Place {
            start: (start, 0),
            size: (640, 400),
            of: (of, 400),
        };
        let at = |x: f32| sighting(1.0, x, 50.0).detection.bounds;
        for (start, of, x, expected) in [
            (0, 1152, 0.0, false),
            (512, 1152, 0.0, true),
            (512, 1152, 4.0, false),
            (0, 1152, 590.0, true),
            (512, 1152, 590.0, false),
            (0, 640, 600.0, false),
        ] {
            let found = place(start, of).cuts_off(&at(x));
            assert_eq!(found, expected, "{start}, {of}, {x}");
        }
    }

    #[test]
    fn each_face_counts_once_and_two_that_touch_are_two() {
        let seen = vec![
            sighting(0.7, 0.0, 100.0),
            sighting(0.9, 5.0, 100.0),
            // Half of a face, as another look saw it.
            sighting(0.8, 60.0, 40.0),
            sighting(0.65, 95.0, 100.0),
        ];
        let kept = each_once(seen);
        let scores: Vec<f32> = kept.iter().map(|seen| seen.detection.score).collect();
        assert_eq!(scores, [0.9, 0.65]);
        let more = vec![sighting(0.9, 100.0, 95.0), sighting(0.6, 400.0, 50.0)];
        assert_eq!(new_ones(&kept, more).len(), 1);
    }

    #[test]
    fn a_picture_is_turned_if_most_of_its_faces_are() {
        let described = |upright, turned| Described {
            upright,
            turned,
            ..Described::of_few_pixels(&sighting(0.9, 0.0, 9.0).detection)
        };
        for (faces, expected) in [
            (vec![], vec![90.0, 270.0, 180.0]),
            (vec![described(0.5, 180.0)], vec![90.0, 270.0, 180.0]),
            (vec![described(0.9, 0.0)], vec![]),
            (vec![described(0.9, 180.0)], vec![180.0]),
            (vec![described(0.9, 180.0), described(0.9, 0.0)], vec![]),
            (
                vec![
                    described(0.9, 90.0),
                    described(0.9, 90.0),
                    described(0.9, 0.0),
                ],
                vec![90.0],
            ),
        ] {
            assert_eq!(other_ways_up(&faces), expected);
        }
    }
}
