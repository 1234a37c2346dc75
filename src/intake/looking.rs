//! Looking at pictures, and deciding by what they show.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use super::decisions::Decisions;
use super::disclosure::Disclosure;
use super::error::{Cause, IntakeError};
use super::policy::Policy;
use super::room::Room;
use crate::face::{
    AlignedFace, Bounds, Cost, EncoderProfile, Everybody, Face, FaceError, FacePipeline, Patience,
    Picture, miniature,
};
use crate::liveness::{
    Decision, FaceView, LivenessDetector, Observation, Thresholds, active, passive,
};
use crate::types::{EncoderId, PartitionId};

/// Takes samples in. Made once, shared by all threads and all doors.
#[derive(Debug)]
pub struct Intake {
    faces: Arc<FacePipeline>,
    liveness: Option<Arc<LivenessDetector>>,
    policy: RwLock<Arc<Policy>>,
    room: Room,
    decisions: Decisions,
    keeps_portraits: bool,
}

/// How carefully a picture is looked at.
///
/// Liveness is judged by a glance, whichever way a picture came: a closer look finds the face some
/// pixels elsewhere, and what shows it to the networks otherwise may be live one way only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Care {
    /// A glance suffices where it is sure: recognises as well.
    Glance,
    /// Never a glance alone: for whoever judges the picture itself. Takes 10 ms more.
    Close,
}

/// More faces of a picture are never looked at closely: each takes about as long as a picture.
pub const FACES_MAX: usize = 100;

/// A picture, and everybody in it.
pub struct Crowd {
    /// The picture, upright as its file says.
    pub picture: Picture,
    /// The faces.
    pub everybody: Everybody,
}

/// They are faces of people.
impl fmt::Debug for Crowd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Crowd(hidden)")
    }
}

/// A picture that shows one face.
pub struct Seen {
    /// The picture.
    pub picture: Picture,
    /// The face.
    pub face: Face,
}

/// It is somebody's face.
impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seen(hidden)")
    }
}

/// A picture of one person is one of everybody in it.
impl From<Seen> for Crowd {
    fn from(seen: Seen) -> Crowd {
        Crowd {
            picture: seen.picture,
            everybody: Everybody {
                faces: vec![seen.face.into()],
                left_out: 0,
            },
        }
    }
}

impl Seen {
    /// What the liveness networks are shown of it, so that the picture can go.
    pub fn view(&self) -> FaceView {
        FaceView::new(&self.picture, &self.face)
    }
}

impl Intake {
    /// Sees with `faces`, and decides by `policy`. Liveness can be demanded if there are networks
    /// for it.
    pub fn new(
        faces: Arc<FacePipeline>,
        liveness: Option<Arc<LivenessDetector>>,
        policy: Policy,
    ) -> Intake {
        Intake {
            faces,
            liveness,
            room: Room::new(policy.picture_bytes_max),
            decisions: Decisions::default(),
            keeps_portraits: false,
            policy: RwLock::new(Arc::new(policy)),
        }
    }

    /// Has portraits made of those who are enrolled, or not, as without this.
    #[must_use]
    pub fn with_portraits(self, keeps_portraits: bool) -> Intake {
        Intake {
            keeps_portraits,
            ..self
        }
    }

    /// Whether portraits are made of those who are enrolled.
    pub fn keeps_portraits(&self) -> bool {
        self.keeps_portraits
    }

    /// The same, with the portrait of the face if those are made: for whoever enrols. Takes about a
    /// millisecond.
    #[must_use]
    pub fn portrayed(&self, mut seen: Seen) -> Seen {
        if self.keeps_portraits {
            seen.face.portrait = miniature(&seen.picture, &seen.face.landmarks);
        }
        seen
    }

    /// What finds and embeds faces.
    pub fn faces(&self) -> &FacePipeline {
        &self.faces
    }

    /// What is known of the encoder.
    pub fn profile(&self) -> &EncoderProfile {
        self.faces.profile()
    }

    /// What makes embeddings of pictures.
    pub fn encoder(&self) -> &EncoderId {
        self.profile().encoder()
    }

