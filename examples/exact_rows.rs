//! The search among arrays that `vultus.exact_search` calls, without Python: `benches/wheel.py` has both
//! take turns.
//!
//! ```text
//! cargo build --release --no-default-features --example exact_rows
//! exact_rows ROWS PROBES DIMENSION THREADS TOP
//! ```
//!
//! ROWS and PROBES are files of numbers of single precision, little-endian, row by row. Each line of
//! stdin is a number of probes, of which the first so many are looked for; the answer is a line of JSON
//! with the milliseconds that took, and the rows that are most similar to each.

use std::error::Error;
use std::io::{self, BufRead, Write};
use std::time::Instant;

use ndarray::{Array2, s};
use vultus::kernel::Kernel;
use vultus::search::{Pool, RowSearch, RowsError};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [rows, probes, dimension, threads, top] = &arguments[..] else {
        return Err("usage: exact_rows ROWS PROBES DIMENSION THREADS TOP".into());
    };
    let dimension = dimension.parse()?;
    let (rows, probes) = (read(rows, dimension)?, read(probes, dimension)?);
    let (pool, kernel, top) = (Pool::new(threads.parse()?), Kernel::detect(), top.parse()?);
    let mut stdout = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let count: usize = line?.trim().parse()?;
        let asked = probes.slice(s![..count, ..]);
        let began = Instant::now();
        let mut search = RowSearch::new(&asked, top, None, kernel, &pool)?;
        search.look(&rows.view(), &pool, |_| Ok::<(), RowsError>(()))?;
        let answers = search.into_matches();
        let milliseconds = began.elapsed().as_secs_f64() * 1e3;
        let first = answers
            .iter()
            .map(|found| found.first().map_or(-1, |best| best.class.0));
        let first: Vec<i64> = first.collect();
        writeln!(stdout, r#"{{"ms":{milliseconds},"first":{first:?}}}"#)?;
        stdout.flush()?;
    }
    Ok(())
}

fn read(path: &str, dimension: usize) -> Result<Array2<f32>, Box<dyn Error>> {
    let bytes = std::fs::read(path)?;
    let (numbers, _) = bytes.as_chunks::<4>();
    let numbers: Vec<f32> = numbers.iter().map(|it| f32::from_le_bytes(*it)).collect();
    Ok(Array2::from_shape_vec(
        (numbers.len() / dimension, dimension),
        numbers,
    )?)
}
