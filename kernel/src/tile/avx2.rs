//! AVX2: sixteen rows x six probes, eight sums in 16 bits before they are widened.

use std::arch::asm;
use std::arch::x86_64::*;

use super::interleave::{SIX_BITS, interleave};
use super::x86::tile_of_sixteen;
use super::{Code, Form, TileTable, code_avx2};
use crate::rows::Line;

pub(super) static TABLE: TileTable = TileTable {
    form: Form::SixBits,
    probes_interleaved: PROBES,
    probes_per_step: PROBES,
    probes_min: 6,
    pack: interleave::<SIX_BITS>,
    code: Some(Code {
        code: code_avx2::code,
        probes_min: 17,
    }),
    tile,
    spin: Some(spin),
};

/// Lines of four values, each of which adds one sum in 16 bits, until they are widened.
const LINES_PER_WIDENING: usize = 8;
/// What a row's numbers are stored with.
const ROW_OFFSET: i32 = 32;

tile_of_sixteen!("avx2", sixteen_rows);

/// Sums of 32 bits: two vectors of eight rows for each probe.
#[repr(align(32))]
struct Sums([[i32; 16]; PROBES]);

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
    let mut sums = Sums([[0; 16]; PROBES]);
    // SAFETY: This function is compiled for AVX2.
    unsafe { multiply(lines, words, &mut sums) };
    for probe in 0..PROBES {
        let offset = ROW_OFFSET * probe_sums[probe];
        let targets = &mut dots[probe][eight * 8..][..16];
        for (target, sum) in targets.iter_mut().zip(sums.0[probe]) {
            *target = 4 * (sum - offset);
        }
    }
}

/// The instructions for one probe and the two vectors of a line, in registers 12 and 13.
macro_rules! probe {
    ($line:literal, $probe:literal, $front:literal, $back:literal) => {
        concat!(
            "vpbroadcastd ymm14, [{words} + 24*",
            $line,
            " + 4*",
            $probe,
            "]\n",
            "vpmaddubsw ymm15, ymm12, ymm14\n",
            "vpmaddubsw ymm14, ymm13, ymm14\n",
            "vpaddw ",
            $front,
            ", ",
            $front,
            ", ymm15\n",
            "vpaddw ",
            $back,
            ", ",
            $back,
            ", ymm14\n",
        )
    };
}

/// The instructions for one line: four values of sixteen rows and six probes.
macro_rules! line {
    ($line:literal) => {
        concat!(
            "vmovdqa ymm12, [{lines} + 64*",
            $line,
            "]\n",
            "vmovdqa ymm13, [{lines} + 64*",
            $line,
            " + 32]\n",
            probe!($line, 0, "ymm0", "ymm1"),
            probe!($line, 1, "ymm2", "ymm3"),
            probe!($line, 2, "ymm4", "ymm5"),
            probe!($line, 3, "ymm6", "ymm7"),
            probe!($line, 4, "ymm8", "ymm9"),
            probe!($line, 5, "ymm10", "ymm11"),
        )
    };
}

/// The instructions that add a register of 16-bit sums to those of 32 bits, and clear it.
macro_rules! widen {
    ($register:literal, $at:literal) => {
        concat!(
            "vpmaddwd ",
            $register,
            ", ",
            $register,
            ", ymm12\n",
            "vpaddd ",
            $register,
            ", ",
            $register,
            ", [{sums} + 32*",
            $at,
            "]\n",
            "vmovdqa [{sums} + 32*",
            $at,
            "], ",
            $register,
            "\n",
            "vpxor ",
            $register,
            ", ",
            $register,
            ", ",
            $register,
            "\n",
        )
    };
}

