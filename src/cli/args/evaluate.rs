//! Flags of `vultus evaluate`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Measure how often decisions are wrong
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Evaluate {
    Liveness(EvaluateLiveness),
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
