//! Decisions by rate: who is recognised at the present number of people, and how sure that is.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use vultus::access::{Reach, Scope};
use vultus::engine::CalibrationOptions;
use vultus::rates::TargetRate;
use vultus::types::EncoderId;

use crate::harness::{Native, Service, axis};

const IDENTIFY: &str = "partitions/bws.1/identify";
const PEOPLE: i64 = 200;

fn drawn(random: &mut StdRng) -> Vec<f32> {
    (0..16).map(|_| random.random_range(-1.0..1.0)).collect()
}

fn near(other: &[f32], spread: f32, random: &mut StdRng) -> Vec<f32> {
    let near = |value: &f32| value + spread * random.random_range(-1.0..1.0_f32);
    other.iter().map(near).collect()
}

/// So many people of an encoder of which nothing is known, and what they were enrolled with.
fn crowd() -> (Service, Vec<Vec<f32>>, StdRng) {
    let (service, mut random) = (Service::new(), StdRng::seed_from_u64(3));
    let people: Vec<Vec<f32>> = (0..PEOPLE).map(|_| drawn(&mut random)).collect();
    for (class, values) in people.iter().enumerate() {
        let path = format!("partitions/bws.1/classes/{class}/enroll");
        let labels = match class % 2 {
            0 => json!({ "side": "left" }),
            _ => json!({}),
        };
        let body = json!({ "embeddings": [values], "encoder": "mine", "labels": labels });
        assert_eq!(service.post(&path, body).status, 200);
    }
    (service, people, random)
}

fn calibrate(service: &Service) {
    let engine = service.state.engine();
    let id = "bws.1".parse().unwrap();
    let gallery = engine.enrolled(&id).unwrap().unwrap();
    let now = service.clock.now();
    let measured = gallery.calibrate(&CalibrationOptions::default(), now, |_, _| Ok(()));
    engine.keep_calibration(&id, &measured.unwrap()).unwrap();
}

fn ask(service: &Service, probe: &[f32], more: &Value) -> Value {
    let mut body = json!({ "embeddings": [probe], "encoder": "mine" });
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    service.post(IDENTIFY, body).json()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value}"))
}

