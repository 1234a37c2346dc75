//! What is seen of one sample.

use std::fmt;

use super::thumbnail::Thumbnail;
use crate::face::Point;
use crate::types::Embedding;

/// How many landmarks the network finds: those of iBUG's 300-W, jaw, brows, nose, eyes and mouth.
pub(super) const LANDMARKS: usize = 68;

/// Which way a head looks, in degrees.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pose {
    /// To the left of the picture if positive, to its right if negative.
    pub yaw: f32,
    /// Up if positive, down if negative.
    pub pitch: f32,
    /// The tilt of the head towards a shoulder.
    pub roll: f32,
}

impl Pose {
    /// By how many degrees the looks of two poses differ: the angle in the plane of yaw and pitch.
    /// A head that tilts to a shoulder turns no other side to the camera, and a photo can do the
    /// same.
    pub fn turn(&self, other: &Pose) -> f32 {
        (self.yaw - other.yaw).hypot(self.pitch - other.pitch)
    }
}

/// All that the decisions need of one sample; made by [`super::LivenessDetector::observe`].
///
/// It holds a small picture of the face and its embedding, so `Debug` shows nothing.
#[derive(Clone, PartialEq)]
pub struct Observation {
    pub(super) embedding: Embedding,
    pub(super) passive_score: f32,
    pub(super) pose: Pose,
    /// In pixels of the picture.
    pub(super) landmarks: Box<[Point; LANDMARKS]>,
    /// See [`super::fringes`].
    pub(super) fringes: f64,
    pub(super) thumbnail: Thumbnail,
}

impl Observation {
    /// How likely the picture shows a live person rather than a print or a screen, 0 to 1, by its
    /// texture alone. The network's own number: not a calibrated probability.
    pub fn passive_score(&self) -> f32 {
        self.passive_score
    }

    /// Which way the head looks.
    pub fn pose(&self) -> Pose {
        self.pose
    }

    /// The 68 landmarks, in pixels of the picture.
    pub fn landmarks(&self) -> &[Point] {
        &self.landmarks[..]
    }

    /// The cosine between the faces of two samples.
    pub(super) fn similarity(&self, other: &Observation) -> f64 {
        let pairs = self.embedding.values().iter().zip(other.embedding.values());
        let (mut dot, mut ours, mut theirs) = (0.0, 0.0, 0.0);
        for (&a, &b) in pairs {
            let (a, b) = (f64::from(a), f64::from(b));
            dot += a * b;
            ours += a * a;
            theirs += b * b;
        }
        // Embeddings are finite and of some length, so this is a number.
        dot / (ours * theirs).sqrt()
    }
}

impl fmt::Debug for Observation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observation(hidden)")
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::parallax::tests::{face, seen};
    use super::*;

    /// A sample of a person whose head, or whose flat photo, is turned by `yaw` and `pitch`.
    pub(in crate::liveness) fn sample(
        person: usize,
        depth: f64,
        yaw: f64,
        pitch: f64,
        passive_score: f32,
    ) -> Observation {
        let mut values = vec![0.1; 16];
        values[person] = 1.0;
        let points = seen(&face(depth), yaw, pitch);
        // A scene of which the middle, like a nose, moves with the turn.
        let thumbnail = Thumbnail::from_pixels(|x, y| {
            let near = 1.0 - ((x - 24.0).hypot(y - 24.0) / 24.0).min(1.0);
            let (x, y) = (
                x + (yaw * depth) as f32 * near,
                y + (pitch * depth) as f32 * near,
            );
            128.0 + 60.0 * (x / 2.0).sin() * (y / 3.0).cos() + person as f32
        });
        Observation {
            embedding: Embedding::new(values).unwrap(),
            passive_score,
            pose: Pose {
                yaw: -yaw as f32,
                pitch: -pitch as f32,
                roll: 0.0,
            },
            landmarks: Box::new(points.try_into().unwrap()),
            fringes: 0.25,
            thumbnail,
        }
    }

    #[test]
    fn a_turn_is_the_angle_between_two_looks() {
        let pose = |yaw, pitch, roll| Pose { yaw, pitch, roll };
        assert_eq!(pose(1.0, 2.0, 30.0).turn(&pose(4.0, -2.0, -30.0)), 5.0);
    }

    #[test]
    fn debug_shows_nothing() {
        let shown = format!("{:?}", sample(0, 1.0, 0.0, 0.0, 0.25));
        assert_eq!(shown, "Observation(hidden)");
    }
}
