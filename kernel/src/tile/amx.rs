//! AMX: tiles of sixteen rows x sixteen probes x 64 values.
//!
//! Its intrinsics are not yet stable in Rust, so its instructions are written out. A thread needs a
//! tile configuration before and gives it back after each group; the process needs the operating
//! system's permission once.

use std::arch::asm;

use super::interleave::{SIGNED, interleave};
use super::{Form, PackedProbes, PackedRows, ROWS_PER_GROUP, TileTable, prefetch};
use crate::avx2::reports;
use crate::rows::{Ahead, Hit, Limit, Line, push};

pub(super) static TABLE: TileTable = TileTable {
    form: Form::EightBits,
    probes_interleaved: 1,
    probes_per_step: PROBES,
    probes_min: 6,
    pack: interleave::<SIGNED>,
    code: None,
    tile,
    spin: Some(spin),
};

/// Two tiles of probes beside two tiles of rows: four accumulators, so that the sixty-four products
/// of a step hide their latency.
const PROBES: usize = 32;
/// Dot products of a step.
type Dots = [[i32; ROWS_PER_GROUP]; PROBES];

#[target_feature(enable = "avx2")]
fn tile(
    probes: &PackedProbes,
    rows: &PackedRows,
    group: usize,
    limits: &[Limit],
    ahead: Ahead<'_>,
    hits: &mut Vec<Hit>,
) {
    let (scales, residuals) = (rows.group_scales(group), rows.group_residuals(group));
    let (front, back) = rows.group_halves(group);
    let lines_per_probe = rows.values_per_row / size_of::<Line>();
    let mut compare = |step: usize, dots: &Dots| {
        let (limits, _) = limits.as_chunks::<PROBES>();
        for (at, dots) in dots.iter().enumerate() {
            let mask = reports(limits[step][at], dots, scales, residuals);
            push(hits, step * PROBES + at, group * ROWS_PER_GROUP, mask, dots);
        }
    };
    let mut buffers = [
        Aligned([[0; ROWS_PER_GROUP]; PROBES]),
        Aligned([[0; ROWS_PER_GROUP]; PROBES]),
    ];
    // SAFETY: A kernel for AMX is only made where `is_available` said yes.
    unsafe { configure() };
    let steps = probes.lines.chunks_exact(PROBES * lines_per_probe);
    let count = steps.len();
    for (step, probes) in steps.enumerate() {
        prefetch(ahead, step, count);
        let [even, odd] = &mut buffers;
        let (now, before) = if step % 2 == 0 {
            (even, odd)
        } else {
            (odd, even)
        };
        // SAFETY: As above, and the tiles are configured.
        unsafe { multiply(probes, lines_per_probe, front, back, &mut now.0) };
        // Sums are still on their way from the tiles to memory. Comparing those of the step before
        // meanwhile waits for nothing.
        if step > 0 {
            compare(step - 1, &before.0);
        }
    }
    if count > 0 {
        compare(count - 1, &buffers[(count - 1) % 2].0);
    }
    // SAFETY: As above. Idle tiles would keep the processor from saving power.
    unsafe { asm!("tilerelease", options(nomem, nostack, preserves_flags)) };
}

/// On whole cache lines, as tiles are stored.
#[repr(align(64))]
struct Aligned(Dots);

/// Eight tiles of sixteen rows of 64 bytes.
///
/// # Safety
///
/// The processor must have AMX, and the operating system must have given permission.
unsafe fn configure() {
    /// Palette 1; at 16 the bytes of a row, two bytes a tile; at 48 the rows, a byte a tile.
    const CONFIGURATION: Line = {
        let mut bytes = [0; 64];
        bytes[0] = 1;
        let mut tile = 0;
        while tile < 8 {
            bytes[16 + 2 * tile] = 64;
            bytes[48 + tile] = 16;
            tile += 1;
        }
        Line(bytes)
    };
    // SAFETY: The caller vouches for the processor; the configuration is 64 readable bytes.
    unsafe {
        asm!(
            "ldtilecfg [{configuration}]",
            configuration = in(reg) CONFIGURATION.0.as_ptr(),
            options(readonly, nostack, preserves_flags),
        );
    }
}

/// Multiplies 32 probes with 32 rows.
///
/// # Safety
///
/// The tiles must be configured.
///
/// # Panics
///
/// Panics if the slices are not as long as the instructions read.
#[inline]
unsafe fn multiply(
    probes: &[Line],
    lines_per_probe: usize,
    front: &[Line],
    back: &[Line],
    dots: &mut Dots,
) {
    assert!(lines_per_probe > 0 && probes.len() == PROBES * lines_per_probe);
    assert!(front.len() == 16 * lines_per_probe && back.len() == front.len());
    // SAFETY: Tiles of probes are read from sixteen rows `stride` bytes apart, 64 bytes at 64 bytes
    // times the step; tiles of rows from sixteen lines at sixteen lines times the step; the
    // assertions above say that the last step ends where the slices do. Four tiles are written to
    // quarters of `dots`, rows of 64 bytes 128 bytes apart.
    unsafe {
        asm!(
            "tilezero tmm0",
            "tilezero tmm1",
            "tilezero tmm2",
            "tilezero tmm3",
            "2:",
            "tileloadd tmm4, [{upper} + {stride}*1]",
            "tileloadd tmm6, [{front} + {line}*1]",
            "tdpbssd tmm0, tmm4, tmm6",
            "tileloadd tmm7, [{back} + {line}*1]",
            "tdpbssd tmm1, tmm4, tmm7",
            "tileloadd tmm5, [{lower} + {stride}*1]",
            "tdpbssd tmm2, tmm5, tmm6",
            "tdpbssd tmm3, tmm5, tmm7",
            "add {upper}, 64",
            "add {lower}, 64",
            "add {front}, 1024",
            "add {back}, 1024",
            "dec {steps}",
            "jnz 2b",
            "lea {line}, [{line}*2]",
            "tilestored [{dots} + {line}*1], tmm0",
            "tilestored [{dots} + {line}*1 + 64], tmm1",
            "tilestored [{dots} + {line}*1 + 2048], tmm2",
            "tilestored [{dots} + {line}*1 + 2112], tmm3",
            upper = inout(reg) probes.as_ptr() => _,
            lower = inout(reg) probes[16 * lines_per_probe..].as_ptr() => _,
            front = inout(reg) front.as_ptr() => _,
            back = inout(reg) back.as_ptr() => _,
            stride = in(reg) lines_per_probe * 64,
            line = inout(reg) 64_usize => _,
            steps = inout(reg) lines_per_probe => _,
            dots = in(reg) dots.as_mut_ptr(),
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        );
    }
}

/// As [`multiply`] multiplies, with four sums.
fn spin(rounds: u64) -> u64 {
    if rounds > 0 {
        // SAFETY: A kernel for AMX is only made where `is_available` said yes; tiles are configured
        // before they are used and released afterwards.
        unsafe {
            configure();
            asm!(
                "tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3",
                "tilezero tmm4", "tilezero tmm5", "tilezero tmm6", "tilezero tmm7",
                "2:",
                "tdpbssd tmm0, tmm4, tmm6", "tdpbssd tmm1, tmm4, tmm7",
                "tdpbssd tmm2, tmm5, tmm6", "tdpbssd tmm3, tmm5, tmm7",
                "dec {rounds}",
                "jnz 2b",
                "tilerelease",
                rounds = inout(reg) rounds => _,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nomem, nostack),
            );
        }
    }
    rounds * 4 * 16 * 16 * 64
}
