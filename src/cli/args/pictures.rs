//! Verbs that look at pictures and ask no gallery.

use std::path::PathBuf;

use clap::Args;

use super::Faces;
use super::parse::cosine;

/// Find the faces in pictures
///
/// Says where each face is, how good it is, and what could be better. A box is
/// left,top,width,height in pixels of the picture as it is shown upright, as `vultus enroll --box`
/// takes it.
///
/// The exit code is 0 if there is a face and no picture was refused or missed, else 1.
#[derive(Debug, Args)]
pub(in crate::cli) struct Detect {
    /// Pictures, or folders of pictures; `-` is stdin
    #[arg(required = true, value_name = "PATH")]
    pub(in crate::cli) paths: Vec<PathBuf>,
    /// Print JSON, one picture a line, with the points of each face
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// Make embeddings of the faces in pictures
///
/// The file has a row for each face, with the name of its picture: FILE.npy is a matrix, one face a
/// row, and FILE.csv beside it says what the rows are; FILE.parquet and FILE.jsonl have columns or
/// members id, picture, face, box, quality, embedding, and can be searched for with `vultus identify
/// --embeddings`. Embeddings are biometric data: keep the file as carefully as the pictures.
///
/// The exit code is 0 if no picture was refused or missed, else 1.
#[derive(Debug, Args)]
pub(in crate::cli) struct Embed {
    /// Pictures, or folders of pictures; `-` is stdin
    #[arg(required = true, value_name = "PATH")]
    pub(in crate::cli) paths: Vec<PathBuf>,
    /// The file, whose name ends in .npy, .parquet or .jsonl
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) output: PathBuf,
    /// Whom to take in a picture: all, or one and refuse pictures of several [default: all, where it
    /// shows several people, and else its only face, whoever passes by far behind]
    #[arg(long, value_name = "WHOM", value_enum, hide_possible_values = true)]
    pub(in crate::cli) faces: Option<Faces>,
    /// Replace files that are there
    #[arg(long)]
    pub(in crate::cli) overwrite: bool,
}

/// Say whether two pictures show one person
///
/// Each shows one person. Nobody who is enrolled has to do with it. The exit code is 0 if they are
/// one person, 1 if they are not, 2 if a picture cannot be used.
#[derive(Debug, Args)]
pub(in crate::cli) struct Compare {
    /// One picture; `-` is stdin
    #[arg(value_name = "A")]
    pub(in crate::cli) one: PathBuf,
    /// The other
    #[arg(value_name = "B")]
    pub(in crate::cli) other: PathBuf,
    /// The similarity from which on they are one person, from -1 to 1 [default: that of the service]
    #[arg(long, value_name = "COSINE", allow_negative_numbers = true, value_parser = cosine)]
    pub(in crate::cli) threshold: Option<f64>,
    /// Print JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}
