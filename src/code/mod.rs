//! Templates as rows of numbers: what a row's bytes mean, and how far its score can be from the
//! truth. Where rows are stored is not known here.
//!
//! # The code
//!
//! Let u = x / ‖x‖ be a template's direction. Each value is rounded to a whole number c from -119
//! to 119 with one scale s for the row, u ≈ s·c, and c is split as c = 16·h + l with h from -7 to 7
//! and l from -8 to 7. Numbers h and l are stored as nibbles in two separate planes, so that a
//! scan may read
//!
//! * the *coarse* plane alone: û₄ = 16·s·h, half a byte a value, or
//! * both planes: û₈ = s·c, a byte a value,
//!
//! and the row itself (x, single precision) is only read to decide the last few candidates. ±119
//! and not ±127 because 120 to 127 would round to h = 8, which a signed nibble does not hold.
//!
//! # The bound
//!
//! Beside each row stand r₄ = ‖u − û₄‖ and r₈ = ‖u − û₈‖, rounded upwards. A probe v (of length
//! one) is coded likewise in eight bits, v̂, with its own e = ‖v − v̂‖. For every row and either
//! plane
//!
//! ```text
//! ⟨v,u⟩ = ⟨v̂,û⟩ + ⟨v − v̂, û⟩ + ⟨v, u − û⟩
//! |⟨v,u⟩ − ⟨v̂,û⟩| ≤ e·‖û‖ + r ≤ e·(1 + r) + r           (Cauchy-Schwarz, ‖û‖ ≤ ‖u‖ + r)
//! ```
//!
//! ⟨v̂,û⟩ is a whole number times two scales, and [`ProbeCode::score_error`] is the right-hand side
//! with an allowance for rounding. A row whose estimate plus this error misses the k-th best exact
//! score is out by proof; all others are scored exactly by [`similarity`].
//!
//! A kernel that multiplies many probes in six bits uses t, c rounded to a multiple of 4 and
//! divided by it, and a probe coded in six bits. The bound is the same with û₆ = 4·s·t: packing
//! counts ‖c − 4·t‖², and ‖u − û₆‖ ≤ r₈ + s·‖c − 4·t‖.
//!
//! Rows that are not coded are estimated in single precision; `single.rs` has the bound.

mod planes;
mod probe;
mod quantize;
mod similarity;
mod single;

pub use planes::{Layout, Planes, RowBlock};
pub use probe::{Probe, ProbeCode};
pub use quantize::Codes;
pub use similarity::{length, similarity};
pub use single::{inverse_length, single_error, single_least};
