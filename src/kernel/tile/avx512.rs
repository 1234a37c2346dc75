//! AVX-512 VNNI: thirty-two rows x twelve probes.

use std::arch::x86_64::*;

use super::interleave::{UNSIGNED, interleave};
use super::{Form, PackedProbes, PackedRows, ROWS_PER_GROUP, TileTable, prefetch};
use crate::kernel::avx512::{load, reports, store};
use crate::kernel::rows::{Hit, Limit, Line, NibbleRows};
use crate::kernel::scan::push;

pub(super) static TABLE: TileTable = TileTable {
    form: Form::EightBits,
    probes_interleaved: PROBES,
    probes_per_step: PROBES,
    pack: interleave::<UNSIGNED>,
    tile,
    spin: Some(spin),
};

/// Twenty-four accumulators, two vectors of rows and a probe fit into thirty-two registers.
const PROBES: usize = 12;
/// What a row's numbers are stored with.
const ROW_OFFSET: i32 = 128;

#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
fn tile(
    probes: &PackedProbes,
    rows: &PackedRows,
    group: usize,
    limits: &[Limit],
    ahead: &NibbleRows<'_>,
    hits: &mut Vec<Hit>,
) {
    let (scales, _) = rows.group_scales(group).as_chunks::<16>();
    let (residuals, _) = rows.group_residuals(group).as_chunks::<16>();
    let (front, back) = rows.group_halves(group);
    let steps = probes.limits() / PROBES;
    for (step, words, probe_sums, limits) in probes.steps::<PROBES>(front.len(), limits) {
        prefetch(ahead, step, steps);
        let sums = thirty_two_rows(front, back, words);
        for at in 0..PROBES {
            let offset = _mm512_set1_epi32(ROW_OFFSET * probe_sums[at]);
            for half in 0..2 {
                let vector = _mm512_sub_epi32(sums[at][half], offset);
                let mask = reports(limits[at], vector, &scales[half], &residuals[half]);
                if mask != 0 {
                    let mut dots = [0; 16];
                    store(&mut dots, vector);
                    let first = group * ROWS_PER_GROUP + half * 16;
                    push(hits, step * PROBES + at, first, mask, &dots);
                }
            }
        }
    }
}

/// Multiplies the two halves of a group with twelve probes.
#[inline]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
fn thirty_two_rows(
    front: &[Line],
    back: &[Line],
    words: &[[i32; PROBES]],
) -> [[__m512i; 2]; PROBES] {
    let mut sums = [[_mm512_setzero_si512(); 2]; PROBES];
    for ((front, back), words) in front.iter().zip(back).zip(words) {
        let halves = [load(front), load(back)];
        for probe in 0..PROBES {
            let word = _mm512_set1_epi32(words[probe]);
            for half in 0..2 {
                sums[probe][half] = _mm512_dpbusd_epi32(sums[probe][half], halves[half], word);
            }
        }
    }
    sums
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
