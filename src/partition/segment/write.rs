//! Writing a segment: planes side by side, the header last.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytemuck::Zeroable;

use super::format::{
    BLOCK_BYTES, MAGIC, PAGE_BYTES, Plan, Plane, PlaneEntry, RawHeader, RawPlane, VERSION,
    VERSION_SEALED, checksum,
};
use super::rows::Rows;
use super::seal::{Owner, Seal, SegmentCipher};
use crate::partition::StoreError;
use crate::partition::disk::{Disk, DiskFile, overwrite, sync_directory_of};
use crate::secrets::{DataKey, Salt, Tag, new_salt};
use crate::types::{EncoderId, Timestamp};

/// What a segment says of itself in its header.
#[derive(Clone, Debug)]
pub(in crate::partition) struct SegmentName {
    pub(in crate::partition) segment: u64,
    pub(in crate::partition) partition: u64,
    /// The name of the partition, by which it is found again if the catalog is lost.
    pub(in crate::partition) name: String,
    /// Of the data directory; 0 for a segment that is in none.
    pub(in crate::partition) identity: u64,
    pub(in crate::partition) encoder: EncoderId,
    pub(in crate::partition) created: Timestamp,
}

/// A segment being written, in as many steps as its maker likes. Memory grows with the number of
/// rows only by 12 bytes a row, for the class order.
///
/// A writer that is dropped before [`SegmentWriter::finish`] removes its file.
#[derive(Debug)]
pub(in crate::partition) struct SegmentWriter {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: Option<Box<dyn DiskFile>>,
    name: SegmentName,
    rows: usize,
    plan: Plan,
    planes: Vec<PlaneWriter>,
    classes: Vec<i64>,
    sealing: Option<Sealing>,
}

/// What encrypts a segment.
#[derive(Debug)]
struct Sealing {
    salt: Salt,
    cipher: Arc<SegmentCipher>,
}

/// What a complete segment is known by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::partition) struct Finished {
    /// The checksum of the header, which vouches for everything else.
    pub(in crate::partition) header_checksum: u64,
    /// Of an encrypted segment.
    pub(in crate::partition) seal: Option<Seal>,
}

impl SegmentWriter {
    /// Begins a segment of exactly `rows` rows in a new file, encrypted if there is a key.
    pub(in crate::partition) fn create(
        disk: Arc<dyn Disk>,
        path: &Path,
        name: SegmentName,
        rows: usize,
        key: Option<&DataKey>,
    ) -> Result<SegmentWriter, StoreError> {
        let layout = crate::code::Layout::new(name.encoder.dimension());
        let plan = Plan::new(layout, rows);
        let sealing = key.map(|key| Sealing::new(key, &name));
        let plan = if sealing.is_some() {
            plan.sealed()
        } else {
            plan
        };
        let file = disk.create(path);
        let file = file.map_err(|error| StoreError::io("create", path, error))?;
        let planes = Plane::ALL.map(|plane| {
            let cipher = sealing.as_ref().map(|sealing| sealing.cipher.clone());
            PlaneWriter::new(plane as u32, plan.plane(plane), cipher)
        });
        let planes = planes.into();
        let classes = Vec::with_capacity(rows);
        Ok(SegmentWriter {
            disk,
            path: path.to_owned(),
            file: Some(file),
            name,
            rows,
            plan,
            planes,
            classes,
            sealing,
        })
    }

    /// How many rows it will have.
    pub(in crate::partition) fn rows(&self) -> usize {
        self.rows
    }

    /// The classes of the rows so far.
    pub(in crate::partition) fn classes(&self) -> &[i64] {
        &self.classes
    }

