//! Looks at a picture until the faces in it are where the embedder wants them, and the rules of when
//! to look again.

use super::align::{Outside, Similarity, warp};
use super::decode::Picture;
use super::detect::{Bounds, Canvas, Detection, Landmarks, Point, SCORE_MIN, reduce};
use super::error::FaceError;
use super::frames::decode_frames;
use super::patience::Patience;
use super::pipeline::{Face, FacePipeline, no_face_in_one_place};
use super::profile::EncoderProfile;
use super::quality::{Impression, Quality, roll};

/// A glance suffices only if the face covers so many pixels of its canvas, as one of 30 x 40 does.
/// A second face that counts, see [`FacePipeline::only_face`], then covers 240, and is seldom
/// missed: of 300 pictures of two people 3 are taken for pictures of one, and none on the canvas of
/// 320 alone (`scripts/golden.sh`).
const GLANCE_AREA_MIN: f32 = 1200.0;
/// It suffices only if the detector is sure of the face. Most faces of that size have 0.9.
const GLANCE_SCORE_MIN: f32 = 0.8;
/// It does not suffice if anything else has so low a score. Small faces have a lower one here than
/// on the canvas of 320: with 0.6, the limit elsewhere, 13 pictures of two people were taken for
/// pictures of one where 4 are with 0.3 and 2 with 0.2.
const GLANCE_DOUBT_MIN: f32 = 0.2;
/// A face lower than this on the canvas is looked at again.
///
/// The detector reads small faces from finer cells than large ones, and the finer cells hardly know
/// of rotation: measured on portraits turned by 30 degrees, the line between the eyes is reported
/// as tilted by 3 degrees for faces of 60 or 110 pixels, by 27 for faces of 220.
const SMALL_ON_CANVAS: f32 = 150.0;
/// A face tilted by more degrees than this is looked at again, until what is left is less.
const TILTED_DEGREES: f32 = 10.0;
/// A face that takes more than this share of a side of the picture is looked at again, with the
/// border repeated around it.
const FILLING_SHARE: f32 = 0.75;
/// How much of the second look's canvas the face fills: 180 of 256 pixels, enough for the cells
/// that know of rotation.
const SECOND_LOOK_SHARE: f32 = 0.7;
/// If two looks differ by no more degrees about the tilt, the first was not misled by it, and the
/// middle of the two is nearer to the truth than either. On ORL it raises the mean cosine of pairs
/// of one person from 0.804 (first look alone) and 0.809 (second alone) to 0.814.
const AGREEING_DEGREES: f32 = 8.0;
/// The middle is taken only if the first look saw at least this share of the second's detail, since
/// the landmarks of a coarser one are further from the truth. 0.5 and 0.75 recognise equally well.
const COMPARABLE_DETAIL: f32 = 0.5;
/// How many times a face is looked at again at most.
const SECOND_LOOKS_MAX: usize = 3;
/// The least overlap of where a face is seen again with where it was: less is another face.
const SAME_FACE_OVERLAP_MIN: f32 = 0.3;
/// How much wider the border is for a face that fills the picture.
const BORDER_SHARE: f32 = 0.4;
/// Larger pictures are shrunk before they get a border, which would else take memory of many times
/// their own.
const BORDERED_SIDE_MAX: usize = 640;

/// With a lower score, cut out by its landmarks, a face may be none at all.
const UPRIGHT_DOUBTED: f32 = 0.8;

/// See [`FacePipeline::only_face`].
const SECOND_FACE_AREA_MIN: f32 = 0.2;
const SECOND_FACE_SCORE_MIN: f32 = 0.7;
const SECOND_FACE_VISIBLE_MIN: f32 = 0.5;

/// Looks of a [`FacePipeline`] that fail when there is no patience left.
#[derive(Clone, Copy, Debug)]
pub struct Looking<'a> {
    pipeline: &'a FacePipeline,
    patience: &'a Patience,
    pieces_max: usize,
}

/// So many bytes a piece of a picture has that is looked at by itself. One has a million pixels or
/// more, of which a photograph takes a hundred kilobytes; the least in which a face of 18 pixels
/// could be known, in the best of packings, are some hundred bytes.
const PIECE_BYTES_MIN: usize = 2_048;

