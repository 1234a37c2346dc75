//! Embeddings in files that other programs write, and galleries and answers in files that other
//! programs read.
//!
//! Reading and writing stream: memory does not grow with the file. Bytes are never trusted: a
//! header is compared with the length of its file before anything is allocated, and every row is
//! checked before it leaves this folder. What is written appears under its name when it is whole,
//! never before.

mod answers;
mod draft;
mod error;
mod export;
mod format;
mod job;
mod npy;
mod pairs;
mod probes;
mod refused;
mod report;
#[cfg(any(feature = "npz", feature = "parquet"))]
mod rows;
mod source;
#[cfg(feature = "parquet")]
mod table;

pub use answers::{AnswerFile, Existing, write_json_answer, write_json_answer_of};
pub use error::ExchangeError;
pub use export::{FaceFile, FaceRow, GalleryFormat, Visit, write_gallery};
pub use job::Job;
pub use npy::npy_matrix;
pub use pairs::{PairFile, write_json_pair};
pub use probes::{EmbeddingFile, IdKind};
pub use refused::RefusedFile;
pub use report::ReportBegun;
pub use source::{
    Duplicate, ItemId, Length, Line, LineReader, Piece, Record, Refused, RefusedItem, Source,
    SourceOptions, Told, class_of_text, file_facts, open_source, open_source_with,
};
