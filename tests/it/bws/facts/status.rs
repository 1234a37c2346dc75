//! Section 1.12, `status`.

use serde_json::{Value, json};

use super::facts;
use crate::harness::{Bws, Call, Door, Scene, Who};

facts! {
    Both s1_12_version_is_a_decimal_number,
    Both s1_12_each_feature_has_name_traits_storage_and_partitions,
    Both s1_12_partitions_are_those_the_app_may_use,
    Both s1_12_without_credentials_it_is_401,
}

fn s1_12_version_is_a_decimal_number(scene: &Scene) {
    let status = scene.ask("GET", "status").result();
    let version = status["Version"].as_str().unwrap();
    assert!(version.parse::<f64>().is_ok(), "{version}");
    let label = status["Label"].as_str().unwrap();
    assert!(label.starts_with("Vultus "), "{label}");
}

fn s1_12_each_feature_has_name_traits_storage_and_partitions(scene: &Scene) {
    let answer = scene.ask("GET", "status");
    let status = answer.result();
    let expected = [
        ("QualityCheck", Value::Null),
        ("LiveDetection", Value::Null),
        ("Enrollment", "bws".into()),
        ("Verification", "bws".into()),
        ("Identification", "bws".into()),
        ("PhotoVerify", Value::Null),
    ]
    .map(|(name, storage)| {
        json!({"Name": name, "Traits": "Face", "Storage": storage, "Partitions": null})
    });
    answer.gives(&json!({
        "Version": status["Version"],
        "Label": status["Label"],
        "Features": expected,
    }));
}

fn s1_12_partitions_are_those_the_app_may_use(scene: &Scene) {
    let status = scene.ask_as(Who::Narrow, "GET", "status").result();
    let features = status["Features"].as_array().unwrap();
    let feature = features
        .iter()
        .find(|feature| feature["Name"] == "Enrollment")
        .unwrap();
    assert_eq!(
        (&feature["Storage"], &feature["Partitions"]),
        (&"bws".into(), &"5".into())
    );
}

fn s1_12_without_credentials_it_is_401(scene: &Scene) {
    scene.send(Call::new("GET", "status")).refuses(401, "Basic");
}
