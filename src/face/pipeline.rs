//! All steps in their order, and the rules between them.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use super::align::{AlignedFace, Outside, Similarity, warp};
use super::decode::{DecodeLimits, Picture};
use super::detect::{Bounds, Canvas, Detection, Detector, Landmarks, Point, SCORE_MIN};
use super::embed::Embedder;
use super::error::{FaceError, FaceSetupError};
use super::frames::decode_frames;
use super::network::{Lanes, Runtime};
use super::profile::EncoderProfile;
use super::quality::{Quality, Warning, roll};
use crate::types::Embedding;

/// How a pipeline is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipelineOptions {
    /// The embedder to use instead of the built-in SFace.
    pub embedder: Option<EmbedderSource>,
    /// What runs the network that finds faces.
    pub detector: Runtime,
    /// On how many threads each call runs its networks. Calls at the same time run on threads of
    /// their own.
    pub threads: usize,
    /// How large a picture may be.
    pub limits: DecodeLimits,
}

/// SFace, all networks on the built-in runtime, one thread for each call, the usual limits.
impl Default for PipelineOptions {
    fn default() -> PipelineOptions {
        PipelineOptions {
            embedder: None,
            detector: Runtime::BuiltIn,
            threads: 1,
            limits: DecodeLimits::default(),
        }
    }
}

/// Where another embedder is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbedderSource {
    /// The network: 1 x 3 x side x side in, `dimension` numbers out.
    pub onnx: PathBuf,
    /// Its profile; see [`EncoderProfile`].
    pub profile: PathBuf,
}

/// A face in a picture, with all that is known about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Face {
    /// What the encoder says of it, of length 1.
    pub embedding: Embedding,
    /// From forehead to chin. It may reach beyond the picture.
    pub bounds: Bounds,
    /// Eyes, nose and mouth.
    pub landmarks: Landmarks,
    /// How sure the detector is that it is a face, 0.6 to 1.
    pub detection_score: f32,
    /// What was measured.
    pub quality: Quality,
    /// What is wrong with it, if anything.
    pub warnings: Vec<Warning>,
}

/// Finds and embeds faces. Made once, shared by all threads.
pub struct FacePipeline {
    detector: Detector,
    embedder: Embedder,
    limits: DecodeLimits,
}

/// A glance suffices if it finds one face, at least so many pixels high and found with at least that
/// score, and nothing else that might be one: whatever would make it a picture of two people is then at
/// least 18 pixels high. Of 300 pictures of two people, the smaller half as high as the larger or more,
/// 3 are taken for pictures of one after a glance, and none on the canvas of 320 (`scripts/golden.sh`).
const GLANCE_HEIGHT_MIN: f32 = 40.0;
const GLANCE_SCORE_MIN: f32 = 0.8;
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
/// middle of the two is nearer to the truth than either. On ORL it raises the mean cosine of pairs of
/// one person from 0.804 (first look alone) and 0.809 (second alone) to 0.814.
const AGREEING_DEGREES: f32 = 8.0;
/// And if the first look saw at least this share of the second's detail. The landmarks of a coarser one
/// are further from the truth.
const COMPARABLE_DETAIL: f32 = 0.5;
/// How many times a face is looked at again at most.
const SECOND_LOOKS_MAX: usize = 3;
/// How much wider the border is for a face that fills the picture.
const BORDER_SHARE: f32 = 0.4;

/// See [`FacePipeline::only_face`].
const SECOND_FACE_AREA_MIN: f32 = 0.2;
const SECOND_FACE_SCORE_MIN: f32 = 0.7;
const SECOND_FACE_VISIBLE_MIN: f32 = 0.5;

