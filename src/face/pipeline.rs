//! All steps in their order, and the rules between them.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::align::{AlignedFace, Outside, Similarity, to_the_middle, warp};
use super::cost::Cost;
use super::decode::{DecodeLimits, Picture};
use super::detect::{Bounds, Canvas, Detection, Detector, Landmarks, Point, SCORE_MIN, reduce};
use super::embed::{Embedder, built_in_profile};
use super::error::{FaceError, FaceSetupError};
use super::frames::decode_frames;
use super::network::{Lanes, Runtime};
use super::patience::Patience;
use super::profile::EncoderProfile;
use super::quality::{Impression, Quality, Warning, roll};
use crate::counts::Histogram;
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
    stages: FaceStages,
}

/// How long the steps took, each time.
#[derive(Debug)]
pub struct FaceStages {
    /// Reading a picture, or the pictures of a video.
    pub decode: Histogram,
    /// One look for faces; most pictures need several.
    pub detect: Histogram,
    /// Making the embedding of one face.
    pub embed: Histogram,
}

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

/// A face that is found again in what was cut out by its landmarks with so high a score is upright.
/// Of 439 natural portraits one in thirty has less, and 0.86 at least (`docs/quality.md`).
const UPRIGHT_SURE: f32 = 0.89;
/// With a lower score it may be no face at all.
const UPRIGHT_DOUBTED: f32 = 0.8;
/// A picture is turned only if its face has so high a score then, and so much more than without.
const TURNED_SCORE_MIN: f32 = 0.8;
const TURNED_GAIN_MIN: f32 = 0.05;
/// Where a face should be, lower scores than that of any face tell how little of one it is.
const MIDDLE_SCORE_MIN: f32 = 0.05;

/// See [`FacePipeline::only_face`].
const SECOND_FACE_AREA_MIN: f32 = 0.2;
const SECOND_FACE_SCORE_MIN: f32 = 0.7;
const SECOND_FACE_VISIBLE_MIN: f32 = 0.5;

impl FacePipeline {
    /// Loads the networks. Takes a fraction of a second.
    ///
    /// # Errors
    ///
    /// If the configured embedder cannot be read, cannot be run, or is not what its profile says,
    /// or if the library that is to find faces cannot be loaded.
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
            stages: FaceStages {
                decode: Histogram::of_times(),
                detect: Histogram::of_times(),
                embed: Histogram::of_times(),
            },
        })
    }

    /// What [`FacePipeline::profile`] will say, without loading a network: of the embedder whose
    /// profile is in this file, or of the one that is built in.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or is no profile.
    pub fn profile_in(file: Option<&Path>) -> Result<EncoderProfile, FaceSetupError> {
        let Some(path) = file else {
            return built_in_profile();
        };
        let text = fs::read_to_string(path).map_err(|source| FaceSetupError::Read {
            path: path.to_owned(),
            source,
        })?;
        EncoderProfile::parse(&text).map_err(|source| FaceSetupError::Profile {
            origin: path.display().to_string(),
            source,
        })
    }

    /// How long the steps took since it was made.
    pub fn stages(&self) -> &FaceStages {
        &self.stages
    }

    /// What pictures may have.
    pub fn limits(&self) -> &DecodeLimits {
        &self.limits
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

    /// What it takes to look at a picture, by its head alone; see [`Cost::of`].
    ///
    /// # Errors
    ///
    /// If the bytes are no picture within the limits.
    pub fn cost(&self, picture: &[u8]) -> Result<Cost, FaceError> {
        Cost::of(picture, &self.limits)
    }

    /// What it takes to look at `count` pictures of a video; see [`Cost::of_frames`].
    ///
    /// # Errors
    ///
    /// If the bytes are no video within the limits.
    pub fn cost_of_frames(&self, video: &[u8], count: usize) -> Result<Cost, FaceError> {
        Cost::of_frames(video, &self.limits, count)
    }

    /// Reads a picture within the limits of this pipeline.
    ///
    /// # Errors
    ///
    /// As [`Picture::decode`].
    pub fn decode(&self, picture: &[u8]) -> Result<Picture, FaceError> {
        self.stages
            .decode
            .time(|| Picture::decode(picture, &self.limits))
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
        }
    }

    /// One look at the whole picture, without any of the rules above: the surest face first.
    ///
    /// # Errors
    ///
    /// If the network fails.
    pub fn detect(&self, picture: &Picture, canvas: Canvas) -> Result<Vec<Detection>, FaceError> {
        let look = || self.detector.detect(picture, canvas, SCORE_MIN);
        self.stages.detect.time(look)
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
        AlignedFace::cut(picture, landmarks, side).ok_or_else(no_face_in_one_place)
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
        Ok(self.stages.embed.time(|| self.embedder.embed(face))?.0)
    }
}

