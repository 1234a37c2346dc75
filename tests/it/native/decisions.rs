//! Two people confirm an identification before anybody is told of it.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use vultus::access::{Decisions, Reach, Scope};
use vultus::intake::Partitions;

use crate::cli::{json_lines, success, text, vultus};
use crate::harness::{Bws, Door, Native, Program, Registered, Service, axis, pictures};

const IDENTIFY: &str = "partitions/bws.1/identify";

/// A service that wants two people for one of its partitions, with somebody in it and elsewhere.
fn service() -> Service {
    let service = Service::with(|settings| {
        settings.confirm_partitions = Partitions::Only(["bws.1".parse().unwrap()].into());
    });
    for partition in ["bws.1", "bws.2"] {
        service.enroll_embedding(partition, 7, &axis(3));
        service.enroll_embedding(partition, 8, &axis(8));
    }
    let name = json!({ "name": "Grace Hopper" });
    let class = "partitions/bws.1/classes/7";
    service.call_by(&service.key(), "PATCH", class, name).json();
    service
}

fn probe() -> Value {
    json!({ "embeddings": [axis(3)], "encoder": "test", "threshold": 0.5 })
}

fn key(service: &Service, scopes: &[Scope]) -> String {
    service.make_key(scopes, Reach::Everything).1
}

fn confirming(service: &Service) -> [String; 3] {
    std::array::from_fn(|_| key(service, &[Scope::Confirm]))
}

fn pending(service: &impl Native) -> String {
    let answer = service.post(IDENTIFY, probe()).json();
    answer["decision_id"].as_str().unwrap().to_owned()
}

fn seen(service: &impl Native, key: &str, id: &str) -> Value {
    let path = format!("decisions/{id}");
    service.call_by(key, "GET", &path, ()).json()
}

fn say(service: &impl Native, key: &str, id: &str, agrees: bool) -> crate::harness::Answer {
    let path = format!("decisions/{id}/confirm");
    service.call_by(key, "POST", &path, json!({ "agrees": agrees }))
}

#[test]
fn nobody_is_told_who_it_is_before_two_have_agreed() {
    let service = service();
    let [first, second, third] = confirming(&service);
    let answer = service.post(IDENTIFY, probe()).json();
    let told = ["decision", "matches", "confidence"].map(|name| &answer[name]);
    assert_eq!(told, [&json!("pending"), &json!([]), &Value::Null]);
    assert!(!answer.to_string().contains("Grace"), "{answer}");
    let id = answer["decision_id"].as_str().unwrap();
    let asker = &service.key();
    let own = seen(&service, asker, id);
    assert_eq!(
        (&own["state"], &own["candidates"]),
        (&json!("pending"), &Value::Null)
    );
    let theirs = seen(&service, &first, id);
    let grace =
        json!([{ "class": "7", "gone": false, "name": "Grace Hopper", "external_id": null }]);
    assert_eq!(theirs["candidates"], grace);
    assert_eq!(theirs["asked_by"], asker[3..19]);
    // Without a body a key agrees.
    let path = format!("decisions/{id}/confirm");
    let once = service.call_by(&first, "POST", &path, ()).json();
    assert_eq!(once["state"], "pending");
    assert_eq!(once["votes"][0]["agrees"], true);
    // The second is to make up their own mind.
    assert_eq!(
        seen(&service, &second, id)["votes"][0]["agrees"],
        Value::Null
    );
    assert_eq!(seen(&service, asker, id)["candidates"], Value::Null);
    for (key, words) in [(&first, "spoken"), (asker, "asked")] {
        let problem = say(&service, key, id, true).problem(409, "decision_conflict");
        assert!(
            problem["detail"].as_str().unwrap().contains(words),
            "{problem}"
        );
    }
    let twice = say(&service, &second, id, true).json();
    assert_eq!(twice["state"], "confirmed");
    assert_eq!(seen(&service, asker, id)["candidates"], grace);
    let late = say(&service, &third, id, false).problem(409, "decision_conflict");
    assert!(
        late["detail"].as_str().unwrap().contains("confirmed"),
        "{late}"
    );
}

