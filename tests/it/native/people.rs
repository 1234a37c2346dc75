//! People have names: records in every call that knows a class, and what is refused of them.

use std::time::Duration;

use serde_json::{Value, json};
use vultus::access::{Reach, Scope};

use crate::harness::{Answer, Body, Call, Door, Native, Service, axis, bytes_of};

const PEOPLE: &str = "partitions/bws.1/enroll";
const CLASSES: &str = "partitions/bws.1/classes";

/// Enrols somebody whose class the service chooses.
fn enroll(service: &Service, at: usize, record: &Value) -> Answer {
    let mut body = json!({ "embeddings": [axis(at)], "encoder": "test" });
    let members = record.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(members);
    service.post(PEOPLE, body)
}

fn put(service: &Service, class: &str, body: Value) -> Answer {
    service.call_by(&service.key(), "PUT", &format!("{CLASSES}/{class}"), body)
}

fn patch(service: &Service, class: &str, body: Value) -> Answer {
    service.call_by(&service.key(), "PATCH", &format!("{CLASSES}/{class}"), body)
}

fn found(service: &Service, query: &str) -> Vec<String> {
    let page = service.get(&format!("{CLASSES}?{query}")).json();
    let classes = page["classes"].as_array().unwrap().iter();
    classes
        .map(|class| class["class"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_person_has_a_name_wherever_they_are_told_of() {
    let service = Service::new();
    let record = json!({
        "name": " Ada  Lovelace ", "external_id": "E-1", "labels": { "site": "berlin" }, "note": "agreed",
        "expires_unix_milliseconds": 4_000_000_000_000_i64, "threshold": 0.5, "not_same_as": null,
    });
    let ada = enroll(&service, 0, &record).json();
    assert_eq!(
        (&ada["class"], &ada["name"]),
        (&json!("1"), &json!("Ada Lovelace"))
    );
    assert_eq!(ada["same_name"], json!([]));
    let again = enroll(
        &service,
        1,
        &json!({ "name": "ADA LOVELACE", "not_same_as": ["1"] }),
    )
    .json();
    assert_eq!(
        (&again["class"], &again["same_name"]),
        (&json!("2"), &json!(["1"]))
    );
    let class = service.get(&format!("{CLASSES}/1")).json();
    let expected = json!({
        "class": "1", "name": "Ada Lovelace", "external_id": "E-1", "labels": { "site": "berlin" },
        "note": "agreed", "expires_unix_milliseconds": 4_000_000_000_000_i64, "threshold": 0.5,
        "not_same_as": ["2"], "last_match_unix_milliseconds": null, "templates": 1,
        "first_enrolled_unix_milliseconds": 1_700_000_000_000_i64,
        "last_enrolled_unix_milliseconds": 1_700_000_000_000_i64, "best_quality": null,
    });
    assert_eq!(class, expected);
    let listed = service.get(CLASSES).json();
    assert_eq!(listed["classes"][0], expected);
    // A known external id is the same person.
    let more = enroll(
        &service,
        3,
        &json!({ "external_id": "E-1", "labels": ["team:a"] }),
    )
    .json();
    assert_eq!(
        (&more["class"], &more["templates"]),
        (&json!("1"), &json!(2))
    );
    assert_eq!(more["labels"], json!({ "site": "berlin", "team": "a" }));
    assert!(more["similarity_to_class"].is_number());
    let body = json!({ "embeddings": [axis(0)], "encoder": "test", "threshold": 0.9 });
    let who = service.post("partitions/bws.1/identify", body).json();
    let best = &who["matches"][0];
    assert_eq!(
        (&best["name"], &best["external_id"]),
        (&json!("Ada Lovelace"), &json!("E-1"))
    );
    let many = json!({ "embeddings": [axis(0), axis(9)], "encoder": "test", "threshold": 0.9 });
    let lines = service.post("partitions/bws.1/identify-many", many);
    let first: Value = serde_json::from_str(lines.body.lines().next().unwrap()).unwrap();
    assert_eq!(first["matches"][0]["name"], "Ada Lovelace");
    let class = service.get(&format!("{CLASSES}/1")).json();
    assert_eq!(class["last_match_unix_milliseconds"], 1_700_000_000_000_i64);
    // In a form the same, and whoever is enrolled under a number may have a name, too.
    let form = Body::form(&[
        ("embedding", &bytes_of(&axis(7))),
        ("encoder", b"test"),
        ("name", b"1984"),
        ("external_id", b"007"),
        ("note", b"null"),
        ("labels", b"site:paris"),
        ("labels", b"team:b"),
        ("not_same_as", b"1"),
    ]);
    let other = service.post(&format!("{CLASSES}/-5/enroll"), form).json();
    let named = json!({ "site": "paris", "team": "b" });
    assert_eq!((&other["class"], &other["labels"]), (&json!("-5"), &named));
    assert_eq!(
        (&other["name"], &other["external_id"]),
        (&json!("1984"), &json!("007"))
    );
    assert_eq!(
        (&other["note"], &other["not_same_as"]),
        (&json!("null"), &json!(["1"]))
    );
}

#[test]
fn a_record_is_replaced_by_put_and_changed_by_patch() {
    let service = Service::new();
    let labels = json!({ "site": "berlin", "team": "a" });
    enroll(
        &service,
        0,
        &json!({ "name": "Ada", "external_id": "1", "labels": labels }),
    );
    enroll(&service, 1, &json!({}));
    let changed = patch(
        &service,
        "1",
        json!({ "name": "Ada King", "labels": { "site": null } }),
    )
    .json();
    assert_eq!(
        (&changed["name"], &changed["external_id"]),
        (&json!("Ada King"), &json!("1"))
    );
    assert_eq!(changed["labels"], json!({ "team": "a" }));
    let same = patch(&service, "1", json!({})).json();
    assert_eq!(same, changed);
    let body = Body::new(
        "application/merge-patch+json",
        r#"{"note":"n","external_id":null}"#,
    );
    let path = format!("{CLASSES}/1");
    let changed = service.call_by(&service.key(), "PATCH", &path, body).json();
    assert_eq!(
        (&changed["note"], &changed["external_id"]),
        (&json!("n"), &Value::Null)
    );
    let replaced = put(
        &service,
        "1",
        json!({ "name": "Grace", "not_same_as": ["2"] }),
    )
    .json();
    assert_eq!(
        (&replaced["note"], &replaced["labels"]),
        (&Value::Null, &json!({}))
    );
    assert_eq!(
        service.get(&format!("{CLASSES}/2")).json()["not_same_as"],
        json!(["1"])
    );
    assert_eq!(replaced["templates"], 1);
    let nothing = put(&service, "1", json!({})).json();
    assert_eq!(
        (&nothing["name"], &nothing["not_same_as"]),
        (&Value::Null, &json!([]))
    );
    for method in ["PUT", "PATCH"] {
        let path = format!("{CLASSES}/99");
        let answer = service.call_by(&service.key(), method, &path, json!({ "name": "Nobody" }));
        answer.problem(404, "class_not_found");
        let path = "partitions/bws.77/classes/1";
        let answer = service.call_by(&service.key(), method, path, json!({ "name": "Nobody" }));
        answer.problem(404, "class_not_found");
    }
}

#[test]
fn people_are_listed_by_name_external_id_and_label() {
    let service = Service::new();
    for (at, (name, site)) in [("Zoë", "a"), ("Ada", "b"), ("ada", "a"), ("Adam", "b")]
        .iter()
        .enumerate()
    {
        let record =
            json!({ "name": name, "external_id": format!("id {at}"), "labels": { "site": site } });
        enroll(&service, at, &record).json();
    }
    for (query, expected) in [
        ("name=ADA", vec!["2", "3"]),
        ("name_prefix=ad", vec!["2", "3", "4"]),
        ("name_prefix=Zo%C3%8B", vec!["1"]),
        ("name_prefix=", vec!["2", "3", "4", "1"]),
        ("external_id=id+1", vec!["2"]),
        ("external_id=ID+1", vec![]),
        ("labels=site:a", vec!["1", "3"]),
        ("labels=site:a&name_prefix=a", vec!["3"]),
        ("labels=site:a&labels=team:x", vec![]),
        ("name=nobody", vec![]),
    ] {
        assert_eq!(found(&service, query), expected, "{query}");
        let mut paged = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = service
                .get(&format!("{CLASSES}?{query}&limit=1{cursor}"))
                .json();
            paged.extend(
                page["classes"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|it| it["class"].clone()),
            );
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(json!(paged), json!(expected), "{query}");
    }
    for (query, status, code) in [
        ("labels=site", 422, "invalid_record"),
        ("labels=site:", 422, "invalid_record"),
        ("external_id=", 422, "invalid_record"),
        ("name=a&name_prefix=b", 400, "invalid_parameter"),
        ("name=a&name=b", 400, "invalid_parameter"),
        ("cursor=eA", 400, "invalid_cursor"),
    ] {
        service
            .get(&format!("{CLASSES}?{query}"))
            .problem(status, code);
    }
}

#[test]
fn somebody_is_looked_for_among_those_with_labels() {
    let service = Service::new();
    enroll(
        &service,
        0,
        &json!({ "name": "Ada", "labels": { "site": "berlin", "team": "a" } }),
    );
    enroll(
        &service,
        1,
        &json!({ "name": "Bob", "labels": { "site": "berlin" } }),
    );
    enroll(&service, 2, &json!({ "name": "Eve" }));
    let names = |labels: Value| -> Vec<String> {
        let body = json!({
            "embeddings": [axis(0)], "encoder": "test", "threshold": -1.0, "labels": labels,
        });
        let found = service.post("partitions/bws.1/identify", body).json();
        let matches = found["matches"].as_array().unwrap();
        assert_eq!(found["templates_searched"], matches.len());
        matches
            .iter()
            .map(|it| it["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        names(Value::Null),
        ["Ada", "Bob", "Eve"].map(str::to_owned).to_vec()
    );
    assert_eq!(names(json!({})).len(), 3);
    assert_eq!(names(json!({ "site": "berlin" })), ["Ada", "Bob"]);
    assert_eq!(names(json!(["site:berlin", "team:a"])), ["Ada"]);
    assert_eq!(names(json!("team:a")), ["Ada"]);
    assert!(names(json!({ "site": "rome" })).is_empty());
    let form = Body::form(&[
        ("embedding", &bytes_of(&axis(0))),
        ("encoder", b"test"),
        ("threshold", b"-1"),
        ("labels", b"site:berlin"),
        ("labels", b"team:a"),
    ]);
    let found = service.post("partitions/bws.1/identify", form).json();
    assert_eq!(found["matches"].as_array().unwrap().len(), 1);
    let many = json!({
        "embeddings": [axis(0)], "encoder": "test", "threshold": -1.0, "labels": { "team": "a" },
    });
    let line = service.post("partitions/bws.1/identify-many", many).json();
    assert_eq!(line["matches"].as_array().unwrap().len(), 1);
    let path = "partitions/bws.1/identify-many?encoder=test&labels=team:a&threshold=-1";
    let mut npy = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    let mut header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 16), }".to_owned();
    header.push_str(&" ".repeat(117 - header.len()));
    npy.extend(header.as_bytes());
    npy.push(b'\n');
    npy.extend(bytes_of(&axis(0)));
    let line = service
        .post(path, Body::new("application/x-npy", npy))
        .json();
    assert_eq!(line["matches"].as_array().unwrap().len(), 1);
    for wrong in [
        json!({ "site": "" }),
        json!(["site"]),
        json!({ "": "x" }),
        json!(["a:b", "a:c"]),
    ] {
        let body = json!({ "embeddings": [axis(0)], "encoder": "test", "labels": wrong });
        service
            .post("partitions/bws.1/identify", body)
            .problem(422, "invalid_record");
    }
}

#[test]
fn what_cannot_be_known_of_somebody_is_refused_and_nothing_is_half_done() {
    let service = Service::new();
    enroll(&service, 0, &json!({ "name": "Ada", "external_id": "E-1" })).json();
    enroll(&service, 1, &json!({ "name": "Bob" })).json();
    let before = service.get(CLASSES).json();
    let long = "n".repeat(10_000);
    let many: Vec<String> = (0..101).map(|class| class.to_string()).collect();
    for (record, status, code, says) in [
        (
            json!({ "name": long }),
            422,
            "invalid_record",
            "10000 characters, and 200 is the most",
        ),
        (
            json!({ "name": "A\u{0}da" }),
            422,
            "invalid_record",
            "U+0000",
        ),
        (
            json!({ "name": "A\nda" }),
            422,
            "invalid_record",
            "controls a machine",
        ),
        (
            json!({ "name": "Ada\u{202e}x" }),
            422,
            "invalid_record",
            "turns the direction",
        ),
        (
            json!({ "name": "" }),
            422,
            "invalid_record",
            "the name is empty",
        ),
        (
            json!({ "name": " \t " }),
            422,
            "invalid_record",
            "the name is empty",
        ),
        (
            json!({ "name": 7 }),
            400,
            "malformed_body",
            "must be a text",
        ),
        (
            json!({ "external_id": "E-1" }),
            409,
            "record_conflict",
            "that of `bws.1.1` already",
        ),
        (
            json!({ "external_id": "" }),
            422,
            "invalid_record",
            "the external id is empty",
        ),
        (
            json!({ "labels": { "site": "" } }),
            422,
            "invalid_record",
            "`site` has no value",
        ),
        (
            json!({ "labels": ["site"] }),
            422,
            "invalid_record",
            "no colon",
        ),
        (
            json!({ "labels": ["a:b", "a:c"] }),
            422,
            "invalid_record",
            "`a` is there twice",
        ),
        (
            json!({ "labels": { "a b": "c" } }),
            422,
            "invalid_record",
            "the key of a label",
        ),
        (json!({ "labels": 7 }), 400, "malformed_body", "labels"),
        (
            json!({ "note": "\u{1b}[0m" }),
            422,
            "invalid_record",
            "the note has the character",
        ),
        (
            json!({ "threshold": 1.5 }),
            422,
            "invalid_record",
            "from -1 to 1",
        ),
        (
            json!({ "not_same_as": many }),
            422,
            "invalid_record",
            "at most 100",
        ),
        (
            json!({ "not_same_as": ["x"] }),
            400,
            "invalid_parameter",
            "class id",
        ),
        (
            json!({ "not_same_as": ["77"] }),
            404,
            "class_not_found",
            "`bws.1.77` is not enrolled",
        ),
        (
            json!({ "nmae": "Ada" }),
            400,
            "malformed_body",
            "unknown field",
        ),
    ] {
        let mut samples = json!({ "embeddings": [axis(5)], "encoder": "test" });
        let members = record.as_object().unwrap().clone();
        samples.as_object_mut().unwrap().extend(members);
        for answer in [
            service.post(&format!("{CLASSES}/50/enroll"), samples),
            patch(&service, "2", record.clone()),
            put(&service, "2", record.clone()),
        ] {
            let problem = answer.problem(status, code);
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains(says), "{record}: {detail}");
            assert!(!detail.contains("nnn"), "{detail}");
        }
        assert_eq!(service.get(CLASSES).json(), before, "{record}");
    }
    let itself = patch(&service, "2", json!({ "not_same_as": ["2"] }));
    itself.problem(400, "invalid_parameter");
    // HTML is a text like any other, and two may have one name.
    let html = "<script>alert('x')</script>";
    let named = patch(&service, "2", json!({ "name": html })).json();
    assert_eq!(named["name"], html);
    let twice = enroll(&service, 4, &json!({ "name": html })).json();
    assert_eq!(twice["same_name"], json!(["2"]));
}

#[test]
fn two_classes_become_one_and_templates_find_the_right_person() {
    let service = Service::new();
    enroll(
        &service,
        0,
        &json!({ "name": "Ada", "labels": { "site": "a" } }),
    );
    enroll(
        &service,
        1,
        &json!({ "external_id": "E", "labels": { "site": "b", "team": "c" } }),
    );
    enroll(
        &service,
        2,
        &json!({ "name": "Twin", "not_same_as": ["1"] }),
    );
    let merge = |class: &str, from: Value| {
        service.post(&format!("{CLASSES}/{class}/merge"), json!({ "from": from }))
    };
    let before = service.get(CLASSES).json();
    merge("1", json!("1")).problem(400, "invalid_parameter");
    merge("1", json!("9")).problem(404, "class_not_found");
    merge("9", json!("1")).problem(404, "class_not_found");
    merge("1", json!("3")).problem(409, "record_conflict");
    merge("3", json!("1")).problem(409, "record_conflict");
    merge("1", json!("x")).problem(400, "invalid_parameter");
    merge("1", Value::Null).problem(400, "malformed_body");
    assert_eq!(service.get(CLASSES).json(), before);
    let merged = merge("1", json!("2")).json();
    assert_eq!(
        (&merged["moved"], &merged["templates"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(
        (&merged["name"], &merged["external_id"]),
        (&json!("Ada"), &json!("E"))
    );
    assert_eq!(merged["labels"], json!({ "site": "a", "team": "c" }));
    let receipt = &merged["receipt"];
    assert_eq!(
        (&receipt["class"], &receipt["reason"], &receipt["into"]),
        (&json!("2"), &json!("merged"), &json!("1"))
    );
    let id = receipt["id"].as_str().unwrap();
    assert_eq!(service.get(&format!("receipts/{id}")).json(), *receipt);
    service
        .get(&format!("{CLASSES}/2"))
        .problem(404, "class_not_found");
    let listed = service.get(&format!("{CLASSES}/1/templates")).json();
    let templates = listed["templates"].as_array().unwrap();
    assert_eq!(templates.len(), 2);
    let last = &templates[1]["template"];
    let moving = |templates: Value, to: &str| {
        let body = json!({ "templates": templates, "to": to });
        service.post(&format!("{CLASSES}/1/move"), body)
    };
    moving(json!([]), "5").problem(400, "invalid_parameter");
    moving(json!(["x"]), "5").problem(400, "invalid_parameter");
    moving(json!(["999999"]), "5").problem(400, "invalid_parameter");
    moving(json!([last]), "1").problem(400, "invalid_parameter");
    let all: Vec<&Value> = templates.iter().map(|it| &it["template"]).collect();
    moving(json!(all), "5").problem(400, "invalid_parameter");
    let moved = moving(json!([last]), "5").json();
    assert_eq!(
        moved,
        json!({ "moved": 1, "removed": 0, "templates": 1, "left": 1 })
    );
    assert_eq!(found(&service, ""), ["1", "3", "5"]);
    service
        .get(&format!("{CLASSES}/77/templates"))
        .problem(404, "class_not_found");
}

#[test]
fn nobody_is_found_after_their_time() {
    let service = Service::new();
    let end = 1_700_000_000_000_i64 + 10_000;
    enroll(
        &service,
        0,
        &json!({ "name": "Ada", "expires_unix_milliseconds": end }),
    )
    .json();
    enroll(&service, 1, &json!({ "name": "Bob" })).json();
    let identify = || {
        let body = json!({ "embeddings": [axis(0)], "encoder": "test", "threshold": -1.0 });
        let found = service.post("partitions/bws.1/identify", body).json();
        found["matches"].as_array().unwrap().len()
    };
    let verify = || {
        let body = json!({ "embeddings": [axis(0)], "encoder": "test", "threshold": 0.5 });
        service.post(&format!("{CLASSES}/1/verify"), body)
    };
    service.clock.advance(Duration::from_millis(9_999));
    assert_eq!(identify(), 2);
    assert_eq!(verify().json()["accepted"], true);
    service.clock.advance(Duration::from_millis(1));
    assert_eq!(identify(), 1);
    verify().problem(404, "class_not_found");
    enroll(&service, 3, &json!({ "expires_unix_milliseconds": end }))
        .problem(409, "record_conflict");
    let body = json!({ "embeddings": [axis(5)], "encoder": "test" });
    let path = format!("{CLASSES}/1/enroll");
    service.post(&path, body).problem(409, "record_conflict");
    for (path, body) in [
        (format!("{CLASSES}/2/merge"), json!({ "from": "1" })),
        (format!("{CLASSES}/1/merge"), json!({ "from": "2" })),
    ] {
        service.post(&path, body).problem(409, "record_conflict");
    }
    // To end the time of somebody is to delete them.
    let only = service.make_key(&[Scope::Enroll], Reach::Everything).1;
    let ends = |at: i64| json!({ "expires_unix_milliseconds": at });
    let second = format!("{CLASSES}/2");
    for (body, verb) in [(ends(end), "PATCH"), (ends(1), "PATCH"), (ends(1), "PUT")] {
        let refused = service.call_by(&only, verb, &second, body);
        refused.problem(403, "scope_missing");
    }
    service
        .call_by(&only, "PATCH", &second, ends(end + 1))
        .json();
    // More time, and they are back.
    patch(&service, "1", json!({ "expires_unix_milliseconds": null })).json();
    assert_eq!(identify(), 2);
}

#[test]
fn thresholds_of_single_classes_and_people_who_look_alike_are_obeyed() {
    let service = Service::new();
    enroll(&service, 0, &json!({ "name": "Ada" })).json();
    enroll(&service, 1, &json!({ "name": "Eva", "not_same_as": ["1"] })).json();
    let sample = [&axis(0)[..], &axis(1)].concat();
    let sample: Vec<f32> = (0..16)
        .map(|at| sample[at] + 0.9 * sample[at + 16])
        .collect();
    let ask = |path: &str, threshold: f64| {
        let body = json!({ "embeddings": [sample], "encoder": "test", "threshold": threshold });
        service.post(path, body).json()
    };
    let verify = |class: u32| ask(&format!("{CLASSES}/{class}/verify"), 0.3);
    let names = || {
        let found = ask("partitions/bws.1/identify", 0.3);
        let matches = found["matches"].as_array().unwrap().iter();
        matches
            .map(|it| it["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    // Both are alike enough, and only the one who is more so counts.
    let (ada, eva) = (verify(1), verify(2));
    let alike = |answer: &Value| answer["similarity"].as_f64().unwrap();
    let is_ada = alike(&ada) > alike(&eva);
    assert_eq!(
        (&ada["accepted"], &eva["accepted"]),
        (&json!(is_ada), &json!(!is_ada))
    );
    assert_eq!(names(), [if is_ada { "Ada" } else { "Eva" }]);
    patch(&service, "2", json!({ "not_same_as": [] })).json();
    assert_eq!(names().len(), 2);
    patch(&service, "1", json!({ "threshold": 0.999 })).json();
    let ada = verify(1);
    assert_eq!(
        (&ada["accepted"], &ada["threshold"]),
        (&json!(false), &json!(0.999))
    );
    assert_eq!(names(), ["Eva"]);
    patch(&service, "1", json!({ "threshold": -0.9 })).json();
    let found = ask("partitions/bws.1/identify", 0.99);
    assert_eq!(found["matches"][0]["name"], "Ada");
}

#[test]
fn a_key_needs_the_scope_for_what_it_changes() {
    let service = Service::new();
    enroll(&service, 0, &json!({ "name": "Ada" })).json();
    enroll(&service, 1, &json!({ "name": "Bob" })).json();
    let reach = || Reach::Everything;
    let (_, reader) = service.make_key(&[Scope::Read], reach());
    for (key, method, path, body) in [
        (&reader, "PUT", format!("{CLASSES}/1"), json!({})),
        (&reader, "PATCH", format!("{CLASSES}/1"), json!({})),
        (&reader, "POST", PEOPLE.to_owned(), json!({})),
        (&reader, "POST", format!("{CLASSES}/1/move"), json!({})),
        (
            &reader,
            "POST",
            format!("{CLASSES}/1/merge"),
            json!({ "from": "2" }),
        ),
    ] {
        let call = Call::new(method, format!("/v1/{path}"))
            .by_bearer(key)
            .with(body);
        service.send(call).problem(403, "scope_missing");
    }
}
