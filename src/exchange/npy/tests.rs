//! Arrays as NumPy writes them, and as it does not.

use std::fs;
use std::path::PathBuf;

use half::f16;
use proptest::prelude::*;

use super::header::MAGIC;
use super::*;
use crate::exchange::EmbeddingFile;

fn npy(header: &str, values: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend_from_slice(&(header.len() as u16).to_le_bytes());
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(values);
    bytes
}

fn write(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.npy");
    fs::write(&path, bytes).unwrap();
    (directory, path)
}

fn embeddings(bytes: &[u8]) -> Result<Vec<Vec<f32>>, ExchangeError> {
    let (_directory, path) = write(bytes);
    let mut file = EmbeddingFile::open(&path)?;
    file.check()?;
    let mut rows = Vec::new();
    loop {
        let batch = file.read(2)?;
        if batch.nrows() == 0 {
            return Ok(rows);
        }
        rows.extend(batch.outer_iter().map(|row| row.to_vec()));
    }
}

fn classes(bytes: &[u8]) -> Result<Vec<Option<i64>>, ExchangeError> {
    let (_directory, path) = write(bytes);
    let (reader, bytes) = open(&path)?;
    let mut list = List::integers(&path, Box::new(reader), bytes)?;
    list.read_integers(list.rows)
}

const SINGLE: &str = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 16), }   \n";

fn three_rows() -> Vec<f32> {
    (1..=48_u8).map(f32::from).collect()
}

#[test]
fn single_precision_comes_back_as_it_was() {
    let values = three_rows();
    let rows = embeddings(&npy(SINGLE, bytemuck::cast_slice(&values))).unwrap();
    assert_eq!(rows.concat(), values);
    assert_eq!(rows.len(), 3);
}

#[test]
fn half_precision_is_widened() {
    let values: Vec<f16> = three_rows().into_iter().map(f16::from_f32).collect();
    let header = "{\"shape\":(3,16),'fortran_order':False,'descr':'<f2'}";
    let rows = embeddings(&npy(header, bytemuck::cast_slice(&values))).unwrap();
    assert_eq!(rows.concat(), three_rows());
}

fn header(descr: &str, order: &str, shape: &str) -> String {
    format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}")
}

/// Numbers as an array of a type keeps them.
fn kept(descr: &str, numbers: &[f64]) -> Vec<u8> {
    let bytes = |number: &f64| {
        let mut bytes = match &descr[1..] {
            "f2" => f16::from_f64(*number).to_le_bytes().to_vec(),
            "f4" => (*number as f32).to_le_bytes().to_vec(),
            "f8" => number.to_le_bytes().to_vec(),
            "i1" => (*number as i8).to_le_bytes().to_vec(),
            "i2" => (*number as i16).to_le_bytes().to_vec(),
            "i4" => (*number as i32).to_le_bytes().to_vec(),
            "i8" => (*number as i64).to_le_bytes().to_vec(),
            "u1" => (*number as u8).to_le_bytes().to_vec(),
            "u2" => (*number as u16).to_le_bytes().to_vec(),
            "u4" => (*number as u32).to_le_bytes().to_vec(),
            _ => (*number as u64).to_le_bytes().to_vec(),
        };
        if descr.starts_with('>') {
            bytes.reverse();
        }
        bytes
    };
    numbers.iter().flat_map(bytes).collect()
}

const KINDS: [&str; 21] = [
    "<f2", ">f2", "<f4", ">f4", "=f4", "<f8", ">f8", "|i1", "<i2", ">i2", "<i4", ">i4", "<i8",
    ">i8", "|u1", "<u2", ">u2", "<u4", ">u4", "<u8", ">u8",
];

#[test]
fn numbers_of_every_kind_are_read_in_both_orders() {
    let rows: Vec<f64> = (1..=48_u8).map(f64::from).collect();
    let columns: Vec<f64> = (0..16)
        .flat_map(|column| (0..3).map(move |row| f64::from(row * 16 + column + 1)))
        .collect();
    for descr in KINDS {
        for (order, numbers) in [("False", &rows), ("True", &columns)] {
            let bytes = npy(&header(descr, order, "(3, 16)"), &kept(descr, numbers));
            let found = embeddings(&bytes).unwrap().concat();
            assert_eq!(found, three_rows(), "{descr} {order}");
            let (_directory, path) = write(&bytes);
            let notes = EmbeddingFile::open(&path).unwrap().notes();
            let is_plain = order == "False" && matches!(descr, "<f2" | "<f4" | "=f4");
            assert_eq!(notes.is_empty(), is_plain, "{descr}: {notes:?}");
            assert!(notes.iter().all(|note| note.contains(descr)), "{notes:?}");
        }
        let list = npy(
            &header(descr, "False", "(3,)"),
            &kept(descr, &[1.0, 0.0, 100.0]),
        );
        assert_eq!(
            classes(&list).unwrap(),
            [Some(1), Some(0), Some(100)],
            "{descr}"
        );
    }
}

