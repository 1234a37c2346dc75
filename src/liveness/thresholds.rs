//! What samples must reach.

/// Where decisions are drawn. The defaults are those that `docs/liveness.md` measures.
#[derive(Clone, Copy, Debug, PartialEq)]
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
    /// The fewest degrees by which a head must have turned for there to be motion at all. None by
    /// default: the pose network errs by more than small movements are, and the score tells motion.
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
            turn_degrees_min: 0.0,
            movement_degrees_min: 3.0,
            mirrored: true,
        }
    }
}
