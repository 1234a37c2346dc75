//! Portraits: stored where the operator wants it, seen by whoever may, and gone with their people.

use std::path::Path;

use serde_json::json;
use vultus::access::{Reach, Scope};

use crate::harness::{Answer, Body, Bws, Native, Service, axis, pictures};

const CLASSES: &str = "partitions/bws.1/classes";

fn service() -> Service {
    Service::with(|settings| settings.store_portraits = true)
}

fn portrait(service: &Service, class: i64) -> Answer {
    service.get(&format!("{CLASSES}/{class}/portrait"))
}

/// The picture of a class, and that nobody on the way keeps it.
#[track_caller]
fn shown(service: &Service, class: i64) -> Vec<u8> {
    let answer = portrait(service, class);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), "image/jpeg");
    assert_eq!(answer.header("cache-control"), "no-store");
    let size = image::load_from_memory(&answer.picture).unwrap();
    assert_eq!((size.width(), size.height()), (144, 144));
    answer.picture
}

#[track_caller]
fn enroll(service: &Service, class: i64, picture: &str, more: &serde_json::Value) {
    let mut body = json!({ "pictures": [picture] });
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let answer = service.post(&format!("{CLASSES}/{class}/enroll"), body);
    assert_eq!(answer.status, 200, "{}", answer.body);
}

/// Whether a file below a folder holds a JPEG, or a part of one of these pictures.
fn shows(folder: &Path, portraits: &[&[u8]]) -> bool {
    let part = |portrait: &&[u8]| portrait[portrait.len() / 2..][..24].to_vec();
    let mut parts: Vec<Vec<u8>> = portraits.iter().map(part).collect();
    parts.push(b"JFIF".to_vec());
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => shows(&path, portraits),
            false => {
                let bytes = std::fs::read(&path).unwrap();
                parts
                    .iter()
                    .any(|part| bytes.windows(part.len()).any(|it| it == part))
            }
        }
    })
}

#[test]
fn everybody_who_is_enrolled_with_a_picture_has_one_until_they_go() {
    let service = service();
    assert_eq!(service.get("status").json()["portraits"], true);
    enroll(&service, 1, pictures::obama(), &json!({}));
    Bws::enroll(&service, "bws.1.2", pictures::biden());
    let form = Body::form(&[("picture", &pictures::file("obama-white-house"))]);
    service.post(&format!("{CLASSES}/3/enroll"), form).json();
    let all = [1, 2, 3].map(|class| shown(&service, class));
    assert!(all[0] != all[1] && all[0] != all[2]);
    portrait(&service, 9).problem(404, "class_not_found");
    // The better one is shown, the other way round, too.
    let best =
        |class: i64| service.get(&format!("{CLASSES}/{class}")).json()["best_quality"].as_f64();
    let first = best(1);
    enroll(&service, 1, pictures::obama_again(), &json!({}));
    let is_first_better = first >= best(3);
    assert_eq!(shown(&service, 1), all[if is_first_better { 0 } else { 2 }]);
    enroll(&service, 3, pictures::obama(), &json!({ "replace": true }));
    assert_eq!(shown(&service, 3), all[0]);
    // It follows its template.
    enroll(&service, 4, pictures::obama(), &json!({}));
    let from = json!({ "from": "2" });
    let merged = service.post(&format!("{CLASSES}/4/merge"), from);
    assert_eq!(merged.status, 200, "{}", merged.body);
    portrait(&service, 2).problem(404, "class_not_found");
    shown(&service, 4);
    let portraits = all.each_ref().map(|it| &it[..]);
    for class in [1, 3, 4] {
        let deleted = service
            .delete(&format!("{CLASSES}/{class}?erase=now"))
            .json();
        assert_eq!(deleted["erased"], true);
        portrait(&service, class).problem(404, "class_not_found");
        assert!(!shows(service.directory(), &portraits));
    }
    assert_eq!(service.store.totals().unwrap().portraits, 0);
}

#[test]
fn only_keys_for_it_see_them_and_only_in_their_gallery() {
    let service = service();
    enroll(&service, 1, pictures::obama(), &json!({}));
    let path = format!("{CLASSES}/1/portrait");
    let all_others = Scope::ALL
        .into_iter()
        .filter(|scope| *scope != Scope::Portraits);
    let (_, without) = service.make_key(&all_others.collect::<Vec<_>>(), Reach::Everything);
    service
        .call_by(&without, "GET", &path, ())
        .problem(403, "scope_missing");
    let elsewhere = Reach::Partition("bws.2".parse().unwrap());
    let (_, elsewhere) = service.make_key(&[Scope::Portraits], elsewhere);
    service
        .call_by(&elsewhere, "GET", &path, ())
        .problem(403, "partition_not_allowed");
    let (_, with) = service.make_key(&[Scope::Portraits], Reach::Everything);
    assert_eq!(service.call_by(&with, "GET", &path, ()).status, 200);
}

#[test]
fn without_the_setting_none_is_made_and_none_is_shown() {
    let service = Service::new();
    assert_eq!(service.get("status").json()["portraits"], false);
    enroll(&service, 1, pictures::obama(), &json!({}));
    portrait(&service, 1).problem(404, "portrait_not_found");
    assert_eq!(service.store.totals().unwrap().portraits, 0);
    // Whoever was enrolled with numbers has none, with the setting either.
    let service = self::service();
    service.enroll_embedding("bws.1", 1, &axis(0));
    portrait(&service, 1).problem(404, "portrait_not_found");
    portrait(&service, 2).problem(404, "class_not_found");
}
