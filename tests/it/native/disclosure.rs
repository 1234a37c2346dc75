//! What answers give away to keys that may not have exact similarities.

use serde_json::{Value, json};
use vultus::access::{Reach, Scope};

use crate::harness::{Answer, Door, Native, Service, axis};

const IDENTIFY: &str = "partitions/bws.1/identify";
const MANY: &str = "partitions/bws.1/identify-many";
const VERIFY: &str = "partitions/bws.1/classes/1/verify";
const OWN: &str = "sface@2021dec";
const DIMENSION: usize = 128;

/// An embedding of the service's own encoder whose cosine with that of class 1 is `cosine`.
fn alike(cosine: f64) -> Vec<f64> {
    let mut values = vec![0.0; DIMENSION];
    (values[0], values[5]) = (cosine, (1.0 - cosine * cosine).sqrt());
    values
}

fn enroll(service: &Service, class: i64, values: &[f64]) {
    let path = format!("partitions/bws.1/classes/{class}/enroll");
    let body = json!({ "embeddings": [values], "encoder": OWN });
    assert_eq!(service.post(&path, body).status, 200);
}

/// A service with class 1 enrolled, and a key with these scopes alone.
fn with_key(scopes: &[Scope]) -> (Service, String) {
    let service = Service::new();
    enroll(&service, 1, &alike(1.0));
    let (_, key) = service.make_key(scopes, Reach::Everything);
    (service, key)
}

const ASKING: [Scope; 3] = [Scope::Identify, Scope::Verify, Scope::Embeddings];

fn body(values: &[f64], more: &Value) -> Value {
    let mut body = json!({ "embeddings": [values], "encoder": OWN });
    let more = more.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(more);
    body
}

