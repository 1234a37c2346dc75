//! The real service on a disk that is full, and then is not. The room is that which the process may
//! use in a file: what the system answers above it is handled as a full disk is.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::json;
use vultus::partition::Store;
use vultus::types::ClassId;

use crate::harness::{Answer, Call, Door, Native, Program, Registered, Who, axis};

const GALLERY: &str = "bws.7";

#[test]
fn a_full_disk_is_told_and_the_service_goes_on_when_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let registered = Registered::create(&data);
    let server = Program::start_with_limits(&data, &registered);
    let mut told = BTreeSet::new();
    enroll(&server, 1, &mut told);
    let catalog = data.join("catalog.redb");
    // What is there may be written over, and the catalog grows soon.
    let process = Pid::from_raw(i32::try_from(server.process()).unwrap());
    limit(process, Some(std::fs::metadata(&catalog).unwrap().len()));
    let mut class = 1;
    let refused = loop {
        class += 1;
        let answer = enroll(&server, class, &mut told);
        if answer.status != 200 {
            break answer;
        }
        assert!(class < 100_000, "it never grows");
    };
    told_of_a_full_disk(&refused);
    // Whatever changes something, at both doors.
    let path = format!("partitions/{GALLERY}/classes/1");
    told_of_a_full_disk(&server.delete(&path));
    let delete = Call::new("DELETE", "deleteclass?bcid=bws.7.1");
    let refused = server.send(delete.by_app(&server.credentials(Who::Main)));
    assert!(refused.message(507).contains("full"), "{}", refused.body);
    let status = server.get("status");
    assert_eq!(status.json()["storage"]["good"], false, "{}", status.body);
    let ready = server.send(Call::new("GET", "/readyz"));
    assert_eq!(ready.status, 503);
    assert!(ready.body.contains("\"storage_full\""), "{}", ready.body);
    // What is there is still found.
    let found = server.get(&path);
    assert_eq!(found.status, 200, "{}", found.body);

    limit(process, None);
    let begun = Instant::now();
    while enroll(&server, 500_000, &mut told).status != 200 {
        assert!(begun.elapsed() < Duration::from_secs(120), "never again");
        std::thread::sleep(Duration::from_millis(100));
    }
    for class in 500_001..500_020 {
        assert_eq!(enroll(&server, class, &mut told).status, 200, "{class}");
    }
    assert_eq!(server.get("status").json()["storage"]["good"], true);
    assert_eq!(server.send(Call::new("GET", "/readyz")).status, 200);
    server.kill();
    assert_eq!(enrolled(&data), told);
}

fn enroll(server: &Program, class: i64, told: &mut BTreeSet<i64>) -> Answer {
    let path = format!("partitions/{GALLERY}/classes/{class}/enroll");
    let body = json!({ "embeddings": [axis(class as usize % 16)], "encoder": "test" });
    let answer = server.post(&path, body);
    if answer.status == 200 {
        told.insert(class);
    }
    answer
}

fn told_of_a_full_disk(answer: &Answer) {
    answer.problem(507, "storage_full");
}

fn limit(process: Option<Pid>, bytes: Option<u64>) {
    let limit = Rlimit {
        current: bytes,
        maximum: None,
    };
    prlimit(process, Resource::Fsize, limit).unwrap();
}

fn enrolled(data: &Path) -> BTreeSet<i64> {
    let store = Store::open_existing(data).unwrap();
    let partition = store.partition(&GALLERY.parse().unwrap()).unwrap().unwrap();
    let snapshot = partition.snapshot();
    let classes = snapshot.live_rows().map(|row| row.class().unwrap());
    classes.map(|ClassId(class)| class).collect()
}
