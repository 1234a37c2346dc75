//! The requests of known clients, byte for byte, over a socket.
//!
//! Only names that are their own secret (hosts, ids, secrets, tokens) are replaced. What each
//! client then does with the answer is what is asserted.

use std::fmt::Write as _;

use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, Engine as _};
use serde_json::{Value, json};

use super::wire::{Live, Seen, Wire};

use crate::harness::{Bws, Door, Who, pictures};

const OK: &str = "HTTP/1.1 200 OK";

/// A client of a service that was just started.
struct Client {
    live: Live,
    wire: Wire,
    token: String,
}

impl Client {
    fn new() -> Client {
        let live = Live::start();
        Client {
            wire: live.connect(),
            live,
            token: String::new(),
        }
    }

    /// Sends a request, given with line feeds alone, with `{HOST}`, `{ID}`, `{BASIC}` and `{TOKEN}`
    /// replaced, and `{LENGTH}` by the length of the body.
    fn ask(&mut self, head: &str, body: &str) -> Seen {
        let request = self.filled(head, body);
        self.wire.ask(&request)
    }

    fn filled(&self, head: &str, body: &str) -> String {
        let service = &self.live.service;
        let head = head
            .trim_start()
            .replace('\n', "\r\n")
            .replace("{HOST}", &self.live.address.to_string())
            .replace("{ID}", &service.credentials(Who::Main).id)
            .replace(
                "{BASIC}",
                service.basic(Who::Main).trim_start_matches("Basic "),
            )
            .replace("{TOKEN}", &self.token)
            .replace("{LENGTH}", &body.len().to_string());
        format!("{head}\r\n\r\n{body}")
    }

    /// Takes the body of a token answer for the token, as almost all clients do.
    fn take_token(&mut self, head: &str) {
        let seen = self.ask(head, "");
        seen.is(OK);
        self.token = seen.body;
    }
}

fn claims(token: &str) -> Value {
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64_STANDARD_NO_PAD.decode(part).unwrap()).unwrap()
}

fn accepted(seen: &Seen) {
    seen.is(OK);
    assert_eq!(seen.json()["Accepted"], true, "{}", seen.body);
    assert!(seen.json()["Warnings"].is_array(), "{}", seen.body);
    assert!(seen.json().get("Error").is_none(), "{}", seen.body);
}

/// A picture as the cameras of the vendor's apps take it.
fn captured(name: &str) -> image::DynamicImage {
    let picture = image::load_from_memory(&pictures::file(name)).unwrap();
    picture.resize_to_fill(360, 480, image::imageops::FilterType::Triangle)
}

const CLI_UPLOAD: &str = "
POST /extension/upload?index=1 HTTP/1.1
Host: {HOST}
Authorization: Bearer {TOKEN}
Content-Type: text/plain
Accept-Encoding: gzip, deflate
Content-Length: {LENGTH}";

