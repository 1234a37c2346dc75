//! `vultus audit`, and the log of a service that is started.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::mpsc;

use anyhow::{Context as _, ensure};

use super::args::{Audit, AuditFormat, ExportAudit, ListAudit, VerifyAudit, VerifyReceipt};
use super::exit::Exit;
use super::{args, open, output};
use crate::access::ServerKey;
use crate::audit::{
    self, AUDIT_FOLDER, Actor, AuditKey, AuditLog, AuditMode, AuditOptions, Entry, Event, Finding,
    Head, PublicKey, Receipt, Record, Report,
};
use crate::config::Settings;
use crate::engine::Engine;
use crate::partition::{Keys, Store};
use crate::types::{Clock, Timestamp};
use crate::web::{AppState, remember_audit, remembered_audit};

/// What prints a record.
type Print<'a> = Box<dyn FnMut(&Entry) -> io::Result<()> + 'a>;

/// The columns of a table.
const COLUMNS: [&str; 15] = [
    "sequence",
    "time",
    "event",
    "caller",
    "address",
    "request",
    "partition",
    "class",
    "people",
    "encoder",
    "threshold",
    "decision",
    "candidates",
    "probe",
    "object",
];

/// Begins to account for what a service does, if that is wanted.
pub(super) fn begin(settings: &Settings, state: &AppState) -> anyhow::Result<()> {
    if settings.audit == AuditMode::Off {
        return Ok(());
    }
    let options = AuditOptions {
        is_strict: settings.audit == AuditMode::Strict,
        keep: settings.audit_keep,
        ..AuditOptions::default()
    };
    let key = AuditKey::from_seed(&state.server_key().audit_seed());
    let (now, public) = (Clock::System.now(), key.public());
    let store = state.engine().store();
    let log = opened(store, key, options)?;
    let folder = store.directory().join(AUDIT_FOLDER);
    tracing::info!(folder = %folder.display(), mode = %settings.audit, key = %public, "accounting");
    log.record(Record::new(now, Event::Started, Actor::default()), None);
    state.keep_audit(log);
    Ok(())
}

/// Opens the log of a data directory that this process has.
fn opened(store: &Store, key: AuditKey, options: AuditOptions) -> anyhow::Result<AuditLog> {
    let folder = store.directory().join(AUDIT_FOLDER);
    let known = remembered_audit(store).context("reading how far the audit log was")?;
    let log = AuditLog::open(&folder, key, options, known.as_ref(), Clock::System.now());
    log.context("opening the audit log")
}

/// Accounts for the command that this process was started for, before it changes a data directory that has a
/// log and no service. So one that is killed has its record, too.
///
/// # Errors
///
/// If the record cannot be written: then nothing is to be changed.
pub(super) fn commanded(engine: &Engine) -> anyhow::Result<()> {
    let store = engine.store();
    if !store.directory().join(AUDIT_FOLDER).is_dir() {
        return Ok(());
    }
    let account = || {
        let key = ServerKey::of_store(store, &mut rand::rng())?;
        let options = AuditOptions {
            is_strict: true,
            ..AuditOptions::default()
        };
        let log = opened(store, AuditKey::from_seed(&key.audit_seed()), options)?;
        let (told, done) = mpsc::channel();
        let tell = move |is_written| {
            let _gone = told.send(is_written);
        };
        log.record(record_of_command(), Some(Box::new(tell)));
        ensure!(
            done.recv().unwrap_or(false),
            "the audit log cannot be written: the log above says why"
        );
        log.close();
        Ok(remember_audit(store, &log)?)
    };
    account().context(
        "accounting for this command, since the data directory has an audit log: nothing was changed",
    )
}

/// Whether a data directory has an audit log.
pub(super) fn is_kept(settings: &Settings) -> bool {
    settings.data_dir.join(AUDIT_FOLDER).is_dir()
}

/// As [`commanded`], for a command that opens the data directory in its own way: it is opened for the record
/// alone, if there is a log. No service has it.
///
/// # Errors
///
/// As there, and if it cannot be opened.
pub(super) fn begins(settings: &Settings, keys: &Keys) -> anyhow::Result<()> {
    if !is_kept(settings) {
        return Ok(());
    }
    let engine = open::existing_engine_patiently(settings, keys);
    commanded(&engine.context("opening the data directory for its audit log")?)
}

