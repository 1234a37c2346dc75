//! Reading a sealed segment: through a memory map, or decrypted block by block into memory of its own.

use std::fs::File;
use std::io::{self, Read};
use std::num::NonZeroU64;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytemuck::Pod;

use super::dead::DeadRows;
use super::format::{BLOCK_BYTES, Header, PAGE_BYTES, Plane, TemplateInfo, Unchecked, checksum};
use super::map::{Map, Place};
#[cfg(test)]
use super::rows::Rows;
use super::seal::{Owner, Seal, SegmentCipher};
use crate::code::{Layout, RowBlock};
use crate::partition::StoreError;
use crate::partition::disk::{Disk, DiskFile};
use crate::partition::pace::Pace;
use crate::secrets::{DataKey, KeyError, TAG_BYTES, Tag};
use crate::types::ClassId;

/// A sealed segment: rows that never change.
///
/// Opening reads the header and the table of checksums only. Every block of 64 KiB is compared with
/// its checksum the first time it is used after that, so that a damaged row is an error and never a
/// wrong answer.
#[derive(Debug)]
pub(in crate::partition) struct Segment {
    path: PathBuf,
    map: Map,
    header: Header,
    /// One bit for each block: whether its checksum was right.
    verified: Vec<AtomicU64>,
    /// Of an encrypted segment, whose blocks are not read where they are mapped.
    decrypted: Option<Decrypted>,
}

/// Where the blocks of an encrypted segment are when they were read.
#[derive(Debug)]
struct Decrypted {
    cipher: SegmentCipher,
    place: Place,
    /// How much of the mapped file was seen so far.
    seen_bytes: AtomicUsize,
}

/// What is seen of the file of an encrypted segment before the memory is given back in which it is
/// seen, and which nobody needs any more once it is decrypted.
const RELEASED_TOGETHER_BYTES: usize = 4 << 20;

/// A segment as the catalog names it.
#[derive(Clone, Copy, Debug)]
pub(in crate::partition) struct Named<'a> {
    pub(in crate::partition) segment: u64,
    pub(in crate::partition) partition: u64,
    pub(in crate::partition) header_checksum: u64,
    /// Of an encrypted segment; `None` also where that is not known.
    pub(in crate::partition) seal: Option<Seal>,
    /// The key of its gallery, if it has one.
    pub(in crate::partition) key: Option<&'a DataKey>,
}

/// The name of a segment until the catalog names it.
pub(in crate::partition) fn draft_of(path: &Path) -> PathBuf {
    path.with_extension("vseg.new")
}

/// Opens a segment that the catalog names. It gets its own name just after that, so that it may have
/// either, and the one or the other just before or after it is asked for.
pub(in crate::partition) fn open_segment_file(
    path: &Path,
    open: impl Fn(&Path) -> io::Result<File>,
) -> io::Result<File> {
    let is_missing = |opened: &io::Result<File>| {
        let error = opened.as_ref().err();
        error.is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
    };
    let named = open(path);
    if !is_missing(&named) {
        return named;
    }
    let draft = open(&draft_of(path));
    if is_missing(&draft) {
        open(path)
    } else {
        draft
    }
}

/// The header of a file, if it is that of a segment and the file is as long as it says.
///
/// # Errors
///
/// If it is none, is newer than this build, or cannot be read.
pub(in crate::partition) fn read_header(path: &Path, file: &File) -> Result<Header, StoreError> {
    let failed = |error| StoreError::io("read", path, error);
    let mut page = [0; PAGE_BYTES];
    file.read_exact_at(&mut page, 0).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    Unchecked::parse(path, &page)?.check(path, length)
}

/// Whether a file is another segment than the one whose header has this checksum, as far as that can be
/// told: by a header that agrees with itself. Of a damaged one it cannot.
pub(in crate::partition) fn is_another_segment(
    path: &Path,
    file: &File,
    header_checksum: u64,
) -> bool {
    let mut page = [0; PAGE_BYTES];
    let read = file.read_exact_at(&mut page, 0);
    let header = read.ok().and_then(|()| Unchecked::parse(path, &page).ok());
    header.is_some_and(|header| header.header_checksum() != header_checksum)
}

