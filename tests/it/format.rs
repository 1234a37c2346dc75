//! Files of every version of the format stay readable. Those of a version are written once and never
//! edited; `tests/fixtures/format/v1` has one of each kind.

use std::path::{Path, PathBuf};

use vultus::partition::{NewTemplate, Store, inspect, restore_archive};
use vultus::types::{ClassId, Embedding, EncoderId, PartitionId, Timestamp};

const NOW: Timestamp = Timestamp {
    unix_milliseconds: 1_790_000_000_123,
};

pub(super) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

fn encoder() -> EncoderId {
    EncoderId::new("test", "1", 24).unwrap()
}

fn id() -> PartitionId {
    "bws.1".parse().unwrap()
}

fn values(row: usize) -> Vec<f32> {
    (0..24)
        .map(|at| (row * 24 + at) as f32 * 0.25 - 7.0)
        .collect()
}

/// Class and first value of what the fixtures hold, in order: five rows are sealed, two are not, and
/// class 9 is removed.
const EXPECTED: [(i64, f32); 6] = [
    (-1, -1.0),
    (5, -7.0),
    (5, 5.0),
    (5, 17.0),
    (12, 23.0),
    (13, 29.0),
];

/// Makes the fixtures of the version that this build writes. Run once for each version, by
/// `cargo test --test it -- --ignored format::write_fixtures`.
#[test]
#[ignore = "the fixtures of a version are written once"]
fn write_fixtures() {
    let path = fixture("format/v1/snapshot.tar.zst");
    assert!(!path.exists(), "the fixtures are there");
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let partition = store.partition_for(&id(), &encoder(), NOW).unwrap();
    let mut import = partition.import(&encoder(), 5, NOW).unwrap();
    for (row, class) in [5, -1, 5, 9, 5].into_iter().enumerate() {
        let quality = [f32::NAN, 0.5][row % 2];
        import.push(ClassId(class), &values(row), quality).unwrap();
    }
    import.finish().unwrap();
    for (row, class) in [(5, 12), (6, 13)] {
        let template = NewTemplate {
            embedding: Embedding::new(values(row)).unwrap(),
            quality: 0.25,
            portrait: None,
        };
        let class = ClassId(class);
        partition
            .enroll(class, &encoder(), &[template], 0, NOW)
            .unwrap();
    }
    partition.remove(ClassId(9)).unwrap();
    store.state_put("area", "key", b"value").unwrap();
    let segments = directory.path().join("segments/1");
    let segment = std::fs::read_dir(segments)
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    std::fs::copy(segment.path(), fixture("format/v1/segment.vseg")).unwrap();
    store
        .snapshot_to(&path, false, NOW, &mut |_, _| {})
        .unwrap();
}

#[test]
fn format_1_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("data");
    let path = fixture("format/v1/snapshot.tar.zst");
    let manifest = restore_archive(&path, &target, &mut |_, _| {}).unwrap();
    assert_eq!((manifest.version, manifest.templates()), (1, 6));
    let store = Store::open(&target).unwrap();
    let partition = store.partition(&id()).unwrap().unwrap();
    let snapshot = partition.snapshot();
    let mut found = Vec::new();
    for row in snapshot.live_rows() {
        found.push((row.class().unwrap().0, row.values().unwrap()[0]));
    }
    found.sort_by(|a, b| a.partial_cmp(b).unwrap());
    assert_eq!(found, EXPECTED);
    assert_eq!(store.state_get("area", "key").unwrap().unwrap(), b"value");
    let segment = inspect(&fixture("format/v1/segment.vseg"), &mut |_, _| {}).unwrap();
    assert!(segment.is_whole());
}
