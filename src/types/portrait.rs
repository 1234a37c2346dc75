//! A small picture of somebody's face, by which people know whom they see in a list.

use std::fmt;
use std::sync::Arc;

/// A small JPEG of somebody's face. Copies share its bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Portrait(Arc<[u8]>);

/// Some bytes are no portrait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PortraitError {
    /// They do not begin and end as a JPEG does.
    #[error("it is no JPEG")]
    NoJpeg,
    /// There are too many.
    #[error("it has {found} bytes, and a portrait has {most} at most", most = Portrait::BYTES_MAX)]
    TooLong {
        /// How many there are.
        found: usize,
    },
}

impl Portrait {
    /// The most bytes of one. Those that are made here have about 4,000.
    pub const BYTES_MAX: usize = 32 << 10;

    /// Takes a JPEG. Whether it can be decoded is not looked at.
    ///
    /// # Errors
    ///
    /// If it is none, or has more than [`Portrait::BYTES_MAX`] bytes.
    pub fn new(jpeg: &[u8]) -> Result<Portrait, PortraitError> {
        if jpeg.len() > Portrait::BYTES_MAX {
            return Err(PortraitError::TooLong { found: jpeg.len() });
        }
        if !jpeg.starts_with(&[0xff, 0xd8, 0xff]) || !jpeg.ends_with(&[0xff, 0xd9]) {
            return Err(PortraitError::NoJpeg);
        }
        Ok(Portrait(jpeg.into()))
    }

    /// The bytes of the JPEG.
    pub fn jpeg(&self) -> &[u8] {
        &self.0
    }
}

/// It is somebody's face.
impl fmt::Debug for Portrait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Portrait(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_jpegs_are_portraits_and_none_is_shown() {
        let jpeg = |length: usize| {
            let mut bytes = vec![7; length];
            bytes[..3].copy_from_slice(&[0xff, 0xd8, 0xff]);
            bytes[length - 2..].copy_from_slice(&[0xff, 0xd9]);
            bytes
        };
        let good = Portrait::new(&jpeg(Portrait::BYTES_MAX)).unwrap();
        assert_eq!(good.jpeg(), jpeg(Portrait::BYTES_MAX));
        assert_eq!(format!("{good:?}"), "Portrait(hidden)");
        let found = Portrait::BYTES_MAX + 1;
        let refused = Portrait::new(&jpeg(found));
        assert_eq!(refused, Err(PortraitError::TooLong { found }));
        for bytes in [&b""[..], b"\xff\xd8", b"\x89PNG\r\n", &jpeg(20)[..19]] {
            assert_eq!(Portrait::new(bytes), Err(PortraitError::NoJpeg));
        }
    }
}
