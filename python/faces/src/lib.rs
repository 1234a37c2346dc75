//! The compiled half of `vultus.Faces`: pictures to faces, embeddings, quality and liveness, with
//! the interpreter's lock released.
//!
//! `python/vultus/_faces.py` is what people call. It makes paths, bytes or pixels of whatever it is
//! given and checks them. What is wrong with a picture comes back as the name of an exception and
//! its text, so that one picture of many stops none of the others. No panic leaves this half.

mod failure;
mod networks;
mod picture;
mod seen;
mod turns;

use pyo3::prelude::*;

/// The class that `vultus.Faces` has inside.
#[pymodule]
mod _vultus_faces {
    #[pymodule_export]
    use super::networks::Networks;
}