#[test]
fn nothing_is_decided_by_a_rate_before_strangers_were_measured() {
    let (service, people, _) = crowd();
    let answer = ask(&service, &people[0], &json!({}));
    assert_eq!(
        (&answer["decision"], &answer["threshold"], &answer["fpir"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    assert_eq!(answer["confidence"], Value::Null);
    assert_eq!(answer["classes_searched"], PEOPLE);
    assert_eq!(answer["matches"].as_array().unwrap().len(), 20);
    let body = json!({ "embeddings": [people[0]], "encoder": "mine", "target_fpir": 0.01 });
    for path in [IDENTIFY, "partitions/bws.1/identify-many"] {
        let problem = service.post(path, body.clone());
        let problem = problem.problem(409, "not_calibrated");
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.contains("`bws.1`") && detail.contains("vultus calibrate"),
            "{detail}"
        );
    }
}

#[test]
fn a_stranger_is_unknown_and_a_person_is_a_match_by_what_was_measured() {
    let (service, people, mut random) = crowd();
    calibrate(&service);
    let (mut unknown, strangers) = (0, 200);
    for _ in 0..strangers {
        let answer = ask(
            &service,
            &drawn(&mut random),
            &json!({ "target_fpir": 0.05 }),
        );
        unknown += usize::from(answer["decision"] == "unknown");
        assert_eq!(
            answer["decision"] == "unknown",
            answer["matches"].as_array().unwrap().is_empty()
        );
    }
    // One in twenty is expected; so many more have a chance below one in a million.
    assert!(unknown >= strangers - 30, "{unknown}");
    for class in [0, 7, 150] {
        let probe = near(&people[class], 0.05, &mut random);
        let answer = ask(&service, &probe, &json!({}));
        assert_eq!(answer["decision"], "match", "{answer}");
        assert_eq!(answer["matches"][0]["class"], class.to_string());
        assert!(number(&answer["confidence"]) > 0.9, "{answer}");
        let fpir = &answer["fpir"];
        let (low, rate, high) = (
            number(&fpir["low"]),
            number(&fpir["rate"]),
            number(&fpir["high"]),
        );
        assert!(
            low <= rate && rate <= high && rate <= 0.001 + 1e-9,
            "{fpir}"
        );
        // Two hundred people do not show what one stranger in a thousand does.
        assert_eq!(fpir["extrapolated"], true);
    }
}

#[test]
fn the_rarer_strangers_may_be_the_higher_is_the_threshold() {
    let (service, people, _) = crowd();
    calibrate(&service);
    let threshold = |rate: Value| {
        let answer = ask(&service, &people[3], &json!({ "target_fpir": rate }));
        number(&answer["threshold"])
    };
    let rates = [0.3, 0.1, 0.03, 0.01, 0.001];
    let thresholds: Vec<f64> = rates.iter().map(|rate| threshold(json!(rate))).collect();
    assert!(thresholds.is_sorted(), "{thresholds:?}");
    assert!(thresholds[0] < thresholds[4]);
    // As MOSIP writes it.
    assert_eq!(threshold(json!(30)), thresholds[4]);
    // Of fewer people fewer are like a stranger.
    let labelled = json!({ "target_fpir": 0.1, "labels": { "side": "left" } });
    let among = ask(&service, &people[4], &labelled);
    assert_eq!(among["classes_searched"], PEOPLE / 2);
    assert!(number(&among["threshold"]) < thresholds[1], "{among}");
    // Whoever is not told exact similarities gets no lower one by that, whatever they ask for.
    let (_, key) = service.make_key(&[Scope::Identify, Scope::Embeddings], Reach::Everything);
    let told = |more: &Value| {
        let mut body = json!({ "embeddings": [people[4]], "encoder": "mine" });
        let more = more.as_object().unwrap().clone();
        body.as_object_mut().unwrap().extend(more);
        service.call_by(&key, "POST", IDENTIFY, body)
    };
    let usual = told(&json!({})).json()["threshold"].clone();
    for more in [json!({}), json!({ "target_fpir": 0.5 })] {
        let mut labelled = more;
        labelled["labels"] = json!({ "side": "left" });
        assert_eq!(told(&labelled).json()["threshold"], usual);
    }
    let low = json!({ "threshold": number(&usual) - 0.001, "labels": { "side": "left" } });
    told(&low).problem(403, "scope_missing");
    // A calibrated gallery has a threshold: embeddings need their scope, and verifications have it, too.
    let (_, without) = service.make_key(&[Scope::Identify, Scope::Verify], Reach::Everything);
    let probe = json!({ "embeddings": [people[4]], "encoder": "mine", "threshold": 0.0 });
    let verify = "partitions/bws.1/classes/4/verify";
    for path in [IDENTIFY, verify] {
        let answer = service.call_by(&without, "POST", path, probe.clone());
        answer.problem(403, "scope_missing");
    }
    let (_, able) = service.make_key(&[Scope::Verify, Scope::Embeddings], Reach::Everything);
    let answer = service.call_by(&able, "POST", verify, probe);
    let problem = answer.problem(403, "scope_missing");
    assert!(
        problem["detail"].as_str().unwrap().contains("scores"),
        "{problem}"
    );
}

#[test]
fn of_two_who_are_alike_it_cannot_be_told_which() {
    let (service, people, mut random) = crowd();
    calibrate(&service);
    let twin = json!({ "embeddings": [near(&people[9], 0.02, &mut random)], "encoder": "mine" });
    let path = "partitions/bws.1/classes/900/enroll";
    assert_eq!(service.post(path, twin).status, 200);
    let probe = near(&people[9], 0.02, &mut random);
    for limit in [1, 2, 20] {
        let answer = ask(&service, &probe, &json!({ "limit": limit }));
        assert_eq!(answer["decision"], "ambiguous", "{answer}");
        assert!(number(&answer["confidence"]) < 0.9, "{answer}");
        assert_eq!(
            answer["matches"].as_array().unwrap().len(),
            limit.min(2),
            "{answer}"
        );
    }
    let body = json!({ "embeddings": [probe, people[20]], "encoder": "mine", "limit": 1 });
    let answer = service.post("partitions/bws.1/identify-many", body);
    let lines: Vec<Value> = answer
        .body
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0]["decision"], "ambiguous");
    assert_eq!(lines[1]["decision"], "match");
    assert_eq!(lines[0]["matches"].as_array().unwrap().len(), 1);
}

