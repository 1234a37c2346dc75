//! The files of the page, as they are sent.

use std::hash::Hasher;
use std::sync::LazyLock;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use twox_hash::XxHash64;

/// A file of the page.
pub(super) struct File {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const JSON: &str = "application/json";
const SVG: &str = "image/svg+xml";

macro_rules! file {
    ($name:literal, $kind:expr) => {
        File {
            name: $name,
            kind: $kind,
            bytes: include_bytes!($name),
        }
    };
}

/// What a browser gets at the root.
pub(super) static INDEX: File = file!("index.html", HTML);

/// What that refers to, below `page/`.
static FILES: &[File] = &[
    file!("style.css", CSS),
    file!("icon.svg", SVG),
    file!("texts.json", JSON),
    file!("main.js", SCRIPT),
    file!("api.js", SCRIPT),
    file!("texts.js", SCRIPT),
    file!("elements.js", SCRIPT),
    file!("pictures.js", SCRIPT),
    file!("camera.js", SCRIPT),
    file!("signin.js", SCRIPT),
    file!("identify.js", SCRIPT),
    file!("naming.js", SCRIPT),
    file!("people.js", SCRIPT),
    file!("person.js", SCRIPT),
    file!("portraits.js", SCRIPT),
    file!("search.js", SCRIPT),
    file!("add.js", SCRIPT),
    file!("decisions.js", SCRIPT),
    file!("watch.js", SCRIPT),
    file!("charts.js", SCRIPT),
];

/// Nothing from anywhere else, no script and no style but those of the files, and no way to make a
/// script or an element out of a text. Pictures and the camera are shown from memory.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; \
     media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
);

/// What else a browser is told about every file.
const HEADERS: [(HeaderName, HeaderValue); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    ),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(self), microphone=(), geolocation=()"),
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    // It may be kept, and must be asked for again each time: a new program brings a new page.
    (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
];

/// A file below `page/`.
pub(super) fn named(name: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.name == name)
}

/// The file, or that the browser has it already.
pub(super) fn answer(file: &File, request: &HeaderMap) -> Response {
    let tag = file.tag();
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static(file.kind))];
    let mut response = match is_known(request, &tag) {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => (StatusCode::OK, kind, file.bytes).into_response(),
    };
    let headers = response.headers_mut();
    headers.extend(HEADERS);
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    response
}

/// Whether a browser has what `tag` names.
fn is_known(request: &HeaderMap, tag: &str) -> bool {
    let lists = request.get_all(header::IF_NONE_MATCH).iter();
    let mut known = lists.flat_map(|list| list.to_str().unwrap_or_default().split(','));
    known.any(|one| matches!(one.trim(), "*") || one.trim().trim_start_matches("W/") == tag)
}

/// A name for all files together.
pub(super) fn fingerprint() -> &'static str {
    static FINGERPRINT: LazyLock<String> = LazyLock::new(|| {
        let all = FILES.iter().chain([&INDEX]);
        hash(all.map(|file| file.bytes))
    });
    &FINGERPRINT
}

impl File {
    fn tag(&self) -> String {
        format!("\"{}\"", hash([self.bytes]))
    }
}

fn hash<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hasher = XxHash64::with_seed(0);
    parts.into_iter().for_each(|part| hasher.write(part));
    format!("{:016x}", hasher.finish())
}
