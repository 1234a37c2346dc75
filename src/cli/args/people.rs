//! Verbs about people.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::parse::{cosine, whole};
use crate::types::PartitionId;

/// Find, name and manage people
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum People {
    Suggest(Suggest),
}

/// Group the faces in pictures that are of nobody enrolled: who is often there?
///
/// Faces are one person if they are on average as alike as the threshold demands. With --partition,
/// faces of people who are enrolled there are left out, and so are faces of too little quality to
/// know somebody by. With --into, pictures are sorted into a folder for each person: the picture
/// itself if it shows nobody else, or else the face cut out of it. Name the folders and enrol them.
///
/// The exit code is 0 if there is a group and no picture was refused or missed, else 1.
#[derive(Debug, Args)]
pub(in crate::cli) struct Suggest {
    /// Pictures, or folders of pictures
    #[arg(required = true, value_name = "PATH")]
    pub(in crate::cli) paths: Vec<PathBuf>,
    /// The gallery of people who are known already, such as bws.1
    #[arg(long, value_name = "STORAGE.PARTITION")]
    pub(in crate::cli) partition: Option<PartitionId>,
    /// How alike faces of one person are, from -1 to 1 [default: that of the service]
    #[arg(long, value_name = "COSINE", allow_negative_numbers = true, value_parser = cosine)]
    pub(in crate::cli) threshold: Option<f64>,
    /// The fewest faces of a group
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = whole(1_usize..))]
    pub(in crate::cli) min: usize,
    /// Sort the pictures into this folder, which is empty or made
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) into: Option<PathBuf>,
    /// Print JSON, one group a line
    #[arg(long)]
    pub(in crate::cli) json: bool,
}
