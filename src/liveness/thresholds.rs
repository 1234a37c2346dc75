//! What samples must reach.

use serde::Deserialize;

/// Where decisions are drawn. The defaults are those that `docs/liveness.md` measures.
///
/// In a settings file the names are written with hyphens; what is left out is the default.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Thresholds {
    /// The least score of a single live picture, 0 to 1.
    pub passive_score_min: f64,
    /// The least score of several pictures of a live person, 0 to 1.
    pub active_score_min: f64,
    /// The least cosine between two samples of one person, -1 to 1. It belongs to the embedder.
    ///
    /// For SFace 0.45, which one in 10,000 pairs of pictures of two people reaches (65 people,
    /// 103,192 pairs, ORL and others). Pictures taken seconds apart with one camera have 0.75 and
    /// more as a rule.
    pub similarity_min: f64,
    /// From this correlation on, two samples are one picture, up to 1.
    pub same_picture_correlation: f64,
    /// The fewest degrees by which a head must have turned for there to be motion at all.
    pub turn_degrees_min: f64,
    /// The fewest degrees by which a head must have turned where a challenge wants it.
    pub movement_degrees_min: f64,
    /// Whether pictures arrive as users see themselves on the preview, as the BWS browser module
    /// sends them: `left` is left in the picture then, and right otherwise.
    pub mirrored: bool,
}

impl Default for Thresholds {
    fn default() -> Thresholds {
        Thresholds {
            passive_score_min: 0.5,
            active_score_min: 0.5,
            similarity_min: 0.45,
            same_picture_correlation: 0.98,
            turn_degrees_min: 1.0,
            movement_degrees_min: 3.0,
            mirrored: true,
        }
    }
}

/// A threshold is outside its range.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("`{name}` is {found}, expected {min} to {max}")]
pub struct ThresholdError {
    /// The threshold, as it is named in the settings file.
    pub name: &'static str,
    /// Its value.
    pub found: f64,
    /// The least that makes sense.
    pub min: f64,
    /// The most.
    pub max: f64,
}

impl Thresholds {
    /// Checks each.
    ///
    /// # Errors
    ///
    /// If one is outside its range.
    pub fn validate(&self) -> Result<(), ThresholdError> {
        for (name, found, min, max) in [
            ("passive-score-min", self.passive_score_min, 0.0, 1.0),
            ("active-score-min", self.active_score_min, 0.0, 1.0),
            ("similarity-min", self.similarity_min, -1.0, 1.0),
            (
                "same-picture-correlation",
                self.same_picture_correlation,
                0.5,
                1.0,
            ),
            ("turn-degrees-min", self.turn_degrees_min, 0.0, 45.0),
            ("movement-degrees-min", self.movement_degrees_min, 0.0, 45.0),
        ] {
            // NaN is in no range.
            if !(min..=max).contains(&found) {
                return Err(ThresholdError {
                    name,
                    found,
                    min,
                    max,
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_out_of_range_are_named() {
        assert_eq!(Thresholds::default().validate(), Ok(()));
        let wrong = Thresholds {
            active_score_min: f64::NAN,
            ..Thresholds::default()
        };
        assert_eq!(wrong.validate().unwrap_err().name, "active-score-min");
        let wrong = Thresholds {
            similarity_min: 1.5,
            ..Thresholds::default()
        };
        assert_eq!(
            wrong.validate().unwrap_err().to_string(),
            "`similarity-min` is 1.5, expected -1 to 1"
        );
    }
}
