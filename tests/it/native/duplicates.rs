//! People who are to be enrolled and are here already, as somebody else.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use vultus::access::{Reach, Scope};
use vultus::intake::OnDuplicate;

use crate::harness::{Answer, Native, Service};

fn service(action: OnDuplicate) -> Service {
    Service::with(|settings| settings.duplicates.action = action)
}

fn person(seed: u64) -> Vec<f32> {
    let mut random = StdRng::seed_from_u64(seed);
    (0..128).map(|_| random.random_range(-1.0..1.0)).collect()
}

/// Another picture of a person.
fn again(person: &[f32]) -> Vec<f32> {
    let mut random = StdRng::seed_from_u64(99);
    let near = |value: &f32| value + 0.2 * random.random_range(-1.0..1.0_f32);
    person.iter().map(near).collect()
}

fn body(service: &Service, embedding: &[f32], more: &Value) -> Value {
    let status = service.get("status").json();
    let mut body = json!({ "embeddings": [embedding], "encoder": status["encoder"] });
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    body
}

fn enroll(service: &Service, class: &str, embedding: &[f32], more: &Value) -> Answer {
    let path = format!("partitions/bws.1/classes/{class}/enroll");
    service.post(&path, body(service, embedding, more))
}

/// The same by a key that may enrol and not identify.
fn enroll_blindly(service: &Service, class: &str, embedding: &[f32]) -> Answer {
    let key = service.make_key(&[Scope::Enroll], Reach::Everything).1;
    let path = format!("partitions/bws.1/classes/{class}/enroll");
    service.call_by(&key, "POST", &path, body(service, embedding, &json!({})))
}

#[test]
fn nobody_looks_unless_the_operator_wants_it() {
    let service = Service::new();
    let one = person(1);
    enroll(&service, "1", &one, &json!({})).json();
    let twice = enroll(&service, "2", &again(&one), &json!({})).json();
    assert_eq!(twice["added"], 1);
    assert_eq!(twice["duplicate"], Value::Null);
}

#[test]
fn it_is_said_of_whom_the_samples_are_and_to_whom_that_may_be_told() {
    let service = service(OnDuplicate::Warn);
    let one = person(1);
    let first = enroll(&service, "1", &one, &json!({})).json();
    assert_eq!(first["duplicate"], Value::Null, "nobody was there");
    let twice = enroll(&service, "2", &again(&one), &json!({})).json();
    assert_eq!(
        (&twice["added"], &twice["duplicate"]["class"]),
        (&json!(1), &json!("1"))
    );
    assert!(
        twice["duplicate"]["similarity"].as_f64().unwrap() > 0.9,
        "{twice}"
    );
    let blind = enroll_blindly(&service, "3", &again(&one)).json();
    assert_eq!(
        blind["duplicate"],
        json!({ "class": null, "similarity": null })
    );
    let other = enroll(&service, "4", &person(2), &json!({})).json();
    assert_eq!(other["duplicate"], Value::Null);
    let own = enroll(&service, "4", &again(&person(2)), &json!({})).json();
    assert_eq!(
        own["duplicate"],
        Value::Null,
        "more of the person of the class"
    );
}

#[test]
fn a_person_is_refused_who_is_here_as_somebody_else() {
    let service = service(OnDuplicate::Refuse);
    let one = person(1);
    enroll(&service, "1", &one, &json!({ "external_id": "E-1" })).json();
    let problem = enroll(&service, "2", &again(&one), &json!({})).problem(409, "already_enrolled");
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("class 1 ") && detail.contains("not_same_as"),
        "{detail}"
    );
    let blind = enroll_blindly(&service, "2", &again(&one)).problem(409, "already_enrolled");
    let detail = blind["detail"].as_str().unwrap();
    assert!(
        !detail.contains("class 1") && !detail.contains("0.9"),
        "{detail}"
    );
    let new = "partitions/bws.1/enroll";
    let somebody = body(&service, &again(&one), &json!({}));
    service.post(new, somebody).problem(409, "already_enrolled");
    service
        .get("partitions/bws.1/classes/2")
        .problem(404, "class_not_found");
    // The person of an external id gets more templates.
    let same = body(&service, &again(&one), &json!({ "external_id": "E-1" }));
    assert_eq!(service.post(new, same).json()["class"], "1");
    // Two who look like each other, as somebody says who knows them.
    let twin = enroll(
        &service,
        "2",
        &again(&one),
        &json!({ "not_same_as": ["1"] }),
    )
    .json();
    assert_eq!(twin["added"], 1);
    let mut more = again(&one);
    more[0] += 0.3;
    let more = enroll(&service, "2", &more, &json!({})).json();
    assert_eq!(more["added"], 1, "what was said is remembered");
    enroll(&service, "5", &person(5), &json!({})).json();
}

#[test]
fn the_operator_may_set_a_similarity_in_place_of_the_rate() {
    let one = person(1);
    for (threshold, is_refused) in [(0.999, false), (0.9, true), (-1.0, true)] {
        let service = Service::with(|settings| {
            settings.duplicates.action = OnDuplicate::Refuse;
            settings.duplicates.threshold = Some(threshold);
        });
        enroll(&service, "1", &one, &json!({})).json();
        let status = enroll(&service, "2", &again(&one), &json!({})).status;
        assert_eq!(status == 409, is_refused, "{threshold}: {status}");
    }
    // Of an encoder that nothing is known of nobody can say what is alike.
    let service = service(OnDuplicate::Refuse);
    for class in ["1", "2"] {
        let body = json!({ "embeddings": [one], "encoder": "mine" });
        let path = format!("partitions/bws.7/classes/{class}/enroll");
        assert_eq!(service.post(&path, body).status, 200);
    }
}
