//! Writing a segment: planes side by side, the header last.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use bytemuck::Zeroable;
use crc_fast::{CrcAlgorithm, Digest};

use super::StoreError;
use super::format::{
    BLOCK_BYTES, MAGIC, PAGE_BYTES, Plan, Plane, PlaneEntry, RawHeader, RawPlane, TemplateInfo,
    VERSION, checksum,
};
use crate::code::Planes;
use crate::types::{EncoderId, Timestamp};

/// What a segment says of itself in its header.
#[derive(Clone, Debug)]
pub(super) struct SegmentName {
    pub(super) segment: u64,
    pub(super) partition: u64,
    pub(super) encoder: EncoderId,
    pub(super) created: Timestamp,
}

/// A segment being written, in as many steps as its maker likes. Memory grows with the number of
/// rows only by 12 bytes a row, for the class order.
///
/// A writer that is dropped before [`SegmentWriter::finish`] removes its file.
#[derive(Debug)]
pub(super) struct SegmentWriter {
    path: PathBuf,
    file: Option<File>,
    name: SegmentName,
    rows: usize,
    plan: Plan,
    planes: Vec<PlaneWriter>,
    classes: Vec<i64>,
}

impl SegmentWriter {
    /// Begins a segment of exactly `rows` rows in a new file.
    pub(super) fn create(
        path: &Path,
        name: SegmentName,
        rows: usize,
    ) -> Result<SegmentWriter, StoreError> {
        let layout = crate::code::Layout::new(name.encoder.dimension());
        let plan = Plan::new(layout, rows);
        // A leftover of a crash may bear the same name; no transaction names it.
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)
            .map_err(|error| StoreError::io("create", path, error))?;
        let planes = plan
            .planes
            .iter()
            .map(|entry| PlaneWriter::new(*entry))
            .collect();
        let classes = Vec::with_capacity(rows);
        Ok(SegmentWriter {
            path: path.to_owned(),
            file: Some(file),
            name,
            rows,
            plan,
            planes,
            classes,
        })
    }

    /// Appends rows.
    ///
    /// # Panics
    ///
    /// Panics if there are more than announced, or not one info for each row.
    pub(super) fn append(
        &mut self,
        rows: &Planes,
        infos: &[TemplateInfo],
    ) -> Result<(), StoreError> {
        assert_eq!(rows.len(), infos.len(), "one info for each row");
        assert!(
            self.classes.len() + rows.len() <= self.rows,
            "no more rows than announced"
        );
        self.classes.extend_from_slice(rows.classes());
        let block = rows.block(0..rows.len());
        let planes: [(Plane, &[u8]); 9] = [
            (Plane::High, bytemuck::cast_slice(block.high)),
            (Plane::Low, bytemuck::cast_slice(block.low)),
            (Plane::Scales, bytemuck::cast_slice(block.scales)),
            (
                Plane::ResidualsCoarse,
                bytemuck::cast_slice(block.residuals_coarse),
            ),
            (
                Plane::ResidualsFine,
                bytemuck::cast_slice(block.residuals_fine),
            ),
            (Plane::Lengths, bytemuck::cast_slice(rows.lengths())),
            (Plane::Classes, bytemuck::cast_slice(rows.classes())),
            (Plane::Infos, bytemuck::cast_slice(infos)),
            (Plane::Values, bytemuck::cast_slice(rows.value_lines())),
        ];
        planes
            .into_iter()
            .try_for_each(|(plane, bytes)| self.write(plane, bytes))
    }

    /// Completes and syncs the file and its directory. Returns the checksum of the header, which
    /// vouches for everything else.
    ///
    /// # Panics
    ///
    /// Panics if rows are missing.
    pub(super) fn finish(mut self) -> Result<u64, StoreError> {
        assert_eq!(self.classes.len(), self.rows, "as many rows as announced");
        let mut order: Vec<u32> = (0..).take(self.rows).collect();
        order.sort_by_key(|&row| (self.classes[row as usize], row));
        self.write(Plane::ClassOrder, bytemuck::cast_slice(&order))?;

        let mut table: Vec<u64> = Vec::with_capacity(self.plan.table.len() / size_of::<u64>());
        for plane in &mut self.planes {
            table.extend(plane.finish());
        }
        assert_eq!(
            table.len() * size_of::<u64>(),
            self.plan.table.len(),
            "every plane is complete"
        );
        let table: &[u8] = bytemuck::cast_slice(&table);
        let header = self.header(checksum(table));
        let written = self.write_ends(table, &header);
        written.map_err(|error| StoreError::io("write", &self.path, error))?;
        sync_directory_of(&self.path)?;
        self.file = None;
        Ok(header.header_checksum)
    }

    fn write(&mut self, plane: Plane, bytes: &[u8]) -> Result<(), StoreError> {
        let file = self.file.as_mut().expect("the file is open until `finish`");
        let written = self.planes[plane as usize - 1].write(file, bytes);
        written.map_err(|error| StoreError::io("write", &self.path, error))
    }

    fn write_ends(&mut self, table: &[u8], header: &RawHeader) -> io::Result<()> {
        let file = self.file.as_mut().expect("the file is open until `finish`");
        file.seek(SeekFrom::Start(self.plan.table.start as u64))?;
        file.write_all(table)?;
        // An empty table leaves the file shorter than planned.
        file.set_len(self.plan.table.end as u64)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(bytemuck::bytes_of(header))?;
        file.sync_all()
    }

    fn header(&self, table_checksum: u64) -> Box<RawHeader> {
        let layout = crate::code::Layout::new(self.name.encoder.dimension());
        let encoder = self.name.encoder.to_string();
        let mut raw = Box::new(RawHeader {
            magic: MAGIC,
            version: VERSION,
            header_bytes: PAGE_BYTES as u32,
            rows: self.rows as u64,
            dimension: layout.dimension() as u32,
            plane_count: Plane::ALL.len() as u32,
            block_bytes: BLOCK_BYTES as u32,
            encoder_bytes: encoder.len() as u32,
            segment: self.name.segment,
            partition: self.name.partition,
            created_unix_milliseconds: self.name.created.unix_milliseconds,
            table_offset: self.plan.table.start as u64,
            table_bytes: self.plan.table.len() as u64,
            table_checksum,
            ..RawHeader::zeroed()
        });
        raw.encoder[..encoder.len()].copy_from_slice(encoder.as_bytes());
        for (at, plane) in Plane::ALL.iter().enumerate() {
            let entry = self.plan.plane(*plane);
            raw.planes[at] = RawPlane {
                kind: *plane as u32,
                row_bytes: plane.row_bytes(layout) as u32,
                offset: entry.offset as u64,
                length_bytes: entry.length as u64,
                first_block: entry.first_block as u64,
            };
        }
        raw.header_checksum = checksum(&bytemuck::bytes_of(&*raw)[..PAGE_BYTES - size_of::<u64>()]);
        raw
    }
}

