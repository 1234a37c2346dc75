//! Many probes in one call.

use std::time::Duration;

use axum::body::Body as SentBody;
use axum::http::{Request, header};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use vultus::access::{Reach, Scope};
use vultus::types::EncoderId;
use vultus::web::router;

use crate::harness::{Answer, Body, Door, Native, Service, axis};

const MANY: &str = "partitions/bws.1/identify-many";

/// A service with so many people of encoder `mine`, each along an axis of its own.
fn crowd(people: usize) -> Service {
    let service = Service::new();
    for class in 0..people {
        let path = format!("partitions/bws.1/classes/{class}/enroll");
        let body = json!({ "embeddings": [axis(class)], "encoder": "mine" });
        assert_eq!(service.post(&path, body).status, 200);
    }
    service
}

fn lines(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.headers[header::CONTENT_TYPE], "application/x-ndjson");
    let lines = answer.body.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// A matrix of single-precision numbers as NumPy saves it.
fn npy(rows: &[Vec<f32>]) -> Vec<u8> {
    let shape = format!("({}, {})", rows.len(), rows.first().map_or(16, Vec::len));
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n");
    let length = u16::try_from(header.len()).unwrap();
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend(length.to_le_bytes());
    file.extend(header.as_bytes());
    file.extend(rows.iter().flatten().flat_map(|value| value.to_le_bytes()));
    file
}

fn post_npy(service: &Service, query: &str, body: Vec<u8>) -> Answer {
    service.post(
        &format!("{MANY}{query}"),
        Body::new("application/x-npy", body),
    )
}

#[test]
fn each_probe_has_the_line_that_a_call_of_its_own_would_have() {
    let service = crowd(9);
    // More than are searched for at a time, and not a multiple of it.
    let probes: Vec<Vec<f32>> = (0..150)
        .map(|number| {
            let mut probe = axis(number % 11);
            probe[number % 7] += 0.5;
            probe
        })
        .collect();
    let body = json!({ "embeddings": probes, "encoder": "mine", "limit": 3, "threshold": 0.2 });
    let from_json = lines(&service.post(MANY, body));
    let query = "?encoder=mine@1&limit=3&threshold=0.2";
    let from_npy = lines(&post_npy(&service, query, npy(&probes)));
    assert_eq!(from_json, from_npy);
    assert_eq!(from_json.len(), 150);
    for (number, (line, probe)) in from_json.iter().zip(&probes).enumerate() {
        let body =
            json!({ "embeddings": [probe], "encoder": "mine", "limit": 3, "threshold": 0.2 });
        let alone = service.post("partitions/bws.1/identify", body).json();
        assert_eq!(line["probe"], number);
        assert_eq!(line["matches"], alone["matches"], "{number}");
    }
}

#[test]
fn a_stranger_has_a_line_without_anybody() {
    let service = crowd(3);
    let body = json!({ "embeddings": [axis(9), axis(1)], "encoder": "mine", "threshold": 0.5 });
    let found = lines(&service.post(MANY, body));
    assert_eq!(found[0]["matches"], json!([]));
    assert_eq!(found[1]["matches"][0]["class"], "1");
}

#[test]
fn all_probes_are_checked_before_the_first_line() {
    let service = crowd(3);
    let good = axis(1);
    for (body, status, code, sample) in [
        (
            json!({ "embeddings": [], "encoder": "mine" }),
            400,
            "no_samples",
            None,
        ),
        (json!({ "encoder": "mine" }), 400, "no_samples", None),
        (
            json!({ "embeddings": [good] }),
            400,
            "invalid_parameter",
            None,
        ),
        (
            json!({ "embeddings": [good, vec![0.0; 16]], "encoder": "mine" }),
            422,
            "invalid_embedding",
            Some(1),
        ),
        (
            json!({ "embeddings": [good, vec![1.0; 17]], "encoder": "mine" }),
            422,
            "invalid_embedding",
            Some(1),
        ),
        (
            json!({ "embeddings": [good, vec![1.0; 3]], "encoder": "mine" }),
            422,
            "invalid_embedding",
            Some(1),
        ),
        (
            json!({ "embeddings": [vec![1.0_f32; 17]], "encoder": "mine" }),
            409,
            "encoder_mismatch",
            None,
        ),
        (
            json!({ "embeddings": [good], "encoder": "other" }),
            409,
            "encoder_mismatch",
            None,
        ),
        (
            json!({ "embeddings": [good], "encoder": "a@b@c" }),
            400,
            "invalid_parameter",
            None,
        ),
        (
            json!({ "embeddings": [good], "encoder": "mine", "limit": 0 }),
            400,
            "invalid_parameter",
            None,
        ),
        (
            json!({ "embeddings": [good], "encoder": "mine", "threshold": 1.5 }),
            400,
            "invalid_parameter",
            None,
        ),
        (
            json!({ "embeddings": [good], "encoder": "mine", "pictures": [] }),
            400,
            "malformed_body",
            None,
        ),
        (
            json!({ "embeddings": vec![[1]; 10_001], "encoder": "mine" }),
            400,
            "too_many_samples",
            None,
        ),
    ] {
        let answer = service.post(MANY, body);
        let problem = answer.problem(status, code);
        assert_eq!(problem["sample"].as_u64(), sample, "{problem}");
    }
    let missing = service.post(
        "partitions/bws.2/identify-many",
        json!({ "embeddings": [good], "encoder": "mine" }),
    );
    missing.problem(404, "partition_not_found");
}

