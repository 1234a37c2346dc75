//! The pages of a column of a Parquet table, unpacked as far as memory is given for them.
//!
//! The library that reads columns believes what the header of a page says of its size, inflates
//! gzip without any bound, and keeps a page and the values of a row in memory. So it is told that
//! nothing is packed, and pages are unpacked here, where what counts is how many bytes come out.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use parquet::basic::Compression;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::ParquetError;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::serialized_reader::SerializedPageReader;

/// The most bytes of a page, packed or not. Common writers make pages of 1 MB, some of 100 MB.
const PAGE_BYTES_MAX: usize = 1 << 27;
/// The most values, nulls included, that are kept for one piece.
const LEVELS_MAX: usize = 1 << 25;

/// How the pages of a column are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    Not,
    Snappy,
    Gzip,
    Zstd,
}

impl Packing {
    /// `None` if pages that are packed so cannot be read.
    pub(super) fn of(compression: Compression) -> Option<Packing> {
        match compression {
            Compression::UNCOMPRESSED => Some(Packing::Not),
            Compression::SNAPPY => Some(Packing::Snappy),
            Compression::GZIP(_) => Some(Packing::Gzip),
            Compression::ZSTD(_) => Some(Packing::Zstd),
            _ => None,
        }
    }

    /// What `packed` was, and `before` it what was not packed.
    fn unpack(self, before: &[u8], packed: &[u8]) -> Result<Vec<u8>, ParquetError> {
        let mut bytes = before.to_vec();
        // A page without values may have no bytes at all.
        if packed.is_empty() {
            return Ok(bytes);
        }
        match self {
            Packing::Not => bytes.extend(packed),
            Packing::Snappy => {
                let length = snap::raw::decompress_len(packed)?;
                if length > PAGE_BYTES_MAX {
                    return Err(too_long());
                }
                bytes.extend(snap::raw::Decoder::new().decompress_vec(packed)?);
            }
            Packing::Gzip => read_all(MultiGzDecoder::new(packed), &mut bytes)?,
            Packing::Zstd => {
                let decoder = zstd::Decoder::with_buffer(packed)?;
                read_all(decoder, &mut bytes)?;
            }
        }
        Ok(bytes)
    }
}

/// Appends all that `reader` has, unless that is too much.
fn read_all(reader: impl Read, bytes: &mut Vec<u8>) -> Result<(), ParquetError> {
    let most = PAGE_BYTES_MAX as u64 + 1;
    let read = reader.take(most).read_to_end(bytes).map_err(|error| {
        let error = format!("a page cannot be unpacked: {error}");
        ParquetError::External(io::Error::other(error).into())
    })?;
    match read > PAGE_BYTES_MAX {
        true => Err(too_long()),
        false => Ok(()),
    }
}

fn too_long() -> ParquetError {
    ParquetError::General(format!(
        "a page has more than {PAGE_BYTES_MAX} bytes: write it in smaller ones"
    ))
}

/// The file, of which no more than a page is read at once.
pub(super) struct PageFile(pub(super) File);

impl Length for PageFile {
    fn len(&self) -> u64 {
        self.0.len()
    }
}

impl ChunkReader for PageFile {
    type T = BufReader<File>;

    fn get_read(&self, start: u64) -> Result<BufReader<File>, ParquetError> {
        self.0.get_read(start)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let end = start.checked_add(length as u64);
        if end.is_none_or(|end| end > self.0.len()) {
            return Err(ParquetError::EOF(format!(
                "{length} bytes at {start} are past its end"
            )));
        }
        if length > PAGE_BYTES_MAX {
            return Err(too_long());
        }
        self.0.get_bytes(start, length)
    }
}

/// The pages of a column, as long as they do not hold more than is kept at once.
pub(super) struct Pages {
    packed: SerializedPageReader<PageFile>,
    packing: Packing,
    values: Arc<AtomicUsize>,
}

impl Pages {
    /// Of a column of a group of so many rows. `values` counts those that were read, nulls
    /// included, since somebody last put it back to zero.
    pub(super) fn open(
        file: Arc<PageFile>,
        column: &ColumnChunkMetaData,
        packing: Packing,
        rows: usize,
        values: Arc<AtomicUsize>,
    ) -> Result<Pages, ParquetError> {
        let column = column.clone().into_builder();
        let column = column.set_compression(Compression::UNCOMPRESSED).build()?;
        Ok(Pages {
            packed: SerializedPageReader::new(file, &column, rows, None)?,
            packing,
            values,
        })
    }