/// BWS-cli (F#): enrolment, identification and what belongs to them.
#[test]
fn bws_cli() {
    let mut client = Client::new();
    let status = client.ask(
        "
GET /extension/status HTTP/1.1
Host: {HOST}
Authorization: Basic {BASIC}
Accept-Encoding: gzip, deflate",
        "",
    );
    let version = status.is(OK).json()["Version"].as_str().unwrap().to_owned();
    assert!(version.parse::<f64>().is_ok(), "{version}");
    assert!(status.json()["Label"].is_string());

    for (class, picture) in [("123", pictures::obama()), ("-7", pictures::biden())] {
        let head = "
GET /extension/token?id={ID}&bcid=bws.112.CLASS&task=enroll&livedetection=False HTTP/1.1
Host: {HOST}
Authorization: Basic {BASIC}
Accept-Encoding: gzip, deflate";
        client.take_token(&head.replace("CLASS", class));
        accepted(&client.ask(CLI_UPLOAD, picture));
        let enrolled = client.ask(
            "
GET /extension/enroll HTTP/1.1
Host: {HOST}
Authorization: Bearer {TOKEN}
Accept-Encoding: gzip, deflate",
            "",
        );
        assert_eq!(enrolled.is(OK).json(), json!({"Success": true}));
    }

    client.take_token(
        "
GET /extension/token?id={ID}&bcid=bws.112.0&task=identify&livedetection=False HTTP/1.1
Host: {HOST}
Authorization: Basic {BASIC}
Accept-Encoding: gzip, deflate",
    );
    // In parallel, with the same index.
    accepted(&client.ask(CLI_UPLOAD, pictures::obama()));
    accepted(&client.ask(CLI_UPLOAD, pictures::obama_again()));
    let found = client.ask(
        "
GET /extension/identify?maxresults=1 HTTP/1.1
Host: {HOST}
Authorization: Bearer {TOKEN}
Accept-Encoding: gzip, deflate",
        "",
    );
    let matches = found.is(OK).json()["Matches"].clone();
    assert_eq!(matches.as_array().unwrap().len(), 1);
    assert_eq!(matches[0]["ClassID"], 123);
    assert!(matches[0]["Score"].is_f64());

    verify_and_read_the_result(&mut client);

    for (head, status_line) in [
        (
            "GET /extension/isenrolled?bcid=bws.112.123&trait=face HTTP/1.1",
            OK,
        ),
        (
            "GET /extension/isenrolled?bcid=bws.112.4&trait=face HTTP/1.1",
            "HTTP/1.1 404 Not Found",
        ),
        (
            "GET /extension/isenrolled?bcid=bws.112.1&trait=ear HTTP/1.1",
            "HTTP/1.1 400 Bad Request",
        ),
        (
            "DELETE /extension/deleteclass?bcid=bws.112.123 HTTP/1.1",
            OK,
        ),
        (
            "GET /extension/isenrolled?bcid=bws.112.123&trait=face HTTP/1.1",
            "HTTP/1.1 404 Not Found",
        ),
    ] {
        let head = format!("{head}\nHost: {{HOST}}\nAuthorization: Basic {{BASIC}}");
        client.ask(&head, "").is(status_line);
    }
}

/// What BWS-cli does with a person that it has enrolled.
fn verify_and_read_the_result(client: &mut Client) {
    client.take_token(
        "
GET /extension/token?id={ID}&bcid=bws.112.123&livedetection=False HTTP/1.1
Host: {HOST}
Authorization: Basic {BASIC}
Accept-Encoding: gzip, deflate",
    );
    let result = "
GET /extension/result?access_token={TOKEN} HTTP/1.1
Host: {HOST}
Authorization: Basic {BASIC}
Accept-Encoding: gzip, deflate";
    client.ask(result, "").is("HTTP/1.1 204 No Content");
    for (picture, expected) in [
        (pictures::biden(), json!({"Success": false})),
        (pictures::obama_again(), json!({"Success": true})),
    ] {
        accepted(&client.ask(CLI_UPLOAD, picture));
        let verified = client.ask(
            "
GET /extension/verify HTTP/1.1
Host: {HOST}
Authorization: Bearer {TOKEN}
Accept-Encoding: gzip, deflate",
            "",
        );
        assert_eq!(verified.is(OK).json(), expected);
    }
    let last = client.ask(result, "");
    let expected = json!({"Success": true, "Action": "verification", "BCID": "bws/112/123"});
    assert_eq!(last.is(OK).json(), expected);
    // A client of 2014 shows the token itself.
    let last = client.ask(
        "
GET /extension/result?access_token={TOKEN} HTTP/1.1
Host: {HOST}
Authorization: Bearer {TOKEN}",
        "",
    );
    assert_eq!(last.is(OK).json(), expected);
}

/// A value of a form as .NET and Java write it.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            escaped.push(char::from(byte));
        } else {
            write!(escaped, "%{byte:02X}").unwrap();
        }
    }
    escaped
}

