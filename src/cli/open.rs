//! Opening what verbs need.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};

use super::master_key;
use crate::config::Settings;
use crate::engine::{Engine, Gallery};
use crate::face::{DecodeLimits, EmbedderSource, FacePipeline, PipelineOptions, Runtime};
use crate::intake::Intake;
use crate::liveness::LivenessDetector;
use crate::partition::{Encryption, Keys, Partition, Store, StoreError, private};
use crate::rates::KnownEncoder;
use crate::search::Pool;
use crate::types::{EncoderId, PartitionId};
use crate::web::Certificates;

/// The data directory, made if there is none.
pub(super) fn engine(settings: &Settings) -> anyhow::Result<Engine> {
    engine_with(settings, &master_key::keys(settings)?)
}

fn engine_with(settings: &Settings, keys: &Keys) -> anyhow::Result<Engine> {
    over(settings, Store::open_with(&settings.data_dir, keys)?)
}

/// What asks a data directory.
fn over(settings: &Settings, store: Store) -> anyhow::Result<Engine> {
    let encoders = known_encoders(&settings.encoder_profiles)?;
    let engine = Engine::new(Arc::new(store), Pool::new(settings.threads));
    Ok(engine
        .with_kernel(settings.kernel()?)
        .with_encoders(encoders))
}

/// What was measured of encoders.
fn known_encoders(files: &[PathBuf]) -> anyhow::Result<Vec<KnownEncoder>> {
    let mut known: Vec<KnownEncoder> = Vec::new();
    for file in files {
        let name = file.display();
        let read = || format!("reading the encoder profile `{name}`");
        let bytes = std::fs::read(file).with_context(read)?;
        let one = KnownEncoder::from_bytes(&bytes).with_context(read)?;
        if known.iter().any(|other| other.encoder() == one.encoder()) {
            let encoder = one.encoder();
            bail!("`{name}` is a second profile of `{encoder}`: name one in `encoder-profiles`");
        }
        known.push(one);
    }
    Ok(known)
}

/// What a profile of the settings says of an encoder.
pub(super) fn known_encoder(
    settings: &Settings,
    encoder: &EncoderId,
) -> anyhow::Result<Option<KnownEncoder>> {
    let known = known_encoders(&settings.encoder_profiles)?;
    Ok(known.into_iter().find(|known| known.encoder() == encoder))
}

/// How often, and how long each time, a data directory is waited for that another process is just
/// opening or about to leave.
pub(super) const TRIES: usize = 30;
pub(super) const TRY_AGAIN: Duration = Duration::from_millis(100);

/// As [`engine`], when a command that has it is done.
pub(super) fn engine_patiently(settings: &Settings) -> anyhow::Result<Engine> {
    // Once: a program that fetches the key may ask somebody.
    let keys = master_key::keys(settings)?;
    patiently(|| engine_with(settings, &keys))
}

/// As [`existing_engine`], with keys that were fetched, when a command that has it is done.
pub(super) fn existing_engine_patiently(
    settings: &Settings,
    keys: &Keys,
) -> anyhow::Result<Engine> {
    patiently(|| {
        let store = Store::open_existing_with(&settings.data_dir, keys);
        engine_of(settings, store)
    })
}

fn patiently(open: impl Fn() -> anyhow::Result<Engine>) -> anyhow::Result<Engine> {
    let mut tries = 1;
    loop {
        match open() {
            Err(error) if is_locked(&error) && tries < TRIES => thread::sleep(TRY_AGAIN),
            opened => return opened,
        }
        tries += 1;
    }
}

/// Whether another process has the data directory.
pub(super) fn is_locked(error: &anyhow::Error) -> bool {
    let mut causes = error.chain();
    causes.any(|cause| {
        let cause = cause.downcast_ref::<StoreError>();
        matches!(cause, Some(StoreError::Locked { .. }))
    })
}

/// The data directory, which must exist.
pub(super) fn existing_engine(settings: &Settings) -> anyhow::Result<Engine> {
    let keys = master_key::keys(settings)?;
    engine_of(
        settings,
        Store::open_existing_with(&settings.data_dir, &keys),
    )
}

/// The data directory, which must exist, to be read only: also while a service is changing it.
pub(super) fn reading_engine(settings: &Settings) -> anyhow::Result<Engine> {
    let keys = master_key::keys(settings)?;
    engine_of(
        settings,
        Store::open_read_only_with(&settings.data_dir, &keys),
    )
}

fn engine_of(settings: &Settings, store: Result<Store, StoreError>) -> anyhow::Result<Engine> {
    let store = match store {
        Err(error @ StoreError::Io { action: "open", .. }) if !settings.data_dir.is_dir() => {
            let directory = settings.data_dir.display();
            return Err(error).with_context(|| {
                format!("there is no data directory `{directory}`: name yours with --data-dir")
            });
        }
        store => store?,
    };
    over(settings, store)
}

