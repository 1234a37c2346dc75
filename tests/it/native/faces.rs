//! Calls that look at all of a picture, and those that take pictures of nobody enrolled.

use serde_json::{Value, json};

use crate::harness::pictures::group;
use crate::harness::{Body, Native, Service, axis, bytes_of, pictures};

const IDENTIFY: &str = "partitions/bws.1/identify-faces";
const OBAMA: &str = "partitions/bws.1/classes/44";

fn with_obama() -> Service {
    let service = Service::new();
    let picture = pictures::base64(&pictures::file("obama-portrait"));
    let answer = service.post(&format!("{OBAMA}/enroll"), json!({ "pictures": [picture] }));
    assert_eq!(answer.status, 200, "{}", answer.body);
    service
}

fn numbers(of: &Value, names: [&str; 4]) -> [f64; 4] {
    names.map(|name| of[name].as_f64().unwrap())
}

#[test]
fn everybody_in_a_picture_is_told_with_a_box_and_a_decision() {
    let service = with_obama();
    let by_form = service.post(IDENTIFY, Body::form(&[("picture", &group())]));
    let by_form = by_form.json();
    let body = json!({ "pictures": [pictures::base64(&group())] });
    let answer = service.post(IDENTIFY, body).json();
    assert_eq!(answer, by_form);
    assert_eq!(
        (&answer["width"], &answer["height"]),
        (&json!(1000), &json!(600))
    );
    assert_eq!(answer["faces_left_out"], 0);
    assert_eq!(answer["templates_searched"], 1);
    assert!(answer["threshold"].as_f64().unwrap() > 0.3);
    let faces = answer["faces"].as_array().unwrap();
    assert_eq!(faces.len(), 3, "{answer}");
    for (face, (within, decision)) in faces.iter().zip([
        ([30.0, 60.0, 400.0, 500.0], "known"),
        ([500.0, 150.0, 176.0, 400.0], "unknown"),
        ([790.0, 30.0, 196.0, 320.0], "known"),
    ]) {
        let [left, top, width, height] = numbers(&face["box"], ["left", "top", "width", "height"]);
        let [from, above, across, down] = within;
        assert!(width > 10.0 && height > 10.0, "{face}");
        assert!(left >= from && left + width <= from + across, "{face}");
        assert!(top >= above && top + height <= above + down, "{face}");
        assert_eq!(face["decision"], decision, "{face}");
        assert!(
            (0.0..=1.0).contains(&face["quality"].as_f64().unwrap()),
            "{face}"
        );
        assert!(face["warnings"].is_array());
        let matches = face["matches"].as_array().unwrap();
        assert_eq!(matches.len(), usize::from(decision == "known"), "{face}");
        if let Some(first) = matches.first() {
            assert_eq!(first["class"], "44");
            assert!(first["similarity"].as_f64() > answer["threshold"].as_f64());
        }
    }
    // A threshold that nobody is below tells all.
    let body = json!({ "pictures": [pictures::base64(&group())], "threshold": -1, "limit": 1 });
    let answer = service.post(IDENTIFY, body).json();
    assert_eq!(answer["faces"][1]["decision"], "known");
    assert_eq!(answer["threshold"], -1.0);
}

