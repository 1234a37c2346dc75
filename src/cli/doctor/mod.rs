//! `vultus doctor`: what is wrong with this machine and with what is set, and what to do.
//!
//! `gather` (with `data` and `port`) looks, and `judge_*` are pure functions that say what to think of
//! what was found, so that each can be tested without a machine that has it.

pub(super) mod data;
mod facts;
mod finding;
mod gather;
mod judge_data;
mod judge_machine;
mod judge_service;
mod port;

pub(super) use self::judge_machine::OWN_BYTES;

use self::facts::Facts;
use self::finding::{Finding, Verdict};
use super::args::Doctor;
use super::exit::Exit;
use super::output::{self, count, say};
use crate::config::Read;

/// Also if the settings cannot be used: that is then one of the findings.
pub(super) fn run(verb: &Doctor, read: Result<&Read, &anyhow::Error>) -> anyhow::Result<Exit> {
    let findings = judge(&gather::gather(read));
    for finding in &findings {
        match verb.json {
            true => output::json_line(finding)?,
            false => output::line(finding.line())?,
        }
    }
    let of = |verdict| findings.iter().filter(|one| one.verdict == verdict).count();
    say!(
        "{} wrong, {}",
        count(of(Verdict::Wrong), "thing is", "things are"),
        count(of(Verdict::Warning), "warning", "warnings")
    );
    Ok(finding::exit(&findings, verb.strict))
}

/// One finding for each thing that was looked at.
fn judge(facts: &Facts) -> Vec<Finding> {
    let scanned_bytes = facts.store.as_ref().map_or(0, |store| {
        store
            .contents
            .as_ref()
            .map_or(0, |contents| contents.scanned_bytes)
    });
    let is_being_written = facts
        .store
        .as_ref()
        .and_then(|store| store.is_being_written);
    let data_bytes = facts
        .directory
        .as_ref()
        .map_or(0, |directory| directory.bytes);
    let mut findings = vec![
        judge_service::settings(&facts.settings),
        judge_machine::clock(&facts.clock),
        judge_machine::kernel(&facts.processor),
        judge_machine::threads(&facts.processor),
        judge_machine::memory(
            facts.memory.as_ref(),
            facts.picture_bytes_max,
            scanned_bytes,
        ),
        judge_machine::descriptors(&facts.descriptors),
    ];
    if let Some(directory) = &facts.directory {
        findings.extend([
            judge_data::directory(directory),
            judge_data::disk_kind(directory),
            judge_data::disk_room(directory),
            judge_data::disk_sync(directory),
            judge_data::permissions(directory),
            judge_data::server_key(directory),
            judge_data::socket(directory, is_being_written),
        ]);
    }
    if let Some(store) = &facts.store {
        findings.extend([
            judge_data::writer(store),
            judge_data::galleries(store),
            judge_data::encryption(store),
        ]);
    }
    let snapshots = facts.snapshots.iter();
    findings.extend(snapshots.map(|folder| judge_data::snapshots(folder, data_bytes)));
    let ports = facts.ports.iter();
    findings.extend(ports.map(|port| judge_service::port(port, is_being_written)));
    if facts.directory.is_some() {
        let now = facts.clock.now;
        findings.push(judge_service::certificate(&facts.certificate, now));
        findings.extend(facts.tls_key.as_ref().map(judge_service::key_file));
    }
    findings.extend(facts.networks.as_ref().map(judge_service::networks));
    findings.push(judge_service::trial(&facts.trial));
    findings
}
