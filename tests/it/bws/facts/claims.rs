//! Section 2, class ids, and section 3, the token.

use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde_json::{Value, json};

use super::facts;
use crate::harness::{Bws, Door, NARROW_NAME, Scene, Service, Who, pictures};

facts! {
    Json s2_parts_are_separated_by_dots_slashes_or_colons,
    Json s2_class_ids_are_signed_numbers_of_32_bits,
    Json s2_a_partition_and_a_class_come_with_the_first_enrolment,
    Json s3_the_header_is_that_of_a_signed_token,
    Json s3_every_claim_is_there,
    Json s3_a_token_lives_for_ten_minutes,
    Clock s3_a_token_expires,
    Json s3_the_task_is_a_sum_of_flags,
    Json s3_a_challenge_is_a_text_with_one_list_for_each_try,
    Json s3_directions_never_follow_themselves,
    Json s3_claims_can_be_read_as_plain_base64,
    Json s3_the_name_of_an_app_may_have_any_letters,
    Json s3_a_success_does_not_end_a_token,
    Json s3_a_call_without_samples_is_no_try,
    Json s3_a_token_for_another_task_is_403_and_costs_nothing,
    Json s7_1_a_token_can_stand_in_an_address,
}

/// What a token says, read as a page reads it.
pub(super) fn payload(token: &str) -> Value {
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64_STANDARD_NO_PAD.decode(part).unwrap()).unwrap()
}

fn s2_parts_are_separated_by_dots_slashes_or_colons(scene: &Scene) {
    let slashes = format!("bws/{}/7", scene.partition);
    for bcid in [
        format!("bws.{}.7", scene.partition),
        slashes.clone(),
        format!("bws:{}:7", scene.partition),
        format!("urn:bcid:bws.{}.7", scene.partition),
        format!("urn%3Abcid%3Abws%2F{}%2F7", scene.partition),
        format!("bws%2f{}%2f7", scene.partition),
    ] {
        let claims = payload(&scene.token(&format!("bcid={bcid}")));
        assert_eq!(claims["bcid"], slashes, "{bcid}");
        scene
            .ask("DELETE", &format!("deleteclass?bcid={bcid}"))
            .is_empty(200);
    }
}

fn s2_class_ids_are_signed_numbers_of_32_bits(scene: &Scene) {
    for class in [i32::MIN, -987, 0, i32::MAX] {
        let claims = payload(&scene.token(&format!("bcid={{p}}.{class}")));
        let expected = format!("bws/{}/{class}", scene.partition);
        assert_eq!(claims["bcid"], expected);
    }
    for class in [
        "2147483648",
        "-2147483649",
        "99999999999999999999",
        "1e3",
        "0x1",
        "",
    ] {
        scene
            .ask_token(&format!("bcid={{p}}.{class}"))
            .refuses(400, "BCID");
    }
    scene.enroll("{p}.-987", pictures::obama());
    let token = scene.ready("bcid={p}.0&task=identify");
    let found = scene.task(&token, "identify").result();
    assert_eq!(found["Matches"][0]["ClassID"], -987);
}

fn s2_a_partition_and_a_class_come_with_the_first_enrolment(scene: &Scene) {
    assert!(!scene.is_enrolled("{p}.1"));
    scene.enroll("{p}.1", pictures::obama());
    assert!(scene.is_enrolled("{p}.1"));
    assert!(!scene.is_enrolled("{p}.2"));
}

fn s3_the_header_is_that_of_a_signed_token(scene: &Scene) {
    let token = scene.token("bcid={p}.1");
    let header = BASE64_URL_SAFE_NO_PAD
        .decode(token.split('.').next().unwrap())
        .unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    assert_eq!(
        (&header["typ"], &header["alg"]),
        (&json!("JWT"), &json!("HS256"))
    );
}

fn s3_every_claim_is_there(scene: &Scene) {
    let claims = payload(&scene.token("bcid={p}.-5&task=enroll"));
    let text = |name: &str| claims[name].as_str().unwrap().to_owned();
    assert_eq!(text("tokenid").len(), 36);
    assert!(!text("clnt").is_empty());
    assert_eq!(text("app"), scene.credentials(Who::Main).id);
    assert_eq!(text("bcid"), format!("bws/{}/-5", scene.partition));
    assert_eq!(claims["task"], 0x23);
    // One mobile client cannot do without.
    assert_eq!(claims["traits"], 1);
    assert_eq!(text("iss"), "BWS");
    assert_eq!(text("aud"), scene.public_url());
}

fn s3_a_token_lives_for_ten_minutes(scene: &Scene) {
    let claims = payload(&scene.token("bcid={p}.1"));
    let seconds = |name: &str| claims[name].as_i64().unwrap();
    assert_eq!(seconds("exp") - seconds("nbf"), 600);
}

fn s3_a_token_expires(scene: &Scene) {
    let token = scene.ready("bcid={p}.1&task=enroll");
    scene.advance(599);
    scene.accepted(&token, pictures::obama());
    scene.advance(1);
    scene
        .upload(&token, pictures::obama())
        .refuses(401, "expired");
    scene.task(&token, "enroll").refuses(401, "expired");
    assert!(!scene.is_enrolled("{p}.1"));
}

