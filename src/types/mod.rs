//! The words everyone shares: who ([`Bcid`]), what ([`Embedding`], made by an [`EncoderId`]), how
//! alike ([`Match`], [`Pair`]), what is known of them ([`Record`]), why
//! they were removed ([`RemovalReason`]), what they look like ([`Portrait`]), which way a head turns
//! ([`Direction`]), and when ([`Clock`]).
//!
//! Values of these types are valid by construction: text and bytes from outside are checked once,
//! here, and nothing further in asks again. Nothing here reads a file, a socket or the time of day
//! except [`Clock::System`].

mod bcid;
mod clock;
mod direction;
mod embedding;
mod encoder;
mod matches;
mod pair;
mod portrait;
mod record;
mod removal_reason;
mod rounded;

pub use bcid::{Bcid, ClassId, ParseBcidError, PartitionId, StorageName};
pub use clock::{Clock, Timestamp};
pub use direction::{Direction, ParseDirectionError};
pub use embedding::{DIMENSION_MAX, DIMENSION_MIN, Embedding, EmbeddingError};
pub use encoder::{EncoderError, EncoderId};
pub use matches::Match;
pub use pair::Pair;
pub use portrait::{Portrait, PortraitError};
pub use record::{
    ClassThreshold, ExternalId, Label, Labels, LabelsChange, NOT_SAME_MAX, NotSameAs, NoteText,
    PersonName, Record, RecordChange, RecordError,
};
pub use removal_reason::RemovalReason;
// Only numbers that come in as text are read so.
pub(crate) use rounded::Rounded;
// Only names that come in from outside are looked at for it.
pub(crate) use record::{StoredRecord, folded};
#[cfg(feature = "web")]
pub(crate) use record::{is_direction, is_ignorable, is_seen};