    fn unpack(&self, page: &mut Page) -> Result<(), ParquetError> {
        let (buffer, before) = match page {
            Page::DataPage { buf, .. } | Page::DictionaryPage { buf, .. } => (buf, 0),
            Page::DataPageV2 {
                is_compressed: false,
                ..
            } => return Ok(()),
            // Of these the levels are never packed.
            Page::DataPageV2 {
                buf,
                def_levels_byte_len,
                rep_levels_byte_len,
                ..
            } => (
                buf,
                *def_levels_byte_len as usize + *rep_levels_byte_len as usize,
            ),
        };
        if self.packing != Packing::Not {
            let (before, packed) = buffer.split_at_checked(before).ok_or_else(|| {
                ParquetError::General("a page is shorter than its levels".to_owned())
            })?;
            *buffer = self.packing.unpack(before, packed)?.into();
        }
        Ok(())
    }
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> Result<Option<Page>, ParquetError> {
        let Some(mut page) = self.packed.get_next_page()? else {
            return Ok(None);
        };
        let count = page.num_values() as usize;
        let before = self.values.fetch_add(count, Ordering::Relaxed);
        if before.saturating_add(count) > LEVELS_MAX {
            return Err(ParquetError::General(format!(
                "some rows have more than {LEVELS_MAX} values together"
            )));
        }
        self.unpack(&mut page)?;
        Ok(Some(page))
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>, ParquetError> {
        self.packed.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<(), ParquetError> {
        self.packed.skip_next_page()
    }

    fn at_record_boundary(&mut self) -> Result<bool, ParquetError> {
        self.packed.at_record_boundary()
    }
}

impl Iterator for Pages {
    type Item = Result<Page, ParquetError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::write::GzEncoder;

    use super::*;

    const TEXT: &[u8] = b"a page, a page, a page, a page, a page, a page";

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn packed(packing: Packing, bytes: &[u8]) -> Vec<u8> {
        match packing {
            Packing::Not => bytes.to_vec(),
            Packing::Snappy => snap::raw::Encoder::new().compress_vec(bytes).unwrap(),
            Packing::Gzip => gzip(bytes),
            Packing::Zstd => zstd::encode_all(bytes, 1).unwrap(),
        }
    }

    fn fault(packing: Packing, packed: &[u8]) -> String {
        packing.unpack(b"", packed).unwrap_err().to_string()
    }

    #[test]
    fn what_was_packed_comes_out_behind_what_was_not() {
        for packing in [Packing::Not, Packing::Snappy, Packing::Gzip, Packing::Zstd] {
            let packed = packed(packing, TEXT);
            let found = packing.unpack(b"levels", &packed).unwrap();
            assert_eq!(found, [b"levels", TEXT].concat(), "{packing:?}");
            assert_eq!(packing.unpack(b"levels", b"").unwrap(), b"levels");
        }
    }

    #[test]
    fn what_is_cut_or_something_else_is_refused() {
        for packing in [Packing::Snappy, Packing::Gzip, Packing::Zstd] {
            let whole = packed(packing, TEXT);
            for length in 1..whole.len() {
                fault(packing, &whole[..length]);
            }
            fault(packing, &[0xff; 40]);
        }
        assert!(fault(Packing::Zstd, &packed(Packing::Zstd, TEXT)[..12]).contains("unpacked"));
        assert!(fault(Packing::Gzip, &packed(Packing::Gzip, TEXT)[..12]).contains("unpacked"));
    }

    #[test]
    fn no_more_comes_out_than_a_page_may_have() {
        let mebibyte = vec![0; 1 << 20];
        let mut bomb = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        for _ in 0..=PAGE_BYTES_MAX >> 20 {
            bomb.write_all(&mebibyte).unwrap();
        }
        let bomb = bomb.finish().unwrap();
        assert!(bomb.len() < 1 << 20);
        assert!(fault(Packing::Gzip, &bomb).contains("more than 134217728"));
        // Frames one behind the other count together.
        let frame = zstd::encode_all(&*mebibyte, 1).unwrap();
        let bomb = frame.repeat((PAGE_BYTES_MAX >> 20) + 1);
        assert!(fault(Packing::Zstd, &bomb).contains("more than 134217728"));
        // A length of 2^32 - 1.
        let huge = [0xff, 0xff, 0xff, 0xff, 0x0f, 0];
        assert!(fault(Packing::Snappy, &huge).contains("more than 134217728"));
    }

    #[test]
    fn a_frame_that_claims_gigabytes_takes_no_memory_for_them() {
        // The magic number, a single segment with a length of eight bytes, 2^40, and a raw block of
        // one byte.
        let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0xe0];
        frame.extend((1_u64 << 40).to_le_bytes());
        frame.extend([0x09, 0x00, 0x00, b'a']);
        assert!(fault(Packing::Zstd, &frame).contains("unpacked"));
    }

    #[test]
    fn a_page_that_is_larger_than_allowed_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        let file = File::create_new(&path).unwrap();
        file.set_len(2 * PAGE_BYTES_MAX as u64).unwrap();
        let file = PageFile(File::open(&path).unwrap());
        assert_eq!(file.get_bytes(5, 10).unwrap().len(), 10);
        let error = file.get_bytes(0, PAGE_BYTES_MAX + 1).unwrap_err();
        assert!(error.to_string().contains("more than 134217728"), "{error}");
        let error = file.get_bytes(u64::MAX, 10).unwrap_err();
        assert!(error.to_string().contains("past its end"), "{error}");
    }
}
