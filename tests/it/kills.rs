//! The real program, killed again and again while clients enrol and delete people over HTTP.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use vultus::partition::{Keys, Pace, Store};
use vultus::secrets::MasterKey;
use vultus::types::ClassId;

use crate::harness::{Answer, Call, Door, Program, Registered, Who, pictures};

const KILLS: usize = 100;
const CLIENTS: usize = 4;

/// What all clients of all lives of the service share.
#[derive(Default)]
struct Clients {
    next_class: AtomicI32,
    /// What they were told, by class: whether it is enrolled. Absent while nobody was told.
    told: Mutex<BTreeMap<i32, bool>>,
    /// How often they were told something.
    answers: AtomicUsize,
}

#[test]
#[ignore = "takes minutes; CI runs it by name"]
fn nothing_acknowledged_is_lost_by_a_hundred_kills() {
    kill_a_hundred_times(&Keys::default(), &[]);
}

#[test]
#[ignore = "takes minutes; CI runs it by name"]
fn nothing_acknowledged_is_lost_by_a_hundred_kills_of_an_encrypted_service() {
    let directory = tempfile::tempdir().unwrap();
    let (master, digits) = MasterKey::random();
    let path = directory.path().join("master.key");
    fs::write(&path, digits.as_bytes()).unwrap();
    let keys = Keys {
        master: Some(master),
        encrypt_new: true,
    };
    let source = format!("--master-key=file:{}", path.display());
    kill_a_hundred_times(&keys, &[&source, "--encryption=on"]);
}

fn kill_a_hundred_times(keys: &Keys, flags: &[&str]) {
    let chosen = std::env::var("VULTUS_SEED").ok();
    let seed = chosen.map_or_else(|| rand::rng().next_u64(), |text| text.parse().unwrap());
    println!("VULTUS_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let registered = Registered::create_with(&data, flags);
    let clients = Clients::default();
    for kill in 1..=KILLS {
        let server = Program::start_with(&data, &registered, flags, Stdio::null());
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| clients.work(&server, &stop));
            }
            // By what was done and not by the clock: on a slow machine they would not get far.
            let before = clients.answers.load(Ordering::Relaxed);
            let enough = before + random.random_range(1..8);
            while clients.answers.load(Ordering::Relaxed) < enough {
                thread::sleep(Duration::from_millis(1));
            }
            thread::sleep(Duration::from_millis(random.random_range(0..200)));
            server.kill();
            stop.store(true, Ordering::Relaxed);
        });
        clients.check(&data, keys, kill);
    }
    let told = clients.told.into_inner().unwrap();
    let enrolled = told.values().filter(|enrolled| **enrolled).count();
    let deleted = told.len() - enrolled;
    println!("{KILLS} kills, {enrolled} people enrolled, {deleted} deleted");
    assert!(
        enrolled > KILLS && deleted > 0,
        "{enrolled} enrolled, {deleted} deleted"
    );
}

impl Clients {
    /// Enrols one person after another, and deletes every third again, until the server is gone.
    fn work(&self, server: &Program, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            let class = self.next_class.fetch_add(1, Ordering::Relaxed);
            if enroll(server, class).is_none() {
                continue;
            }
            self.is_told(class, true);
            if class % 3 == 0 {
                // Between asking and being told, either is right.
                self.told.lock().unwrap().remove(&class);
                if delete(server, class).is_some() {
                    self.is_told(class, false);
                }
            }
        }
    }

    fn is_told(&self, class: i32, enrolled: bool) {
        self.told.lock().unwrap().insert(class, enrolled);
        self.answers.fetch_add(1, Ordering::Relaxed);
    }

    /// Compares what is on disk with all that was ever told.
    fn check(&self, data: &Path, keys: &Keys, kill: usize) {
        let store = Store::open_existing_with(data, keys).unwrap();
        assert_eq!(store.is_encrypted(), keys.encrypt_new);
        let verified = store.verify(None, &Pace::unlimited(), |_, _| {}).unwrap();
        let damage = verified.damage;
        assert!(damage.is_empty(), "after kill {kill}: {damage:?}");
        let partition = store.partition(&"bws.1".parse().unwrap()).unwrap();
        let partition = partition.expect("somebody was enrolled before the kill");
        let snapshot = partition.snapshot();
        for (class, enrolled) in self.told.lock().unwrap().iter() {
            let found = snapshot.contains(ClassId(i64::from(*class))).unwrap();
            assert_eq!(found, *enrolled, "class {class} after kill {kill}");
        }
        if kill.is_multiple_of(10) {
            // So that segments are met, too.
            partition.seal().unwrap();
        }
    }
}

/// Returns something if the server said that it is done.
fn enroll(server: &Program, class: i32) -> Option<()> {
    let app = server.credentials(Who::Main);
    let query = format!("bcid=bws.1.{class}&task=enroll&livedetection=false");
    let call = Call::new("GET", format!("token?id={}&{query}", app.id));
    let token = told(server, &call.by_app(&app))?.body;
    let upload = Call::new("POST", "upload").by_bearer(&token);
    told(server, &upload.body(pictures::obama()))?;
    let enrolled = told(server, &Call::new("GET", "enroll").by_bearer(&token))?;
    (enrolled.json()["Success"] == true).then_some(())
}

fn delete(server: &Program, class: i32) -> Option<()> {
    let call = Call::new("DELETE", format!("deleteclass?bcid=bws.1.{class}"));
    told(server, &call.by_app(&server.credentials(Who::Main))).map(|_| ())
}

/// What a server said if it did what it was asked.
fn told(server: &Program, call: &Call) -> Option<Answer> {
    let answer = server.try_send(call).ok()?;
    (answer.status == 200).then_some(answer)
}
