//! What a token allows, and what it does not.

use axum::body::Body;
use axum::http::{Method, header};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde_json::{Value, json};
use vultus::access::{ServerKey, Tokens};

use super::app::{TestApp, basic, obama};

fn payload(token: &str) -> Value {
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[tokio::test]
async fn defaults_are_those_of_the_reference() {
    let app = TestApp::new();
    let path = format!("/extension/token?id={}&bcid=bws.112.4711", app.id);
    let claims = payload(&app.ask(Method::GET, &path).await.body);
    // Verify, liveness demanded, three tries, no challenge.
    assert_eq!(claims["task"], 0x103);
    assert_eq!(claims["traits"], 1);
    assert_eq!(claims["bcid"], "bws/112/4711");
    assert_eq!(claims["iss"], "BWS");
    assert_eq!(claims["aud"], super::app::URL);
    assert_eq!(
        claims["exp"].as_i64().unwrap() - claims["nbf"].as_i64().unwrap(),
        600
    );
    assert!(claims.get("challenge").is_none());
}

#[tokio::test]
async fn every_parameter_reaches_the_token() {
    let app = TestApp::new();
    let flags = async |query: &str| payload(&app.token(query).await)["task"].as_u64().unwrap();
    assert_eq!(
        flags("bcid=bws.1.1&task=Enroll&maxtries=15&livedetection=True").await,
        0x12f
    );
    assert_eq!(flags("bcid=bws.1.1&task=identify&maxtries=1").await, 0x11);
    assert_eq!(flags("bcid=bws.1.1&autoenroll=true").await, 0x1003);
    assert_eq!(
        flags("bcid=bws.1.1&task=enroll&autoenroll=true").await,
        0x23
    );
    assert_eq!(flags("bcid=xxx&task=livenessdetection").await, 0x183);
    assert_eq!(flags("task=livenessdetection").await, 0x183);
    // A challenge without liveness is not looked at.
    assert_eq!(flags("bcid=bws.1.1&challenge=true").await, 0x3);
    let query = "bcid=bws.1.1&livedetection=true&challenge=true&challenges=5&maxtries=2";
    let claims = payload(&app.token(query).await);
    assert_eq!(claims["task"], 0x302);
    let challenge: Vec<Vec<String>> =
        serde_json::from_str(claims["challenge"].as_str().unwrap()).unwrap();
    assert_eq!(challenge.iter().map(Vec::len).collect::<Vec<_>>(), [5, 5]);
    let claims = payload(&app.token("bcid=bws.1.1&traits=Face,Periocular").await);
    assert_eq!(claims["traits"], 3);
}

#[tokio::test]
async fn what_cannot_be_asked_for_is_refused() {
    let app = TestApp::new();
    for (query, status, words) in [
        ("", 400, "`bcid`"),
        ("bcid=bws", 400, "invalid BCID"),
        ("bcid=bws.1.2147483648", 400, "class id"),
        ("bcid=bws.1.1&maxtries=0", 400, "from 1 to 15"),
        ("bcid=bws.1.1&maxtries=16", 400, "from 1 to 15"),
        ("bcid=bws.1.1&maxtries=x", 400, "from 1 to 15"),
        ("bcid=bws.1.1&task=steal", 400, "`task`"),
        ("bcid=bws.1.1&traits=iris", 400, "`traits`"),
        ("bcid=bws.1.1&traits=voice", 400, "voice"),
        ("bcid=bws.1.1&challenges=1", 400, "from 2 to 7"),
        ("bcid=bws.1.1&challenges=8", 400, "from 2 to 7"),
        ("bcid=other.1.1", 403, "other.1.1"),
    ] {
        let path = format!("/extension/token?id={}&{query}", app.id);
        app.ask(Method::GET, &path).await.says(status, words);
    }
    let stranger = "3b241101-e2bb-4255-8caf-4136c566a962";
    for (id, status) in [("", 400), (stranger, 403), ("x", 403)] {
        let path = format!("/extension/token?id={id}&bcid=bws.1.1");
        app.ask(Method::GET, &path).await.message(status);
    }
    let path = format!(
        "/extension/token?id={}&bcid=bws.1.1",
        app.id.to_string().to_uppercase()
    );
    assert_eq!(app.ask(Method::GET, &path).await.status, 200);
}

#[tokio::test]
async fn wrong_credentials_are_told_how_to_prove_themselves() {
    let app = TestApp::new();
    let id = app.id.to_string();
    for authorization in [
        String::new(),
        "Basic".to_owned(),
        "Basic !!!".to_owned(),
        basic(&id, "wrong"),
        basic(&id, ""),
        basic("", &app.secret),
        basic("someone", &app.secret),
        format!("Bearer {}", app.secret),
    ] {
        for (method, path) in [
            (Method::GET, "/extension/token"),
            (Method::GET, "/extension/isenrolled?bcid=bws.1.1"),
            (Method::DELETE, "/extension/deleteclass?bcid=bws.1.1"),
            (Method::GET, "/extension/status"),
        ] {
            let answer = app.call(method, path, &authorization, Body::empty()).await;
            answer.message(401);
            let wanted = answer.headers[header::WWW_AUTHENTICATE].to_str().unwrap();
            assert!(wanted.starts_with("Basic realm="), "{wanted}");
        }
    }
    let lower = app.basic().replacen("Basic", "basic", 1);
    let answer = app
        .call(Method::GET, "/extension/status", &lower, Body::empty())
        .await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_class_outside_the_storage_or_the_partition_is_out_of_reach() {
    let app = TestApp::new();
    let (narrow, secret) = app
        .state
        .apps()
        .create(
            "Narrow",
            "bws".parse().unwrap(),
            Some(5),
            app.clock.now(),
            &mut rand::rng(),
        )
        .unwrap();
    app.enroll("bws.6.1", &obama()).await;
    let authorization = basic(&narrow.id.to_string(), secret.expose());
    for bcid in ["bws.6.1", "other.5.1"] {
        for (method, path) in [
            (Method::GET, format!("token?id={}&bcid={bcid}", narrow.id)),
            (Method::GET, format!("isenrolled?bcid={bcid}&trait=face")),
            (Method::DELETE, format!("deleteclass?bcid={bcid}")),
        ] {
            let path = format!("/extension/{path}");
            let answer = app.call(method, &path, &authorization, Body::empty()).await;
            answer.says(403, bcid);
        }
    }
    let still = app
        .ask(Method::GET, "/extension/isenrolled?bcid=bws.6.1&trait=face")
        .await;
    assert_eq!(still.status, 200);
    let path = format!("/extension/token?id={}&bcid=bws.5.1", narrow.id);
    let answer = app
        .call(Method::GET, &path, &authorization, Body::empty())
        .await;
    assert_eq!(answer.status, 200);
    let status = app
        .call(
            Method::GET,
            "/extension/status",
            &authorization,
            Body::empty(),
        )
        .await;
    let status = status.json();
    let features = status["Features"].as_array().unwrap();
    let enrollment = features
        .iter()
        .find(|feature| feature["Name"] == "Enrollment");
    assert_eq!(enrollment.unwrap()["Partitions"], "5");
}

#[tokio::test]
async fn tokens_that_are_not_ours_are_refused_everywhere() {
    let app = TestApp::new();
    let good = app.ready("bcid=bws.1.1&task=identify").await;
    let parts: Vec<&str> = good.split('.').collect();
    let none = BASE64_URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"none"}"#);
    let mut raised = payload(&good);
    raised["task"] = json!(0x2f);
    let raised = BASE64_URL_SAFE_NO_PAD.encode(raised.to_string());

    let registered = app.state.apps().find(app.id).unwrap().unwrap();
    let grant = vultus::access::Grant {
        bcid: Some("bws.1.1".parse().unwrap()),
        task: vultus::access::Task::Identify,
        max_tries: 3,
        live: false,
        challenge_length: None,
        auto_enroll: false,
        traits: vultus::access::Traits::FACE,
    };
    let now = app.clock.now();
    let other_key = Tokens::new(&ServerKey::random(&mut rand::rng()), super::app::URL)
        .issue(&registered, &grant, now, &mut rand::rng())
        .unwrap();
    let other_place = Tokens::new(&app.key, "https://elsewhere.example.org")
        .issue(&registered, &grant, now, &mut rand::rng())
        .unwrap();

    for token in [
        String::new(),
        "x".to_owned(),
        "a.b.c".to_owned(),
        format!("{none}.{}.", parts[1]),
        format!("{none}.{}.{}", parts[1], parts[2]),
        format!("{}.{raised}.{}", parts[0], parts[2]),
        format!("{}.{}", parts[0], parts[1]),
        other_key.expose().to_owned(),
        other_place.expose().to_owned(),
    ] {
        let upload = app.upload(&token, &obama()).await;
        upload.message(401);
        assert!(!upload.body.contains(&good[..40]), "an error shows a token");
        app.task(&token, "identify").await.message(401);
    }
    // None of that cost the good token its sample or a try.
    assert_eq!(app.task(&good, "identify").await.status, 200);
}

#[tokio::test]
async fn the_token_of_a_removed_app_is_worth_nothing() {
    let app = TestApp::new();
    let token = app.ready("bcid=bws.1.1&task=enroll").await;
    app.state.apps().remove(app.id).unwrap();
    app.task(&token, "enroll")
        .await
        .says(401, "no longer exists");
    app.upload(&token, &obama()).await.message(401);
}

#[tokio::test]
async fn a_token_expires_with_its_samples() {
    let app = TestApp::new();
    let token = app.ready("bcid=bws.1.1&task=enroll").await;
    app.advance(599);
    assert_eq!(app.upload(&token, &obama()).await.status, 200);
    app.advance(1);
    app.task(&token, "enroll").await.says(401, "expired");
    app.upload(&token, &obama()).await.says(401, "expired");
    app.state.samples().sweep(app.clock.now());
    assert!(app.state.samples().is_empty());
    let path = "/extension/isenrolled?bcid=bws.1.1&trait=face";
    app.ask(Method::GET, path).await.message(404);
}

#[tokio::test]
async fn a_token_serves_its_own_task_only_and_the_mistake_costs_nothing() {
    let app = TestApp::new();
    app.enroll("bws.1.1", &obama()).await;
    let token = app.ready("bcid=bws.1.2&task=identify&maxtries=1").await;
    app.task(&token, "enroll")
        .await
        .says(403, "`identify`, not `enroll`");
    assert_eq!(app.task(&token, "identify").await.json()["Success"], true);
    let token = app.ready("bcid=bws.1.2&task=enroll&maxtries=1").await;
    app.task(&token, "identify")
        .await
        .says(403, "`enroll`, not `identify`");
    assert_eq!(app.task(&token, "enroll").await.json()["Success"], true);
    let token = app.ready("bcid=bws.1.2").await;
    app.task(&token, "identify").await.says(403, "`verify`");
}

#[tokio::test]
async fn tries_are_counted_and_end() {
    let mut app = TestApp::new();
    app.enroll("bws.1.1", &obama()).await;
    let token = app.token("bcid=bws.1.1&task=identify&maxtries=2").await;
    // Calls without samples are no tries, however many.
    for _ in 0..5 {
        app.task(&token, "identify").await.says(400, "no samples");
    }
    for _ in 0..2 {
        app.refill(&token).await;
        assert_eq!(app.task(&token, "identify").await.status, 200);
    }
    app.refill(&token).await;
    app.task(&token, "identify").await.says(403, "attempts");
    // Also without samples, and after a restart.
    app.task(&token, "identify").await.says(403, "attempts");
    app.restarted();
    app.refill(&token).await;
    app.task(&token, "identify").await.says(403, "attempts");
}

#[tokio::test]
async fn a_token_that_demands_liveness_is_not_passed_by_one_picture() {
    let app = TestApp::new();
    for query in ["livedetection=true", "livedetection="] {
        let query = format!("bcid=bws.1.1&task=enroll&maxtries=2&{query}");
        let token = app.token(&query).await;
        assert_eq!(payload(&token)["task"], 0x122);
        app.refill(&token).await;
        // Switching it off in the call has no effect.
        let refused = app.task(&token, "enroll?livedetection=false").await;
        let failed = r#"{"Success":false,"Error":"LiveDetectionFailed"}"#;
        assert_eq!(refused.body, failed);
        // The samples are gone and the try is counted.
        app.task(&token, "enroll").await.says(400, "no samples");
        app.refill(&token).await;
        assert_eq!(app.task(&token, "enroll").await.body, failed);
        app.refill(&token).await;
        app.task(&token, "enroll").await.message(403);
    }
    let path = "/extension/isenrolled?bcid=bws.1.1&trait=face";
    app.ask(Method::GET, path).await.message(404);
}

#[tokio::test]
async fn a_head_request_uses_nothing_up() {
    let app = TestApp::new();
    let token = app.ready("bcid=bws.1.1&task=enroll&maxtries=1").await;
    let bearer = format!("Bearer {token}");
    let head = app
        .call(Method::HEAD, "/extension/enroll", &bearer, Body::empty())
        .await;
    assert_eq!(head.status, 405);
    assert_eq!(head.headers[header::ALLOW], "GET");
    assert_eq!(app.task(&token, "enroll").await.status, 200);
}

#[tokio::test]
async fn nothing_is_to_be_cached() {
    let app = TestApp::new();
    for path in ["/extension/status", "/extension/token", "/nothing"] {
        let answer = app.ask(Method::GET, path).await;
        assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
    }
}
