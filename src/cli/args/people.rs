//! Verbs about people.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::parse::{cosine, whole};
use crate::types::{ExternalId, Label, PartitionId};

/// Find, name and manage people
///
/// A person is named by the number of the class, or by a name that only one person has.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum People {
    List(ListPeople),
    Show(ShowPerson),
    Rename(RenamePerson),
    Merge(MergePeople),
    Remove(RemovePeople),
    RemovePortraits(RemovePortraits),
    Import(ImportPeople),
    Export(ExportPeople),
    Expire(ExpirePeople),
    Suggest(Suggest),
}

/// List people: all, or those with a name or a label
#[derive(Debug, Args)]
pub(in crate::cli) struct ListPeople {
    /// The gallery, such as bws.1
    #[arg(long, value_name = "STORAGE.PARTITION")]
    pub(in crate::cli) partition: PartitionId,
    /// Those of this name, whatever its capitals are
    #[arg(long, value_name = "NAME", conflicts_with = "name_prefix")]
    pub(in crate::cli) name: Option<String>,
    /// Those whose name begins so
    #[arg(long, value_name = "TEXT")]
    pub(in crate::cli) name_prefix: Option<String>,
    /// The one of this external id
    #[arg(long, value_name = "ID")]
    pub(in crate::cli) external_id: Option<ExternalId>,
    /// Those who have this label, such as site:berlin; may be given more than once
    #[arg(long, value_name = "KEY:VALUE")]
    pub(in crate::cli) label: Vec<Label>,
    /// Print JSON, one person a line
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// Show all that is known of people, and when their templates were enrolled
#[derive(Debug, Args)]
pub(in crate::cli) struct ShowPerson {
    /// The number of a class, or a name
    #[arg(required = true, value_name = "PERSON", allow_negative_numbers = true)]
    pub(in crate::cli) person: Vec<String>,
    /// The gallery, such as bws.1
    #[arg(long, value_name = "STORAGE.PARTITION")]
    pub(in crate::cli) partition: PartitionId,
    /// Print JSON, one person a line
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// Give a person another name, or a first one
#[derive(Debug, Args)]
pub(in crate::cli) struct RenamePerson {
    /// The number of a class, or a name
    #[arg(value_name = "PERSON", allow_negative_numbers = true)]
    pub(in crate::cli) person: String,
    /// The name, in any script
    #[arg(value_name = "NAME")]
    pub(in crate::cli) name: String,
    /// The gallery, such as bws.1
    #[arg(long, value_name = "STORAGE.PARTITION")]
    pub(in crate::cli) partition: PartitionId,
}

/// Make one person of two, of whom somebody was enrolled twice
///
/// The first keeps the best ten templates of both, and gets of what is known of the second what it
/// lacks. Nothing is left of the second. Two who are said not to be the same person are refused.
#[derive(Debug, Args)]
pub(in crate::cli) struct MergePeople {
    /// The person who stays: the number of a class, or a name
    #[arg(value_name = "PERSON", allow_negative_numbers = true)]
    pub(in crate::cli) into: String,
    /// The person who goes
    #[arg(value_name = "FROM", allow_negative_numbers = true)]
    pub(in crate::cli) from: String,
    /// The gallery, such as bws.1
    #[arg(long, value_name = "STORAGE.PARTITION")]
    pub(in crate::cli) partition: PartitionId,
}

/// Remove people and all that is known of them, and overwrite what is stored of them before it is
/// said
///
/// As `vultus gallery erase`. The exit code is 1 if somebody was not enrolled or is not overwritten
/// yet.
#[derive(Debug, Args)]
pub(in crate::cli) struct RemovePeople {
    /// The number of a class, or a name
    #[arg(required = true, value_name = "PERSON", allow_negative_numbers = true)]
    pub(in crate::cli) person: Vec<String>,
    /// The gallery, such as bws.1
    #[arg(long, value_name = "STORAGE.PARTITION")]
    pub(in crate::cli) partition: PartitionId,
    /// Print JSON, one person a line
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// Remove the portraits of people, and overwrite what is stored of them before it is said
///
/// For when store-portraits is switched off: without it none is added or shown, and those that are
/// there stay. People, their templates and their names stay. The exit code is 1 if something is not
/// overwritten yet.
#[derive(Debug, Args)]
pub(in crate::cli) struct RemovePortraits {
    /// The gallery, such as bws.1 [default: all]
    #[arg(long, value_name = "STORAGE.PARTITION")]
    pub(in crate::cli) partition: Option<PartitionId>,
    /// Print JSON, one gallery a line
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// Read from a file who people are, who are enrolled already
///
/// FILE.csv has a column class, or external_id alone, and any of name, external_id, labels (such as
/// `site:berlin;team:a`), note, expires (as in 2026-11-24T22:04:03Z), threshold and not_same_as
/// (such as `4;12`). What is not empty is added to what is known. FILE.jsonl has a line for each
/// person, with members as in /v1. Each person is changed or refused by themselves: the exit code is
/// 1 if one was refused.
#[derive(Debug, Args)]
pub(in crate::cli) struct ImportPeople {
    /// The file; `-` is stdin, with lines of JSON
    #[arg(value_name = "FILE")]
    pub(in crate::cli) file: PathBuf,
    /// The gallery, such as bws.1
    #[arg(long, value_name = "STORAGE.PARTITION")]
    pub(in crate::cli) partition: PartitionId,
}

/// Write who people are to a file: what `vultus people import` reads
#[derive(Debug, Args)]
pub(in crate::cli) struct ExportPeople {
    /// The file, whose name ends in .csv or .jsonl; `-` is stdout, with lines of JSON
    #[arg(value_name = "FILE")]
    pub(in crate::cli) file: PathBuf,
    /// The gallery, such as bws.1
    #[arg(long, value_name = "STORAGE.PARTITION")]
    pub(in crate::cli) partition: PartitionId,
    /// Replace the file if there is one
    #[arg(long)]
    pub(in crate::cli) overwrite: bool,
}

/// Delete the people whose time is over, and overwrite what is stored of them
///
/// Nobody finds them any more in any case. A service deletes them by itself.
#[derive(Debug, Args)]
pub(in crate::cli) struct ExpirePeople {
    /// The gallery, such as bws.1 [default: all]
    #[arg(long, value_name = "STORAGE.PARTITION")]
    pub(in crate::cli) partition: Option<PartitionId>,
    /// List them, and delete nobody
    #[arg(long)]
    pub(in crate::cli) dry_run: bool,
    /// Print JSON, one person a line
    #[arg(long)]
    pub(in crate::cli) json: bool,
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
