//! Section 1.1, `token`.

use vultus::access::AppId;

use super::claims::payload;
use super::facts;
use crate::harness::{Bws, Call, Door, Scene, Service, Who, basic, pictures};

facts! {
    Json s0_4_a_token_is_bare_text,
    Json s0_4_a_token_is_json_if_that_is_wanted_more,
    Json s1_1_what_is_not_given_has_a_default,
    Json s1_1_the_task_is_verify_unless_given,
    Json s1_1_each_task_can_be_asked_for,
    Json s1_1_there_are_three_tries_unless_given,
    Json s1_1_tries_go_from_1_to_15,
    Json s1_1_liveness_is_demanded_unless_declined,
    Json s1_1_a_token_for_liveness_alone_always_demands_it,
    Json s1_1_a_challenge_is_looked_at_only_with_liveness,
    Json s1_1_there_are_three_challenges_unless_given,
    Json s1_1_challenges_go_from_2_to_7,
    Json s1_1_autoenroll_is_only_for_verify,
    Json s1_1_traits_are_a_list,
    Json s1_1_a_token_for_liveness_alone_takes_any_bcid,
    Both s1_1_an_invalid_bcid_or_trait_is_400,
    Both s1_1_without_credentials_it_is_401,
    Both s1_1_another_id_and_a_foreign_class_are_403,
    Json s1_1_an_id_has_no_letter_case,
}

fn flags(scene: &Scene, query: &str) -> u64 {
    payload(&scene.token(query))["task"].as_u64().unwrap()
}

fn s0_4_a_token_is_bare_text(scene: &Scene) {
    let id = scene.credentials(Who::Main).id;
    for accept in [
        None,
        Some("*/*"),
        Some("text/plain"),
        Some("application/json, text/plain, */*"),
    ] {
        let call = Call::new("GET", format!("token?id={id}&bcid={{p}}.1"));
        let call = call.header("Authorization", scene.basic(Who::Main));
        let answer = scene.send(match accept {
            Some(accept) => call.header("Accept", accept),
            None => call,
        });
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
        let token = answer.body;
        assert_eq!(token.split('.').count(), 3, "{token}");
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        assert!(token.bytes().all(known), "{token}");
        // It works as it stands.
        scene.accepted(&token, pictures::obama());
    }
}

fn s0_4_a_token_is_json_if_that_is_wanted_more(scene: &Scene) {
    let id = scene.credentials(Who::Main).id;
    let call = Call::new("GET", format!("token?id={id}&bcid={{p}}.1"));
    let call = call.by(scene.basic(Who::Main));
    let token = scene.send(call.header("Accept", "application/json")).json();
    scene.accepted(token.as_str().unwrap(), pictures::obama());
}

fn s1_1_what_is_not_given_has_a_default(scene: &Scene) {
    let id = scene.credentials(Who::Main).id;
    let answer = scene.ask("GET", &format!("token?id={id}&bcid={{p}}.4711"));
    let claims = payload(&answer.body);
    // Verify, liveness demanded, three tries, the face, no challenge.
    assert_eq!(
        (&claims["task"], &claims["traits"]),
        (&0x103.into(), &1.into())
    );
    assert_eq!(claims.get("challenge"), None);
}

fn s1_1_the_task_is_verify_unless_given(scene: &Scene) {
    assert_eq!(flags(scene, "bcid={p}.1&livedetection=true"), 0x103);
    assert_eq!(flags(scene, "bcid={p}.1&task="), 0x003);
}

fn s1_1_each_task_can_be_asked_for(scene: &Scene) {
    for (task, flag) in [
        ("verify", 0x00),
        ("identify", 0x10),
        ("enroll", 0x20),
        ("Enroll", 0x20),
        ("IDENTIFY", 0x10),
    ] {
        assert_eq!(
            flags(scene, &format!("bcid={{p}}.1&task={task}")),
            flag + 3,
            "{task}"
        );
    }
    assert_eq!(flags(scene, "bcid={p}.1&task=livenessdetection"), 0x183);
    scene
        .ask_token("bcid={p}.1&task=recognise")
        .refuses(400, "`task`");
}