/// Looks that are as patient as they need be, and where they begin.
impl FacePipeline {
    /// All faces in `picture`, the most prominent first: by the area inside the picture times the
    /// detector's score. There may be none.
    ///
    /// # Errors
    ///
    /// If the bytes are no picture within the limits, or a network fails.
    pub fn faces(&self, picture: &[u8]) -> Result<Vec<Face>, FaceError> {
        self.faces_in(&self.decode(picture)?)
    }

    /// As [`FacePipeline::faces`], for a picture that is already decoded.
    ///
    /// # Errors
    ///
    /// If a network fails.
    pub fn faces_in(&self, picture: &Picture) -> Result<Vec<Face>, FaceError> {
        self.within(&Patience::endless()).faces_in(picture)
    }

    /// The face in a picture of one person.
    ///
    /// A second face makes it a picture of two people only if it has at least a fifth of the area
    /// of the most prominent one, is found with a score of at least 0.7, and lies inside the
    /// picture by at least half: a passer-by in the background or a sliver at the edge is ignored.
    /// Seldom, a second face that is much smaller than the first is overlooked.
    ///
    /// # Errors
    ///
    /// If the bytes are no picture within the limits, there is not exactly one face, or a network
    /// fails.
    pub fn only_face(&self, picture: &[u8]) -> Result<Face, FaceError> {
        self.only_face_in(&self.decode(picture)?)
    }

    /// As [`FacePipeline::only_face`], for a picture that is already decoded.
    ///
    /// # Errors
    ///
    /// If there is not exactly one face, or a network fails.
    pub fn only_face_in(&self, picture: &Picture) -> Result<Face, FaceError> {
        self.within(&Patience::endless()).only_face_in(picture)
    }

    /// As [`FacePipeline::only_face_in`], but never content with a glance: its landmarks are nearer
    /// to the truth by about a percent of the face, which tells more surely where somebody looks,
    /// and recognises no better. Takes 10 ms more.
    ///
    /// # Errors
    ///
    /// If there is not exactly one face, or a network fails.
    pub fn only_face_closely_in(&self, picture: &Picture) -> Result<Face, FaceError> {
        self.within(&Patience::endless())
            .only_face_closely_in(picture)
    }

    /// Reads at most `count` pictures of a short video within the limits of this pipeline, spread
    /// evenly over its length: of an animated GIF, PNG or WebP, or of motion JPEG, bare or in an
    /// AVI file. A still picture is a video of one.
    ///
    /// # Errors
    ///
    /// As [`Picture::decode`]; also if the pictures together have more than six times the pixels
    /// that one may have.
    pub fn decode_frames(&self, video: &[u8], count: usize) -> Result<Vec<Picture>, FaceError> {
        self.within(&Patience::endless())
            .decode_frames(video, count)
    }

    /// The same looks, as long as there is patience.
    pub fn within<'a>(&'a self, patience: &'a Patience) -> Looking<'a> {
        Looking {
            pipeline: self,
            patience,
            pieces_max: usize::MAX,
        }
    }
}

impl<'a> Looking<'a> {
    /// The patience of these looks, and more for so many faces.
    pub(super) fn patience_for(&self, faces: usize) -> Patience {
        self.patience.for_faces(faces)
    }

