//! Section 1.6, `livenessdetection`, and section 5, what liveness means to all tasks.

use serde_json::{Value, json};

use super::claims::payload;
use super::facts;
use crate::harness::{Bws, Scene, pictures};

facts! {
    Both s1_6_a_moving_head_is_a_success,
    Both s1_6_a_still_picture_is_live_detection_failed,
    Json s1_6_without_samples_it_is_400,
    Json s1_6_without_tries_it_is_403,
    Json s1_3_a_token_without_liveness_demands_it_if_the_call_does,
    Json s1_3_a_call_cannot_do_without_what_its_token_demands,
    Json s1_3_a_failed_enrolment_enrols_nobody,
    Json s5_one_sample_never_passes,
    Json s5_two_people_never_pass,
    Json s5_samples_are_gone_whatever_comes_of_it,
    Json s5_a_failure_is_a_try,
    Json s5_more_than_two_samples_may_pass,
    Both s5_a_wrong_movement_is_challenge_response_failed,
    Json s5_the_demanded_movements_pass,
    Json s5_one_word_of_several_in_a_tag_is_enough,
    Json s5_any_demands_nothing,
    Json s5_samples_are_ordered_by_index,
    Json s7_1_the_tag_of_the_lowest_index_is_ignored,
    Json s7_1_of_one_index_the_newest_counts,
    Json s7_1_not_enough_samples_is_never_said,
    Json s7_1_a_task_call_clears_the_store_with_200,
}

const TASKS: [&str; 4] = ["enroll", "verify", "identify", "livenessdetection"];

fn failed() -> Value {
    json!({"Success": false, "Error": "LiveDetectionFailed"})
}

/// A token for a task that demands liveness.
fn live_token(scene: &Scene, task: &str) -> String {
    scene.token(&format!("bcid={{p}}.1&task={task}&livedetection=true"))
}

fn s1_6_a_moving_head_is_a_success(scene: &Scene) {
    let token = live_token(scene, "livenessdetection");
    scene.accepted(&token, pictures::obama());
    scene.accepted(&token, pictures::obama_again());
    let answer = scene.task(&token, "livenessdetection");
    answer.gives(&json!({"Success": true}));
}

fn s1_6_a_still_picture_is_live_detection_failed(scene: &Scene) {
    let token = live_token(scene, "livenessdetection");
    scene.accepted(&token, pictures::obama());
    scene.accepted(&token, pictures::obama());
    scene.task(&token, "livenessdetection").gives(&failed());
}

fn s1_6_without_samples_it_is_400(scene: &Scene) {
    let token = live_token(scene, "livenessdetection");
    let answer = scene.task(&token, "livenessdetection");
    answer.refuses(400, "no samples");
}

fn s1_6_without_tries_it_is_403(scene: &Scene) {
    let token = scene.ready("task=livenessdetection&maxtries=1");
    scene.task(&token, "livenessdetection").gives(&failed());
    scene.accepted(&token, pictures::obama());
    let answer = scene.task(&token, "livenessdetection");
    answer.refuses(403, "attempts");
}

fn s1_3_a_token_without_liveness_demands_it_if_the_call_does(scene: &Scene) {
    for task in ["enroll", "verify", "identify"] {
        let token = scene.ready(&format!("bcid={{p}}.1&task={task}"));
        let path = format!("{task}?livedetection=true");
        scene.task(&token, &path).gives(&failed());
    }
}

fn s1_3_a_call_cannot_do_without_what_its_token_demands(scene: &Scene) {
    for task in ["enroll", "verify", "identify"] {
        let token = live_token(scene, task);
        scene.accepted(&token, pictures::obama());
        let path = format!("{task}?livedetection=false");
        scene.task(&token, &path).gives(&failed());
    }
}

fn s1_3_a_failed_enrolment_enrols_nobody(scene: &Scene) {
    let token = live_token(scene, "enroll");
    scene.accepted(&token, pictures::obama());
    scene.task(&token, "enroll").gives(&failed());
    assert!(!scene.is_enrolled("{p}.1"));
    scene.accepted(&token, pictures::obama());
    scene.accepted(&token, pictures::obama_again());
    scene
        .task(&token, "enroll")
        .gives(&json!({"Success": true}));
    assert!(scene.is_enrolled("{p}.1"));
}

fn s5_one_sample_never_passes(scene: &Scene) {
    for task in TASKS {
        let token = live_token(scene, task);
        scene.accepted(&token, pictures::obama());
        scene.task(&token, task).gives(&failed());
    }
}

fn s5_two_people_never_pass(scene: &Scene) {
    let token = live_token(scene, "livenessdetection");
    scene.accepted(&token, pictures::obama());
    scene.accepted(&token, pictures::biden());
    scene.task(&token, "livenessdetection").gives(&failed());
}

fn s5_samples_are_gone_whatever_comes_of_it(scene: &Scene) {
    for task in TASKS {
        let token = live_token(scene, task);
        scene.accepted(&token, pictures::obama());
        assert_eq!(scene.task(&token, task).status, 200, "{task}");
        scene.task(&token, task).refuses(400, "no samples");
    }
}

