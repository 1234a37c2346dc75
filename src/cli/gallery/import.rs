//! `vultus gallery import`

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;

use super::noticing::{Noticing, print_duplicates};
use super::picture_source::{self, PictureSource};
use crate::cli::admin::{self, Holder};
use crate::cli::args::Import;
use crate::cli::enrolled_already::{self, Asked};
use crate::cli::exit::Exit;
use crate::cli::pictures::Passed;
use crate::cli::{open, output};
use crate::config::Settings;
use crate::engine::{
    Duplicates, Engine, ImportOptions, Imported, TEMPLATES_PER_CLASS_MAX, check_source,
    none_refused,
};
use crate::exchange::{RefusedFile, RefusedItem, Source, SourceOptions, open_source_with};
use crate::partition::Store;
use crate::search::Pool;
use crate::types::{Clock, DIMENSION_MIN, EncoderId};

/// Refused items that a dry run without a report shows.
const REFUSED_SHOWN: usize = 10;

pub(super) fn run(verb: &Import, settings: &Settings) -> anyhow::Result<Exit> {
    let (mut source, encoder, passed) = source(verb, settings)?;
    if let Some(report) = &verb.refused {
        let source = source.items().name().to_owned();
        let beside = [&verb.classes, &verb.times].into_iter().flatten();
        let read = beside.map(PathBuf::as_path).chain([&*source]);
        output::refuse_input(report, read)?;
    }
    let notes = source.items().notes();
    let Some(encoder) = encoder else {
        return refuse_all(verb, settings, source);
    };
    let asked = Asked::of(settings, &encoder)?;
    let done = if verb.dry_run {
        dry_run(verb, settings, source, (&encoder, asked))?
    } else {
        if verb.all_or_nothing {
            check_all(verb, settings, asked)?;
        }
        import(verb, settings, source, (&encoder, asked))?
    };
    for note in notes {
        output::say!("{note}");
    }
    print(verb, Some(&encoder), &done, &passed)
}

/// Says of every item what is wrong with it, where none can be an embedding: nobody knows for which
/// encoder, and so nothing is begun.
fn refuse_all(verb: &Import, settings: &Settings, mut source: Opened) -> anyhow::Result<Exit> {
    let source = source.items();
    let name = source.name().to_owned();
    let path = match &verb.refused {
        Some(path) => Some(path.clone()),
        None => (!verb.dry_run && !verb.all_or_nothing).then(|| default_report(&name)),
    };
    let begin = |path: &PathBuf| RefusedFile::begin(path, verb.overwrite);
    let mut report = path.as_ref().map(begin).transpose()?;
    let mut shown = 0;
    let pool = Pool::new(settings.threads);
    let refused = |refusals: &[RefusedItem]| {
        if verb.all_or_nothing {
            none_refused(&name, refusals)?;
        }
        for RefusedItem { item, refused } in refusals.iter().take(REFUSED_SHOWN - shown) {
            output::tell!("item {item} is refused: {}", refused.reason);
            shown += 1;
        }
        let append = |report: &mut RefusedFile| report.append(refusals).map(drop);
        report.as_mut().map_or(Ok(()), append)
    };
    let now = Clock::System.now();
    let checked = check_source(source, &pool, None, None, now, refused, |_, _| ())?;
    let done = Done {
        imported: checked,
        report: path,
        duplicates: Vec::new(),
    };
    print(verb, None, &done, &Passed::default())
}

/// What was done.
struct Done {
    imported: Imported,
    /// Where refused items are reported, and those that look like somebody else.
    report: Option<PathBuf>,
    /// Those of this run that look like somebody else.
    duplicates: Vec<RefusedItem>,
}