    /// The same looks, as long as there is this patience.
    pub(super) fn with_patience<'b>(&self, patience: &'b Patience) -> Looking<'b>
    where
        'a: 'b,
    {
        Looking { patience, ..*self }
    }

    /// The same, at a picture that had so many bytes: of a large one, no more pieces are looked at by
    /// themselves than they could hold something. Pieces of one colour do not count.
    #[must_use]
    pub fn of_bytes(self, bytes: usize) -> Self {
        let pieces_max = 1 + bytes / PIECE_BYTES_MIN;
        Looking { pieces_max, ..self }
    }

    pub(super) fn pieces_max(&self) -> usize {
        self.pieces_max
    }

    /// As [`FacePipeline::decode`].
    ///
    /// # Errors
    ///
    /// Also if there is no patience left.
    pub fn decode(&self, picture: &[u8]) -> Result<Picture, FaceError> {
        let limits = &self.pipeline.limits;
        let decode = || Picture::decode_within(picture, limits, self.patience);
        self.pipeline.stages.decode.time("decode", decode)
    }

    /// As [`FacePipeline::decode_frames`].
    ///
    /// # Errors
    ///
    /// Also if there is no patience left.
    pub fn decode_frames(&self, video: &[u8], count: usize) -> Result<Vec<Picture>, FaceError> {
        let limits = &self.pipeline.limits;
        let decode = || decode_frames(video, limits, count, self.patience);
        self.pipeline.stages.decode.time("decode", decode)
    }

    /// As [`FacePipeline::faces_in`].
    ///
    /// # Errors
    ///
    /// Also if there is no patience left.
    pub fn faces_in(&self, picture: &Picture) -> Result<Vec<Face>, FaceError> {
        let (mut found, scale) = self.find(picture, &[Canvas::Many])?;
        for detection in &mut found {
            self.refine(picture, detection, scale)?;
        }
        found
            .iter()
            .map(|detection| self.describe(picture, detection))
            .collect()
    }

    /// As [`FacePipeline::only_face_in`].
    ///
    /// # Errors
    ///
    /// Also if there is no patience left.
    pub fn only_face_in(&self, picture: &Picture) -> Result<Face, FaceError> {
        match self.glance(picture)? {
            Some(only) => self.describe_or_turn(picture, &only),
            None => self.only_face_closely_in(picture),
        }
    }

    /// As [`FacePipeline::only_face_closely_in`].
    ///
    /// # Errors
    ///
    /// Also if there is no patience left.
    pub fn only_face_closely_in(&self, picture: &Picture) -> Result<Face, FaceError> {
        let (found, scale) = self.find(picture, &[Canvas::One, Canvas::Many])?;
        if found.is_empty() {
            let turned = self.find_turned(picture)?;
            return self.describe(picture, &turned.ok_or(FaceError::NoFaceFound)?);
        }
        // A crowd is known as one without looking at each face again, which takes 10 ms and more.
        let mut only = *only(picture, &found)?;
        self.refine(picture, &mut only, scale)?;
        self.describe_or_turn(picture, &only)
    }

    /// Every look at a picture is one of these.
    pub(super) fn detect(
        &self,
        picture: &Picture,
        canvas: Canvas,
        score_min: f32,
    ) -> Result<Vec<Detection>, FaceError> {
        self.patience.check()?;
        let look = || match picture.is_of_one_colour() {
            true => Ok(Vec::new()),
            false => self.pipeline.detector.detect(picture, canvas, score_min),
        };
        self.pipeline.stages.detect.time("detect", look)
    }

    /// The only face, if a look at a small canvas suffices, which takes a third of one at the
    /// canvas of 320, and a second look confirms it.
    fn glance(&self, picture: &Picture) -> Result<Option<Detection>, FaceError> {
        let scale = Canvas::Glance.scale(picture);
        let found = self.detect(picture, Canvas::Glance, GLANCE_DOUBT_MIN)?;
        let [only] = found[..] else {
            return Ok(None);
        };
        if !suffices(only.score, only.bounds.area_within(picture) * scale * scale) {
            return Ok(None);
        }
        let confirmed = self.look_again(picture, &only, scale)?;
        Ok(confirmed.map(|landmarks| Detection { landmarks, ..only }))
    }

    /// Looks again at a face that is small, tilted or fills the picture; the look before multiplied
    /// lengths by `scale`.
    pub(super) fn refine(
        &self,
        picture: &Picture,
        detection: &mut Detection,
        scale: f32,
    ) -> Result<(), FaceError> {
        let bounds = detection.bounds;
        let small = bounds.height * scale < SMALL_ON_CANVAS;
        let fills = bounds.height > FILLING_SHARE * picture.height() as f32
            || bounds.width > FILLING_SHARE * picture.width() as f32;
        if small || fills || roll(&detection.landmarks).abs() > TILTED_DEGREES {
            let again = self.look_again(picture, detection, scale)?;
            detection.landmarks = again.unwrap_or(detection.landmarks);
        }
        Ok(())
    }

    /// Looks at the whole picture on each canvas in turn until a face is found, then once more with a
    /// border around it: what is found, the most prominent first, and what the last look multiplied
    /// lengths by.
    fn find(
        &self,
        picture: &Picture,
        canvases: &[Canvas],
    ) -> Result<(Vec<Detection>, f32), FaceError> {
        let (mut found, scale) = self.find_unordered(picture, canvases)?;
        sort_by_prominence(picture, &mut found);
        Ok((found, scale))
    }

    fn find_unordered(
        &self,
        picture: &Picture,
        canvases: &[Canvas],
    ) -> Result<(Vec<Detection>, f32), FaceError> {
        let mut scale = 0.0;
        for &canvas in canvases {
            // Pictures are not enlarged, so a larger canvas shows no more of a small one.
            if canvas.scale(picture) <= scale {
                continue;
            }
            scale = canvas.scale(picture);
            let found = self.detect(picture, canvas, SCORE_MIN)?;
            if !found.is_empty() {
                return Ok((found, scale));
            }
        }
        self.find_with_border(picture)
    }

    /// As [`Looking::find`], on one canvas, with a border around the picture: a face that
    /// fills the picture is not recognised as one without anything around it.
    pub(super) fn find_with_border(
        &self,
        picture: &Picture,
    ) -> Result<(Vec<Detection>, f32), FaceError> {
        let side = picture.width().max(picture.height());
        let shrunk = if side > BORDERED_SIDE_MAX {
            let length = |length: usize| (length * BORDERED_SIDE_MAX / side).max(1);
            &reduce(picture, length(picture.width()), length(picture.height()))
        } else {
            picture
        };
        let reduction = shrunk.width().max(shrunk.height()) as f32 / side as f32;
        let margin = (side as f32 * reduction * BORDER_SHARE) as usize;
        let bordered = shrunk.with_border(margin);
        let mut found = self.detect(&bordered, Canvas::One, SCORE_MIN)?;
        for detection in &mut found {
            detection.move_by(-(margin as f32), -(margin as f32));
            enlarge(detection, 1.0 / reduction);
        }
        Ok((found, Canvas::One.scale(&bordered) * reduction))
    }

    /// The landmarks after a second look at a face: on a crop of its own, turned upright and scaled
    /// to the size at which the detector is at its best. `None` if that does not see the face. The
    /// first look has multiplied lengths by `first_scale`.
    ///
    /// See [`SMALL_ON_CANVAS`] for why. The bounds stay as they were: they say where the face is,
    /// and are upright.
    pub(super) fn look_again(
        &self,
        picture: &Picture,
        first: &Detection,
        first_scale: f32,
    ) -> Result<Option<Landmarks>, FaceError> {
        let size = first.bounds.width.max(first.bounds.height);
        if size <= 0.0 {
            return Ok(None);
        }
        let scale = SECOND_LOOK_SHARE * Canvas::Close.side() as f32 / size;
        let mut best: Option<Landmarks> = None;
        for _ in 0..SECOND_LOOKS_MAX {
            let tilt = roll(&best.unwrap_or(first.landmarks));
            let seen = self.look_upright(picture, &first.bounds, tilt, scale)?;
            // If the crop shows no face there, the look before stands.
            let Some((landmarks, tilt_left)) = seen else {
                break;
            };
            best = Some(landmarks);
            if tilt_left.abs() <= TILTED_DEGREES {
                break;
            }
        }
        Ok(best.map(|second| {
            let first = first.landmarks;
            let agree = (roll(&first) - roll(&second)).abs() <= AGREEING_DEGREES;
            if agree && comparable(first_scale, scale) {
                middle_of(&first, &second)
            } else {
                second
            }
        }))
    }

    /// Looks at what lies within `bounds`, turned back by `tilt` degrees and scaled by `scale`: the
    /// landmarks of the face that is seen there, and by how many degrees it is still tilted.
    fn look_upright(
        &self,
        picture: &Picture,
        bounds: &Bounds,
        tilt: f32,
        scale: f32,
    ) -> Result<Option<(Landmarks, f32)>, FaceError> {
        let side = Canvas::Close.side();
        let centre = bounds.centre();
        let upright = Similarity::about(
            -f64::from(tilt),
            f64::from(scale),
            (f64::from(centre.x), f64::from(centre.y)),
            (side as f64 / 2.0, side as f64 / 2.0),
        );
        let crop = warp(picture, &upright, (side, side), Outside::Nearest);
        let expected = Bounds {
            x: (side as f32 - bounds.width * scale) / 2.0,
            y: (side as f32 - bounds.height * scale) / 2.0,
            width: bounds.width * scale,
            height: bounds.height * scale,
        };
        let overlap = |seen: &Detection| seen.bounds.overlap(&expected);
        let seen = self.detect(&crop, Canvas::Close, SCORE_MIN)?.into_iter();
        let same = seen.max_by(|a, b| overlap(a).total_cmp(&overlap(b)));
        let same = same.filter(|same| overlap(same) > SAME_FACE_OVERLAP_MIN);
        Ok(same.map(|same| {
            let back = upright.inverse();
            let landmarks = same.landmarks.map(|point| back.apply_to_point(point));
            (landmarks, roll(&same.landmarks))
        }))
    }

    pub(super) fn describe(
        &self,
        picture: &Picture,
        detection: &Detection,
    ) -> Result<Face, FaceError> {
        let (detection, upright) = self.upright(picture, detection)?;
        let aligned = self.pipeline.align(picture, &detection.landmarks)?;
        self.patience.check()?;
        let embed = || self.pipeline.embedder.embed(&aligned);
        let (embedding, length) = self.pipeline.stages.embed.time("embed", embed)?;
        let impression = Impression {
            upright,
            strength: strength(self.pipeline.profile(), length),
        };
        let quality = Quality::measure(picture, &detection.landmarks, &aligned, impression);
        let quality = quality.ok_or_else(no_face_in_one_place)?;
        Ok(Face {
            embedding,
            bounds: detection.bounds,
            landmarks: detection.landmarks,
            detection_score: detection.score,
            quality,
            warnings: quality.warnings(),
            portrait: None,
        })
    }

    /// As [`Looking::describe`]; but if the detector does not find the face again, as it may be
    /// none at all, and finds one surely in the picture when that is turned, it is that one.
    fn describe_or_turn(&self, picture: &Picture, found: &Detection) -> Result<Face, FaceError> {
        let face = self.describe(picture, found)?;
        if face.quality.upright >= UPRIGHT_DOUBTED {
            return Ok(face);
        }
        let Some(turned) = self.find_turned(picture)? else {
            return Ok(face);
        };
        let turned = self.describe(picture, &turned)?;
        Ok(if turned.quality.upright > face.quality.upright {
            turned
        } else {
            face
        })
    }
}

