//! The real program, killed again and again while clients enrol and delete people over HTTP.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
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

/// What clients were told, by class: whether it is enrolled. Absent while nobody was told.
type Told = Mutex<BTreeMap<i32, bool>>;

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
    let (told, next) = (Told::default(), AtomicI32::new(1));
    for kill in 1..=KILLS {
        let server = Server::start(&data);
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| client(&server, &app, &jpeg, &next, &told, &stop));
            }
            thread::sleep(Duration::from_millis(random.random_range(100..900)));
            server.kill();
            stop.store(true, Ordering::Relaxed);
        });
        check(&data, &told, kill);
    }
    let told = told.into_inner().unwrap();
    let enrolled = told.values().filter(|enrolled| **enrolled).count();
    println!(
        "{KILLS} kills, {enrolled} people enrolled, {} deleted",
        told.len() - enrolled
    );
    assert!(
        enrolled > KILLS,
        "the clients were hardly served: {enrolled} people"
    );
    assert!(enrolled < told.len(), "nobody was deleted");
}

/// Enrols one person after another, and deletes every third again, until the server is gone.
fn client(
    server: &Server,
    app: &App,
    jpeg: &[u8],
    next: &AtomicI32,
    told: &Told,
    stop: &AtomicBool,
) {
    while !stop.load(Ordering::Relaxed) {
        let class = next.fetch_add(1, Ordering::Relaxed);
        let enroll = || {
            let token = server.token(app, class, "enroll").ok()?;
            server.upload(&token, jpeg).ok()?;
            let enrolled = server.task(&token, "enroll").ok()?;
            (enrolled["Success"] == true).then_some(())
        };
        if enroll().is_none() {
            continue;
        }
        told.lock().unwrap().insert(class, true);
        if class % 3 == 0 {
            // Between asking and being told, either is right.
            told.lock().unwrap().remove(&class);
            if server.delete_class(app, class).is_ok() {
                told.lock().unwrap().insert(class, false);
            }
        }
    }
}

fn check(data: &Path, told: &Told, kill: usize) {
    let store = Store::open_existing(data).unwrap();
    let verified = store.verify(None, &Pace::unlimited(), |_, _| {}).unwrap();
    assert!(
        verified.damage.is_empty(),
        "after kill {kill}: {:?}",
        verified.damage
    );
    let Some(partition) = store.partition(&"bws.1".parse().unwrap()).unwrap() else {
        assert!(
            told.lock().unwrap().is_empty(),
            "after kill {kill} the gallery is gone"
        );
        return;
    };
    let snapshot = partition.snapshot();
    for (class, enrolled) in told.lock().unwrap().iter() {
        let found = snapshot.contains(ClassId(i64::from(*class))).unwrap();
        assert_eq!(found, *enrolled, "class {class} after kill {kill}");
    }
    if kill.is_multiple_of(10) {
        // So that segments and compaction are met, too.
        partition.seal().unwrap();
    }
}
