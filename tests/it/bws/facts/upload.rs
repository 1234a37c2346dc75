//! Section 1.2, `upload`, and section 4, what it means.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::json;

use super::facts;
use crate::harness::{Bws, Call, Door, Scene, pictures};

facts! {
    Both s1_2_a_good_picture_is_accepted,
    Both s1_2_a_wall_has_no_face,
    Both s1_2_two_people_are_too_many,
    Both s1_2_what_could_be_better_is_a_warning,
    Json s1_2_a_voice_is_not_what_is_expected,
    Both s1_2_what_is_no_picture_is_400,
    Json s1_2_every_token_may_upload,
    Json s1_2_tags_are_words_of_movement,
    Json s1_2_an_index_is_a_number,
    Json s1_2_traits_are_words,
    Both s1_2_without_a_token_it_is_401,
    Json s4_the_body_is_the_data_url_whatever_its_type_says,
    Json s4_a_form_has_it_in_a_field_without_a_name,
    Json s4_a_plus_stays_a_plus,
    Json s4_every_documented_format_is_read,
    Json s4_a_canvas_with_an_alpha_channel_is_read,
    Json s4_a_grey_picture_is_read,
    Json s4_ten_megabytes_are_allowed,
    Json s4_eight_samples_and_more_may_wait,
    Json s4_the_task_takes_all_samples,
    Json s4_a_refused_sample_is_not_kept,
}

fn s1_2_a_good_picture_is_accepted(scene: &Scene) {
    let token = scene.token("bcid={p}.1");
    let answer = scene.upload(&token, pictures::obama());
    answer.gives(&json!({"Accepted": true, "Warnings": []}));
}

fn s1_2_a_wall_has_no_face(scene: &Scene) {
    let token = scene.token("bcid={p}.1");
    let answer = scene.upload(&token, pictures::nobody());
    answer.gives(&json!({"Accepted": false, "Error": "NoFaceFound"}));
}

fn s1_2_two_people_are_too_many(scene: &Scene) {
    let token = scene.token("bcid={p}.1");
    let answer = scene.upload(&token, pictures::two_people());
    answer.gives(&json!({"Accepted": false, "Error": "MultipleFacesFound"}));
}

fn s1_2_what_could_be_better_is_a_warning(scene: &Scene) {
    let token = scene.token("bcid={p}.1");
    let answer = scene.upload(&token, pictures::blurred());
    answer.gives(&json!({"Accepted": true, "Warnings": ["ImageTooBlurry"]}));
    let answer = scene.upload(&token, pictures::small());
    let warnings = answer.result()["Warnings"].clone();
    assert_eq!(warnings[0], "ImageTooSmall", "{warnings}");
}

fn s1_2_a_voice_is_not_what_is_expected(scene: &Scene) {
    let token = scene.token("bcid={p}.1");
    let refused = json!({"Accepted": false, "Error": "SampleNotOfExpectedType"});
    scene
        .upload(&token, "data:audio/wav;base64,UklGRiQAAABXQVZF")
        .gives(&refused);
    scene
        .upload_to(&token, "upload?trait=voice", pictures::obama())
        .gives(&refused);
}

fn s1_2_what_is_no_picture_is_400(scene: &Scene) {
    let token = scene.token("bcid={p}.1");
    for (body, words) in [
        ("", "empty"),
        ("a picture", "data-URL"),
        ("data:image/png,picture", "base64"),
        ("data:image/png;base64,cGljdHVyZQ==", "no picture"),
        ("data:image/jpeg;base64,/9j/4AAQSkZJRgABAQ==", ""),
    ] {
        scene.upload(&token, body).refuses(400, words);
    }
}

fn s1_2_every_token_may_upload(scene: &Scene) {
    for task in ["verify", "identify", "enroll", "livenessdetection"] {
        let token = scene.token(&format!("bcid={{p}}.1&task={task}&livedetection=true"));
        scene.accepted(&token, pictures::obama());
    }
}

