//! The conformance suite: every instruction set that this machine has, against the definition.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

/// Dimensions that meet every path: less than a line, a full one and one value more, the ends of
/// accumulation in 16 bits, those that encoders have, the largest.
const DIMENSIONS: &[usize] = &[
    16, 17, 63, 100, 127, 128, 129, 255, 256, 257, 384, 512, 513, 640, 1000, 1024, 4095, 4096,
];
/// Numbers of rows around the steps of every kernel.
const ROWS: &[usize] = &[0, 1, 7, 8, 9, 15, 16, 31, 32, 33, 47, 64, 75];
/// Numbers of probes around the steps of every kernel.
const PROBES: &[usize] = &[1, 2, 4, 5, 6, 7, 8, 9, 12, 13, 16, 17, 20, 21, 32, 33];

/// Rows of numbers, kept as they are meant and as kernels read them.
struct Rows {
    dimension: usize,
    codes: Vec<Vec<i32>>,
    high: Vec<Line>,
    low: Vec<Line>,
    scales: Vec<f32>,
    residuals: Vec<f32>,
}

impl Rows {
    fn new(dimension: usize, count: usize, mut code: impl FnMut() -> i32) -> Rows {
        let codes: Vec<Vec<i32>> = (0..count)
            .map(|_| (0..dimension).map(|_| code()).collect())
            .collect();
        let (mut high, mut low) = (Vec::new(), Vec::new());
        for row in &codes {
            for chunk in row.chunks(VALUES_PER_LINE) {
                let nibbles = |at: usize| {
                    let code = chunk.get(at).copied().unwrap_or(0) + 136;
                    ((code >> 4) as u8, (code & 15) as u8)
                };
                let line = |part: fn((u8, u8)) -> u8| {
                    Line(std::array::from_fn(|at| {
                        part(nibbles(at)) | part(nibbles(at + 64)) << 4
                    }))
                };
                high.push(line(|(high, _)| high));
                low.push(line(|(_, low)| low));
            }
        }
        // Every third row is worth more, and every fifth less certain.
        let scales = (0..count).map(|row| 0.5 + (row % 3) as f32).collect();
        let residuals = (0..count).map(|row| (row % 5) as f32 * 0.25).collect();
        Rows {
            dimension,
            codes,
            high,
            low,
            scales,
            residuals,
        }
    }

    fn nibbles(&self) -> NibbleRows<'_> {
        let lines_per_row = self.dimension.div_ceil(VALUES_PER_LINE);
        NibbleRows {
            lines_per_row,
            high: &self.high,
            low: &self.low,
        }
    }

    fn bounds(&self) -> Bounds<'_> {
        Bounds {
            scales: &self.scales,
            residuals: &self.residuals,
        }
    }
}

/// Σ q·part(c).
fn dot(probe: &[i8], row: &[i32], part: impl Fn(i32) -> i32) -> i32 {
    probe
        .iter()
        .zip(row)
        .map(|(&q, &c)| i32::from(q) * part(c))
        .sum()
}

fn high_part(code: i32) -> i32 {
    (code + 8).div_euclid(16) * 16
}

fn six_bit_part(code: i32) -> i32 {
    (code + 2).div_euclid(4) * 4
}

/// The hits of a definition.
fn expected(
    probes: &[Vec<i8>],
    rows: &Rows,
    limits: &[Limit],
    part: impl Fn(i32) -> i32 + Copy,
) -> Vec<Hit> {
    let mut hits = Vec::new();
    for (probe, codes) in probes.iter().enumerate() {
        for (row, numbers) in rows.codes.iter().enumerate() {
            let dot = dot(codes, numbers, part);
            if limits[probe].reports(dot, rows.scales[row], rows.residuals[row]) {
                hits.push(Hit {
                    probe: probe as u32,
                    row: row as u32,
                    dot,
                });
            }
        }
    }
    hits
}

fn compare(
    what: &str,
    kernel: Kernel,
    mut found: Vec<Hit>,
    expected: &[Hit],
) -> Result<(), String> {
    found.sort_by_key(|hit| (hit.probe, hit.row));
    if found == expected {
        return Ok(());
    }
    let at = found.iter().zip(expected).position(|(a, b)| a != b);
    let at = at.unwrap_or(found.len().min(expected.len()));
    let isa = kernel.isa();
    Err(format!(
        "{isa}, {what}: {:?} instead of {:?}",
        found.get(at),
        expected.get(at)
    ))
}