fn import(
    verb: &Import,
    settings: &Settings,
    mut opened: Opened,
    (encoder, asked): (&EncoderId, Option<Asked>),
) -> anyhow::Result<Done> {
    let report = match &verb.refused {
        Some(path) => path.clone(),
        None => default_report(opened.items().name()),
    };
    let holder = admin::holder(settings, open::engine)?;
    if let Opened::Pictures(pictures) = &mut opened {
        meet(verb, settings, &holder, encoder, pictures)?;
    }
    let id = &verb.partition;
    let looked_for = match (asked, &holder) {
        (None, _) => None,
        (Some(asked), Holder::Own(engine)) => {
            looked_for(asked, Some(engine), verb, settings, encoder)?
        }
        (Some(asked), Holder::Service(_)) => {
            let engine = open::reading_engine(settings)?;
            looked_for(asked, Some(&engine), verb, settings, encoder)?
        }
    };
    let mut source = Noticing::new(opened.items());
    let options = ImportOptions {
        existing: verb.existing(),
        refused: (!verb.all_or_nothing).then_some(&*report),
        duplicates: looked_for.as_ref().map(|(_, duplicates)| duplicates),
    };
    let bar = output::progress_of(source.length(), "importing");
    let mut begun = false;
    let mut advance = |position| {
        if !begun {
            // What was done before says nothing of the time that is left.
            bar.set_position(position);
            bar.reset_eta();
        }
        begun = true;
        bar.set_position(position);
    };
    let imported = match &holder {
        Holder::Own(engine) => {
            let (now, progress) = (Clock::System.now(), |_: &_, at| advance(at));
            let imported = engine.import(id, encoder, &mut source, options, now, progress);
            imported.map_err(anyhow::Error::from)
        }
        Holder::Service(service) => {
            let options = (options, looked_for.as_ref().map(|(asked, _)| asked));
            service.import(id, encoder, &mut source, options, advance)
        }
    };
    bar.finish_and_clear();
    let duplicates = source.into_duplicates();
    print_duplicates(&duplicates, verb.json);
    let imported = if begun {
        imported.context("the import stopped; --resume goes on after what is certain")?
    } else {
        imported?
    };
    // Of ready embeddings nobody knows which are good: they come in as they are.
    if !verb.source.pictures.is_empty() || verb.source.manifest.is_some() {
        keep_best(verb, &holder)?;
    }
    Ok(Done {
        imported,
        report: Some(report).filter(|_| !verb.all_or_nothing),
        duplicates,
    })
}

/// From when on people are taken for one who have two classes, and what is done then; `None` if that cannot be
/// known and need not be.
fn looked_for(
    asked: Asked,
    engine: Option<&Engine>,
    verb: &Import,
    settings: &Settings,
    encoder: &EncoderId,
) -> anyhow::Result<Option<(Asked, Duplicates)>> {
    let duplicates = match engine {
        Some(engine) => asked.in_gallery(engine, &verb.partition, encoder)?,
        None => asked.without_gallery(settings, encoder)?,
    };
    enrolled_already::if_known((asked, duplicates), encoder)
}

/// Gives the people of pictures the classes that they have, and new ones to those who have none.
fn meet(
    verb: &Import,
    settings: &Settings,
    holder: &Holder,
    encoder: &EncoderId,
    pictures: &mut PictureSource,
) -> anyhow::Result<()> {
    let id = &verb.partition;
    let gallery = match holder {
        Holder::Own(engine) => engine.gallery(id, encoder)?,
        Holder::Service(_) => open::reading_engine(settings)?.gallery(id, encoder)?,
    };
    if let Some(gallery) = gallery {
        pictures.meet_known(&gallery)?;
    }
    let newcomers = pictures.newcomers();
    let count = newcomers.len();
    let chosen = match holder {
        _ if newcomers.is_empty() => return Ok(()),
        Holder::Own(engine) => engine.choose_classes(id, encoder, count, Clock::System.now())?,
        Holder::Service(service) => service.choose_classes(id, encoder, count)?,
    };
    pictures.put_classes(&newcomers.into_iter().zip(chosen).collect());
    Ok(())
}

