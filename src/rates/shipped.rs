//! Calibrations that come with encoders.

use std::sync::{Arc, LazyLock};

use super::Calibration;
use crate::types::EncoderId;

/// Of 42 people; `docs/rates.md` says of whom.
static SFACE: LazyLock<Option<Arc<Calibration>>> = LazyLock::new(|| {
    let read = Calibration::from_bytes(include_bytes!("shipped/sface.json"));
    read.ok().map(Arc::new)
});

/// The calibration that comes with an encoder, for galleries that are empty or young. `None` for
/// all encoders that the program does not bring along.
pub fn shipped(encoder: &EncoderId) -> Option<Arc<Calibration>> {
    let sface = SFACE.as_ref();
    sface
        .filter(|shipped| shipped.encoder() == encoder)
        .cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rates::{CalibrationSource, TargetRate};

    #[test]
    fn what_comes_with_the_encoder_can_be_read() {
        let encoder = EncoderId::new("sface", "2021dec", 128).unwrap();
        let shipped = shipped(&encoder).unwrap();
        assert_eq!(shipped.source(), CalibrationSource::Shipped);
        assert_eq!(shipped.encoder(), &encoder);
        let threshold = shipped.threshold(TargetRate::DEFAULT, 100);
        assert!((0.4..0.7).contains(&threshold.similarity) && threshold.extrapolated);
        assert!(shipped.confidence(0.8, Some(0.3), 100) > 0.99);
        assert!(shipped.confidence(0.3, Some(0.29), 100) < 0.2);
        let other = EncoderId::new("sface", "2022", 128).unwrap();
        assert_eq!(super::shipped(&other), None);
    }
}