fn s1_2_tags_are_words_of_movement(scene: &Scene) {
    let token = scene.token("bcid={p}.1");
    for tag in [
        "any",
        "up",
        "down",
        "Left",
        "RIGHT",
        "left%20right",
        "up,down",
        "",
    ] {
        let answer = scene.upload_to(&token, &format!("upload?tag={tag}"), pictures::obama());
        assert_eq!(answer.result()["Accepted"], true, "{tag}");
    }
    for tag in ["backwards", "left%20sideways", "up;down", "%00"] {
        let answer = scene.upload_to(&token, &format!("upload?tag={tag}"), pictures::obama());
        answer.refuses(400, "tag");
    }
}

fn s1_2_an_index_is_a_number(scene: &Scene) {
    let token = scene.token("bcid={p}.1");
    for index in ["0", "1", "20", "-1", ""] {
        let path = format!("upload?index={index}");
        let answer = scene.upload_to(&token, &path, pictures::obama());
        assert_eq!(answer.result()["Accepted"], true, "{index}");
    }
    for index in ["first", "1.5", "1e3", "99999999999999999999"] {
        let path = format!("upload?index={index}");
        scene
            .upload_to(&token, &path, pictures::obama())
            .refuses(400, "index");
    }
}

fn s1_2_traits_are_words(scene: &Scene) {
    let token = scene.token("bcid={p}.1");
    for traits in [
        "FACE",
        "Face",
        "face",
        "Face,Periocular",
        "Face,%20Periocular",
        "Face,periocular",
        "Periocular",
        "",
    ] {
        let path = format!("upload?trait={traits}");
        let answer = scene.upload_to(&token, &path, pictures::obama());
        assert_eq!(answer.result()["Accepted"], true, "{traits}");
    }
    scene
        .upload_to(&token, "upload?trait=iris", pictures::obama())
        .refuses(400, "trait");
}

fn s1_2_without_a_token_it_is_401(scene: &Scene) {
    let call = Call::new("POST", "upload").body(pictures::obama());
    scene.send(call).refuses(401, "Bearer");
    scene.upload("a.b.c", pictures::obama()).refuses(401, "");
}

/// Uploads with this content type.
fn typed(scene: &Scene, token: &str, kind: Option<&str>, body: &str) {
    let call = Call::new("POST", "upload").header("Authorization", format!("Bearer {token}"));
    let call = match kind {
        Some(kind) => call.header("Content-Type", kind),
        None => call,
    };
    let answer = scene.send(call.body(body));
    assert_eq!(answer.status, 200, "{kind:?}: {answer:?}");
    assert_eq!(answer.result()["Accepted"], true, "{kind:?}");
}

fn s4_the_body_is_the_data_url_whatever_its_type_says(scene: &Scene) {
    let token = scene.token("bcid={p}.1");
    let quoted = format!(" \"{}\"\r\n", pictures::obama());
    for kind in ["text/plain", "application/json"] {
        typed(scene, &token, Some(kind), &quoted);
    }
    for kind in [
        None,
        Some("application/x-www-form-urlencoded; charset=UTF-8"),
        Some("application/x-www-form-urlencoded"),
        Some("text/plain; charset=utf-8"),
        Some("text/plain"),
        Some("application/json"),
        Some("application/octet-stream"),
        Some("image/png"),
        Some("multipart/form-data; boundary=xyz"),
        Some("multipart/form-data"),
        Some("nonsense"),
    ] {
        typed(scene, &token, kind, pictures::obama());
    }
}

fn s4_a_form_has_it_in_a_field_without_a_name(scene: &Scene) {
    let token = scene.token("bcid={p}.1");
    let picture = pictures::obama();
    for (name, kind) in [
        ("\"\"", "multipart/form-data; boundary=xyz"),
        ("\"image\"", "multipart/form-data; boundary=xyz"),
        (
            "\"image\"; filename=\"a.txt\"",
            "Multipart/Form-Data; boundary=\"xyz\"",
        ),
    ] {
        let head = format!("--xyz\r\nContent-Disposition: form-data; name={name}");
        let form = format!("{head}\r\n\r\n{picture}\r\n--xyz--\r\n");
        typed(scene, &token, Some(kind), &form);
    }
}