fn s3_the_task_is_a_sum_of_flags(scene: &Scene) {
    for (query, flags) in [
        // Two of the tokens that the reference has decoded.
        ("bcid={p}.1&livedetection=true", 259),
        ("bcid={p}.1&livedetection=true&task=enroll", 291),
        ("bcid={p}.1&maxtries=1&task=identify", 0x11),
        (
            "bcid={p}.1&livedetection=true&challenge=true&maxtries=15&task=enroll",
            0x32f,
        ),
        ("bcid={p}.1&livedetection=true&autoenroll=true", 0x1103),
        ("task=livenessdetection&challenge=true&maxtries=2", 0x382),
    ] {
        assert_eq!(payload(&scene.token(query))["task"], flags, "{query}");
    }
}

fn sequences(scene: &Scene, tries: usize, length: usize) -> Vec<Vec<String>> {
    let query = format!(
        "bcid={{p}}.1&livedetection=true&challenge=true&maxtries={tries}&challenges={length}"
    );
    let claims = payload(&scene.token(&query));
    // A text, in which there is JSON.
    serde_json::from_str(claims["challenge"].as_str().unwrap()).unwrap()
}

fn s3_a_challenge_is_a_text_with_one_list_for_each_try(scene: &Scene) {
    for (tries, length) in [(1, 2), (3, 3), (15, 7)] {
        let sequences = sequences(scene, tries, length);
        assert_eq!(sequences.len(), tries);
        for sequence in sequences {
            assert_eq!(sequence.len(), length);
            let known = |word: &String| ["up", "down", "left", "right"].contains(&&word[..]);
            assert!(sequence.iter().all(known), "{sequence:?}");
        }
    }
}

fn s3_directions_never_follow_themselves(scene: &Scene) {
    for sequence in sequences(scene, 15, 7) {
        assert!(
            sequence.windows(2).all(|pair| pair[0] != pair[1]),
            "{sequence:?}"
        );
    }
}

fn s3_claims_can_be_read_as_plain_base64(scene: &Scene) {
    for class in 0..20 {
        let query = format!("bcid={{p}}.{class}&livedetection=true&challenge=true&maxtries=15");
        let token = scene.token(&query);
        let part = token.split('.').nth(1).unwrap();
        assert!(!part.contains(['-', '_', '+', '/', '=']), "{part}");
        assert!(BASE64_STANDARD_NO_PAD.decode(part).unwrap().is_ascii());
    }
}

fn s3_the_name_of_an_app_may_have_any_letters(scene: &Scene) {
    let id = scene.credentials(Who::Narrow).id;
    let query = format!("token?id={id}&bcid=bws.5.1");
    let token = scene.ask_as(Who::Narrow, "GET", &query).body;
    let part = token.split('.').nth(1).unwrap();
    assert!(!part.contains(['-', '_', '+', '/', '=']), "{part}");
    assert!(BASE64_STANDARD_NO_PAD.decode(part).unwrap().is_ascii());
    assert_eq!(payload(&token)["clnt"], NARROW_NAME);
}

fn s3_a_success_does_not_end_a_token(scene: &Scene) {
    let token = scene.token("bcid={p}.1&task=enroll&maxtries=2");
    for _ in 0..2 {
        scene.accepted(&token, pictures::obama());
        scene
            .task(&token, "enroll")
            .gives(&json!({"Success": true}));
    }
    scene.accepted(&token, pictures::obama());
    scene.task(&token, "enroll").refuses(403, "attempts");
}

fn s3_a_call_without_samples_is_no_try(scene: &Scene) {
    let token = scene.token("bcid={p}.1&task=enroll&maxtries=1");
    for _ in 0..3 {
        scene.task(&token, "enroll").refuses(400, "no samples");
    }
    scene.accepted(&token, pictures::obama());
    scene
        .task(&token, "enroll")
        .gives(&json!({"Success": true}));
    // Used up: it says so, with and without samples.
    scene.task(&token, "enroll").refuses(403, "attempts");
}

fn s3_a_token_for_another_task_is_403_and_costs_nothing(scene: &Scene) {
    const TASKS: [&str; 4] = ["enroll", "verify", "identify", "livenessdetection"];
    for task in TASKS {
        let token = scene.ready(&format!("bcid={{p}}.1&task={task}&maxtries=1"));
        for other in TASKS.into_iter().filter(|other| *other != task) {
            let words = format!("`{task}`, not `{other}`");
            scene.task(&token, other).refuses(403, &words);
        }
        assert_eq!(scene.task(&token, task).status, 200, "{task}");
    }
}

#[test]
fn s3_samples_end_with_their_token() {
    let service = Service::new();
    service.ready("bcid=bws.1.1&task=enroll");
    service.advance(599);
    service.state.samples().sweep(service.clock.now());
    assert_eq!(service.state.samples().len(), 1);
    service.advance(1);
    service.state.samples().sweep(service.clock.now());
    assert!(service.state.samples().is_empty());
}

#[test]
fn s3_tries_are_counted_beyond_a_restart() {
    let mut service = Service::new();
    let token = service.token("bcid=bws.1.1&task=identify&maxtries=2");
    for _ in 0..2 {
        service.accepted(&token, pictures::obama());
        assert_eq!(service.task(&token, "identify").status, 200);
        service.restart();
    }
    service.accepted(&token, pictures::obama());
    service.task(&token, "identify").refuses(403, "attempts");
}

fn s7_1_a_token_can_stand_in_an_address(scene: &Scene) {
    let query = "bcid={p}.1&livedetection=true&challenge=true&maxtries=15&challenges=7";
    let token = scene.token(query);
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    assert!(token.bytes().all(known));
    assert!(token.len() < 4000, "{} bytes", token.len());
}