fn s1_1_there_are_three_tries_unless_given(scene: &Scene) {
    assert_eq!(flags(scene, "bcid={p}.1") & 0xf, 3);
    assert_eq!(flags(scene, "bcid={p}.1&maxtries=") & 0xf, 3);
}

fn s1_1_tries_go_from_1_to_15(scene: &Scene) {
    for tries in [1, 2, 14, 15] {
        assert_eq!(
            flags(scene, &format!("bcid={{p}}.1&maxtries={tries}")) & 0xf,
            tries
        );
    }
    for tries in ["0", "16", "-1", "many", "1.5", "99999999999999999999"] {
        let answer = scene.ask_token(&format!("bcid={{p}}.1&maxtries={tries}"));
        answer.refuses(400, "maxtries");
        answer.refuses(400, "from 1 to 15");
    }
}

fn s1_1_liveness_is_demanded_unless_declined(scene: &Scene) {
    for task in ["verify", "identify", "enroll"] {
        let query = format!("bcid={{p}}.1&task={task}&livedetection=");
        assert_eq!(flags(scene, &query) & 0x100, 0x100, "{task}");
        assert_eq!(
            flags(scene, &format!("{query}true")) & 0x100,
            0x100,
            "{task}"
        );
        assert_eq!(flags(scene, &format!("{query}false")) & 0x100, 0, "{task}");
    }
}

fn s1_1_a_token_for_liveness_alone_always_demands_it(scene: &Scene) {
    let query = "bcid={p}.1&task=livenessdetection&livedetection=false";
    assert_eq!(flags(scene, query), 0x183);
}

fn s1_1_a_challenge_is_looked_at_only_with_liveness(scene: &Scene) {
    let claims = payload(&scene.token("bcid={p}.1&challenge=true&livedetection=false"));
    assert_eq!(
        (&claims["task"], claims.get("challenge")),
        (&3.into(), None)
    );
    let claims = payload(&scene.token("bcid={p}.1&challenge=true&livedetection=true"));
    assert_eq!(claims["task"], 0x303);
    assert!(claims["challenge"].is_string());
    let claims = payload(&scene.token("bcid={p}.1&challenge=false&livedetection=true"));
    assert_eq!(
        (&claims["task"], claims.get("challenge")),
        (&0x103.into(), None)
    );
}

fn challenge(scene: &Scene, query: &str) -> Vec<Vec<String>> {
    let query = format!("bcid={{p}}.1&challenge=true&livedetection=true{query}");
    let claims = payload(&scene.token(&query));
    serde_json::from_str(claims["challenge"].as_str().unwrap()).unwrap()
}

fn s1_1_there_are_three_challenges_unless_given(scene: &Scene) {
    let lengths: Vec<usize> = challenge(scene, "").iter().map(Vec::len).collect();
    assert_eq!(lengths, [3, 3, 3]);
}

fn s1_1_challenges_go_from_2_to_7(scene: &Scene) {
    for length in 2..=7 {
        let challenge = challenge(scene, &format!("&challenges={length}&maxtries=4"));
        let lengths: Vec<usize> = challenge.iter().map(Vec::len).collect();
        assert_eq!(lengths, [length; 4]);
    }
    for length in ["0", "1", "8", "-2", "x"] {
        let query = format!("bcid={{p}}.1&challenge=true&livedetection=true&challenges={length}");
        let answer = scene.ask_token(&query);
        answer.refuses(400, "challenges");
        answer.refuses(400, "from 2 to 7");
    }
    // Also where no challenge is asked for.
    scene
        .ask_token("bcid={p}.1&challenges=8")
        .refuses(400, "from 2 to 7");
}

fn s1_1_autoenroll_is_only_for_verify(scene: &Scene) {
    assert_eq!(flags(scene, "bcid={p}.1&autoenroll=true"), 0x1003);
    assert_eq!(flags(scene, "bcid={p}.1&autoenroll=false"), 0x0003);
    for (task, flag) in [("identify", 0x13), ("enroll", 0x23)] {
        let query = format!("bcid={{p}}.1&autoenroll=true&task={task}");
        assert_eq!(flags(scene, &query), flag, "{task}");
    }
}

