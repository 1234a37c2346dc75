//! Which network an embedding came from.

use std::fmt;

use super::embedding::{DIMENSION_MAX, DIMENSION_MIN};

/// Names the network that made an embedding: its name, version and dimension.
///
/// Embeddings of two encoders must never be compared: the numbers mean different things. Every
/// partition is therefore bound to one encoder, and refuses the embeddings of another. The text
/// form is `name@version/dimension`, for example `sface@2021dec/128`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct EncoderId {
    name: String,
    version: String,
    dimension: usize,
}

/// Why something does not name an encoder.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncoderError {
    /// The name or the version has the wrong form.
    #[error(
        "{part} of the encoder is not 1 to {LENGTH_MAX} ASCII letters, digits, `-`, `_` or `.`",
        LENGTH_MAX = EncoderId::LENGTH_MAX
    )]
    Text {
        /// `name` or `version`.
        part: &'static str,
    },
    /// The dimension is out of range.
    #[error("dimension {found} of the encoder is outside {DIMENSION_MIN} to {DIMENSION_MAX}")]
    Dimension {
        /// The dimension that was given.
        found: usize,
    },
}

impl EncoderId {
    /// The most characters in a name or a version.
    pub const LENGTH_MAX: usize = 64;

    /// The encoder called `name` in `version`, which makes `dimension` numbers of a face.
    ///
    /// # Errors
    ///
    /// If the name or version is not 1 to 64 ASCII letters, digits, `-`, `_` or `.`, or if the
    /// dimension is out of range.
    pub fn new(name: &str, version: &str, dimension: usize) -> Result<EncoderId, EncoderError> {
        for (part, text) in [("name", name), ("version", version)] {
            let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            if text.is_empty() || text.len() > EncoderId::LENGTH_MAX || !text.chars().all(allowed) {
                return Err(EncoderError::Text { part });
            }
        }
        if !(DIMENSION_MIN..=DIMENSION_MAX).contains(&dimension) {
            return Err(EncoderError::Dimension { found: dimension });
        }
        Ok(EncoderId { name: name.to_owned(), version: version.to_owned(), dimension })
    }

    /// Reads `name@version`, or `name` alone, which stands for version `1`.
    ///
    /// # Errors
    ///
    /// As [`EncoderId::new`].
    pub fn parse(text: &str, dimension: usize) -> Result<EncoderId, EncoderError> {
        let (name, version) = text.split_once('@').unwrap_or((text, "1"));
        EncoderId::new(name, version, dimension)
    }

    /// The name of the network.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// How many numbers it makes of a face.
    pub fn dimension(&self) -> usize {
        self.dimension
    }
}

impl fmt::Display for EncoderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}/{}", self.name, self.version, self.dimension)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_alone_is_version_one() {
        let encoder = EncoderId::parse("test", 512).unwrap();
        assert_eq!(encoder.to_string(), "test@1/512");
        assert_eq!(EncoderId::parse("sface@2021dec", 128).unwrap().version(), "2021dec");
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "@1", "a@", "a b", "a/b", "a@b@c"] {
            assert!(matches!(EncoderId::parse(text, 128), Err(EncoderError::Text { .. })), "{text}");
        }
        for dimension in [0, 15, 4097] {
            assert!(EncoderId::parse("a", dimension).is_err());
        }
    }
}