#[test]
fn what_is_no_whole_number_of_64_bits_is_none_at_its_place() {
    let wide = [-1_i64, i64::MAX, i64::MIN];
    let bytes = npy(&header("<i8", "False", "(3,)"), bytemuck::cast_slice(&wide));
    assert_eq!(classes(&bytes).unwrap(), wide.map(Some));
    let unsigned = [1, u64::MAX, 1 << 63];
    let bytes = npy(
        &header("<u8", "False", "(3,)"),
        bytemuck::cast_slice(&unsigned),
    );
    assert_eq!(classes(&bytes).unwrap(), [Some(1), None, None]);
    let floats = [-17.0, 1.5, f64::NAN, f64::INFINITY, 1e300];
    let bytes = npy(&header(">f8", "False", "(5, 1)"), &kept(">f8", &floats));
    assert_eq!(
        classes(&bytes).unwrap(),
        [Some(-17), None, None, None, None]
    );
}

#[test]
fn what_single_precision_cannot_hold_is_refused_at_its_place() {
    let mut numbers: Vec<f64> = (1..=48_u8).map(f64::from).collect();
    numbers[20] = 1e39;
    let bytes = npy(&header("<f8", "False", "(3, 16)"), &kept("<f8", &numbers));
    let error = embeddings(&bytes).unwrap_err().to_string();
    assert!(
        error.contains("row 1 of") && error.contains("value 4"),
        "{error}"
    );
}

#[test]
fn arrays_that_hold_no_numbers_are_refused_by_name() {
    for (descr, named) in [
        ("'<U11'", "texts (`<U11`)"),
        ("'|S5'", "texts (`|S5`)"),
        ("'|O'", "Python objects (`|O`)"),
        ("'|b1'", "truth values (`|b1`)"),
        ("'<c16'", "complex numbers (`<c16`)"),
        ("'<M8[ns]'", "dates (`<M8[ns]`)"),
        ("'<f16'", "values (`<f16`)"),
        ("[('a', '<f4'), ('b', '<i8', (2,))]", "records (`[('a', "),
    ] {
        let text = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': (3, 16), }}");
        for error in [
            embeddings(&npy(&text, &[1; 100])).unwrap_err(),
            classes(&npy(&text, &[1; 100])).unwrap_err(),
        ] {
            assert!(matches!(error, ExchangeError::Contents { .. }), "{error}");
            assert!(error.to_string().contains(named), "{named}: {error}");
        }
    }
}

#[test]
fn a_bad_row_is_named() {
    for bad in [f32::NAN, f32::INFINITY] {
        let mut values = three_rows();
        values[2 * 16 + 5] = bad;
        let error = embeddings(&npy(SINGLE, bytemuck::cast_slice(&values))).unwrap_err();
        assert!(
            matches!(error, ExchangeError::Item { item: 2, .. }),
            "{error}"
        );
    }
    let mut values = three_rows();
    values[16..32].fill(0.0);
    let error = embeddings(&npy(SINGLE, bytemuck::cast_slice(&values))).unwrap_err();
    assert!(error.to_string().starts_with("row 1 of"), "{error}");
}

#[test]
fn reading_goes_on_at_any_row() {
    let single = three_rows();
    let half: Vec<f16> = single.iter().copied().map(f16::from_f32).collect();
    let halves = SINGLE.replace("<f4", "<f2");
    for bytes in [
        npy(SINGLE, bytemuck::cast_slice(&single)),
        npy(&halves, bytemuck::cast_slice(&half)),
    ] {
        let (_directory, path) = write(&bytes);
        let mut file = EmbeddingFile::open(&path).unwrap();
        for row in [2, 0, 1, 3] {
            file.go_to(row).unwrap();
            let rest = file.read(10).unwrap();
            assert_eq!(rest.as_slice().unwrap(), &single[row * 16..]);
        }
    }
}

#[test]
fn other_values_have_another_checksum_and_the_same_in_half_precision_do_not() {
    let checksum = |header: &str, bytes: &[u8]| {
        let (_directory, path) = write(&npy(header, bytes));
        EmbeddingFile::open(&path).unwrap().check().unwrap().0
    };
    let mut values = three_rows();
    let halves: Vec<f16> = values.iter().copied().map(f16::from_f32).collect();
    let first = checksum(SINGLE, bytemuck::cast_slice(&values));
    let header = SINGLE.replace("<f4", "<f2");
    assert_eq!(first, checksum(&header, bytemuck::cast_slice(&halves)));
    values[47] = values[47].next_up();
    assert_ne!(first, checksum(SINGLE, bytemuck::cast_slice(&values)));
}

