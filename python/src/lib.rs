//! The compiled half of the Python module `vultus`: what is computed with the interpreter's lock
//! released.
//!
//! The other half, in `python/vultus`, is what people call. It makes arrays of whatever it is given
//! and checks them, so that here only numbers that lie in memory come in. No panic leaves
//! this half: [`run::run`] makes an exception of it.

mod arrays;
mod errors;
mod gallery;
mod run;
mod search;
mod threads;

use pyo3::prelude::*;

/// The functions and classes that `python/vultus` uses.
#[pymodule]
mod _vultus {
    #[pymodule_export]
    use super::gallery::Handle;
    #[pymodule_export]
    use super::search::{exact_search, pairs_above};
    #[pymodule_export]
    use super::threads::threads_usual;
}
