//! What an array says of itself before its values.

use std::io::{self, Read};
use std::path::Path;

use super::number::Kind;
use crate::exchange::ExchangeError;

pub(super) const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// NumPy writes about 120 bytes; more than this is no header of a plain matrix.
const HEADER_BYTES_MAX: usize = 10_000;

/// What stands in the header of an array of numbers.
pub(super) struct Header {
    /// How many bytes stand before the first value.
    pub(super) bytes: u64,
    pub(super) descr: String,
    pub(super) kind: Kind,
    pub(super) fortran_order: bool,
    pub(super) shape: Vec<usize>,
}

impl Header {
    pub(super) fn unexpected(&self, path: &Path, expected: &str) -> ExchangeError {
        ExchangeError::Contents {
            path: path.to_owned(),
            expected: expected.to_owned(),
            found: self.description(),
        }
    }

    pub(super) fn converted(&self, path: &Path, target: &str) -> String {
        let (path, found) = (path.display(), self.description());
        format!("`{path}` holds {found}, which is converted to {target}")
    }

    fn description(&self) -> String {
        let order = if self.fortran_order { "Fortran" } else { "C" };
        format!(
            "`{}` of shape {:?} in {order} order",
            self.descr, self.shape
        )
    }

    /// Bytes of all values, or `None` if they are too many to count.
    fn value_bytes(&self) -> Option<u64> {
        let mut counts = self.shape.iter();
        counts.try_fold(self.kind.size as u64, |bytes, &count| {
            bytes.checked_mul(count as u64)
        })
    }
}

/// What an array holds whose type is no number that is read, for people.
fn named(descr: &str) -> String {
    let form = descr
        .trim_start_matches(['<', '>', '|', '='])
        .chars()
        .next();
    let what = match form {
        Some('U' | 'S' | 'a') => "texts",
        Some('O') => "Python objects",
        Some('b' | '?') => "truth values",
        Some('c') => "complex numbers",
        Some('M') => "dates",
        Some('m') => "spans of time",
        Some('V' | '[' | '(') => "records",
        _ => "values",
    };
    let descr: String = descr.chars().take(60).collect();
    format!("{what} (`{descr}`)")
}

/// What stands in a header, whatever the array holds.
pub(super) struct Start {
    /// How many bytes stand before the first value.
    pub(super) bytes: u64,
    pub(super) descr: String,
    pub(super) fortran_order: bool,
    pub(super) shape: Vec<usize>,
}

pub(super) fn read_start(
    path: &Path,
    reader: &mut impl Read,
    bytes: u64,
) -> Result<Start, ExchangeError> {
    let malformed = |what: String| ExchangeError::malformed(path, ".npy", what);
    let (header_bytes, text) = read_header_text(reader).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => malformed(format!("it ends after {bytes} bytes")),
        io::ErrorKind::InvalidData => malformed(error.to_string()),
        _ => ExchangeError::io("read", path)(error),
    })?;
    let (descr, fortran_order, shape) = parse_header(&text)
        .ok_or_else(|| malformed("its header is not that of a plain matrix or list".to_owned()))?;
    Ok(Start {
        bytes: header_bytes,
        descr,
        fortran_order,
        shape,
    })
}

/// Reads a header, and makes sure that all values are there: that they and it have `bytes` bytes.
pub(super) fn read_header(
    path: &Path,
    reader: &mut impl Read,
    bytes: u64,
    expected: &str,
) -> Result<Header, ExchangeError> {
    read_start(path, reader, bytes)?.numbers(path, bytes, expected)
}

impl Start {
    /// The header of an array of numbers, all of which are there.
    pub(super) fn numbers(
        self,
        path: &Path,
        bytes: u64,
        expected: &str,
    ) -> Result<Header, ExchangeError> {
        let kind = Kind::of(&self.descr).ok_or_else(|| ExchangeError::Contents {
            path: path.to_owned(),
            expected: expected.to_owned(),
            found: named(&self.descr),
        })?;
        let header = Header {
            bytes: self.bytes,
            descr: self.descr,
            kind,
            fortran_order: self.fortran_order,
            shape: self.shape,
        };
        let needed = header.value_bytes();
        let needed = needed.and_then(|values| values.checked_add(header.bytes));
        if needed == Some(bytes) {
            return Ok(header);
        }
        let needed = needed.map_or("too many".to_owned(), |bytes| bytes.to_string());
        let what = format!(
            "shape {:?} needs {needed} bytes, it has {bytes}",
            header.shape
        );
        Err(ExchangeError::malformed(path, ".npy", what))
    }
}

/// The number of bytes before the first value, and the text of the header.
fn read_header_text(reader: &mut impl Read) -> io::Result<(u64, String)> {
    let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    let mut start = [0; 8];
    reader.read_exact(&mut start)?;
    if start[..6] != *MAGIC {
        return Err(invalid(
            "it does not begin with the magic bytes of the format".to_owned(),
        ));
    }
    let (length_bytes, length) = match start[6] {
        1 => {
            let mut length = [0; 2];
            reader.read_exact(&mut length)?;
            (2, usize::from(u16::from_le_bytes(length)))
        }
        2 | 3 => {
            let mut length = [0; 4];
            reader.read_exact(&mut length)?;
            (4, u32::from_le_bytes(length) as usize)
        }
        version => {
            return Err(invalid(format!(
                "it has version {version}, and 1 to 3 are known"
            )));
        }
    };
    if length > HEADER_BYTES_MAX {
        return Err(invalid(format!(
            "its header has {length} bytes, more than {HEADER_BYTES_MAX}"
        )));
    }
    let mut text = vec![0; length];
    reader.read_exact(&mut text)?;
    let text = String::from_utf8(text).map_err(|_| invalid("its header is no text".to_owned()))?;
    Ok((8 + length_bytes + length as u64, text))
}

/// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }` with its keys in any order.
fn parse_header(text: &str) -> Option<(String, bool, Vec<usize>)> {
    let (mut descr, mut fortran_order, mut shape) = (None, None, None);
    let mut rest = text
        .trim()
        .strip_prefix('{')?
        .strip_suffix('}')?
        .trim_start();
    while !rest.is_empty() {
        let (key, after) = quoted(rest)?;
        let value = after.trim_start().strip_prefix(':')?.trim_start();
        rest = match key {
            "descr" if value.starts_with(['[', '(']) => {
                let (text, after) = bracketed(value)?;
                descr = Some(text.to_owned());
                after
            }
            "descr" => {
                let (text, after) = quoted(value)?;
                descr = Some(text.to_owned());
                after
            }
            "fortran_order" => {
                let is_true = value.strip_prefix("True");
                fortran_order = Some(is_true.is_some());
                is_true.or_else(|| value.strip_prefix("False"))?
            }
            "shape" => {
                let (inside, after) = value.strip_prefix('(')?.split_once(')')?;
                let counts = inside
                    .split(',')
                    .map(str::trim)
                    .filter(|count| !count.is_empty());
                shape = Some(
                    counts
                        .map(|count| count.parse().ok())
                        .collect::<Option<_>>()?,
                );
                after
            }
            _ => return None,
        };
        rest = rest.trim_start();
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    }
    Some((descr?, fortran_order?, shape?))
}

/// A list of Python, and what follows it. Brackets within texts are taken for brackets: what comes
/// of that is an error, as the list itself is.
fn bracketed(text: &str) -> Option<(&str, &str)> {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '[' | '(' => depth += 1,
            ']' | ')' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            return Some(text.split_at(at + 1));
        }
    }
    None
}

fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    text[1..].split_once(quote)
}