impl Segment {
    /// Opens the segment that the catalog names. It may still be under the name of its draft.
    pub(in crate::partition) fn open(
        disk: &dyn Disk,
        path: &Path,
        named: Named<'_>,
    ) -> Result<Segment, StoreError> {
        let file = open_segment_file(path, |path| disk.open(path));
        let mut file = file.map_err(|error| StoreError::io("open", path, error))?;
        let metadata = file
            .metadata()
            .map_err(|error| StoreError::io("read", path, error))?;
        let damaged = |offset: usize, what, expected: String, found: String| StoreError::Damaged {
            path: path.to_owned(),
            offset: offset as u64,
            what,
            expected,
            found,
        };
        if metadata.len() < PAGE_BYTES as u64 {
            let expected = format!("at least {PAGE_BYTES}");
            let found = metadata.len().to_string();
            return Err(damaged(0, "length of the file in bytes", expected, found));
        }
        let mut page = [0; PAGE_BYTES];
        file.read_exact(&mut page)
            .map_err(|error| StoreError::io("read", path, error))?;
        let header = Unchecked::parse(path, &page)?.check(path, metadata.len())?;
        let identity = [
            ("segment number", header.segment, named.segment),
            ("partition number", header.partition, named.partition),
            (
                "header that the catalog names",
                header.header_checksum,
                named.header_checksum,
            ),
        ];
        for (what, found, expected) in identity {
            if found != expected {
                return Err(damaged(
                    0,
                    what,
                    format!("{expected:x}"),
                    format!("{found:x}"),
                ));
            }
        }
        let cipher = cipher_of(path, &page, &header, &named)?;
        let map = Map::new(&file).map_err(|error| StoreError::io("map", path, error))?;
        // The file may have been cut since its length was asked for.
        if map.len() as u64 != metadata.len() {
            let (expected, found) = (metadata.len().to_string(), map.len().to_string());
            return Err(damaged(
                map.len(),
                "length of the file in bytes",
                expected,
                found,
            ));
        }
        let (table, tags) = (header.plan.table.clone(), header.plan.tags.clone());
        let mut tables = vec![(
            "checksum of the checksum table",
            table,
            header.table_checksum,
        )];
        if header.seal.is_some() {
            tables.push(("checksum of the tags", tags, header.tags_checksum));
        }
        for (what, range, expected) in tables {
            let found = checksum(&map[range.clone()]);
            if found != expected {
                let (expected, found) = (format!("{expected:016x}"), format!("{found:016x}"));
                return Err(damaged(range.start, what, expected, found));
            }
        }
        let reserve = |cipher| {
            let place = Place::reserve(header.plan.clone())?;
            let seen_bytes = AtomicUsize::new(0);
            Ok(Decrypted {
                cipher,
                place,
                seen_bytes,
            })
        };
        let decrypted = cipher.map(reserve).transpose();
        let decrypted = decrypted.map_err(|error| StoreError::io("make room for", path, error))?;
        let verified = (0..header.plan.blocks().div_ceil(64))
            .map(|_| AtomicU64::new(0))
            .collect();
        Ok(Segment {
            path: path.to_owned(),
            map,
            header,
            verified,
            decrypted,
        })
    }

    /// Lets the system take back the memory in which the file is seen.
    pub(in crate::partition) fn release(&self) {
        self.map.release();
    }

    /// Whether it is encrypted, and this is the key of its partition.
    pub(in crate::partition) fn is_sealed_with(&self, key: &DataKey) -> bool {
        let named = Named {
            segment: self.header.segment,
            partition: self.header.partition,
            header_checksum: self.header.header_checksum,
            seal: self.header.seal,
            key: Some(key),
        };
        let page = self.map.first_chunk::<PAGE_BYTES>();
        let cipher = page.map(|page| cipher_of(&self.path, page, &self.header, &named));
        cipher.is_some_and(|cipher| matches!(cipher, Ok(Some(_))))
    }

    /// Whether it is encrypted.
    pub(in crate::partition) fn is_encrypted(&self) -> bool {
        self.decrypted.is_some()
    }

    /// How many rows there are, removed ones included.
    pub(in crate::partition) fn rows(&self) -> usize {
        self.header.rows
    }

    /// The encoder as the header names it.
    pub(in crate::partition) fn encoder(&self) -> &str {
        &self.header.encoder
    }

    /// The identity of the data directory that it was written in, where it is known.
    pub(in crate::partition) fn identity(&self) -> Option<NonZeroU64> {
        self.header.identity
    }

    /// The checksum of the header, by which segments can be told apart.
    pub(in crate::partition) fn header_checksum(&self) -> u64 {
        self.header.header_checksum
    }

    /// The length of the file.
    pub(in crate::partition) fn bytes(&self) -> u64 {
        self.map.len() as u64
    }