#[test]
fn a_picture_of_nobody_is_an_answer_and_one_that_is_none_is_not() {
    let service = with_obama();
    let nobody = pictures::nobody();
    let answer = service
        .post(IDENTIFY, json!({ "pictures": [nobody] }))
        .json();
    assert_eq!(answer["faces"], json!([]));
    assert_eq!(answer["templates_searched"], 1);
    let answer = service
        .post("detect", json!({ "pictures": [nobody] }))
        .json();
    assert_eq!(answer["faces"], json!([]));
    let embedding = bytes_of(&axis(0));
    for path in [IDENTIFY, "detect"] {
        for (body, status, code) in [
            (Body::from(json!({})), 400, "no_samples"),
            (Body::from(json!({ "pictures": [] })), 400, "no_samples"),
            (
                Body::from(json!({ "pictures": [nobody, nobody] })),
                400,
                "too_many_samples",
            ),
            (
                Body::from(json!({ "pictures": ["????"] })),
                422,
                "invalid_base64",
            ),
            (
                Body::from(json!({ "pictures": ["AAAA"] })),
                422,
                "invalid_picture",
            ),
            (
                Body::from(json!({ "embeddings": [axis(0)] })),
                400,
                "malformed_body",
            ),
            (
                Body::form(&[("picture", b""), ("embedding", &embedding)]),
                400,
                "malformed_body",
            ),
            (Body::form(&[("picture", b"")]), 422, "invalid_picture"),
        ] {
            service.post(path, body).problem(status, code);
        }
    }
    // What telephones take and is not read is named with what to do, and what is too large with how
    // large it may be: before anything is decoded.
    let huge = [b"P6 20000 10000 255\n".as_slice(), &[9; 1000]].concat();
    for path in [IDENTIFY, "detect", "partitions/bws.1/identify", "embed"] {
        for (picture, words) in [
            (
                &b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"[..],
                "HEIC is not read here: convert it",
            ),
            (
                b"\0\0\0\x1cftypavif\0\0\0\0mif1avif",
                "AVIF is not read here: convert it",
            ),
            (&huge, "the picture has 20000 x 10000 pixels, at most"),
        ] {
            let form = Body::form(&[("picture", picture)]);
            let problem = service.post(path, form).problem(422, "invalid_picture");
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains(words), "{path}: {detail}");
        }
    }
    let body = || json!({ "pictures": [nobody], "limit": 0 });
    service
        .post(IDENTIFY, body())
        .problem(400, "invalid_parameter");
    let body = json!({ "pictures": [nobody] });
    service
        .post("partitions/bws.7/identify-faces", body)
        .problem(404, "partition_not_found");
    service.enroll_embedding("bws.8", 1, &axis(0));
    let body = json!({ "pictures": [nobody] });
    service
        .post("partitions/bws.8/identify-faces", body)
        .problem(409, "encoder_mismatch");
}

#[test]
fn a_face_is_detected_with_its_points_and_nothing_of_who_it_is() {
    let service = Service::new();
    let answer = service
        .post("detect", Body::form(&[("picture", &group())]))
        .json();
    let faces = answer["faces"].as_array().unwrap();
    assert_eq!(faces.len(), 3);
    let point = |name: &str| {
        let point = &faces[0]["points"][name];
        (point["x"].as_f64().unwrap(), point["y"].as_f64().unwrap())
    };
    assert!(point("left_eye").0 < point("right_eye").0);
    assert!(point("nose").1 > point("left_eye").1);
    assert!(point("left_mouth").1 > point("nose").1);
    assert!(faces[0]["detection_score"].as_f64().unwrap() > 0.6);
    assert_eq!(faces[0]["matches"], Value::Null);
}

#[test]
fn one_of_several_is_enrolled_by_a_box() {
    let service = Service::new();
    let found = service
        .post("detect", Body::form(&[("picture", &group())]))
        .json();
    let boxes: Vec<[f64; 4]> = found["faces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|face| numbers(&face["box"], ["left", "top", "width", "height"]))
        .collect();
    let text = |at: usize| {
        let numbers: Vec<String> = boxes[at].iter().map(|number| number.to_string()).collect();
        numbers.join(",")
    };
    let picture = pictures::base64(&group());
    let enroll = format!("{OBAMA}/enroll");
    let form = Body::form(&[("picture", &group()), ("box", text(0).as_bytes())]);
    assert_eq!(service.post(&enroll, form).json()["added"], 1);
    let body = json!({ "pictures": [picture], "box": found["faces"][1]["box"] });
    let biden = service
        .post("partitions/bws.1/classes/46/enroll", body)
        .json();
    assert_eq!(biden["added"], 1);
    // Each is who it is.
    for (name, class) in [("obama-white-house", "44"), ("biden-portrait", "46")] {
        let body = json!({ "pictures": [pictures::base64(&pictures::file(name))] });
        let answer = service.post("partitions/bws.1/identify", body).json();
        assert_eq!(answer["matches"][0]["class"], class, "{answer}");
        assert_eq!(answer["matches"].as_array().unwrap().len(), 1, "{answer}");
    }
    for (wrong, status, code) in [
        (json!("5000,5000,10,10"), 422, "no_face_found"),
        (json!("700,5,20,20"), 422, "no_face_found"),
        (json!("-50,-50,20,20"), 422, "no_face_found"),
        (json!("0,0,NaN,10"), 400, "malformed_body"),
        (json!("0,0,-10,10"), 400, "malformed_body"),
        (json!([1, 2, 3]), 400, "malformed_body"),
        (json!(7), 400, "malformed_body"),
    ] {
        let body = json!({ "pictures": [picture], "box": wrong });
        let problem = service.post(&enroll, body).problem(status, code);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("box"), "{wrong}: {detail}");
    }
    let body = json!({ "pictures": [picture, picture], "box": text(0) });
    service
        .post(&enroll, body)
        .problem(400, "invalid_parameter");
    let body = json!({ "embeddings": [axis(0)], "encoder": "test", "box": text(0) });
    service
        .post(&enroll, body)
        .problem(400, "invalid_parameter");
    assert_eq!(service.get(OBAMA).json()["templates"], 1);
}

