//! All samples of one person that come together.

use std::fmt;

use super::error::{Cause, IntakeError};
use super::looking::{Care, Intake};
use crate::face::{Bounds, Face, Patience, Warning};
use crate::liveness::{Decision, Observation};
use crate::partition::NewTemplate;
use crate::types::{DIMENSION_MAX, DIMENSION_MIN, Embedding, EncoderId, Portrait};

/// More samples never come together, whatever the operator allows.
pub const SAMPLES_MAX: usize = 1000;

/// What is demanded of a live person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// Each picture by itself has the texture of a live face.
    Passive,
    /// Two or more pictures show one head that moves and is solid.
    Active,
}

/// What is said of samples before the first is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Announced<'a> {
    /// How many pictures come.
    pub pictures: usize,
    /// How many embeddings come.
    pub embeddings: usize,
    /// How many values the first embedding has.
    pub dimension: Option<usize>,
    /// What made the embeddings, `name` or `name@version`.
    pub encoder: Option<&'a str>,
    /// What is demanded of the pictures.
    pub liveness: Option<Demand>,
}

/// Samples of one person, of which some are still to come: pictures first, then embeddings.
#[derive(Debug)]
pub struct Taking<'a> {
    intake: &'a Intake,
    encoder: EncoderId,
    liveness: Option<Demand>,
    samples: Vec<Sample>,
    observations: Vec<Observation>,
    is_enrolment: bool,
}

/// Samples of one person, ready to be used.
#[derive(Debug)]
pub struct Samples {
    /// What made the embeddings.
    pub encoder: EncoderId,
    /// At least one.
    pub samples: Vec<Sample>,
}

/// One sample.
#[derive(Clone)]
pub struct Sample {
    /// The face.
    pub embedding: Embedding,
    /// How suitable the picture is, from 0 to 1; none for an embedding that came ready.
    pub quality: Option<f32>,
    /// What could be better about the picture.
    pub warnings: Vec<Warning>,
    /// What the face looks like, if that is kept.
    pub portrait: Option<Portrait>,
}

/// It is somebody's face.
impl fmt::Debug for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sample(hidden)")
    }
}

impl From<Face> for Sample {
    fn from(face: Face) -> Sample {
        Sample {
            quality: Some(face.quality.score()),
            embedding: face.embedding,
            warnings: face.warnings,
            portrait: face.portrait,
        }
    }
}

impl Announced<'_> {
    fn check(&self, samples_max: usize) -> Result<(), Cause> {
        let found = self.pictures + self.embeddings;
        if found == 0 {
            return Err(Cause::NoSamples);
        }
        if found > samples_max {
            return Err(Cause::TooManySamples { found, samples_max });
        }
        if self.liveness.is_some() && self.embeddings > 0 {
            return Err(Cause::LivenessOfEmbeddings);
        }
        if self.liveness == Some(Demand::Active) && self.pictures < 2 {
            return Err(Cause::LivenessOfOnePicture);
        }
        Ok(())
    }

    /// The encoder of all samples, if that of pictures is `own`.
    fn encoder(&self, own: &EncoderId) -> Result<EncoderId, Cause> {
        let Some(text) = self.encoder else {
            return match self.embeddings {
                0 => Ok(own.clone()),
                _ => Err(Cause::EncoderMissing),
            };
        };
        // What is no length of an embedding is found when the embedding is looked at.
        let dimensions = DIMENSION_MIN..=DIMENSION_MAX;
        let known = self
            .dimension
            .filter(|dimension| dimensions.contains(dimension));
        let named = EncoderId::parse(text, known.unwrap_or(own.dimension()));
        let named = named.map_err(Cause::EncoderName)?;
        if self.pictures > 0 && named != *own {
            let own = own.clone();
            return Err(Cause::OtherEncoder { own, named });
        }
        Ok(named)
    }
}

impl Intake {
    /// Fails if there are too few samples, or too many, or they cannot show the liveness that is
    /// demanded. [`Intake::begin`] does so, too: this is for whoever wants to know before there is
    /// time to begin.
    ///
    /// # Errors
    ///
    /// If so.
    pub fn check(&self, announced: &Announced<'_>) -> Result<(), IntakeError> {
        Ok(announced.check(self.samples_max())?)
    }

    /// Begins to take in the samples that are announced.
    ///
    /// # Errors
    ///
    /// If they cannot be taken in, whatever they are.
    pub fn begin(&self, announced: &Announced<'_>) -> Result<Taking<'_>, IntakeError> {
        self.check(announced)?;
        Ok(Taking {
            intake: self,
            encoder: announced.encoder(self.encoder())?,
            liveness: announced.liveness,
            samples: Vec::new(),
            observations: Vec::new(),
            is_enrolment: false,
        })
    }

    fn samples_max(&self) -> usize {
        self.policy().samples_max.min(SAMPLES_MAX)
    }
}

impl Taking<'_> {
    /// Says that the samples are to be enrolled: what is kept of the pictures then is made.
    #[must_use]
    pub fn to_enroll(self) -> Self {
        Taking {
            is_enrolment: true,
            ..self
        }
    }

