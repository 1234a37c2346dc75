//! What is cut out of a picture for the networks, so that they can look later and the picture can
//! go.

use std::fmt;

use super::crop::{Window, luma};
use super::fringes::fringes;
use super::quiet;
use super::thumbnail::Thumbnail;
use crate::face::{Face, Picture};
use crate::types::Embedding;

pub(super) const TEXTURE_SIDE: usize = 128;
/// How much wider than the face the texture network looks: it wants to see edges of paper and
/// screens.
const TEXTURE_FACTOR: f32 = 2.7;

pub(super) const LANDMARK_SIDE: usize = 64;

pub(super) const POSE_SIDE: usize = 224;
const POSE_FACTOR: f32 = 1.5;

/// A face as the liveness networks are shown it, and what needs no network. About 220 KB.
///
/// It holds pictures of the face and its embedding, so `Debug` shows nothing.
#[derive(Clone, PartialEq)]
pub struct FaceView {
    pub(super) embedding: Embedding,
    /// [`TEXTURE_SIDE`] squared pixels, red, green and blue.
    pub(super) texture: Vec<[u8; 3]>,
    /// [`LANDMARK_SIDE`] squared pixels of brightness.
    pub(super) landmarks: Vec<u8>,
    /// Where those were in the picture.
    pub(super) landmark_window: Window,
    /// [`POSE_SIDE`] squared pixels, red, green and blue.
    pub(super) pose: Vec<[u8; 3]>,
    pub(super) fringes: f64,
    pub(super) thumbnail: Thumbnail,
}

impl FaceView {
    /// Of `face`, which was found in `picture`. Takes about a millisecond, and longer where there is
    /// noise to be taken away.
    pub fn new(picture: &Picture, face: &Face) -> FaceView {
        let bounds = &face.bounds;
        let texture = Window::inside(picture, bounds, TEXTURE_FACTOR);
        let landmark_window = Window::clipped(picture, bounds, 1.0);
        let pose = Window::clipped(picture, bounds, POSE_FACTOR);
        let landmarks = landmark_window.resized(picture, LANDMARK_SIDE);
        FaceView {
            embedding: face.embedding.clone(),
            texture: quiet::resized(picture, &texture, &landmark_window, TEXTURE_SIDE),
            landmarks: landmarks
                .into_iter()
                .map(|pixel| luma(pixel.map(f32::from)).round() as u8)
                .collect(),
            landmark_window,
            pose: pose.resized(picture, POSE_SIDE),
            fringes: fringes(picture, &face.landmarks),
            thumbnail: Thumbnail::cut(picture, &face.landmarks),
        }
    }
}

impl fmt::Debug for FaceView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaceView(hidden)")
    }
}
