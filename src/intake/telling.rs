//! Decisions for callers who are not told everything.

use super::disclosure::Disclosure;
use super::judging::{Bar, Judge, JudgeError, VerificationBar};
use super::looking::Intake;
use crate::engine::{Engine, Gallery};
use crate::types::{EncoderId, Labels, Match, PartitionId};

impl Intake {
    /// As [`Intake::judge`], for a caller to whom no more is told than `disclosure`: the threshold is at
    /// least that of the whole gallery, whatever rate is asked for and however few are looked for.
    ///
    /// # Errors
    ///
    /// As there; also if a threshold is asked for that the caller may not ask for.
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
        let least = self.least(engine, gallery)?;
        let asked = asked(bar, judge.threshold(), least);
        let threshold = disclosure.threshold(asked, least)?;
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
        let least = self.least_verification(engine, gallery)?;
        let asked = asked(bar, found.threshold, least);
        let threshold = disclosure.threshold(asked, least)?;
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

    /// Below which similarity nobody may ask who in `gallery` somebody is, unless they are told exact ones:
    /// where it is decided of everybody in it, or what the operator has set for the partition. It does not
    /// hang on the labels that are looked for, since a rate gives a lower threshold among fewer people.
    /// None in a gallery that has neither: for an encoder of which nothing is known.
    ///
    /// # Errors
    ///
    /// If the gallery cannot be read.
    pub fn least(&self, engine: &Engine, gallery: &Gallery) -> Result<Option<f64>, JudgeError> {
        let everybody = gallery.among(Labels::default());
        let usual = self.judge(engine, &everybody, Bar::Usual)?.threshold();
        Ok(usual.or_else(|| self.set_for(gallery.id())))
    }

    /// The same for whoever asks whether somebody is who they say, or says from which similarity on that
    /// is so. Where nothing decides of that, what decides who somebody is does.
    ///
    /// # Errors
    ///
    /// If the gallery cannot be read.
    pub fn least_verification(
        &self,
        engine: &Engine,
        gallery: &Gallery,
    ) -> Result<Option<f64>, JudgeError> {
        match self.usual_verification(engine, gallery)? {
            Some(usual) => Ok(Some(usual)),
            None => self.least(engine, gallery),
        }
    }

    /// The same in a partition where nobody is enrolled yet, and embeddings of `encoder` will be.
    pub fn least_of_new(
        &self,
        engine: &Engine,
        partition: &PartitionId,
        encoder: &EncoderId,
    ) -> Option<f64> {
        let usual = self.usual_of(engine, partition, encoder);
        let usual = usual.set_verification.or(usual.own);
        usual.or_else(|| self.set_for(partition))
    }

    /// What the operator has set for this partition alone, whatever its encoder.
    fn set_for(&self, partition: &PartitionId) -> Option<f64> {
        let partitions = &self.policy().verification.partitions;
        partitions.get(partition).copied()
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
