//! Long lists, a page at a time.

use base64::prelude::*;
use serde_json::Value;

use crate::harness::{Native, Service, axis};

/// All pages, and how many there were.
fn pages(service: &Service, path: &str, list: &str, limit: usize) -> (Vec<Value>, usize) {
    let (mut all, mut count, mut cursor) = (Vec::new(), 0, String::new());
    loop {
        let page = service.get(&format!("{path}?limit={limit}{cursor}")).json();
        let entries = page[list].as_array().unwrap();
        assert!(entries.len() <= limit);
        all.extend(entries.iter().cloned());
        count += 1;
        match &page["next"] {
            Value::Null => return (all, count),
            // A page that promises more is full.
            Value::String(next) => {
                assert_eq!(entries.len(), limit);
                cursor = format!("&cursor={next}");
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn classes_come_in_order_whatever_the_length_of_pages() {
    let service = Service::new();
    let numbers = [5, -3, 0, i64::MAX, i64::MIN, 12];
    for number in numbers {
        service.enroll_embedding("bws.1", number, &axis(0));
    }
    let mut expected = numbers;
    expected.sort_unstable();
    let path = "partitions/bws.1/classes";
    for (limit, count) in [(1, 6), (2, 3), (3, 2), (5, 2), (6, 1), (7, 1), (1000, 1)] {
        let (all, found) = pages(&service, path, "classes", limit);
        let names: Vec<String> = all
            .iter()
            .map(|one| one["class"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(names, expected.map(|number| number.to_string()), "{limit}");
        assert_eq!(found, count, "{limit}");
    }
    // What was deleted meanwhile does no harm to a cursor.
    let first = service.get(&format!("{path}?limit=2")).json();
    service.delete("partitions/bws.1/classes/-3").json();
    let next = first["next"].as_str().unwrap();
    let second = service.get(&format!("{path}?limit=2&cursor={next}")).json();
    assert_eq!(second["classes"][0]["class"], "0");
}

#[test]
fn partitions_come_in_order_of_storage_and_number() {
    let service = Service::new();
    let names = ["b.10", "b.9", "a.1", "b.-1", "a-b.1"];
    for name in names {
        service.enroll_embedding(name, 1, &axis(0));
    }
    for limit in [1, 2, 5, 6] {
        let (all, _) = pages(&service, "partitions", "partitions", limit);
        let found: Vec<&str> = all
            .iter()
            .map(|one| one["partition"].as_str().unwrap())
            .collect();
        assert_eq!(found, ["a.1", "a-b.1", "b.-1", "b.9", "b.10"], "{limit}");
    }
    let one = service.get("partitions/b.9").json();
    assert_eq!(one["encoder"], "test@1");
    assert_eq!(
        (&one["dimension"], &one["classes"], &one["templates"]),
        (&16.into(), &1.into(), &1.into())
    );
}

#[test]
fn nobody_at_all_is_an_empty_page() {
    let service = Service::new();
    let page = service.get("partitions").json();
    assert_eq!(page, serde_json::json!({ "partitions": [], "next": null }));
    service
        .get("partitions/bws.1/classes")
        .problem(404, "partition_not_found");
    service.enroll_embedding("bws.1", 1, &axis(0));
    service.delete("partitions/bws.1/classes/1").json();
    let page = service.get("partitions/bws.1/classes").json();
    assert_eq!(page, serde_json::json!({ "classes": [], "next": null }));
}

#[test]
fn what_is_no_page_is_refused() {
    let service = Service::new();
    service.enroll_embedding("bws.1", 1, &axis(0));
    for path in [
        "partitions",
        "partitions/bws.1/classes",
        "receipts",
        "decisions",
    ] {
        for query in [
            "limit=0",
            "limit=1001",
            "limit=-1",
            "limit=x",
            "limit=",
            "offset=1",
            "limit=1&limit=2",
            "cursor=%",
        ] {
            let answer = service.get(&format!("{path}?{query}"));
            answer.problem(400, "invalid_parameter");
        }
        // Of no form, of another list, made up, and too long or in other letters for a receipt.
        let ids = [
            "0".repeat(27),
            "0".repeat(29),
            "F".repeat(28),
            "é".repeat(14),
        ];
        let ids = ids.map(|id| BASE64_URL_SAFE_NO_PAD.encode(id));
        let others = ids
            .iter()
            .map(String::as_str)
            .filter(|_| path == "receipts");
        for cursor in ["", "*", "eA", "AAAA", "_____"].into_iter().chain(others) {
            let answer = service.get(&format!("{path}?cursor={cursor}"));
            answer.problem(400, "invalid_cursor");
        }
    }
}

/// Whoever lists people first learns of the damage, and so does whoever asks for the status then.
#[test]
fn lists_of_a_damaged_partition_are_refused_and_the_status_says_so() {
    for path in ["classes", "classes/1"] {
        let service = Service::new();
        service.enroll_embedding("bws.1", 1, &axis(0));
        let id = "bws.1".parse().unwrap();
        let store = service.store.clone();
        let partition = store.partition(&id).unwrap().unwrap();
        partition.seal().unwrap();
        let mut files = std::fs::read_dir(store.directory().join("segments/1")).unwrap();
        let segment = files.next().unwrap().unwrap().path();
        drop((store, partition));
        let mut bytes = std::fs::read(&segment).unwrap();
        // The planes have a page each: a class or the time of its enrolment is among them.
        for page in 1..=10 {
            bytes[page * 4096] ^= 0xff;
        }
        std::fs::write(&segment, bytes).unwrap();
        let service = service.reopened();
        let status = service.get("status").json();
        assert_eq!(status["storage"]["good"], true, "nobody has looked yet");
        let answer = service.get(&format!("partitions/bws.1/{path}"));
        assert_eq!(answer.status, 500, "{path}: {}", answer.body);
        let status = service.get("status").json();
        assert_eq!(status["storage"]["good"], false, "{path}");
        let damaged = &status["storage"]["damaged"][0];
        assert_eq!(damaged["partition"], "bws.1", "{path}");
        let name = segment.file_name().unwrap().to_str().unwrap();
        assert!(
            damaged["damage"].as_str().unwrap().contains(name),
            "{damaged}"
        );
    }
}
