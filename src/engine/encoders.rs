//! What is known of encoders, besides of what was measured in a gallery.

use std::sync::Arc;

use super::Engine;
use crate::rates::{Calibration, KnownEncoder, shipped};
use crate::types::EncoderId;

/// What users have measured of encoders. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct KnownEncoders(Arc<Vec<(KnownEncoder, Arc<Calibration>)>>);

impl KnownEncoders {
    fn get(&self, encoder: &EncoderId) -> Option<&(KnownEncoder, Arc<Calibration>)> {
        self.0.iter().find(|(known, _)| known.encoder() == encoder)
    }

    /// What strangers reach, for galleries that were not measured: what the user has measured of the
    /// encoder, else what comes with it.
    pub(super) fn calibration(&self, encoder: &EncoderId) -> Option<Arc<Calibration>> {
        let known = self
            .get(encoder)
            .map(|(_, calibration)| calibration.clone());
        known.or_else(|| shipped(encoder))
    }
}

impl Engine {
    /// Goes by what was measured of these encoders where a gallery of theirs was not measured itself. Of
    /// several for one encoder the first counts.
    #[must_use]
    pub fn with_encoders(self, known: Vec<KnownEncoder>) -> Engine {
        let known = known.into_iter().map(|known| {
            let calibration = Arc::new(known.calibration().clone());
            (known, calibration)
        });
        Engine {
            encoders: KnownEncoders(Arc::new(known.collect())),
            ..self
        }
    }

    /// What was measured of an encoder; `None` if nothing was.
    pub fn known_encoder(&self, encoder: &EncoderId) -> Option<&KnownEncoder> {
        self.encoders.get(encoder).map(|(known, _)| known)
    }
}
