//! The three networks that look at a face.

use super::crop::planes;
use super::observation::{LANDMARKS, Observation, Pose};
use super::view::{FaceView, LANDMARK_SIDE, POSE_SIDE, TEXTURE_SIDE};
use crate::counts::Histogram;
use crate::face::{FaceError, FaceSetupError, Inference, Lanes, Network, Point, built_in};

/// Runs the networks. Made once, shared by all threads.
#[derive(Debug)]
pub struct LivenessDetector {
    texture: Network,
    landmarks: Network,
    pose: Network,
    times: Histogram,
}

/// The mean and standard deviation of ImageNet's channels, red first, with which the backbone of
/// the pose network was trained.
const POSE_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const POSE_DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];
/// Yaw, pitch, roll.
const POSE_OUTPUTS: [&str; 3] = ["output", "617", "618"];
/// Bins of three degrees from -99, as in Hopenet (Ruiz, Chong and Rehg 2018).
const POSE_BINS: usize = 66;
const POSE_BIN_DEGREES: f32 = 3.0;
const POSE_FIRST_DEGREES: f32 = -99.0;

impl LivenessDetector {
    /// Loads the networks, which are part of the program. Each call of
    /// [`LivenessDetector::observe`] runs them on `threads` threads of its own.
    ///
    /// # Errors
    ///
    /// If `threads` is 0, or a network cannot be run.
    pub fn new(threads: usize) -> Result<LivenessDetector, FaceSetupError> {
        if threads == 0 {
            return Err(FaceSetupError::NoThreads);
        }
        let lanes = Lanes::new(threads);
        let load = |name, onnx: Vec<u8>, outputs: &[&str]| {
            let origin = format!("built-in {name}");
            Network::load(name, onnx, &origin, outputs, &lanes)
        };
        Ok(LivenessDetector {
            texture: load("fr_liveness", built_in::texture(), &[])?,
            landmarks: load("fr_landmark", built_in::landmarks(), &[])?,
            pose: load("fr_pose", built_in::pose(), &POSE_OUTPUTS)?,
            times: Histogram::of_times(),
        })
    }

    /// What the networks see in `view`. Takes about 15 ms.
    ///
    /// # Errors
    ///
    /// If a network fails.
    pub fn observe(&self, view: &FaceView) -> Result<Observation, FaceError> {
        self.times.time("liveness", || self.look(view))
    }

    /// How long looks at a face took since it was made.
    pub fn times(&self) -> &Histogram {
        &self.times
    }

    fn look(&self, view: &FaceView) -> Result<Observation, FaceError> {
        Ok(Observation {
            embedding: view.embedding.clone(),
            passive_score: self.passive_score(view)?,
            pose: self.pose(view)?,
            landmarks: self.landmarks(view)?,
            fringes: view.fringes,
            thumbnail: view.thumbnail.clone(),
        })
    }

    /// See [`Observation::passive_score`]. Blue, green, red, 0 to 255; the first of three classes
    /// is live.
    fn passive_score(&self, view: &FaceView) -> Result<f32, FaceError> {
        let values = planes(&view.texture, [2, 1, 0], |_, value| value);
        let logits = self.run_one(&self.texture, 3, TEXTURE_SIDE, values, 3)?;
        let shares = softmax(&logits);
        if !shares[0].is_finite() {
            return Err(self.texture.failed("its output is no number".to_owned()));
        }
        Ok(shares[0])
    }

    /// Grey over 256; the points are shares of the sides of the crop.
    fn landmarks(&self, view: &FaceView) -> Result<Box<[Point; LANDMARKS]>, FaceError> {
        let grey = view.landmarks.iter();
        let values = grey.map(|&value| f32::from(value) / 256.0).collect();
        let shares = self.run_one(&self.landmarks, 1, LANDMARK_SIDE, values, 2 * LANDMARKS)?;
        let mut points = Box::new([Point::default(); LANDMARKS]);
        for (point, share) in points.iter_mut().zip(shares.chunks_exact(2)) {
            let (x, y) = view.landmark_window.place(share[0], share[1]);
            *point = Point { x, y };
        }
        if !points.iter().all(|p| p.x.is_finite() && p.y.is_finite()) {
            return Err(self.landmarks.failed("its output is no number".to_owned()));
        }
        Ok(points)
    }

    /// ImageNet's red, green, blue; each angle is the mean of its bins.
    fn pose(&self, view: &FaceView) -> Result<Pose, FaceError> {
        let values = planes(&view.pose, [0, 1, 2], |plane, value| {
            (value / 255.0 - POSE_MEAN[plane]) / POSE_DEVIATION[plane]
        });
        let shape = [1, 3, POSE_SIDE, POSE_SIDE];
        let outputs = self.pose.run(&shape, values)?;
        let [yaw, pitch, roll] = outputs.as_slice() else {
            let found = outputs.len();
            return Err(self.pose.failed(format!("{found} outputs, expected 3")));
        };
        let angle = |logits: &Vec<f32>| {
            let angle = mean_degrees(logits);
            let whole = logits.len() == POSE_BINS && angle.is_finite();
            whole.then_some(angle).ok_or_else(|| {
                let found = logits.len();
                self.pose.failed(format!(
                    "{found} bins, expected {POSE_BINS} that are numbers"
                ))
            })
        };
        Ok(Pose {
            yaw: angle(yaw)?,
            pitch: angle(pitch)?,
            roll: angle(roll)?,
        })
    }

    /// Runs a network with one square picture in and one row of `expected` numbers out.
    fn run_one(
        &self,
        network: &Network,
        channels: usize,
        side: usize,
        values: Vec<f32>,
        expected: usize,
    ) -> Result<Vec<f32>, FaceError> {
        let outputs = network.run(&[1, channels, side, side], values)?;
        let row = outputs.into_iter().next().unwrap_or_default();
        if row.len() != expected {
            let found = row.len();
            return Err(network.failed(format!("{found} numbers, expected {expected}")));
        }
        Ok(row)
    }
}

fn softmax(logits: &[f32]) -> Vec<f32> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let shares: Vec<f32> = logits.iter().map(|logit| (logit - largest).exp()).collect();
    let sum: f32 = shares.iter().sum();
    shares.into_iter().map(|share| share / sum).collect()
}

fn mean_degrees(logits: &[f32]) -> f32 {
    let shares = softmax(logits);
    let bin: f32 = shares
        .iter()
        .enumerate()
        .map(|(bin, share)| bin as f32 * share)
        .sum();
    bin * POSE_BIN_DEGREES + POSE_FIRST_DEGREES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_sum_to_one_however_large_the_logits_are() {
        for logits in [[0.0, 1.0, 2.0], [1e4, 0.0, -1e4], [-1e30, -1e30, -1e30]] {
            let shares = softmax(&logits);
            assert!((shares.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        }
        assert!((softmax(&[0.0, 3.0_f32.ln()])[1] - 0.75).abs() < 1e-6);
    }

    #[test]
    fn an_angle_is_the_mean_of_its_bins() {
        let mut logits = [-1e9; POSE_BINS];
        logits[33] = 0.0;
        assert_eq!(mean_degrees(&logits), 0.0);
        logits[34] = 0.0;
        assert_eq!(mean_degrees(&logits), 1.5);
    }

    #[test]
    fn no_threads_are_refused() {
        let refused = LivenessDetector::new(0).unwrap_err();
        assert!(matches!(refused, FaceSetupError::NoThreads));
    }
}