impl FacePipeline {
    /// Loads the networks. Takes a fraction of a second.
    ///
    /// # Errors
    ///
    /// If the configured embedder cannot be read, cannot be run, or is not what its profile says, or if
    /// the library that is to find faces cannot be loaded.
    pub fn new(options: &PipelineOptions) -> Result<FacePipeline, FaceSetupError> {
        if options.threads == 0 {
            return Err(FaceSetupError::NoThreads);
        }
        let lanes = Lanes::new(options.threads);
        let embedder = match &options.embedder {
            None => Embedder::built_in(&lanes)?,
            Some(source) => load_embedder(source, &lanes)?,
        };
        Ok(FacePipeline {
            detector: Detector::load(&options.detector, &lanes)?,
            embedder,
            limits: options.limits,
        })
    }

    /// The profile of the embedder: which encoder it is, and how its similarities are read.
    pub fn profile(&self) -> &EncoderProfile {
        self.embedder.profile()
    }

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
        let found = self.look_closer(picture, self.look(picture, &[Canvas::Many])?)?;
        found
            .iter()
            .map(|detection| self.describe(picture, detection))
            .collect()
    }

    /// The face in a picture of one person.
    ///
    /// A second face makes it a picture of two people only if it has at least a fifth of the area
    /// of the most prominent one, is found with a score of at least 0.7, and lies inside the
    /// picture by at least half: a passer-by in the background or a sliver at the edge is ignored.
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
        let look = match self.glance(picture)? {
            Some(look) => look,
            None => self.look(picture, &[Canvas::One, Canvas::Many])?,
        };
        let found = self.look_closer(picture, look)?;
        let first = found.first().ok_or(FaceError::NoFaceFound)?;
        let count = 1 + found[1..]
            .iter()
            .filter(|other| is_second(picture, first, other))
            .count();
        if count > 1 {
            return Err(FaceError::MultipleFacesFound { count });
        }
        self.describe(picture, first)
    }

    /// Reads a picture within the limits of this pipeline.
    ///
    /// # Errors
    ///
    /// As [`Picture::decode`].
    pub fn decode(&self, picture: &[u8]) -> Result<Picture, FaceError> {
        Picture::decode(picture, &self.limits)
    }

    /// Reads at most `count` pictures of a short video within the limits of this pipeline, spread evenly
    /// over its length: of an animated GIF, PNG or WebP, or of motion JPEG, bare or in an AVI file. A
    /// still picture is a video of one.
    ///
    /// # Errors
    ///
    /// As [`Picture::decode`]; also if the pictures together have more than six times the pixels that one
    /// may have.
    pub fn decode_frames(&self, video: &[u8], count: usize) -> Result<Vec<Picture>, FaceError> {
        decode_frames(video, &self.limits, count)
    }

    /// One look at the whole picture, without any of the rules above: the surest face first.
    ///
    /// # Errors
    ///
    /// If the network fails.
    pub fn detect(&self, picture: &Picture, canvas: Canvas) -> Result<Vec<Detection>, FaceError> {
        self.detector.detect(picture, canvas, SCORE_MIN)
    }

    /// Cuts the face with these landmarks out of `picture`, as the embedder wants it.
    ///
    /// # Errors
    ///
    /// If the landmarks coincide: such a face is not one.
    pub fn align(
        &self,
        picture: &Picture,
        landmarks: &Landmarks,
    ) -> Result<AlignedFace, FaceError> {
        let side = self.embedder.profile().side();
        AlignedFace::cut(picture, landmarks, side).ok_or_else(|| FaceError::Inference {
            network: "detection",
            reason: "all landmarks of a face are in one place".to_owned(),
        })
    }

    /// The embedding of an aligned face, of length 1.
    ///
    /// # Errors
    ///
    /// If the network fails.
    ///
    /// # Panics
    ///
    /// Panics if the face was aligned for an embedder of another size.
    pub fn embed(&self, face: &AlignedFace) -> Result<Embedding, FaceError> {
        self.embedder.embed(face)
    }

    /// A look at a small canvas, which costs a quarter of one at the next. `None` if it does not suffice.
    fn glance(&self, picture: &Picture) -> Result<Option<Look>, FaceError> {
        let scale = Canvas::Glance.scale(picture);
        let found = self
            .detector
            .detect(picture, Canvas::Glance, GLANCE_DOUBT_MIN)?;
        Ok(suffices(&found, scale).then_some(Look { found, scale }))
    }

    /// Looks on each canvas in turn until a face is found, then once more with a border around the
    /// picture.
    fn look(&self, picture: &Picture, canvases: &[Canvas]) -> Result<Look, FaceError> {
        let mut scale = 0.0;
        for &canvas in canvases {
            // Pictures are not enlarged, so a larger canvas shows no more of a small one.
            if canvas.scale(picture) <= scale {
                continue;
            }
            scale = canvas.scale(picture);
            let found = self.detect(picture, canvas)?;
            if !found.is_empty() {
                return Ok(Look { found, scale });
            }
        }
        // A face that fills the picture is not recognised as one without anything around it.
        let side = picture.width().max(picture.height());
        let margin = (side as f32 * BORDER_SHARE) as usize;
        let bordered = picture.with_border(margin);
        let mut found = self.detect(&bordered, Canvas::One)?;
        for detection in &mut found {
            shift(detection, -(margin as f32));
        }
        let scale = Canvas::One.scale(&bordered);
        Ok(Look { found, scale })
    }

    /// Looks again at every face that is small, tilted or fills the picture. The most prominent first.
    fn look_closer(&self, picture: &Picture, look: Look) -> Result<Vec<Detection>, FaceError> {
        let Look { mut found, scale } = look;
        for detection in &mut found {
            let bounds = detection.bounds;
            let small = bounds.height * scale < SMALL_ON_CANVAS;
            let fills = bounds.height > FILLING_SHARE * picture.height() as f32
                || bounds.width > FILLING_SHARE * picture.width() as f32;
            if small || fills || roll(&detection.landmarks).abs() > TILTED_DEGREES {
                self.look_again(picture, detection, scale)?;
            }
        }
        found.sort_by(|a, b| prominence(picture, b).total_cmp(&prominence(picture, a)));
        Ok(found)
    }

    /// Corrects the landmarks of a face by those found on a crop of its own, turned upright and
    /// scaled to the size at which the detector is at its best. The first look has multiplied lengths by
    /// `first_scale`.
    ///
    /// See [`SMALL_ON_CANVAS`] for why. The bounds stay as they were: they say where the face is,
    /// and are upright.
    fn look_again(
        &self,
        picture: &Picture,
        detection: &mut Detection,
        first_scale: f32,
    ) -> Result<(), FaceError> {
        let side = Canvas::Close.side();
        let bounds = detection.bounds;
        let size = bounds.width.max(bounds.height);
        if size <= 0.0 {
            return Ok(());
        }
        let scale = SECOND_LOOK_SHARE * side as f32 / size;
        let middle = (side as f64 / 2.0, side as f64 / 2.0);
        let mut best: Option<Landmarks> = None;
        for _ in 0..SECOND_LOOKS_MAX {
            let landmarks = best.unwrap_or(detection.landmarks);
            let centre = bounds.centre();
            let upright = Similarity::about(
                -f64::from(roll(&landmarks)),
                f64::from(scale),
                (f64::from(centre.x), f64::from(centre.y)),
                middle,
            );
            let crop = warp(picture, &upright, (side, side), Outside::Nearest);
            let expected = Bounds {
                x: (side as f32 - bounds.width * scale) / 2.0,
                y: (side as f32 - bounds.height * scale) / 2.0,
                width: bounds.width * scale,
                height: bounds.height * scale,
            };
            let seen = self.detect(&crop, Canvas::Close)?;
            let same = seen.into_iter().max_by(|a, b| {
                a.bounds
                    .overlap(&expected)
                    .total_cmp(&b.bounds.overlap(&expected))
            });
            // If the crop shows no face there, the first look stands.
            let Some(same) = same.filter(|same| same.bounds.overlap(&expected) > 0.3) else {
                break;
            };
            let back = upright.inverse();
            best = Some(same.landmarks.map(|point| back.apply_to_point(point)));
            if roll(&same.landmarks).abs() <= TILTED_DEGREES {
                break;
            }
        }
        if let Some(landmarks) = best {
            let first = detection.landmarks;
            let agree = (roll(&first) - roll(&landmarks)).abs() <= AGREEING_DEGREES;
            // A second look at a small face is enlarged, and shows no more than the picture has.
            let comparable = first_scale >= COMPARABLE_DETAIL * scale.min(1.0);
            detection.landmarks = if agree && comparable {
                middle_of(&first, &landmarks)
            } else {
                landmarks
            };
        }
        Ok(())
    }

    fn describe(&self, picture: &Picture, detection: &Detection) -> Result<Face, FaceError> {
        let aligned = self.align(picture, &detection.landmarks)?;
        let quality = Quality::measure(picture, &detection.landmarks, &aligned);
        Ok(Face {
            embedding: self.embed(&aligned)?,
            bounds: detection.bounds,
            landmarks: detection.landmarks,
            detection_score: detection.score,
            quality,
            warnings: quality.warnings(),
        })
    }
}