#[test]
fn two_pictures_are_compared() {
    let service = Service::new();
    let [obama, again, biden] =
        ["obama-portrait", "obama-white-house", "biden-portrait"].map(pictures::file);
    let form = Body::form(&[("picture", &obama), ("picture", &again)]);
    let same = service.post("compare", form).json();
    assert_eq!(same["accepted"], true, "{same}");
    assert!(same["similarity"].as_f64().unwrap() > 0.65);
    assert!(same["score"].as_f64().unwrap() > 0.5);
    assert_eq!(same["samples"].as_array().unwrap().len(), 2);
    let both = json!({ "pictures": [pictures::base64(&obama), pictures::base64(&biden)] });
    let other = service.post("compare", both).json();
    assert_eq!(other["accepted"], false, "{other}");
    assert_eq!(
        other["threshold"],
        service.get("status").json()["threshold"]
    );
    let form = Body::form(&[
        ("picture", &obama),
        ("picture", &biden),
        ("threshold", b"-1"),
    ]);
    assert_eq!(service.post("compare", form).json()["accepted"], true);

    let one = Body::form(&[("picture", &obama)]);
    service.post("compare", one).problem(400, "no_samples");
    let three = Body::form(&[
        ("picture", &obama),
        ("picture", &again),
        ("picture", &biden),
    ]);
    service
        .post("compare", three)
        .problem(400, "too_many_samples");
    let body = json!({ "pictures": [pictures::base64(&obama), pictures::nobody()] });
    let problem = service.post("compare", body).problem(422, "no_face_found");
    assert_eq!(problem["sample"], 1);
    let form = Body::form(&[
        ("picture", &obama),
        ("picture", &biden),
        ("threshold", b"2"),
    ]);
    service
        .post("compare", form)
        .problem(400, "invalid_parameter");
}

#[test]
fn an_embedding_of_a_picture_is_the_one_that_is_enrolled() {
    let service = with_obama();
    let [obama, biden] = ["obama-portrait", "biden-portrait"].map(pictures::file);
    let form = Body::form(&[("picture", &obama), ("picture", &biden)]);
    let answer = service.post("embed", form).json();
    let embeddings = answer["embeddings"].as_array().unwrap();
    assert_eq!(embeddings.len(), 2, "people need not be the same");
    assert_eq!(embeddings[0]["embedding"].as_array().unwrap().len(), 128);
    assert!(embeddings[0]["quality"].as_f64().unwrap() > 0.5);
    let body = json!({ "embeddings": [embeddings[0]["embedding"]], "encoder": answer["encoder"] });
    let found = service.post("partitions/bws.1/identify", body).json();
    let similarity = found["matches"][0]["similarity"].as_f64().unwrap();
    assert!(similarity > 0.9999, "{found}");

    service.post("embed", json!({})).problem(400, "no_samples");
    let body = json!({ "pictures": [pictures::two_people()] });
    service
        .post("embed", body)
        .problem(422, "multiple_faces_found");
    let embedding = bytes_of(&axis(0));
    let form = Body::form(&[("picture", &obama), ("embedding", &embedding)]);
    service.post("embed", form).problem(400, "malformed_body");
}