/// How much of a face an embedder has found, from 0 to 1, by the length of its output.
fn strength(profile: &EncoderProfile, length: f32) -> f32 {
    profile.lengths().map_or(1.0, |of| {
        ((length - of.useless) / (of.good - of.useless)).clamp(0.0, 1.0)
    })
}

/// The only face of those in a picture, the most prominent first.
pub(super) fn only<'a>(
    picture: &Picture,
    found: &'a [Detection],
) -> Result<&'a Detection, FaceError> {
    let first = found.first().ok_or(FaceError::NoFaceFound)?;
    let count = 1 + found[1..]
        .iter()
        .filter(|other| is_second(picture, first, other))
        .count();
    if count > 1 {
        return Err(FaceError::MultipleFacesFound { count });
    }
    Ok(first)
}

/// Whether a glance is enough that found one face with this score, which covers so many pixels of
/// its canvas.
fn suffices(score: f32, area: f32) -> bool {
    score >= GLANCE_SCORE_MIN && area >= GLANCE_AREA_MIN
}

/// Whether two looks, which multiplied lengths by these, saw about as much detail. A second look at
/// a small face is enlarged, and shows no more than the picture has.
fn comparable(first_scale: f32, second_scale: f32) -> bool {
    first_scale >= COMPARABLE_DETAIL * second_scale.min(1.0)
}