/// Runs every operation of a kernel on some rows and probes.
fn check(kernel: Kernel, rows: &Rows, probes: &[Vec<i8>], limit: Limit) -> Result<(), String> {
    let nibbles = rows.nibbles();
    let place = format!("{} values, {} rows", rows.dimension, rows.codes.len());
    let limits = vec![limit; probes.len()];
    let scanned: Vec<ScanProbe> = probes.iter().map(|probe| ScanProbe::new(probe)).collect();
    let (mut coarse, mut fine) = (Vec::new(), Vec::new());
    for (at, probe) in scanned.iter().enumerate() {
        let first = (coarse.len(), fine.len());
        kernel.coarse(probe, &nibbles, &rows.bounds(), limit, &mut coarse);
        kernel.fine(probe, &nibbles, &rows.bounds(), limit, &mut fine);
        coarse[first.0..]
            .iter_mut()
            .for_each(|hit| hit.probe = at as u32);
        fine[first.1..]
            .iter_mut()
            .for_each(|hit| hit.probe = at as u32);
    }
    let expected_coarse = expected(probes, rows, &limits, high_part);
    let expected_fine = expected(probes, rows, &limits, |code| code);
    compare(
        &format!("coarse, {place}"),
        kernel,
        coarse.clone(),
        &expected_coarse,
    )?;
    compare(&format!("fine, {place}"), kernel, fine, &expected_fine)?;

    let refined: Vec<Hit> = expected_coarse
        .iter()
        .map(|&hit| {
            let dot = dot(
                &probes[hit.probe as usize],
                &rows.codes[hit.row as usize],
                |code| code,
            );
            Hit { dot, ..hit }
        })
        .collect();
    let mut looked_up = coarse.clone();
    kernel.refine(&scanned, &nibbles, &mut coarse);
    compare(&format!("refine, {place}"), kernel, coarse, &refined)?;
    looked_up.iter_mut().for_each(|hit| hit.dot = -1);
    kernel.fine_rows(&scanned, &nibbles, &mut looked_up);
    compare(&format!("fine rows, {place}"), kernel, looked_up, &refined)
}

/// Runs the tile of a kernel; the probes' numbers are cut to what its form allows.
fn check_tile(kernel: Kernel, rows: &Rows, probes: &[Vec<i8>], limit: Limit) -> Result<(), String> {
    let nibbles = rows.nibbles();
    let largest = kernel.form().probe_code_max();
    let cut = |probe: &Vec<i8>| probe.iter().map(|&q| q.clamp(-largest, largest)).collect();
    let probes: Vec<Vec<i8>> = probes.iter().map(cut).collect();
    let part = match kernel.form() {
        Form::EightBits => |code| code,
        Form::SixBits => six_bit_part,
    };
    let references: Vec<&[i8]> = probes.iter().map(|probe| &probe[..]).collect();
    let packed_probes = kernel.pack_probes(nibbles.values_per_row(), &references);
    let mut packed = kernel.packed_rows();
    // Twice, so that what the first left behind would be seen.
    kernel.pack(
        &Rows::new(rows.dimension, rows.codes.len() + 40, || 119).nibbles(),
        &mut packed,
    );
    kernel.pack(&nibbles, &mut packed);
    let (scales, residuals) = packed.bounds_mut();
    scales.copy_from_slice(&rows.scales);
    residuals.copy_from_slice(&rows.residuals);
    // Each probe has its own, so that a kernel which takes another's is found.
    let own = |at: usize| Limit {
        least: limit.least * (1.0 + at as f32),
        ..limit
    };
    let mut limits: Vec<Limit> = (0..probes.len()).map(own).collect();
    limits.resize(packed_probes.limits(), Limit::NOTHING);
    let mut hits = Vec::new();
    for group in 0..packed.groups() {
        kernel.tile(
            &packed_probes,
            &packed,
            group,
            &limits,
            Ahead::nibbles(&nibbles),
            &mut hits,
        );
    }
    let place = format!(
        "tile, {} values, {} rows, {} probes",
        rows.dimension,
        rows.codes.len(),
        probes.len()
    );
    compare(
        &place,
        kernel,
        hits,
        &expected(&probes, rows, &limits, part),
    )?;
    let square = |row: &Vec<i32>| {
        row.iter()
            .map(|&c| (c - part(c)).pow(2) as u32)
            .sum::<u32>()
    };
    let squares: Vec<u32> = rows.codes.iter().map(square).collect();
    if packed.squares() != squares {
        return Err(format!("{}, squares of {place}", kernel.isa()));
    }
    Ok(())
}

