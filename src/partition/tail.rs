//! Templates not yet sealed: as the catalog keeps them, and as a search reads them.

use std::fmt;

use bytemuck::{Pod, Zeroable};

use super::format::{TemplateInfo, checksum};
use crate::code::Planes;
use crate::types::{ClassId, Embedding};

/// A template of the tail.
#[derive(Clone, Debug)]
pub(super) struct TailTemplate {
    pub(super) class: ClassId,
    pub(super) info: TemplateInfo,
    pub(super) embedding: Embedding,
}

/// What stands before the values of a template in the catalog.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct RawTemplate {
    class: i64,
    enrolled_unix_milliseconds: i64,
    quality: f32,
    dimension: u32,
}

const _: () = assert!(size_of::<RawTemplate>() == 24);

impl TailTemplate {
    /// The catalog's value: 24 bytes, the values, and a checksum of both.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let values = self.embedding.values();
        let raw = RawTemplate {
            class: self.class.0,
            enrolled_unix_milliseconds: self.info.enrolled_unix_milliseconds,
            quality: self.info.quality,
            dimension: values.len() as u32,
        };
        let mut bytes = Vec::with_capacity(size_of::<RawTemplate>() + values.len() * 4 + 8);
        bytes.extend_from_slice(bytemuck::bytes_of(&raw));
        bytes.extend_from_slice(bytemuck::cast_slice(values));
        bytes.extend_from_slice(&checksum(&bytes).to_le_bytes());
        bytes
    }

    /// Reads what [`TailTemplate::to_bytes`] wrote for template number `template`.
    ///
    /// # Errors
    ///
    /// What is wrong with the bytes, in words.
    pub(super) fn from_bytes(template: u64, bytes: &[u8]) -> Result<TailTemplate, String> {
        let Some((body, expected)) = bytes.split_last_chunk::<8>() else {
            return Err(format!(
                "template {template} has {} bytes, fewer than a checksum",
                bytes.len()
            ));
        };
        let (expected, found) = (u64::from_le_bytes(*expected), checksum(body));
        if expected != found {
            return Err(format!(
                "template {template}: expected checksum {expected:016x}, found {found:016x}"
            ));
        }
        let Some((raw, values)) = body.split_at_checked(size_of::<RawTemplate>()) else {
            return Err(format!(
                "template {template} has {} bytes, fewer than its header",
                bytes.len()
            ));
        };
        let raw: RawTemplate = bytemuck::pod_read_unaligned(raw);
        if values.len() != raw.dimension as usize * size_of::<f32>() {
            let found = values.len();
            return Err(format!(
                "template {template}: {} values in {found} bytes",
                raw.dimension
            ));
        }
        let values: Vec<f32> = bytemuck::pod_collect_to_vec(values);
        let embedding =
            Embedding::new(values).map_err(|error| format!("template {template}: {error}"))?;
        let info = TemplateInfo {
            template,
            enrolled_unix_milliseconds: raw.enrolled_unix_milliseconds,
            quality: raw.quality,
            reserved: 0,
        };
        Ok(TailTemplate {
            class: ClassId(raw.class),
            info,
            embedding,
        })
    }
}

/// Some templates of the tail, coded for searching. Never changes once it is made.
#[derive(Clone)]
pub(super) struct TailBlock {
    pub(super) planes: Planes,
    pub(super) infos: Vec<TemplateInfo>,
}

impl TailBlock {
    pub(super) fn new(dimension: usize, templates: &[TailTemplate]) -> TailBlock {
        let mut block = TailBlock {
            planes: Planes::new(dimension),
            infos: Vec::new(),
        };
        for template in templates {
            block
                .planes
                .push(template.class, template.embedding.values());
            block.infos.push(template.info);
        }
        block
    }

    pub(super) fn rows(&self) -> usize {
        self.infos.len()
    }

    pub(super) fn rows_of(&self, class: ClassId) -> Vec<usize> {
        let classes = self.planes.classes().iter().enumerate();
        classes
            .filter(|(_, found)| **found == class.0)
            .map(|(row, _)| row)
            .collect()
    }
}

impl fmt::Debug for TailBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TailBlock({} rows)", self.rows())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template() -> TailTemplate {
        let info = TemplateInfo {
            template: 42,
            enrolled_unix_milliseconds: -1,
            quality: 0.25,
            reserved: 0,
        };
        let values: Vec<f32> = (0..16).map(|at| at as f32).collect();
        TailTemplate {
            class: ClassId(-9),
            info,
            embedding: Embedding::new(values).unwrap(),
        }
    }

    #[test]
    fn a_template_survives_the_catalog() {
        let written = template();
        let read = TailTemplate::from_bytes(42, &written.to_bytes()).unwrap();
        assert_eq!((read.class, read.info), (written.class, written.info));
        assert_eq!(read.embedding, written.embedding);
    }

    #[test]
    fn every_damaged_byte_and_every_length_is_an_error() {
        let bytes = template().to_bytes();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(TailTemplate::from_bytes(42, &damaged).is_err(), "byte {at}");
            assert!(
                TailTemplate::from_bytes(42, &bytes[..at]).is_err(),
                "length {at}"
            );
        }
    }
}
