//! Embeddings in files that other programs write.
//!
//! Reading streams: memory does not grow with the file. Bytes are never trusted: a header is
//! compared with the length of its file before anything is allocated, and every row is checked
//! before it leaves this folder.

mod npy;

pub use npy::{ClassFile, EmbeddingFile, ExchangeError};
