//! The networks that are part of the program: the ONNX files in `data/models`.

/// The bytes of a file in `data/models`, as it is there.
#[cfg(not(feature = "packed-networks"))]
macro_rules! model {
    ($file:literal) => {
        include_bytes!(concat!("../../../data/models/", $file)).to_vec()
    };
}

/// The bytes of a file in `data/models`, which `build.rs` has packed.
#[cfg(feature = "packed-networks")]
macro_rules! model {
    ($file:literal) => {
        zstd::decode_all(&include_bytes!(concat!(env!("OUT_DIR"), "/", $file, ".zst"))[..])
            .expect("what the build has packed is one whole frame")
    };
}

/// YuNet: where faces are.
pub(crate) fn detection() -> Vec<u8> {
    model!("face_detection_yunet_2023mar_dynamic.onnx")
}

/// SFace: what a face is like.
pub(crate) fn recognition() -> Vec<u8> {
    model!("face_recognition_sface_2021dec.onnx")
}

/// Whether a picture looks as if it showed a live person.
pub(crate) fn texture() -> Vec<u8> {
    model!("fr_liveness.onnx")
}

/// 68 landmarks.
pub(crate) fn landmarks() -> Vec<u8> {
    model!("fr_landmark.onnx")
}

/// How a head is turned.
pub(crate) fn pose() -> Vec<u8> {
    model!("fr_pose.onnx")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_the_files_in_the_repository() {
        let models = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("data/models");
        for (file, network) in [
            ("face_detection_yunet_2023mar_dynamic.onnx", detection()),
            ("face_recognition_sface_2021dec.onnx", recognition()),
            ("fr_liveness.onnx", texture()),
            ("fr_landmark.onnx", landmarks()),
            ("fr_pose.onnx", pose()),
        ] {
            let expected = std::fs::read(models.join(file)).unwrap();
            assert!(network == expected, "{file}");
        }
    }
}
