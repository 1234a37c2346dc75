//! AVX-VNNI: sixteen rows x six probes, sums in 32 bits from the first.

use std::arch::x86_64::*;

use super::interleave::{UNSIGNED, interleave};
use super::x86::tile_of_sixteen;
use super::{Form, TileTable};
use crate::avx2::{load, store};
use crate::rows::Line;

pub(super) static TABLE: TileTable = TileTable {
    form: Form::EightBits,
    probes_interleaved: PROBES,
    probes_per_step: PROBES,
    probes_min: 6,
    pack: interleave::<UNSIGNED>,
    code: None,
    tile,
    spin: Some(spin),
};

/// What a row's numbers are stored with.
const ROW_OFFSET: i32 = 128;

tile_of_sixteen!("avx2,avxvnni", sixteen_rows);

/// Multiplies sixteen rows with six probes and puts Σ q·c into `dots`, from its `eight`-th eight
/// on.
#[inline]
#[target_feature(enable = "avx2,avxvnni")]
fn sixteen_rows(
    lines: &[Line],
    words: &[[i32; PROBES]],
    probe_sums: &[i32; PROBES],
    dots: &mut [[i32; ROWS_PER_GROUP]; PROBES],
    eight: usize,
) {
    let mut sums = [[_mm256_setzero_si256(); 2]; PROBES];
    for (line, words) in lines.iter().zip(words) {
        let halves = [load(line, 0), load(line, 1)];
        for probe in 0..PROBES {
            let word = _mm256_set1_epi32(words[probe]);
            for half in 0..2 {
                sums[probe][half] = _mm256_dpbusd_avx_epi32(sums[probe][half], halves[half], word);
            }
        }
    }
    for probe in 0..PROBES {
        let offset = _mm256_set1_epi32(ROW_OFFSET * probe_sums[probe]);
        let (targets, _) = dots[probe].as_chunks_mut::<8>();
        for half in 0..2 {
            store(
                &mut targets[eight + half],
                _mm256_sub_epi32(sums[probe][half], offset),
            );
        }
    }
}

/// As [`sixteen_rows`] multiplies, with as many sums.
#[target_feature(enable = "avx2,avxvnni")]
fn spin(rounds: u64) -> u64 {
    const SUMS: u64 = 12;
    const STEPS: u64 = 8;
    let (row, probe) = std::hint::black_box((_mm256_set1_epi8(1), _mm256_set1_epi8(1)));
    let mut sums = [_mm256_setzero_si256(); SUMS as usize];
    for _ in 0..rounds * STEPS {
        for sum in &mut sums {
            *sum = _mm256_dpbusd_avx_epi32(*sum, row, probe);
        }
    }
    std::hint::black_box(sums);
    rounds * STEPS * SUMS * 32
}