fn enlarge(detection: &mut Detection, by: f32) {
    let Bounds {
        x,
        y,
        width,
        height,
    } = &mut detection.bounds;
    let points = detection.landmarks.iter_mut();
    for length in points
        .flat_map(|point| [&mut point.x, &mut point.y])
        .chain([x, y, width, height])
    {
        *length *= by;
    }
}

fn middle_of(a: &Landmarks, b: &Landmarks) -> Landmarks {
    std::array::from_fn(|j| Point {
        x: (a[j].x + b[j].x) / 2.0,
        y: (a[j].y + b[j].y) / 2.0,
    })
}

pub(super) fn sort_by_prominence(picture: &Picture, found: &mut [Detection]) {
    let of = |found: &Detection| prominence(picture, &found.bounds, found.score);
    found.sort_by(|a, b| of(b).total_cmp(&of(a)));
}

/// By what faces in a picture are ordered.
pub(super) fn prominence(picture: &Picture, bounds: &Bounds, score: f32) -> f32 {
    bounds.area_within(picture) * score
}

/// Whether `other` is a second person in a picture of `first`.
fn is_second(picture: &Picture, first: &Detection, other: &Detection) -> bool {
    let inside = other.bounds.area_within(picture);
    other.score >= SECOND_FACE_SCORE_MIN
        && inside >= SECOND_FACE_AREA_MIN * first.bounds.area_within(picture)
        && inside >= SECOND_FACE_VISIBLE_MIN * other.bounds.area()
}

