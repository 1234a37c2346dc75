//! Flags of `vultus audit`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::parse::whole;
use crate::audit::PublicKey;
use crate::types::{ClassId, PartitionId};

/// Look at who did what with whom, as a service wrote it down
///
/// A service does so if the setting audit is `on` or `strict`, into the folder audit of the data
/// directory. These verbs read it, also while the service runs.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Audit {
    Verify(VerifyAudit),
    VerifyReceipt(VerifyReceipt),
    List(ListAudit),
    Export(ExportAudit),
}

/// Say whether the log is what was written: nothing changed, removed, added or put back
///
/// Each line has the digest of the line before it, and all of them are signed. The catalog remembers
/// how far the log was, within a minute. Who wrote the end down elsewhere gives it by --head, and sees
/// whether the log still has it.
///
/// The exit code is 0 if all is well, 1 if something is damaged, 2 if the key of the service or what
/// the catalog remembers cannot be read, unless --public-key and --head are given.
#[derive(Debug, Args)]
pub(in crate::cli) struct VerifyAudit {
    /// An end that was printed before, NUMBER:DIGEST; may be given more than once
    #[arg(long, value_name = "HEAD")]
    pub(in crate::cli) head: Vec<String>,
    /// The key that signed it [default: that which follows from server.key, if it is there]
    #[arg(long, value_name = "KEY")]
    pub(in crate::cli) public_key: Option<PublicKey>,
    /// Print JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// Say whether a receipt of a removal is what a service signed
///
/// The file has a receipt as `GET /v1/receipts/ID` answers it. No data directory is needed.
///
/// The exit code is 0 if it is good and what was stored is overwritten, 1 if not.
#[derive(Debug, Args)]
pub(in crate::cli) struct VerifyReceipt {
    /// The file
    #[arg(value_name = "FILE")]
    pub(in crate::cli) file: PathBuf,
    /// The key that signed it [default: that which follows from server.key, if it is there]
    #[arg(long, value_name = "KEY")]
    pub(in crate::cli) public_key: Option<PublicKey>,
    /// Print JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// List the last records, the oldest first
///
/// The exit code is 1 if the log is damaged.
#[derive(Debug, Args)]
pub(in crate::cli) struct ListAudit {
    /// How many
    #[arg(long, value_name = "N", default_value_t = 50, allow_negative_numbers = true, value_parser = whole(1_usize..))]
    pub(in crate::cli) last: usize,
    /// Of this gallery alone, such as bws.1
    #[arg(long, value_name = "STORAGE.PARTITION")]
    pub(in crate::cli) partition: Option<PartitionId>,
    /// About this person alone: enrolled, changed, verified, or among the candidates
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(in crate::cli) class: Option<ClassId>,
    /// Print JSON, one record a line
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// Print all records
///
/// The exit code is 1 if the log is damaged: all that can be read is printed all the same.
#[derive(Debug, Args)]
pub(in crate::cli) struct ExportAudit {
    /// How: each line as it stands in the log, or a table
    #[arg(long, value_enum, default_value_t = AuditFormat::Jsonl)]
    pub(in crate::cli) format: AuditFormat,
}

/// How records are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::cli) enum AuditFormat {
    /// JSON, one record a line, with the signatures.
    Jsonl,
    /// A table for spreadsheets, without the signatures.
    Csv,
}
