//! Section 1.12, `status`.

use super::door::Who;
use super::{Call, Scene, facts};

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
    assert!(!status["Label"].as_str().unwrap().is_empty());
}

fn s1_12_each_feature_has_name_traits_storage_and_partitions(scene: &Scene) {
    let status = scene.ask("GET", "status").result();
    let known = [
        "QualityCheck",
        "LiveDetection",
        "Enrollment",
        "Verification",
        "Identification",
        "PhotoVerify",
    ];
    let features = status["Features"].as_array().unwrap();
    assert!(!features.is_empty());
    for feature in features {
        let name = feature["Name"].as_str().unwrap();
        assert!(known.contains(&name), "{name}");
        for member in ["Traits", "Storage", "Partitions"] {
            let value = &feature[member];
            assert!(value.is_string() || value.is_null(), "{member} is {value}");
        }
    }
    for name in ["Enrollment", "Verification", "Identification"] {
        let feature = features
            .iter()
            .find(|feature| feature["Name"] == name)
            .unwrap();
        assert_eq!(feature["Storage"], "bws");
        assert!(feature["Partitions"].is_null());
    }
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