/// Leaves each person the templates that an enrolment would.
fn keep_best(verb: &Import, holder: &Holder) -> anyhow::Result<()> {
    let removed = match holder {
        Holder::Own(engine) => {
            let gallery = engine.enrolled(&verb.partition)?;
            gallery.map_or(Ok(0), |gallery| gallery.keep_best(Clock::System.now()))?
        }
        Holder::Service(service) => service.keep_best(&verb.partition)?,
    };
    if removed > 0 {
        let templates = output::count(removed, "template", "templates");
        output::say!(
            "kept the best {TEMPLATES_PER_CLASS_MAX} of each person, none twice: {templates} gave way"
        );
    }
    Ok(())
}

/// Reads everything and makes nothing.
fn dry_run(
    verb: &Import,
    settings: &Settings,
    mut opened: Opened,
    (encoder, asked): (&EncoderId, Option<Asked>),
) -> anyhow::Result<Done> {
    let engine = there(settings)?;
    let looked_for = match asked {
        Some(asked) => looked_for(asked, engine.as_ref(), verb, settings, encoder)?,
        None => None,
    };
    if let Some(engine) = &engine {
        engine.check_encoder(&verb.partition, encoder, opened.items().dimension())?;
        if let Opened::Pictures(pictures) = &mut opened
            && let Some(gallery) = engine.gallery(&verb.partition, encoder)?
        {
            pictures.meet_known(&gallery)?;
        }
    }
    let source = opened.items();
    let begin = |path: &PathBuf| RefusedFile::begin(path, verb.overwrite);
    let mut report = verb.refused.as_ref().map(begin).transpose()?;
    let bar = output::progress_of(source.length(), "checking");
    let (mut shown, mut duplicates) = (0, Vec::new());
    let checked = check_source(
        source,
        &Pool::new(settings.threads),
        engine.as_ref().map(|engine| (engine, &verb.partition)),
        looked_for.as_ref().map(|(_, found)| (encoder, found)),
        Clock::System.now(),
        |refusals| {
            let is_duplicate = |it: &&RefusedItem| it.refused.duplicate.is_some();
            duplicates.extend(refusals.iter().filter(is_duplicate).cloned());
            if let Some(report) = &mut report {
                report.append(refusals)?;
                return Ok(());
            }
            let others = refusals.iter().filter(|it| !is_duplicate(it));
            for refusal in others.take(REFUSED_SHOWN - shown) {
                let (item, reason) = (refusal.item, &refusal.refused.reason);
                bar.suspend(|| output::tell!("item {item} would be refused: {reason}"));
                shown += 1;
            }
            Ok(())
        },
        |_, position| bar.set_position(position),
    );
    bar.finish_and_clear();
    print_duplicates(&duplicates, verb.json);
    Ok(Done {
        imported: checked?,
        report: verb.refused.clone(),
        duplicates,
    })
}

/// The data directory to be looked at, if there is one.
fn there(settings: &Settings) -> anyhow::Result<Option<Engine>> {
    let is_there = Store::is_in(&settings.data_dir);
    is_there.then(|| open::reading_engine(settings)).transpose()
}

/// Makes sure that no item will be refused.
fn check_all(verb: &Import, settings: &Settings, asked: Option<Asked>) -> anyhow::Result<()> {
    let (mut opened, encoder, _) = source(verb, settings)?;
    let source = opened.items();
    let name = source.name().to_owned();
    let engine = there(settings)?;
    // Those that are imported all the same refuse nothing.
    let asked = asked.filter(Asked::are_refused).zip(encoder.as_ref());
    let looked_for = match asked {
        Some((asked, encoder)) => looked_for(asked, engine.as_ref(), verb, settings, encoder)?,
        None => None,
    };
    let bar = output::progress_of(source.length(), "checking");
    let checked = check_source(
        source,
        &Pool::new(settings.threads),
        engine.as_ref().map(|engine| (engine, &verb.partition)),
        encoder
            .as_ref()
            .zip(looked_for.as_ref().map(|(_, found)| found)),
        Clock::System.now(),
        |refusals| none_refused(&name, refusals),
        |_, position| bar.set_position(position),
    );
    bar.finish_and_clear();
    checked?;
    Ok(())
}

/// What is imported.
enum Opened {
    File(Box<dyn Source>),
    /// Some may be of people who have no class yet.
    Pictures(PictureSource),
}

