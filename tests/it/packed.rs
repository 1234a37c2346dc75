//! Bodies that are packed with gzip, at both doors.

use std::io::Write;

use axum::http::header;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use serde_json::json;

use crate::harness::{Answer, Body, Bws, Call, Door, Native, Service, Who, axis, pictures};

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn deflate(data: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn raw_deflate(data: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn identify(service: &Service, encoding: &str, body: Vec<u8>) -> Answer {
    let call = Call::new("POST", "/v1/partitions/bws.1/identify").by_bearer(&service.key());
    let call = call.with(Body::new("application/json", body));
    service.send(call.header("Content-Encoding", encoding))
}

fn upload(service: &Service, token: &str, encoding: &str, body: Vec<u8>) -> Answer {
    let call = Call::new("POST", "upload").by_bearer(token);
    service.send(call.body(body).header("Content-Encoding", encoding))
}

fn question() -> Vec<u8> {
    let body = json!({ "embeddings": [axis(0)], "encoder": "test", "threshold": -1 });
    body.to_string().into_bytes()
}

#[test]
fn what_is_packed_with_gzip_says_the_same() {
    let service = Service::new();
    service.enroll_embedding("bws.1", 1, &axis(0));
    let plain = identify(&service, "identity", question()).json();
    assert_eq!(plain["matches"][0]["class"], "1");
    for encoding in ["gzip", "GZIP", "x-gzip", "identity, gzip"] {
        let packed = identify(&service, encoding, gzip(&question()));
        assert_eq!(packed.json(), plain, "{encoding}");
    }
    // A form, too.
    let form = Body::form(&[("picture", &pictures::file("obama-portrait"))]);
    let call = Call::new("POST", "/v1/partitions/bws.2/classes/1/enroll").by_bearer(&service.key());
    let mut call = call.with(form).header("Content-Encoding", "gzip");
    call.body = gzip(&call.body);
    assert_eq!(service.send(call).json()["added"], 1);

    let token = service.token("bcid=bws.3.1");
    let picture = pictures::obama().as_bytes();
    for encoding in ["gzip", "X-Gzip"] {
        let answer = upload(&service, &token, encoding, gzip(picture));
        assert_eq!(answer.json()["Accepted"], true);
    }
    let call = Call::new("POST", "qualitycheck").by(service.basic(Who::Main));
    let call = call.body(gzip(picture)).header("Content-Encoding", "gzip");
    assert!(service.send(call).json()["EyeCenters"].is_object());
}

#[test]
fn other_ways_of_packing_are_refused_and_the_right_one_is_told() {
    let service = Service::new();
    let token = service.token("bcid=bws.1.1");
    for encoding in [
        "br",
        "zstd",
        "compress",
        "deflate",
        "gzip, br",
        "gzip, gzip",
        "aes128gcm",
    ] {
        let answer = identify(&service, encoding, gzip(&question()));
        answer.problem(415, "unsupported_media_type");
        assert_eq!(answer.header("accept-encoding"), "gzip, identity");
        let answer = upload(
            &service,
            &token,
            encoding,
            gzip(pictures::obama().as_bytes()),
        );
        answer.refuses(415, "Content-Encoding");
        assert_eq!(answer.header("accept-encoding"), "gzip, identity");
    }
}

#[test]
fn what_is_no_gzip_is_refused() {
    let service = Service::new();
    let token = service.token("bcid=bws.1.1");
    let whole = gzip(&question());
    for body in [
        question(),
        whole[..whole.len() - 1].to_vec(),
        whole[..20].to_vec(),
        whole[..5].to_vec(),
        [&whole[..], b"more"].concat(),
        deflate(&question()),
        raw_deflate(&question()),
        b"\x1f\x8b".to_vec(),
    ] {
        identify(&service, "gzip", body.clone()).problem(400, "malformed_body");
        upload(&service, &token, "gzip", body).refuses(400, "gzip");
    }
    // What says nothing of its packing is taken as it is, and is neither JSON nor a data-URL.
    identify(&service, "identity", whole.clone()).problem(400, "malformed_body");
    upload(&service, &token, "identity", whole).refuses(400, "data-URL");
    // Nothing at all is nothing, however it is packed.
    identify(&service, "gzip", Vec::new()).problem(400, "malformed_body");
    upload(&service, &token, "gzip", Vec::new()).refuses(400, "empty");
}

#[test]
fn the_limit_counts_what_a_body_unpacks_to() {
    let service = Service::with(|settings| settings.body_bytes_max = 100_000);
    let token = service.token("bcid=bws.1.1");
    let bomb = gzip(&vec![b' '; 50_000_000]);
    assert!(bomb.len() < 60_000);
    let answer = identify(&service, "gzip", bomb.clone());
    let problem = answer.problem(413, "body_too_large");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("after unpacking")
    );
    upload(&service, &token, "gzip", bomb).refuses(413, "after unpacking");
    let padded = |bytes: usize| {
        let mut body = question();
        body.resize(bytes, b' ');
        gzip(&body)
    };
    identify(&service, "gzip", padded(100_000)).problem(404, "partition_not_found");
    identify(&service, "gzip", padded(100_001)).problem(413, "body_too_large");
    // What unpacks to nothing has a limit as well.
    let empty = gzip(b"").repeat(10_000);
    identify(&service, "gzip", empty).problem(413, "body_too_large");
    let empty = gzip(b"").repeat(2_000);
    identify(&service, "gzip", empty).problem(400, "malformed_body");
}

#[test]
fn a_packed_body_takes_the_room_of_what_it_unpacks_to() {
    let service = Service::with(|settings| settings.body_bytes_total_max = 300_000);
    let padded = |bytes: usize| {
        let mut body = question();
        body.resize(bytes, b' ');
        gzip(&body)
    };
    assert!(padded(200_000).len() < 2_000);
    let answer = identify(&service, "gzip", padded(200_000));
    answer.problem(503, "busy");
    assert!(answer.headers.contains_key(header::RETRY_AFTER));
    for _ in 0..8 {
        let answer = identify(&service, "gzip", padded(100_000));
        answer.problem(404, "partition_not_found");
    }
}

/// PHP's `json_encode`, JavaScript's `JSON.stringify` and .NET's serializer make a text of JSON of
/// a data-URL, each with its own escapes.
#[test]
fn an_upload_may_be_a_text_of_json() {
    let service = Service::new();
    let token = service.token("bcid=bws.1.1");
    let plain = pictures::obama();
    let lines = BASE64_STANDARD.encode(pictures::file("obama-portrait"));
    let lines: Vec<&str> = (0..lines.len())
        .step_by(76)
        .map(|at| &lines[at..lines.len().min(at + 76)])
        .collect();
    for text in [
        format!("\"{}\"", plain.replace('/', "\\/")),
        format!("\"{plain}\""),
        format!(" \"{}\"\r\n", plain.replace('+', "\\u002B")),
        format!("\u{feff}\"{}\"", plain.replace('/', "\\/")),
        format!("\"data:image\\/jpeg;base64,{}\"", lines.join("\\n")),
        format!("\"data:image\\/jpeg;base64,{}\"", lines.join("\\r\\n")),
        plain.replace('/', "\\/"),
        format!("data:image/jpeg;base64,{}", lines.join("\r\n")),
    ] {
        for kind in ["", "application/json; charset=utf-8"] {
            let call = Call::new("POST", "upload").by_bearer(&token);
            let answer = service.send(call.with(Body::new(kind, text.clone())));
            assert_eq!(answer.json()["Accepted"], true, "{kind}: {}", &text[..40]);
        }
    }
    for text in [
        "\"data:image\\/jpeg;base64,\\q\"",
        "\"\"",
        "\"a text\"",
        "\"data:image\\/jpeg\"",
    ] {
        let call = Call::new("POST", "upload").by_bearer(&token);
        let answer = service.send(call.with(Body::new("application/json", text)));
        answer.message(400);
    }
}

/// Clients of this door send what nobody asks for, above all words that keep proxies from caching.
#[test]
fn what_nobody_asks_for_is_passed_over_at_the_door_of_bws() {
    let service = Service::new();
    let token = service.token("bcid=bws.1.1&task=enroll&_=1700000000000&_=2&no_such=true");
    for path in [
        "upload?_=123",
        "upload?_=123&_=124&nocache&trait=",
        "upload?threshold=1&%ff=%zz",
    ] {
        let answer = service.upload_to(&token, path, pictures::obama());
        assert_eq!(answer.json()["Accepted"], true, "{path}");
    }
    assert_eq!(
        service.task(&token, "enroll?_=123&replace=true").status,
        200
    );
    assert_eq!(service.ask("GET", "status?_=123&no_such=1").status, 200);
    let check = "isenrolled?bcid=bws.1.1&trait=face&_=1";
    assert!(service.ask("GET", check).status < 300);
}