/// Everything that a kernel must get right.
fn conform(kernel: Kernel) -> Result<(), String> {
    let mut random = StdRng::seed_from_u64(4);
    let mut probe_counts = PROBES.iter().cycle();
    for &dimension in DIMENSIONS {
        // Extremes attack the sums in 16 bits; the probe's numbers are of one sign, or alternate so
        // that only one lane grows.
        for code in [-128, -119, 119] {
            let rows = Rows::new(dimension, 33, || code);
            let alternating = (0..dimension).map(|at| if at % 2 == 0 { 127 } else { -127 });
            let probes = [
                vec![127; dimension],
                vec![-127; dimension],
                alternating.collect(),
            ];
            check(kernel, &rows, &probes, Limit::EVERYTHING)?;
            check_tile(kernel, &rows, &probes, Limit::EVERYTHING)?;
        }
        let few = [ROWS[random.random_range(0..ROWS.len())]];
        let counts = if dimension <= 512 { ROWS } else { &few };
        for &count in counts {
            let rows = Rows::new(dimension, count, || random.random_range(-128..=119));
            let mut random = StdRng::seed_from_u64(count as u64);
            let mut probe = || {
                (0..dimension)
                    .map(|_| random.random_range(-127..=127))
                    .collect()
            };
            let probe_count = *probe_counts.next().expect("it goes round");
            let probes: Vec<Vec<i8>> = (0..probe_count).map(|_| probe()).collect();
            for least in [f32::NEG_INFINITY, 100.0, 1e7] {
                let limit = Limit {
                    weight: 300.0,
                    least,
                };
                check(kernel, &rows, &probes, limit)?;
                check_tile(kernel, &rows, &probes, limit)?;
            }
        }
    }
    Ok(())
}

#[test]
fn every_kernel_of_this_machine_equals_the_definition() {
    for isa in Isa::available() {
        println!("{isa}");
        let kernel = Kernel::for_isa(isa).expect("it is available");
        conform(kernel).unwrap();
    }
}

/// Continuous integration names the instruction sets that its machines have, so that a test which
/// silently ran fewer would be seen.
#[test]
fn the_instruction_sets_that_must_be_here_are() {
    let required = std::env::var("REQUIRE_ISA").unwrap_or_default();
    for name in required.split(',').filter(|name| !name.is_empty()) {
        let isa: Isa = name.parse().unwrap();
        assert!(
            isa.is_available(),
            "REQUIRE_ISA names {isa}, which is not here"
        );
        assert_eq!(Kernel::for_isa(isa).unwrap().isa(), isa);
    }
}

/// Kernels with the mistakes that are easily made. The suite is worth something if it finds each.
mod wrong {
    use super::*;
    use crate::dot_i8::Scalar;
    use crate::scan::ScanTable;

    const SCALAR: ScanTable = scan::portable::table::<Scalar>();

    type Report<'a> = (&'a ScanProbe, &'a NibbleRows<'a>, &'a Bounds<'a>, Limit);

    fn right((probe, rows, bounds, limit): Report<'_>, hits: &mut Vec<Hit>) {
        Kernel::for_isa(Isa::Scalar)
            .unwrap()
            .fine(probe, rows, bounds, limit, hits);
    }

    macro_rules! scan {
        ($name:ident, $hits:ident, $limit:ident, $body:expr) => {
            pub(super) static $name: ScanTable = {
                fn fine(
                    probe: &ScanProbe,
                    rows: &NibbleRows<'_>,
                    bounds: &Bounds<'_>,
                    $limit: Limit,
                    $hits: &mut Vec<Hit>,
                ) {
                    right((probe, rows, bounds, $limit), $hits);
                    $body
                }
                ScanTable {
                    coarse: SCALAR.coarse,
                    fine,
                    refine: SCALAR.refine,
                    fine_rows: SCALAR.fine_rows,
                    coarse_share_max: SCALAR.coarse_share_max,
                }
            };
        };
    }

    scan!(
        SATURATES,
        hits,
        _limit,
        hits.iter_mut().for_each(|hit| {
            hit.dot = hit.dot.clamp(-60_000_000, 60_000_000);
        })
    );
    scan!(
        MISSES_THE_LAST,
        hits,
        _limit,
        hits.truncate(hits.len().saturating_sub(1))
    );
    scan!(
        IS_OFF_BY_ONE,
        hits,
        _limit,
        if let Some(hit) = hits.last_mut() {
            hit.dot += 1;
        }
    );
    scan!(
        MISSES_EQUALS,
        hits,
        limit,
        if limit.least.is_finite() {
            hits.clear();
        }
    );
}