impl Opened {
    fn items(&mut self) -> &mut dyn Source {
        match self {
            Opened::File(source) => &mut **source,
            Opened::Pictures(source) => source,
        }
    }
}

/// What is imported, the encoder of its embeddings unless nothing in it can be one, and what was
/// passed over to find it.
fn source(
    verb: &Import,
    settings: &Settings,
) -> anyhow::Result<(Opened, Option<EncoderId>, Passed)> {
    if let (Some(path), Some(encoder)) = (
        verb.source
            .file
            .as_ref()
            .or(verb.source.embeddings.as_ref()),
        &verb.encoder,
    ) {
        let options = SourceOptions {
            classes: verb.classes.clone(),
            times: verb.times.clone(),
            class_name: verb.class_column.clone(),
            embedding_name: verb.embedding_column.clone(),
            templates_only: verb.templates_only,
            ..SourceOptions::default()
        };
        let source = open_source_with(path, &options)?;
        let dimension = source.dimension();
        let known = EncoderId::parse(encoder, dimension.max(DIMENSION_MIN))?;
        let encoder = (dimension > 0).then_some(known);
        return Ok((Opened::File(source), encoder, Passed::default()));
    }
    let intake = Arc::new(open::intake(settings)?);
    let encoder = intake.encoder().clone();
    let (source, passed) = match &verb.source.manifest {
        Some(manifest) => (
            picture_source::of_manifest(manifest, intake, settings.threads)?,
            Passed::default(),
        ),
        None => picture_source::of_folders(&verb.source.pictures, intake, settings.threads)?,
    };
    Ok((Opened::Pictures(source), Some(encoder), passed))
}

/// The report of a source, beside it.
fn default_report(source: &Path) -> PathBuf {
    let whole = source.canonicalize();
    let mut name = whole.unwrap_or_else(|_| source.to_owned()).into_os_string();
    name.push(".refused.jsonl");
    name.into()
}

fn print(
    verb: &Import,
    encoder: Option<&EncoderId>,
    done: &Done,
    passed: &Passed,
) -> anyhow::Result<Exit> {
    let id = &verb.partition;
    let imported = &done.imported;
    let report_path = done.report.as_deref();
    let report_path = report_path.filter(|_| imported.refused > 0 || imported.duplicates > 0);
    let report = report_path.map(|path| path.display().to_string());
    let Imported {
        items,
        accepted,
        known,
        refused,
        duplicates,
        earlier,
    } = imported;
    if verb.json {
        let mut said = serde_json::json!({
            "partition": id.to_string(),
            "encoder": encoder.map(EncoderId::to_string),
            "items": items,
            "imported": accepted,
            "known": known,
            "refused": refused,
            "duplicates": duplicates,
            "duplicate_items": done.duplicates,
            "earlier": earlier,
            "report": report,
            "dry_run": verb.dry_run,
            "passed_over": passed,
        });
        if let Some(bytes) = report_path.and_then(output::path_bytes) {
            said["report_bytes"] = bytes.into();
        }
        output::json_line(&said)?;
    } else {
        let done = if verb.dry_run {
            "would import"
        } else {
            "imported"
        };
        let before = match earlier {
            0 => String::new(),
            _ if earlier == items => ", all of them in an earlier run".to_owned(),
            _ => format!(", {earlier} of {items} items in an earlier run"),
        };
        let of_encoder = encoder.map_or(String::new(), |encoder| format!(" of `{encoder}`"));
        let there = match known {
            0 => String::new(),
            _ => format!(", {known} were there already"),
        };
        output::say!("{done} {accepted} embeddings{of_encoder} into {id}{there}{before}");
        let place = report.map_or(String::new(), |path| format!(": see `{path}`"));
        if *duplicates > 0 {
            output::tell!(
                "{duplicates} of {items} items look like people who have another class{place}"
            );
        }
        if *refused > 0 {
            output::tell!("refused {refused} of {items} items{place}");
        }
    }
    passed.print();
    Ok(if *refused == 0 && !passed.is_missed() {
        Exit::Success
    } else {
        Exit::No
    })
}