    /// How many samples were taken in: also the number of the next one.
    pub fn taken(&self) -> usize {
        self.samples.len()
    }

    /// Takes a picture in. Takes the processor for tens of milliseconds.
    ///
    /// # Errors
    ///
    /// If it does not show exactly one face, a network fails, or there is no patience left.
    pub fn add_picture(&mut self, picture: &[u8], patience: &Patience) -> Result<(), IntakeError> {
        let at = self.taken();
        self.look(picture, None, patience)
            .map_err(|error| error.of_sample(at))
    }

    /// As [`Taking::add_picture`], of a picture that may show others, too: takes the face that
    /// overlaps `bounds` most.
    ///
    /// # Errors
    ///
    /// If there is no face there, a network fails, or there is no patience left.
    pub fn add_face_within(
        &mut self,
        picture: &[u8],
        bounds: &Bounds,
        patience: &Patience,
    ) -> Result<(), IntakeError> {
        let at = self.taken();
        self.look(picture, Some(bounds), patience)
            .map_err(|error| error.of_sample(at))
    }

    fn look(
        &mut self,
        picture: &[u8],
        bounds: Option<&Bounds>,
        patience: &Patience,
    ) -> Result<(), IntakeError> {
        self.check_room()?;
        let own = self.intake.encoder();
        if self.encoder != *own {
            let (own, named) = (own.clone(), self.encoder.clone());
            return Err(Cause::OtherEncoder { own, named }.into());
        }
        let seen = match bounds {
            Some(bounds) if self.liveness.is_some() => self
                .intake
                .look_alike_within_box(picture, bounds, patience)?,
            Some(bounds) => self.intake.look_within_box(picture, bounds, patience)?,
            None => self.intake.look_within(picture, Care::Glance, patience)?,
        };
        if self.liveness.is_some() {
            self.observations.push(self.intake.observe(&seen)?);
        }
        let seen = match self.is_enrolment {
            true => self.intake.portrayed(seen),
            false => seen,
        };
        self.samples.push(seen.face.into());
        Ok(())
    }

    /// Takes an embedding in.
    ///
    /// # Errors
    ///
    /// If it is none, or none of the encoder that was announced.
    pub fn add_embedding(&mut self, values: Vec<f32>) -> Result<(), IntakeError> {
        let at = self.taken();
        self.ready(values)
            .map_err(|cause| IntakeError::from(cause).of_sample(at))
    }

    fn ready(&mut self, values: Vec<f32>) -> Result<(), Cause> {
        self.check_room()?;
        if self.liveness.is_some() {
            return Err(Cause::LivenessOfEmbeddings);
        }
        let embedding = Embedding::new(values).map_err(Cause::Embedding)?;
        let found = embedding.dimension();
        if found != self.encoder.dimension() {
            let encoder = self.encoder.clone();
            return Err(Cause::Dimension { found, encoder });
        }
        self.samples.push(Sample {
            embedding,
            quality: None,
            warnings: Vec::new(),
            portrait: None,
        });
        Ok(())
    }

    /// All samples, of one person, and of a live one if that is demanded.
    ///
    /// # Errors
    ///
    /// If there are none, they are not of a live person, or do not look like one person.
    pub fn finish(self) -> Result<Samples, IntakeError> {
        if self.samples.is_empty() {
            return Err(Cause::NoSamples.into());
        }
        match self.liveness {
            None => {}
            Some(Demand::Active) => {
                let all: Vec<&Observation> = self.observations.iter().collect();
                live(&self.intake.active(&all))?;
            }
            Some(Demand::Passive) => {
                for (at, one) in self.observations.iter().enumerate() {
                    live(&self.intake.passive(one)).map_err(|error| error.of_sample(at))?;
                }
            }
        }
        let samples = Samples {
            encoder: self.encoder,
            samples: self.samples,
        };
        let together = samples.embeddings();
        self.intake.check_one_person(&samples.encoder, &together)?;
        Ok(samples)
    }

    /// More than were announced may come, but not more than may.
    fn check_room(&self) -> Result<(), Cause> {
        let (found, samples_max) = (self.samples.len() + 1, self.intake.samples_max());
        if found > samples_max {
            return Err(Cause::TooManySamples { found, samples_max });
        }
        Ok(())
    }
}

fn live(decision: &Decision) -> Result<(), IntakeError> {
    if decision.live {
        return Ok(());
    }
    Err(Cause::NotLive(decision.parts.reason).into())
}

impl Samples {
    /// Their embeddings, to be searched for.
    pub fn embeddings(&self) -> Vec<&Embedding> {
        let samples = self.samples.iter();
        samples.map(|sample| &sample.embedding).collect()
    }

    /// The same as templates, to be enrolled.
    pub fn templates(&self) -> Vec<NewTemplate> {
        let template = |sample: &Sample| NewTemplate {
            embedding: sample.embedding.clone(),
            quality: sample.quality.unwrap_or(f32::NAN),
            portrait: sample.portrait.clone(),
        };
        self.samples.iter().map(template).collect()
    }
}
