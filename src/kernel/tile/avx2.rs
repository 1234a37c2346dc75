//! AVX2: sixteen rows x six probes, eight sums in 16 bits before they are widened.

use std::arch::x86_64::*;

use super::interleave::{SIX_BITS, interleave};
use super::x86::tile_of_sixteen;
use super::{Form, TileTable};
use crate::kernel::avx2::{load, store};
use crate::kernel::rows::Line;

pub(super) static TABLE: TileTable = TileTable {
    form: Form::SixBits,
    probes_interleaved: PROBES,
    probes_per_step: PROBES,
    pack: interleave::<SIX_BITS>,
    tile,
};

/// Lines of four values, and with them sums in 16 bits, until they are widened.
const LINES_PER_WIDENING: usize = 8;
/// What a row's numbers are stored with.
const ROW_OFFSET: i32 = 32;

tile_of_sixteen!("avx2", sixteen_rows);

/// Multiplies sixteen rows with six probes and puts 4·Σ q·t into `dots`, from its `eight`-th eight
/// on.
#[inline]
#[target_feature(enable = "avx2")]
fn sixteen_rows(
    lines: &[Line],
    words: &[[i32; PROBES]],
    probe_sums: &[i32; PROBES],
    dots: &mut [[i32; ROWS_PER_GROUP]; PROBES],
    eight: usize,
) {
    let ones = _mm256_set1_epi16(1);
    let mut wide = [[_mm256_setzero_si256(); 2]; PROBES];
    let (line_chunks, _) = lines.as_chunks::<LINES_PER_WIDENING>();
    let (word_chunks, _) = words.as_chunks::<LINES_PER_WIDENING>();
    for (lines, words) in line_chunks.iter().zip(word_chunks) {
        let mut sums = [[_mm256_setzero_si256(); 2]; PROBES];
        for (line, words) in lines.iter().zip(words) {
            let halves = [load(line, 0), load(line, 1)];
            for probe in 0..PROBES {
                let word = _mm256_set1_epi32(words[probe]);
                for half in 0..2 {
                    let product = _mm256_maddubs_epi16(halves[half], word);
                    sums[probe][half] = _mm256_add_epi16(sums[probe][half], product);
                }
            }
        }
        for probe in 0..PROBES {
            for half in 0..2 {
                let widened = _mm256_madd_epi16(sums[probe][half], ones);
                wide[probe][half] = _mm256_add_epi32(wide[probe][half], widened);
            }
        }
    }
    for probe in 0..PROBES {
        let offset = _mm256_set1_epi32(ROW_OFFSET * probe_sums[probe]);
        let (targets, _) = dots[probe].as_chunks_mut::<8>();
        for half in 0..2 {
            let sum = _mm256_sub_epi32(wide[probe][half], offset);
            store(&mut targets[eight + half], _mm256_slli_epi32::<2>(sum));
        }
    }
}
