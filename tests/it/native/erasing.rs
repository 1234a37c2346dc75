//! Deleted means gone: nothing is left in any file, and a receipt says so to whoever was not there.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use vultus::access::{Reach, Scope};
use vultus::audit::{Receipt, ReceiptError};
use vultus::code::Planes;
use vultus::types::ClassId;

use crate::harness::{Door, Native, Service};

/// Values that nothing else looks like.
fn secret(seed: usize) -> Vec<f32> {
    (0..16)
        .map(|at| 0.3 + ((at * 7 + seed * 5) % 16) as f32 / 11.0)
        .collect()
}

/// What a file shows of somebody: the values, and their codes.
fn traces(values: &[f32]) -> [Vec<u8>; 2] {
    let mut planes = Planes::new(values.len());
    planes.push(ClassId(1), values);
    let block = planes.block(0..1);
    let bytes = values.iter().flat_map(|it| it.to_le_bytes()).collect();
    [
        bytes,
        bytemuck::cast_slice::<_, u8>(block.high)[..16].to_vec(),
    ]
}

/// Which traces any file below a folder holds, at any place.
fn held(folder: &Path, traces: &[Vec<u8>]) -> Vec<bool> {
    let mut found = vec![false; traces.len()];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let held = match path.is_dir() {
            true => held(&path, traces),
            false => {
                let bytes = fs::read(&path).unwrap();
                let holds = |trace: &Vec<u8>| bytes.windows(trace.len()).any(|it| it == trace);
                traces.iter().map(holds).collect()
            }
        };
        for (found, held) in found.iter_mut().zip(held) {
            *found |= held;
        }
    }
    found
}

fn seal(service: &Service, partition: &str) {
    let store = service.state.engine().store();
    let partition = store.partition(&partition.parse().unwrap()).unwrap();
    partition.unwrap().seal().unwrap();
}

fn verified(receipt: &Value) -> Result<Receipt, ReceiptError> {
    Receipt::verify(receipt.to_string().as_bytes(), None)
}

#[test]
fn what_is_erased_now_is_in_no_file_when_the_answer_comes() {
    for sealed in [false, true] {
        let service = Service::with(|settings| {
            settings.snapshot_every = Some(std::time::Duration::from_secs(86_400));
            settings.snapshot_keep = Some(14);
        });
        for class in 0..5 {
            service.enroll_embedding("bws.1", class, &secret(class as usize));
        }
        if sealed {
            seal(&service, "bws.1");
        }
        let traces = traces(&secret(3));
        let before = held(service.directory(), &traces);
        assert_eq!(before, [true, sealed], "or this test shows nothing");
        let answer = service
            .delete("partitions/bws.1/classes/3?erase=now")
            .json();
        assert_eq!(
            (&answer["was_enrolled"], &answer["erased"]),
            (&true.into(), &true.into())
        );
        assert_eq!(
            held(service.directory(), &traces),
            [false, false],
            "sealed: {sealed}"
        );
        let receipt = verified(&answer["receipt"]).unwrap();
        assert_eq!(
            (receipt.partition.as_str(), receipt.class.as_str()),
            ("bws.1", "3")
        );
        assert_eq!(receipt.templates, 1);
        let erased = receipt.erased_unix_milliseconds.unwrap();
        assert!(receipt.asked_unix_milliseconds <= erased);
        let fortnight = 14 * 86_400_000;
        assert_eq!(
            receipt.snapshots_until_unix_milliseconds,
            Some(erased + fortnight)
        );
        let again = service.get(&format!("receipts/{}", receipt.id)).json();
        assert_eq!(again, answer["receipt"]);
        assert_eq!(service.get("partitions/bws.1/classes/2").status, 200);
        // Again, and where nobody ever was.
        for path in [
            "partitions/bws.1/classes/3?erase=now",
            "partitions/bws.9/classes/3?erase=now",
        ] {
            let answer = service.delete(path).json();
            assert_eq!(answer["erased"], true);
            assert_eq!(answer["receipt"], Value::Null);
        }
    }
}

#[test]
fn a_receipt_is_completed_by_the_background_and_listed() {
    let service = Service::new();
    for class in 0..4 {
        service.enroll_embedding("bws.1", class, &secret(class as usize));
    }
    service.enroll_embedding("other.1", 1, &secret(9));
    for path in [
        "bws.1/classes/1",
        "bws.1/classes/2?erase=later",
        "other.1/classes/1",
    ] {
        let answer = service.delete(&format!("partitions/{path}")).json();
        assert_eq!(answer["erased"], false);
        let receipt = verified(&answer["receipt"]).unwrap();
        assert_eq!(receipt.erased_unix_milliseconds, None);
        service.advance(1);
    }
    let pages = |key: &str| {
        let first = service.call_by(key, "GET", "receipts?limit=2", ()).json();
        let mut all = first["receipts"].as_array().unwrap().clone();
        if let Some(next) = first["next"].as_str() {
            let path = format!("receipts?limit=2&cursor={next}");
            let second = service.call_by(key, "GET", &path, ()).json();
            assert_eq!(second["next"], Value::Null);
            all.extend(second["receipts"].as_array().unwrap().clone());
        }
        all
    };
    let listed = pages(&service.key());
    let classes: Vec<&str> = listed
        .iter()
        .map(|it| it["class"].as_str().unwrap())
        .collect();
    assert_eq!(classes, ["1", "2", "1"]);
    let reach = Reach::Partition("bws.1".parse().unwrap());
    let (_, key) = service.make_key(&[Scope::Delete], reach);
    assert_eq!(pages(&key).len(), 2);
    let foreign = format!("receipts/{}", listed[2]["id"].as_str().unwrap());
    let refused = service.call_by(&key, "GET", &foreign, ());
    refused.problem(403, "partition_not_allowed");

    let store = service.state.engine().store();
    let hour = std::time::Duration::from_secs(3_600);
    let pace = vultus::partition::Pace::unlimited();
    store.erase_due(hour, service.state.clock(), &pace).unwrap();
    service.advance(1_801);
    assert!(store.erase_due(hour, service.state.clock(), &pace).unwrap());
    for receipt in pages(&service.key()) {
        let receipt = verified(&receipt).unwrap();
        assert!(receipt.erased_unix_milliseconds.is_some());
        assert_eq!(receipt.snapshots_until_unix_milliseconds, None, "by hand");
    }
}

