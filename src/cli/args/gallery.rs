//! Flags of `vultus gallery`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::parse::cosine;
use crate::exchange::Existing;
use crate::types::{ClassId, PartitionId};

/// Look after galleries
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Gallery {
    Import(Box<Import>),
    Export(Export),
    List(List),
    Info(Info),
    Verify(Verify),
    Repair(Repair),
    Compact(Compact),
    Erase(Erase),
    Remove(RemoveGallery),
    Duplicates(Duplicates),
    Snapshot(Snapshot),
    Restore(Restore),
    Encrypt(Encrypt),
    ChangeMasterKey(ChangeMasterKey),
    RotateKeys(RotateKeys),
}

/// Add many templates: ready embeddings from a file, or pictures
///
/// FILE is .npy (a matrix, with --classes and --times beside it), .npz, .parquet or .jsonl; the
/// formats are described in docs/exchange.md. --pictures reads folders of class folders, or folders
/// that are named after people, --manifest a CSV file with the columns picture, class or name and, if
/// there is one, time (milliseconds since 1970, or as in 2026-11-24T22:04:03Z). What a file says of
/// people (name, external_id, labels as site:berlin;team:a, note, expires, threshold) is kept with
/// their templates; a row that contradicts what is known is refused.
///
/// What is there already, the same class with the same values, is not added twice. Items are added piece by piece, each durable before the next. One that is no embedding, or no
/// picture of one face, is refused and the others come in: the exit code is then 1, and a report
/// has a line of JSON for each. With `--enroll-duplicates` an item that looks like somebody who has
/// another class, in the gallery or before in the source, is named there (warn), or refused like the
/// others (refuse). The code is 1, too, if a picture was passed over that somebody would
/// have expected to be taken. An interrupted import goes on where it stopped if the same command
/// is given with --resume: nothing is lost, and nothing added twice.
#[derive(Debug, Args)]
pub(in crate::cli) struct Import {
    #[command(flatten)]
    pub(in crate::cli) source: ImportSource,
    /// The gallery, such as bws.1; made if it does not exist
    #[arg(long, value_name = "STORAGE.PARTITION")]
    pub(in crate::cli) partition: PartitionId,
    /// The network that made the embeddings, NAME or NAME@VERSION; a gallery holds embeddings of
    /// one
    #[arg(
        long,
        value_name = "NAME",
        required_unless_present_any = ["pictures", "manifest"],
        conflicts_with_all = ["pictures", "manifest"]
    )]
    pub(in crate::cli) encoder: Option<String>,
    /// Classes of an .npy file: an .npy file of int64 [default: the row numbers from 1]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["pictures", "manifest"])]
    pub(in crate::cli) classes: Option<PathBuf>,
    /// Times of enrolment of an .npy file: an .npy file of int64, milliseconds since 1970 [default:
    /// now]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["pictures", "manifest"])]
    pub(in crate::cli) times: Option<PathBuf>,
    /// The column, array or member of the classes [default: class, in an .npz classes]
    #[arg(long, value_name = "NAME", conflicts_with_all = ["pictures", "manifest"])]
    pub(in crate::cli) class_column: Option<String>,
    /// The column, array or member of the embeddings [default: embedding, in an .npz embeddings]
    #[arg(long, value_name = "NAME", conflicts_with_all = ["pictures", "manifest"])]
    pub(in crate::cli) embedding_column: Option<String>,
    /// Pass over what the file says of people: names, external ids, labels
    #[arg(long, conflicts_with_all = ["pictures", "manifest"])]
    pub(in crate::cli) templates_only: bool,
    /// Read and check everything, say what would be done, and change nothing
    #[arg(long)]
    pub(in crate::cli) dry_run: bool,
    /// Check all items before the first is added, and add none if one is refused
    #[arg(long, conflicts_with_all = ["pictures", "manifest", "dry_run", "refused"])]
    pub(in crate::cli) all_or_nothing: bool,
    /// Go on with an interrupted import of the same source; begin if there was none
    #[arg(long, conflicts_with_all = ["overwrite", "dry_run"])]
    pub(in crate::cli) resume: bool,
    /// Start again, whatever was begun: what an interrupted import added stays. Replace a report of
    /// refused items
    #[arg(long)]
    pub(in crate::cli) overwrite: bool,
    /// Report refused items, and those that look like somebody else, in this file [default: FILE.refused.jsonl, beside the source; none with
    /// --dry-run]
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) refused: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// What is imported.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(in crate::cli) struct ImportSource {
    /// The embeddings: an .npy, .npz, .parquet or .jsonl file
    #[arg(value_name = "FILE")]
    pub(in crate::cli) file: Option<PathBuf>,
    /// The same as FILE
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) embeddings: Option<PathBuf>,
    /// Pictures instead: folders of class folders, or of folders named after people, as `vultus
    /// enroll` reads them
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub(in crate::cli) pictures: Vec<PathBuf>,
    /// Pictures instead: a CSV file with a header such as `picture,class` or `picture,name,time`; paths
    /// are relative to its folder
    #[arg(long, value_name = "CSV")]
    pub(in crate::cli) manifest: Option<PathBuf>,
}

