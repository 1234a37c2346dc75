//! `vultus calibrate --encoder-profile`: what labelled embeddings say of their encoder.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

use super::material;
use super::places;
use super::scratch::Scratch;
use crate::cli::args::{Calibrate, LabelledSamples};
use crate::cli::output;
use crate::config::Settings;
use crate::engine::{CalibrationOptions, EngineError};
use crate::eval::recognition::People;
use crate::rates::{Calibration, KnownEncoder};
use crate::search::Pool;
use crate::types::Clock;

/// Measures what strangers reach among labelled samples, and writes the profile of their encoder.
pub(in crate::cli) fn make(
    verb: &Calibrate,
    settings: &Settings,
    file: &Path,
) -> anyhow::Result<Calibration> {
    let name = file.display();
    ensure!(
        verb.overwrite || !file.exists(),
        "`{name}` is there already: --overwrite replaces it"
    );
    let folder = file.parent().filter(|folder| *folder != Path::new(""));
    if let Some(folder) = folder {
        let folder_name = folder.display();
        ensure!(
            folder.is_dir(),
            "there is no folder `{folder_name}` to write `{name}` into"
        );
    }
    output::refuse_input(file, verb.paths.iter().map(PathBuf::as_path))?;
    let given = samples(verb);
    let is_named = verb.encoder.is_some() || verb.paths.iter().any(|path| path.is_dir());
    if !is_named {
        bail!("which encoder made the embeddings? name it with --encoder NAME@VERSION");
    }
    let mut material = material::read(&given, settings, None)?;
    material::tell_copies(&material.copies);
    let people = People::of(std::mem::take(&mut material.samples));
    let pool = Pool::new(settings.threads);
    let all = people.samples().iter().enumerate();
    let templates = all.map(|(at, sample)| (sample.class, at));
    let scratch = Scratch::of(settings, &pool, &material.encoder, &people, templates)?;
    let options = CalibrationOptions {
        probes: verb.probes,
        seed: verb.seed,
        ..CalibrationOptions::default()
    };
    let bar = output::progress(0, "searching strangers");
    let measured = scratch
        .gallery
        .calibrate(&options, Clock::System.now(), |done, all| {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
            Ok::<_, EngineError>(())
        });
    bar.finish_and_clear();
    let measured = measured?;
    let known = KnownEncoder::of(measured.clone())?;
    places::write(file, &known.to_bytes()).with_context(|| format!("writing `{name}`"))?;
    material.passed.print();
    output::say!(
        "wrote `{name}`: two faces of `{}` are one person from a similarity of {:.4} on; name it in \
         `encoder-profiles`",
        known.encoder(),
        known.verification_threshold()
    );
    Ok(measured)
}

fn samples(verb: &Calibrate) -> LabelledSamples {
    LabelledSamples {
        paths: verb.paths.clone(),
        partition: None,
        encoder: verb.encoder.clone(),
        classes: verb.classes.clone(),
        class_column: verb.class_column.clone(),
        embedding_column: verb.embedding_column.clone(),
        seed: verb.seed,
        threshold: None,
        groups: None,
        group_label: None,
    }
}