/// BWS-cli: the calls that bring their pictures with them, as forms.
#[test]
fn bws_cli_without_a_token() {
    let mut client = Client::new();
    let [one, two, photo, other] = [
        pictures::obama(),
        pictures::obama_again(),
        pictures::obama_left(),
        pictures::biden(),
    ]
    .map(escaped);
    let form = "
POST /extension/PATH HTTP/1.1
Host: {HOST}
Authorization: Basic {BASIC}
Content-Type: application/x-www-form-urlencoded
Accept-Encoding: gzip, deflate
Content-Length: {LENGTH}";
    for (path, body, word) in [
        (
            "livedetection",
            format!("liveimage1={one}&liveimage2={two}"),
            "true",
        ),
        (
            "livedetection",
            format!("liveimage1={one}&liveimage2={one}"),
            "false",
        ),
        (
            "photoverify?accuracy=5",
            format!("idphoto={photo}&liveimage1={one}&liveimage2={two}"),
            "true",
        ),
        (
            "photoverify",
            format!("idphoto={other}&liveimage1={one}&liveimage2={two}"),
            "false",
        ),
    ] {
        let seen = client.ask(&form.replace("PATH", path), &body);
        // It compares the exact text.
        assert_eq!(seen.is(OK).body, word, "{path}");
    }
    let refused = client.ask(&form.replace("PATH", "livedetection"), "liveimage1=");
    refused.is("HTTP/1.1 400 Bad Request");
    assert_eq!(refused.json(), json!({"Message": "MissingData"}));
    let check = "
POST /extension/qualitycheck?full=True&issuer=ICAO HTTP/1.1
Host: {HOST}
Authorization: Basic {BASIC}
Content-Type: text/plain
Accept-Encoding: gzip, deflate
Content-Length: {LENGTH}";
    let good = client.ask(check, pictures::with_room()).is(OK).json();
    assert_eq!(good["Success"], true, "{}", good["Errors"]);
    let portrait = good["ProcessedSample"].as_str().unwrap();
    assert!(portrait.starts_with("data:image/bmp;base64,Qk"));
    let close = client.ask(check, pictures::obama()).is(OK).json();
    assert_eq!(close["Success"], false);
    assert_eq!(close["Errors"][0]["Code"], "CannotCropImage");
}

/// FaceLivenessDetection (.NET) and the vendor's Go samples: JSON with two or three pictures.
#[test]
fn samples_that_send_json() {
    let mut client = Client::new();
    let photo = pictures::obama_left();
    let head = "
POST /extension/PATH HTTP/1.1
Host: {HOST}
User-Agent: Go-http-client/1.1
Content-Length: {LENGTH}
Authorization: Basic {BASIC}
Content-Type: application/json;charset=utf-8
Accept-Encoding: gzip";
    let pair =
        json!({"liveimage1": pictures::obama(), "liveimage2": pictures::obama_again()}).to_string();
    for state in ["details", "true"] {
        let path = format!("livedetection?state={state}");
        let seen = client.ask(&head.replace("PATH", &path), &pair);
        let found = seen.is(OK).json();
        assert_eq!(
            (&found["Success"], &found["State"]),
            (&json!(true), &json!(state))
        );
        // One of them flattens the errors of all samples.
        let samples = found["Samples"].as_array().unwrap();
        assert!(
            samples.iter().all(|sample| sample["Errors"].is_array()),
            "{found}"
        );
    }
    for (path, second) in [
        ("photoverify2", None),
        ("photoverify2", Some("data:,")),
        ("photoverify2?accuracy={4}", Some(pictures::obama_again())),
    ] {
        let mut body = json!({"idphoto": photo, "liveimage1": pictures::obama()});
        if let Some(second) = second {
            body["liveimage2"] = second.into();
        }
        // Braces are part of what one client sends.
        let seen = client.ask(&head.replace("PATH", path), &body.to_string());
        let found = seen.is(OK).json();
        assert_eq!(found["Success"], true, "{path}: {found}");
        assert!(found["AccuracyLevel"].as_u64().unwrap() >= 4, "{found}");
        assert_eq!(found["Samples"][0]["Errors"], json!([]));
    }
}

