//! What each call does when all is well, in both forms of bodies.

use serde_json::json;

use crate::harness::{Body, Door, Native, Service, axis, bytes_of, pictures};

const OBAMA: &str = "partitions/bws.1/classes/44";

#[test]
fn a_person_is_enrolled_and_found_with_pictures_as_json() {
    let service = Service::new();
    let (obama, biden) = (
        pictures::file("obama-portrait"),
        pictures::file("biden-portrait"),
    );
    for (class, picture) in [(44, &obama), (46, &biden)] {
        let path = format!("partitions/bws.1/classes/{class}/enroll");
        let body = json!({ "pictures": [pictures::base64(picture)] });
        let answer = service.post(&path, body).json();
        assert_eq!(answer["class"], class.to_string());
        assert_eq!(answer["added"], 1);
        assert_eq!(answer["templates"], 1);
        assert!(answer["samples"][0]["quality"].as_f64().unwrap() > 0.0);
        assert!(answer["samples"][0]["warnings"].is_array());
    }
    let again = pictures::base64(&pictures::file("obama-white-house"));
    for picture in [again.clone(), format!("data:image/jpeg;base64,{again}")] {
        let body = json!({ "pictures": [picture], "threshold": -1 });
        let answer = service.post("partitions/bws.1/identify", body).json();
        assert_eq!(answer["matches"].as_array().unwrap().len(), 2);
        assert_eq!(answer["matches"][0]["class"], "44");
        let score = answer["matches"][0]["score"].as_f64().unwrap();
        assert!((0.5..=1.0).contains(&score), "{score}");
        assert_eq!(answer["templates_searched"], 2);
        assert_eq!(answer["threshold"], -1.0);
    }
    // Without a threshold, that of the service leaves strangers out.
    let body = json!({ "pictures": [again] });
    let answer = service.post("partitions/bws.1/identify", body).json();
    assert_eq!(answer["matches"].as_array().unwrap().len(), 1);
    let status = service.get("status").json();
    assert_eq!(answer["threshold"], status["threshold"]);
    assert_eq!(answer["encoder"], status["encoder"]);
}

#[test]
fn forms_do_the_same_as_json() {
    let service = Service::new();
    let (obama, again) = (
        pictures::file("obama-portrait"),
        pictures::file("obama-white-house"),
    );
    let form = Body::form(&[("picture", &obama), ("picture", &again)]);
    let answer = service.post(&format!("{OBAMA}/enroll"), form).json();
    assert_eq!(answer["added"], 2);
    let form = Body::form(&[("replace", b"true"), ("picture", &obama)]);
    let answer = service.post(&format!("{OBAMA}/enroll"), form).json();
    assert_eq!(
        (&answer["removed"], &answer["templates"]),
        (&json!(2), &json!(1))
    );

    let form = Body::form(&[("limit", b"1"), ("threshold", b"0.2"), ("picture", &again)]);
    let by_form = service.post("partitions/bws.1/identify", form).json();
    let body = json!({ "limit": 1, "threshold": 0.2, "pictures": [pictures::base64(&again)] });
    let by_json = service.post("partitions/bws.1/identify", body).json();
    assert_eq!(by_form, by_json);
    assert_eq!(by_form["matches"][0]["class"], "44");
}

#[test]
fn ready_embeddings_of_any_encoder_are_compared_exactly() {
    let service = Service::new();
    service.enroll_embedding("bws.2", 1, &axis(0));
    service.enroll_embedding("bws.2", 2, &axis(1));
    let body = json!({ "embeddings": [axis(0)], "encoder": "test@1" });
    let answer = service.post("partitions/bws.2/identify", body).json();
    let matches = answer["matches"].as_array().unwrap();
    assert_eq!(matches.len(), 2, "no threshold is known for this encoder");
    assert_eq!(answer["threshold"], json!(null));
    assert_eq!(matches[0]["class"], "1");
    assert!((matches[0]["similarity"].as_f64().unwrap() - 1.0).abs() < 1e-12);
    // Cosine of (1, 0.25, 0) and (0, 1, 0.25): 0.25 over 1.0625.
    let expected = 0.25 / 1.0625;
    assert!((matches[1]["similarity"].as_f64().unwrap() - expected).abs() < 1e-12);
    assert_eq!(matches[1]["score"], json!(null));

    let bytes = bytes_of(&axis(0));
    let form = Body::form(&[("encoder", b"test"), ("embedding", &bytes)]);
    let by_form = service.post("partitions/bws.2/identify", form).json();
    assert_eq!(by_form, answer);
}

