//! Flags of `vultus key`.

use clap::{Args, Subcommand};

use super::parse::whole;
use crate::access::{ApiKeyId, Scope};
use crate::types::StorageName;

/// Manage the keys that programs of the native API show, and the key that signs tokens
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Key {
    Rotate(RotateKey),
    Create(CreateKey),
    List(ListKeys),
    Revoke(RevokeKey),
}

/// Create a key; it is printed this once and cannot be shown again
#[derive(Debug, Args)]
pub(in crate::cli) struct CreateKey {
    /// A name for people
    #[arg(long)]
    pub(in crate::cli) name: String,
    /// What it may be used for, separated by commas: enroll, identify, verify, read, delete,
    /// snapshot, embed, embeddings, scores, confirm, audit, portraits
    #[arg(long, value_name = "SCOPE", value_delimiter = ',', required = true)]
    pub(in crate::cli) scopes: Vec<Scope>,
    #[command(flatten)]
    pub(in crate::cli) reach: KeyReach,
    /// The only partition of that storage that it may be used on [default: all]
    #[arg(
        long,
        requires = "storage",
        conflicts_with = "everything",
        allow_negative_numbers = true,
        value_parser = whole(i32::MIN..=i32::MAX)
    )]
    pub(in crate::cli) partition: Option<i32>,
    /// How many days it is valid [default: until it is revoked]
    #[arg(long, value_name = "DAYS", allow_negative_numbers = true, value_parser = whole(1_u32..))]
    pub(in crate::cli) days: Option<u32>,
    /// Print JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// What a key can be used on.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(in crate::cli) struct KeyReach {
    /// The storage that it may be used on
    #[arg(long)]
    pub(in crate::cli) storage: Option<StorageName>,
    /// It may be used on all storages; the scope snapshot needs this
    #[arg(long)]
    pub(in crate::cli) everything: bool,
}

/// Sign the tokens of the BWS API with a new key from now on
///
/// Tokens that were issued before stay valid until they expire, and apps keep their secrets. A
/// service may run meanwhile: it takes the new key within a few seconds.
#[derive(Debug, Args)]
pub(in crate::cli) struct RotateKey {
    /// Make all tokens that were issued before worthless, since somebody else may know the key
    #[arg(long)]
    pub(in crate::cli) forget: bool,
}

/// List all keys, without their secrets
#[derive(Debug, Args)]
pub(in crate::cli) struct ListKeys {
    /// Print JSON, one key a line
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// Revoke a key; it is refused from then on
#[derive(Debug, Args)]
pub(in crate::cli) struct RevokeKey {
    /// Its id, the 16 digits after `vk_`
    pub(in crate::cli) id: ApiKeyId,
}
