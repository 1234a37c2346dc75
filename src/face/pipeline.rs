//! The networks that find and embed faces, and the single steps from a picture to an embedding.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::align::AlignedFace;
use super::cost::Cost;
use super::decode::{DecodeLimits, Picture};
use super::detect::{Bounds, Canvas, Detection, Detector, Landmarks, SCORE_MIN};
use super::embed::{Embedder, built_in_profile};
use super::error::{FaceError, FaceSetupError};
use super::network::{Lanes, Runtime};
use super::profile::EncoderProfile;
use super::quality::{Quality, Warning};
use crate::counts::Histogram;
use crate::types::{Embedding, Portrait};

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
    /// What it looks like, once somebody who has the picture has it kept: see [`super::miniature`].
    pub portrait: Option<Portrait>,
}

/// Finds and embeds faces. Made once, shared by all threads.
pub struct FacePipeline {
    pub(super) detector: Detector,
    pub(super) embedder: Embedder,
    pub(super) limits: DecodeLimits,
    pub(super) stages: FaceStages,
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
            .time("decode", || Picture::decode(picture, &self.limits))
    }

    /// One look at the whole picture, without any of the rules above: the surest face first.
    ///
    /// # Errors
    ///
    /// If the network fails.
    pub fn detect(&self, picture: &Picture, canvas: Canvas) -> Result<Vec<Detection>, FaceError> {
        let look = || self.detector.detect(picture, canvas, SCORE_MIN);
        self.stages.detect.time("detect", look)
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
        Ok(self
            .stages
            .embed
            .time("embed", || self.embedder.embed(face))?
            .0)
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

pub(super) fn no_face_in_one_place() -> FaceError {
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
