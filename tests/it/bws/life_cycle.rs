//! People come, are recognised, and are forgotten.

use axum::http::Method;

use super::app::{TestApp, biden, obama, obama_again, portrait};

#[tokio::test]
async fn a_person_is_enrolled_identified_and_forgotten() {
    let app = TestApp::new();
    let is_enrolled = async |bcid: &str| {
        let path = format!("/extension/isenrolled?bcid={bcid}&trait=Face");
        app.ask(Method::GET, &path).await
    };
    is_enrolled("bws.112.-987").await.message(404);
    app.enroll("bws.112.-987", &obama()).await;
    app.enroll("bws.112.2", &biden()).await;
    let enrolled = is_enrolled("bws.112.-987").await;
    assert_eq!(
        (enrolled.status.as_u16(), enrolled.body.as_str()),
        (200, "")
    );
    is_enrolled("bws.113.-987").await.message(404);

    // Another picture of the first person; the class in the BCID does not matter.
    let token = app.token("bcid=bws/112/555&task=identify").await;
    app.upload(&token, &obama_again()).await;
    let found = app.task(&token, "identify").await.json();
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
    for picture in [portrait("obama-speech"), obama_again()] {
        app.upload(&token, &picture).await;
    }
    let found = app.task(&token, "identify?maxResults=1").await.json();
    assert_eq!(found["Matches"].as_array().unwrap().len(), 1);
    assert_eq!(found["Matches"][0]["ClassID"], -987);

    for _ in 0..2 {
        let path = "/extension/deleteclass?bcid=bws.112.-987";
        let gone = app.ask(Method::DELETE, path).await;
        assert_eq!((gone.status.as_u16(), gone.body.as_str()), (200, ""));
    }
    is_enrolled("bws.112.-987").await.message(404);
    app.upload(&token, &obama_again()).await;
    let found = app.task(&token, "identify").await.json();
    assert_eq!(found["Matches"].as_array().unwrap().len(), 1);
    assert_eq!(found["Matches"][0]["ClassID"], 2);

    // With the last person gone there is nobody to be found.
    app.ask(Method::DELETE, "/extension/deleteclass?bcid=bws.112.2")
        .await;
    let token = app.ready("bcid=bws.112.0&task=identify").await;
    let found = app.task(&token, "identify").await;
    assert_eq!(
        found.body,
        r#"{"Success":false,"Error":"NoTemplateAvailable"}"#
    );
}

#[tokio::test]
async fn partitions_do_not_see_each_other() {
    let app = TestApp::new();
    app.enroll("bws.1.1", &obama()).await;
    app.enroll("bws.2.2", &biden()).await;
    let token = app.ready("bcid=bws.2.0&task=identify").await;
    let found = app.task(&token, "identify").await.json();
    assert_eq!(found["Matches"].as_array().unwrap().len(), 1);
    assert_eq!(found["Matches"][0]["ClassID"], 2);
    assert_eq!(found["Matches"][0]["Partition"], 2);
}

#[tokio::test]
async fn a_class_that_is_deleted_and_enrolled_anew_is_found_by_its_new_face() {
    let app = TestApp::new();
    app.enroll("bws.1.1", &obama()).await;
    app.ask(Method::DELETE, "/extension/deleteclass?bcid=bws.1.1")
        .await;
    app.enroll("bws.1.1", &biden()).await;
    let token = app.ready("bcid=bws.1.0&task=identify").await;
    let found = app.task(&token, "identify").await.json();
    assert_eq!(found["Matches"].as_array().unwrap().len(), 1);
    // The probe is the face that was deleted: it must not be found any more.
    assert!(
        found["Matches"][0]["Score"].as_f64().unwrap() < 0.5,
        "{found}"
    );
}

#[tokio::test]
async fn an_enrolment_survives_a_restart_and_a_waiting_sample_does_not() {
    let mut app = TestApp::new();
    app.enroll("bws.1.1", &obama()).await;
    let token = app.ready("bcid=bws.1.0&task=identify&maxtries=1").await;
    app.restarted();
    app.task(&token, "identify").await.says(400, "no samples");
    app.refill(&token).await;
    let found = app.task(&token, "identify").await.json();
    assert_eq!(found["Matches"][0]["ClassID"], 1);
}

#[tokio::test]
async fn a_voice_is_never_enrolled() {
    let app = TestApp::new();
    app.enroll("bws.1.1", &obama()).await;
    for (wanted, status) in [
        ("face", 200),
        ("Face,Periocular", 200),
        ("", 200),
        ("voice", 404),
        ("iris", 400),
    ] {
        let path = format!("/extension/isenrolled?bcid=bws.1.1&trait={wanted}");
        assert_eq!(app.ask(Method::GET, &path).await.status, status, "{wanted}");
    }
}
