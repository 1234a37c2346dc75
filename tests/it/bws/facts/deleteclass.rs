//! Section 1.10, `deleteclass`.

use serde_json::json;

use super::facts;
use crate::harness::{Bws, Call, Door, Scene, pictures};

facts! {
    Both s1_10_all_data_of_the_class_is_removed,
    Json s1_10_other_classes_stay,
    Json s1_10_an_unknown_class_is_200,
    Both s1_10_an_invalid_bcid_is_400,
    Both s1_10_without_credentials_it_is_401,
    Both s1_10_a_foreign_class_is_403,
}

fn s1_10_all_data_of_the_class_is_removed(scene: &Scene) {
    scene.enroll("{p}.1", pictures::obama());
    scene.enroll("{p}.1", pictures::obama_again());
    scene.ask("DELETE", "deleteclass?bcid={p}.1").is_empty(200);
    assert!(!scene.is_enrolled("{p}.1"));
    let token = scene.ready("bcid={p}.0&task=identify");
    let answer = scene.task(&token, "identify");
    answer.gives(&json!({"Success": false, "Error": "NoTemplateAvailable"}));
}

fn s1_10_other_classes_stay(scene: &Scene) {
    scene.enroll("{p}.1", pictures::obama());
    scene.enroll("{p}.2", pictures::biden());
    scene.ask("DELETE", "deleteclass?bcid={p}.1").is_empty(200);
    assert!(scene.is_enrolled("{p}.2"));
    let token = scene.ready("bcid={p}.0&task=identify");
    let found = scene.task(&token, "identify").result();
    assert_eq!(found["Matches"].as_array().unwrap().len(), 1);
    assert_eq!(found["Matches"][0]["ClassID"], 2);
}

fn s1_10_an_unknown_class_is_200(scene: &Scene) {
    for _ in 0..2 {
        scene
            .ask("DELETE", "deleteclass?bcid={p}.404")
            .is_empty(200);
    }
}

fn s1_10_an_invalid_bcid_is_400(scene: &Scene) {
    scene.ask("DELETE", "deleteclass").refuses(400, "bcid");
    for bcid in ["bws", "bws.1", "{p}.x", "{p}.1.1", ".."] {
        scene
            .ask("DELETE", &format!("deleteclass?bcid={bcid}"))
            .refuses(400, "BCID");
    }
}

fn s1_10_without_credentials_it_is_401(scene: &Scene) {
    scene.enroll("{p}.1", pictures::obama());
    scene
        .send(Call::new("DELETE", "deleteclass?bcid={p}.1"))
        .refuses(401, "Basic");
    assert!(scene.is_enrolled("{p}.1"));
}

fn s1_10_a_foreign_class_is_403(scene: &Scene) {
    scene
        .ask("DELETE", "deleteclass?bcid=other.1.1")
        .refuses(403, "other.1.1");
}
