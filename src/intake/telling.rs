//! Decisions for callers who are not told everything.

use super::disclosure::Disclosure;
use super::judging::{Bar, Judge, JudgeError, VerificationBar};
use super::looking::Intake;
use crate::engine::{Engine, Gallery};
use crate::types::Match;

impl Intake {
    /// As [`Intake::judge`], for a caller to whom no more is told than `disclosure`: a rate gives at least
    /// the usual threshold, and so promises no less.
    ///
    /// # Errors
    ///
    /// As there; also if a threshold is asked for that the caller may not ask for, or none is known.
    pub fn judge_for(
        &self,
        engine: &Engine,
        gallery: &Gallery,
        bar: Bar,
        disclosure: Disclosure,
    ) -> Result<Judge, JudgeError> {
        let judge = self.judge(engine, gallery, bar)?;
        if disclosure == Disclosure::Exact {
            return Ok(judge);
        }
        let usual = match bar {
            Bar::Usual => judge.threshold(),
            _ => self.judge(engine, gallery, Bar::Usual)?.threshold(),
        };
        let asked = asked(bar, judge.threshold(), usual);
        let threshold = disclosure.threshold(asked, usual)?;
        Ok(judge.telling(threshold, disclosure))
    }

    /// As [`Intake::verification`], for a caller to whom no more is told than `disclosure`.
    ///
    /// # Errors
    ///
    /// As there, and as [`Intake::judge_for`].
    pub fn verification_for(
        &self,
        engine: &Engine,
        gallery: &Gallery,
        bar: Bar,
        disclosure: Disclosure,
    ) -> Result<VerificationBar, JudgeError> {
        let found = self.verification(engine, gallery, bar)?;
        if disclosure == Disclosure::Exact {
            return Ok(found);
        }
        let usual = self.usual_verification(engine, gallery)?;
        let asked = asked(bar, found.threshold, usual);
        let threshold = disclosure.threshold(asked, usual)?;
        let bar = threshold.map_or(Bar::Usual, Bar::Similarity);
        self.verification(engine, gallery, bar)
    }

    /// From which similarity on somebody is who they say, where no call asks for another one; none for an
    /// encoder that nothing is known of.
    ///
    /// # Errors
    ///
    /// If the gallery cannot be read.
    pub fn usual_verification(
        &self,
        engine: &Engine,
        gallery: &Gallery,
    ) -> Result<Option<f64>, JudgeError> {
        let usual = self.verification(engine, gallery, Bar::Usual)?;
        Ok(usual.threshold)
    }
}

/// The threshold that a call asks for: of a rate no lower one than the usual.
fn asked(bar: Bar, found: Option<f64>, usual: Option<f64>) -> Option<f64> {
    match bar {
        Bar::Usual => None,
        Bar::Similarity(asked) => Some(asked),
        Bar::Rate(_) => found.map(|found| usual.map_or(found, |usual| usual.max(found))),
    }
}

impl Judge {
    /// Makes of the similarities of those who were found what the caller is told. The first stays the
    /// first; the order of others who are told alike says nothing.
    pub fn tell(&self, found: &mut [Match]) {
        let disclosure = self.disclosure();
        if disclosure == Disclosure::Exact {
            return;
        }
        for one in found.iter_mut() {
            one.similarity = disclosure.recognised(one.similarity, self.threshold());
        }
        if let Some((_, others)) = found.split_first_mut() {
            others.sort_by(Match::rank_order);
        }
    }
}
