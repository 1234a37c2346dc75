//! A data directory for the time of an evaluation.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use anyhow::Context;
use tempfile::TempDir;

use crate::cli::signals::GoneAtTheEnd;
use crate::config::Settings;
use crate::engine::{CalibrationOptions, Engine, EngineError, Fault, Gallery};
use crate::eval::recognition::{People, enroll};
use crate::intake::{Bar, Judge, Usual};
use crate::partition::Store;
use crate::search::Pool;
use crate::types::{ClassId, Clock, EncoderId, PartitionId};

/// A gallery in a folder of its own, which nobody else can read, and which goes with it.
pub(super) struct Scratch {
    pub(super) gallery: Gallery,
    engine: Engine,
    /// After what is open in it.
    _folder: TempDir,
    /// As long as there is the folder.
    _gone_at_the_end: GoneAtTheEnd,
}

impl Scratch {
    /// Enrols samples as these classes.
    pub(super) fn of(
        settings: &Settings,
        pool: &Pool,
        encoder: &EncoderId,
        people: &People,
        templates: impl Iterator<Item = (ClassId, usize)>,
    ) -> anyhow::Result<Scratch> {
        let folder = tempfile::Builder::new()
            .prefix("vultus-evaluate-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir();
        let folder = folder.with_context(|| {
            let place = std::env::temp_dir();
            format!(
                "cannot create a folder for templates in `{}`",
                place.display()
            )
        })?;
        let gone_at_the_end = GoneAtTheEnd::new(folder.path())?;
        let store = Arc::new(Store::open(folder.path())?);
        let engine = Engine::new(store, pool.clone()).with_kernel(settings.kernel()?);
        let id: PartitionId = "evaluation.1".parse()?;
        let now = Clock::System.now();
        let gallery = enroll(&engine, &id, encoder, templates, people, now)?;
        Ok(Scratch {
            gallery,
            engine,
            _folder: folder,
            _gone_at_the_end: gone_at_the_end,
        })
    }

    /// Measures strangers in the gallery, as a service would. Returns who then decides in it: by what
    /// comes with the encoder where there are too few people.
    pub(super) fn judge(&self) -> anyhow::Result<Judge> {
        let options = CalibrationOptions::default();
        let now = Clock::System.now();
        let measured = self
            .gallery
            .calibrate(&options, now, |_, _| Ok::<_, EngineError>(()));
        match measured {
            Ok(measured) => self.engine.keep_calibration(self.gallery.id(), &measured)?,
            Err(error) if error.fault() == Fault::Caller => {}
            Err(error) => return Err(error.into()),
        }
        judge(&self.engine, &self.gallery)
    }
}

/// Whoever says how sure answers in a gallery are. All who are found are listed.
pub(super) fn judge(engine: &Engine, gallery: &Gallery) -> anyhow::Result<Judge> {
    Ok(Judge::of(engine, gallery, Bar::Usual, &Usual::default())?)
}
