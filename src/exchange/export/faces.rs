//! Embeddings of faces in pictures, with the names of the pictures, for notebooks.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::super::draft::{Draft, refuse_existing};
use super::super::{ExchangeError, GalleryFormat};
use super::face_row::FaceRow;

/// How faces are written.
#[derive(Clone, Debug, PartialEq, Eq)]
enum FaceFormat {
    /// A matrix, one face a row, and a table of what its rows are in another file.
    Npy { names: PathBuf },
    /// Everything in one file.
    One(GalleryFormat),
}

/// A file of faces that is to be written.
#[derive(Debug)]
pub struct FaceFile {
    path: PathBuf,
    format: FaceFormat,
}

impl FaceFile {
    /// Chooses the format by the name: `.npy`, beside which the names of the rows go into a file that
    /// ends in `.csv`, `.jsonl` or `.parquet`.
    ///
    /// # Errors
    ///
    /// If the name ends otherwise, this build leaves the format out, or a file is there already and is
    /// not to be replaced.
    pub fn new(path: &Path, overwrite: bool) -> Result<FaceFile, ExchangeError> {
        let is_npy = path
            .extension()
            .is_some_and(|end| end.eq_ignore_ascii_case("npy"));
        let format = if is_npy && !path.is_dir() {
            FaceFormat::Npy {
                names: path.with_extension("csv"),
            }
        } else {
            let refused = || ExchangeError::FaceFormat {
                path: path.to_owned(),
            };
            match GalleryFormat::of(path) {
                #[cfg(feature = "npz")]
                Ok(GalleryFormat::Npz) => return Err(refused()),
                Ok(other) => FaceFormat::One(other),
                Err(ExchangeError::GalleryFormat { .. }) => return Err(refused()),
                Err(error) => return Err(error),
            }
        };
        let file = FaceFile {
            path: path.to_owned(),
            format,
        };
        file.files()
            .try_for_each(|file| refuse_existing(file, overwrite))?;
        Ok(file)
    }

    /// All files that it becomes.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let names = match &self.format {
            FaceFormat::Npy { names } => Some(names.as_path()),
            FaceFormat::One(_) => None,
        };
        [self.path.as_path()].into_iter().chain(names)
    }

    /// Writes all faces. The file appears under its name when it is whole.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    ///
    /// # Panics
    ///
    /// Panics if an embedding has not `dimension` values.
    pub fn write(&self, rows: &[FaceRow], dimension: usize) -> Result<(), ExchangeError> {
        let all = rows.iter().all(|row| row.embedding.len() == dimension);
        assert!(all, "faces are of one encoder");
        let draft = Draft::create(&self.path)?;
        match &self.format {
            FaceFormat::Npy { names } => {
                let table = Draft::create(names)?;
                write_matrix(&draft, rows, dimension)?;
                write_names(&table, rows)?;
                table.finish()?;
            }
            FaceFormat::One(GalleryFormat::JsonLines) => write_lines(&draft, rows)?,
            #[cfg(feature = "parquet")]
            FaceFormat::One(GalleryFormat::Parquet) => super::table::write_faces(&draft, rows)?,
            #[cfg(feature = "npz")]
            FaceFormat::One(GalleryFormat::Npz) => unreachable!("it was refused before"),
        }
        draft.finish()
    }
}

fn write_lines(draft: &Draft, rows: &[FaceRow]) -> Result<(), ExchangeError> {
    let mut out = BufWriter::new(draft.file());
    let written = rows.iter().try_for_each(|row| {
        serde_json::to_writer(&mut out, row)?;
        out.write_all(b"\n")
    });
    written
        .and_then(|()| out.flush())
        .map_err(|error| draft.error(error))
}