/// The encoder and the limits: weights tell nobody anything.
impl fmt::Debug for FacePipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FacePipeline")
            .field("encoder", self.profile().encoder())
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

fn load_embedder(source: &EmbedderSource, lanes: &Arc<Lanes>) -> Result<Embedder, FaceSetupError> {
    let unreadable = |path: &PathBuf| {
        let path = path.clone();
        move |source| FaceSetupError::Read { path, source }
    };
    let text = fs::read_to_string(&source.profile).map_err(unreadable(&source.profile))?;
    let profile = EncoderProfile::parse(&text).map_err(|error| FaceSetupError::Profile {
        origin: source.profile.display().to_string(),
        source: error,
    })?;
    let onnx = fs::read(&source.onnx).map_err(unreadable(&source.onnx))?;
    Embedder::new(onnx, profile, &source.onnx.display().to_string(), lanes)
}

/// What a look at a whole picture found, and what it multiplied the picture's lengths by.
struct Look {
    found: Vec<Detection>,
    scale: f32,
}

/// Whether a glance, which multiplied lengths by `scale`, saw all that a closer look would.
fn suffices(found: &[Detection], scale: f32) -> bool {
    match found {
        [only] => only.score >= GLANCE_SCORE_MIN && only.bounds.height * scale >= GLANCE_HEIGHT_MIN,
        _ => false,
    }
}