fn lacks(answer: &Answer, scope: &str, words: &str) {
    let problem = answer.problem(403, "scope_missing");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(scope) && detail.contains(words), "{detail}");
    let challenge = answer.header("www-authenticate");
    assert!(
        challenge.ends_with(&format!(r#"scope="{scope}""#)),
        "{challenge}"
    );
}

#[test]
fn similarities_come_in_steps_and_end_at_the_threshold() {
    let (service, key) = with_key(&ASKING);
    let threshold = &service.get("status").json()["threshold"];
    let ask = |path: &str, cosine: f64| {
        let answer = service.call_by(&key, "POST", path, body(&alike(cosine), &json!({})));
        answer.json()
    };
    for cosine in [0.7701, 0.7753, 0.7799] {
        let found = ask(IDENTIFY, cosine);
        let (first, verified) = (&found["matches"][0], ask(VERIFY, cosine));
        assert_eq!(first["similarity"], 0.77, "{found}");
        assert_eq!(verified["similarity"], 0.77, "{verified}");
        assert_eq!(first["score"], verified["score"]);
        let confidence = found["confidence"].as_f64().unwrap();
        for told in [first["score"].as_f64().unwrap(), confidence] {
            assert!(
                ((told * 100.0).round() / 100.0 - told).abs() < 1e-12,
                "{found}"
            );
        }
        assert_eq!(found["threshold"], *threshold);
        let many = service.call_by(&key, "POST", MANY, body(&alike(cosine), &json!({})));
        let line: Value = serde_json::from_str(&many.body).unwrap();
        assert_eq!(line["matches"], found["matches"]);
        assert_eq!(line["confidence"], found["confidence"]);
    }
    for cosine in [-0.5, 0.0, 0.4, 0.4099] {
        assert_eq!(ask(IDENTIFY, cosine)["matches"], json!([]), "{cosine}");
        let verified = ask(VERIFY, cosine);
        let told = ["accepted", "similarity", "score"].map(|name| &verified[name]);
        assert_eq!(told, [&json!(false), &Value::Null, &Value::Null]);
    }
    // With the scope all is told.
    let exact = service
        .post(VERIFY, body(&alike(0.1234), &json!({})))
        .json();
    assert!((exact["similarity"].as_f64().unwrap() - 0.1234).abs() < 1e-7);
}

#[test]
fn as_many_digits_are_told_as_are_set() {
    let service = Service::with(|settings| settings.score_digits = 3);
    enroll(&service, 1, &alike(1.0));
    let (_, key) = service.make_key(&ASKING, Reach::Everything);
    let more = json!({ "threshold": 0.5001 });
    let found = service.call_by(&key, "POST", IDENTIFY, body(&alike(0.7753), &more));
    let found = found.json();
    assert_eq!(found["matches"][0]["similarity"], 0.775);
    assert_eq!(found["threshold"], 0.501);
}

#[test]
fn a_threshold_is_raised_to_a_step_and_refused_below_that_in_use() {
    let (service, key) = with_key(&ASKING);
    for path in [IDENTIFY, MANY, VERIFY] {
        for low in [-1.0, 0.0, 0.4099] {
            let more = json!({ "threshold": low });
            let answer = service.call_by(&key, "POST", path, body(&alike(0.9), &more));
            lacks(&answer, "scores", "0.41");
        }
    }
    for (asked, used) in [(0.41, 0.41), (0.5, 0.5), (0.5001, 0.51), (1.0, 1.0)] {
        for path in [IDENTIFY, VERIFY] {
            let more = json!({ "threshold": asked });
            let answer = service.call_by(&key, "POST", path, body(&alike(0.9), &more));
            assert_eq!(answer.json()["threshold"], used, "{path} {asked}");
        }
    }
    // A rate gives at least the usual threshold, and a step.
    for rate in [0.5, 0.2, 0.01, 1e-6] {
        let more = json!({ "target_fpir": rate });
        let answer = service.call_by(&key, "POST", IDENTIFY, body(&alike(0.9), &more));
        let used = answer.json()["threshold"].as_f64().unwrap();
        assert!(used >= 0.41, "{rate}: {used}");
        assert!(
            ((used * 100.0).round() / 100.0 - used).abs() < 1e-12,
            "{used}"
        );
    }
}

#[test]
fn ready_embeddings_need_a_scope_of_their_own() {
    let (service, key) = with_key(&[Scope::Identify, Scope::Verify, Scope::Scores]);
    for path in [IDENTIFY, MANY, VERIFY] {
        let answer = service.call_by(&key, "POST", path, body(&alike(0.9), &json!({})));
        lacks(&answer, "embeddings", "");
    }
    // Whoever brings a picture as well is no better.
    let more = json!({ "pictures": ["AAAA"] });
    let answer = service.call_by(&key, "POST", IDENTIFY, body(&alike(0.9), &more));
    lacks(&answer, "embeddings", "");
}

/// A body with an embedding of an encoder of which nothing is known.
fn foreign(more: &Value) -> Value {
    let mut body = more.clone();
    body["embeddings"] = json!([axis(1)]);
    body["encoder"] = json!("test");
    body
}

#[test]
fn where_no_threshold_is_known_any_may_be_asked_for() {
    let service = Service::new();
    service.enroll_embedding("bws.1", 1, &axis(0));
    // The cosine of two axes that are neighbours: 0.25 / 1.0625.
    let similarity = 0.23;
    let (_, key) = service.make_key(&[Scope::Identify, Scope::Verify], Reach::Everything);
    let ask = |path: &str, more: &Value| service.call_by(&key, "POST", path, foreign(more)).json();
    for path in [IDENTIFY, MANY] {
        for more in [
            json!({}),
            json!({ "threshold": -1.0 }),
            json!({ "threshold": 0.2 }),
        ] {
            let found = ask(path, &more);
            assert_eq!(found["matches"][0]["similarity"], similarity, "{found}");
        }
        // Rounded up, so that the exact similarity cannot be found by halving.
        let found = ask(path, &json!({ "threshold": 0.231 }));
        assert_eq!(found["matches"], json!([]), "{found}");
    }
    for (threshold, used, accepted) in [(-1.0, -1.0, true), (0.0, 0.0, true), (0.231, 0.24, false)]
    {
        let verified = ask(VERIFY, &json!({ "threshold": threshold }));
        let told = ["threshold", "accepted"].map(|name| &verified[name]);
        assert_eq!(told, [&json!(used), &json!(accepted)]);
        let told = accepted.then_some(similarity);
        assert_eq!(verified["similarity"], json!(told), "{verified}");
    }
    // Without one nobody knows who is accepted.
    let none = service.call_by(&key, "POST", VERIFY, foreign(&json!({})));
    none.problem(422, "threshold_unknown");
    // The encoder of the service has a threshold, whatever is in the gallery.
    let own = service.call_by(&key, "POST", IDENTIFY, body(&alike(0.9), &json!({})));
    own.problem(409, "encoder_mismatch");
}

#[test]
fn what_the_operator_sets_for_a_partition_holds_for_encoders_of_which_nothing_is_known() {
    let service = Service::with(|settings| {
        let partitions = &mut settings.verification.partitions;
        partitions.insert("bws.1".parse().unwrap(), 0.6);
    });
    let (_, enrolling) = service.make_key(&[Scope::Enroll], Reach::Everything);
    let low = foreign(&json!({ "threshold": 0.5 }));
    let path = "partitions/bws.1/classes/1/enroll";
    lacks(
        &service.call_by(&enrolling, "POST", path, low),
        "scores",
        "0.6",
    );
    service.enroll_embedding("bws.1", 1, &axis(0));
    let (_, key) = service.make_key(&[Scope::Identify, Scope::Verify], Reach::Everything);
    let (_, able) = service.make_key(&ASKING, Reach::Everything);
    for path in [IDENTIFY, MANY, VERIFY] {
        let more = json!({ "threshold": 0.59 });
        let ask = |key: &str, more: &Value| service.call_by(key, "POST", path, foreign(more));
        lacks(&ask(&key, &more), "embeddings", "");
        lacks(&ask(&able, &more), "scores", "0.6");
        let found = ask(&able, &json!({})).json();
        assert_ne!(found["accepted"], true, "{found}");
        assert_eq!(found["matches"].as_array().map_or(0, Vec::len), 0);
    }
}

#[test]
fn the_threshold_of_a_class_is_no_way_around() {
    let (service, key) = with_key(&[Scope::Enroll]);
    let (class, new) = ("partitions/bws.1/classes/1", "partitions/bws.1/enroll");
    let set = |key: &str, method: &str, threshold: f64| {
        service.call_by(key, method, class, json!({ "threshold": threshold }))
    };
    for method in ["PUT", "PATCH"] {
        lacks(&set(&key, method, 0.2), "scores", "0.41");
        assert_eq!(set(&key, method, 0.5001).json()["threshold"], 0.51);
        // Who writes back what was read sets nothing.
        set(&service.key(), method, 0.2).json();
        assert_eq!(set(&key, method, 0.2).json()["threshold"], 0.2);
        assert_eq!(
            service
                .call_by(&key, method, class, json!({ "name": "Ada" }))
                .status,
            200
        );
    }
    let low = json!({ "threshold": 0.2 });
    let refused = service.call_by(&key, "POST", new, body(&alike(0.1), &low));
    lacks(&refused, "scores", "0.41");
}

#[test]
fn an_enrolment_tells_whether_the_samples_look_like_the_class() {
    let (service, key) = with_key(&[Scope::Enroll, Scope::Verify, Scope::Embeddings]);
    let told = |key: &str, class: i64, cosine: f64| {
        let path = format!("partitions/bws.1/classes/{class}/enroll");
        let answer = service.call_by(key, "POST", &path, body(&alike(cosine), &json!({})));
        let answer = answer.json();
        ["similarity_to_class", "looks_like_class"].map(|name| answer[name].clone())
    };
    assert_eq!(told(&key, 2, 0.3), [Value::Null, Value::Null]);
    assert_eq!(told(&key, 2, 0.35), [json!(0.99), json!(true)]);
    assert_eq!(told(&key, 1, 0.2), [Value::Null, json!(false)]);
    let [similarity, looks] = told(&service.key(), 1, -0.999);
    assert!(similarity.as_f64().unwrap() < 0.0 && looks == json!(false));
    // To nobody who might not ask for it, with embeddings or at all.
    for scopes in [
        &[Scope::Enroll][..],
        &[Scope::Enroll, Scope::Verify],
        &[Scope::Enroll, Scope::Embeddings, Scope::Identify],
    ] {
        let (_, key) = service.make_key(scopes, Reach::Everything);
        assert_eq!(told(&key, 2, 0.3), [Value::Null, Value::Null], "{scopes:?}");
    }
}

/// As many calls as an embedding has values, each with a probe along one axis: how alike what is put
/// together from the answers is to the template.
fn probed_linearly(service: &Service, key: &str, template: &[f64], more: &Value) -> f64 {
    let mut found = vec![0.0; DIMENSION];
    for (at, value) in found.iter_mut().enumerate() {
        let mut probe = vec![0.0; DIMENSION];
        probe[at] = 1.0;
        let answer = service.call_by(key, "POST", VERIFY, body(&probe, more));
        *value = answer.json()["similarity"].as_f64().unwrap_or(0.0);
    }
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let lengths = (dot(&found, &found) * dot(template, template)).sqrt();
    if lengths > 0.0 {
        dot(&found, template) / lengths
    } else {
        0.0
    }
}

#[test]
fn probes_along_the_axes_tell_a_template_with_the_scope_and_nothing_without() {
    let service = Service::new();
    let template: Vec<f64> = (0..DIMENSION)
        .map(|at| ((at * 37 % 101) as f64 - 50.0) / 100.0)
        .collect();
    enroll(&service, 1, &template);
    let exact = probed_linearly(&service, &service.key(), &template, &json!({}));
    assert!(exact > 0.999_999, "{exact}");
    let (_, key) = service.make_key(&ASKING, Reach::Everything);
    assert_eq!(probed_linearly(&service, &key, &template, &json!({})), 0.0);
}
