//! NumPy's `.npz`: the arrays `embeddings`, `classes`, `times` and `qualities`, as `numpy.load`
//! reads them.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::{Draft, ExchangeError, Visit};
use crate::exchange::Record;

pub(in crate::exchange) type Archive<'a> = ZipWriter<BufWriter<&'a File>>;

pub(super) fn write<E: From<ExchangeError>>(
    draft: &Draft,
    rows: u64,
    dimension: usize,
    mut each: impl FnMut(Visit<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let failed = |error: io::Error| E::from(draft.error(error));
    let mut archive = begin_archive(draft.file());
    let mut array =
        |name: &str,
         descr: &str,
         shape: String,
         part: fn(&mut Archive<'_>, &Record<'_>) -> io::Result<()>| {
            begin_array(&mut archive, name, descr, &shape).map_err(failed)?;
            each(&mut |record| part(&mut archive, record).map_err(|error| draft.error(error)))
        };
    let list = format!("({rows},)");
    array(
        "embeddings",
        "<f4",
        format!("({rows}, {dimension})"),
        |to, record| to.write_all(bytemuck::cast_slice(record.values)),
    )?;
    array("classes", "<i8", list.clone(), |to, record| {
        to.write_all(&record.class.0.to_le_bytes())
    })?;
    array("times", "<i8", list.clone(), |to, record| {
        let time = record.enrolled.map_or(0, |time| time.unix_milliseconds);
        to.write_all(&time.to_le_bytes())
    })?;
    array("qualities", "<f4", list, |to, record| {
        to.write_all(&record.quality.to_le_bytes())
    })?;
    let mut file = archive.finish().map_err(|error| failed(error.into()))?;
    file.flush().map_err(failed)
}

/// Begins an archive of arrays.
pub(in crate::exchange) fn begin_archive(file: &File) -> Archive<'_> {
    ZipWriter::new(BufWriter::with_capacity(1 << 18, file))
}

/// Begins a member. Values are stored as they are: those of embeddings hardly become smaller.
pub(in crate::exchange) fn begin_array(
    archive: &mut Archive<'_>,
    name: &str,
    descr: &str,
    shape: &str,
) -> io::Result<()> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        // As NumPy does: how long a member will be is not known to the archive when it begins.
        .large_file(true);
    archive.start_file(format!("{name}.npy"), options)?;
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    // The values begin on a multiple of 64 bytes: six of magic, two of version, two of length.
    let padding = 63 - (10 + header.len()) % 64;
    header.extend(std::iter::repeat_n(' ', padding));
    header.push('\n');
    archive.write_all(b"\x93NUMPY\x01\x00")?;
    archive.write_all(&(header.len() as u16).to_le_bytes())?;
    archive.write_all(header.as_bytes())
}