/// Adds Σ q·(t + 32) of sixteen rows and six probes to `sums`.
///
/// Written in instructions: sixteen registers are just enough, and the compiler, left to itself,
/// reorders additions until they are not, and is then a quarter slower.
///
/// # Safety
///
/// The processor must have AVX2.
///
/// # Panics
///
/// Panics if there are not as many lines as words, a multiple of [`LINES_PER_WIDENING`].
#[inline]
unsafe fn multiply(lines: &[Line], words: &[[i32; PROBES]], sums: &mut Sums) {
    assert!(lines.len() == words.len() && lines.len().is_multiple_of(LINES_PER_WIDENING));
    let chunks = lines.len() / LINES_PER_WIDENING;
    if chunks == 0 {
        return;
    }
    let ones = 0x0001_0001;
    // SAFETY: Each of `chunks` rounds reads eight lines of 64 bytes, which are aligned, and eight
    // groups of 24 bytes, of which the assertion says there are as many; it reads and writes the
    // 384 bytes of `sums`, which are aligned.
    unsafe {
        asm!(
            "vpxor ymm0, ymm0, ymm0", "vpxor ymm1, ymm1, ymm1", "vpxor ymm2, ymm2, ymm2",
            "vpxor ymm3, ymm3, ymm3", "vpxor ymm4, ymm4, ymm4", "vpxor ymm5, ymm5, ymm5",
            "vpxor ymm6, ymm6, ymm6", "vpxor ymm7, ymm7, ymm7", "vpxor ymm8, ymm8, ymm8",
            "vpxor ymm9, ymm9, ymm9", "vpxor ymm10, ymm10, ymm10", "vpxor ymm11, ymm11, ymm11",
            "2:",
            line!(0), line!(1), line!(2), line!(3), line!(4), line!(5), line!(6), line!(7),
            "vmovd xmm12, {ones:e}",
            "vpbroadcastd ymm12, xmm12",
            widen!("ymm0", 0), widen!("ymm1", 1), widen!("ymm2", 2), widen!("ymm3", 3),
            widen!("ymm4", 4), widen!("ymm5", 5), widen!("ymm6", 6), widen!("ymm7", 7),
            widen!("ymm8", 8), widen!("ymm9", 9), widen!("ymm10", 10), widen!("ymm11", 11),
            "add {lines}, 512",
            "add {words}, 192",
            "dec {chunks}",
            "jnz 2b",
            lines = inout(reg) lines.as_ptr() => _,
            words = inout(reg) words.as_ptr() => _,
            chunks = inout(reg) chunks => _,
            sums = in(reg) sums.0.as_mut_ptr(),
            ones = in(reg) ones,
            out("ymm0") _, out("ymm1") _, out("ymm2") _, out("ymm3") _,
            out("ymm4") _, out("ymm5") _, out("ymm6") _, out("ymm7") _,
            out("ymm8") _, out("ymm9") _, out("ymm10") _, out("ymm11") _,
            out("ymm12") _, out("ymm13") _, out("ymm14") _, out("ymm15") _,
            options(nostack),
        );
    }
}

/// As [`sixteen_rows`] multiplies: twelve sums, widened after eight products.
#[target_feature(enable = "avx2")]
fn spin(rounds: u64) -> u64 {
    const SUMS: u64 = 12;
    let ones = _mm256_set1_epi16(1);
    let mut wide = [_mm256_setzero_si256(); SUMS as usize];
    for _ in 0..rounds {
        let mut sums = [_mm256_setzero_si256(); SUMS as usize];
        for _ in 0..LINES_PER_WIDENING {
            for sum in &mut sums {
                let mut product: __m256i;
                // SAFETY: Registers alone. Written out, since the compiler would see that all
                // products are equal.
                unsafe {
                    asm!(
                        "vpmaddubsw {product}, {row}, {probe}",
                        product = lateout(ymm_reg) product,
                        row = in(ymm_reg) ones,
                        probe = in(ymm_reg) ones,
                        options(nomem, nostack, preserves_flags),
                    );
                }
                *sum = _mm256_add_epi16(*sum, product);
            }
        }
        for (wide, sum) in wide.iter_mut().zip(sums) {
            *wide = _mm256_add_epi32(*wide, _mm256_madd_epi16(sum, ones));
        }
    }
    std::hint::black_box(wide);
    rounds * SUMS * LINES_PER_WIDENING as u64 * 32
}