    /// What the operator decided, as it stands now: whoever asks twice may get two answers.
    pub fn policy(&self) -> Arc<Policy> {
        self.policy
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// How often was decided what.
    pub fn decisions(&self) -> &Decisions {
        &self.decisions
    }

    /// Decides by `policy` from now on, but for the room for pictures, which stays as it was made.
    pub fn follow(&self, policy: Policy) {
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
    }

    /// The only face in a picture.
    ///
    /// # Errors
    ///
    /// If the bytes are no picture or it does not show exactly one face, or a network fails.
    pub fn look(&self, picture: &[u8], care: Care) -> Result<Seen, IntakeError> {
        self.look_within(picture, care, &self.patience())
    }

    /// As [`Intake::look`], as long as there is patience.
    ///
    /// # Errors
    ///
    /// Also if there is none left.
    pub fn look_within(
        &self,
        picture: &[u8],
        care: Care,
        patience: &Patience,
    ) -> Result<Seen, IntakeError> {
        let cost = Cost::of(picture, self.faces.limits())?;
        // Who waits for room waits for others: only then it begins to count.
        let _room = self.room.take(cost.bytes, &patience.without_end())?;
        let patience = &patience.from_now();
        let picture = self.faces.within(patience).decode(picture)?;
        self.look_at_within(picture, care, patience)
    }

    /// How long a look may take that begins now, by the policy.
    pub fn patience(&self) -> Patience {
        Patience::of(self.policy().picture_time_max)
    }

    /// As [`Intake::look`], at a picture that is already decoded.
    ///
    /// # Errors
    ///
    /// If it does not show exactly one face, or a network fails.
    pub fn look_at(&self, picture: Picture, care: Care) -> Result<Seen, IntakeError> {
        self.look_at_within(picture, care, &self.patience())
    }

    /// As [`Intake::look_at`], as long as there is patience.
    ///
    /// # Errors
    ///
    /// Also if there is none left.
    pub fn look_at_within(
        &self,
        picture: Picture,
        care: Care,
        patience: &Patience,
    ) -> Result<Seen, IntakeError> {
        let looking = self.faces.within(patience);
        let face = match care {
            Care::Glance => looking.only_face_in(&picture)?,
            Care::Close => looking.only_face_closely_in(&picture)?,
        };
        Ok(Seen { picture, face })
    }

    /// All faces in a picture, at most [`FACES_MAX`] of them closely; there may be none.
    ///
    /// # Errors
    ///
    /// If the bytes are no picture, a network fails, or there is no patience left.
    pub fn look_at_all(&self, picture: &[u8], patience: &Patience) -> Result<Crowd, IntakeError> {
        let cost = Cost::of(picture, self.faces.limits())?;
        let _room = self.room.take(cost.bytes, &patience.without_end())?;
        let patience = &patience.from_now();
        let looking = self.faces.within(patience).of_bytes(picture.len());
        let picture = looking.decode(picture)?;
        let everybody = looking.everybody_in(&picture, FACES_MAX)?;
        Ok(Crowd { picture, everybody })
    }

    /// The face in a picture of many that overlaps `bounds` most.
    ///
    /// # Errors
    ///
    /// If the bytes are no picture, there is no face there, a network fails, or there is no
    /// patience left.
    pub fn look_within_box(
        &self,
        picture: &[u8],
        bounds: &Bounds,
        patience: &Patience,
    ) -> Result<Seen, IntakeError> {
        let cost = Cost::of(picture, self.faces.limits())?;
        let _room = self.room.take(cost.bytes, &patience.without_end())?;
        let patience = &patience.from_now();
        let looking = self.faces.within(patience).of_bytes(picture.len());
        let picture = looking.decode(picture)?;
        if bounds.area_within(&picture) <= 0.0 {
            return Err(FaceError::BoxOutside {
                width: picture.width(),
                height: picture.height(),
            }
            .into());
        }
        let face = looking.face_within(&picture, bounds)?;
        let face = face.ok_or(FaceError::NoFaceInBox)?;
        Ok(Seen { picture, face })
    }

    /// The face cut out of its picture, as the encoder was shown it.
    ///
    /// # Errors
    ///
    /// If its landmarks coincide: such a face is not one.
    pub fn align(&self, seen: &Seen) -> Result<AlignedFace, IntakeError> {
        Ok(self.faces.align(&seen.picture, &seen.face.landmarks)?)
    }

    /// At most `count` pictures of a short video; see [`FacePipeline::decode_frames`].
    ///
    /// # Errors
    ///
    /// If the bytes are no video.
    pub fn frames(&self, video: &[u8], count: usize) -> Result<Vec<Picture>, IntakeError> {
        self.frames_within(video, count, &self.patience())
    }

    /// As [`Intake::frames`], as long as there is patience.
    ///
    /// # Errors
    ///
    /// Also if there is none left.
    pub fn frames_within(
        &self,
        video: &[u8],
        count: usize,
        patience: &Patience,
    ) -> Result<Vec<Picture>, IntakeError> {
        let cost = Cost::of_frames(video, self.faces.limits(), count)?;
        // Who waits for room waits for others: only then it begins to count.
        let _room = self.room.take(cost.bytes, &patience.without_end())?;
        let patience = &patience.from_now();
        Ok(self.faces.within(patience).decode_frames(video, count)?)
    }

    /// As [`Intake::look_within_box`], but a face that is the only one is seen as by
    /// [`Intake::look`]: for whoever judges how live it is, which must not depend on a box.
    ///
    /// # Errors
    ///
    /// As [`Intake::look_within_box`].
    pub fn look_alike_within_box(
        &self,
        picture: &[u8],
        bounds: &Bounds,
        patience: &Patience,
    ) -> Result<Seen, IntakeError> {
        match self.look_within(picture, Care::Glance, patience) {
            Ok(seen) if seen.face.bounds.overlap(bounds) > 0.0 => Ok(seen),
            _ => self.look_within_box(picture, bounds, patience),
        }
    }

    /// What the liveness decisions need of a picture. Takes about 15 ms.
    ///
    /// # Errors
    ///
    /// If a network fails or there are none.
    pub fn observe(&self, seen: &Seen) -> Result<Observation, IntakeError> {
        self.observe_view(&seen.view())
    }

    /// As [`Intake::observe`], of what was kept of a picture.
    ///
    /// # Errors
    ///
    /// If a network fails or there are none.
    pub fn observe_view(&self, view: &FaceView) -> Result<Observation, IntakeError> {
        let detector = self.liveness.as_ref().ok_or(Cause::NoDetector)?;
        Ok(detector.observe(view)?)
    }

    /// Whether one picture is of a live person, by its texture.
    pub fn passive(&self, observation: &Observation) -> Decision {
        let decision = passive(observation, &self.liveness_thresholds());
        self.decisions.seen(decision.live);
        decision
    }

    /// Whether pictures are of a live person, by the motion between them as well.
    pub fn active(&self, observations: &[&Observation]) -> Decision {
        let decision = active(observations, &self.liveness_thresholds());
        self.decisions.seen(decision.live);
        decision
    }

    /// What samples must reach to be those of a live person.
    pub fn liveness_thresholds(&self) -> Thresholds {
        self.policy().liveness
    }

    /// The similarity from which on two faces are one person in `partition`, if its embeddings are
    /// of this intake's encoder.
    pub fn verification_threshold(&self, partition: &PartitionId) -> f64 {
        let set = self.policy().verification.of(partition);
        set.unwrap_or_else(|| self.profile().verification_threshold())
    }

    /// The similarity from which on two faces are one person, whoever is enrolled where.
    pub fn comparison_threshold(&self) -> f64 {
        let set = self.policy().verification.threshold;
        set.unwrap_or_else(|| self.profile().verification_threshold())
    }

    /// The similarity of two embeddings of `encoder` as a score from 0 to 1; none for an encoder
    /// that nothing is known of.
    pub fn score(&self, similarity: f64, encoder: &EncoderId) -> Option<f64> {
        let known = encoder == self.encoder();
        known.then(|| self.profile().score_map().score(similarity))
    }

    /// The score of a similarity as a caller is told it, as such a caller is told it; none where none is
    /// told.
    pub fn score_for(
        &self,
        disclosure: Disclosure,
        told: Option<f64>,
        encoder: &EncoderId,
    ) -> Option<f64> {
        Some(disclosure.score(self.score(told?, encoder)?))
    }
}