/// Looks of a [`FacePipeline`] that fail when there is no patience left.
#[derive(Clone, Copy, Debug)]
pub struct Looking<'a> {
    pipeline: &'a FacePipeline,
    patience: &'a Patience,
}

impl Looking<'_> {
    /// As [`FacePipeline::decode`].
    ///
    /// # Errors
    ///
    /// Also if there is no patience left.
    pub fn decode(&self, picture: &[u8]) -> Result<Picture, FaceError> {
        let limits = &self.pipeline.limits;
        let decode = || Picture::decode_within(picture, limits, self.patience);
        self.pipeline.stages.decode.time(decode)
    }

    /// As [`FacePipeline::decode_frames`].
    ///
    /// # Errors
    ///
    /// Also if there is no patience left.
    pub fn decode_frames(&self, video: &[u8], count: usize) -> Result<Vec<Picture>, FaceError> {
        let limits = &self.pipeline.limits;
        let decode = || decode_frames(video, limits, count, self.patience);
        self.pipeline.stages.decode.time(decode)
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
        let look = || self.pipeline.detector.detect(picture, canvas, score_min);
        self.pipeline.stages.detect.time(look)
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
    fn look_again(
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
        let (embedding, length) = self.pipeline.embedder.embed(&aligned)?;
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

    /// The face as it is seen upright, and how sure the detector is of it then.
    ///
    /// The detector finds faces that lie on a side or upside down, too, and reports their landmarks
    /// as if they were upright. In what is cut out by them it does not find a face again, and finds
    /// one when that is turned.
    fn upright(
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
    fn find_turned(&self, picture: &Picture) -> Result<Option<Detection>, FaceError> {
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

/// The encoder and the limits: weights tell nobody anything.
impl fmt::Debug for FacePipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FacePipeline")
            .field("encoder", self.profile().encoder())
            .field("limits", &self.limits)
            .finish_non_exhaustive()
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

/// How much of a face an embedder has found, from 0 to 1, by the length of its output.
fn strength(profile: &EncoderProfile, length: f32) -> f32 {
    profile.lengths().map_or(1.0, |of| {
        ((length - of.useless) / (of.good - of.useless)).clamp(0.0, 1.0)
    })
}

/// The only face of those in a picture, the most prominent first.
fn only<'a>(picture: &Picture, found: &'a [Detection]) -> Result<&'a Detection, FaceError> {
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

fn no_face_in_one_place() -> FaceError {
    FaceError::Inference {
        network: "detection",
        reason: "all landmarks of a face are in one place".to_owned(),
    }
}

fn load_embedder(source: &EmbedderSource, lanes: &Arc<Lanes>) -> Result<Embedder, FaceSetupError> {
    let profile = FacePipeline::profile_in(Some(&source.profile))?;
    let onnx = fs::read(&source.onnx).map_err(|error| FaceSetupError::Read {
        path: source.onnx.clone(),
        source: error,
    })?;
    Embedder::new(onnx, profile, &source.onnx.display().to_string(), lanes)
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

fn sort_by_prominence(picture: &Picture, found: &mut [Detection]) {
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