/// Janssen: a token and a call that both demand liveness.
#[test]
fn janssen() {
    let mut client = Client::new();
    for task in ["enroll", "verify"] {
        let head = "
GET /extension/token?id={ID}&bcid=bws.12345.-987&task=TASK&livedetection=true HTTP/1.1
Authorization: Basic {BASIC}
Host: {HOST}
Connection: Keep-Alive
User-Agent: Apache-HttpClient/4.5.13 (Java/11.0.15)";
        client.take_token(&head.replace("TASK", task));
        accepted(&client.ask(CLI_UPLOAD, pictures::obama()));
        accepted(&client.ask(
            &CLI_UPLOAD.replace("index=1", "index=2"),
            pictures::obama_again(),
        ));
        let head = "
GET /extension/TASK?livedetection=true HTTP/1.1
Authorization: Bearer {TOKEN}
Host: {HOST}
Connection: Keep-Alive";
        let done = client.ask(&head.replace("TASK", task), "");
        assert_eq!(done.is(OK).json(), json!({"Success": true}), "{task}");
    }
}

/// Clients on the .NET Framework announce a body and wait until they are told to go on.
#[test]
fn a_client_that_expects_to_be_told_to_continue() {
    let mut client = Client::new();
    client.take_token(
        "
GET /extension/token?id={ID}&bcid=bws.112.1&task=enroll&livedetection=False HTTP/1.1
Authorization: Basic {BASIC}
Host: {HOST}
Connection: Keep-Alive",
    );
    let picture = pictures::obama();
    let head = client.filled(
        "
POST /extension/upload HTTP/1.1
Authorization: Bearer {TOKEN}
Content-Type: text/plain; charset=utf-8
Host: {HOST}
Content-Length: LENGTH
Expect: 100-continue",
        "",
    );
    let length = picture.len().to_string();
    client.wire.send(head.replace("LENGTH", &length).as_bytes());
    assert_eq!(client.wire.read().status_line, "HTTP/1.1 100 Continue");
    accepted(&client.wire.ask(picture));
    // Refused before it need send anything.
    let refused = head
        .replace("LENGTH", &length)
        .replace("Bearer ", "Bearer x");
    client.wire.send(refused.as_bytes());
    let seen = client.wire.read();
    seen.is("HTTP/1.1 401 Unauthorized");
}