#[test]
fn wrong_receipts_and_wrong_wishes_are_refused() {
    let service = Service::new();
    service.enroll_embedding("bws.1", 1, &secret(1));
    for wrong in ["soon", "", "NOW", "true"] {
        let path = format!("partitions/bws.1/classes/1?erase={wrong}");
        service.delete(&path).problem(400, "invalid_parameter");
    }
    assert_eq!(service.get("partitions/bws.1/classes/1").status, 200);
    for unknown in ["1", "000000000000", "%00", "a%2Fb", "..%2F..%2Fetc"] {
        let path = format!("receipts/{unknown}");
        service.get(&path).problem(404, "receipt_not_found");
    }
    let (_, key) = service.make_key(&[Scope::Read], Reach::Everything);
    for path in ["receipts", "receipts/1"] {
        service
            .call_by(&key, "GET", path, ())
            .problem(403, "scope_missing");
    }
    let answer = service.delete("partitions/bws.1/classes/1").json();
    let mut edited = answer["receipt"].clone();
    edited["class"] = "2".into();
    assert!(matches!(
        verified(&edited),
        Err(ReceiptError::Forged { .. })
    ));
}

#[test]
fn a_removed_partition_is_in_no_file_and_begins_anew_with_the_next_enrolment() {
    let service = Service::new();
    for class in 0..5 {
        service.enroll_embedding("bws.1", class, &secret(class as usize));
        service.enroll_embedding("bws.2", class, &secret(class as usize + 8));
        if class == 3 {
            seal(&service, "bws.1");
        }
    }
    let named = json!({ "name": "Zebedee", "external_id": "E-77" });
    service
        .call_by(&service.key(), "PATCH", "partitions/bws.1/classes/1", named)
        .json();
    let mut all: Vec<Vec<u8>> = (0..5).flat_map(|seed| traces(&secret(seed))).collect();
    all.extend([b"Zebedee".to_vec(), b"E-77".to_vec()]);
    assert!(held(service.directory(), &all).iter().any(|held| *held));
    // Not without naming it again, nor by a key of another one or without the scope.
    for query in [
        "",
        "?confirm=",
        "?confirm=bws.2",
        "?confirm=x",
        "?confirm=bws.1&erase=never",
    ] {
        let refused = service.delete(&format!("partitions/bws.1{query}"));
        refused.problem(400, "invalid_parameter");
    }
    let remove = "partitions/bws.1?confirm=bws.1&erase=now";
    let (_, key) = service.make_key(&[Scope::Delete], Reach::Partition("bws.2".parse().unwrap()));
    assert_eq!(service.call_by(&key, "DELETE", remove, ()).status, 403);
    let (_, key) = service.make_key(&[Scope::Enroll, Scope::Read], Reach::Everything);
    service
        .call_by(&key, "DELETE", remove, ())
        .problem(403, "scope_missing");
    assert_eq!(service.get("partitions/bws.1").json()["templates"], 5);

    let answer = service.delete(remove).json();
    assert_eq!(
        (
            &answer["templates"],
            &answer["erased"],
            &answer["key_destroyed"]
        ),
        (&5.into(), &true.into(), &false.into())
    );
    assert!(!held(service.directory(), &all).iter().any(|held| *held));
    let receipt = verified(&answer["receipt"]).unwrap();
    assert_eq!(
        (receipt.partition.as_str(), receipt.class.as_str()),
        ("bws.1", "*")
    );
    assert_eq!(receipt.reason.as_deref(), Some("partition_removed"));
    assert!(receipt.erased_unix_milliseconds.is_some());
    let again = service.get(&format!("receipts/{}", receipt.id)).json();
    assert_eq!(again, answer["receipt"]);
    for path in [
        "partitions/bws.1",
        "partitions/bws.1/classes",
        "partitions/bws.1/classes/1",
    ] {
        assert_eq!(service.get(path).status, 404, "{path}");
    }
    service.delete(remove).problem(404, "partition_not_found");
    service
        .delete("partitions/bws.9?confirm=bws.9")
        .problem(404, "partition_not_found");
    // Another encoder may begin it.
    let other = json!({ "embeddings": [[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 1.0, 2.0, 3.0,
        4.0, 5.0, 6.0, 7.0, 8.0]], "encoder": "other" });
    service
        .post("partitions/bws.1/classes/9/enroll", other)
        .json();
    let found = service.get("partitions/bws.1").json();
    assert_eq!(
        (&found["templates"], &found["dimension"]),
        (&1.into(), &17.into())
    );
    assert_eq!(service.get("partitions/bws.2").json()["templates"], 5);
}
