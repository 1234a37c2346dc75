//! Flags of `vultus gallery`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::cosine;
use crate::types::{ClassId, PartitionId};

/// Look after galleries
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Gallery {
    Import(Import),
    List(List),
    Info(Info),
    Verify(Verify),
    Repair(Repair),
    Compact(Compact),
    Erase(Erase),
    Duplicates(Duplicates),
    Snapshot(Snapshot),
    Restore(Restore),
}

/// Add ready embeddings from an .npy file: all of them or, if one is bad, none
#[derive(Debug, Args)]
pub(in crate::cli) struct Import {
    /// The gallery, such as bws.1; made if it does not exist
    #[arg(long, value_name = "STORAGE.PARTITION")]
    pub(in crate::cli) partition: PartitionId,
    /// The embeddings: an .npy file of rows x dimension, f32 or f16
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) embeddings: PathBuf,
    /// Their classes: an .npy file of int64 [default: the row numbers from 1]
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) classes: Option<PathBuf>,
    /// The network that made them, NAME or NAME@VERSION; a gallery holds embeddings of one
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) encoder: String,
    /// Print JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// Show what there is
#[derive(Debug, Args)]
pub(in crate::cli) struct Info {
    /// One gallery [default: all]
    #[arg(long, value_name = "STORAGE.PARTITION")]
    pub(in crate::cli) partition: Option<PartitionId>,
    /// Print JSON, one gallery a line
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// List the names of all galleries
#[derive(Debug, Args)]
pub(in crate::cli) struct List {
    /// Print JSON, one gallery a line
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// Read every byte again and compare it with its checksum; also while the service runs
///
/// Lists what is damaged: the file, the place in it, what was expected and what was found. The exit
/// code is 1 if there is anything.
#[derive(Debug, Args)]
pub(in crate::cli) struct Verify {
    /// One gallery [default: all]
    #[arg(long, value_name = "STORAGE.PARTITION")]
    pub(in crate::cli) partition: Option<PartitionId>,
    /// Print JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// Mend what `vultus gallery verify` finds damaged
///
/// Most of a damaged file is still whole, and much of the rest follows from it. What is lost comes
/// from a snapshot, if one is given. A file of which templates are lost is left as it is, unless --accept-loss says
/// to go on without them. Runs while no service does. The exit code is 1 if something is not mended.
#[derive(Debug, Args)]
pub(in crate::cli) struct Repair {
    /// One gallery [default: all]
    #[arg(long, value_name = "STORAGE.PARTITION")]
    pub(in crate::cli) partition: Option<PartitionId>,
    /// A snapshot of this data directory; it is unpacked beside the directory meanwhile
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) from: Option<PathBuf>,
    /// Go on without the templates that are lost
    #[arg(long)]
    pub(in crate::cli) accept_loss: bool,
    /// Print JSON, one damaged file a line
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// Write galleries anew without removed templates, in as few files as possible
///
/// The service does so by itself, little by little. This does all of it at once, while no service
/// runs.
#[derive(Debug, Args)]
pub(in crate::cli) struct Compact {
    /// One gallery [default: all]
    #[arg(long, value_name = "STORAGE.PARTITION")]
    pub(in crate::cli) partition: Option<PartitionId>,
    /// Print JSON, one gallery a line
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// Remove people, and overwrite all that is stored of them before returning
///
/// Copies may remain where this program has no say: in snapshots, exports and backups, in blocks that
/// a disk or a file system has put aside, in swapped memory. Runs while no service does.
#[derive(Debug, Args)]
pub(in crate::cli) struct Erase {
    /// The gallery, such as bws.1
    #[arg(long, value_name = "STORAGE.PARTITION")]
    pub(in crate::cli) partition: PartitionId,
    /// A person; may be given more than once
    #[arg(long, value_name = "N", required = true, allow_negative_numbers = true)]
    pub(in crate::cli) class: Vec<ClassId>,
    /// Print JSON, one person a line
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// List the pairs of people who are so alike that they may be one person enrolled twice
///
/// Every template is compared with every other: a gallery ten times as large takes a hundred times
/// as long. Exact: no pair is missed, and each is listed once, the smaller class
/// first, most alike first. The exit code is 0 whether there are pairs or not.
#[derive(Debug, Args)]
pub(in crate::cli) struct Duplicates {
    /// The gallery, such as bws.1
    #[arg(long, value_name = "STORAGE.PARTITION")]
    pub(in crate::cli) partition: PartitionId,
    /// List pairs of at least this similarity, from -1 to 1
    #[arg(long, value_name = "COSINE", allow_negative_numbers = true, value_parser = cosine)]
    pub(in crate::cli) threshold: f64,
    /// Print JSON, one pair a line
    #[arg(long)]
    pub(in crate::cli) json: bool,
    /// Write the pairs to this file, whose name ends in .jsonl or .parquet
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    pub(in crate::cli) output: Option<PathBuf>,
    /// Replace the file if it exists
    #[arg(long, requires = "output")]
    pub(in crate::cli) overwrite: bool,
}

/// Copy everything, as it is at one moment, to one file; also while the service runs
///
/// The file appears when it is whole, and only its owner can read it: it holds all templates and the
/// keys of the service. It is a tar archive, compressed with zstd; `vultus inspect` describes it.
#[derive(Debug, Args)]
pub(in crate::cli) struct Snapshot {
    /// The snapshot, such as vultus.tar.zst
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) to: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    pub(in crate::cli) overwrite: bool,
    /// Print JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// Make a data directory of a snapshot, or only verify one
///
/// Writes to --data-dir, which must be empty or not exist yet. Everything is verified before it gets that
/// name: a snapshot that is damaged, cut off or newer changes nothing.
#[derive(Debug, Args)]
pub(in crate::cli) struct Restore {
    /// The snapshot
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) from: PathBuf,
    /// Only read all of the snapshot and verify it
    #[arg(long)]
    pub(in crate::cli) check: bool,
    /// Print JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}