#[test]
fn what_one_rejects_stays_untold_and_is_over_when_both_have_spoken() {
    let service = service();
    let [first, second, third] = confirming(&service);
    let id = pending(&service);
    assert_eq!(say(&service, &first, &id, false).json()["state"], "pending");
    let over = say(&service, &second, &id, true).json();
    assert_eq!(over["state"], "rejected");
    assert_eq!(
        [&over["votes"][0]["agrees"], &over["votes"][1]["agrees"]],
        [false, true]
    );
    assert_eq!(
        seen(&service, &service.key(), &id)["candidates"],
        Value::Null
    );
    say(&service, &third, &id, true).problem(409, "decision_conflict");
}

#[test]
fn strangers_other_partitions_and_verifications_are_answered_at_once() {
    let service = service();
    let stranger = json!({ "embeddings": [axis(12)], "encoder": "test", "threshold": 0.5 });
    let answer = service.post(IDENTIFY, stranger).json();
    assert_eq!(
        (&answer["decision"], &answer["matches"]),
        (&json!("unknown"), &json!([]))
    );
    assert_eq!(answer.get("decision_id"), None);
    let elsewhere = service.post("partitions/bws.2/identify", probe()).json();
    assert_eq!(elsewhere["decision"], "match");
    assert_eq!(elsewhere.get("decision_id"), None);
    let verified = service
        .post("partitions/bws.1/classes/7/verify", probe())
        .json();
    assert_eq!(verified["accepted"], true);
    // Where nobody is left out, everybody is found.
    let all = json!({ "embeddings": [axis(12)], "encoder": "test" });
    let answer = service.post(IDENTIFY, all).json();
    assert_eq!(
        (&answer["decision"], &answer["matches"]),
        (&json!("pending"), &json!([]))
    );
}

#[test]
fn no_other_call_tells_who_it_is_there() {
    let service = Service::with(|settings| settings.confirm_partitions = Partitions::All);
    service.enroll("bws.1.5", pictures::obama());
    let problem = service.post("partitions/bws.1/identify-many", probe());
    problem.problem(409, "confirmation_needed");
    let token = service.ready("bcid=bws.1.0&task=identify&maxtries=1");
    for _ in 0..2 {
        // Neither samples nor tries are spent.
        service.task(&token, "identify").refuses(403, "two people");
    }
    let picture = json!({ "pictures": [pictures::base64(&pictures::file("obama-white-house"))] });
    let faces = service
        .post("partitions/bws.1/identify-faces", picture)
        .json();
    let face = &faces["faces"][0];
    let told = ["decision", "matches", "confidence"].map(|name| &face[name]);
    assert_eq!(told, [&json!("pending"), &json!([]), &Value::Null]);
    let id = face["decision_id"].as_str().unwrap();
    let seen = seen(&service, &key(&service, &[Scope::Confirm]), id);
    assert_eq!(seen["candidates"][0]["class"], "5");
}

