//! Random commands beside a service under load, against a model.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use serde_json::json;

use super::{
    admin, create_app, create_key, done, enrolled, import, prepared, status_of_app, status_of_key,
};
use crate::cli::{json_lines, success, text};
use crate::harness::{Credentials, Native, Program, axis};

/// What a data directory should hold.
#[derive(Default)]
struct Model {
    apps: BTreeMap<String, Credentials>,
    removed_apps: Vec<Credentials>,
    /// Keys by id.
    keys: BTreeMap<String, String>,
    revoked: Vec<String>,
    classes: BTreeSet<i64>,
}

impl Model {
    /// Gives one random command, and compares what the service does then with what it must do.
    fn step(&mut self, random: &mut StdRng, data: &Path, directory: &Path, server: &Program) {
        let pick = |random: &mut StdRng, count: usize| random.random_range(0..count);
        match random.random_range(0..11) {
            0 | 1 => {
                let app = create_app(data, "random");
                assert_eq!(status_of_app(server, &app), 200);
                self.apps.insert(app.id.clone(), app);
            }
            2 if !self.apps.is_empty() => {
                let at = pick(random, self.apps.len());
                let id = self.apps.keys().nth(at).unwrap().clone();
                done(data, &["app", "remove", &id]);
                let app = self.apps.remove(&id).unwrap();
                assert_eq!(status_of_app(server, &app), 401);
                self.removed_apps.push(app);
            }
            3 | 4 => {
                let (id, key) = create_key(data, "random");
                assert_eq!(status_of_key(server, &key), 200);
                self.keys.insert(id, key);
            }
            5 if !self.keys.is_empty() => {
                let at = pick(random, self.keys.len());
                let id = self.keys.keys().nth(at).unwrap().clone();
                done(data, &["key", "revoke", &id]);
                let key = self.keys.remove(&id).unwrap();
                assert_eq!(status_of_key(server, &key), 401);
                self.revoked.push(key);
            }
            6 | 7 => {
                let first = random.random_range(1..5_000);
                let classes: Vec<i64> = (first..first + random.random_range(1..40)).collect();
                success(&import(data, directory, &classes, &["--overwrite"]));
                self.classes.extend(classes);
            }
            8 if !self.classes.is_empty() => {
                let at = pick(random, self.classes.len());
                let class = *self.classes.iter().nth(at).unwrap();
                let number = class.to_string();
                let erase = [
                    "gallery",
                    "erase",
                    "--partition",
                    "bws.7",
                    "--class",
                    &number,
                    "--json",
                ];
                let erased = admin(data, &erase);
                let said = &json_lines(std::str::from_utf8(&erased.stdout).unwrap())[0];
                // Somebody may be reading what was stored.
                assert_eq!(said["was_enrolled"], true, "{said}");
                self.classes.remove(&class);
                let found = server.get(&format!("partitions/bws.7/classes/{class}"));
                assert_eq!(found.status, 404);
            }
            9 => drop(done(data, &["gallery", "compact"])),
            10 => {
                let to = directory.join("snapshot.tar.zst");
                done(
                    data,
                    &["gallery", "snapshot", "--overwrite", "--to", text(&to)],
                );
                done(
                    data,
                    &["gallery", "restore", "--check", "--from", text(&to)],
                );
            }
            _ => {}
        }
    }

    /// Compares all of it.
    fn check(&self, data: &Path, server: &Program) {
        for app in self.removed_apps.iter().rev().take(10) {
            assert_eq!(status_of_app(server, app), 401);
        }
        for key in self.revoked.iter().rev().take(10) {
            assert_eq!(status_of_key(server, key), 401);
        }
        self.apps
            .values()
            .for_each(|app| assert_eq!(status_of_app(server, app), 200));
        self.keys
            .values()
            .for_each(|key| assert_eq!(status_of_key(server, key), 200));
        let listed = json_lines(&done(data, &["app", "list", "--json"]));
        let random: BTreeSet<&str> = listed
            .iter()
            .filter(|app| app["name"] == "random")
            .map(|app| app["id"].as_str().unwrap())
            .collect();
        assert_eq!(random, self.apps.keys().map(String::as_str).collect());
        assert_eq!(enrolled(data), self.classes);
    }
}

/// Gives so many random commands beside a service under load.
fn random_commands(count: usize) {
    let chosen = std::env::var("VULTUS_SEED").ok();
    let seed = chosen.map_or_else(|| rand::rng().next_u64(), |text| text.parse().unwrap());
    println!("VULTUS_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let (directory, data, registered) = prepared();
    let server = Program::start(&data, &registered);
    let (mut model, stop, calls) = (Model::default(), AtomicBool::new(false), AtomicU64::new(0));
    server.enroll_embedding("bws.6", 1, &axis(1));
    thread::scope(|scope| {
        /// Also if the test fails.
        struct Stop<'a>(&'a AtomicBool);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let _stop = Stop(&stop);
        for load in 0..2 {
            let (server, stop, calls) = (&server, &stop, &calls);
            scope.spawn(move || {
                let mut class = 1;
                while !stop.load(Ordering::Relaxed) {
                    class += 1;
                    server.enroll_embedding("bws.6", class * 2 + load, &axis(class as usize % 16));
                    let asked = json!({ "embeddings": [axis(3)], "encoder": "test", "limit": 3, "threshold": 0.5 });
                    let found = server.post("partitions/bws.6/identify", asked);
                    assert!(matches!(found.status, 200 | 429 | 503), "{}", found.body);
                    calls.fetch_add(2, Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(5));
                }
            });
        }
        for at in 1..=count {
            model.step(&mut random, &data, directory.path(), &server);
            if at % 100 == 0 || at == count {
                model.check(&data, &server);
            }
        }
    });
    println!("{count} commands beside {} calls", calls.into_inner());
    assert_eq!(server.terminate(), Some(0));
    assert_eq!(enrolled(&data), model.classes);
}

#[test]
fn random_commands_beside_a_service_do_what_they_say() {
    random_commands(40);
}

#[test]
#[ignore = "takes minutes; CI runs it by name"]
fn a_thousand_random_commands_beside_a_service_do_what_they_say() {
    random_commands(1_000);
}
