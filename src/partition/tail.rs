//! Templates not yet sealed: as the catalog keeps them, and as a search reads them.

use std::fmt;
use std::ops::Range;
use std::sync::OnceLock;

use bytemuck::{Pod, Zeroable};

use super::segment::{Rows, TemplateInfo};
use crate::code::Planes;
use crate::types::{ClassId, Embedding};

/// A tail of this many templates is sealed. Each costs memory (five bytes a value) until then.
pub(super) const TAIL_ROWS_MAX: usize = 16_384;

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
    /// The catalog's value: 24 bytes and the values.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let values = self.embedding.values();
        let raw = RawTemplate {
            class: self.class.0,
            enrolled_unix_milliseconds: self.info.enrolled_unix_milliseconds,
            quality: self.info.quality,
            dimension: values.len() as u32,
        };
        let mut bytes = Vec::with_capacity(size_of::<RawTemplate>() + size_of_val(values));
        bytes.extend_from_slice(bytemuck::bytes_of(&raw));
        bytes.extend_from_slice(bytemuck::cast_slice(values));
        bytes
    }

    /// Reads what [`TailTemplate::to_bytes`] wrote for template number `template`.
    ///
    /// # Errors
    ///
    /// What is wrong with the bytes, in words.
    pub(super) fn from_bytes(template: u64, bytes: &[u8]) -> Result<TailTemplate, String> {
        let Some((raw, values)) = bytes.split_at_checked(size_of::<RawTemplate>()) else {
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
    /// The rows by rising class and row, from when it is first asked for.
    order: OnceLock<Vec<u32>>,
}

/// With fewer rows than this, looking at all is faster than making an order.
const ORDERED_ROWS_MIN: usize = 64;

impl TailBlock {
    /// A block without rows.
    pub(super) fn new(dimension: usize) -> TailBlock {
        TailBlock {
            planes: Planes::new(dimension),
            infos: Vec::new(),
            order: OnceLock::new(),
        }
    }

    /// A block of rows that are coded already, of which nothing is known but their numbers.
    pub(super) fn of_planes(planes: Planes, numbers: Range<u64>) -> TailBlock {
        let info = |template| TemplateInfo {
            template,
            quality: f32::NAN,
            ..TemplateInfo::zeroed()
        };
        TailBlock {
            planes,
            infos: numbers.map(info).collect(),
            order: OnceLock::new(),
        }
    }

    /// A block of templates as the catalog has them.
    pub(super) fn of(dimension: usize, templates: &[TailTemplate]) -> TailBlock {
        let mut block = TailBlock::new(dimension);
        for template in templates {
            let values = template.embedding.values();
            block.push(template.class, template.info, values);
        }
        block
    }

    /// Codes a template and appends it.
    pub(super) fn push(&mut self, class: ClassId, info: TemplateInfo, values: &[f32]) {
        self.order.take();
        self.planes.push(class, values);
        self.infos.push(info);
    }

    /// Appends some rows of another block, as they are.
    pub(super) fn append(&mut self, other: &TailBlock, rows: Range<usize>) {
        self.order.take();
        self.planes.append(&other.planes, rows.clone());
        self.infos.extend_from_slice(&other.infos[rows]);
    }

    /// Forgets all rows and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.order.take();
        self.planes.clear();
        self.infos.clear();
    }

    pub(super) fn rows(&self) -> usize {
        self.infos.len()
    }

    /// Everything that is kept of some rows.
    pub(super) fn stored(&self, rows: Range<usize>) -> Rows<'_> {
        let lines = self.planes.layout().value_lines();
        Rows {
            codes: self.planes.block(rows.clone()),
            lengths: &self.planes.lengths()[rows.clone()],
            classes: &self.planes.classes()[rows.clone()],
            infos: &self.infos[rows.clone()],
            values: &self.planes.value_lines()[rows.start * lines..rows.end * lines],
        }
    }

    /// The rows of a class, rising.
    pub(super) fn rows_of(&self, class: ClassId) -> Vec<usize> {
        let classes = self.planes.classes();
        if classes.len() < ORDERED_ROWS_MIN {
            let rows = 0..classes.len();
            return rows.filter(|row| classes[*row] == class.0).collect();
        }
        let order = self.order.get_or_init(|| {
            let mut order: Vec<u32> = (0..).take(classes.len()).collect();
            order.sort_unstable_by_key(|row| (classes[*row as usize], *row));
            order
        });
        let class_at = |row: &u32| classes[*row as usize];
        let first = order.partition_point(|row| class_at(row) < class.0);
        let rows = order[first..].iter();
        let rows = rows.take_while(|row| class_at(row) == class.0);
        rows.map(|row| *row as usize).collect()
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
    fn classes_are_found_however_many_rows_there_are() {
        let mut block = TailBlock::new(16);
        for row in 0..200_usize {
            let class = ClassId((row * 7 % 10) as i64 - 5);
            block.push(class, template().info, &[1.0; 16]);
            for class in -6..6 {
                let expected: Vec<usize> = (0..=row)
                    .filter(|row| (row * 7 % 10) as i64 - 5 == class)
                    .collect();
                assert_eq!(block.rows_of(ClassId(class)), expected, "{class} in {row}");
            }
        }
    }

    #[test]
    fn every_other_length_is_an_error() {
        let bytes = template().to_bytes();
        for length in 0..bytes.len() {
            let shortened = TailTemplate::from_bytes(42, &bytes[..length]);
            assert!(shortened.is_err(), "length {length}");
        }
        let longer = [&bytes[..], &[0; 4]].concat();
        assert!(TailTemplate::from_bytes(42, &longer).is_err());
    }
}
