//! `vultus calibrate`

use std::path::PathBuf;

use clap::Args;

use super::parse::whole;
use crate::types::PartitionId;

/// Measure what strangers reach in a gallery: which threshold lets how many of them through
///
/// No pictures are needed: everybody who is enrolled is a stranger to all others. People are drawn, one
/// template of each is searched with its own class left out, and the best that is found is what a
/// stranger reached. Pairs that look like one person who is enrolled twice are listed and count nowhere.
///
/// What is found is kept in the gallery, and holds no templates. Beside a running service the command
/// measures, and the service keeps it. At least 20 people must be enrolled; a rate of one in a thousand
/// needs about 3,000 of them, and is extrapolated with fewer.
///
/// With --encoder-profile PATH is a file of embeddings with classes, as of `vultus evaluate`, made by an
/// embedder of your own. What strangers reach among these people is written into a file; with that in
/// the setting `encoder-profiles`, `vultus serve` and `vultus identify` have a threshold for galleries of
/// that encoder, and say how sure they are, from the first person on.
#[derive(Debug, Args)]
pub(in crate::cli) struct Calibrate {
    /// With --encoder-profile: files of embeddings with classes, or folders of class folders
    #[arg(
        value_name = "PATH",
        requires = "encoder_profile",
        conflicts_with = "partition"
    )]
    pub(in crate::cli) paths: Vec<PathBuf>,
    /// The gallery, such as bws.1
    #[arg(
        long,
        value_name = "STORAGE.PARTITION",
        required_unless_present = "encoder_profile",
        conflicts_with = "encoder_profile"
    )]
    pub(in crate::cli) partition: Option<PartitionId>,
    /// Write what is found of the encoder of labelled embeddings into this file, in place of a gallery
    #[arg(long, value_name = "FILE", requires = "paths")]
    pub(in crate::cli) encoder_profile: Option<PathBuf>,
    /// The network that made the embeddings, NAME or NAME@VERSION
    #[arg(
        long,
        value_name = "NAME",
        requires = "encoder_profile",
        conflicts_with = "partition"
    )]
    pub(in crate::cli) encoder: Option<String>,
    /// Classes of an .npy file: an .npy file of int64
    #[arg(
        long,
        value_name = "FILE",
        requires = "encoder_profile",
        conflicts_with = "partition"
    )]
    pub(in crate::cli) classes: Option<PathBuf>,
    /// The column, array or member of the classes [default: class, in an .npz classes]
    #[arg(
        long,
        value_name = "NAME",
        requires = "encoder_profile",
        conflicts_with = "partition"
    )]
    pub(in crate::cli) class_column: Option<String>,
    /// The column, array or member of the embeddings [default: embedding, in an .npz embeddings]
    #[arg(
        long,
        value_name = "NAME",
        requires = "encoder_profile",
        conflicts_with = "partition"
    )]
    pub(in crate::cli) embedding_column: Option<String>,
    /// Replace a file that is there already
    #[arg(long, requires = "encoder_profile", conflicts_with = "partition")]
    pub(in crate::cli) overwrite: bool,
    /// The most people who are drawn
    #[arg(long, value_name = "N", default_value_t = 10_000, allow_negative_numbers = true, value_parser = whole(20_usize..=1_000_000))]
    pub(in crate::cli) probes: usize,
    /// What the choice is drawn with: the same draws the same people
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true, value_parser = whole(0_u64..))]
    pub(in crate::cli) seed: u64,
    /// Say which thresholds hold among so many people [default: those who are enrolled]
    ///
    /// For a job over a larger gallery of the same kind of people. What is kept does not depend on it.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole(1_usize..=100_000_000_000))]
    pub(in crate::cli) people: Option<usize>,
    /// Print JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}