/// NumPy's format, version 1: single-precision numbers, the lowest byte first, row by row.
fn write_matrix(draft: &Draft, rows: &[FaceRow], dimension: usize) -> Result<(), ExchangeError> {
    let mut header = format!(
        "{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {dimension}), }}",
        rows.len()
    );
    // The values begin at a multiple of 64 bytes, and the header ends with a line break.
    let before = 10;
    while (before + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let length = u16::try_from(header.len()).unwrap_or(u16::MAX);
    let mut out = BufWriter::new(draft.file());
    let mut write = || {
        out.write_all(b"\x93NUMPY\x01\x00")?;
        out.write_all(&length.to_le_bytes())?;
        out.write_all(header.as_bytes())?;
        for value in rows.iter().flat_map(|row| &row.embedding) {
            out.write_all(&value.to_le_bytes())?;
        }
        out.flush()
    };
    write().map_err(|error| draft.error(error))
}

/// What the rows of a matrix are.
fn write_names(draft: &Draft, rows: &[FaceRow]) -> Result<(), ExchangeError> {
    let mut out = BufWriter::new(draft.file());
    let mut write = || {
        writeln!(out, "row,id,picture,face,left,top,width,height,quality")?;
        for (at, row) in rows.iter().enumerate() {
            let [left, top, width, height] = row.face_box;
            let (id, picture) = (field(&row.id), field(&row.picture));
            let (face, quality) = (row.face, row.quality);
            writeln!(
                out,
                "{at},{id},{picture},{face},{left},{top},{width},{height},{quality}"
            )?;
        }
        out.flush()
    };
    write().map_err(|error| draft.error(error))
}

/// A text as a field of CSV.
fn field(text: &str) -> String {
    if text.contains(['"', ',', '\n', '\r']) {
        return format!("\"{}\"", text.replace('"', "\"\""));
    }
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::{EmbeddingFile, npy_matrix};

    fn rows() -> Vec<FaceRow> {
        let row = |at: i64, picture: &str| FaceRow {
            id: format!("{picture}#{at}"),
            picture: picture.to_owned(),
            face: at,
            face_box: [10 * at, 20, 30, 40],
            quality: 0.5,
            embedding: (0..16).map(|value| value as f32 + at as f32).collect(),
        };
        vec![row(1, "a.jpg"), row(2, "a.jpg"), row(1, "x, \"y\".jpg")]
    }

    #[test]
    fn a_matrix_has_the_names_of_its_rows_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("faces.npy");
        let file = FaceFile::new(&path, false).unwrap();
        file.write(&rows(), 16).unwrap();
        let matrix = npy_matrix("faces", std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(matrix.dim(), (3, 16));
        assert_eq!(matrix[(1, 0)], 2.0);
        let names = std::fs::read_to_string(path.with_extension("csv")).unwrap();
        let lines: Vec<&str> = names.lines().collect();
        assert_eq!(lines[1], "0,a.jpg#1,a.jpg,1,10,20,30,40,0.5");
        assert_eq!(
            lines[3],
            "2,\"x, \"\"y\"\".jpg#1\",\"x, \"\"y\"\".jpg\",1,10,20,30,40,0.5"
        );
        let again = FaceFile::new(&path, false).unwrap_err();
        assert!(again.to_string().contains("faces.npy"), "{again}");
        std::fs::remove_file(&path).unwrap();
        let beside = FaceFile::new(&path, false).unwrap_err();
        assert!(beside.to_string().contains("faces.csv"), "{beside}");
        FaceFile::new(&path, true).unwrap().write(&[], 16).unwrap();
    }

    #[test]
    fn what_is_written_is_read_as_probes_with_their_names() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["faces.jsonl", "faces.parquet"] {
            let path = directory.path().join(name);
            let file = match FaceFile::new(&path, false) {
                Err(ExchangeError::NoFeature { .. }) => continue,
                file => file.unwrap(),
            };
            file.write(&rows(), 16).unwrap();
            let probes = EmbeddingFile::open(&path).unwrap();
            assert_eq!(probes.dimension(), 16, "{name}");
            assert_eq!(probes.rows(), 3, "{name}");
        }
        for name in ["faces.npz", "faces.txt", "faces"] {
            assert!(
                FaceFile::new(&directory.path().join(name), false).is_err(),
                "{name}"
            );
        }
    }
}
