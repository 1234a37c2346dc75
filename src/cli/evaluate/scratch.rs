//! A data directory for the time of an evaluation.

use std::sync::Arc;

use anyhow::Context;
use tempfile::TempDir;

use crate::config::Settings;
use crate::engine::{Engine, Gallery};
use crate::eval::recognition::{People, enroll};
use crate::partition::Store;
use crate::search::Pool;
use crate::types::{ClassId, Clock, EncoderId, PartitionId};

/// A gallery in a folder of its own, which nobody else can read, and which goes with it.
pub(super) struct Scratch {
    pub(super) gallery: Gallery,
    /// Last, so that nothing in it is open any more when it goes.
    _folder: TempDir,
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
            .tempdir();
        let folder = folder.with_context(|| {
            let place = std::env::temp_dir();
            format!(
                "cannot create a folder for templates in `{}`",
                place.display()
            )
        })?;
        let store = Arc::new(Store::open(folder.path())?);
        let engine = Engine::new(store, pool.clone()).with_kernel(settings.kernel()?);
        let id: PartitionId = "evaluation.1".parse()?;
        let now = Clock::System.now();
        let gallery = enroll(&engine, &id, encoder, templates, people, now)?;
        Ok(Scratch {
            gallery,
            _folder: folder,
        })
    }
}