/// Tiles with such mistakes.
mod wrong_tile {
    use super::*;

    pub(super) fn misses_the_last_probe(
        probes: &PackedProbes,
        rows: &PackedRows,
        group: usize,
        limits: &[Limit],
        ahead: Ahead<'_>,
        hits: &mut Vec<Hit>,
    ) {
        scalar().tile(probes, rows, group, limits, ahead, hits);
        hits.retain(|hit| hit.probe as usize + 1 < probes.len());
    }

    pub(super) fn takes_a_neighbours_limit(
        probes: &PackedProbes,
        rows: &PackedRows,
        group: usize,
        limits: &[Limit],
        ahead: Ahead<'_>,
        hits: &mut Vec<Hit>,
    ) {
        let mut limits = limits.to_vec();
        limits.rotate_left(1);
        scalar().tile(probes, rows, group, &limits, ahead, hits);
    }

    fn scalar() -> Kernel {
        Kernel::for_isa(Isa::Scalar).unwrap()
    }
}

#[test]
fn a_wrong_kernel_is_caught() {
    let scalar = Kernel::for_isa(Isa::Scalar).unwrap();
    conform(scalar).unwrap();
    let tables = [
        &wrong::SATURATES,
        &wrong::MISSES_THE_LAST,
        &wrong::IS_OFF_BY_ONE,
        &wrong::MISSES_EQUALS,
    ];
    for scan in tables {
        let error = conform(Kernel { scan, ..scalar }).unwrap_err();
        assert!(error.contains("fine"), "{error}");
    }
    let tiles: [tile::Tile; 2] = [
        wrong_tile::misses_the_last_probe,
        wrong_tile::takes_a_neighbours_limit,
    ];
    for tile in tiles {
        let tile = Box::leak(Box::new(TileTable {
            tile,
            ..*tile::table(Isa::Scalar)
        }));
        let error = conform(Kernel { tile, ..scalar }).unwrap_err();
        assert!(error.contains("tile"), "{error}");
    }
}

#[test]
fn a_row_at_the_limit_is_reported_and_a_missing_one_never() {
    let limit = Limit {
        weight: 2.0,
        least: 11.0,
    };
    assert!(limit.reports(3, 3.0, 1.0));
    assert!(!limit.reports(3, 3.0, 0.99));
    assert!(!Limit::EVERYTHING.reports(3, 3.0, f32::NAN));
    assert!(!Limit::NOTHING.reports(i32::MAX, 3.0, 1.0));
}

#[test]
#[should_panic(expected = "from -31 to 31")]
fn numbers_that_could_overflow_are_a_mistake_of_ours() {
    let isa = Isa::available().find(|isa| Kernel::for_isa(*isa).unwrap().form() == Form::SixBits);
    let Some(isa) = isa else {
        panic!("no kernel in six bits here; from -31 to 31")
    };
    Kernel::for_isa(isa)
        .unwrap()
        .pack_probes(128, &[&[32; 128]]);
}

#[test]
#[should_panic(expected = "one dimension")]
fn dimensions_that_disagree_are_a_mistake_of_ours() {
    let rows = Rows::new(16, 1, || 0);
    let probe = ScanProbe::new(&[1; 129]);
    let bounds = rows.bounds();
    Kernel::detect().fine(
        &probe,
        &rows.nibbles(),
        &bounds,
        Limit::EVERYTHING,
        &mut Vec::new(),
    );
}