#[test]
fn decisions_are_for_keys_that_reach_them_and_have_the_scope() {
    let service = service();
    let id = pending(&service);
    let path = format!("decisions/{id}");
    let elsewhere = Reach::Partition("bws.2".parse().unwrap());
    let (_, blind) = service.make_key(&[Scope::Confirm, Scope::Audit], elsewhere);
    service
        .call_by(&blind, "GET", &path, ())
        .problem(404, "decision_not_found");
    say(&service, &blind, &id, true).problem(404, "decision_not_found");
    let listed = service.call_by(&blind, "GET", "decisions", ()).json();
    assert_eq!(listed, json!({ "decisions": [], "next": null }));
    let other = key(&service, &[Scope::Identify, Scope::Audit]);
    service
        .call_by(&other, "GET", &path, ())
        .problem(403, "scope_missing");
    say(&service, &other, &id, true).problem(403, "scope_missing");
    let confirming = key(&service, &[Scope::Confirm]);
    service
        .call_by(&confirming, "GET", "decisions", ())
        .problem(403, "scope_missing");
    for bad in ["x", "%ff", "00000000-0000-0000-0000-000000000000"] {
        let path = format!("decisions/{bad}");
        let answer = service.call_by(&confirming, "GET", &path, ());
        assert!([400, 404].contains(&answer.status), "{answer:?}");
    }
    for (body, code) in [
        (json!({ "agrees": "yes" }), "malformed_body"),
        (json!({ "agree": true }), "malformed_body"),
        (json!([true]), "malformed_body"),
    ] {
        let path = format!("decisions/{id}/confirm");
        service
            .call_by(&confirming, "POST", &path, body)
            .problem(400, code);
    }
    assert_eq!(seen(&service, &confirming, &id)["votes"], json!([]));
}

#[test]
fn the_last_decisions_are_listed_a_page_at_a_time_and_forgotten_when_they_are_old() {
    let service = service();
    let mut ids: Vec<String> = (0..5)
        .map(|_| {
            service.advance(1);
            pending(&service)
        })
        .collect();
    ids.reverse();
    let auditor = key(&service, &[Scope::Audit]);
    let (mut listed, mut path) = (Vec::new(), "decisions?limit=2".to_owned());
    loop {
        let page = service.call_by(&auditor, "GET", &path, ()).json();
        let decisions = page["decisions"].as_array().unwrap();
        assert!((1..=2).contains(&decisions.len()));
        for decision in decisions {
            assert_eq!(decision["candidates"][0]["name"], "Grace Hopper");
            listed.push(decision["decision_id"].as_str().unwrap().to_owned());
        }
        let Some(next) = page["next"].as_str() else {
            break;
        };
        path = format!("decisions?limit=2&cursor={next}");
    }
    assert_eq!(listed, ids);
    let bad = service.call_by(&auditor, "GET", "decisions?cursor=AAAA", ());
    bad.problem(400, "invalid_cursor");
    service.advance(
        Decisions::KEPT
            .saturating_sub(Duration::from_secs(2))
            .as_secs(),
    );
    let page = service.call_by(&auditor, "GET", "decisions", ()).json();
    assert_eq!(page["decisions"].as_array().unwrap().len(), 2);
    let path = format!("decisions/{}", ids[4]);
    service.get(&path).problem(404, "decision_not_found");
}

#[test]
fn whoever_was_deleted_has_no_name_in_a_decision() {
    let service = service();
    let [first, ..] = confirming(&service);
    let id = pending(&service);
    service.delete("partitions/bws.1/classes/7").json();
    let candidates = &seen(&service, &first, &id)["candidates"];
    let nameless = json!([{ "class": "7", "gone": true, "name": null, "external_id": null }]);
    assert_eq!(*candidates, nameless);
}