    /// Appends rows.
    ///
    /// # Panics
    ///
    /// Panics if there are more than announced.
    pub(in crate::partition) fn append(&mut self, rows: &Rows<'_>) -> Result<(), StoreError> {
        assert!(
            self.classes.len() + rows.classes.len() <= self.rows,
            "no more rows than announced"
        );
        self.classes.extend_from_slice(rows.classes);
        let planes: [(Plane, &[u8]); 9] = [
            (Plane::High, bytemuck::cast_slice(rows.codes.high)),
            (Plane::Low, bytemuck::cast_slice(rows.codes.low)),
            (Plane::Scales, bytemuck::cast_slice(rows.codes.scales)),
            (
                Plane::ResidualsCoarse,
                bytemuck::cast_slice(rows.codes.residuals_coarse),
            ),
            (
                Plane::ResidualsFine,
                bytemuck::cast_slice(rows.codes.residuals_fine),
            ),
            (Plane::Lengths, bytemuck::cast_slice(rows.lengths)),
            (Plane::Classes, bytemuck::cast_slice(rows.classes)),
            (Plane::Infos, bytemuck::cast_slice(rows.infos)),
            (Plane::Values, bytemuck::cast_slice(rows.values)),
        ];
        planes
            .into_iter()
            .try_for_each(|(plane, bytes)| self.write(plane, bytes))
    }

    /// Completes and syncs the file and its directory. Returns what it is known by.
    ///
    /// # Panics
    ///
    /// Panics if rows are missing.
    pub(in crate::partition) fn finish(mut self) -> Result<Finished, StoreError> {
        assert_eq!(self.classes.len(), self.rows, "as many rows as announced");
        let mut order: Vec<u32> = (0..).take(self.rows).collect();
        order.sort_by_key(|&row| (self.classes[row as usize], row));
        self.write(Plane::ClassOrder, bytemuck::cast_slice(&order))?;

        let table = self.finish_planes();
        let (table, tags) = table.map_err(|error| StoreError::io("write", &self.path, error))?;
        assert_eq!(table.len(), self.plan.blocks(), "every plane is complete");
        let table: &[u8] = bytemuck::cast_slice(&table);
        let header = self.header(checksum(table), checksum(&tags));
        let written = self.write_ends(table, &tags, &header);
        written.map_err(|error| StoreError::io("write", &self.path, error))?;
        sync_directory_of(&*self.disk, &self.path)?;
        self.file = None;
        Ok(Finished {
            header_checksum: header.header_checksum,
            seal: header.seal(),
        })
    }

    fn write(&mut self, plane: Plane, bytes: &[u8]) -> Result<(), StoreError> {
        let file = self
            .file
            .as_deref()
            .expect("the file is open until `finish`");
        let written = self.planes[plane as usize - 1].write(file, bytes);
        written.map_err(|error| StoreError::io("write", &self.path, error))
    }

    /// Returns the checksums of all blocks, and their tags, if the segment is encrypted.
    fn finish_planes(&mut self) -> io::Result<(Vec<u64>, Vec<u8>)> {
        let file = self
            .file
            .as_deref()
            .expect("the file is open until `finish`");
        let mut table = Vec::with_capacity(self.plan.blocks());
        let mut tags = Vec::with_capacity(self.plan.tags.len());
        for plane in &mut self.planes {
            plane.finish(file)?;
            table.append(&mut plane.checksums);
            tags.extend(plane.tags.drain(..).flatten());
        }
        Ok((table, tags))
    }

    fn write_ends(&self, table: &[u8], tags: &[u8], header: &RawHeader) -> io::Result<()> {
        let file = self
            .file
            .as_deref()
            .expect("the file is open until `finish`");
        file.write_at(table, self.plan.table.start as u64)?;
        if !tags.is_empty() {
            file.write_at(tags, self.plan.tags.start as u64)?;
        }
        // An empty table leaves the file shorter than planned.
        file.set_length(self.plan.end() as u64)?;
        file.write_at(bytemuck::bytes_of(header), 0)?;
        file.sync()
    }

    fn header(&self, table_checksum: u64, tags_checksum: u64) -> Box<RawHeader> {
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
            identity: self.name.identity,
            ..RawHeader::zeroed()
        });
        // What a gallery is called may say something of the people in it.
        if self.sealing.is_none() {
            let name = self.name.name.as_bytes();
            raw.name_bytes = name.len() as u32;
            raw.name[..name.len()].copy_from_slice(name);
        }
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
        if let Some(Sealing { salt, cipher }) = &self.sealing {
            raw.version = VERSION_SEALED;
            raw.salt = *salt;
            raw.tags_checksum = tags_checksum;
            raw.tag = cipher.seal_header(&raw.associated());
        }
        raw.header_checksum = checksum(&bytemuck::bytes_of(&*raw)[..PAGE_BYTES - size_of::<u64>()]);
        raw
    }
}

