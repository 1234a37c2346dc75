//! `vultus calibrate`

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
#[derive(Debug, Args)]
pub(in crate::cli) struct Calibrate {
    /// The gallery, such as bws.1
    #[arg(long, value_name = "STORAGE.PARTITION")]
    pub(in crate::cli) partition: PartitionId,
    /// The most people who are drawn
    #[arg(long, value_name = "N", default_value_t = 10_000, allow_negative_numbers = true, value_parser = whole(20_usize..=1_000_000))]
    pub(in crate::cli) probes: usize,
    /// What the choice is drawn with: the same draws the same people
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true, value_parser = whole(0_u64..))]
    pub(in crate::cli) seed: u64,
    /// Print JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}
