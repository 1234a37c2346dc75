//! AVX-512 VNNI: thirty-two rows x twelve probes; fewer, where there are no more.

use std::arch::x86_64::*;

use super::interleave_avx512::interleave;
use super::{
    Code, Form, PackedProbes, PackedRows, ROWS_PER_GROUP, TileTable, code_avx512, part_of_step,
};
use crate::avx512::{load, reports, store};
use crate::prefetch::ask_for;
use crate::rows::{Ahead, Hit, Limit, Line, push};

pub(super) static TABLE: TileTable = TileTable {
    form: Form::EightBits,
    probes_interleaved: PROBES,
    probes_per_step: PROBES,
    probes_min: 5,
    pack: interleave,
    code: Some(Code {
        code: code_avx512::code,
        probes_min: 17,
    }),
    tile,
    spin: Some(spin),
};

/// Twenty-four accumulators, two vectors of rows and a probe fit into thirty-two registers.
const PROBES: usize = 12;
/// What a row's numbers are stored with.
const ROW_OFFSET: i32 = 128;

/// Thirty-two rows, and what decides about reporting them, sixteen at a time.
struct Rows<'a> {
    first: usize,
    lines: (&'a [Line], &'a [Line]),
    scales: &'a [[f32; 16]],
    residuals: &'a [[f32; 16]],
}

/// Twelve probes, or fewer and nothing behind them.
struct Step<'a> {
    first: usize,
    words: &'a [[i32; PROBES]],
    sums: &'a [i32; PROBES],
    limits: &'a [Limit; PROBES],
    /// What memory is asked for meanwhile.
    ahead: [&'a [Line]; 2],
}

#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
fn tile(
    probes: &PackedProbes,
    rows: &PackedRows,
    group: usize,
    limits: &[Limit],
    ahead: Ahead<'_>,
    hits: &mut Vec<Hit>,
) {
    let rows = Rows {
        first: group * ROWS_PER_GROUP,
        lines: rows.group_halves(group),
        scales: rows.group_scales(group).as_chunks().0,
        residuals: rows.group_residuals(group).as_chunks().0,
    };
    let steps = probes.limits() / PROBES;
    for (step, words, sums, limits) in probes.steps::<PROBES>(rows.lines.0.len(), limits) {
        let first = step * PROBES;
        let step = Step {
            first,
            words,
            sums,
            limits,
            ahead: part_of_step(ahead, step, steps),
        };
        match probes.len() - first {
            1..=4 => report::<4>(&step, &rows, hits),
            5..=8 => report::<8>(&step, &rows, hits),
            _ => report::<PROBES>(&step, &rows, hits),
        }
    }
}

/// Reports the rows that reach the limit of one of the first `COUNT` probes.
#[inline]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
fn report<const COUNT: usize>(step: &Step<'_>, rows: &Rows<'_>, hits: &mut Vec<Hit>) {
    let sums = thirty_two_rows::<COUNT>(rows.lines, step.words, step.ahead);
    for (at, sums) in sums.iter().enumerate() {
        let offset = _mm512_set1_epi32(ROW_OFFSET * step.sums[at]);
        for (half, &sum) in sums.iter().enumerate() {
            let vector = _mm512_sub_epi32(sum, offset);
            let (scales, residuals) = (&rows.scales[half], &rows.residuals[half]);
            let mask = reports(step.limits[at], vector, scales, residuals);
            if mask != 0 {
                let mut dots = [0; 16];
                store(&mut dots, vector);
                push(hits, step.first + at, rows.first + half * 16, mask, &dots);
            }
        }
    }
}

/// Multiplies the two halves of a group with the first `COUNT` probes.
#[inline]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
fn thirty_two_rows<const COUNT: usize>(
    (front, back): (&[Line], &[Line]),
    words: &[[i32; PROBES]],
    ahead: [&[Line]; 2],
) -> [[__m512i; 2]; COUNT] {
    let mut sums = [[_mm512_setzero_si512(); 2]; COUNT];
    let mut lines = front.iter().zip(back).zip(words);
    // A line at a time: of many requests at once the processor seems to drop some.
    for at in 0..ahead[0].len() {
        ask_for(ahead[0], at, 1);
        ask_for(ahead[1], at, 1);
        if let Some(((front, back), words)) = lines.next() {
            add_products(&mut sums, front, back, words);
        }
    }
    for ((front, back), words) in lines {
        add_products(&mut sums, front, back, words);
    }
    sums
}

/// Adds the products of four values of each row with those of the first `COUNT` probes.
#[inline]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
fn add_products<const COUNT: usize>(
    sums: &mut [[__m512i; 2]; COUNT],
    front: &Line,
    back: &Line,
    words: &[i32; PROBES],
) {
    let (front, back) = (load(front), load(back));
    for (sums, &word) in sums.iter_mut().zip(words) {
        let word = _mm512_set1_epi32(word);
        sums[0] = _mm512_dpbusd_epi32(sums[0], front, word);
        sums[1] = _mm512_dpbusd_epi32(sums[1], back, word);
    }
}

/// As [`thirty_two_rows`] multiplies, with as many sums.
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
fn spin(rounds: u64) -> u64 {
    const SUMS: u64 = 24;
    const STEPS: u64 = 8;
    let (row, probe) = std::hint::black_box((_mm512_set1_epi8(1), _mm512_set1_epi8(1)));
    let mut sums = [_mm512_setzero_si512(); SUMS as usize];
    for _ in 0..rounds * STEPS {
        for sum in &mut sums {
            *sum = _mm512_dpbusd_epi32(*sum, row, probe);
        }
    }
    std::hint::black_box(sums);
    rounds * STEPS * SUMS * 64
}
