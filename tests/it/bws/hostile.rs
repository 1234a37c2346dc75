//! What is meant to do harm: refused with its cause, and nobody else notices.

use std::io::Cursor;
use std::path::Path;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine as _};
use hmac::{Hmac, KeyInit, Mac};
use image::codecs::gif::GifEncoder;
use image::{DynamicImage, Frame, ImageFormat};
use serde_json::{Value, json};
use sha2::{Sha256, Sha512};
use vultus::access::{Grant, ServerKey, Task, Tokens, Traits};

use super::wire::Live;

use crate::harness::{Answer, Body, Bws, Call, Door, Service, URL, Who, basic, pictures};

/// A service with one person, and a token with one try and one waiting sample. None of it must be
/// touched by what is refused.
struct Victim {
    service: Service,
    token: String,
}

impl Victim {
    fn new() -> Victim {
        let service = Service::new();
        service.enroll("bws.1.1", pictures::obama());
        let token = service.ready("bcid=bws.1.2&task=enroll&maxtries=1");
        Victim { service, token }
    }

    /// Fails unless all is as it was: one sample, one try, one person.
    fn is_untouched(&self) {
        let service = &self.service;
        assert_eq!(
            service.state.samples().len(),
            1,
            "samples were kept or lost"
        );
        for (bcid, status) in [("bws.1.1", 200), ("bws.1.2", 404)] {
            let path = format!("isenrolled?bcid={bcid}&trait=face");
            assert_eq!(service.ask("GET", &path).status, status, "{bcid}");
        }
        let done = service.task(&self.token, "enroll");
        assert_eq!(done.body, r#"{"Success":true}"#);
        let path = "isenrolled?bcid=bws.1.2&trait=face";
        assert_eq!(service.ask("GET", path).status, 200);
    }
}

fn part(token: &str, number: usize) -> Value {
    let part = token.split('.').nth(number).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// The key that signs the tokens of a data directory.
fn signing_key(directory: &Path) -> Vec<u8> {
    let text = std::fs::read_to_string(directory.join(ServerKey::FILE_NAME)).unwrap();
    let both = BASE64_STANDARD
        .decode(text.lines().nth(1).unwrap())
        .unwrap();
    both[32..].to_vec()
}

fn signed_with<M: Mac + KeyInit>(key: &[u8], header: &str, claims: &str) -> String {
    let head = BASE64_URL_SAFE_NO_PAD.encode(header);
    let text = format!("{head}.{}", BASE64_URL_SAFE_NO_PAD.encode(claims));
    let mut mac = <M as KeyInit>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    let signature = BASE64_URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    format!("{text}.{signature}")
}

#[test]
fn tokens_that_somebody_made_up_are_401_and_leave_nothing_behind() {
    let victim = Victim::new();
    let (service, good) = (&victim.service, &victim.token);
    let key = signing_key(service.store.directory());
    let claims = part(good, 1);
    let header = r#"{"typ":"JWT","alg":"HS256"}"#;
    // What is changed below is the only thing that is wrong with it.
    let remade = signed_with::<Hmac<Sha256>>(&key, header, &claims.to_string());
    service.task(&remade, "identify").refuses(403, "`enroll`");

    let mut bad = Vec::new();
    for algorithm in ["none", "None", "HS512", "HS384", "RS256", "ES256", ""] {
        let header = format!(r#"{{"typ":"JWT","alg":"{algorithm}"}}"#);
        let made = signed_with::<Hmac<Sha256>>(&key, &header, &claims.to_string());
        let (unsigned, _) = made.rsplit_once('.').unwrap();
        bad.push(format!("{unsigned}."));
        bad.push(unsigned.to_owned());
        bad.push(made);
    }
    let header512 = r#"{"typ":"JWT","alg":"HS512"}"#;
    bad.push(signed_with::<Hmac<Sha512>>(
        &key,
        header512,
        &claims.to_string(),
    ));
    bad.push(signed_with::<Hmac<Sha256>>(
        &[0; 32],
        header,
        &claims.to_string(),
    ));
    bad.push(signed_with::<Hmac<Sha256>>(
        b"",
        header,
        &claims.to_string(),
    ));
    let with_key =
        r#"{"typ":"JWT","alg":"HS256","jwk":{"kty":"oct","k":"AAAA"},"kid":"../../dev/null"}"#;
    bad.push(signed_with::<Hmac<Sha256>>(
        &[0; 3],
        with_key,
        &claims.to_string(),
    ));

    // Signed by us, and yet no token of ours: each claim wrong or missing in turn.
    let now = claims["nbf"].as_i64().unwrap();
    for (name, value) in [
        ("exp", json!(now - 1)),
        ("exp", json!("never")),
        ("exp", json!(i64::MIN)),
        ("nbf", json!(now + 3600)),
        ("nbf", json!(1e300)),
        ("iss", json!("somebody")),
        ("aud", json!("https://elsewhere.example.org")),
        ("app", json!("3b241101-e2bb-4255-8caf-4136c566a962")),
        ("app", json!("nobody")),
        ("tokenid", json!("x")),
        ("task", json!("enroll")),
        ("task", json!(-1)),
        ("task", json!(u64::MAX)),
        ("bcid", json!("bws/1")),
        ("bcid", json!(7)),
        ("traits", json!([1])),
    ] {
        for value in [Some(value), None] {
            let mut changed = claims.clone();
            let members = changed.as_object_mut().unwrap();
            match value {
                Some(value) => members.insert(name.to_owned(), value),
                None => members.remove(name),
            };
            bad.push(signed_with::<Hmac<Sha256>>(
                &key,
                header,
                &changed.to_string(),
            ));
        }
    }
    for claims in ["", "{}", "[]", "null", "\u{0}", "{\"exp\":"] {
        bad.push(signed_with::<Hmac<Sha256>>(&key, header, claims));
    }
    let deep = "[".repeat(100_000);
    bad.push(signed_with::<Hmac<Sha256>>(&key, header, &deep));
    bad.push(signed_with::<Hmac<Sha256>>(
        &key,
        &deep,
        &claims.to_string(),
    ));

    for token in &bad {
        let shown = &token[..token.len().min(200)];
        for answer in [
            service.task(token, "enroll"),
            service.task(token, "identify"),
            service.upload(token, "data:image/png;base64,AAAA"),
        ] {
            assert_eq!(answer.status, 401, "{shown}: {}", answer.body);
            answer.message(401);
        }
    }
    victim.is_untouched();
}

#[test]
fn a_token_cut_anywhere_or_with_any_character_changed_is_401() {
    let victim = Victim::new();
    let (service, good) = (&victim.service, &victim.token);
    for length in 0..good.len() {
        let answer = service.task(&good[..length], "enroll");
        assert_eq!(answer.status, 401, "{length} characters: {}", answer.body);
    }
    for at in 0..good.len() {
        let mut changed = good.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        let answer = service.task(&changed, "enroll");
        assert_eq!(answer.status, 401, "character {at}: {}", answer.body);
    }
    for more in ["A", ".", ".AAAA", "=", " A"] {
        let answer = service.task(&format!("{good}{more}"), "enroll");
        assert_eq!(answer.status, 401, "`{more}`: {}", answer.body);
    }
    victim.is_untouched();
}

#[test]
fn a_token_before_its_time_is_401_and_after_it_too() {
    let victim = Victim::new();
    let service = &victim.service;
    let registered = service
        .state
        .apps()
        .find(&service.credentials(Who::Main).id.parse().unwrap())
        .unwrap()
        .unwrap();
    let grant = Grant {
        bcid: Some("bws.1.1".parse().unwrap()),
        task: Task::Enroll,
        max_tries: 3,
        live: false,
        challenge_length: None,
        mirrored: None,
        auto_enroll: false,
        traits: Traits::FACE,
    };
    let later = service.clock.now().after(Duration::from_secs(3600));
    let future = Tokens::new(&service.server_key, URL)
        .issue(&registered, &grant, later, &mut rand::rng())
        .unwrap();
    service
        .upload(future.expose(), pictures::obama())
        .message(401);
    service.task(future.expose(), "enroll").message(401);
    victim.is_untouched();
    let token = service.token("bcid=bws.1.3&task=enroll");
    service.accepted(&token, pictures::obama());
    service.advance(600);
    service.task(&token, "enroll").refuses(401, "expired");
}

#[test]
fn credentials_that_are_too_much_are_401() {
    let victim = Victim::new();
    let service = &victim.service;
    let long = "A".repeat(1 << 20);
    for authorization in [
        format!("Bearer {long}"),
        format!("Bearer {long}.{long}.{long}"),
        format!("Basic {long}"),
        basic(&service.credentials(Who::Main).id, &long),
        basic(&long, &service.credentials(Who::Main).secret),
        "Bearer".to_owned(),
        "Bearer  ".to_owned(),
        "Basic Og==".to_owned(),
        format!("Bearer Bearer {}", victim.token),
        format!("{}, {}", service.basic(Who::Main), service.basic(Who::Main)),
    ] {
        let shown = &authorization[..authorization.len().min(40)];
        for (method, path) in [
            ("GET", "enroll"),
            ("POST", "upload"),
            ("GET", "status"),
            ("GET", "token"),
        ] {
            let answer = service.call(method, path, &authorization, "");
            assert_eq!(answer.status, 401, "{shown}: {}", answer.body);
        }
    }
    let no_text = Call::new("GET", "enroll").by(&b"Bearer \xff\xfe"[..]);
    service.send(no_text).refuses(401, "");
    victim.is_untouched();
}

#[test]
fn a_hundred_megabytes_are_413_whatever_they_say_they_are() {
    let victim = Victim::new();
    let service = &victim.service;
    let other = service.token("bcid=bws.1.3&task=enroll");
    for kind in [
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/json",
    ] {
        let upload = Call::new("POST", "upload").by_bearer(&other);
        let body = Body::new(kind, vec![b'A'; 100 << 20]);
        service.send(upload.with(body)).refuses(413, "bytes");
    }
    victim.is_untouched();
}

#[test]
fn hundreds_of_megabytes_on_a_socket_are_refused_and_the_next_is_served() {
    let live = Live::start();
    let token = live.service.token("bcid=bws.1.1&task=enroll");
    let head = format!(
        "POST /extension/upload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Content-Length: {}\r\n\r\n",
        400 << 20
    );
    let mut wire = live.connect();
    wire.send(head.as_bytes());
    let piece = vec![b'A'; 1 << 20];
    let sent = (0..400).take_while(|_| wire.try_send(&piece)).count();
    // The service throws away 64 MiB after its answer, so that a proxy hears it. What is beyond
    // them lay in buffers on the way, which the system lets grow to tens of megabytes.
    assert!(sent < 200, "{sent} MiB were read");
    let mut next = live.connect();
    let picture = pictures::obama();
    let request = format!(
        "POST /extension/upload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Content-Length: {}\r\n\r\n{picture}",
        picture.len()
    );
    next.ask(&request).is("HTTP/1.1 200 OK");
    assert_eq!(live.service.state.samples().len(), 1);
}

#[test]
fn a_body_that_does_not_come_is_408() {
    let live = Live::with(|settings| settings.body_wait = Duration::from_millis(300));
    let token = live.service.token("bcid=bws.1.1&task=enroll&maxtries=1");
    let picture = pictures::obama();
    for sent in [0, 1, 1000, picture.len() - 1] {
        let mut wire = live.connect();
        wire.send(
            format!(
                "POST /extension/upload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
                 Content-Length: {}\r\n\r\n{}",
                picture.len(),
                &picture[..sent]
            )
            .as_bytes(),
        );
        let seen = wire.read();
        seen.is("HTTP/1.1 408 Request Timeout");
        let message = seen.json()["Message"].as_str().unwrap().to_owned();
        assert!(message.contains("too long"), "{message}");
        assert!(live.service.state.samples().is_empty(), "{sent}");
    }
    // The same picture at once is taken, and the token has lost nothing.
    live.service.accepted(&token, picture);
    live.service
        .task(&token, "enroll")
        .is(r#"{"Success":true}"#);
}

#[test]
fn what_is_no_http_harms_nobody() {
    let live = Live::start();
    for rubbish in [
        &b"\0\0\0\0"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /extension/status HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST /extension/upload HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /extension/upload HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST /extension/upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut wire = live.connect();
        wire.send(rubbish);
    }
    let many = "x: y\r\n".repeat(5000);
    live.connect()
        .send(format!("GET / HTTP/1.1\r\n{many}\r\n").as_bytes());
    let status = "GET /extension/status HTTP/1.1\r\nHost: x\r\n\r\n";
    live.connect().ask(status).is("HTTP/1.1 401 Unauthorized");
}

/// The bytes of a number with the largest first, as PNG has them.
fn be(number: u32) -> [u8; 4] {
    let mut bytes = number.to_le_bytes();
    bytes.reverse();
    bytes
}

/// A PNG chunk with its checksum.
fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(kind);
    crc.update(data);
    let length = be(u32::try_from(data.len()).unwrap());
    [&length[..], kind, data, &be(crc.sum())].concat()
}

/// A sound PNG of grey pixels, all black, whose file is a thousandth of its pixels.
fn black_png(width: u32, height: u32) -> Vec<u8> {
    let mut packer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    let row = vec![0; 1 + width as usize];
    for _ in 0..height {
        std::io::Write::write_all(&mut packer, &row).unwrap();
    }
    let header = [&be(width)[..], &be(height), &[8, 0, 0, 0, 0]].concat();
    [
        &b"\x89PNG\r\n\x1a\n"[..],
        &chunk(b"IHDR", &header),
        &chunk(b"IDAT", &packer.finish().unwrap()),
        &chunk(b"IEND", b""),
    ]
    .concat()
}

/// A TIFF whose tags claim this size.
fn tiff(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = b"II*\0\x08\0\0\0".to_vec();
    let tags: [(u16, u32); 7] = [
        (256, width),
        (257, height),
        (258, 8),
        (259, 1),
        (262, 1),
        (273, 8),
        (279, 16),
    ];
    bytes.extend(u16::try_from(tags.len()).unwrap().to_le_bytes());
    for (tag, value) in tags {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(4_u16.to_le_bytes());
        bytes.extend(1_u32.to_le_bytes());
        bytes.extend(value.to_le_bytes());
    }
    bytes.extend([0; 4]);
    bytes
}

#[test]
fn pictures_that_claim_gigabytes_are_400() {
    let victim = Victim::new();
    let (service, token) = (&victim.service, &victim.token);
    let png_header = |width: u32, height: u32| {
        let header = [&be(width)[..], &be(height), &[16, 6, 0, 0, 0]].concat();
        let png = [&b"\x89PNG\r\n\x1a\n"[..], &chunk(b"IHDR", &header)];
        [
            &png.concat()[..],
            &chunk(b"IDAT", &[0x78, 1]),
            &chunk(b"IEND", b""),
        ]
        .concat()
    };
    let bmp = |width: i32, height: i32| {
        let mut bytes = b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0".to_vec();
        bytes.extend(width.to_le_bytes());
        bytes.extend(height.to_le_bytes());
        bytes.extend([1, 0, 24, 0]);
        bytes.extend([0; 24]);
        bytes
    };
    let mut gif = b"GIF89a\xff\xff\xff\xff\x80\0\0\0\0\0\xff\xff\xff".to_vec();
    gif.extend(b",\0\0\0\0\xff\xff\xff\xff\0\x02\x02D\x01\0;");
    let mut jpeg = pictures::file("obama-portrait");
    let frame = jpeg
        .windows(2)
        .position(|pair| pair[0] == 0xff && [0xc0, 0xc2].contains(&pair[1]));
    let frame = frame.unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xff, 0xdc, 0xff, 0xdc]);
    let pnm = b"P6 60000 60000 255\n".to_vec();
    let webp = [
        &b"RIFF\x20\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff"[..],
        b"VP8L\x05\0\0\0\x2f\xff\xff\xff\x0f\0",
    ]
    .concat();
    for (name, picture) in [
        ("PNG", png_header(60_000, 60_000)),
        (
            "PNG of the largest size",
            png_header(0x7fff_ffff, 0x7fff_ffff),
        ),
        (
            "PNG with 400 million pixels in it",
            black_png(20_000, 20_000),
        ),
        ("PNG with 65 million pixels in it", black_png(8_125, 8_000)),
        ("BMP", bmp(60_000, 60_000)),
        ("BMP of the largest size", bmp(i32::MAX, i32::MIN)),
        ("GIF", gif),
        ("JPEG", jpeg),
        ("TIFF", tiff(60_000, 60_000)),
        ("TIFF of the largest size", tiff(u32::MAX, u32::MAX)),
        ("PPM", pnm),
        ("WebP", webp),
    ] {
        let answer = service.upload(token, &pictures::data_url("image/png", &picture));
        assert_eq!(answer.status, 400, "{name}: {}", answer.body);
        let message = answer.message(400);
        let causes = ["pixels", "damaged", "truncated"];
        assert!(
            causes.iter().any(|cause| message.contains(cause)),
            "{name}: {message}"
        );
    }
    victim.is_untouched();
}

#[test]
fn pictures_of_other_kinds_are_read_or_refused_with_their_cause() {
    let service = Service::new();
    service.enroll("bws.1.1", pictures::obama());
    let picture = image::load_from_memory(&pictures::file("obama-portrait")).unwrap();
    let picture = picture.resize_to_fill(360, 480, image::imageops::FilterType::Triangle);
    let deep = DynamicImage::ImageRgb16(picture.to_rgb16());
    let with_alpha = DynamicImage::ImageRgba16(picture.to_rgba16());
    let floating = DynamicImage::ImageRgb32F(picture.to_rgb32f());
    // Of an animation the first picture counts; the second is somebody else.
    let other = image::load_from_memory(&pictures::file("biden-portrait")).unwrap();
    let other = other.crop_imm(0, 0, 423, 564);
    let other = other.resize_to_fill(360, 480, image::imageops::FilterType::Triangle);
    let mut animation = Cursor::new(Vec::new());
    GifEncoder::new(&mut animation)
        .encode_frames([&picture, &other].map(|picture| Frame::new(picture.to_rgba8())))
        .unwrap();
    for (name, picture) in [
        (
            "16 bits a channel",
            pictures::encoded(&deep, ImageFormat::Png),
        ),
        (
            "16 bits and alpha",
            pictures::encoded(&with_alpha, ImageFormat::Png),
        ),
        (
            "16 bits in a TIFF",
            pictures::encoded(&deep, ImageFormat::Tiff),
        ),
        (
            "floating point",
            pictures::encoded(&floating, ImageFormat::Tiff),
        ),
        (
            "an animation",
            pictures::data_url("image/gif", animation.get_ref()),
        ),
    ] {
        let token = service.token("bcid=bws.1.0&task=identify");
        let answer = service.upload(&token, &picture);
        if answer.status == 400 {
            let message = answer.message(400);
            assert!(message.contains("not supported"), "{name}: {message}");
            assert_eq!(name, "floating point", "{message}");
            continue;
        }
        assert_eq!(answer.json()["Accepted"], true, "{name}: {}", answer.body);
        let found = service.task(&token, "identify").json();
        let score = found["Matches"][0]["Score"].as_f64().unwrap();
        assert!(score > 0.9, "{name} shows somebody else: {score}");
    }
    // CMYK is read, too; there is no face in it.
    let root = env!("CARGO_MANIFEST_DIR");
    let cmyk = std::fs::read(format!("{root}/src/face/fixtures/cmyk.jpg")).unwrap();
    let token = service.token("bcid=bws.1.0&task=identify");
    let answer = service.upload(&token, &pictures::data_url("image/jpeg", &cmyk));
    assert_eq!(answer.json()["Error"], "NoFaceFound", "{}", answer.body);
}

#[test]
fn a_body_in_the_wrong_encoding_is_400() {
    let victim = Victim::new();
    let service = &victim.service;
    let picture = pictures::obama();
    let swapped = |unit: u16| unit.swap_bytes().to_le_bytes();
    let utf16 = |bytes: fn(u16) -> [u8; 2], mark: bool| {
        let units = picture.encode_utf16().flat_map(bytes);
        let mark: &[u8] = if mark { &bytes(0xfeff) } else { b"" };
        mark.iter().copied().chain(units).collect::<Vec<u8>>()
    };
    let latin = [b"data:image/\xe4;base64,", &picture.as_bytes()[23..]].concat();
    let inside = [
        &picture.as_bytes()[..1000],
        b"\xff\xfe\x00",
        &picture.as_bytes()[1000..],
    ]
    .concat();
    for (name, body) in [
        ("UTF-16, little end first", utf16(u16::to_le_bytes, false)),
        ("UTF-16, big end first", utf16(swapped, false)),
        ("UTF-16 with a mark", utf16(u16::to_le_bytes, true)),
        ("Latin-1 in the media type", latin),
        ("bytes that are no text in the data", inside),
        ("zeros", vec![0; 100_000]),
    ] {
        let bearer = format!("Bearer {}", victim.token);
        let answer = service.call("POST", "upload", &bearer, body);
        assert_eq!(answer.status, 400, "{name}: {}", answer.body);
        answer.refuses(400, "data");
    }
    victim.is_untouched();
}

/// All calls that take a BCID, with the credentials they need.
fn with_bcid(service: &Service, bcid: &str) -> Vec<Answer> {
    let mut answers = Vec::new();
    for (method, path) in [
        (
            "GET",
            format!(
                "token?id={}&task=enroll&bcid={bcid}",
                service.credentials(Who::Main).id
            ),
        ),
        ("GET", format!("isenrolled?trait=face&bcid={bcid}")),
        ("DELETE", format!("deleteclass?bcid={bcid}")),
    ] {
        answers.push(service.ask(method, &format!("/extension/{path}")));
    }
    answers
}

#[test]
fn names_of_storages_with_other_characters_are_400_or_403() {
    let victim = Victim::new();
    let long = "a".repeat(10_000);
    for storage in [
        "%00",
        "bws%00",
        "bws%0A",
        "bws%0D%0ASet-Cookie:%20a=b",
        "%1B%5B31mbws",
        "%7F",
        "b%C3%BCro",
        "b%FCro",
        "%F0%9F%98%80",
        "bw%CC%81s",
        "%E2%80%AEswb",
        "%EF%BC%A2ws",
        "%C0%AE%C0%AE",
        "bws%20",
        "..",
        "..%2F..%2Fetc",
        "%252e%252e",
        "'%20OR%201=1--",
        "%3Cscript%3E",
        "$%7Bjndi%7D",
        &long,
    ] {
        for answer in with_bcid(&victim.service, &format!("{storage}.1.1")) {
            let status = answer.status;
            let message = answer.message(status);
            assert!([400, 403].contains(&status), "{storage}: {status}");
            assert!(
                message.contains("BCID") || status == 403,
                "{storage}: {message}"
            );
            assert!(message.len() < 400, "{storage}: {} bytes", message.len());
            assert!(
                !message.contains(char::is_control),
                "{storage}: {message:?}"
            );
        }
    }
    victim.is_untouched();
}

#[test]
fn numbers_at_and_beyond_32_bits() {
    let victim = Victim::new();
    let service = &victim.service;
    for number in [
        "2147483648",
        "-2147483649",
        "4294967296",
        "4294967297",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775809",
        "340282366920938463463374607431768211457",
        "0x1",
        "1e0",
        "1.0",
        "+1",
        "%2B1",
        "--1",
        "-",
        "%D9%A1",
        "%EF%BC%91",
        "1%00",
        "",
    ] {
        for bcid in [format!("bws.{number}.1"), format!("bws.1.{number}")] {
            for answer in with_bcid(service, &bcid) {
                answer.refuses(400, "BCID");
            }
        }
    }
    victim.is_untouched();
    // At the edges all is well, from the enrolment to the end.
    for (partition, class) in [(i32::MIN, i32::MAX), (i32::MAX, i32::MIN)] {
        let bcid = format!("bws.{partition}.{class}");
        service.enroll(&bcid, pictures::biden());
        let token = service.ready(&format!("bcid={bcid}&task=identify"));
        let found = service.task(&token, "identify").json();
        assert_eq!(found["Matches"][0]["Partition"], partition);
        assert_eq!(found["Matches"][0]["ClassID"], class);
        let path = format!("deleteclass?bcid={bcid}");
        assert_eq!(service.ask("DELETE", &path).status, 200);
        let path = format!("isenrolled?bcid={bcid}&trait=face");
        assert_eq!(service.ask("GET", &path).status, 404);
    }
}

#[test]
fn queries_and_paths_of_any_form_are_no_500() {
    let victim = Victim::new();
    let service = &victim.service;
    let many = "a=b&".repeat(8000);
    let long = "b".repeat(60_000);
    for query in [
        "%",
        "%zz=%zz",
        "bcid=%ff%fe",
        "=&=&&;",
        "bcid[]=1&bcid[0]=2",
        "bcid=bws.1.9&bcid=foreign.1.1",
        "%62cid=bws.1.9",
        "?bcid=bws.1.9",
        "bcid",
        &many,
        &long,
    ] {
        for (method, name) in [
            ("GET", "token"),
            ("GET", "isenrolled"),
            ("DELETE", "deleteclass"),
            ("GET", "status"),
        ] {
            let path = format!("/extension/{name}?{query}");
            let answer = service.ask(method, &path);
            assert!(answer.status < 500, "{path}: {}", answer.body);
        }
    }
    for path in [
        "/extension/../extension/status",
        "/extension/%73tatus",
        "status%00",
        "status/..",
        "/extension/STATUS",
        "/EXTENSION/status",
        "status;x=1",
        "/extension/%2e%2e/status",
        "/extension",
        "/%",
    ] {
        let answer = service.ask("GET", path);
        assert!(
            [200, 404].contains(&answer.status),
            "{path}: {}",
            answer.status
        );
    }
    victim.is_untouched();
}
