//! Bodies that are wrong, each in its own way.

use serde_json::{Value, json};
use vultus::types::EncoderId;

use crate::harness::{Body, Native, Service, axis, bytes_of, pictures};

const IDENTIFY: &str = "partitions/bws.1/identify";
const ENROLL: &str = "partitions/bws.1/classes/1/enroll";

#[test]
fn a_malformed_body_is_refused_and_never_repeated() {
    let service = Service::new();
    let text = |body: &str| Body::new("application/json", body);
    for body in [
        "",
        "{",
        "[]",
        "null",
        "7",
        "\"text\"",
        r#"{"pictures":"secret-sample"}"#,
        r#"{"pictures":[17]}"#,
        r#"{"pictures":[null]}"#,
        r#"{"embeddings":["secret-sample"]}"#,
        r#"{"embeddings":[[1,null]]}"#,
        r#"{"embeddings":[[1,NaN]]}"#,
        r#"{"embeddings":[[1,1e999]]}"#,
        r#"{"limit":-1}"#,
        r#"{"limit":1.5}"#,
        r#"{"limit":"secret-sample"}"#,
        r#"{"threshold":"secret-sample"}"#,
        r#"{"encoder":7}"#,
        r#"{"limit":1,"limit":2}"#,
        r#"{"limit":1} {}"#,
        "\u{0}",
    ] {
        let answer = service.post(IDENTIFY, text(body));
        answer.problem(400, "malformed_body");
        assert!(!answer.body.contains("secret-sample"), "{}", answer.body);
    }
    let deep = format!(r#"{{"embeddings":{}"#, "[".repeat(100_000));
    service
        .post(IDENTIFY, text(&deep))
        .problem(400, "malformed_body");
    // A slip in a name is told by name.
    let answer = service.post(IDENTIFY, json!({ "treshold": 0.4 }));
    let problem = answer.problem(400, "malformed_body");
    assert!(
        problem["detail"].as_str().unwrap().contains("`treshold`"),
        "{problem}"
    );
    let long = "x".repeat(100_000);
    let answer = service.post(IDENTIFY, json!({ long: 1 }));
    assert!(answer.body.len() < 1000);
}

#[test]
fn a_malformed_form_is_refused() {
    let service = Service::new();
    let kind = "multipart/form-data; boundary=frontier";
    for (kind, body) in [
        ("multipart/form-data", "--frontier--\r\n"),
        (kind, ""),
        (kind, "--frontier\r\n"),
        (
            kind,
            "--frontier\r\nContent-Disposition: form-data; name=\"picture\"\r\n\r\nabc",
        ),
        (kind, "no form at all"),
    ] {
        let answer = service.post(IDENTIFY, Body::new(kind, body));
        answer.problem(400, "malformed_body");
    }
    let long = [b'e'; 5000];
    let forms: [&[(&str, &[u8])]; 7] = [
        &[("unknown", b"1")],
        &[("limit", b"many")],
        &[("limit", b"1"), ("limit", b"2")],
        &[("limit", b"\xff")],
        &[("encoder", &long)],
        &[("pictures", b"abc")],
        &[("", b"abc")],
    ];
    for fields in forms {
        let answer = service.post(IDENTIFY, Body::form(fields));
        answer.problem(400, "malformed_body");
    }
    let fields: &[(&str, &[u8])] = &[("encoder", b"test"), ("embedding", b"12345")];
    let answer = service.post(IDENTIFY, Body::form(fields));
    answer.problem(422, "invalid_embedding");
    let empty = service.post(IDENTIFY, Body::form(&[]));
    empty.problem(400, "no_samples");
    // A name of digits is a name, in a form too.
    let values = bytes_of(&axis(0));
    let fields: &[(&str, &[u8])] = &[("encoder", b"7"), ("embedding", &values)];
    let answer = service.post(ENROLL, Body::form(fields));
    assert_eq!(answer.json()["encoder"], "7@1");
}

#[test]
fn other_types_of_bodies_are_refused() {
    let service = Service::new();
    for kind in [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json5",
    ] {
        let answer = service.post(IDENTIFY, Body::new(kind, "{}"));
        answer.problem(415, "unsupported_media_type");
    }
    let kind = "Application/JSON; charset=utf-8";
    let answer = service.post(IDENTIFY, Body::new(kind, "{}"));
    answer.problem(400, "no_samples");
}

#[test]
fn each_fault_of_a_picture_has_a_code_and_a_place() {
    let service = Service::new();
    let good = pictures::base64(&pictures::file("obama-portrait"));
    let wall = image::RgbImage::from_pixel(320, 240, image::Rgb([128; 3]));
    let mut png = std::io::Cursor::new(Vec::new());
    wall.write_to(&mut png, image::ImageFormat::Png).unwrap();
    let cut = pictures::base64(&pictures::file("obama-portrait")[..2000]);
    for (bad, code) in [
        ("", "invalid_picture"),
        ("not base64!", "invalid_base64"),
        ("data:image/png;base64,%", "invalid_base64"),
        ("data:image/png,abc", "invalid_base64"),
        (&pictures::base64(b"no picture"), "invalid_picture"),
        (&cut, "invalid_picture"),
        (&pictures::base64(png.get_ref()), "no_face_found"),
    ] {
        for path in [IDENTIFY, ENROLL] {
            let body = json!({ "pictures": [good, bad] });
            let problem = service.post(path, body).problem(422, code);
            assert_eq!(problem["sample"], 1, "{problem}");
        }
    }
    service
        .get("partitions/bws.1")
        .problem(404, "partition_not_found");
}

#[test]
fn what_is_no_embedding_is_refused() {
    let service = Service::new();
    service.enroll_embedding("bws.1", 1, &axis(0));
    let call = |embeddings: Value| {
        let body = json!({ "embeddings": embeddings, "encoder": "test" });
        let mut answers = Vec::new();
        for path in [IDENTIFY, ENROLL] {
            answers.push(service.post(path, body.clone()));
        }
        answers
    };
    let with = |value: Value| {
        let mut values = json!(axis(0));
        values[15] = value;
        values
    };
    for bad in [
        json!([]),
        json!([1.0]),
        json!(vec![1.0; 15]),
        json!(vec![1.0; 4097]),
        json!(vec![0.0; 16]),
        // Finite in double precision, infinite in single.
        with(json!(1e39)),
        with(json!(-1e300)),
    ] {
        for answer in call(json!([bad])) {
            assert_eq!(answer.problem(422, "invalid_embedding")["sample"], 0);
        }
        for answer in call(json!([axis(0), bad])) {
            assert_eq!(answer.problem(422, "invalid_embedding")["sample"], 1);
        }
    }
    // Another length than the partition's is another encoder.
    for answer in call(json!([vec![1.0; 17]])) {
        answer.problem(409, "encoder_mismatch");
    }
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut values = axis(0);
        values[3] = value;
        let bytes = bytes_of(&values);
        let fields: &[(&str, &[u8])] = &[("encoder", b"test"), ("embedding", &bytes)];
        let answer = service.post(ENROLL, Body::form(fields));
        answer.problem(422, "invalid_embedding");
    }
    let mut opposite = axis(0);
    opposite.iter_mut().for_each(|value| *value = -*value);
    let body = json!({ "embeddings": [axis(0), opposite], "encoder": "test" });
    let answer = service.post(IDENTIFY, body);
    answer.problem(422, "contradicting_samples");
    let class = service.get("partitions/bws.1/classes/1").json();
    assert_eq!(class["templates"], 1);
}