fn shift(detection: &mut Detection, by: f32) {
    detection.bounds.x += by;
    detection.bounds.y += by;
    for point in &mut detection.landmarks {
        point.x += by;
        point.y += by;
    }
}

fn middle_of(a: &Landmarks, b: &Landmarks) -> Landmarks {
    std::array::from_fn(|j| Point {
        x: (a[j].x + b[j].x) / 2.0,
        y: (a[j].y + b[j].y) / 2.0,
    })
}

fn prominence(picture: &Picture, detection: &Detection) -> f32 {
    detection.bounds.area_within(picture) * detection.score
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
    use super::*;

    #[test]
    fn a_glance_suffices_for_one_large_face_without_doubt() {
        // On the canvas all are half as high.
        let face = |score, height| Detection {
            score,
            bounds: Bounds {
                height,
                ..Bounds::default()
            },
            landmarks: Landmarks::default(),
        };
        for (found, expected) in [
            (&[face(0.9, 100.0)][..], true),
            (&[face(0.8, 80.0)], true),
            (&[face(0.79, 100.0)], false),
            (&[face(0.9, 79.0)], false),
            (&[face(0.9, 100.0), face(0.2, 90.0)], false),
            (&[], false),
        ] {
            assert_eq!(suffices(found, 0.5), expected, "{found:?}");
        }
    }
}