#[test]
fn samples_of_one_person_are_fused() {
    let service = Service::new();
    for class in 0..3 {
        let at = usize::try_from(class).unwrap();
        service.enroll_embedding("bws.2", class, &axis(5 * at));
    }
    let body = json!({ "embeddings": [axis(0), axis(5)], "encoder": "test", "limit": 2 });
    let answer = service.post("partitions/bws.2/identify", body).json();
    let matches = answer["matches"].as_array().unwrap();
    assert_eq!([&matches[0]["class"], &matches[1]["class"]], ["0", "1"]);
    // Each is half of the way.
    let similarity = matches[0]["similarity"].as_f64().unwrap();
    assert!((similarity - 0.5_f64.sqrt()).abs() < 1e-6, "{similarity}");
    assert_eq!(answer["samples"].as_array().unwrap().len(), 2);
}

#[test]
fn an_enrolment_is_all_or_nothing() {
    let service = Service::new();
    let body = json!({ "embeddings": [axis(0), vec![0.0; 16]], "encoder": "test" });
    let answer = service.post(&format!("{OBAMA}/enroll"), body);
    let problem = answer.problem(422, "invalid_embedding");
    assert_eq!(problem["sample"], 1);
    service.get(OBAMA).problem(404, "class_not_found");
    service
        .get("partitions/bws.1")
        .problem(404, "partition_not_found");
}

#[test]
fn a_class_is_described_and_deleted() {
    let service = Service::new();
    service.enroll_embedding("bws.1", 44, &axis(0));
    service.advance(5);
    service.enroll_embedding("bws.1", 44, &axis(1));
    let class = service.get(OBAMA).json();
    let expected = json!({
        "class": "44", "name": null, "external_id": null, "labels": {}, "note": null,
        "expires_unix_milliseconds": null, "threshold": null, "not_same_as": [],
        "last_match_unix_milliseconds": null, "templates": 2,
        "first_enrolled_unix_milliseconds": 1_700_000_000_000_i64,
        "last_enrolled_unix_milliseconds": 1_700_000_005_000_i64,
        "best_quality": null,
    });
    assert_eq!(class, expected);
    // `erasing` looks at the receipt.
    let delete = || {
        let mut deleted = service.delete(OBAMA).json();
        let receipt = deleted.as_object_mut().unwrap().remove("receipt").unwrap();
        assert_eq!(receipt.is_object(), deleted["was_enrolled"] == true);
        deleted
    };
    let expected =
        json!({ "was_enrolled": true, "templates": 2, "record": false, "erased": false });
    assert_eq!(delete(), expected);
    let nothing =
        json!({ "was_enrolled": false, "templates": 0, "record": false, "erased": false });
    assert_eq!(delete(), nothing);
    service.enroll_embedding("bws.1", 44, &axis(0));
    let named = json!({ "name": "Barack Obama" });
    service
        .call_by(&service.key(), "PATCH", OBAMA, named)
        .json();
    let expected = json!({ "was_enrolled": true, "templates": 1, "record": true, "erased": false });
    assert_eq!(delete(), expected);
    service.get(OBAMA).problem(404, "class_not_found");
}