/// As [`begins`], for a command before which nobody could open the data directory.
///
/// # Errors
///
/// If the record cannot be written: what was done stays done.
pub(super) fn ends(settings: &Settings, keys: &Keys) -> anyhow::Result<()> {
    begins(settings, keys).context("it is done, and the audit log has no record of it")
}

/// The command that this process was started for: its words, and the gallery or class that it names.
fn record_of_command() -> Record {
    let typed = args::command().try_get_matches_from(std::env::args_os());
    let matches = typed.ok();
    let user = rustix::process::geteuid().as_raw();
    let actor = Actor {
        caller: Some(format!("command line of user {user}")),
        ..Actor::default()
    };
    let (partition, class) = matches.as_ref().map_or((None, None), args::whom);
    Record {
        partition,
        class,
        object: matches.as_ref().map(args::words),
        ..Record::new(Clock::System.now(), Event::Commanded, actor)
    }
}

pub(super) fn run(verb: &Audit, settings: &Settings) -> anyhow::Result<Exit> {
    if let Audit::VerifyReceipt(verb) = verb {
        return verify_receipt(verb, settings);
    }
    let folder = settings.data_dir.join(AUDIT_FOLDER);
    ensure!(
        folder.is_dir(),
        "there is no audit log `{}`: a service writes one if the setting audit is on or strict",
        folder.display()
    );
    match verb {
        Audit::Verify(verb) => verify(verb, settings, &folder),
        Audit::VerifyReceipt(verb) => verify_receipt(verb, settings),
        Audit::List(verb) => list(verb, &folder),
        Audit::Export(verb) => export(verb, &folder),
    }
}

fn verify(verb: &VerifyAudit, settings: &Settings, folder: &Path) -> anyhow::Result<Exit> {
    let heads: anyhow::Result<Vec<Head>> = verb.head.iter().map(|text| head(text)).collect();
    let mut known = heads?;
    let Compared {
        key,
        remembered,
        missing,
    } = Compared::with(verb, settings);
    known.extend(remembered);
    let report = audit::verify(folder, key.as_ref(), &known, &mut |_| ())?;
    let is_damaged = report.findings.iter().any(Finding::is_damage);
    let end = format!("{}:{}", report.end.sequence, report.end.previous);
    if verb.json {
        let findings = report.findings.iter().map(|finding| {
            serde_json::json!({ "damage": finding.is_damage(), "text": finding.to_string() })
        });
        output::json_line(&serde_json::json!({
            "good": !is_damaged && missing.is_empty(),
            "files": report.files,
            "first": report.first,
            "records": report.records,
            "heads": report.heads,
            "head": end,
            "public_key": key.map(|key| key.to_string()),
            "findings": findings.collect::<Vec<_>>(),
            "not_compared": missing,
        }))?;
    } else {
        for finding in &report.findings {
            output::line(finding.to_string())?;
        }
        let records = output::count(report.records as usize, "record", "records");
        let files = output::count(report.files, "file", "files");
        let verdict = match (is_damaged, missing.is_empty()) {
            (true, _) => "NOT as they were written",
            (false, true) => "as they were written",
            (false, false) => "as far as can be told without what could not be read",
        };
        output::line(format!("{records} in {files}, {verdict}"))?;
        output::line(format!("head        {end}"))?;
        if let Some(key) = key {
            output::line(format!("public key  {key}"))?;
        }
    }
    if is_damaged {
        return Ok(Exit::No);
    }
    // Whoever changed the log may have taken away what it would be compared with.
    ensure!(missing.is_empty(), "{}", missing.join("; "));
    Ok(Exit::Success)
}

