//! People come, are recognised, and are forgotten.

use crate::harness::{Bws, Service, pictures};

#[test]
fn a_person_is_enrolled_identified_and_forgotten() {
    let service = Service::new();
    let is_enrolled = |bcid: &str| {
        let path = format!("isenrolled?bcid={bcid}&trait=Face");
        service.ask("GET", &path)
    };
    is_enrolled("bws.112.-987").message(404);
    service.enroll("bws.112.-987", pictures::obama());
    service.enroll("bws.112.2", pictures::biden());
    let enrolled = is_enrolled("bws.112.-987");
    assert_eq!((enrolled.status, enrolled.body.as_str()), (200, ""));
    is_enrolled("bws.113.-987").message(404);

    // Another picture of the first person; the class in the BCID does not matter.
    let token = service.token("bcid=bws/112/555&task=identify");
    service.upload(&token, pictures::obama_again());
    let found = service.task(&token, "identify").json();
    assert_eq!(found["Success"], true);
    let matches = found["Matches"].as_array().unwrap();
    let classes: Vec<_> = matches
        .iter()
        .map(|one| one["ClassID"].as_i64().unwrap())
        .collect();
    assert_eq!(classes, [-987, 2]);
    let scores: Vec<_> = matches
        .iter()
        .map(|one| one["Score"].as_f64().unwrap())
        .collect();
    assert!(
        scores[0] > scores[1] && scores[0] <= 1.0 && scores[1] >= 0.0,
        "{scores:?}"
    );

    // Several samples at once, and fewer results than people.
    for picture in [pictures::obama_left(), pictures::obama_again()] {
        service.upload(&token, picture);
    }
    let found = service.task(&token, "identify?maxResults=1").json();
    assert_eq!(found["Matches"].as_array().unwrap().len(), 1);
    assert_eq!(found["Matches"][0]["ClassID"], -987);

    for _ in 0..2 {
        let path = "deleteclass?bcid=bws.112.-987";
        let gone = service.ask("DELETE", path);
        assert_eq!((gone.status, gone.body.as_str()), (200, ""));
    }
    is_enrolled("bws.112.-987").message(404);
    service.upload(&token, pictures::obama_again());
    let found = service.task(&token, "identify").json();
    assert_eq!(found["Matches"].as_array().unwrap().len(), 1);
    assert_eq!(found["Matches"][0]["ClassID"], 2);

    // With the last person gone there is nobody to be found.
    service.ask("DELETE", "deleteclass?bcid=bws.112.2");
    let token = service.ready("bcid=bws.112.0&task=identify");
    let found = service.task(&token, "identify");
    assert_eq!(
        found.body,
        r#"{"Success":false,"Error":"NoTemplateAvailable"}"#
    );
}

#[test]
fn partitions_do_not_see_each_other() {
    let service = Service::new();
    service.enroll("bws.1.1", pictures::obama());
    service.enroll("bws.2.2", pictures::biden());
    let token = service.ready("bcid=bws.2.0&task=identify");
    let found = service.task(&token, "identify").json();
    assert_eq!(found["Matches"].as_array().unwrap().len(), 1);
    assert_eq!(found["Matches"][0]["ClassID"], 2);
    assert_eq!(found["Matches"][0]["Partition"], 2);
}

#[test]
fn a_class_that_is_deleted_and_enrolled_anew_is_found_by_its_new_face() {
    let service = Service::new();
    service.enroll("bws.1.1", pictures::obama());
    service.ask("DELETE", "deleteclass?bcid=bws.1.1");
    service.enroll("bws.1.1", pictures::biden());
    let token = service.ready("bcid=bws.1.0&task=identify");
    let found = service.task(&token, "identify").json();
    assert_eq!(found["Matches"].as_array().unwrap().len(), 1);
    // The probe is the face that was deleted: it must not be found any more.
    assert!(
        found["Matches"][0]["Score"].as_f64().unwrap() < 0.5,
        "{found}"
    );
}

#[test]
fn an_enrolment_survives_a_restart_and_a_waiting_sample_does_not() {
    let mut service = Service::new();
    service.enroll("bws.1.1", pictures::obama());
    let token = service.ready("bcid=bws.1.0&task=identify&maxtries=1");
    service.restart();
    service.task(&token, "identify").refuses(400, "no samples");
    service.accepted(&token, pictures::obama());
    let found = service.task(&token, "identify").json();
    assert_eq!(found["Matches"][0]["ClassID"], 1);
}
