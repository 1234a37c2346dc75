//! What can go wrong on disk.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::secrets::KeyError;
use crate::types::{ClassId, EncoderId, PartitionId, RecordError};

/// Why a data directory could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process has the data directory open.
    #[error(
        "data directory `{path}` is in use by another process: stop that process, or use another directory"
    )]
    Locked {
        /// The data directory.
        path: PathBuf,
    },
    /// The data directory was written by a newer version.
    #[error(
        "data directory `{path}` has format {found}, and this build reads {oldest} to {newest}: use a newer build"
    )]
    Version {
        /// The file that says so.
        path: PathBuf,
        /// The version found.
        found: u32,
        /// The oldest version that can be read.
        oldest: u32,
        /// The newest version that can be read.
        newest: u32,
    },
    /// Bytes on disk are not what was written.
    #[error("`{path}` is damaged at byte {offset}: {what}: expected {expected}, found {found}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in the file.
        offset: u64,
        /// What was looked at.
        what: &'static str,
        /// What should stand there.
        expected: String,
        /// What does stand there.
        found: String,
    },
    /// What is encrypted cannot be read, or something else is wrong with keys.
    #[error("`{path}` cannot be used: {cause}")]
    Keys {
        /// The file, or the data directory.
        path: PathBuf,
        /// What is wrong, and what to do.
        cause: KeyError,
    },
    /// A portrait is to be stored where it could be read.
    #[error(
        "portraits are stored in an encrypted data directory alone, and this one is not encrypted"
    )]
    PortraitInPlain,
    /// The catalog is damaged.
    #[error(
        "catalog `{path}` is damaged: {what}; restore a snapshot into another directory, or move the catalog away and have one made of the segments with `vultus gallery repair --from-segments`"
    )]
    Catalog {
        /// The catalog file.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// The catalog is missing where there once was one.
    #[error(
        "catalog `{path}` is missing, though `{trace}` shows that there was one; nothing was changed: put the catalog back, restore a snapshot into another directory, or have one made of the segments with `vultus gallery repair --from-segments`"
    )]
    CatalogLost {
        /// Where the catalog should be.
        path: PathBuf,
        /// What shows that there was one.
        trace: PathBuf,
    },
    /// A segment was written in another data directory.
    #[error(
        "`{path}` belongs to another data directory ({found:016x}, and the catalog is of {expected:016x}): move it, or the catalog, back to where it came from"
    )]
    Foreign {
        /// The segment.
        path: PathBuf,
        /// Which data directory the catalog is of.
        expected: u64,
        /// Which one the segment says.
        found: u64,
    },
    /// A segment is whole, and the catalog has never heard of it.
    #[error(
        "the catalog does not know the segment `{path}` of partition `{partition}`: it is older than the segment, or another one's; nothing was changed: put the newer catalog back; if it is lost, move this one away and have one made of the segments with `vultus gallery repair --from-segments`"
    )]
    UnknownSegment {
        /// The segment.
        path: PathBuf,
        /// The name of its partition, or the number where the segment has no name.
        partition: String,
    },
    /// A catalog was put back that is older than the one that was there last.
    #[error(
        "catalog `{path}` is an older one: it counts {found} changes, and `{witness}` {expected}, so that {} are missing; nothing was changed: put the newer catalog back, or restore a snapshot into another directory; if both are lost, `vultus gallery repair --accept-catalog` goes on with this one", expected - found
    )]
    OlderCatalog {
        /// The catalog file.
        path: PathBuf,
        /// What counts more.
        witness: PathBuf,
        /// How many changes there were.
        expected: u64,
        /// How many the catalog has.
        found: u64,
    },
    /// The last change of the catalog is not whole, and nothing says whether somebody relies on it.
    #[error(
        "the last change in catalog `{path}` is damaged or was never finished, and `{witness}` does not say whether it was acknowledged; nothing was changed: put a newer copy of `{witness}` back, or restore a snapshot into another directory; `vultus gallery repair --accept-catalog` goes on without that change"
    )]
    LeftOut {
        /// The catalog file.
        path: PathBuf,
        /// What says nothing.
        witness: PathBuf,
    },
    /// The catalog, or the witness beside it, was put in the place of another one's.
    #[error(
        "catalog `{path}` is of data directory {found:016x}, and `{witness}` of {expected:016x}; nothing was changed: put back the one that came from elsewhere; if it is the catalog that belongs here, and only the other file is lost, `vultus gallery repair --accept-catalog` says so"
    )]
    ForeignCatalog {
        /// The catalog file.
        path: PathBuf,
        /// The file that is of another data directory.
        witness: PathBuf,
        /// Which one the witness is of.
        expected: u64,
        /// Which one the catalog is of.
        found: u64,
    },
    /// A catalog is to be made where there is one.
    #[error("there is a catalog, `{path}`: only where it is lost can one be made of segments")]
    CatalogPresent {
        /// The catalog file.
        path: PathBuf,
    },
    /// A catalog is to be made of segments where there are none.
    #[error("there is no whole segment in `{path}` to make a catalog of")]
    NoSegments {
        /// The data directory.
        path: PathBuf,
    },
    /// Nobody says what a partition is called.
    #[error(
        "no segment in the directory of `{path}` says the name of its partition: give it with `--name {number}=STORAGE.PARTITION`"
    )]
    Nameless {
        /// One of its segments.
        path: PathBuf,
        /// The number of the partition.
        number: u64,
    },
    /// Two partitions are to have the same name.
    #[error("two partitions would be called `{partition}`: give number {number} another name")]
    NamedTwice {
        /// The name.
        partition: String,
        /// The number of one of them.
        number: u64,
    },
    /// The catalog that is open has no longer its name.
    #[error(
        "`{path}` was deleted, moved or replaced while this process had it open: no more changes are taken, since they would be lost; put it back, then restart"
    )]
    Replaced {
        /// The catalog file.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("cannot {action} `{path}`")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The partition holds embeddings of another encoder.
    #[error("partition `{partition}` holds embeddings of encoder `{expected}`, not of `{found}`")]
    Encoder {
        /// The partition.
        partition: PartitionId,
        /// The encoder it is bound to.
        expected: EncoderId,
        /// The encoder of the embedding.
        found: EncoderId,
    },
    /// An earlier write or sync failed, so that nobody knows what is on disk until it is read again
    /// from the start.
    #[error(
        "`{path}` takes no more changes after a write that failed: see to the disk, then restart to reopen it"
    )]
    Stopped {
        /// The catalog file.
        path: PathBuf,
        /// The failure, where it is known.
        #[source]
        source: Option<Arc<StoreError>>,
    },
    /// The disk was full. Nothing was written since, and nothing is until there is room.
    #[error(
        "there is no room on the disk for `{path}`: nothing was changed, and changes are taken again once there is room"
    )]
    NoRoom {
        /// The catalog file.
        path: PathBuf,
        /// The write that found none.
        #[source]
        source: Arc<StoreError>,
    },
    /// The change was not made, since the group of changes that it was in could not be written.
    #[error("the change could not be written")]
    NotWritten {
        /// What happened.
        #[source]
        source: Arc<StoreError>,
    },
    /// The data directory was opened only to be read.
    #[error("`{path}` is open only to be read")]
    ReadOnly {
        /// The catalog file.
        path: PathBuf,
    },
    /// Not all templates of a partition can be read, so that it gives no answers: they could be
    /// wrong.
    #[error(
        "partition `{partition}` with {templates} templates is incomplete: `vultus gallery verify` lists the damage, `vultus gallery repair` mends what can be"
    )]
    Incomplete {
        /// The partition.
        partition: PartitionId,
        /// How many templates it should have.
        templates: u64,
        /// What cannot be read.
        #[source]
        source: Box<StoreError>,
    },
    /// Work in the background was told to stop.
    #[error("the work was told to stop")]
    Interrupted,
    /// An import announced more rows than a segment holds.
    #[error("cannot import {found} rows into partition `{partition}` at once: {most} is the most")]
    TooManyRows {
        /// The partition.
        partition: PartitionId,
        /// The number announced.
        found: usize,
        /// The most.
        most: usize,
    },
    /// An import gave another number of rows than it had announced.
    #[error("an import into partition `{partition}` announced {expected} rows and gave {found}")]
    RowCount {
        /// The partition.
        partition: PartitionId,
        /// The number announced.
        expected: usize,
        /// The number given.
        found: usize,
    },
    /// A snapshot is not what was written, or a file is no snapshot.
    #[error(
        "snapshot `{path}` is damaged at `{entry}`: {what}: expected {expected}, found {found}"
    )]
    Archive {
        /// The archive.
        path: PathBuf,
        /// The entry that was being read.
        entry: String,
        /// What was looked at.
        what: &'static str,
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A snapshot was written by a newer version.
    #[error(
        "snapshot `{path}` has format {found}, and this build reads {oldest} to {newest}: use a newer build"
    )]
    ArchiveVersion {
        /// The archive.
        path: PathBuf,
        /// The version found.
        found: u32,
        /// The oldest version that can be read.
        oldest: u32,
        /// The newest version that can be read.
        newest: u32,
    },
    /// A file is there already, and nobody said that it may be replaced.
    #[error("`{path}` exists: replace it with --overwrite, or name another file")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A snapshot would be restored over something.
    #[error(
        "`{path}` is not an empty directory: restore into one that is empty, or does not exist yet"
    )]
    Occupied {
        /// The target.
        path: PathBuf,
    },
    /// Something stands where a draft is to be made, and no earlier run has left it there.
    #[error(
        "`{path}` was not left by this program, so it is not touched: move it away, or restore into another directory"
    )]
    NotOurs {
        /// What stands there.
        path: PathBuf,
    },
    /// A file to be inspected is none that this program writes.
    #[error(
        "`{path}` is no segment, snapshot or catalog: none of these begins with the bytes `{found}`"
    )]
    Unknown {
        /// The file.
        path: PathBuf,
        /// Its first bytes, in hexadecimal.
        found: String,
    },
    /// A class has no template.
    #[error("`{partition}.{class}` is not enrolled")]
    NotEnrolled {
        /// The partition.
        partition: PartitionId,
        /// The class.
        class: ClassId,
    },
    /// What is to be known of somebody cannot be.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Two people of a partition would have the same external id.
    #[error(
        "the external id is that of `{partition}.{class}` already: no two classes of a partition have the same"
    )]
    ExternalIdTaken {
        /// The partition.
        partition: PartitionId,
        /// The class that has it.
        class: ClassId,
    },
    /// A class is said not to be itself.
    #[error("`not_same_as` of `{partition}.{class}` names the class itself")]
    NotItself {
        /// The partition.
        partition: PartitionId,
        /// The class.
        class: ClassId,
    },
    /// A class is to become one with itself, or get its own templates.
    #[error("`{partition}.{class}` cannot be merged with itself: name two classes")]
    MergedWithItself {
        /// The partition.
        partition: PartitionId,
        /// The class.
        class: ClassId,
    },
    /// Two classes are to become one, and somebody has said that they are two people.
    #[error(
        "classes {one} and {other} of `{partition}` are said not to be the same person: take that back (`not_same_as`) before merging them"
    )]
    SaidNotSame {
        /// The partition.
        partition: PartitionId,
        /// One of them.
        one: ClassId,
        /// The other.
        other: ClassId,
    },
    /// A class does not have a template of this number.
    #[error("`{partition}.{class}` has no template {template}: nothing was moved")]
    NoTemplate {
        /// The partition.
        partition: PartitionId,
        /// The class.
        class: ClassId,
        /// The number of the template.
        template: u64,
    },
    /// Nothing would be left of a class, and what is known of the person would go with it.
    #[error(
        "these are all templates of `{partition}.{class}`: merge the class instead of moving them"
    )]
    AllTemplates {
        /// The partition.
        partition: PartitionId,
        /// The class.
        class: ClassId,
    },
    /// Somebody is to be enrolled who is not found any more.
    #[error(
        "the time of `{partition}.{class}` is over: give it another end, or delete it, before anything else"
    )]
    TimeOver {
        /// The partition.
        partition: PartitionId,
        /// The class.
        class: ClassId,
    },
    /// The partition was removed while something was to be done with it.
    #[error("partition `{partition}` was removed meanwhile, with all that was in it")]
    PartitionRemoved {
        /// The partition.
        partition: PartitionId,
    },
    /// All numbers that a partition may choose from are taken.
    #[error("partition `{partition}` has no number left for a new class: name one")]
    NoNumberLeft {
        /// The partition.
        partition: PartitionId,
    },
    /// Another process is making the same snapshot, or restoring into the same directory.
    #[error("another process is writing `{path}`: wait until it is done")]
    Busy {
        /// What it is writing.
        path: PathBuf,
    },
}

