//! The real program, killed again and again while clients enrol and delete people over HTTP.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use vultus::partition::{Pace, Store};
use vultus::types::ClassId;

use super::cli::face;
use super::service::{App, Server};

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
    let chosen = std::env::var("VULTUS_SEED").ok();
    let seed = chosen.map_or_else(|| rand::rng().next_u64(), |text| text.parse().unwrap());
    println!("VULTUS_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let app = App::create(&data);
    let jpeg = std::fs::read(face("obama-portrait.jpg")).unwrap();
    let clients = Clients::default();
    for kill in 1..=KILLS {
        let server = Server::start(&data);
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| clients.work(&server, &app, &jpeg, &stop));
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
        clients.check(&data, kill);
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
    fn work(&self, server: &Server, app: &App, jpeg: &[u8], stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            let class = self.next_class.fetch_add(1, Ordering::Relaxed);
            if enroll(server, app, class, jpeg).is_none() {
                continue;
            }
            self.is_told(class, true);
            if class % 3 == 0 {
                // Between asking and being told, either is right.
                self.told.lock().unwrap().remove(&class);
                if server.delete_class(app, class).is_ok() {
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
    fn check(&self, data: &Path, kill: usize) {
        let store = Store::open_existing(data).unwrap();
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
fn enroll(server: &Server, app: &App, class: i32, jpeg: &[u8]) -> Option<()> {
    let token = server.token(app, class, "enroll").ok()?;
    server.upload(&token, jpeg).ok()?;
    let enrolled = server.task(&token, "enroll").ok()?;
    (enrolled["Success"] == true).then_some(())
}
