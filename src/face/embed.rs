//! An aligned face to a unit vector.

use std::sync::Arc;

use super::align::AlignedFace;
use super::error::{FaceError, FaceSetupError};
use super::network::{Inference, Lanes, Network, built_in};
use super::profile::EncoderProfile;
use crate::types::Embedding;

/// A network with the profile that says how to feed it.
#[derive(Debug)]
pub(super) struct Embedder {
    network: Network,
    profile: EncoderProfile,
}

impl Embedder {
    /// SFace.
    pub(super) fn built_in(lanes: &Arc<Lanes>) -> Result<Embedder, FaceSetupError> {
        let profile = built_in_profile()?;
        Embedder::new(built_in::recognition(), profile, "built-in SFace", lanes)
    }

    /// The network in `onnx`, which came from `origin`, fed as `profile` says.
    ///
    /// Runs it once on a black picture, since a network says what it makes only by making it.
    pub(super) fn new(
        onnx: Vec<u8>,
        profile: EncoderProfile,
        origin: &str,
        lanes: &Arc<Lanes>,
    ) -> Result<Embedder, FaceSetupError> {
        let network = Network::load("embedding", onnx, origin, &[], lanes)?;
        let mismatch = |what, expected: String, found: String| FaceSetupError::Mismatch {
            origin: origin.to_owned(),
            what,
            expected,
            found,
        };
        let side = profile.side();
        if let Some(shape) = network.input_shape()
            && shape != [1, 3, side, side]
        {
            let expected = format!("{:?}", [1, 3, side, side]);
            return Err(mismatch(
                "the shape of the input",
                expected,
                format!("{shape:?}"),
            ));
        }
        let black = profile.values(&vec![0; side * side * 3]);
        let outputs =
            network
                .run(&[1, 3, side, side], black)
                .map_err(|error| FaceSetupError::Network {
                    origin: origin.to_owned(),
                    reason: error.to_string(),
                })?;
        let [values] = outputs.as_slice() else {
            return Err(mismatch(
                "the number of outputs",
                "1".to_owned(),
                outputs.len().to_string(),
            ));
        };
        let dimension = profile.encoder().dimension();
        if values.len() != dimension {
            return Err(mismatch(
                "the dimension",
                dimension.to_string(),
                values.len().to_string(),
            ));
        }
        Ok(Embedder { network, profile })
    }

    pub(super) fn profile(&self) -> &EncoderProfile {
        &self.profile
    }

    /// The embedding of `face`, of length 1, and the length of what the network gave.
    ///
    /// # Panics
    ///
    /// Panics if the face does not have the size that the profile states.
    pub(super) fn embed(&self, face: &AlignedFace) -> Result<(Embedding, f32), FaceError> {
        let side = self.profile.side();
        assert_eq!(
            face.side(),
            side,
            "a face is aligned to the size of its embedder"
        );
        let outputs = self
            .network
            .run(&[1, 3, side, side], self.profile.values(face.rgb()))?;
        let values = outputs.into_iter().next().unwrap_or_default();
        unit_vector(&values).ok_or_else(|| {
            self.network
                .failed("its output has no direction: zero, NaN or infinite".to_owned())
        })
    }
}

/// `values` scaled to length 1, and their length; `None` if they have no direction or are too few or
/// too many.
fn unit_vector(values: &[f32]) -> Option<(Embedding, f32)> {
    let length = values
        .iter()
        .map(|&v| f64::from(v).powi(2))
        .sum::<f64>()
        .sqrt();
    let unit: Vec<f32> = values
        .iter()
        .map(|&v| (f64::from(v) / length) as f32)
        .collect();
    Some((Embedding::new(unit).ok()?, length as f32))
}

/// The profile of SFace.
pub(super) fn built_in_profile() -> Result<EncoderProfile, FaceSetupError> {
    const SFACE: &str = include_str!("../../data/models/face_recognition_sface_2021dec.toml");
    EncoderProfile::parse(SFACE).map_err(|source| FaceSetupError::Profile {
        origin: "built-in SFace".to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_is_scaled_to_length_one() {
        let mut values = vec![0.0; 16];
        (values[3], values[5]) = (3.0e30, -4.0e30);
        let (unit, length) = unit_vector(&values).unwrap();
        assert_eq!(length, 5.0e30);
        assert!((unit.values()[3] - 0.6).abs() < 1e-7 && (unit.values()[5] + 0.8).abs() < 1e-7);
    }

    #[test]
    fn an_output_without_direction_is_none() {
        assert_eq!(unit_vector(&[0.0; 16]), None);
        assert_eq!(unit_vector(&[]), None);
        for bad in [f32::NAN, f32::INFINITY] {
            let mut values = vec![1.0; 16];
            values[2] = bad;
            assert_eq!(unit_vector(&values), None);
        }
    }
}
