//! Flags of `vultus evaluate`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::parse::{cosine, share, whole};
use crate::rates::TargetRate;
use crate::types::PartitionId;

/// Measure how often decisions are wrong
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Evaluate {
    Identification(Box<EvaluateIdentification>),
    Verification(Box<EvaluateVerification>),
    Liveness(EvaluateLiveness),
}

/// Measure how often enrolled people are missed, and strangers taken for somebody
///
/// PATH is a folder of class folders, as `vultus enroll` reads them, or a file of embeddings with
/// classes: .npy with --classes beside it, .npz, .parquet or .jsonl. The people in it are parted
/// several times, by seed, into some who are enrolled with a part of their samples and looked for
/// with the others, and strangers, who are looked for and should not be found. With --partition the
/// people of that gallery are those who are enrolled, and the samples are all looked for.
///
/// The engine itself enrols, in a folder that is deleted, and searches. Reports FNIR at each FPIR,
/// with the range of 95 % confidence for probes (Wilson) and for people (bootstrap), ranks (CMC),
/// both errors against each other (DET), scores, failures to acquire and to enrol, those who are
/// missed most and who are most alike: docs/evaluation.md has the formulas, after ISO/IEC 19795-1.
///
/// A rate that cannot be told with so few probes is not told. The exit code is 1 if one of those
/// that were asked for with --fpir is among these (2 if all are), a sample is there under two
/// labels, or something was passed over that somebody would have expected to be taken.
#[derive(Debug, Args)]
pub(in crate::cli) struct EvaluateIdentification {
    #[command(flatten)]
    pub(in crate::cli) samples: LabelledSamples,
    /// How often people are parted
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = whole(1_usize..=1_000), conflicts_with = "partition")]
    pub(in crate::cli) splits: usize,
    /// The share of people who are strangers
    #[arg(long, value_name = "SHARE", default_value_t = 0.5, value_parser = share, conflicts_with = "partition")]
    pub(in crate::cli) strangers: f64,
    /// With how many samples people are enrolled [default: half of those that they have, 10 at
    /// most]
    #[arg(long, value_name = "N", value_parser = whole(1_usize..=10), conflicts_with = "partition")]
    pub(in crate::cli) templates: Option<usize>,
    /// Strangers may be taken for somebody so often: rates, or 10, 20, 30 for 1/10, 1/100, 1/1000,
    /// separated by commas [default: 0.1,0.03,0.01,0.003,0.001]
    #[arg(
        long,
        value_name = "RATE",
        value_delimiter = ',',
        allow_negative_numbers = true
    )]
    pub(in crate::cli) fpir: Vec<TargetRate>,
    /// Enrolled people are found if they are among the first so many of an answer
    #[arg(long, value_name = "R", default_value_t = 1, value_parser = whole(1_usize..=50))]
    pub(in crate::cli) rank: usize,
    #[command(flatten)]
    pub(in crate::cli) told: Told,
}

/// Measure how often one person is taken for two, and two for one
///
/// PATH is a folder of class folders, or a file of embeddings with classes, as of
/// `vultus evaluate identification`. Every sample is compared with every other, by the engine; with
/// --partition every sample is compared with every class of that gallery.
///
/// Reports FNMR at each FMR with the ranges of 95 % confidence, the point where both are equal
/// (EER), both against each other (DET), scores, failures to acquire, and who is least like
/// themselves and most like others: docs/evaluation.md has the formulas, after ISO/IEC 19795-1. The
/// exit code is that of `vultus evaluate identification`.
#[derive(Debug, Args)]
pub(in crate::cli) struct EvaluateVerification {
    #[command(flatten)]
    pub(in crate::cli) samples: LabelledSamples,
    /// Different people may be taken for one so often: rates, or 10, 20, 30 for 1/10, 1/100,
    /// 1/1000, separated by commas [default: 0.01,0.001,0.0001,0.00001]
    #[arg(
        long,
        value_name = "RATE",
        value_delimiter = ',',
        allow_negative_numbers = true
    )]
    pub(in crate::cli) fmr: Vec<TargetRate>,
    /// Of more samples so many are drawn, by person and by seed
    #[arg(long, value_name = "N", default_value_t = 4_000, value_parser = whole(2_usize..=20_000))]
    pub(in crate::cli) samples_max: usize,
    #[command(flatten)]
    pub(in crate::cli) told: Told,
}