/// The page of the vendor with its `bws.capture.js`, in a browser: grey PNG or canvas.
#[test]
fn bws_capture_js() {
    let mut client = Client::new();
    // The page's server is written in PHP; with an empty trait.
    client.take_token(
        "
GET /extension/token?id={ID}&bcid=bws.112.1&task=enroll&maxtries=5 HTTP/1.1
Host: {HOST}
Authorization: Basic {BASIC}
Accept: */*",
    );
    let claims = claims(&client.token);
    assert_eq!(
        (&claims["task"], &claims["traits"]),
        (&json!(0x125), &json!(1))
    );
    for (index, path) in [
        "upload?tag=any&index=1&trait=FACE",
        "upload?tag=any&index=2&trait=",
    ]
    .into_iter()
    .enumerate()
    {
        let preflight = client.ask(
            &"
OPTIONS /extension/PATH HTTP/1.1
Host: {HOST}
Connection: keep-alive
Accept: */*
Access-Control-Request-Method: POST
Access-Control-Request-Headers: authorization,content-type
Origin: https://www.example.org
Sec-Fetch-Mode: cors
Sec-Fetch-Site: cross-site
Sec-Fetch-Dest: empty
Referer: https://www.example.org/
Accept-Encoding: gzip, deflate, br"
                .replace("PATH", path),
            "",
        );
        preflight.is(OK);
        for line in [
            "access-control-allow-origin: *",
            "access-control-allow-headers: authorization",
            "access-control-allow-methods: ",
        ] {
            assert!(preflight.headers.contains(line), "{}", preflight.headers);
        }
        // The second shows the head turned.
        let picture = match index {
            0 => image::DynamicImage::ImageLuma8(captured("obama-portrait").to_luma8()),
            _ => image::DynamicImage::ImageRgba8(captured("obama-white-house").to_rgba8()),
        };
        let uploaded = client.ask(
            &"
POST /extension/PATH HTTP/1.1
Host: {HOST}
Connection: keep-alive
Content-Length: {LENGTH}
Authorization: Bearer {TOKEN}
Accept: */*
Content-Type: application/x-www-form-urlencoded; charset=UTF-8
Origin: https://www.example.org
Sec-Fetch-Site: cross-site
Sec-Fetch-Mode: cors
Sec-Fetch-Dest: empty
Referer: https://www.example.org/
Accept-Encoding: gzip, deflate, br
Accept-Language: en-US,en;q=0.9"
                .replace("PATH", path),
            &pictures::encoded(&picture, image::ImageFormat::Png),
        );
        accepted(&uploaded);
        assert!(uploaded.headers.contains("access-control-allow-origin: *"));
    }
    let enrolled = client.ask(
        "
GET /extension/enroll HTTP/1.1
Host: {HOST}
Connection: keep-alive
Authorization: Bearer {TOKEN}
Accept: */*
Origin: https://www.example.org
Referer: https://www.example.org/
Accept-Encoding: gzip, deflate, br",
        "",
    );
    assert_eq!(enrolled.is(OK).body, r#"{"Success":true}"#);
    client.token.push('x');
    let refused = client.ask(
        "
GET /extension/enroll HTTP/1.1
Host: {HOST}
Authorization: Bearer {TOKEN}
Accept: */*
Origin: https://www.example.org",
        "",
    );
    // The page shows the phrase.
    refused.is("HTTP/1.1 401 Unauthorized");
    assert!(refused.headers.contains("access-control-allow-origin: *"));
}

/// Small web clients on axios: the token through a server that wants JSON.
#[test]
fn axios() {
    let mut client = Client::new();
    let token = client.ask(
        "
GET /extension/token?id={ID}&bcid=bws/12001/1&livedetection=false&task=enroll HTTP/1.1
Accept: application/json
Authorization: Basic {BASIC}
User-Agent: axios/0.27.2
Host: {HOST}
Connection: close",
        "",
    );
    // It passes on what it parsed: a text.
    client.token = token.is(OK).json().as_str().unwrap().to_owned();
    client.wire = client.live.connect();
    let uploaded = client.ask(
        "
POST /extension/upload HTTP/1.1
Host: {HOST}
Content-Length: {LENGTH}
Accept: application/json, text/plain, */*
Authorization: Bearer {TOKEN}
Content-Type: application/x-www-form-urlencoded
Origin: http://localhost:3000
Referer: http://localhost:3000/",
        pictures::obama(),
    );
    accepted(&uploaded);
    let enrolled = client.ask(
        "
GET /extension/enroll HTTP/1.1
Host: {HOST}
Accept: application/json, text/plain, */*
Authorization: Bearer {TOKEN}
Origin: http://localhost:3000",
        "",
    );
    assert_eq!(enrolled.is(OK).body, r#"{"Success":true}"#);
}

/// BWS-Android: `HttpURLConnection` behind a small library. Enrolment takes eight grey pictures.
#[test]
fn bws_android() {
    let mut client = Client::new();
    client.take_token(
        "
GET /extension/token?bcid=bws.112.1&id={ID}&task=enroll HTTP/1.1
Authorization: Basic {BASIC}
Accept: text/plain
User-Agent: Dalvik/2.1.0 (Linux; U; Android 8.0.0; Pixel Build/OPR3.170623.013)
Host: {HOST}
Connection: Keep-Alive
Accept-Encoding: gzip",
    );
    // What it reads of the token, with three parts and no claim missing.
    assert_eq!(client.token.split('.').count(), 3);
    assert!(claims(&client.token)["traits"].is_u64());
    assert_eq!(claims(&client.token)["task"], 0x123);
    let pictures = ["obama-portrait", "obama-white-house"].map(|name| {
        let grey = image::DynamicImage::ImageLuma8(captured(name).to_luma8());
        pictures::encoded(&grey, image::ImageFormat::Png)
    });
    for index in 0..8 {
        // Two of each position.
        let picture = &pictures[index / 2 % 2];
        let head = "
POST /extension/upload?index=INDEX&tag=any&trait=FACE HTTP/1.1
Authorization: Bearer {TOKEN}
Accept: application/json
Content-Type: text/plain; charset=utf-8
User-Agent: Dalvik/2.1.0 (Linux; U; Android 8.0.0; Pixel Build/OPR3.170623.013)
Host: {HOST}
Connection: Keep-Alive
Accept-Encoding: gzip
Content-Length: {LENGTH}";
        accepted(&client.ask(&head.replace("INDEX", &index.to_string()), picture));
    }
    let enrolled = client.ask(
        "
GET /extension/enroll HTTP/1.1
Authorization: Bearer {TOKEN}
Accept: application/json
User-Agent: Dalvik/2.1.0 (Linux; U; Android 8.0.0; Pixel Build/OPR3.170623.013)
Host: {HOST}
Connection: Keep-Alive
Accept-Encoding: gzip",
        "",
    );
    // It looks for the key, so that a null would become the text of an error.
    assert_eq!(enrolled.is(OK).json(), json!({"Success": true}));
}

/// BWS-iOS: an implicit form type, numbers from 1.
#[test]
fn bws_ios() {
    let mut client = Client::new();
    client.take_token(
        "
GET /extension/token?id={ID}&bcid=bws.112.1&task=enroll&maxtries=3&traits=Face,Periocular HTTP/1.1
Host: {HOST}
Accept: */*
Authorization: Basic {BASIC}
Accept-Language: en-us
Connection: keep-alive
Accept-Encoding: gzip, deflate
User-Agent: BioIDSample/1 CFNetwork/808.2.16 Darwin/16.3.0",
    );
    assert_eq!(claims(&client.token)["traits"], 3);
    let uploaded = client.ask(
        "
POST /extension/upload?tag=any&index=1&trait=Face,Periocular HTTP/1.1
Host: {HOST}
Content-Type: application/x-www-form-urlencoded
Connection: keep-alive
Accept: */*
User-Agent: BioIDSample/1 CFNetwork/808.2.16 Darwin/16.3.0
Content-Length: {LENGTH}
Accept-Language: en-us
Authorization: Bearer {TOKEN}
Accept-Encoding: gzip, deflate",
        pictures::obama(),
    );
    accepted(&uploaded);
    let untyped = client.ask(
        "
POST /extension/upload?tag=any&index=2&trait=Face,Periocular HTTP/1.1
Host: {HOST}
Content-Length: {LENGTH}
Authorization: Bearer {TOKEN}",
        pictures::obama_again(),
    );
    accepted(&untyped);
    let enrolled = client.ask(
        "
GET /extension/enroll HTTP/1.1
Host: {HOST}
Accept: */*
Authorization: Bearer {TOKEN}",
        "",
    );
    assert_eq!(enrolled.is(OK).json(), json!({"Success": true}));
}

/// The plug-in of Gluu casa and Janssen (Java): class ids from a hash of the user's name, a doubled
/// slash, and parameters that are not those of the call.
#[test]
fn casa() {
    let mut client = Client::new();
    let is_enrolled = "
GET /extension/isenrolled?bcid=bws.12345.-987&trait=Face&livedetection=true HTTP/1.1
Authorization: Basic {BASIC}
Host: {HOST}
Connection: Keep-Alive
User-Agent: Apache-HttpClient/4.5.13 (Java/11.0.15)
Accept-Encoding: gzip,deflate";
    client.ask(is_enrolled, "").is("HTTP/1.1 404 Not Found");
    client.take_token(
        "
GET /extension//token?id={ID}&bcid=bws.12345.-987&task=enroll&livedetection=false HTTP/1.1
Authorization: Basic {BASIC}
Host: {HOST}
Connection: Keep-Alive
User-Agent: Apache-HttpClient/4.5.13 (Java/11.0.15)",
    );
    assert_eq!(claims(&client.token)["bcid"], "bws/12345/-987");
    accepted(&client.ask(CLI_UPLOAD, pictures::obama()));
    let enrolled = client.ask(
        "
GET /extension/enroll?livedetection=false HTTP/1.1
Authorization: Bearer {TOKEN}
Host: {HOST}
Connection: Keep-Alive",
        "",
    );
    assert_eq!(enrolled.is(OK).json()["Success"], true);
    let seen = client.ask(is_enrolled, "");
    assert_eq!(seen.is(OK).body, "");
    let deleted = client.ask(
        "
DELETE /extension//deleteclass?bcid=bws.12345.-987 HTTP/1.1
Authorization: Basic {BASIC}
Host: {HOST}
Connection: Keep-Alive
User-Agent: Apache-HttpClient/4.5.13 (Java/11.0.15)",
        "",
    );
    assert_eq!(deleted.is(OK).body, "");
    client.ask(is_enrolled, "").is("HTTP/1.1 404 Not Found");
}

/// A page that fills a form and leaves its field without a name.
#[test]
fn a_form_with_a_field_without_a_name() {
    let mut client = Client::new();
    client.take_token(
        "
GET /extension/token?id={ID}&bcid=bws.112.1&task=identify&livedetection=false HTTP/1.1
Host: {HOST}
Authorization: Basic {BASIC}",
    );
    let picture = pictures::obama();
    let boundary = "----WebKitFormBoundary7MA4YWxkTrZu0gW";
    let form = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"\"\r\n\r\n{picture}\r\n--{boundary}--\r\n"
    );
    let uploaded = client.ask(
        "
POST /extension/upload?trait=Face HTTP/1.1
Host: {HOST}
Authorization: Bearer {TOKEN}
Cache-Control: no-cache
Content-Type: multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW
Content-Length: {LENGTH}",
        &form,
    );
    accepted(&uploaded);
    let found = client.ask(
        "
GET /extension/identify HTTP/1.1
Host: {HOST}
Authorization: JWT {TOKEN}",
        "",
    );
    let expected = json!({"Success": false, "Error": "NoTemplateAvailable"});
    assert_eq!(found.is(OK).json(), expected);
}

