//! Section 1.5, `identify`, and section 6, what it finds.

use serde_json::json;
use vultus::intake::Partitions;
use vultus::types::EncoderId;

use super::facts;
use crate::harness::{Bws, Scene, Service, number, pictures};

facts! {
    Both s1_5_matches_have_score_storage_partition_and_class,
    Json s1_5_the_four_names_come_in_the_known_order,
    Both s1_5_nobody_enrolled_is_no_template_available,
    Json s1_5_success_does_not_say_that_somebody_matched,
    Json s1_5_at_most_20_are_listed_unless_asked,
    Json s1_5_max_results_limits_the_list,
    Json s1_5_max_results_must_be_a_number_in_range,
    Json s6_only_the_partition_of_the_bcid_is_searched,
    Json s6_the_class_of_the_bcid_does_not_matter,
    Json s6_scores_fall_and_lie_between_0_and_1,
    Json s6_a_person_is_listed_once_however_many_templates,
    Json s6_several_samples_are_one_search,
}

fn s1_5_matches_have_score_storage_partition_and_class(scene: &Scene) {
    scene.enroll("{p}.123", pictures::obama());
    let token = scene.ready("bcid={p}.0&task=identify");
    let answer = scene.task(&token, "identify");
    let found = answer.result();
    let score = number(&found["Matches"][0]["Score"]);
    assert!(score > 0.99 && score <= 1.0, "{score}");
    let expected = json!({
        "Success": true,
        "Matches": [{
            "Score": found["Matches"][0]["Score"],
            "Storage": "bws",
            "Partition": scene.partition,
            "ClassID": 123,
        }],
    });
    answer.gives(&expected);
}

