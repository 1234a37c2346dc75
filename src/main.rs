//! The `vultus` program.
fn main() {}
