//! Section 1.0 on formats, and section 1.16, what is known of XML.

use super::facts;
use crate::harness::{Bws, Call, Door, Scene, Who, pictures};

facts! {
    Json s1_0_accept_chooses_the_format,
    Json s1_0_a_token_in_xml_is_a_string,
    Xml s1_5_xml_has_two_namespaces_and_the_result_as_its_root,
    Xml s1_16_an_entry_of_matches_is_a_scored_class,
    Xml s1_16_texts_are_escaped,
    Xml s1_13_a_bare_word_is_a_boolean,
}

fn s1_0_accept_chooses_the_format(scene: &Scene) {
    for (accept, kind) in [
        ("application/xml", "application/xml"),
        ("text/xml", "text/xml"),
        ("application/xml, */*;q=0.1", "application/xml"),
        ("application/json;q=0.5, application/xml", "application/xml"),
        (
            "application/xml;q=0.5, application/json",
            "application/json",
        ),
        ("application/xml;q=0", "application/json"),
        ("text/json", "application/json"),
        ("*/*", "application/json"),
    ] {
        for authorization in [scene.basic(Who::Main), String::new()] {
            let call = Call::new("GET", "status").header("Authorization", authorization);
            let answer = scene.send(call.header("Accept", accept));
            let found = answer.header("content-type");
            assert!(found.starts_with(kind), "{accept} gave {found}");
        }
    }
}

fn s1_0_a_token_in_xml_is_a_string(scene: &Scene) {
    let id = scene.credentials(Who::Main).id;
    let call = Call::new("GET", format!("token?id={id}&bcid={{p}}.1"));
    let call = call.header("Authorization", scene.basic(Who::Main));
    let body = scene.send(call.header("Accept", "application/xml")).body;
    let inside = body.rsplit_once("</string>").unwrap().0;
    let token = inside.rsplit_once('>').unwrap().1;
    scene.accepted(token, pictures::obama());
}

fn s1_5_xml_has_two_namespaces_and_the_result_as_its_root(scene: &Scene) {
    let token = scene.ready("bcid={p}.0&task=identify");
    let body = scene.task(&token, "identify").body;
    let root = body.find("<IdentifyResult ").unwrap();
    let root = &body[root..body[root..].find('>').unwrap() + root];
    let instance = r#" xmlns:i="http://www.w3.org/2001/XMLSchema-instance""#;
    assert!(root.contains(instance), "{root}");
    assert!(root.contains(r#" xmlns="http"#), "{root}");
    assert_eq!(body.matches("xmlns").count(), 2, "{body}");
}

fn s1_16_an_entry_of_matches_is_a_scored_class(scene: &Scene) {
    scene.enroll("{p}.123", pictures::obama());
    let token = scene.ready("bcid={p}.0&task=identify");
    let body = scene.task(&token, "identify").body;
    assert!(body.contains("<Matches><ScoredClass>"), "{body}");
    assert!(body.contains("<ClassID>123</ClassID>"), "{body}");
    assert!(body.contains("</ScoredClass></Matches>"), "{body}");
}

fn s1_16_texts_are_escaped(scene: &Scene) {
    let call = Call::new(
        "POST",
        "qualitycheck?state=%3Ca%26b%3E%22%01%C3%BC%EF%BF%BF",
    );
    let call = call.header("Authorization", scene.basic(Who::Main));
    let answer = scene.send(call.body(pictures::obama()));
    assert!(!answer.body.contains("<a&b>"), "{}", answer.body);
    // What XML cannot hold is replaced, and all else comes back.
    assert_eq!(answer.result()["State"], "<a&b>\"\u{fffd}\u{fc}\u{fffd}");
}

fn s1_13_a_bare_word_is_a_boolean(scene: &Scene) {
    let body = serde_json::json!({
        "liveimage1": pictures::obama(),
        "liveimage2": pictures::obama_again(),
    });
    let call = Call::new("POST", "livedetection").header("Authorization", scene.basic(Who::Main));
    let body = scene.send(call.body(body.to_string())).body;
    assert!(
        body.contains("<boolean ") && body.ends_with(">true</boolean>"),
        "{body}"
    );
}