#[test]
fn what_holds_something_else_is_refused() {
    for (header, bytes) in [
        (
            "{'descr': '<f4', 'fortran_order': False, 'shape': (16,), }",
            64,
        ),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (), }", 4),
        (
            "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 16), }",
            0,
        ),
        (
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 15), }",
            180,
        ),
        (
            "{'descr': '<f2', 'fortran_order': False, 'shape': (1, 4097), }",
            8194,
        ),
    ] {
        let error = embeddings(&npy(header, &vec![1; bytes])).unwrap_err();
        assert!(matches!(error, ExchangeError::Contents { .. }), "{error}");
    }
}

#[test]
fn what_is_no_whole_file_is_refused() {
    let values = three_rows();
    let whole = npy(SINGLE, bytemuck::cast_slice(&values));
    for length in 0..whole.len() {
        let error = embeddings(&whole[..length]).unwrap_err();
        assert!(
            matches!(error, ExchangeError::Malformed { .. }),
            "{length}: {error}"
        );
    }
    assert!(embeddings(&[&whole[..], &[0]].concat()).is_err());
    for header in [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (18446744073709551615, 16), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 16), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 16), }",
        "{'descr': [('a', '<f4'], 'fortran_order': False, 'shape': (3, 16), }",
        "{'descr': '<f4', 'fortran_order': False}",
        "((((((((",
        "",
    ] {
        let error = embeddings(&npy(header, bytemuck::cast_slice(&values))).unwrap_err();
        assert!(
            matches!(error, ExchangeError::Malformed { .. }),
            "{header}: {error}"
        );
    }
}

/// Every value of a file, however many.
fn fuzz_file(bytes: &[u8]) {
    if let Ok(rows) = embeddings(bytes) {
        let values: usize = rows.iter().map(Vec::len).sum();
        assert!(rows.iter().flatten().all(|value| value.is_finite()));
        // Each came from a byte that was there, or more.
        assert!(values < bytes.len(), "{values} values");
    }
    if let Ok(classes) = classes(bytes) {
        assert!(classes.len() < bytes.len(), "{} classes", classes.len());
    }
}

#[test]
fn fuzz_headers() {
    // Pieces of headers in any order, and values behind them.
    const PIECES: [&str; 28] = [
        "{",
        "}",
        "'descr'",
        "\"shape\"",
        "'fortran_order'",
        ": ",
        ", ",
        "'<f4'",
        "'<f2'",
        "'<i8'",
        "'<i4'",
        "'<f99999999999999999999'",
        "'|u1'",
        "'>f8'",
        "[(",
        ")]",
        "'\u{e9}'",
        "False",
        "True",
        "(3, 16)",
        "(3,)",
        "(3, 4294967296)",
        "(",
        ")",
        "(18446744073709551615,)",
        "(1, 16)",
        "'",
        "{'descr': '<f4', 'fortran_order': False, 'shape': ",
    ];
    bolero::check!()
        .with_iterations(3_000)
        .with_max_len(300)
        .for_each(|input: &[u8]| {
            let (count, rest) = input.split_first().unwrap_or((&0, &[]));
            let (pieces, values) = rest.split_at(rest.len().min(usize::from(count % 16)));
            let piece = |at: &u8| PIECES[usize::from(*at) % PIECES.len()];
            let header: String = pieces.iter().map(piece).collect();
            fuzz_file(&npy(&header, values));
        });
}

#[test]
fn fuzz_files() {
    let single = npy(SINGLE, bytemuck::cast_slice(&three_rows()));
    let list = "{'descr': '<i8', 'fortran_order': False, 'shape': (3,), }";
    let list = npy(list, bytemuck::cast_slice(&[1_i64, 2, 3]));
    let target = |input: &[u8]| {
        for valid in [&single, &list] {
            let mut bytes = valid.clone();
            for edit in input.chunks_exact(2) {
                // Most of what can be broken stands in the header.
                let count = bytes.len().min(90);
                bytes[usize::from(edit[0]) % count] = edit[1];
            }
            fuzz_file(&bytes);
        }
        fuzz_file(input);
        fuzz_file(&[&MAGIC[..], input].concat());
    };
    target(&[]);
    bolero::check!()
        .with_iterations(2_000)
        .with_max_len(40)
        .for_each(target);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), from in 0_usize..80) {
        let mut file = npy(SINGLE, bytemuck::cast_slice(&three_rows()));
        let end = file.len().min(from + bytes.len());
        let count = end - from;
        file[from..end].copy_from_slice(&bytes[..count]);
        let _ = embeddings(&file);
        let _ = classes(&file);
    }
}