/// A client that sends its body in pieces and does not say how long it is.
#[test]
fn a_body_in_pieces() {
    let mut client = Client::new();
    client.take_token(
        "
GET /extension/token?id={ID}&bcid=bws.112.1&task=enroll&livedetection=false HTTP/1.1
Host: {HOST}
Authorization: Basic {BASIC}",
    );
    let picture = pictures::obama();
    let mut pieces = String::new();
    for piece in picture.as_bytes().chunks(65_536) {
        let piece = str::from_utf8(piece).unwrap();
        write!(pieces, "{:x}\r\n{piece}\r\n", piece.len()).unwrap();
    }
    pieces += "0\r\n\r\n";
    let uploaded = client.ask(
        "
POST /extension/upload HTTP/1.1
Host: {HOST}
Authorization: Bearer {TOKEN}
Transfer-Encoding: chunked",
        &pieces,
    );
    accepted(&uploaded);
}

/// One client encodes its credentials as ISO-8859-1, others as UTF-8; ids of old apps and secrets
/// have characters that must come through.
#[test]
fn secrets_with_the_characters_of_base64() {
    let mut client = Client::new();
    let secret = &client.live.service.credentials(Who::Main).secret;
    let decoded = BASE64_STANDARD.decode(secret);
    assert!(
        decoded.is_ok() && secret.len() >= 24,
        "secrets look otherwise"
    );
    let status = client.ask(
        "
GET /extension/status HTTP/1.1
Host: {HOST}
Authorization: basic {BASIC}",
        "",
    );
    status.is(OK);
}

/// What a media type is called differs between clients.
#[test]
fn media_types_of_clients() {
    let mut client = Client::new();
    client.take_token(
        "
GET /extension/token?id={ID}&bcid=bws.112.1&task=enroll&livedetection=false HTTP/1.1
Host: {HOST}
Authorization: Basic {BASIC}",
    );
    for kind in [
        "image/jpeg",
        "image/jpg",
        "image/pjpeg",
        "image/png",
        "image/*",
    ] {
        let picture = pictures::data_url(kind, &pictures::file("obama-portrait"));
        accepted(&client.ask(CLI_UPLOAD, &picture));
    }
}
