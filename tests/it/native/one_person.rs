//! Samples that do not look like one person, and pictures that nobody should be known by.

use image::{DynamicImage, ImageFormat, imageops};
use serde_json::json;

use crate::harness::{Body, Native, Service, axis, pictures};

const CLASS: &str = "partitions/bws.1/classes/44";

fn file(name: &str) -> String {
    pictures::base64(&pictures::file(name))
}

fn encoded(picture: &DynamicImage) -> String {
    pictures::encoded(picture, ImageFormat::Jpeg)
}

#[test]
fn people_who_come_together_are_told_apart() {
    let service = Service::new();
    let (obama, again, speech) = (
        file("obama-portrait"),
        file("obama-white-house"),
        file("obama-speech"),
    );
    let biden = file("biden-portrait");
    let enroll = format!("{CLASS}/enroll");
    service.post(&enroll, json!({ "pictures": [obama] })).json();
    let verify = format!("{CLASS}/verify");
    for path in [&*enroll, &verify, "partitions/bws.1/identify"] {
        for (pictures, other) in [
            (vec![&obama, &biden], 1),
            (vec![&biden, &obama], 1),
            (vec![&obama, &biden, &again], 1),
            (vec![&biden, &again, &obama], 0),
            (vec![&obama, &again, &speech, &biden], 3),
        ] {
            let answer = service.post(path, json!({ "pictures": pictures }));
            let problem = answer.problem(422, "contradicting_samples");
            assert_eq!(problem["sample"], other, "{path}: {problem}");
        }
        let answer = service.post(path, json!({ "pictures": [obama, again, speech] }));
        assert_eq!(answer.status, 200, "{path}");
    }
    let class = service.get(CLASS).json();
    assert_eq!(class["templates"], 3, "the first is known, two were added");
    // A form is no way around it.
    let (obama, biden) = (
        pictures::file("obama-portrait"),
        pictures::file("biden-portrait"),
    );
    let form = Body::form(&[
        ("picture", &obama),
        ("picture", &biden),
        ("replace", b"true"),
    ]);
    service
        .post(&enroll, form)
        .problem(422, "contradicting_samples");
    assert_eq!(service.get(CLASS).json()["templates"], 3);
}

#[test]
fn a_portrait_upside_down_is_the_same_person_and_a_stranger_is_not() {
    let service = Service::new();
    let turned = |name: &str| {
        let picture = pictures::opened(name).to_rgb8();
        encoded(&DynamicImage::from(imageops::rotate180(&picture)))
    };
    let body = json!({ "pictures": [turned("biden-portrait")] });
    let answer = service
        .post("partitions/bws.1/classes/46/enroll", body)
        .json();
    let warnings = &answer["samples"][0]["warnings"];
    assert!(
        warnings
            .as_array()
            .unwrap()
            .contains(&json!("PictureTurned")),
        "{answer}"
    );
    let identify = |picture: String| {
        let body = json!({ "pictures": [picture] });
        let answer = service.post("partitions/bws.1/identify", body).json();
        answer["matches"].as_array().unwrap().len()
    };
    assert_eq!(identify(turned("obama-portrait")), 0);
    assert_eq!(identify(file("obama-portrait")), 0);
    assert_eq!(identify(turned("biden-portrait")), 1);
    assert_eq!(identify(file("biden-portrait")), 1);
}

#[test]
fn nobody_is_enrolled_with_a_picture_that_tells_little() {
    let service = Service::new();
    let natural = pictures::opened("obama-portrait").to_rgb8();
    let mut negative = natural.clone();
    imageops::invert(&mut negative);
    let blurred = imageops::blur(&natural, 14.0);
    let good = file("obama-portrait");
    let enroll = format!("{CLASS}/enroll");
    for (kind, picture) in [("negative", negative), ("blurred", blurred)] {
        let bad = encoded(&DynamicImage::from(picture));
        let answer = service.post(&enroll, json!({ "pictures": [bad] }));
        let problem = answer.problem(422, "poor_quality");
        assert_eq!(problem["sample"], 0, "{kind}: {problem}");
        assert!(
            problem["detail"].as_str().unwrap().contains("at least 0.2"),
            "{kind}: {problem}"
        );
    }
    assert_eq!(service.get(CLASS).status, 404, "nothing was enrolled");
    assert_eq!(
        service.post(&enroll, json!({ "pictures": [good] })).status,
        200
    );
}

#[test]
fn how_alike_new_samples_are_to_their_class_is_told_and_nobody_is_refused() {
    let service = Service::new();
    let enroll = |class: i64, body: serde_json::Value| {
        let path = format!("partitions/other.1/classes/{class}/enroll");
        let answer = service.post(&path, body).json();
        answer["similarity_to_class"].clone()
    };
    let of = |embeddings: &[&[f32]]| json!({ "embeddings": embeddings, "encoder": "test" });
    let (one, two, between) = (axis(0), axis(5), {
        let sum = axis(0).into_iter().zip(axis(5));
        sum.map(|(a, b)| a + b).collect::<Vec<f32>>()
    });
    assert_eq!(enroll(1, of(&[&one])), json!(null));
    assert_eq!(enroll(1, of(&[&one])), json!(1.0));
    // The most alike of all counts, of new ones and of those that are there.
    assert_eq!(enroll(1, of(&[&two])), json!(0.0));
    assert_eq!(enroll(1, of(&[&between, &two])), json!(1.0));
    let half = enroll(2, of(&[&two]));
    assert_eq!(half, json!(null), "another class says nothing");
    let half = enroll(2, of(&[&between])).as_f64().unwrap();
    assert!((half - 0.5_f64.sqrt()).abs() < 1e-6, "{half}");
    // Also where the class is replaced, and not where it was deleted.
    let mut replacing = of(&[&one]);
    replacing["replace"] = json!(true);
    assert!(enroll(2, replacing).as_f64().unwrap() < 0.9);
    service.delete("partitions/other.1/classes/2").json();
    assert_eq!(enroll(2, of(&[&one])), json!(null));
}