impl Drop for SegmentWriter {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // Nothing names the file; if it stays, the next open of the partition removes it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Makes the entry of a file in its directory durable.
pub(super) fn sync_directory_of(path: &Path) -> Result<(), StoreError> {
    let directory = path
        .parent()
        .expect("a file in a data directory has a parent");
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(|error| StoreError::io("sync", directory, error))
}

/// Writes one plane from front to back and keeps the checksums of its blocks.
#[derive(Debug)]
struct PlaneWriter {
    entry: PlaneEntry,
    written: usize,
    digest: Digest,
    checksums: Vec<u64>,
}

impl PlaneWriter {
    fn new(entry: PlaneEntry) -> PlaneWriter {
        let digest = Digest::new(CrcAlgorithm::Crc64Nvme);
        PlaneWriter {
            entry,
            written: 0,
            digest,
            checksums: Vec::new(),
        }
    }

    fn write(&mut self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        file.seek(SeekFrom::Start((self.entry.offset + self.written) as u64))?;
        file.write_all(bytes)?;
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = BLOCK_BYTES - self.written % BLOCK_BYTES;
            let (now, later) = rest.split_at(room.min(rest.len()));
            self.digest.update(now);
            self.written += now.len();
            if self.written.is_multiple_of(BLOCK_BYTES) {
                self.checksums.push(self.digest.finalize_reset());
            }
            rest = later;
        }
        Ok(())
    }

    fn finish(&mut self) -> Vec<u64> {
        if !self.written.is_multiple_of(BLOCK_BYTES) {
            self.checksums.push(self.digest.finalize_reset());
        }
        std::mem::take(&mut self.checksums)
    }
}