    /// What a scan reads of some rows.
    pub(in crate::partition) fn block(
        &self,
        rows: Range<usize>,
    ) -> Result<RowBlock<'_>, StoreError> {
        Ok(RowBlock {
            layout: self.header.layout,
            high: self.slice(Plane::High, rows.clone())?,
            low: self.slice(Plane::Low, rows.clone())?,
            scales: self.slice(Plane::Scales, rows.clone())?,
            residuals_coarse: self.slice(Plane::ResidualsCoarse, rows.clone())?,
            residuals_fine: self.slice(Plane::ResidualsFine, rows)?,
        })
    }

    /// Everything that is stored of some rows.
    #[cfg(test)]
    pub(in crate::partition) fn stored(&self, rows: Range<usize>) -> Result<Rows<'_>, StoreError> {
        Ok(Rows {
            codes: self.block(rows.clone())?,
            lengths: self.slice(Plane::Lengths, rows.clone())?,
            classes: self.slice(Plane::Classes, rows.clone())?,
            infos: self.slice(Plane::Infos, rows.clone())?,
            values: self.slice(Plane::Values, rows)?,
        })
    }

    pub(in crate::partition) fn values(&self, row: usize) -> Result<&[f32], StoreError> {
        let padded: &[f32] = self.slice(Plane::Values, row..row + 1)?;
        Ok(&padded[..self.header.layout.dimension()])
    }

    #[inline]
    pub(in crate::partition) fn length(&self, row: usize) -> Result<f64, StoreError> {
        Ok(self.slice::<f64>(Plane::Lengths, row..row + 1)?[0])
    }

    #[inline]
    pub(in crate::partition) fn class(&self, row: usize) -> Result<ClassId, StoreError> {
        Ok(ClassId(self.classes(row..row + 1)?[0]))
    }

    pub(in crate::partition) fn classes(&self, rows: Range<usize>) -> Result<&[i64], StoreError> {
        self.slice(Plane::Classes, rows)
    }

    pub(in crate::partition) fn layout(&self) -> Layout {
        self.header.layout
    }

    pub(in crate::partition) fn infos(
        &self,
        rows: Range<usize>,
    ) -> Result<&[TemplateInfo], StoreError> {
        self.slice(Plane::Infos, rows)
    }

    pub(in crate::partition) fn info(&self, row: usize) -> Result<TemplateInfo, StoreError> {
        Ok(self.slice::<TemplateInfo>(Plane::Infos, row..row + 1)?[0])
    }

    /// The rows of a class, rising; a binary search in the class order.
    pub(in crate::partition) fn rows_of(&self, class: ClassId) -> Result<Vec<usize>, StoreError> {
        let (mut low, mut high) = (0, self.rows());
        while low < high {
            let middle = low.midpoint(high);
            if self.class_in_order(middle)?.1 < class {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let mut rows = Vec::new();
        while low < self.rows() {
            let (row, found) = self.class_in_order(low)?;
            if found != class {
                break;
            }
            rows.push(row);
            low += 1;
        }
        Ok(rows)
    }

    /// Reads the whole file again, not through the memory map, and compares every block with its
    /// checksum. Tells `damaged` what is not as it was written, and returns how many bytes were
    /// read.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or the work is to stop.
    pub(in crate::partition) fn verify(
        &self,
        disk: &dyn Disk,
        pace: &Pace,
        mut damaged: impl FnMut(StoreError),
    ) -> Result<u64, StoreError> {
        let file = self.reopen(disk)?;
        let mut total = 0;
        for block in 0..self.blocks() {
            let (bytes, compared) = self.verify_block(&file, block)?;
            compared.unwrap_or_else(&mut damaged);
            total += bytes as u64;
            pace.spend(bytes)?;
        }
        Ok(total)
    }

    /// The file, to be read not through the memory map.
    pub(in crate::partition) fn reopen(&self, disk: &dyn Disk) -> Result<File, StoreError> {
        let opened = open_segment_file(&self.path, |path| disk.open(path));
        opened.map_err(|error| StoreError::io("read", &self.path, error))
    }

    /// How many blocks there are in all planes.
    pub(in crate::partition) fn blocks(&self) -> usize {
        self.header.plan.blocks()
    }

    /// Reads one block from [`Segment::reopen`]'s file. Returns its length, and whether it is as it
    /// was written.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    ///
    /// # Panics
    ///
    /// Panics if there is no such block.
    pub(in crate::partition) fn verify_block(
        &self,
        file: &File,
        block: usize,
    ) -> Result<(usize, Result<(), StoreError>), StoreError> {
        assert!(block < self.blocks(), "block {block} is past the end");
        let first_block = |plane: &Plane| self.header.plan.plane(*plane).first_block;
        let mut planes = Plane::ALL.into_iter().rev();
        let plane = planes.find(|plane| first_block(plane) <= block);
        let plane = plane.expect("the first plane begins with the first block");
        let at = block - first_block(&plane);
        let range = self.block_range(plane, at);
        let mut buffer = [0; BLOCK_BYTES];
        let bytes = &mut buffer[..range.len()];
        let read = file.read_exact_at(bytes, range.start as u64);
        read.map_err(|error| StoreError::io("read", &self.path, error))?;
        let compared = self.compare(plane, at, bytes);
        let compared = match &self.decrypted {
            // What was decrypted before is not in this buffer, and stays where it is.
            Some(decrypted) => compared.and_then(|()| self.decrypt(decrypted, plane, at, bytes)),
            None => compared,
        };
        if compared.is_ok() && self.decrypted.is_none() {
            self.mark_verified(block);
        }
        Ok((range.len(), compared))
    }

    /// Reads a block from [`Segment::reopen`]'s file to the beginning of `bytes`, compares it with its
    /// checksum, and decrypts it, if it is encrypted.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or is not as it was written. Nothing that `bytes` holds then means
    /// anything.
    ///
    /// # Panics
    ///
    /// Panics if `bytes` are fewer than those of the block.
    pub(super) fn read_block(
        &self,
        file: &File,
        plane: Plane,
        block: usize,
        bytes: &mut [u8],
    ) -> Result<(), StoreError> {
        let range = self.block_range(plane, block);
        let bytes = &mut bytes[..range.len()];
        let read = file.read_exact_at(bytes, range.start as u64);
        read.map_err(|error| StoreError::io("read", &self.path, error))?;
        match &self.decrypted {
            Some(decrypted) => self.decrypt(decrypted, plane, block, bytes),
            None => self.compare(plane, block, bytes),
        }
    }

    /// Writes zeros over every block that says something of one of these rows. Only for a file that
    /// nobody reads any more.
    pub(in crate::partition) fn overwrite(
        &self,
        rows: &DeadRows,
        file: &dyn DiskFile,
    ) -> io::Result<()> {
        let zeros = [0; BLOCK_BYTES];
        // The class order holds row numbers alone, and not by row.
        for plane in Plane::ALL
            .into_iter()
            .filter(|plane| *plane != Plane::ClassOrder)
        {
            let row_bytes = plane.row_bytes(self.header.layout);
            let mut next_block = 0;
            for row in rows.rows() {
                let last_block = ((row + 1) * row_bytes - 1) / BLOCK_BYTES;
                for block in next_block.max(row * row_bytes / BLOCK_BYTES)..=last_block {
                    let range = self.block_range(plane, block);
                    file.write_at(&zeros[..range.len()], range.start as u64)?;
                }
                next_block = last_block + 1;
            }
        }
        Ok(())
    }

    /// Takes back that a block was found whole: it is verified again when it is next used. What was
    /// decrypted is in memory of this process alone, and stays as good as it was.
    pub(in crate::partition) fn doubt(&self) {
        self.verified
            .iter()
            .for_each(|bits| bits.store(0, Ordering::Relaxed));
    }

    fn class_in_order(&self, at: usize) -> Result<(usize, ClassId), StoreError> {
        let row = self.slice::<u32>(Plane::ClassOrder, at..at + 1)?[0] as usize;
        if row >= self.rows() {
            // The checksum was right, so a faulty writer made it; still no reason to panic.
            let entry = self.header.plan.plane(Plane::ClassOrder);
            return Err(StoreError::Damaged {
                path: self.path.clone(),
                offset: (entry.offset + at * size_of::<u32>()) as u64,
                what: "row number in the class order",
                expected: format!("less than {}", self.rows()),
                found: row.to_string(),
            });
        }
        Ok((row, self.class(row)?))
    }

    /// The part of a plane that belongs to some rows, verified.
    ///
    /// # Panics
    ///
    /// Panics if a row is past the end.
    fn slice<T: Pod>(&self, plane: Plane, rows: Range<usize>) -> Result<&[T], StoreError> {
        assert!(
            rows.end <= self.rows(),
            "row {} is past the end of its segment",
            rows.end
        );
        let row_bytes = plane.row_bytes(self.header.layout);
        let range = rows.start * row_bytes..rows.end * row_bytes;
        self.verify_range(plane, range.clone())?;
        if let Some(Decrypted { place, .. }) = &self.decrypted {
            return Ok(bytemuck::cast_slice(place.bytes(plane, range)));
        }
        let offset = self.header.plan.plane(plane).offset;
        // Planes start on pages and the map itself does, so that every row is aligned.
        Ok(bytemuck::cast_slice(
            &self.map[offset + range.start..offset + range.end],
        ))
    }

    fn verify_range(&self, plane: Plane, range: Range<usize>) -> Result<(), StoreError> {
        if range.is_empty() {
            return Ok(());
        }
        let first_block = self.header.plan.plane(plane).first_block;
        for block in range.start / BLOCK_BYTES..=(range.end - 1) / BLOCK_BYTES {
            if let Some(decrypted) = &self.decrypted {
                self.fill(decrypted, plane, block)?;
                continue;
            }
            let bit = first_block + block;
            // Relaxed is enough: the bit guards nothing but the work of verifying again.
            let verified = self.verified[bit / 64].load(Ordering::Relaxed) >> (bit % 64) & 1 == 1;
            if !verified {
                self.compare(plane, block, &self.map[self.block_range(plane, block)])?;
                self.mark_verified(bit);
            }
        }
        Ok(())
    }

    /// Decrypts a block into its place, unless that was done before.
    fn fill(&self, decrypted: &Decrypted, plane: Plane, block: usize) -> Result<(), StoreError> {
        decrypted.place.fill(plane, block, |bytes| {
            let range = self.block_range(plane, block);
            bytes.copy_from_slice(&self.map[range.clone()]);
            // The system may have mapped a page of 2 MB, which to release in part would split, and
            // every release interrupts the other processors.
            let seen = decrypted
                .seen_bytes
                .fetch_add(range.len(), Ordering::Relaxed);
            if seen / RELEASED_TOGETHER_BYTES != (seen + range.len()) / RELEASED_TOGETHER_BYTES {
                self.map.release();
            }
            self.decrypt(decrypted, plane, block, bytes)
        })
    }

    /// Decrypts the bytes of a block, if they are what was sealed.
    fn decrypt(
        &self,
        decrypted: &Decrypted,
        plane: Plane,
        block: usize,
        bytes: &mut [u8],
    ) -> Result<(), StoreError> {
        let number = self.header.plan.plane(plane).first_block + block;
        let at = self.header.plan.tags.start + number * TAG_BYTES;
        let tag: Tag = bytemuck::pod_read_unaligned(&self.map[at..at + TAG_BYTES]);
        let opened = decrypted.cipher.open(plane as u32, number, &tag, bytes);
        opened.map_err(|_| StoreError::Damaged {
            path: self.path.clone(),
            offset: self.block_range(plane, block).start as u64,
            what: plane.name(),
            expected: "what was sealed with the key of the gallery".to_owned(),
            found: "other bytes".to_owned(),
        })
    }

    fn mark_verified(&self, block: usize) {
        self.verified[block / 64].fetch_or(1 << (block % 64), Ordering::Relaxed);
    }

    /// Where a block of a plane lies in the file.
    pub(super) fn block_range(&self, plane: Plane, block: usize) -> Range<usize> {
        self.header.plan.block(plane, block)
    }

    /// Compares the bytes of a block with its checksum.
    fn compare(&self, plane: Plane, block: usize, bytes: &[u8]) -> Result<(), StoreError> {
        let found = checksum(bytes);
        let first_block = self.header.plan.plane(plane).first_block;
        let at = self.header.plan.table.start + (first_block + block) * size_of::<u64>();
        let expected: u64 = bytemuck::pod_read_unaligned(&self.map[at..at + size_of::<u64>()]);
        if found != expected {
            return Err(StoreError::Damaged {
                path: self.path.clone(),
                offset: self.block_range(plane, block).start as u64,
                what: plane.name(),
                expected: format!("checksum {expected:016x}"),
                found: format!("{found:016x}"),
            });
        }
        Ok(())
    }
}

/// The cipher of an encrypted segment, once its header is authenticated; `None` for one that anybody
/// can read, if the catalog says no more of it.
fn cipher_of(
    path: &Path,
    page: &[u8; PAGE_BYTES],
    header: &Header,
    named: &Named<'_>,
) -> Result<Option<SegmentCipher>, StoreError> {
    let refused = |error| StoreError::keys(path, error);
    let Some(seal) = header.seal else {
        return match named.seal {
            Some(_) => Err(refused(KeyError::NotEncrypted)),
            None => Ok(None),
        };
    };
    let key = named.key.ok_or_else(|| refused(KeyError::NoMasterKey))?;
    let owner = Owner {
        identity: header.identity.map_or(0, NonZeroU64::get),
        partition: header.partition,
        segment: header.segment,
    };
    let cipher = SegmentCipher::new(key, &seal.salt, owner);
    let associated = Unchecked::parse(path, page)?.associated();
    let is_sealed = cipher.check_header(&associated, &seal.tag).is_ok();
    if !is_sealed || named.seal.is_some_and(|named| named != seal) {
        let what = "the header of a segment".to_owned();
        return Err(refused(KeyError::Forged { what }));
    }
    Ok(Some(cipher))
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs;
    use std::sync::Arc;

    use super::*;
    use crate::partition::disk::RealDisk;
    use crate::partition::segment::write::{Finished, SegmentName, SegmentWriter};
    use crate::partition::tail::TailBlock;
    use crate::types::{EncoderId, Timestamp};

    fn write(path: &Path, classes: &[i64]) -> u64 {
        write_with(path, classes, None).header_checksum
    }

    pub(in crate::partition::segment) fn write_with(
        path: &Path,
        classes: &[i64],
        key: Option<&DataKey>,
    ) -> Finished {
        let name = SegmentName {
            segment: 7,
            partition: 3,
            name: String::new(),
            identity: 0,
            encoder: EncoderId::new("test", "1", 24).unwrap(),
            created: Timestamp {
                unix_milliseconds: 1_000,
            },
        };
        let mut writer =
            SegmentWriter::create(Arc::new(RealDisk), path, name, classes.len(), key).unwrap();
        for (row, &class) in classes.iter().enumerate() {
            let mut rows = TailBlock::new(24);
            let values: Vec<f32> = (0..24).map(|at| (row * 24 + at) as f32 - 30.5).collect();
            let info = TemplateInfo {
                template: row as u64,
                enrolled_unix_milliseconds: -5,
                quality: 0.5,
                reserved: 0,
            };
            rows.push(ClassId(class), info, &values);
            writer.append(&rows.stored(0..1)).unwrap();
        }
        writer.finish().unwrap()
    }

    fn open(path: &Path, checksum: u64) -> Result<Segment, StoreError> {
        open_as(path, 7, 3, checksum)
    }

    fn open_as(
        path: &Path,
        segment: u64,
        partition: u64,
        header_checksum: u64,
    ) -> Result<Segment, StoreError> {
        let named = Named {
            segment,
            partition,
            header_checksum,
            seal: None,
            key: None,
        };
        Segment::open(&RealDisk, path, named)
    }

    pub(in crate::partition::segment) fn open_sealed(
        path: &Path,
        named: Finished,
        key: &DataKey,
    ) -> Result<Segment, StoreError> {
        open_with(path, named, Some(key))
    }

    pub(in crate::partition::segment) fn open_with(
        path: &Path,
        named: Finished,
        key: Option<&DataKey>,
    ) -> Result<Segment, StoreError> {
        let named = Named {
            segment: 7,
            partition: 3,
            header_checksum: named.header_checksum,
            seal: named.seal,
            key,
        };
        Segment::open(&RealDisk, path, named)
    }

    fn verify(segment: &Segment) {
        let read = segment.verify(&RealDisk, &Pace::unlimited(), |error| panic!("{error}"));
        let planes = Plane::ALL.map(|plane| segment.header.plan.plane(plane).length as u64);
        assert_eq!(read.unwrap(), planes.iter().sum::<u64>());
    }

    /// Everything that a segment can be asked for.
    fn read_all(segment: &Segment) -> Result<Vec<String>, StoreError> {
        let mut all = Vec::new();
        let block = segment.block(0..segment.rows())?;
        all.push(format!(
            "{:?} {:?} {:?}",
            block.high, block.low, block.scales
        ));
        all.push(format!(
            "{:?} {:?}",
            block.residuals_coarse, block.residuals_fine
        ));
        for row in 0..segment.rows() {
            let (class, info) = (segment.class(row)?, segment.info(row)?);
            all.push(format!(
                "{class} {info:?} {:?} {}",
                segment.values(row)?,
                segment.length(row)?
            ));
            all.push(format!("{:?}", segment.rows_of(class)?));
        }
        Ok(all)
    }

    #[test]
    fn rows_come_back_and_classes_are_found() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.vseg");
        let checksum = write(&path, &[5, -1, 5, 9, 5]);
        let segment = open(&path, checksum).unwrap();
        verify(&segment);
        assert_eq!(segment.rows(), 5);
        assert_eq!(segment.rows_of(ClassId(5)).unwrap(), [0, 2, 4]);
        assert_eq!(segment.rows_of(ClassId(-1)).unwrap(), [1]);
        assert_eq!(segment.rows_of(ClassId(6)).unwrap(), [0; 0]);
        assert_eq!(segment.values(1).unwrap()[0], 24.0 - 30.5);
        assert_eq!(segment.info(4).unwrap().template, 4);
        assert_eq!(segment.encoder(), "test@1/24");
    }

    #[test]
    fn a_segment_without_rows_is_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.vseg");
        let checksum = write(&path, &[]);
        let segment = open(&path, checksum).unwrap();
        assert_eq!(segment.rows_of(ClassId(1)).unwrap(), [0; 0]);
        verify(&segment);
    }

    #[test]
    fn every_flipped_byte_is_an_error_or_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.vseg");
        let checksum = write(&path, &[2, 1, 2]);
        let expected = read_all(&open(&path, checksum).unwrap()).unwrap();
        let bytes = fs::read(&path).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        let mut harmless = 0;
        for at in 0..bytes.len() {
            file.write_all_at(&[bytes[at] ^ 0x41], at as u64).unwrap();
            match open(&path, checksum).and_then(|segment| read_all(&segment)) {
                Ok(found) => {
                    assert_eq!(found, expected, "byte {at}");
                    harmless += 1;
                }
                Err(StoreError::Damaged { path: named, .. }) => assert_eq!(named, path),
                Err(other) => panic!("byte {at}: {other}"),
            }
            file.write_all_at(&bytes[at..=at], at as u64).unwrap();
        }
        // Only the gaps between planes carry nothing.
        let gaps = bytes.len() - PAGE_BYTES - 3 * (64 * 2 + 4 * 3 + 8 + 8 + 24 + 4 + 128) - 8 * 10;
        assert_eq!(harmless, gaps);
    }

    #[test]
    fn an_encrypted_segment_says_the_same_and_shows_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let (plain, path) = (
            directory.path().join("a.vseg"),
            directory.path().join("b.vseg"),
        );
        let key = DataKey::random();
        let classes: Vec<i64> = (0..2_000).map(|row| row % 700).collect();
        let checksum = write(&plain, &classes);
        let named = write_with(&path, &classes, Some(&key));
        let (plain_segment, segment) = (
            open(&plain, checksum).unwrap(),
            open_sealed(&path, named, &key).unwrap(),
        );
        verify(&segment);
        assert_eq!(
            read_all(&segment).unwrap(),
            read_all(&plain_segment).unwrap()
        );
        // Also while it is read for the first time by many at once.
        let segment = open_sealed(&path, named, &key).unwrap();
        let expected = read_all(&plain_segment).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| assert_eq!(read_all(&segment).unwrap(), expected));
            }
        });
        // What stands in the plain file stands nowhere in this one, row by row of values.
        let (shown, hidden) = (fs::read(&plain).unwrap(), fs::read(&path).unwrap());
        let plan = &plain_segment.header.plan;
        for plane in Plane::ALL {
            let entry = plan.plane(plane);
            let bytes = &shown[entry.offset..entry.offset + entry.length];
            let other = &hidden[entry.offset..entry.offset + entry.length];
            let same = bytes.iter().zip(other).filter(|(one, other)| one == other);
            // One in 256 by chance.
            assert!(same.count() < bytes.len() / 100, "{}", plane.name());
        }
        assert_eq!(segment.header.name, None);
    }

    #[test]
    fn every_flipped_byte_of_an_encrypted_segment_is_an_error_or_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.vseg");
        let key = DataKey::random();
        let named = write_with(&path, &[2, 1, 2], Some(&key));
        let expected = read_all(&open_sealed(&path, named, &key).unwrap()).unwrap();
        let bytes = fs::read(&path).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        let mut harmless = 0;
        for at in 0..bytes.len() {
            file.write_all_at(&[bytes[at] ^ 0x41], at as u64).unwrap();
            match open_sealed(&path, named, &key).and_then(|segment| read_all(&segment)) {
                Ok(found) => {
                    assert_eq!(found, expected, "byte {at}");
                    harmless += 1;
                }
                Err(StoreError::Damaged { path: named, .. }) => assert_eq!(named, path),
                Err(other) => panic!("byte {at}: {other}"),
            }
            file.write_all_at(&bytes[at..=at], at as u64).unwrap();
        }
        let gaps = bytes.len() - PAGE_BYTES - 3 * (64 * 2 + 4 * 3 + 8 + 8 + 24 + 4 + 128) - 24 * 10;
        assert_eq!(harmless, gaps);
    }

    /// Makes all checksums of a header right again.
    fn with_checksums(mut bytes: Vec<u8>, header: &Header) -> (Vec<u8>, u64) {
        for plane in Plane::ALL {
            let entry = header.plan.plane(plane);
            let found = checksum(&bytes[header.plan.block(plane, 0)]);
            let at = header.plan.table.start + entry.first_block * 8;
            bytes[at..at + 8].copy_from_slice(&found.to_le_bytes());
        }
        let found = checksum(&bytes[header.plan.table.clone()]);
        bytes[80..88].copy_from_slice(&found.to_le_bytes());
        let found = checksum(&bytes[header.plan.tags.clone()]);
        bytes[1696..1704].copy_from_slice(&found.to_le_bytes());
        let found = checksum(&bytes[..PAGE_BYTES - 8]);
        bytes[PAGE_BYTES - 8..PAGE_BYTES].copy_from_slice(&found.to_le_bytes());
        (bytes, found)
    }

    #[test]
    fn what_was_forged_behind_right_checksums_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.vseg");
        let key = DataKey::random();
        let named = write_with(&path, &[2, 1, 2], Some(&key));
        let header = open_sealed(&path, named, &key).unwrap().header;
        let bytes = fs::read(&path).unwrap();
        let at = |plane| header.plan.plane(plane).offset;
        let places = [
            88,
            1664,
            1680,
            at(Plane::High),
            at(Plane::Values) + 3,
            header.plan.tags.start + 9,
        ];
        for place in places {
            let mut forged = bytes.clone();
            forged[place] ^= 1;
            let (forged, header_checksum) = with_checksums(forged, &header);
            fs::write(&path, forged).unwrap();
            let named = Finished {
                header_checksum,
                ..named
            };
            let found = open_sealed(&path, named, &key).and_then(|segment| read_all(&segment));
            assert!(found.is_err(), "byte {place}");
        }
        fs::write(&path, &bytes).unwrap();
        open_sealed(&path, named, &key).unwrap();
        // Another key, none, and a segment that anybody can write in its place.
        let error = open_sealed(&path, named, &DataKey::random()).unwrap_err();
        assert!(matches!(error, StoreError::Keys { .. }), "{error}");
        let error = open(&path, named.header_checksum).unwrap_err();
        assert!(matches!(error, StoreError::Keys { .. }), "{error}");
        let header_checksum = write(&directory.path().join("b.vseg"), &[2, 1, 2]);
        fs::rename(directory.path().join("b.vseg"), &path).unwrap();
        let named = Finished {
            header_checksum,
            ..named
        };
        let error = open_sealed(&path, named, &key).unwrap_err();
        let expected = KeyError::NotEncrypted;
        assert!(matches!(error, StoreError::Keys { cause, .. } if cause == expected));
    }

    #[test]
    fn every_shortened_file_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.vseg");
        let checksum = write(&path, &[2, 1, 2]);
        let bytes = fs::read(&path).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        for length in (0..bytes.len() as u64).rev() {
            file.set_len(length).unwrap();
            assert!(
                matches!(open(&path, checksum), Err(StoreError::Damaged { .. })),
                "{length}"
            );
        }
        fs::write(&path, [&bytes[..], &[0]].concat()).unwrap();
        assert!(matches!(
            open(&path, checksum),
            Err(StoreError::Damaged { .. })
        ));
    }

    #[test]
    fn another_segment_in_its_place_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.vseg");
        let checksum = write(&path, &[1]);
        for (segment, partition, checksum) in
            [(8, 3, checksum), (7, 4, checksum), (7, 3, !checksum)]
        {
            assert!(matches!(
                open_as(&path, segment, partition, checksum),
                Err(StoreError::Damaged { .. })
            ));
        }
    }

    #[test]
    fn a_newer_version_is_named_as_such() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.vseg");
        let header_checksum = write(&path, &[1]);
        let mut bytes = fs::read(&path).unwrap();
        bytes[8] = 3;
        let renewed = checksum(&bytes[..PAGE_BYTES - 8]);
        bytes[PAGE_BYTES - 8..PAGE_BYTES].copy_from_slice(&renewed.to_le_bytes());
        fs::write(&path, &bytes).unwrap();
        let error = open(&path, header_checksum).unwrap_err();
        assert!(
            matches!(
                error,
                StoreError::Version {
                    found: 3,
                    newest: 2,
                    ..
                }
            ),
            "{error}"
        );
    }

    #[test]
    fn a_writer_that_gives_up_leaves_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.vseg");
        let name = SegmentName {
            segment: 1,
            partition: 1,
            name: String::new(),
            identity: 0,
            encoder: EncoderId::new("test", "1", 24).unwrap(),
            created: Timestamp {
                unix_milliseconds: 0,
            },
        };
        drop(SegmentWriter::create(Arc::new(RealDisk), &path, name, 5, None).unwrap());
        assert!(!path.exists());
    }
}