#[test]
fn what_is_no_rate_is_refused_by_name() {
    let (service, people, _) = crowd();
    for rate in [
        json!(0),
        json!(1),
        json!(-3),
        json!(1.5),
        json!(101),
        json!(1e-11),
    ] {
        let body = json!({ "embeddings": [people[0]], "encoder": "mine", "target_fpir": rate });
        for path in [IDENTIFY, "partitions/bws.1/identify-many"] {
            let problem = service.post(path, body.clone());
            let problem = problem.problem(400, "invalid_parameter");
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains("`target_fpir`"), "{rate}: {detail}");
        }
    }
    let body = json!({ "embeddings": [people[0]], "encoder": "mine", "target_fpir": "rare" });
    service.post(IDENTIFY, body).problem(400, "malformed_body");
    let both = json!({ "embeddings": [people[0]], "encoder": "mine", "target_fpir": 0.1, "threshold": 0.4 });
    let problem = service.post(IDENTIFY, both);
    let problem = problem.problem(400, "invalid_parameter");
    assert!(problem["detail"].as_str().unwrap().contains("found both"));
}

#[test]
fn with_the_own_encoder_the_threshold_is_never_lower_than_that_of_the_encoder() {
    let service = Service::new();
    let status = service.get("status").json();
    let name = status["encoder"].as_str().unwrap();
    let own = EncoderId::parse(name, 128).unwrap();
    service.enroll_crowd("bws.1", &own, 3);
    let probe: Vec<f32> = (0..own.dimension())
        .map(|at| (at % 7) as f32 - 3.0)
        .collect();
    let body = json!({ "embeddings": [probe], "encoder": name });
    let answer = service.post(IDENTIFY, body).json();
    assert_eq!(answer["threshold"], status["threshold"]);
    assert_eq!(answer["decision"], "unknown");
    assert_eq!(answer["fpir"]["extrapolated"], true);
    // What the operator has set decides, whatever the rate.
    let service = Service::with(|settings| settings.verification.threshold = Some(0.2));
    service.enroll_crowd("bws.1", &own, 3);
    let body = json!({ "embeddings": [probe], "encoder": name });
    let answer = service.post(IDENTIFY, body).json();
    assert_eq!(answer["threshold"], 0.2);
}

const VERIFY: &str = "partitions/bws.1/classes/7/verify";

fn compare(service: &Service, probe: &[f32], more: &Value) -> Value {
    let mut body = json!({ "embeddings": [probe], "encoder": "mine" });
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    service.post(VERIFY, body).json()
}

#[test]
fn a_verification_by_rate_has_the_threshold_that_keeps_it() {
    let (service, people, mut random) = crowd();
    let asked = json!({ "embeddings": [people[7]], "encoder": "mine", "target_fmr": 0.01 });
    service.post(VERIFY, asked).problem(409, "not_calibrated");
    calibrate(&service);
    let rates = [0.3, 0.1, 0.03, 0.01, 0.001];
    let answers = rates.map(|rate| compare(&service, &people[7], &json!({ "target_fmr": rate })));
    let thresholds: Vec<f64> = answers
        .iter()
        .map(|answer| number(&answer["threshold"]))
        .collect();
    assert!(
        thresholds.is_sorted() && thresholds[0] < thresholds[4],
        "{thresholds:?}"
    );
    for (rate, answer) in rates.iter().zip(&answers) {
        assert_eq!(answer["accepted"], true, "{answer}");
        let fmr = &answer["fmr"];
        let [low, found, high] = ["low", "rate", "high"].map(|end| number(&fmr[end]));
        assert!(
            low <= found && found <= high && found <= rate + 1e-9,
            "{answer}"
        );
        assert!(found > 0.9 * rate, "{answer}");
    }
    let mosip = compare(&service, &people[7], &json!({ "target_fmr": 30 }));
    assert_eq!(mosip["threshold"], answers[4]["threshold"]);
    // As many strangers as was said are taken for the person of the class.
    let (mut accepted, strangers) = (0, 400);
    for _ in 0..strangers {
        let answer = compare(&service, &drawn(&mut random), &json!({ "target_fmr": 0.1 }));
        accepted += usize::from(answer["accepted"] == true);
    }
    // Of one class and not of all: it may have more or fewer who are like it.
    assert!((4..=120).contains(&accepted), "{accepted}");
    // What is typed as a similarity is told as a rate.
    let typed = compare(&service, &people[7], &json!({ "threshold": thresholds[1] }));
    assert_eq!(typed["fmr"], answers[1]["fmr"]);
}

