//! Against the real program, over a socket.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::{Fact, Kind, all};
use crate::harness::{Format, Program, Registered, Scene};

#[test]
fn all_facts_hold_for_the_real_program_on_a_socket() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let door = Program::start(&data, &Registered::create(&data));
    let mut runs: Vec<(&Fact, Format)> = Vec::new();
    for fact in all() {
        match fact.kind {
            Kind::Both => runs.extend([(fact, Format::Json), (fact, Format::Xml)]),
            Kind::Json => runs.push((fact, Format::Json)),
            Kind::Xml => runs.push((fact, Format::Xml)),
            Kind::Clock => {}
        }
    }
    // Each in a partition of its own, two at a time: they do not see each other.
    let next = AtomicUsize::new(0);
    let failed = |run: usize| {
        let (fact, format) = runs[run];
        let partition = 1000 + i32::try_from(run).unwrap();
        let scene = Scene {
            door: &door,
            format,
            partition,
        };
        let done = catch_unwind(AssertUnwindSafe(|| (fact.check)(&scene)));
        done.is_err().then(|| format!("{} ({format:?})", fact.name))
    };
    let failed: Vec<String> = thread::scope(|scope| {
        let workers = [(); 2].map(|()| {
            scope.spawn(|| {
                let mut names = Vec::new();
                loop {
                    let run = next.fetch_add(1, Ordering::Relaxed);
                    if run >= runs.len() {
                        return names;
                    }
                    names.extend(failed(run));
                }
            })
        });
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap())
            .collect()
    });
    println!("{} facts tried over a socket", runs.len());
    assert!(failed.is_empty(), "these do not hold: {failed:#?}");
}
