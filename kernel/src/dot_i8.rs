//! The dot product of two rows of bytes, for kernels that are not written for one processor.

/// A way to multiply two rows.
pub(super) trait DotI8 {
    /// Σ a·b of two rows of the same length.
    fn dot(a: &[i8], b: &[i8]) -> i32;
}

/// Plain Rust: the reference.
pub(super) struct Scalar;

impl DotI8 for Scalar {
    fn dot(a: &[i8], b: &[i8]) -> i32 {
        let products = a.iter().zip(b).map(|(&a, &b)| i32::from(a) * i32::from(b));
        products.sum()
    }
}

/// The `simsimd` library.
pub(super) struct Simsimd;

impl DotI8 for Simsimd {
    fn dot(a: &[i8], b: &[i8]) -> i32 {
        let dot = <i8 as simsimd::SpatialSimilarity>::dot(a, b);
        // The library answers in f64, in which every 32-bit integer is exact.
        dot.expect("simsimd refuses only rows of different lengths") as i32
    }
}