/// Everybody looks the same: no similarity lets so few of them through, and 1 lets all.
#[test]
fn a_rate_that_no_similarity_keeps_is_refused() {
    let service = Service::new();
    for class in 0..30 {
        service.enroll_embedding("bws.1", class, &axis(0));
    }
    calibrate(&service);
    for (path, rate) in [
        (IDENTIFY, "target_fpir"),
        ("partitions/bws.1/identify-many", "target_fpir"),
        (VERIFY, "target_fmr"),
    ] {
        let body = json!({ "embeddings": [axis(0)], "encoder": "test", rate: 0.01 });
        let problem = service.post(path, body).problem(409, "not_calibrated");
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.contains("no similarity is known that so few strangers reach as 0.01"),
            "{detail}"
        );
    }
    // A similarity needs no rate.
    let body = json!({ "embeddings": [axis(0)], "encoder": "test", "threshold": 0.99 });
    let answer = service.post(IDENTIFY, body).json();
    assert_eq!(answer["matches"].as_array().unwrap().len(), 20);
}

#[test]
fn what_is_no_rate_of_a_verification_is_refused_by_name() {
    let (service, people, _) = crowd();
    calibrate(&service);
    for rate in [
        json!(0),
        json!(1),
        json!(-3),
        json!(1.5),
        json!(101),
        json!(1e-11),
    ] {
        let body = json!({ "embeddings": [people[7]], "encoder": "mine", "target_fmr": rate });
        let problem = service.post(VERIFY, body);
        let problem = problem.problem(400, "invalid_parameter");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("`target_fmr`"), "{rate}: {detail}");
    }
    let both = json!({ "embeddings": [people[7]], "encoder": "mine", "target_fmr": 0.1, "threshold": 0.4 });
    let problem = service.post(VERIFY, both);
    let problem = problem.problem(400, "invalid_parameter");
    assert!(problem["detail"].as_str().unwrap().contains("found both"));
    let body = json!({ "embeddings": [people[7]], "encoder": "mine", "target_fmr": "NaN" });
    service.post(VERIFY, body).problem(400, "malformed_body");
    let body = json!({ "embeddings": [people[7]], "encoder": "mine", "target_fmr": 0.1 });
    let path = "partitions/bws.1/classes/7000/verify";
    service
        .post(path, body.clone())
        .problem(404, "class_not_found");
    let path = "partitions/bws.9/classes/7/verify";
    service.post(path, body).problem(404, "class_not_found");
    let foreign = json!({ "embeddings": [people[7]], "encoder": "other", "target_fmr": 0.1 });
    service
        .post(VERIFY, foreign)
        .problem(409, "encoder_mismatch");
}

#[test]
fn the_operator_sets_rates_for_all_partitions_and_for_one() {
    let rate = |rate| TargetRate::new(rate).unwrap();
    let service = Service::with(|settings| {
        let partitions = [("bws.2".parse().unwrap(), rate(1e-6))];
        settings.target_fpir.all = rate(0.1);
        settings.target_fpir.partitions = partitions.into();
        settings.verification_target_fmr = Some(rate(1e-7));
    });
    let status = service.get("status").json();
    let name = status["encoder"].as_str().unwrap();
    let own = EncoderId::parse(name, 128).unwrap();
    let mut random = StdRng::seed_from_u64(5);
    let mut thresholds = Vec::new();
    for partition in ["bws.1", "bws.2"] {
        for class in 0..60 {
            let values: Vec<f32> = (0..own.dimension())
                .map(|_| 1.0 + random.random_range(-1.0..1.0_f32))
                .collect();
            let path = format!("partitions/{partition}/classes/{class}/enroll");
            let body = json!({ "embeddings": [values], "encoder": name });
            assert_eq!(service.post(&path, body).status, 200);
        }
        let engine = service.state.engine();
        let id = partition.parse().unwrap();
        let gallery = engine.enrolled(&id).unwrap().unwrap();
        let now = service.clock.now();
        let measured = gallery.calibrate(&CalibrationOptions::default(), now, |_, _| Ok(()));
        engine.keep_calibration(&id, &measured.unwrap()).unwrap();
        let probe = vec![1.0_f32; own.dimension()];
        let body = json!({ "embeddings": [probe], "encoder": name });
        let path = format!("partitions/{partition}/identify");
        thresholds.push(number(
            &service.post(&path, body.clone()).json()["threshold"],
        ));
        let path = format!("partitions/{partition}/classes/3/verify");
        let verified = service.post(&path, body).json();
        // People who are all alike: the rate demands more than the encoder.
        assert!(
            number(&verified["threshold"]) > number(&status["threshold"]),
            "{verified}"
        );
        assert!(
            number(&verified["fmr"]["rate"]) <= 1e-7 * 1.001,
            "{verified}"
        );
    }
    assert!(thresholds[1] > thresholds[0], "{thresholds:?}");
}