#[test]
fn a_file_that_is_no_matrix_of_embeddings_is_refused_with_its_reason() {
    let service = crowd(3);
    let good = npy(&[axis(1)]);
    let mut cut = good.clone();
    cut.truncate(good.len() - 1);
    let mut long = good.clone();
    long.push(0);
    let mut infinite = vec![axis(1), axis(2)];
    infinite[1][3] = f32::INFINITY;
    for (query, body, status, code) in [
        ("", good.clone(), 400, "invalid_parameter"),
        (
            "?encoder=mine&limit=x",
            good.clone(),
            400,
            "invalid_parameter",
        ),
        (
            "?encoder=mine&limit=1001",
            good.clone(),
            400,
            "invalid_parameter",
        ),
        (
            "?encoder=mine&threshold=NaN",
            good.clone(),
            400,
            "invalid_parameter",
        ),
        ("?encoder=mine&top=3", good, 400, "invalid_parameter"),
        ("?encoder=mine", Vec::new(), 400, "malformed_body"),
        (
            "?encoder=mine",
            b"no matrix".to_vec(),
            400,
            "malformed_body",
        ),
        ("?encoder=mine", cut, 400, "malformed_body"),
        ("?encoder=mine", long, 400, "malformed_body"),
        ("?encoder=mine", npy(&[]), 400, "malformed_body"),
        ("?encoder=mine", npy(&[vec![1.0; 3]]), 400, "malformed_body"),
        ("?encoder=mine", npy(&infinite), 422, "invalid_embedding"),
        (
            "?encoder=mine",
            npy(&[vec![1.0; 17]]),
            409,
            "encoder_mismatch",
        ),
    ] {
        let answer = post_npy(&service, query, body);
        answer.problem(status, code);
    }
    // What belongs to a matrix is not passed over beside JSON.
    let body = json!({ "embeddings": [axis(1)], "encoder": "mine" });
    let answer = service.post(&format!("{MANY}?limit=3"), body);
    let problem = answer.problem(400, "invalid_parameter");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("belongs into the body")
    );
    let text = service.post(MANY, Body::new("text/csv", b"1,2".to_vec()));
    text.problem(415, "unsupported_media_type");
}

/// A body of an answer to 64 probes and more, of which nothing was read yet.
async fn unread(service: &Service, key: &str) -> SentBody {
    let probes: Vec<Vec<f32>> = (0..200).map(|number| axis(number % 16)).collect();
    let body = json!({ "embeddings": probes, "encoder": "mine", "limit": 20 });
    let request = Request::post(format!("/v1/{MANY}"))
        .header(header::AUTHORIZATION, format!("Bearer {key}"))
        .header(header::CONTENT_TYPE, "application/json");
    let request = request.body(SentBody::from(body.to_string())).unwrap();
    let answer = router(service.state.clone()).oneshot(request).await;
    answer.unwrap().into_body()
}

/// Reads all of an answer, and keeps nothing of it. Returns how many lines there were.
async fn lines_of(mut answer: SentBody) -> usize {
    let mut lines = 0;
    while let Some(frame) = answer.frame().await {
        let bytes = frame.unwrap().into_data().unwrap();
        lines += bytes.iter().filter(|byte| **byte == b'\n').count();
    }
    lines
}

#[test]
fn answers_that_nobody_reads_take_no_more_room_than_there_is() {
    // Room for one piece of a caller, of which 204,800 bytes are thought and two thirds made, and for
    // one of another.
    let service = Service::with(|options| options.answer_bytes_total_max = 594_000);
    let encoder = EncoderId::parse("mine@1", 16).unwrap();
    service.enroll_crowd("bws.1", &encoder, 40);
    let key = service.key();
    let (_, other) = service.make_key(&Scope::ALL, Reach::Everything);
    service.runtime.block_on(async {
        let mut slow = unread(&service, &key).await;
        let kept = slow.frame().await.unwrap().unwrap().into_data().unwrap();
        let moment = Duration::from_millis(300);
        // Neither the next piece nor another call of the same caller.
        let mut second = unread(&service, &key).await;
        assert!(tokio::time::timeout(moment, slow.frame()).await.is_err());
        assert!(tokio::time::timeout(moment, second.frame()).await.is_err());
        // Somebody else has room, and what is read makes some.
        assert_eq!(lines_of(unread(&service, &other).await).await, 200);
        drop(kept);
        assert!(slow.frame().await.unwrap().is_ok());
        drop(slow);
        assert_eq!(lines_of(second).await, 200);
    });
}