fn s5_a_failure_is_a_try(scene: &Scene) {
    for task in TASKS {
        let token = scene.token(&format!(
            "bcid={{p}}.1&task={task}&livedetection=true&maxtries=2"
        ));
        for _ in 0..2 {
            scene.accepted(&token, pictures::obama());
            scene.task(&token, task).gives(&failed());
        }
        scene.accepted(&token, pictures::obama());
        scene.task(&token, task).refuses(403, "attempts");
    }
}

fn s5_more_than_two_samples_may_pass(scene: &Scene) {
    let token = live_token(scene, "enroll");
    for (index, picture) in [
        pictures::obama(),
        pictures::obama_left(),
        pictures::obama_again(),
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("upload?tag=any&index={index}");
        assert_eq!(scene.upload_to(&token, &path, picture).status, 200);
    }
    scene
        .task(&token, "enroll")
        .gives(&json!({"Success": true}));
}

/// A token whose only sequence is left and right.
fn challenge(scene: &Scene) -> String {
    loop {
        let query = "task=livenessdetection&challenge=true&challenges=2&maxtries=1";
        let token = scene.token(query);
        if payload(&token)["challenge"] == r#"[["left","right"]]"# {
            return token;
        }
    }
}

/// Uploads to a challenge, as `index`, `tag` and picture, and returns what came of the task.
#[track_caller]
fn outcome(scene: &Scene, samples: &[(i32, &str, &str)]) -> Value {
    let token = challenge(scene);
    for (index, tag, picture) in samples {
        let path = format!("upload?index={index}&tag={}", tag.replace(' ', "%20"));
        let answer = scene.upload_to(&token, &path, picture);
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let answer = scene.task(&token, "livenessdetection");
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.result()
}

fn passed() -> Value {
    json!({"Success": true})
}

fn s5_a_wrong_movement_is_challenge_response_failed(scene: &Scene) {
    let token = challenge(scene);
    for (index, tag, picture) in [
        (1, "any", pictures::obama()),
        (2, "right", pictures::obama_left()),
        (3, "left", pictures::obama_again()),
    ] {
        let path = format!("upload?index={index}&tag={tag}");
        assert_eq!(scene.upload_to(&token, &path, picture).status, 200);
    }
    let answer = scene.task(&token, "livenessdetection");
    answer.gives(&json!({"Success": false, "Error": "ChallengeResponseFailed"}));
}

fn s5_the_demanded_movements_pass(scene: &Scene) {
    let samples = [
        (1, "any", pictures::obama()),
        (2, "left", pictures::obama_left()),
        (3, "right", pictures::obama_again()),
    ];
    assert_eq!(outcome(scene, &samples), passed());
}

fn s5_one_word_of_several_in_a_tag_is_enough(scene: &Scene) {
    let samples = [
        (1, "any", pictures::obama()),
        (2, "left right", pictures::obama_left()),
        (3, "left right", pictures::obama_again()),
    ];
    assert_eq!(outcome(scene, &samples), passed());
}

fn s5_any_demands_nothing(scene: &Scene) {
    let samples = [
        (1, "any", pictures::obama()),
        (2, "any", pictures::obama_left()),
        (3, "any", pictures::obama_again()),
    ];
    assert_eq!(outcome(scene, &samples), passed());
}

fn s5_samples_are_ordered_by_index(scene: &Scene) {
    let samples = [
        (3, "right", pictures::obama_again()),
        (1, "any", pictures::obama()),
        (2, "left", pictures::obama_left()),
    ];
    assert_eq!(outcome(scene, &samples), passed());
}

fn s7_1_the_tag_of_the_lowest_index_is_ignored(scene: &Scene) {
    let samples = [
        (1, "up", pictures::obama()),
        (2, "left", pictures::obama_left()),
        (3, "right", pictures::obama_again()),
    ];
    assert_eq!(outcome(scene, &samples), passed());
}

fn s7_1_of_one_index_the_newest_counts(scene: &Scene) {
    let samples = [
        (1, "any", pictures::obama()),
        (2, "left", pictures::obama_right()),
        (2, "left", pictures::obama_left()),
        (3, "right", pictures::obama_again()),
    ];
    assert_eq!(outcome(scene, &samples), passed());
}

fn s7_1_not_enough_samples_is_never_said(scene: &Scene) {
    let one = [(1, "any", pictures::obama())];
    assert_eq!(outcome(scene, &one), failed());
    let two = [
        (1, "any", pictures::obama()),
        (2, "left", pictures::obama_left()),
    ];
    let expected = json!({"Success": false, "Error": "ChallengeResponseFailed"});
    assert_eq!(outcome(scene, &two), expected);
}

fn s7_1_a_task_call_clears_the_store_with_200(scene: &Scene) {
    // The first picture is accepted, the second is not; the page wants the first one gone.
    let token = live_token(scene, "verify");
    scene.accepted(&token, pictures::obama());
    scene.upload(&token, pictures::nobody());
    scene.task(&token, "verify").gives(&failed());
    scene.task(&token, "verify").refuses(400, "no samples");
}
