//! Snapshots, in the directory that the operator chose and nowhere else.

use vultus::access::{Reach, Scope};
use vultus::partition::verify_archive;

use crate::harness::{Door, Native, Service, axis};

#[test]
fn a_snapshot_is_a_whole_archive_of_everything() {
    let service = Service::new();
    let none = service.get("snapshots").json();
    assert_eq!(none, serde_json::json!({ "snapshots": [] }));
    service.enroll_embedding("bws.1", 1, &axis(0));
    service.enroll_embedding("other.1", 2, &axis(0));
    let made = service.post("snapshots", ());
    assert_eq!(made.status, 201);
    let made = made.json();
    let path = service
        .directory()
        .join("snapshots")
        .join(made["name"].as_str().unwrap());
    let manifest = verify_archive(&path, &mut |_, _| {}).unwrap();
    assert_eq!((manifest.partitions.len(), manifest.templates()), (2, 2));
    assert_eq!(made["bytes"], std::fs::metadata(&path).unwrap().len());
    // Another of the same moment would replace it.
    service
        .post("snapshots", ())
        .problem(409, "snapshot_running");
    service.advance(1);
    let second = service.post("snapshots", ()).json();
    std::fs::write(path.with_file_name("notes.txt"), "by somebody else").unwrap();
    let listed = service.get("snapshots").json();
    assert_eq!(listed, serde_json::json!({ "snapshots": [second, made] }));
}

#[test]
fn without_a_directory_there_are_no_snapshots() {
    let service = Service::with(|settings| settings.snapshot_dir = None);
    service
        .get("snapshots")
        .problem(404, "snapshots_not_configured");
    service
        .post("snapshots", ())
        .problem(404, "snapshots_not_configured");
    let (_, key) = service.make_key(&[Scope::Read], Reach::Everything);
    let answer = service.call_by(&key, "POST", "snapshots", ());
    answer.problem(403, "scope_missing");
}