/// Somebody else has the number of who was found, or nobody has.
#[test]
fn nobody_is_confirmed_who_is_not_the_one_who_was_found() {
    let anew = |service: &Service| {
        service.delete("partitions/bws.1/classes/7").json();
        service.enroll_embedding("bws.1", 7, &axis(5));
        let bob = json!({ "name": "Bob" });
        service
            .call_by(&service.key(), "PATCH", "partitions/bws.1/classes/7", bob)
            .json();
    };
    let merged = |service: &Service| {
        let from = json!({ "from": "7" });
        service
            .post("partitions/bws.1/classes/8/merge", from)
            .json();
    };
    let over = |service: &Service| {
        let end = service.clock.now().unix_milliseconds + 1;
        let end = json!({ "expires_unix_milliseconds": end });
        service
            .call_by(&service.key(), "PATCH", "partitions/bws.1/classes/7", end)
            .json();
        service.clock.advance(Duration::from_secs(1));
    };
    for change in [&anew as &dyn Fn(&Service), &merged, &over] {
        let service = service();
        let [first, second, third] = confirming(&service);
        let (half, rejected) = (pending(&service), pending(&service));
        say(&service, &first, &half, true).json();
        change(&service);
        for id in [&half, &rejected] {
            let said = say(&service, &second, id, true).problem(409, "decision_conflict");
            let detail = said["detail"].as_str().unwrap();
            assert!(detail.contains("nobody can confirm it"), "{detail}");
        }
        let told = seen(&service, &second, &half);
        let nobody = json!([{ "class": "7", "gone": true, "name": null, "external_id": null }]);
        assert_eq!(
            (&told["state"], &told["candidates"]),
            (&json!("pending"), &nobody)
        );
        for key in [&second, &third] {
            say(&service, key, &rejected, false).json();
        }
        assert_eq!(seen(&service, &second, &rejected)["state"], "rejected");
    }
    // More of the same person changes nothing, nor does somebody else who becomes one with them.
    let service = service();
    let [first, second, _] = confirming(&service);
    let id = pending(&service);
    service.enroll_embedding("bws.1", 7, &axis(4));
    let from = json!({ "from": "8" });
    service
        .post("partitions/bws.1/classes/7/merge", from)
        .json();
    for key in [&first, &second] {
        say(&service, key, &id, true).json();
    }
    let told = seen(&service, &first, &id);
    let grace =
        json!([{ "class": "7", "gone": false, "name": "Grace Hopper", "external_id": null }]);
    assert_eq!(
        (&told["state"], &told["candidates"]),
        (&json!("confirmed"), &grace)
    );
}

#[test]
fn nobody_was_recognised_before_two_have_said_so() {
    let service = service();
    let last = || {
        let class = service.get("partitions/bws.1/classes/7").json();
        class["last_match_unix_milliseconds"].clone()
    };
    let [first, second, third] = confirming(&service);
    let (rejected, confirmed) = (pending(&service), pending(&service));
    assert_eq!(last(), Value::Null);
    for (key, agrees) in [(&first, true), (&second, false)] {
        say(&service, key, &rejected, agrees).json();
    }
    say(&service, &first, &confirmed, true).json();
    assert_eq!(last(), Value::Null);
    say(&service, &third, &confirmed, true).json();
    assert_eq!(last(), service.clock.now().unix_milliseconds);
}

/// With the real program, which is killed between the two.
#[test]
fn what_the_first_person_said_is_there_after_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let registered = Registered::create(&data);
    let made = |scopes: &str| {
        let verb = [
            "key",
            "create",
            "--name",
            "x",
            "--everything",
            "--scopes",
            scopes,
            "--json",
        ];
        let all = [&verb[..], &["--data-dir", text(&data)]].concat();
        let made = json_lines(&success(&vultus(&all))).remove(0);
        made["key"].as_str().unwrap().to_owned()
    };
    let [first, second] = [made("confirm"), made("confirm")];
    let start = || {
        let flags = ["--confirm-partitions", "bws.1"];
        Program::start_with(&data, &registered, &flags, Stdio::null())
    };
    let program = start();
    program.enroll_embedding("bws.1", 7, &axis(3));
    let id = pending(&program);
    assert_eq!(say(&program, &first, &id, true).json()["state"], "pending");
    program.kill();
    let program = start();
    assert_eq!(seen(&program, &first, &id)["votes"][0]["agrees"], true);
    say(&program, &first, &id, true).problem(409, "decision_conflict");
    assert_eq!(
        seen(&program, &program.key(), &id)["candidates"],
        Value::Null
    );
    assert_eq!(
        say(&program, &second, &id, true).json()["state"],
        "confirmed"
    );
    program.kill();
    let program = start();
    let told = seen(&program, &program.key(), &id);
    assert_eq!(told["candidates"][0]["class"], "7");
}
