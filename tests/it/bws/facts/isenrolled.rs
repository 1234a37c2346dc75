//! Section 1.9, `isenrolled`.

use super::facts;
use crate::harness::{Bws, Call, Door, Scene, pictures};

facts! {
    Both s1_9_a_template_is_200_without_a_body,
    Both s1_9_none_is_404,
    Both s1_9_an_invalid_bcid_or_trait_is_400,
    Json s1_9_traits_have_no_letter_case,
    Json s1_9_without_a_trait_it_is_the_face,
    Json s1_9_nobody_has_a_voice,
    Both s1_9_without_credentials_it_is_401,
    Both s1_9_a_foreign_class_is_403,
}

fn s1_9_a_template_is_200_without_a_body(scene: &Scene) {
    scene.enroll("{p}.1", pictures::obama());
    scene
        .ask("GET", "isenrolled?bcid={p}.1&trait=face")
        .is_empty(200);
}

fn s1_9_none_is_404(scene: &Scene) {
    assert_eq!(
        scene.ask("GET", "isenrolled?bcid={p}.1&trait=face").status,
        404
    );
    scene.enroll("{p}.1", pictures::obama());
    assert_eq!(
        scene.ask("GET", "isenrolled?bcid={p}.2&trait=face").status,
        404
    );
}

fn s1_9_an_invalid_bcid_or_trait_is_400(scene: &Scene) {
    for (query, words) in [
        ("trait=face", "bcid"),
        ("bcid=&trait=face", "bcid"),
        ("bcid=bws.1&trait=face", "BCID"),
        ("bcid={p}.x&trait=face", "BCID"),
        ("bcid={p}.1&trait=iris", "trait"),
        ("bcid={p}.1&trait=face,iris", "trait"),
    ] {
        scene
            .ask("GET", &format!("isenrolled?{query}"))
            .refuses(400, words);
    }
}

fn s1_9_traits_have_no_letter_case(scene: &Scene) {
    scene.enroll("{p}.1", pictures::obama());
    for traits in ["face", "Face", "FACE", "Periocular", "Face,Periocular"] {
        scene
            .ask("GET", &format!("isenrolled?bcid={{p}}.1&trait={traits}"))
            .is_empty(200);
    }
}

fn s1_9_without_a_trait_it_is_the_face(scene: &Scene) {
    assert_eq!(scene.ask("GET", "isenrolled?bcid={p}.1").status, 404);
    scene.enroll("{p}.1", pictures::obama());
    scene.ask("GET", "isenrolled?bcid={p}.1").is_empty(200);
    scene
        .ask("GET", "isenrolled?bcid={p}.1&trait=")
        .is_empty(200);
}

fn s1_9_nobody_has_a_voice(scene: &Scene) {
    scene.enroll("{p}.1", pictures::obama());
    assert_eq!(
        scene.ask("GET", "isenrolled?bcid={p}.1&trait=voice").status,
        404
    );
}

fn s1_9_without_credentials_it_is_401(scene: &Scene) {
    scene
        .send(Call::new("GET", "isenrolled?bcid={p}.1&trait=face"))
        .refuses(401, "Basic");
}

fn s1_9_a_foreign_class_is_403(scene: &Scene) {
    scene
        .ask("GET", "isenrolled?bcid=other.1.1&trait=face")
        .refuses(403, "other.1.1");
}
