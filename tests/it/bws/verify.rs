//! Verification: recognised, not recognised, nobody there, and what is learned from it.

use axum::http::Method;
use vultus::types::Bcid;
use vultus::web::VerificationSettings;

use super::app::{TestApp, biden, obama, obama_again};

async fn verify(app: &TestApp, query: &str, pictures: &[String]) -> String {
    let token = app.token(query).await;
    for picture in pictures {
        assert_eq!(app.upload(&token, picture).await.json()["Accepted"], true);
    }
    let answer = app.task(&token, "verify").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body
}

#[tokio::test]
async fn a_person_is_recognised_by_another_picture_and_a_stranger_is_not() {
    let app = TestApp::new();
    app.enroll("bws.1.7", &obama()).await;
    let right = verify(&app, "bcid=bws.1.7", &[obama_again()]).await;
    assert_eq!(right, r#"{"Success":true}"#);
    // Without an error: the call was right, the person is another.
    let wrong = verify(&app, "bcid=bws.1.7", &[biden()]).await;
    assert_eq!(wrong, r#"{"Success":false}"#);
}

#[tokio::test]
async fn nobody_is_enrolled_in_a_class_or_partition_that_has_no_template() {
    let app = TestApp::new();
    let expected = r#"{"Success":false,"Error":"NoTemplateAvailable"}"#;
    assert_eq!(verify(&app, "bcid=bws.1.7", &[obama()]).await, expected);
    app.enroll("bws.1.8", &obama()).await;
    assert_eq!(verify(&app, "bcid=bws.1.7", &[obama()]).await, expected);
    app.ask(Method::DELETE, "/extension/deleteclass?bcid=bws.1.8")
        .await;
    assert_eq!(verify(&app, "bcid=bws.1.8", &[obama()]).await, expected);
}

#[tokio::test]
async fn several_samples_count_together_and_so_do_several_templates() {
    let app = TestApp::new();
    app.enroll("bws.1.7", &biden()).await;
    app.enroll("bws.1.7", &obama()).await;
    let both = [obama_again(), obama()];
    let answer = verify(&app, "bcid=bws.1.7", &both).await;
    assert_eq!(answer, r#"{"Success":true}"#);
    // Each template is one of the class: the most similar one counts.
    let answer = verify(&app, "bcid=bws.1.7", &[biden()]).await;
    assert_eq!(answer, r#"{"Success":true}"#);
}

#[tokio::test]
async fn thresholds_are_those_of_the_partition_or_else_of_the_service() {
    let one = "bws.1".parse().unwrap();
    let app = TestApp::with(|settings| {
        settings.verification = VerificationSettings {
            threshold: Some(0.999),
            partitions: [(one, -1.0)].into(),
        };
    });
    for bcid in ["bws.1.7", "bws.2.7"] {
        app.enroll(bcid, &obama()).await;
    }
    let lax = verify(&app, "bcid=bws.1.7", &[biden()]).await;
    assert_eq!(lax, r#"{"Success":true}"#);
    let strict = verify(&app, "bcid=bws.2.7", &[obama_again()]).await;
    assert_eq!(strict, r#"{"Success":false}"#);
    let same = verify(&app, "bcid=bws.2.7", &[obama()]).await;
    assert_eq!(same, r#"{"Success":true}"#);
}

fn templates(app: &TestApp, bcid: &str) -> usize {
    let bcid: Bcid = bcid.parse().unwrap();
    let partition = app.store.partition(&bcid.partition).unwrap().unwrap();
    let snapshot = partition.snapshot();
    let blocks = snapshot.blocks().iter();
    blocks
        .map(|block| block.rows_of(bcid.class).unwrap().len())
        .sum()
}

#[tokio::test]
async fn a_class_learns_from_a_success_if_it_was_asked_to_and_only_from_the_person() {
    let app = TestApp::new();
    app.enroll("bws.1.7", &obama()).await;
    verify(&app, "bcid=bws.1.7", &[obama_again()]).await;
    assert_eq!(templates(&app, "bws.1.7"), 1, "it learned unasked");
    let query = "bcid=bws.1.7&autoenroll=true";
    let failed = verify(&app, query, &[biden()]).await;
    assert_eq!(failed, r#"{"Success":false}"#);
    assert_eq!(templates(&app, "bws.1.7"), 1, "it learned from a stranger");
    // A stranger beside two good samples does not spoil the verification, and is not learned from.
    let mixed = [obama_again(), obama(), biden()];
    assert_eq!(verify(&app, query, &mixed).await, r#"{"Success":true}"#);
    assert_eq!(templates(&app, "bws.1.7"), 3);
    assert_eq!(
        verify(&app, "bcid=bws.1.7", &[biden()]).await,
        r#"{"Success":false}"#
    );
}

#[tokio::test]
async fn without_samples_there_is_nothing_to_verify() {
    let app = TestApp::new();
    let token = app.token("bcid=bws.1.7").await;
    app.task(&token, "verify").await.says(400, "no samples");
    let token = app.ready("bcid=bws.1.7&task=enroll").await;
    app.task(&token, "verify")
        .await
        .says(403, "`enroll`, not `verify`");
}
