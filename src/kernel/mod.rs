//! Arithmetic over blocks of rows; the only folder that may know a processor.
//!
//! | operation | what it computes | scalar | simsimd |
//! | --------- | ---------------- | ------ | ------- |
//! | [`DotI8`] | one int8 probe against many int8 rows, in whole numbers | x | x (NEON, SVE, AVX2, AVX-512) |
//! | [`dot_f64`] | two f32 rows, in double precision and a fixed order | x | |
//!
//! Kernels know slices and numbers: no template, no file, no thread. Integer kernels agree to the
//! bit; the conformance suite at the foot of `dot_i8.rs` runs every [`Isa`] that the machine has
//! against the scalar one. To add an instruction set: a variant of [`Isa`], an arm in
//! [`DotI8::for_isa`], nothing else.

mod dot_f64;
mod dot_i8;

pub use dot_f64::dot_f64;
pub use dot_i8::{DotI8, Isa};