fn s4_a_plus_stays_a_plus(scene: &Scene) {
    let picture = pictures::obama();
    assert!(picture.contains('+'), "this picture would not notice");
    let token = scene.token("bcid={p}.1");
    let kind = "application/x-www-form-urlencoded; charset=UTF-8";
    typed(scene, &token, Some(kind), picture);
}

fn s4_every_documented_format_is_read(scene: &Scene) {
    let token = scene.token("bcid={p}.1");
    for kind in [
        "image/png",
        "image/jpeg",
        "image/bmp",
        "image/gif",
        "image/tiff",
    ] {
        let answer = scene.upload(&token, &pictures::written_as(kind));
        assert_eq!(answer.result()["Accepted"], true, "{kind}");
        // What it really is counts, not what it says.
        let mislabelled = pictures::written_as(kind).replace(kind, "image/png");
        assert_eq!(
            scene.upload(&token, &mislabelled).result()["Accepted"],
            true,
            "{kind}"
        );
    }
}

fn s4_a_canvas_with_an_alpha_channel_is_read(scene: &Scene) {
    let token = scene.token("bcid={p}.1");
    let canvas = pictures::canvas();
    let (_, data) = canvas.split_once(',').unwrap();
    let bytes = BASE64_STANDARD.decode(data).unwrap();
    // 8 bits, red, green, blue and alpha.
    assert_eq!((bytes[24], bytes[25]), (8, 6));
    scene.accepted(&token, canvas);
}

fn s4_a_grey_picture_is_read(scene: &Scene) {
    let token = scene.token("bcid={p}.1&task=enroll");
    let grey = pictures::grey();
    let (_, data) = grey.split_once(',').unwrap();
    let bytes = BASE64_STANDARD.decode(data).unwrap();
    assert_eq!((bytes[24], bytes[25]), (8, 0));
    scene.accepted(&token, grey);
    scene
        .task(&token, "enroll")
        .gives(&json!({"Success": true}));
    // It is the same person in colour.
    let token = scene.ready("bcid={p}.0&task=identify");
    let found = scene.task(&token, "identify").result();
    assert!(
        found["Matches"][0]["Score"].as_f64().unwrap() > 0.9,
        "{found}"
    );
}

fn s4_ten_megabytes_are_allowed(scene: &Scene) {
    let token = scene.token("bcid={p}.1");
    // A picture may be followed by bytes that mean nothing.
    let mut bytes = pictures::file("obama-portrait");
    bytes.resize(10_000_000, 0);
    scene.accepted(&token, &pictures::data_url("image/jpeg", &bytes));
}

fn s4_eight_samples_and_more_may_wait(scene: &Scene) {
    let token = scene.token("bcid={p}.1&task=enroll");
    for index in 1..=12 {
        let answer = scene.upload_to(&token, &format!("upload?index={index}"), pictures::obama());
        assert_eq!(answer.result()["Accepted"], true, "{index}");
    }
    scene
        .task(&token, "enroll")
        .gives(&json!({"Success": true}));
}

fn s4_the_task_takes_all_samples(scene: &Scene) {
    scene.enroll("{p}.1", pictures::obama());
    let token = scene.token("bcid={p}.0&task=identify");
    scene.accepted(&token, pictures::obama());
    scene.accepted(&token, pictures::obama_again());
    assert_eq!(scene.task(&token, "identify").result()["Success"], true);
    scene.task(&token, "identify").refuses(400, "no samples");
    // A call that fails takes them, too.
    let token = scene.ready("bcid=bws.-1.0&task=identify");
    scene
        .task(&token, "identify")
        .gives(&json!({"Success": false, "Error": "NoTemplateAvailable"}));
    scene.task(&token, "identify").refuses(400, "no samples");
}

fn s4_a_refused_sample_is_not_kept(scene: &Scene) {
    let token = scene.token("bcid={p}.1&task=enroll");
    for refused in [
        pictures::nobody(),
        pictures::two_people(),
        "data:image/png;base64,AAAA",
    ] {
        scene.upload(&token, refused);
    }
    scene.task(&token, "enroll").refuses(400, "no samples");
}