fn s1_5_the_four_names_come_in_the_known_order(scene: &Scene) {
    scene.enroll("{p}.123", pictures::obama());
    let token = scene.ready("bcid={p}.0&task=identify");
    let body = scene.task(&token, "identify").body;
    assert!(
        body.starts_with(r#"{"Success":true,"Matches":[{"Score":"#),
        "{body}"
    );
    let rest = format!(
        r#","Storage":"bws","Partition":{},"ClassID":123}}]}}"#,
        scene.partition
    );
    assert!(body.ends_with(&rest), "{body}");
}

fn s1_5_nobody_enrolled_is_no_template_available(scene: &Scene) {
    let token = scene.ready("bcid={p}.0&task=identify");
    let answer = scene.task(&token, "identify");
    answer.gives(&json!({"Success": false, "Error": "NoTemplateAvailable"}));
}

fn s1_5_success_does_not_say_that_somebody_matched(scene: &Scene) {
    scene.enroll("{p}.1", pictures::biden());
    let token = scene.ready("bcid={p}.0&task=identify");
    let found = scene.task(&token, "identify").result();
    assert_eq!(found["Success"], true);
    // No threshold cuts the list.
    assert!(number(&found["Matches"][0]["Score"]) < 0.5, "{found}");
}

fn s1_5_at_most_20_are_listed_unless_asked(scene: &Scene) {
    for class in 1..=21 {
        scene.enroll(&format!("{{p}}.{class}"), pictures::small());
    }
    let token = scene.token("bcid={p}.0&task=identify&maxtries=2");
    for (path, count) in [("identify", 20), ("identify?maxResults=21", 21)] {
        scene.accepted(&token, pictures::small());
        let found = scene.task(&token, path).result();
        assert_eq!(found["Matches"].as_array().unwrap().len(), count, "{path}");
    }
}

fn s1_5_max_results_limits_the_list(scene: &Scene) {
    for (class, picture) in [(1, pictures::obama()), (2, pictures::biden())] {
        scene.enroll(&format!("{{p}}.{class}"), picture);
    }
    let token = scene.ready("bcid={p}.0&task=identify");
    let found = scene.task(&token, "identify?maxResults=1").result();
    let matches = found["Matches"].as_array().unwrap();
    assert_eq!((matches.len(), &matches[0]["ClassID"]), (1, &json!(1)));
}

fn s1_5_max_results_must_be_a_number_in_range(scene: &Scene) {
    scene.enroll("{p}.1", pictures::obama());
    let token = scene.ready("bcid={p}.0&task=identify&maxtries=1");
    for bad in ["0", "-1", "1001", "all", "2.5", "99999999999999999999"] {
        let answer = scene.task(&token, &format!("identify?maxResults={bad}"));
        answer.refuses(400, "maxResults");
        answer.refuses(400, "from 1 to 1000");
    }
    assert_eq!(
        scene.task(&token, "identify?maxResults=1000").result()["Success"],
        true
    );
}

fn s6_only_the_partition_of_the_bcid_is_searched(scene: &Scene) {
    scene.enroll("{p}.1", pictures::obama());
    let elsewhere = scene.partition + 100_000;
    let token = scene.ready(&format!("bcid=bws.{elsewhere}.1&task=identify"));
    let answer = scene.task(&token, "identify");
    answer.gives(&json!({"Success": false, "Error": "NoTemplateAvailable"}));
}

fn s6_the_class_of_the_bcid_does_not_matter(scene: &Scene) {
    scene.enroll("{p}.7", pictures::obama());
    for class in [0, 7, -55] {
        let token = scene.ready(&format!("bcid={{p}}.{class}&task=identify"));
        let found = scene.task(&token, "identify").result();
        assert_eq!(found["Matches"][0]["ClassID"], 7, "{class}");
    }
}

fn s6_scores_fall_and_lie_between_0_and_1(scene: &Scene) {
    for (class, picture) in [
        (1, pictures::biden()),
        (2, pictures::obama_again()),
        (3, pictures::obama()),
    ] {
        scene.enroll(&format!("{{p}}.{class}"), picture);
    }
    let token = scene.ready("bcid={p}.0&task=identify");
    let found = scene.task(&token, "identify").result();
    let matches = found["Matches"].as_array().unwrap();
    let classes: Vec<i64> = matches
        .iter()
        .map(|one| one["ClassID"].as_i64().unwrap())
        .collect();
    assert_eq!(classes, [3, 2, 1]);
    let scores: Vec<f64> = matches.iter().map(|one| number(&one["Score"])).collect();
    assert!(scores.is_sorted_by(|one, next| one > next), "{scores:?}");
    assert!(
        scores.iter().all(|score| (0.0..=1.0).contains(score)),
        "{scores:?}"
    );
}

fn s6_a_person_is_listed_once_however_many_templates(scene: &Scene) {
    for picture in [
        pictures::obama(),
        pictures::obama_again(),
        pictures::small(),
    ] {
        scene.enroll("{p}.1", picture);
    }
    let token = scene.ready("bcid={p}.0&task=identify");
    let found = scene.task(&token, "identify").result();
    assert_eq!(found["Matches"].as_array().unwrap().len(), 1);
}

fn s6_several_samples_are_one_search(scene: &Scene) {
    scene.enroll("{p}.1", pictures::obama());
    scene.enroll("{p}.2", pictures::biden());
    let token = scene.token("bcid={p}.0&task=identify&maxtries=1");
    scene.accepted(&token, pictures::obama());
    scene.accepted(&token, pictures::obama_again());
    let found = scene.task(&token, "identify").result();
    assert_eq!(found["Matches"][0]["ClassID"], 1);
    assert_eq!(found["Matches"].as_array().unwrap().len(), 2);
}

#[test]
fn s1_5_a_thousand_are_listed_if_there_are_more() {
    let service = Service::new();
    service.enroll_crowd(
        "bws.1",
        &EncoderId::new("sface", "2021dec", 128).unwrap(),
        1001,
    );
    let token = service.token("bcid=bws.1.0&task=identify");
    for (path, count) in [
        ("identify", 20),
        ("identify?maxResults=999", 999),
        ("identify?maxResults=1000", 1000),
    ] {
        service.accepted(&token, pictures::obama());
        let found = service.task(&token, path).result();
        assert_eq!(found["Matches"].as_array().unwrap().len(), count, "{path}");
    }
}

/// Not of the old service: who is asked for by rate, or cut by the operator.
#[test]
fn lists_are_cut_where_the_operator_or_the_call_wants_it() {
    let service = Service::with(|settings| {
        let cut = ["bws.2".parse().unwrap()];
        settings.bws_lists_cut = Partitions::Only(cut.into());
    });
    for partition in [1, 2] {
        service.enroll(&format!("bws.{partition}.1"), pictures::obama());
        service.enroll(&format!("bws.{partition}.2"), pictures::biden());
    }
    let listed = |partition: i32, path: &str| {
        let token = service.ready(&format!("bcid=bws.{partition}.0&task=identify"));
        let found = service.task(&token, path).result();
        assert_eq!(found["Success"], true);
        found["Matches"].as_array().unwrap().len()
    };
    for (partition, path, count) in [
        (1, "identify", 2),
        (2, "identify", 1),
        (1, "identify?targetFPIR=0.001", 1),
        (1, "identify?targetfpir=30", 1),
    ] {
        assert_eq!(listed(partition, path), count, "{partition} {path}");
    }
    // A stranger is nobody there: a success without matches.
    service.enroll("bws.3.1", pictures::biden());
    let token = service.ready("bcid=bws.3.0&task=identify&maxtries=3");
    for bad in ["0", "1", "-3", "NaN", "often", "101"] {
        let answer = service.task(&token, &format!("identify?targetFPIR={bad}"));
        answer.refuses(400, "targetFPIR");
    }
    let found = service.task(&token, "identify?targetFPIR=0.001").result();
    assert_eq!(found, json!({"Success": true, "Matches": []}));
    let all = Service::with(|settings| settings.bws_lists_cut = Partitions::All);
    all.enroll("bws.7.1", pictures::biden());
    let token = all.ready("bcid=bws.7.0&task=identify");
    let found = all.task(&token, "identify").result();
    assert_eq!(found, json!({"Success": true, "Matches": []}));
}