/// Samples, and whom they show.
#[derive(Debug, Args)]
pub(in crate::cli) struct LabelledSamples {
    /// Folders of class folders, or a file of embeddings with classes
    #[arg(value_name = "PATH", required = true)]
    pub(in crate::cli) paths: Vec<PathBuf>,
    /// The gallery whose people are enrolled, such as bws.1 [default: a part of the samples is]
    #[arg(long, value_name = "STORAGE.PARTITION")]
    pub(in crate::cli) partition: Option<PartitionId>,
    /// The network that made the embeddings, NAME or NAME@VERSION; its threshold is then evaluated,
    /// too, where it is known
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) encoder: Option<String>,
    /// Classes of an .npy file: an .npy file of int64
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) classes: Option<PathBuf>,
    /// The column, array or member of the classes [default: class, in an .npz classes]
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) class_column: Option<String>,
    /// The column, array or member of the embeddings [default: embedding, in an .npz embeddings]
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) embedding_column: Option<String>,
    /// Draws people, and makes the same splits and ranges again
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole(0_u64..))]
    pub(in crate::cli) seed: u64,
    /// Evaluate this similarity, too, from which on somebody is named [default: the one in use]
    #[arg(long, value_name = "COSINE", value_parser = cosine, allow_negative_numbers = true)]
    pub(in crate::cli) threshold: Option<f64>,
    /// Tell errors by groups of people: a CSV file with the header `class,group`
    #[arg(long, value_name = "CSV", conflicts_with = "group_label")]
    pub(in crate::cli) groups: Option<PathBuf>,
    /// The same, by the label with this key that people have in the gallery
    #[arg(long, value_name = "KEY", requires = "partition")]
    pub(in crate::cli) group_label: Option<String>,
}

/// How it is told.
#[derive(Debug, Args)]
pub(in crate::cli) struct Told {
    /// Print JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
    /// Print Markdown
    #[arg(long, conflicts_with = "json")]
    pub(in crate::cli) markdown: bool,
    /// Draw the curves into this folder, each as SVG and as PNG
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) plots: Option<PathBuf>,
    /// Write all of it into one page that needs nothing else
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) html: Option<PathBuf>,
}

/// Measure the liveness decision on pictures of live people and of attacks
///
/// FOLDER holds `live` and `attack/KIND`, a folder for each kind of attack. What lies in them is
/// presented: a picture alone, by its texture, or a folder of two and more pictures together, in
/// the order of the numbers in their names, by the motion between them as well.
///
/// Reports APCER of each kind, the largest of them, BPCER, the point where both are equal (D-EER),
/// and how many got no answer, as in ISO/IEC 30107-3, with 95 % confidence (Wilson). The two ways
/// to present are reported apart. A picture that cannot be judged counts as no answer. The exit
/// code is 1 if something was passed over that somebody would have expected to be shown.
#[derive(Debug, Args)]
pub(in crate::cli) struct EvaluateLiveness {
    /// Folders of this form; what they hold is taken together
    #[arg(value_name = "FOLDER", required = true)]
    pub(in crate::cli) folders: Vec<PathBuf>,
    /// Draw the errors at every threshold, and against each other (DET), into this file, an SVG; of
    /// several pictures where there are such presentations
    #[arg(long, value_name = "FILE.svg")]
    pub(in crate::cli) plot: Option<PathBuf>,
    /// Write what was decided about each presentation, and by which numbers, as lines of JSON
    #[arg(long, value_name = "FILE.jsonl")]
    pub(in crate::cli) details: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}