impl Sealing {
    fn new(key: &DataKey, name: &SegmentName) -> Sealing {
        let salt = new_salt();
        let owner = Owner {
            identity: name.identity,
            partition: name.partition,
            segment: name.segment,
        };
        let cipher = Arc::new(SegmentCipher::new(key, &salt, owner));
        Sealing { salt, cipher }
    }
}

impl SegmentWriter {
    /// Overwrites what was written so far, and removes the file: nobody is to find it again.
    pub(in crate::partition) fn discard(mut self) {
        if let Some(file) = self.file.take() {
            let gone = overwrite(&*file).and_then(|()| self.disk.remove(&self.path));
            if let Err(error) = gone {
                tracing::warn!(%error, path = %self.path.display(), "cannot overwrite a draft");
            }
        }
    }
}

impl Drop for SegmentWriter {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // Nothing names the file; if it stays, the next open of the partition removes it.
            let _ = self.disk.remove(&self.path);
        }
    }
}

/// Writes one plane from front to back, in blocks, and keeps their checksums.
#[derive(Debug)]
struct PlaneWriter {
    kind: u32,
    entry: PlaneEntry,
    written: usize,
    /// The beginning of the next block. Rows come in short runs where others between them are left
    /// out, and each run has a piece in every plane.
    begun: Vec<u8>,
    checksums: Vec<u64>,
    cipher: Option<Arc<SegmentCipher>>,
    /// One for each block, if the segment is encrypted.
    tags: Vec<Tag>,
    /// What was sealed last, whose room the next blocks take.
    sealed: Vec<u8>,
}

impl PlaneWriter {
    fn new(kind: u32, entry: PlaneEntry, cipher: Option<Arc<SegmentCipher>>) -> PlaneWriter {
        PlaneWriter {
            kind,
            entry,
            written: 0,
            begun: Vec::new(),
            checksums: Vec::new(),
            cipher,
            tags: Vec::new(),
            sealed: Vec::new(),
        }
    }

    fn write(&mut self, file: &dyn DiskFile, mut bytes: &[u8]) -> io::Result<()> {
        if !self.begun.is_empty() {
            let room = BLOCK_BYTES - self.begun.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.begun.extend_from_slice(now);
            bytes = later;
            if self.begun.len() < BLOCK_BYTES {
                return Ok(());
            }
            self.write_begun(file)?;
        }
        let (whole, rest) = bytes.split_at(bytes.len() - bytes.len() % BLOCK_BYTES);
        self.write_blocks(file, whole)?;
        self.begun.extend_from_slice(rest);
        Ok(())
    }

    fn finish(&mut self, file: &dyn DiskFile) -> io::Result<()> {
        self.write_begun(file)
    }

    fn write_begun(&mut self, file: &dyn DiskFile) -> io::Result<()> {
        let mut begun = std::mem::take(&mut self.begun);
        self.write_blocks(file, &begun)?;
        begun.clear();
        self.begun = begun;
        Ok(())
    }

    fn write_blocks(&mut self, file: &dyn DiskFile, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let mut sealed = std::mem::take(&mut self.sealed);
        let bytes = match self.cipher.clone() {
            Some(cipher) => {
                self.seal(&cipher, bytes, &mut sealed);
                &sealed[..]
            }
            None => bytes,
        };
        file.write_at(bytes, (self.entry.offset + self.written) as u64)?;
        self.written += bytes.len();
        self.checksums
            .extend(bytes.chunks(BLOCK_BYTES).map(checksum));
        self.sealed = sealed;
        Ok(())
    }

    /// Makes `sealed` the next blocks as they are stored. Only the last of a plane may be shorter than a block, so
    /// that each has one number, and is sealed once.
    fn seal(&mut self, cipher: &SegmentCipher, bytes: &[u8], sealed: &mut Vec<u8>) {
        sealed.clear();
        sealed.extend_from_slice(bytes);
        for block in sealed.chunks_mut(BLOCK_BYTES) {
            let number = self.entry.first_block + self.tags.len();
            self.tags.push(cipher.seal(self.kind, number, block));
        }
    }
}