#[test]
fn class_numbers_keep_all_their_64_bits() {
    let service = Service::new();
    // Two neighbours that are the same number in double precision.
    let numbers = [i64::MIN, i64::MIN + 1, 9_007_199_254_740_993, i64::MAX];
    for number in numbers {
        service.enroll_embedding("bws.1", number, &axis(0));
        let class = service.get(&format!("partitions/bws.1/classes/{number}"));
        assert_eq!(class.json()["class"], number.to_string());
    }
    let listed = service.get("partitions/bws.1/classes").json();
    let listed: Vec<&str> = listed["classes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|class| class["class"].as_str().unwrap())
        .collect();
    assert_eq!(listed, numbers.map(|number| number.to_string()));
    let body = json!({ "embeddings": [axis(0)], "encoder": "test" });
    let found = service.post("partitions/bws.1/identify", body).json();
    assert_eq!(found["matches"][0]["class"], i64::MIN.to_string());
    for wrong in [
        "9223372036854775808",
        "-9223372036854775809",
        "1.0",
        "+1",
        "%C3%BC",
        "%FF",
    ] {
        let answer = service.get(&format!("partitions/bws.1/classes/{wrong}"));
        answer.problem(400, "invalid_parameter");
    }
}

#[test]
fn a_person_is_compared_with_one_class() {
    let service = Service::new();
    for (class, name) in [(44, "obama-portrait"), (46, "biden-portrait")] {
        let path = format!("partitions/bws.1/classes/{class}/enroll");
        let form = Body::form(&[("picture", &pictures::file(name))]);
        service.post(&path, form).json();
    }
    let again = pictures::file("obama-white-house");
    let ask = |class: i32, fields: &[(&str, &[u8])]| {
        let path = format!("partitions/bws.1/classes/{class}/verify");
        service.post(&path, Body::form(fields))
    };
    let own = ask(44, &[("picture", &again)]).json();
    assert_eq!(own["accepted"], true, "{own}");
    assert_eq!(own["threshold"], service.get("status").json()["threshold"]);
    let strict = ask(44, &[("picture", &again), ("threshold", b"0.999")]).json();
    assert_eq!(strict["accepted"], false);
    assert_eq!(strict["similarity"], own["similarity"]);
    let other = ask(46, &[("picture", &again)]).json();
    assert_eq!(other["accepted"], false, "{other}");
    // It is the same similarity that a search finds.
    let found = Body::form(&[("picture", &again)]);
    let found = service.post("partitions/bws.1/identify", found).json();
    assert_eq!(found["matches"][0]["similarity"], own["similarity"]);
    ask(45, &[("picture", &again)]).problem(404, "class_not_found");
    let wrong = ask(44, &[("picture", &again), ("threshold", b"1.5")]);
    wrong.problem(400, "invalid_parameter");
}

#[test]
fn a_verification_needs_a_threshold_that_somebody_knows() {
    let service = Service::with(|settings| {
        let partition = "bws.1".parse().unwrap();
        settings.verification.partitions.insert(partition, 0.9999);
    });
    service.enroll_embedding("bws.2", 1, &axis(0));
    let path = "partitions/bws.2/classes/1/verify";
    let mut body = json!({ "embeddings": [axis(0)], "encoder": "test" });
    let answer = service.post(path, body.clone());
    answer.problem(422, "threshold_unknown");
    body["threshold"] = json!(0.9);
    let answer = service.post(path, body.clone()).json();
    assert_eq!(
        (&answer["accepted"], &answer["templates"]),
        (&json!(true), &json!(1))
    );
    body["embeddings"] = json!([axis(1)]);
    let answer = service.post(path, body).json();
    assert_eq!(answer["accepted"], false);

    // The operator's threshold of the partition holds for both calls.
    let form = || Body::form(&[("picture", &pictures::file("obama-portrait"))]);
    service.post(&format!("{OBAMA}/enroll"), form()).json();
    let again = || Body::form(&[("picture", &pictures::file("obama-white-house"))]);
    let answer = service.post(&format!("{OBAMA}/verify"), again()).json();
    assert_eq!(
        (&answer["accepted"], &answer["threshold"]),
        (&json!(false), &json!(0.9999))
    );
    let answer = service.post("partitions/bws.1/identify", again()).json();
    assert_eq!(answer["matches"], json!([]));
}

#[test]
fn liveness_is_demanded_in_the_same_call() {
    // Thresholds that everybody passes, or nobody, so that this test does not depend on the
    // networks.
    let with = |score: f64| {
        Service::with(move |settings| {
            settings.liveness.passive_score_min = score;
        })
    };
    let (lax, strict) = (with(0.0), with(2.0));
    let picture = pictures::file("obama-portrait");
    let form = |kind: &'static [u8]| Body::form(&[("liveness", kind), ("picture", &picture)]);
    let path = format!("{OBAMA}/enroll");
    lax.post(&path, form(b"passive")).json();
    let refused = strict.post(&path, form(b"passive"));
    assert_eq!(refused.problem(422, "not_live")["sample"], 0);
    strict.get(OBAMA).problem(404, "class_not_found");
    // The same picture twice is nobody who moved.
    let twice = Body::form(&[
        ("liveness", b"active"),
        ("picture", &picture),
        ("picture", &picture),
    ]);
    lax.post(&path, twice).problem(422, "not_live");
    lax.post(&path, form(b"active"))
        .problem(400, "invalid_parameter");
    lax.post(&path, form(b"none"))
        .problem(400, "malformed_body");
    let body = json!({ "embeddings": [axis(0)], "encoder": "test", "liveness": "passive" });
    lax.post(&path, body).problem(400, "invalid_parameter");
}
