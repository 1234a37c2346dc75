//! Section 1.3, `enroll`, and what section 1.7 says of all task calls.

use serde_json::json;
use vultus::intake::OnDuplicate;

use super::facts;
use crate::harness::{Bws, Scene, Service, pictures};

facts! {
    Both s1_3_one_sample_is_enough_without_liveness,
    Json s1_3_several_samples_are_enrolled_together,
    Json s1_3_a_class_can_be_enrolled_again,
    Both s5_samples_of_two_people_are_of_no_live_person,
    Json s1_3_nobody_is_enrolled_with_pictures_that_tell_little,
    Both s1_7_without_samples_it_is_400,
    Both s1_7_without_tries_it_is_403,
    Both s1_7_without_a_token_it_is_401,
    Json s1_7_a_boolean_must_be_one,
}

fn s1_3_one_sample_is_enough_without_liveness(scene: &Scene) {
    let token = scene.ready("bcid={p}.1&task=enroll");
    scene
        .task(&token, "enroll")
        .gives(&json!({"Success": true}));
    assert!(scene.is_enrolled("{p}.1"));
}

fn s1_3_several_samples_are_enrolled_together(scene: &Scene) {
    let token = scene.token("bcid={p}.1&task=enroll");
    scene.accepted(&token, pictures::obama());
    scene.accepted(&token, pictures::obama_again());
    scene
        .task(&token, "enroll")
        .gives(&json!({"Success": true}));
    // Each is found with a perfect score.
    for picture in [pictures::obama(), pictures::obama_again()] {
        let token = scene.token("bcid={p}.0&task=identify");
        scene.accepted(&token, picture);
        let found = scene.task(&token, "identify").result();
        assert!(
            found["Matches"][0]["Score"].as_f64().unwrap() > 0.99,
            "{found}"
        );
    }
}

fn s1_3_a_class_can_be_enrolled_again(scene: &Scene) {
    for _ in 0..2 {
        scene.enroll("{p}.1", pictures::obama());
    }
    let token = scene.ready("bcid={p}.0&task=identify");
    let found = scene.task(&token, "identify").result();
    assert_eq!(found["Matches"].as_array().unwrap().len(), 1);
}

fn s5_samples_of_two_people_are_of_no_live_person(scene: &Scene) {
    scene.enroll("{p}.1", pictures::obama());
    for task in ["enroll", "verify", "identify"] {
        for people in [
            &[pictures::obama(), pictures::biden()][..],
            &[
                pictures::biden(),
                pictures::obama_again(),
                pictures::biden(),
            ],
        ] {
            let token = scene.token(&format!("bcid={{p}}.1&task={task}"));
            for picture in people {
                scene.accepted(&token, picture);
            }
            scene
                .task(&token, task)
                .gives(&json!({"Success": false, "Error": "LiveDetectionFailed"}));
        }
    }
    // Nothing of it was enrolled.
    let token = scene.token("bcid={p}.1");
    scene.accepted(&token, pictures::biden());
    scene
        .task(&token, "verify")
        .gives(&json!({"Success": false}));
}

fn s1_3_nobody_is_enrolled_with_pictures_that_tell_little(scene: &Scene) {
    let token = scene.token("bcid={p}.2&task=enroll");
    let answer = scene.upload(&token, pictures::negative()).result();
    assert!(
        !answer["Warnings"].as_array().unwrap().is_empty(),
        "{answer}"
    );
    scene
        .task(&token, "enroll")
        .gives(&json!({"Success": false, "Error": "LiveDetectionFailed"}));
    assert!(!scene.is_enrolled("{p}.2"));
}

fn s1_7_without_samples_it_is_400(scene: &Scene) {
    for task in ["enroll", "verify", "identify"] {
        let token = scene.token(&format!("bcid={{p}}.1&task={task}"));
        scene.task(&token, task).refuses(400, "no samples");
    }
}

fn s1_7_without_tries_it_is_403(scene: &Scene) {
    for task in ["enroll", "verify", "identify"] {
        let token = scene.ready(&format!("bcid={{p}}.1&task={task}&maxtries=1"));
        assert_eq!(scene.task(&token, task).status, 200);
        scene.accepted(&token, pictures::obama());
        scene.task(&token, task).refuses(403, "attempts");
    }
}

fn s1_7_without_a_token_it_is_401(scene: &Scene) {
    for task in ["enroll", "verify", "identify"] {
        scene.task("", task).refuses(401, "");
        scene.task("a.b.c", task).refuses(401, "");
    }
}

fn s1_7_a_boolean_must_be_one(scene: &Scene) {
    for task in ["enroll", "verify", "identify"] {
        let token = scene.ready(&format!("bcid={{p}}.1&task={task}&maxtries=1"));
        scene
            .task(&token, &format!("{task}?livedetection=perhaps"))
            .refuses(400, "livedetection");
        // Neither the sample nor the try is lost.
        assert_eq!(scene.task(&token, task).status, 200, "{task}");
    }
}

/// Not of the old service, which has no word for it.
#[test]
fn a_person_who_is_here_as_somebody_else_is_refused_if_the_operator_wants_it() {
    for (action, success) in [
        (OnDuplicate::Off, true),
        (OnDuplicate::Warn, true),
        (OnDuplicate::Refuse, false),
    ] {
        let service = Service::with(|settings| settings.duplicates.action = action);
        service.enroll("bws.1.1", pictures::obama());
        let token = service.token("bcid=bws.1.2&task=enroll");
        service.accepted(&token, pictures::obama_again());
        let answer = service.task(&token, "enroll").result();
        assert_eq!(answer["Success"], success, "{action}: {answer}");
        assert_eq!(service.is_enrolled("bws.1.2"), success, "{action}");
        if !success {
            assert_eq!(answer["Error"], "LiveDetectionFailed");
        }
        service.enroll("bws.1.1", pictures::obama_again());
        service.enroll("bws.1.3", pictures::biden());
    }
}