fn s1_1_traits_are_a_list(scene: &Scene) {
    for (traits, bits) in [
        ("", 1),
        ("face", 1),
        ("Periocular", 2),
        ("Face,Periocular", 3),
        ("Face,%20Periocular", 3),
        ("FACE,periocular", 3),
    ] {
        let claims = payload(&scene.token(&format!("bcid={{p}}.1&traits={traits}")));
        assert_eq!(claims["traits"], bits, "{traits}");
    }
    assert_eq!(payload(&scene.token("bcid={p}.1"))["traits"], 1);
}

fn s1_1_a_token_for_liveness_alone_takes_any_bcid(scene: &Scene) {
    for bcid in [
        "&bcid=xxx",
        "&bcid={p}.0",
        "&bcid=",
        "",
        "&bcid=foreign.1.1",
    ] {
        assert_eq!(
            flags(scene, &format!("task=livenessdetection{bcid}")),
            0x183,
            "{bcid}"
        );
    }
}

fn s1_1_an_invalid_bcid_or_trait_is_400(scene: &Scene) {
    let id = scene.credentials(Who::Main).id;
    for (query, words) in [
        ("", "`bcid`"),
        ("bcid=bws", "invalid BCID"),
        ("bcid={p}.2147483648", "class id"),
        ("bcid=bws.1.1.1", "BCID"),
        ("bcid={p}.one", "BCID"),
        ("bcid={p}.1&traits=iris", "`traits`"),
        ("bcid={p}.1&traits=voice", "voice"),
        ("bcid={p}.1&traits=face,iris", "traits"),
    ] {
        scene
            .ask("GET", &format!("token?id={id}&{query}"))
            .refuses(400, words);
    }
    for id in ["", "id=&"] {
        scene
            .ask("GET", &format!("token?{id}bcid={{p}}.1"))
            .refuses(400, "`id`");
    }
}

fn s1_1_without_credentials_it_is_401(scene: &Scene) {
    let id = scene.credentials(Who::Main).id;
    let path = format!("token?id={id}&bcid={{p}}.1");
    scene
        .send(Call::new("GET", &path[..]))
        .refuses(401, "Basic");
    let wrong = basic(&id, "wrong");
    scene
        .send(Call::new("GET", path).header("Authorization", wrong))
        .refuses(401, "");
}

fn s1_1_another_id_and_a_foreign_class_are_403(scene: &Scene) {
    let [own, other] = [Who::Main, Who::Narrow].map(|who| scene.credentials(who).id);
    scene
        .ask("GET", &format!("token?id={other}&bcid={{p}}.1"))
        .refuses(403, "id");
    scene
        .ask("GET", &format!("token?id={own}&bcid=other.1.1"))
        .refuses(403, "other.1.1");
    scene
        .ask_as(
            Who::Narrow,
            "GET",
            &format!("token?id={other}&bcid={{p}}.1"),
        )
        .refuses(403, &scene.fill("{p}.1"));
    let allowed = scene.ask_as(
        Who::Narrow,
        "GET",
        &format!("token?id={other}&bcid=bws.5.1"),
    );
    assert_eq!(allowed.status, 200);
    for id in ["3b241101-e2bb-4255-8caf-4136c566a962", "x"] {
        let path = format!("token?id={id}&bcid={{p}}.1");
        scene.ask("GET", &path).refuses(403, "id");
    }
}

fn s1_1_an_id_has_no_letter_case(scene: &Scene) {
    let id = scene.credentials(Who::Main).id.to_uppercase();
    let answer = scene.ask("GET", &format!("token?id={id}&bcid={{p}}.1"));
    assert_eq!(answer.status, 200, "{}", answer.body);
}

#[test]
fn s1_1_the_token_of_a_removed_app_is_worth_nothing() {
    let service = Service::new();
    let token = service.ready("bcid=bws.1.1&task=enroll");
    let id: AppId = service.credentials(Who::Main).id.parse().unwrap();
    assert!(service.state.apps().remove(&id).unwrap());
    service
        .task(&token, "enroll")
        .refuses(401, "no longer exists");
    service.upload(&token, pictures::obama()).refuses(401, "");
}