/// Write all templates of a gallery to a file, as they are at this moment
///
/// Each has its class, its embedding, when it was enrolled and, where it is known, the quality of
/// its picture and who it is: name, external id, labels, note, end and threshold. Importing the file
/// gives the same templates, bit by bit, of the same people.
#[derive(Debug, Args)]
pub(in crate::cli) struct Export {
    /// The gallery, such as bws.1
    #[arg(long, value_name = "STORAGE.PARTITION")]
    pub(in crate::cli) partition: PartitionId,
    /// The file, whose name ends in .npz, .parquet or .jsonl; it appears when it is whole
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) output: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    pub(in crate::cli) overwrite: bool,
    /// Write nothing of what is known of people: names, external ids, labels
    #[arg(long)]
    pub(in crate::cli) templates_only: bool,
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
/// from a snapshot, if one is given. A file of which templates are lost is left as it is, unless
/// --accept-loss says to go on without them. Works beside a service, which then reads the snapshot;
/// the catalog is made or accepted while no service runs. The exit code is 1 if something is not
/// mended.
#[derive(Debug, Args)]
pub(in crate::cli) struct Repair {
    /// One gallery [default: all]
    #[arg(long, value_name = "STORAGE.PARTITION")]
    pub(in crate::cli) partition: Option<PartitionId>,
    /// A snapshot of this data directory; it is unpacked beside the directory meanwhile
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) from: Option<PathBuf>,
    /// Where the master key comes from that was in use when the snapshot was made, if another one is now;
    /// beside a service, a file
    #[arg(long, value_name = "SOURCE", requires = "from")]
    pub(in crate::cli) from_master_key: Option<String>,
    /// Take a snapshot that is not encrypted, though the data directory is: whoever could write to where it
    /// lay may have made it
    #[arg(long, requires = "from")]
    pub(in crate::cli) accept_plain: bool,
    /// Go on without the templates that are lost
    #[arg(long)]
    pub(in crate::cli) accept_loss: bool,
    /// Make the catalog anew of the segments, where it is lost: templates that were not sealed,
    /// removals, apps and keys stay lost
    #[arg(long, conflicts_with_all = ["partition", "from", "accept_loss"])]
    pub(in crate::cli) from_segments: bool,
    /// Go on with a catalog that is refused because it is an older one, because its last change is damaged,
    /// or because `writer.lock` is another data directory's: what was done since stays lost
    #[arg(long, conflicts_with_all = ["partition", "from", "accept_loss", "from_segments", "names"])]
    pub(in crate::cli) accept_catalog: bool,
    /// The name of a gallery by the number of its folder, where older segments do not say it
    #[arg(
        long = "name",
        value_name = "NUMBER=STORAGE.PARTITION",
        requires = "from_segments",
        value_parser = numbered_partition
    )]
    pub(in crate::cli) names: Vec<(u64, PartitionId)>,
    /// Print JSON, one damaged file or gallery a line
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// Write galleries anew without removed templates, in as few files as possible
///
/// The service does so by itself, little by little. This does all of it at once, also beside a
/// service.
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
/// Copies may remain where this program has no say: in snapshots, exports and backups, in blocks
/// that a disk or a file system has put aside, in swapped memory.
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