#[cfg(test)]
mod tests {
    use super::super::PipelineOptions;
    use super::*;

    /// The usual pipeline, and a portrait of 720 x 900 pixels.
    fn with_portrait() -> (FacePipeline, Picture) {
        let pipeline = FacePipeline::new(&PipelineOptions::default()).unwrap();
        let portrait = include_bytes!("../../data/faces/obama-portrait.jpg");
        let portrait = pipeline.decode(portrait).unwrap();
        (pipeline, portrait)
    }

    #[test]
    fn a_glance_suffices_for_a_large_face_that_is_surely_one() {
        for (score, area, expected) in [
            (0.9, 1500.0, true),
            (0.8, 1200.0, true),
            (0.79, 1500.0, false),
            (0.9, 1199.0, false),
            (f32::NAN, 1500.0, false),
        ] {
            assert_eq!(suffices(score, area), expected, "{score}, {area}");
        }
    }

    #[test]
    fn a_glance_finds_the_face_of_a_portrait_and_not_one_far_away() {
        let (pipeline, portrait) = with_portrait();
        let patience = Patience::endless();
        let looking = pipeline.within(&patience);
        let glance = looking.glance(&portrait).unwrap().unwrap();
        // The eyes are 91 pixels apart. Without the second look the mouth is 15 away.
        let thorough = looking.faces_in(&portrait).unwrap()[0].clone();
        for (found, expected) in glance.landmarks.iter().zip(thorough.landmarks) {
            let distance = (found.x - expected.x).hypot(found.y - expected.y);
            assert!(distance < 10.0, "{found:?}, expected {expected:?}");
        }
        // Fifteen pixels high on the canvas.
        let far = portrait.with_border(900);
        assert_eq!(looking.glance(&far).unwrap(), None);
    }

    #[test]
    fn looks_are_comparable_if_the_first_is_not_much_coarser() {
        for (first, second, expected) in [
            (0.5, 1.0, true),
            (0.49, 1.0, false),
            (0.2, 0.4, true),
            // A small face is enlarged, which adds no detail.
            (0.5, 6.0, true),
            (1.0, 6.0, true),
        ] {
            assert_eq!(comparable(first, second), expected, "{first}, {second}");
        }
    }

    #[test]
    fn a_large_picture_gets_its_border_when_it_is_small() {
        let (pipeline, portrait) = with_portrait();
        // 1,260 x 1,440: shrunk before, by 0.44, and on the canvas of 320 again.
        let large = portrait.with_border(270);
        let patience = Patience::endless();
        let looking = pipeline.within(&patience);
        let (found, scale) = looking.find_with_border(&large).unwrap();
        let expected = pipeline.detect(&large, Canvas::Many).unwrap()[0];
        assert_eq!(found.len(), 1);
        assert!(
            found[0].bounds.overlap(&expected.bounds) > 0.85,
            "{found:?}, {expected:?}"
        );
        assert!((scale - 320.0 / (1.8 * 1440.0)).abs() < 0.001, "{scale}");
        // One that would take gigabytes with its border, and is two pixels high without.
        let strip = Picture::from_rgb(16_384, 64, vec![90; 3 * 16_384 * 64]);
        assert_eq!(looking.find_with_border(&strip).unwrap().0, []);
    }
}