impl StoreError {
    /// Whether whoever called can mend it by calling differently; all else is for the operator.
    pub fn is_callers_fault(&self) -> bool {
        matches!(
            self,
            StoreError::Encoder { .. }
                | StoreError::PortraitInPlain
                | StoreError::RowCount { .. }
                | StoreError::TooManyRows { .. }
                | StoreError::NotEnrolled { .. }
                | StoreError::Record(_)
                | StoreError::ExternalIdTaken { .. }
                | StoreError::NotItself { .. }
                | StoreError::MergedWithItself { .. }
                | StoreError::SaidNotSame { .. }
                | StoreError::NoTemplate { .. }
                | StoreError::AllTemplates { .. }
                | StoreError::TimeOver { .. }
                | StoreError::NoNumberLeft { .. }
                | StoreError::PartitionRemoved { .. }
        )
    }

    /// Whether there was no room on the disk for what was to be written, or a limit of the process or
    /// the user was reached.
    pub fn is_no_room(&self) -> bool {
        is_no_room(self)
    }

    /// The error and all that caused it, on one line.
    pub(super) fn with_causes(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }

    pub(super) fn keys(path: &Path, cause: KeyError) -> StoreError {
        StoreError::Keys {
            path: path.to_owned(),
            cause,
        }
    }

    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> StoreError {
        StoreError::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }
}

/// Whether an error comes from a write for which the operating system has no room.
pub(crate) fn is_no_room(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        if matches!(
            kind,
            Some(
                io::ErrorKind::StorageFull
                    | io::ErrorKind::QuotaExceeded
                    | io::ErrorKind::FileTooLarge
            )
        ) {
            return true;
        }
        next = error.source();
    }
    false
}