/// Rows of whole numbers whose largest is that of the form are coded as they are.
#[test]
fn rows_of_single_precision_are_coded_and_multiplied() {
    let mut random = StdRng::seed_from_u64(11);
    for kernel in coding() {
        let largest = kernel.form().probe_code_max();
        for &dimension in DIMENSIONS {
            for &count in if dimension < 600 { ROWS } else { &[33] } {
                let mut row = || -> Vec<f32> {
                    let mut row: Vec<f32> = (0..dimension)
                        .map(|_| f32::from(random.random_range(-largest..=largest)))
                        .collect();
                    row[dimension / 2] = f32::from(largest);
                    row
                };
                let rows: Vec<Vec<f32>> = (0..count).map(|_| row()).collect();
                let probes: Vec<Vec<i8>> = (0..21)
                    .map(|_| {
                        (0..dimension)
                            .map(|_| random.random_range(-largest..=largest))
                            .collect()
                    })
                    .collect();
                check_coded(kernel, dimension, &rows, &probes);
            }
        }
    }
}

fn coding() -> impl Iterator<Item = Kernel> {
    let kernels = Isa::available().filter_map(Kernel::for_isa);
    kernels.filter(|kernel| kernel.code_probes_min().is_some())
}

fn check_coded(kernel: Kernel, dimension: usize, rows: &[Vec<f32>], probes: &[Vec<i8>]) {
    let what = format!("{kernel:?}, {} rows of {dimension}", rows.len());
    let rows: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
    let numbers: Vec<&[i8]> = probes.iter().map(Vec::as_slice).collect();
    let packed_probes = kernel.pack_probes(coded_values(dimension), &numbers);
    let mut limits = vec![Limit::NOTHING; packed_probes.limits()];
    limits[..probes.len()].fill(Limit::EVERYTHING);
    // What a number of a row stands for.
    let unit = match kernel.form() {
        Form::EightBits => 1,
        Form::SixBits => 4,
    };
    let mut packed = kernel.packed_rows();
    // Memory that was used before, for more.
    let longest: &[f32] = &[1.0; VALUES_MAX];
    kernel.code(&[longest; 40], &mut packed);
    kernel.code(&rows, &mut packed);
    for (row, (&scale, &residual)) in rows
        .iter()
        .zip(packed.bounds().scales.iter().zip(packed.bounds().residuals))
    {
        let length = dot_f64(row, row).sqrt();
        assert!(
            (f64::from(scale) * f64::from(unit) * length - 1.0).abs() < 1e-4,
            "{what}: {scale}"
        );
        assert!((0.0..1e-3).contains(&residual), "{what}: {residual}");
    }
    let mut hits = Vec::new();
    for group in 0..packed.groups() {
        let ahead = Ahead::values(rows[0]);
        kernel.tile(&packed_probes, &packed, group, &limits, ahead, &mut hits);
    }
    hits.sort_by_key(|hit| (hit.probe, hit.row));
    let expected = probes.iter().enumerate().flat_map(|(at, probe)| {
        rows.iter().enumerate().map(move |(row, numbers)| {
            let products = probe.iter().zip(*numbers);
            let dot = products
                .map(|(&q, &c)| unit * i32::from(q) * c as i32)
                .sum();
            let (probe, row) = (at as u32, row as u32);
            Hit { probe, row, dot }
        })
    });
    assert!(hits.into_iter().eq(expected), "{what}");
}

#[test]
fn what_cannot_be_coded_has_no_residual() {
    let wrong = [
        f32::NAN,
        -f32::NAN,
        f32::INFINITY,
        f32::MAX,
        f32::MIN_POSITIVE,
        0.0,
    ];
    for kernel in coding() {
        for wrong in wrong {
            for at in [0, 15, 63, 64, 99] {
                let mut rows = vec![vec![1.0_f32; 100]; 35];
                if wrong.abs() < 1.0 {
                    rows[17].fill(0.0);
                }
                rows[17][at] = wrong;
                let rows: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
                let mut packed = kernel.packed_rows();
                kernel.code(&rows, &mut packed);
                for (row, residual) in packed.bounds().residuals.iter().enumerate() {
                    assert_eq!(residual.is_nan(), row == 17, "{kernel:?}, {wrong} at {at}");
                }
            }
        }
    }
}

#[test]
#[should_panic(expected = "rows of one length")]
fn rows_of_several_lengths_are_not_coded() {
    let kernel = Kernel::detect();
    kernel.code(&[&[1.0; 16], &[1.0; 17]], &mut kernel.packed_rows());
}
