//! Against the real program, over a socket.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::{Fact, Kind, all};
use crate::harness::{Format, Program, Registered, Scene};

/// So many programs answer, each to one client: whoever shows a wrong secret has all who come from the
/// same address wait.
const PROGRAMS: usize = 3;

#[test]
fn all_facts_hold_for_the_real_program_on_a_socket() {
    let mut runs: Vec<(&Fact, Format)> = Vec::new();
    for fact in all() {
        match fact.kind {
            Kind::Both => runs.extend([(fact, Format::Json), (fact, Format::Xml)]),
            Kind::Json => runs.push((fact, Format::Json)),
            Kind::Xml => runs.push((fact, Format::Xml)),
            Kind::Clock => {}
        }
    }
    let next = AtomicUsize::new(0);
    let failed: Vec<String> = thread::scope(|scope| {
        let clients = [(); PROGRAMS].map(|()| scope.spawn(|| failed(&runs, &next)));
        let failed = clients.into_iter().map(|client| client.join().unwrap());
        failed.flatten().collect()
    });
    println!("{} facts tried over a socket", runs.len());
    assert!(failed.is_empty(), "these do not hold: {failed:#?}");
}

/// Tries the next fact, until there is none, at a program of its own; returns those that do not hold.
fn failed(runs: &[(&Fact, Format)], next: &AtomicUsize) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let door = Program::start(&data, &Registered::create(&data));
    let mut failed = Vec::new();
    loop {
        let run = next.fetch_add(1, Ordering::Relaxed);
        let Some((fact, format)) = runs.get(run).copied() else {
            return failed;
        };
        // Each in a partition of its own: they do not see each other.
        let partition = 1000 + i32::try_from(run).unwrap();
        let scene = Scene {
            door: &door,
            format,
            partition,
        };
        let tried = catch_unwind(AssertUnwindSafe(|| (fact.check)(&scene)));
        if tried.is_err() {
            failed.push(format!("{} ({format:?})", fact.name));
        }
    }
}