fn verify_receipt(verb: &VerifyReceipt, settings: &Settings) -> anyhow::Result<Exit> {
    let key = match verb.public_key {
        Some(key) => Some(key),
        None => {
            let own = ServerKey::open(&settings.data_dir).context("looking for the own key")?;
            own.map(|key| AuditKey::from_seed(&key.audit_seed()).public())
        }
    };
    let verified = Receipt::verify_file(&verb.file, key.as_ref());
    let verified = verified.with_context(|| format!("reading `{}`", verb.file.display()))?;
    let receipt = match verified {
        Ok(receipt) => receipt,
        Err(error) => {
            if verb.json {
                let text = error.to_string();
                output::json_line(&serde_json::json!({ "good": false, "text": text }))?;
            } else {
                output::line(format!("`{}`: {error}", verb.file.display()))?;
            }
            return Ok(Exit::No);
        }
    };
    if key.is_none() {
        output::say!("the signature is that of the key that the receipt names, whoever has it");
    }
    let is_erased = receipt.erased_unix_milliseconds.is_some();
    if verb.json {
        let said = serde_json::json!({ "good": true, "erased": is_erased, "receipt": receipt });
        output::json_line(&said)?;
    } else {
        let time = |unix_milliseconds| Timestamp { unix_milliseconds }.to_string();
        let erased = receipt.erased_unix_milliseconds;
        let erased = erased.map_or("not yet".to_owned(), time);
        let copies = receipt.snapshots_until_unix_milliseconds;
        let copies = copies.map_or("not known".to_owned(), |it| format!("until {}", time(it)));
        let templates = output::count(receipt.templates as usize, "template", "templates");
        let (partition, class) = (&receipt.partition, &receipt.class);
        let whom = match class.as_str() {
            "*" => format!("all of {partition}"),
            class => format!("class {class} of {partition}"),
        };
        let reason = receipt
            .reason
            .as_deref()
            .unwrap_or("deleted")
            .replace('_', " ");
        let into = receipt.into.as_ref();
        let into = into.map_or(String::new(), |into| format!(" into class {into}"));
        output::line(format!("removed      {whom}, {templates}"))?;
        output::line(format!("why          {reason}{into}"))?;
        output::line(format!(
            "asked        {}",
            time(receipt.asked_unix_milliseconds)
        ))?;
        output::line(format!("overwritten  {erased}"))?;
        output::line(format!("snapshots    {copies}"))?;
        output::line(format!("data         {}", receipt.data_directory))?;
        output::line(format!("signed by    {}", receipt.public_key))?;
    }
    Ok(match is_erased {
        true => Exit::Success,
        false => Exit::No,
    })
}

/// What a log is compared with: which key signs, and how far the log was.
struct Compared {
    key: Option<PublicKey>,
    remembered: Option<Head>,
    /// What should be compared with and cannot be read.
    missing: Vec<String>,
}

impl Compared {
    /// What is given, and else what follows from the rest of the data directory. A folder of the log alone has
    /// none of that, and nothing is missed then.
    fn with(verb: &VerifyAudit, settings: &Settings) -> Compared {
        let mut missing = Vec::new();
        let is_installation = Store::is_in(&settings.data_dir);
        let key = verb.public_key.or_else(|| {
            let own = ServerKey::open(&settings.data_dir);
            match own {
                Ok(None) if is_installation => missing.push(
                    "the key of the service is missing: --public-key gives the one that signed"
                        .to_owned(),
                ),
                Ok(None) => output::say!(
                    "there is no server key here: each signature is checked by the key that it names"
                ),
                Err(ref error) => missing.push(format!(
                    "the key of the service cannot be read: {error}: --public-key gives the one that signed"
                )),
                Ok(Some(_)) => {}
            }
            let own = own.ok().flatten();
            own.map(|key| AuditKey::from_seed(&key.audit_seed()).public())
        });
        let engine = open::reading_engine(settings);
        let remembered = engine.and_then(|engine| Ok(remembered_audit(engine.store())?));
        let remembered = remembered.unwrap_or_else(|error| {
            let text = format!("what the catalog remembers of the log cannot be read: {error:#}");
            match is_installation && verb.head.is_empty() {
                true => missing.push(format!("{text}: --head gives an end that is known")),
                false => output::say!("{text}"),
            }
            None
        });
        Compared {
            key,
            remembered,
            missing,
        }
    }
}

fn head(text: &str) -> anyhow::Result<Head> {
    let parts = text.split_once(':');
    let parts = parts.and_then(|(sequence, previous)| Some((sequence.parse().ok()?, previous)));
    let (sequence, previous) = parts.with_context(|| {
        format!(
            "`--head {text}` is none: expected NUMBER:DIGEST, as `vultus audit verify` prints it"
        )
    })?;
    Ok(Head {
        sequence,
        previous: previous.to_owned(),
    })
}

