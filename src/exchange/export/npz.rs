//! NumPy's `.npz`: the arrays `embeddings`, `classes`, `times` and `qualities`, and those of what is
//! known of people, as `numpy.load` reads them.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::{Draft, ExchangeError, Visit};
use crate::exchange::Record;
use crate::exchange::source::NOT_A_TIME;
use crate::types::{ClassThreshold, Record as PersonRecord};

pub(in crate::exchange) type Archive<'a> = ZipWriter<UntilFailed<BufWriter<&'a File>>>;

/// A file that is written to until that fails, which is told once. What comes then goes nowhere: the writer of
/// archives tries to complete one that was given up, and prints on stderr that it cannot.
pub(in crate::exchange) struct UntilFailed<W> {
    to: W,
    has_failed: bool,
}

impl<W> UntilFailed<W> {
    fn with<T>(
        &mut self,
        otherwise: T,
        act: impl FnOnce(&mut W) -> io::Result<T>,
    ) -> io::Result<T> {
        if self.has_failed {
            return Ok(otherwise);
        }
        let done = act(&mut self.to);
        self.has_failed = done.is_err();
        done
    }
}

impl<W: Write> Write for UntilFailed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.with(bytes.len(), |to| to.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.with((), W::flush)
    }
}

impl<W: Seek> Seek for UntilFailed<W> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.with(0, |file| file.seek(to))
    }
}

/// Writes what an array has of a template.
type Part<'a> = &'a dyn Fn(&mut Archive<'_>, &Record<'_>) -> io::Result<()>;

pub(super) fn write<E: From<ExchangeError>>(
    draft: &Draft,
    (rows, dimension): (u64, usize),
    with_people: bool,
    mut each: impl FnMut(bool, Visit<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let failed = |error: io::Error| E::from(draft.error(error));
    let widths = match with_people {
        true => Widths::of(&mut each)?,
        false => Widths::default(),
    };
    let mut archive = begin_archive(draft.file());
    let list = format!("({rows},)");
    let mut array = |name: &str, descr: &str, is_of_person: bool, part: Part<'_>| {
        let shape = match name {
            "embeddings" => format!("({rows}, {dimension})"),
            _ => list.clone(),
        };
        begin_array(&mut archive, name, descr, &shape).map_err(failed)?;
        each(is_of_person, &mut |record| {
            part(&mut archive, record).map_err(|error| draft.error(error))
        })
    };
    array("embeddings", "<f4", false, &|to, record| {
        to.write_all(bytemuck::cast_slice(record.values))
    })?;
    array("classes", "<i8", false, &|to, record| {
        to.write_all(&record.class.0.to_le_bytes())
    })?;
    array("times", "<i8", false, &|to, record| {
        let time = record.enrolled.map_or(0, |time| time.unix_milliseconds);
        to.write_all(&time.to_le_bytes())
    })?;
    array("qualities", "<f4", false, &|to, record| {
        to.write_all(&record.quality.to_le_bytes())
    })?;
    for ((name, text), width) in TEXTS.into_iter().zip(widths.letters) {
        if width > 0 {
            array(name, &format!("<U{width}"), true, &|to, record| {
                let text = record.person.as_deref().and_then(text).unwrap_or_default();
                write_text(to, &text, width)
            })?;
        }
    }
    if widths.has_expiry {
        array("expires", "<i8", true, &|to, record| {
            let time = record.person.as_deref().and_then(|person| person.expires);
            let time = time.map_or(NOT_A_TIME, |time| time.unix_milliseconds);
            to.write_all(&time.to_le_bytes())
        })?;
    }
    if widths.has_threshold {
        array("thresholds", "<f8", true, &|to, record| {
            let threshold = record.person.as_deref().and_then(|person| person.threshold);
            let threshold = threshold.map_or(f64::NAN, ClassThreshold::get);
            to.write_all(&threshold.to_le_bytes())
        })?;
    }
    let mut file = archive.finish().map_err(|error| failed(error.into()))?;
    file.flush().map_err(failed)
}

/// A text of a record, where it is known.
type Text = fn(&PersonRecord) -> Option<Cow<'_, str>>;

/// The arrays of texts.
const TEXTS: [(&str, Text); 4] = [
    ("names", |person| {
        Some(Cow::Borrowed(person.name.as_ref()?.as_str()))
    }),
    ("external_ids", |person| {
        Some(Cow::Borrowed(person.external_id.as_ref()?.as_str()))
    }),
    ("labels", |person| Some(Cow::Owned(person.labels.to_text()))),
    ("notes", |person| {
        Some(Cow::Borrowed(person.note.as_ref()?.as_str()))
    }),
];

/// Which arrays of people there are, and how wide their texts.
#[derive(Default)]
struct Widths {
    /// The letters of the longest text of each of [`TEXTS`].
    letters: [usize; 4],
    has_expiry: bool,
    has_threshold: bool,
}

impl Widths {
    fn of<E: From<ExchangeError>>(
        each: &mut impl FnMut(bool, Visit<'_>) -> Result<(), E>,
    ) -> Result<Widths, E> {
        let mut widths = Widths::default();
        each(true, &mut |record| {
            let Some(person) = record.person.as_deref() else {
                return Ok(());
            };
            for ((_, text), width) in TEXTS.into_iter().zip(&mut widths.letters) {
                let letters = text(person).map_or(0, |text| text.chars().count());
                *width = letters.max(*width);
            }
            widths.has_expiry |= person.expires.is_some();
            widths.has_threshold |= person.threshold.is_some();
            Ok(())
        })?;
        Ok(widths)
    }
}

/// Writes a text of NumPy's: four bytes a letter, and zeros behind it.
fn write_text(to: &mut Archive<'_>, text: &str, width: usize) -> io::Result<()> {
    let letters = text.chars().map(u32::from).chain(std::iter::repeat(0));
    let bytes = letters.take(width).flat_map(u32::to_le_bytes);
    to.write_all(&bytes.collect::<Vec<u8>>())
}

/// Begins an archive of arrays.
pub(in crate::exchange) fn begin_archive(file: &File) -> Archive<'_> {
    ZipWriter::new(UntilFailed {
        to: BufWriter::with_capacity(1 << 18, file),
        has_failed: false,
    })
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