/// Remove a gallery: everybody in it, and all that is known of them
///
/// The key of an encrypted gallery is destroyed first, so that nobody can read what is left of its templates;
/// what is stored is overwritten before this returns. Works beside a service, too. Copies may remain where this
/// program has no say, as with `vultus gallery erase`. The exit code is 1 if there is no such gallery, or another
/// process still reads it.
#[derive(Debug, Args)]
pub(in crate::cli) struct RemoveGallery {
    /// The gallery, such as bws.1
    #[arg(long, value_name = "STORAGE.PARTITION")]
    pub(in crate::cli) partition: PartitionId,
    /// The gallery once more: this cannot be undone
    #[arg(long, value_name = "STORAGE.PARTITION")]
    pub(in crate::cli) confirm: PartitionId,
    /// Print JSON
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
    /// Write the pairs to this file, whose name ends in .jsonl, .csv, .npz or .parquet
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    pub(in crate::cli) output: Option<PathBuf>,
    /// Replace the file if it exists
    #[arg(long, requires = "output")]
    pub(in crate::cli) overwrite: bool,
}

/// Copy everything, as it is at one moment, to one file; also while the service runs
///
/// The file appears when it is whole, and only its owner can read it: it holds all templates and
/// the keys of the service. It is a tar archive, compressed with zstd; `vultus inspect` describes
/// it.
#[derive(Debug, Args)]
pub(in crate::cli) struct Snapshot {
    /// The snapshot, such as vultus.tar.zst, or a folder, in which it is named after the moment
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
/// Writes to --data-dir, which must be empty or not exist yet. Everything is verified before it
/// gets that name: a snapshot that is damaged, cut off or newer changes nothing.
#[derive(Debug, Args)]
pub(in crate::cli) struct Restore {
    /// The snapshot
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) from: PathBuf,
    /// Only read all of the snapshot and verify it
    #[arg(long)]
    pub(in crate::cli) check: bool,
    /// Take a snapshot that is not encrypted, though `encryption` is on: whoever could write to where
    /// it lay may have made it
    #[arg(long)]
    pub(in crate::cli) accept_plain: bool,
    /// Print JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// Encrypt a data directory that is not, with the key that `master-key` names
///
/// Every segment is written anew, and what could be read before is overwritten; copies may remain where
/// this program has no say: in older snapshots, and in blocks that a disk or a file system has put aside.
/// Also beside a service, which goes on searching and enrolling, if that was started with a `master-key`. If
/// it is broken off, the service goes on with it, and so does this when it is run again.
#[derive(Debug, Args)]
pub(in crate::cli) struct Encrypt {
    /// Print JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// Open an encrypted data directory with another master key from now on
///
/// Only while no service runs, and at once: the keys of galleries stay what they are, and are sealed
/// anew. Snapshots that were made before are opened by the master key of then.
#[derive(Debug, Args)]
pub(in crate::cli) struct ChangeMasterKey {
    /// Where the new key comes from, as in the setting `master-key`, which says the present one
    #[arg(long, value_name = "SOURCE")]
    pub(in crate::cli) to: String,
}

/// Write encrypted galleries anew with other keys, and destroy the old ones
///
/// For when a key may have become known: `change-master-key` seals the same keys anew, at once. Takes as
/// long as writing all segments takes, also beside a service, which goes on searching and enrolling. If it is
/// broken off, it goes on when it is run again. Snapshots that were made before have the old keys.
#[derive(Debug, Args)]
pub(in crate::cli) struct RotateKeys {
    /// One gallery [default: all, and the catalog]
    #[arg(long, value_name = "STORAGE.PARTITION")]
    pub(in crate::cli) partition: Option<PartitionId>,
    /// Print JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

impl Import {
    /// What was typed about an import that was begun before.
    pub(in crate::cli) fn existing(&self) -> Existing {
        match self {
            Import { resume: true, .. } => Existing::Resume,
            Import {
                overwrite: true, ..
            } => Existing::Overwrite,
            _ => Existing::Refuse,
        }
    }
}

/// Reads `3=bws.1`.
fn numbered_partition(text: &str) -> Result<(u64, PartitionId), String> {
    let parts = text.split_once('=');
    let read = parts.and_then(|(number, name)| Some((number.parse().ok()?, name.parse().ok()?)));
    read.ok_or_else(|| "expected a number and a gallery, such as `3=bws.1`".to_owned())
}
