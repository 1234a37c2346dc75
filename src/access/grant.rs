//! What a token may be used for: what an app asks for, and what the token then says.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use super::{AppId, Challenge};
use crate::types::{Bcid, Timestamp};

/// What a token may be used for, beside uploading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Task {
    /// Is this the person of the class?
    Verify,
    /// Who in the partition is this?
    Identify,
    /// This is the person of the class.
    Enroll,
    /// Is this a live person?
    LivenessDetection,
}

/// A kind of sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trait {
    /// A picture of a face.
    Face,
    /// The region of the eyes, taken from the same picture.
    Periocular,
    /// Speech.
    Voice,
}

/// A set of traits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traits(pub(super) u8);

/// What an app asks a token for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The class the token is for. For [`Task::LivenessDetection`] it need not be there, nor be of
    /// use.
    pub bcid: Option<Bcid>,
    /// What it may be used for.
    pub task: Task,
    /// How often, from 1 to [`Grant::TRIES_MAX`].
    pub max_tries: u8,
    /// Whether the person must be shown to be alive. [`Task::LivenessDetection`] always demands it.
    pub live: bool,
    /// How many head movements are demanded, if any. Only looked at when liveness is.
    pub challenge_length: Option<usize>,
    /// Whether its pictures show people as a mirror does; as the service is set if it says nothing.
    pub mirrored: Option<bool>,
    /// Whether a successful verification improves the template. Only looked at for
    /// [`Task::Verify`].
    pub auto_enroll: bool,
    /// The traits that samples are for.
    pub traits: Traits,
}

/// What a valid token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// The token, as one of a kind.
    pub id: Uuid,
    /// What people call the app it was issued to.
    pub app_name: String,
    /// The app it was issued to.
    pub app: AppId,
    /// The class it is for.
    pub bcid: Bcid,
    /// What it may be used for.
    pub task: Task,
    /// How often.
    pub max_tries: u8,
    /// Whether the person must be shown to be alive.
    pub live: bool,
    /// The head movements demanded, if any.
    pub challenge: Option<Challenge>,
    /// Whether its pictures show people as a mirror does; as the service is set if it says nothing.
    pub mirrored: Option<bool>,
    /// Whether a successful verification improves the template.
    pub auto_enroll: bool,
    /// The traits that samples are for.
    pub traits: Traits,
    /// When it was issued, in whole seconds.
    pub not_before: Timestamp,
    /// The first moment at which it is no longer valid.
    pub expires: Timestamp,
}

impl FromStr for Task {
    type Err = ();

    /// Reads the name of a task in any letter case.
    fn from_str(text: &str) -> Result<Task, ()> {
        let all = [
            Task::Verify,
            Task::Identify,
            Task::Enroll,
            Task::LivenessDetection,
        ];
        let found = all
            .into_iter()
            .find(|task| task.to_string().eq_ignore_ascii_case(text));
        found.ok_or(())
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Task::Verify => "verify",
            Task::Identify => "identify",
            Task::Enroll => "enroll",
            Task::LivenessDetection => "livenessdetection",
        })
    }
}

impl Traits {
    /// Faces alone.
    pub const FACE: Traits = Traits(1);

    /// Whether `one` is in the set.
    pub fn contains(self, one: Trait) -> bool {
        self.0 & Traits::bit(one) != 0
    }

    fn bit(one: Trait) -> u8 {
        match one {
            Trait::Face => 1,
            Trait::Periocular => 2,
            Trait::Voice => 4,
        }
    }
}

impl FromStr for Traits {
    type Err = ();

    /// Reads names separated by commas, in any letter case and with any blanks. No name at all
    /// means faces.
    fn from_str(text: &str) -> Result<Traits, ()> {
        if text.trim().is_empty() {
            return Ok(Traits::FACE);
        }
        let mut traits = Traits(0);
        for name in text.split(',') {
            let one = match name.trim().to_ascii_lowercase().as_str() {
                "face" => Trait::Face,
                "periocular" => Trait::Periocular,
                "voice" => Trait::Voice,
                _ => return Err(()),
            };
            traits.0 |= Traits::bit(one);
        }
        Ok(traits)
    }
}

impl Grant {
    /// The most tries that a token can carry.
    pub const TRIES_MAX: u8 = 15;
    /// How many tries clients expect when nobody says otherwise.
    pub const TRIES_DEFAULT: u8 = 3;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_traits_and_tasks_have_no_letter_case() {
        assert_eq!("".parse(), Ok(Traits::FACE));
        assert_eq!(" FACE ".parse(), Ok(Traits::FACE));
        assert_eq!("Face, Periocular".parse(), Ok(Traits(3)));
        assert_eq!("face,periocular,voice".parse(), Ok(Traits(7)));
        assert_eq!("iris".parse::<Traits>(), Err(()));
        assert_eq!("face,".parse::<Traits>(), Err(()));
        assert_eq!("LivenessDetection".parse(), Ok(Task::LivenessDetection));
        assert_eq!("steal".parse::<Task>(), Err(()));
    }
}
