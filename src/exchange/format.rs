//! How answers are written: by the end of the file's name.

use std::io;
use std::path::Path;

use super::ExchangeError;

/// The format of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// One JSON object a line.
    JsonLines,
    /// Lines of fields with commas between them, below their names.
    Csv,
    /// NumPy arrays in an archive.
    #[cfg(feature = "npz")]
    Npz,
    /// A Parquet table.
    #[cfg(feature = "parquet")]
    Parquet,
}

impl Format {
    /// The format that the end of the name asks for.
    ///
    /// A folder of that name is refused here: to find out when the file is whole would be late.
    pub(super) fn of(path: &Path) -> Result<Format, ExchangeError> {
        if path.is_dir() {
            let error = io::ErrorKind::IsADirectory.into();
            return Err(ExchangeError::io("write", path)(error));
        }
        let extension = path.extension().unwrap_or_default();
        if extension.eq_ignore_ascii_case("jsonl") {
            return Ok(Format::JsonLines);
        }
        if extension.eq_ignore_ascii_case("csv") {
            return Ok(Format::Csv);
        }
        if extension.eq_ignore_ascii_case("npz") {
            #[cfg(feature = "npz")]
            return Ok(Format::Npz);
            #[cfg(not(feature = "npz"))]
            return Err(super::source::no_feature(path, "npz"));
        }
        let path = path.to_owned();
        if extension.eq_ignore_ascii_case("parquet") {
            #[cfg(feature = "parquet")]
            return Ok(Format::Parquet);
            #[cfg(not(feature = "parquet"))]
            return Err(ExchangeError::NoParquet { path });
        }
        Err(ExchangeError::Format { path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_name_decides() {
        assert_eq!(Format::of(Path::new("a.jsonl")).unwrap(), Format::JsonLines);
        assert_eq!(
            Format::of(Path::new("a.b.JSONL")).unwrap(),
            Format::JsonLines
        );
        for name in ["a", "jsonl", ".jsonl", "a.json", "a.xlsx", "a.csv.gz", "a."] {
            let error = Format::of(Path::new(name)).unwrap_err();
            assert!(matches!(error, ExchangeError::Format { .. }), "{name}");
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn fields_and_arrays_are_known_in_any_letter_case() {
        assert_eq!(Format::of(Path::new("a.CSV")).unwrap(), Format::Csv);
        #[cfg(feature = "npz")]
        assert_eq!(Format::of(Path::new("a.Npz")).unwrap(), Format::Npz);
    }

    #[test]
    fn a_folder_is_no_output() {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path().join("a.jsonl");
        std::fs::create_dir(&folder).unwrap();
        let error = Format::of(&folder).unwrap_err();
        assert!(matches!(error, ExchangeError::Io { .. }), "{error}");
    }

    #[cfg(feature = "parquet")]
    #[test]
    fn parquet_is_known_by_the_end_of_the_name_in_any_letter_case() {
        for name in ["a.parquet", "a.jsonl.PARQUET", "folder.jsonl/a.Parquet"] {
            assert_eq!(Format::of(Path::new(name)).unwrap(), Format::Parquet);
        }
        assert_eq!(
            Format::of(Path::new("a.parquet.jsonl")).unwrap(),
            Format::JsonLines
        );
        for name in ["parquet", ".parquet", "a.parquet.gz", "a.parquets"] {
            Format::of(Path::new(name)).unwrap_err();
        }
    }

    #[cfg(not(feature = "parquet"))]
    #[test]
    fn a_build_without_parquet_says_so() {
        let error = Format::of(Path::new("a.parquet")).unwrap_err();
        assert!(error.to_string().contains("feature `parquet`"), "{error}");
    }
}
