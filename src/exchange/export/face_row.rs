//! A face of a picture as a row of a file.

use serde::Serialize;

/// A face in a picture, and what an encoder says of it.
#[derive(Clone, Debug, Serialize)]
pub struct FaceRow {
    /// What the face is called: the picture and, where that has several faces, `#` and the number.
    pub id: String,
    /// The picture.
    pub picture: String,
    /// Which of its faces, from 1.
    pub face: i64,
    /// Left edge, top edge, width and height in pixels of the picture.
    #[serde(rename = "box")]
    pub face_box: [i64; 4],
    /// How suitable it is, from 0 to 1.
    pub quality: f32,
    /// As many values as those of all others.
    pub embedding: Vec<f32>,
}