fn list(verb: &ListAudit, folder: &Path) -> anyhow::Result<Exit> {
    let partition = verb.partition.as_ref().map(ToString::to_string);
    let class = verb.class.map(|class| class.to_string());
    let is_meant = |entry: &Entry| {
        let is_about = |class: &String| {
            entry.class.as_ref() == Some(class) || entry.candidates.contains(class)
        };
        !entry.is_head()
            && (partition.is_none() || entry.partition == partition)
            && class.as_ref().is_none_or(is_about)
    };
    let mut last = VecDeque::new();
    let read = audit::verify(folder, None, &[], &mut |entry| {
        if is_meant(entry) {
            last.push_back(entry.clone());
            if last.len() > verb.last {
                last.pop_front();
            }
        }
    })?;
    if verb.json {
        last.iter().try_for_each(output::json_line)?;
    } else {
        let columns = [
            "time",
            "event",
            "caller",
            "address",
            "where",
            "decision",
            "candidates",
        ];
        let mut table = output::table(&columns);
        for entry in &last {
            table.add_row(shown(entry));
        }
        output::line(table.to_string())?;
    }
    Ok(whole(&read))
}

/// Whether what was read is all that was written, but for old files that were moved away.
fn whole(read: &Report) -> Exit {
    let is_meant = |finding: &&Finding| matches!(finding, Finding::Missing { from: 1, .. });
    let mut others = read.findings.iter().filter(|finding| !is_meant(finding));
    if !others.any(Finding::is_damage) {
        return Exit::Success;
    }
    output::tell!("the log is damaged: `vultus audit verify` says where");
    Exit::No
}

/// A record for people.
fn shown(entry: &Entry) -> [String; 7] {
    let told = |text: &Option<String>| text.clone().unwrap_or_default();
    let place = match (&entry.partition, &entry.class) {
        (Some(partition), Some(class)) => format!("{partition}.{class}"),
        (Some(partition), None) => partition.clone(),
        (None, _) => told(&entry.object),
    };
    let few = entry.candidates.iter().take(3).cloned().collect::<Vec<_>>();
    [
        entry.time().to_string(),
        entry.event.clone(),
        told(&entry.caller),
        told(&entry.address),
        place,
        told(&entry.decision),
        few.join(" "),
    ]
}

fn export(verb: &ExportAudit, folder: &Path) -> anyhow::Result<Exit> {
    let mut exit = Exit::Success;
    output::buffered(|stdout| {
        let mut failed: io::Result<()> = Ok(());
        let mut print: Print<'_> = match verb.format {
            AuditFormat::Jsonl => Box::new(|entry| {
                serde_json::to_writer(&mut *stdout, entry).map_err(io::Error::from)?;
                io::Write::write_all(stdout, b"\n")
            }),
            AuditFormat::Csv => {
                let mut table = csv::Writer::from_writer(stdout);
                table.write_record(COLUMNS).map_err(io::Error::from)?;
                Box::new(move |entry| match entry.is_head() {
                    true => Ok(()),
                    false => table.write_record(row(entry)).map_err(io::Error::from),
                })
            }
        };
        let mut each = |entry: &Entry| {
            if failed.is_ok() {
                failed = print(entry);
            }
        };
        let read = audit::verify(folder, None, &[], &mut each).map_err(io::Error::other)?;
        exit = whole(&read);
        failed
    })?;
    Ok(exit)
}

fn row(entry: &Entry) -> [String; COLUMNS.len()] {
    let told = |text: &Option<String>| text.clone().unwrap_or_default();
    let number = |number: Option<usize>| number.map(|it| it.to_string()).unwrap_or_default();
    [
        entry.sequence.to_string(),
        entry.time().to_string(),
        entry.event.clone(),
        told(&entry.caller),
        told(&entry.address),
        told(&entry.request),
        told(&entry.partition),
        told(&entry.class),
        number(entry.people),
        told(&entry.encoder),
        entry.threshold.map(|it| it.to_string()).unwrap_or_default(),
        told(&entry.decision),
        entry.candidates.join(" "),
        told(&entry.probe),
        told(&entry.object),
    ]
}