/// Warns of templates and keys that other users of the machine can read.
pub(super) fn warn_of_readers(settings: &Settings) {
    let directory = &settings.data_dir;
    if let Some(path) = private::open_to_others(directory) {
        let (path, directory) = (path.display(), directory.display());
        tracing::warn!(
            "others can read `{path}`: make the data directory private with `chmod -R go-rwx {directory}`"
        );
    }
}

/// Warns of templates that are not encrypted yet where others are, or not with the last keys.
pub(super) fn warn_of_plain(engine: &Engine) -> anyhow::Result<()> {
    if engine.store().encryption()? == Encryption::Partly {
        tracing::warn!(
            "some templates are not encrypted yet: a service goes on with it, and so does `vultus gallery encrypt`"
        );
    }
    if engine.store().is_changing_keys() {
        tracing::warn!(
            "galleries get other keys, and those before are needed still: the service goes on with it, and so does \
             `vultus gallery rotate-keys`"
        );
    }
    Ok(())
}

/// Fails if portraits are to be stored where anybody who can read the disk would see them.
pub(super) fn check_portraits(settings: &Settings, engine: &Engine) -> anyhow::Result<()> {
    if !settings.service.store_portraits || engine.store().is_encrypted() {
        return Ok(());
    }
    bail!(
        "`store-portraits` is on, and the data directory `{}` is not encrypted: portraits are stored encrypted \
         alone; `vultus gallery encrypt` encrypts what is there, and `encryption` what is new",
        settings.data_dir.display()
    )
}

/// Tells of portraits that are stored where none are any more.
pub(super) fn warn_of_portraits(settings: &Settings, engine: &Engine) -> anyhow::Result<()> {
    let portraits = engine.store().totals()?.portraits;
    if portraits > 0 && !settings.service.store_portraits {
        tracing::warn!(
            portraits,
            "portraits are stored, and nobody is shown them, since `store-portraits` is off: \
             `vultus people remove-portraits` removes them"
        );
    }
    Ok(())
}

/// A gallery, which must exist, whatever its encoder.
pub(super) fn gallery(engine: &Engine, id: &PartitionId) -> anyhow::Result<Gallery> {
    engine.enrolled(id)?.with_context(|| no_gallery(id))
}

/// A gallery, which must exist, to be asked about embeddings of `encoder`.
pub(super) fn gallery_of(
    engine: &Engine,
    id: &PartitionId,
    encoder: &EncoderId,
) -> anyhow::Result<Gallery> {
    engine.gallery(id, encoder)?.with_context(|| no_gallery(id))
}

/// The files of a gallery, which must exist.
pub(super) fn partition(engine: &Engine, id: &PartitionId) -> anyhow::Result<Arc<Partition>> {
    let partition = engine.store().partition(id)?;
    partition.with_context(|| no_gallery(id))
}

/// What is said of a gallery that is not there.
pub(super) fn no_gallery(id: &PartitionId) -> String {
    format!(
        "there is no gallery `{id}`: nobody was enrolled in it, or it was removed; `vultus gallery info` lists \
         what there is"
    )
}

/// What the service proves with who it is, if it speaks TLS.
pub(super) fn certificates(settings: &Settings) -> anyhow::Result<Option<Certificates>> {
    let (Some(certificate), Some(key)) = (&settings.tls_certificate, &settings.tls_key) else {
        return Ok(None);
    };
    Ok(Some(Certificates::read(certificate, key)?))
}

/// The networks. One thread for each picture: many pictures are read side by side.
pub(super) fn faces(settings: &Settings) -> anyhow::Result<FacePipeline> {
    let embedder = settings
        .embedder
        .clone()
        .zip(settings.embedder_profile.clone());
    let embedder = embedder.map(|(onnx, profile)| EmbedderSource { onnx, profile });
    let options = PipelineOptions {
        embedder,
        detector: Runtime::with(settings.onnxruntime.clone()),
        threads: 1,
        limits: DecodeLimits {
            pixels_max: settings.picture_pixels_max as u64,
            ..DecodeLimits::default()
        },
    };
    FacePipeline::new(&options).context("loading the networks")
}

/// What makes samples of pictures, without the networks that see liveness: few verbs need those.
pub(super) fn intake(settings: &Settings) -> anyhow::Result<Intake> {
    let intake = Intake::new(Arc::new(faces(settings)?), None, settings.service.policy());
    Ok(intake.with_portraits(settings.service.store_portraits))
}

/// What makes samples of pictures, and sees whether they are of a live person.
pub(super) fn live_intake(settings: &Settings) -> anyhow::Result<Intake> {
    let faces = Arc::new(faces(settings)?);
    let liveness = LivenessDetector::new(1).context("loading the networks for liveness")?;
    Ok(Intake::new(
        faces,
        Some(Arc::new(liveness)),
        settings.service.policy(),
    ))
}
