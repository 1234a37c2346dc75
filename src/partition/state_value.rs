//! What the layers above keep in the catalog.

/// A value that a layer above keeps.
#[derive(Debug)]
pub struct StateValue {
    /// Which layer it belongs to.
    pub area: &'static str,
    /// Its name there.
    pub key: String,
    /// What is kept.
    pub value: Vec<u8>,
}