#[test]
fn embeddings_come_with_the_name_of_their_encoder() {
    let service = Service::new();
    let answer = service.post(ENROLL, json!({ "embeddings": [axis(0)] }));
    answer.problem(400, "invalid_parameter");
    for name in ["", "a b", "a@", "@1", "\u{fc}", &"n".repeat(65)] {
        let body = json!({ "embeddings": [axis(0)], "encoder": name });
        service.post(ENROLL, body).problem(400, "invalid_parameter");
    }
    service.enroll_embedding("bws.1", 1, &axis(0));
    for (name, path) in [("test@2", ENROLL), ("other", ENROLL), ("other", IDENTIFY)] {
        let body = json!({ "embeddings": [axis(0)], "encoder": name });
        service.post(path, body).problem(409, "encoder_mismatch");
    }
    // Pictures are of the encoder of the service, whatever is said of them.
    let picture = pictures::base64(&pictures::file("obama-portrait"));
    let body = json!({ "pictures": [picture], "encoder": "test" });
    service.post(ENROLL, body).problem(409, "encoder_mismatch");
    let body = json!({ "pictures": [picture] });
    service.post(ENROLL, body).problem(409, "encoder_mismatch");
    let body = json!({ "pictures": [picture], "encoder": "sface@2021dec" });
    let answer = service
        .post("partitions/bws.2/classes/1/enroll", body)
        .json();
    assert_eq!(answer["added"], 1);
}

