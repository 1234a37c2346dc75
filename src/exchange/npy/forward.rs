//! Where arrays are read from: files, and what is unpacked on the way.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek};

/// Something that is read from front to back, and can leave bytes out.
pub(in crate::exchange) trait Forward: Read + Send {
    /// Passes over bytes.
    fn forward(&mut self, bytes: u64) -> io::Result<()>;

    /// Makes sure that what was read to its end was right.
    fn finish(&mut self) -> io::Result<()>;

    /// The same, to be read in any order from here on, where position 0 is `position` bytes before.
    fn seekable(self: Box<Self>, position: u64) -> io::Result<Box<dyn Seekable>>;
}

/// Something that is read in any order.
pub(in crate::exchange) trait Seekable: Read + Seek + Send {}

impl<T: Read + Seek + Send> Seekable for T {}

impl Forward for BufReader<File> {
    fn forward(&mut self, bytes: u64) -> io::Result<()> {
        let bytes = i64::try_from(bytes).map_err(io::Error::other)?;
        self.seek_relative(bytes)
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn seekable(self: Box<Self>, _: u64) -> io::Result<Box<dyn Seekable>> {
        // Without the buffer, which would be read anew at every place.
        Ok(Box::new(self.into_inner()))
    }
}

impl Forward for Cursor<Vec<u8>> {
    fn forward(&mut self, bytes: u64) -> io::Result<()> {
        self.set_position(self.position().saturating_add(bytes));
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn seekable(self: Box<Self>, _: u64) -> io::Result<Box<dyn Seekable>> {
        Ok(self)
    }
}