#[test]
fn numbers_have_bounds() {
    let service = Service::new();
    service.enroll_embedding("bws.1", 1, &axis(0));
    let ask = |name: &str, value: Value| {
        let mut body = json!({ "embeddings": [axis(0)], "encoder": "test" });
        body[name] = value;
        service.post(IDENTIFY, body)
    };
    for (name, value) in [
        ("limit", json!(0)),
        ("limit", json!(1001)),
        ("limit", json!(u64::MAX)),
        ("threshold", json!(-1.001)),
        ("threshold", json!(1.001)),
        ("threshold", json!(1e300)),
    ] {
        ask(name, value).problem(400, "invalid_parameter");
    }
    for (name, value, found) in [
        ("limit", json!(1), 1),
        ("limit", json!(1000), 1),
        ("threshold", json!(-1), 1),
        ("threshold", json!(0.99), 1),
    ] {
        let answer = ask(name, value).json();
        assert_eq!(answer["matches"].as_array().unwrap().len(), found, "{name}");
    }
}

#[test]
fn a_list_is_as_long_as_asked_for() {
    let service = Service::new();
    service.enroll_crowd("bws.1", &EncoderId::new("test", "1", 16).unwrap(), 1001);
    for limit in [1, 999, 1000] {
        let body = json!({ "embeddings": [axis(0)], "encoder": "test", "limit": limit });
        let answer = service.post(IDENTIFY, body).json();
        assert_eq!(answer["matches"].as_array().unwrap().len(), limit);
    }
}

#[test]
fn millions_of_entries_are_counted_and_told() {
    let service = Service::new();
    let text = |body: &str| Body::new("application/json", body);
    let many = 2_000_000;
    for (entry, list) in [
        ("[],", "embeddings"),
        ("\"\",", "pictures"),
        ("0,", "pictures"),
    ] {
        // What follows the first thousand is not even looked at.
        let first = if list == "pictures" { "\"\"," } else { "[]," };
        let body = format!(
            "{{\"{list}\":[{}{}{}]}}",
            first.repeat(1000),
            entry.repeat(many),
            first.trim_end_matches(',')
        );
        let answer = service.post(IDENTIFY, text(&body));
        let problem = answer.problem(400, "too_many_samples");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.starts_with("2001001 samples came"), "{detail}");
    }
    let body = format!(
        "{{\"encoder\":\"test\",\"embeddings\":[[{}0]]}}",
        "0,".repeat(many)
    );
    let answer = service.post(IDENTIFY, text(&body));
    let problem = answer.problem(422, "invalid_embedding");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("2000001"), "{detail}");
    let names: Vec<String> = (0..17).map(|at| format!("field{at}")).collect();
    let fields: Vec<(&str, &[u8])> = names
        .iter()
        .map(|name| (name.as_str(), &b"1"[..]))
        .collect();
    let answer = service.post(IDENTIFY, Body::form(&fields));
    let problem = answer.problem(400, "malformed_body");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("more than 16 fields"), "{detail}");
}

#[test]
fn a_call_has_so_many_samples_and_a_body_so_many_bytes() {
    let service = Service::with(|settings| {
        settings.samples.per_token = 3;
        settings.body_bytes_max = 10_000;
    });
    service.enroll_embedding("bws.1", 1, &axis(0));
    let body = |count: usize| {
        let embeddings: Vec<_> = (0..count).map(|_| axis(0)).collect();
        json!({ "embeddings": embeddings, "encoder": "test" })
    };
    service.post(IDENTIFY, body(3)).json();
    service
        .post(IDENTIFY, body(4))
        .problem(400, "too_many_samples");
    let answer = service.post(IDENTIFY, json!({ "embeddings": [], "pictures": [] }));
    answer.problem(400, "no_samples");
    for length in [10_001, 100_000] {
        let text = format!("{{\"encoder\":\"{}\"}}", "e".repeat(length));
        let answer = service.post(IDENTIFY, Body::new("application/json", text));
        answer.problem(413, "body_too_large");
        let picture = vec![0; length];
        let answer = service.post(IDENTIFY, Body::form(&[("picture", &picture)]));
        answer.problem(413, "body_too_large");
    }
}
