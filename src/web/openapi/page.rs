//! The page that shows the description. It is part of the program, and asks nobody but the service.

use std::collections::HashMap;
use std::io::Read;
use std::sync::{Arc, LazyLock};

use axum::body::Bytes;
use axum::extract::Path;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flate2::read::GzDecoder;
use utoipa_swagger_ui::Config;

/// Nothing from anywhere else, and no script but the two files. Swagger UI writes styles into its elements,
/// and its icons are in its style sheet.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// Addresses are relative, so that the page also works behind a proxy that puts something in front.
const INDEX: &str = r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Vultus API</title>
<link rel="icon" type="image/png" href="docs/favicon-32x32.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="page"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"#;

pub(super) const INDEX_NAME: &str = "index.html";

const START: &str = r##"SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#page",
  deepLinking: true,
  validatorUrl: null,
  defaultModelsExpandDepth: 0,
});
"##;

/// `GET /docs/{file}`: what the page consists of.
pub(super) async fn named(Path(name): Path<String>) -> Response {
    // Its addresses would be wrong there.
    if name == INDEX_NAME {
        return without_slash();
    }
    file(&name)
}

/// Sends a browser to the page itself.
pub(super) fn without_slash() -> Response {
    let place = (header::LOCATION, HeaderValue::from_static("../docs"));
    (StatusCode::PERMANENT_REDIRECT, [place]).into_response()
}

/// One of the files of the page, or 404.
pub(super) fn file(name: &str) -> Response {
    let answer = |kind: &'static str, body: Bytes| {
        let kind = HeaderValue::from_static(kind);
        let sniffing = HeaderName::from_static("x-content-type-options");
        let headers = [
            (header::CONTENT_TYPE, kind),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (sniffing, HeaderValue::from_static("nosniff")),
        ];
        (StatusCode::OK, headers, body).into_response()
    };
    let kind = match name {
        INDEX_NAME => return answer("text/html; charset=utf-8", INDEX.into()),
        "start.js" => return answer("text/javascript; charset=utf-8", START.into()),
        "swagger-ui-bundle.js" => "text/javascript; charset=utf-8",
        "swagger-ui.css" => "text/css; charset=utf-8",
        "favicon-32x32.png" => "image/png",
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    match UNPACKED.get(name) {
        Some(file) => answer(kind, file.clone()),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// The files that are packed in the program, unpacked once: whoever reads one slowly shares its memory
/// with all others.
static UNPACKED: LazyLock<HashMap<&'static str, Bytes>> = LazyLock::new(|| {
    let names = [
        "swagger-ui-bundle.js",
        "swagger-ui.css",
        "favicon-32x32.png",
    ];
    let unpacked = names.into_iter().filter_map(|name| {
        let packed = utoipa_swagger_ui::serve(name, Arc::new(Config::default())).ok()??;
        let mut file = Vec::new();
        GzDecoder::new(&*packed.bytes).read_to_end(&mut file).ok()?;
        Some((name, Bytes::from(file)))
    });
    unpacked.collect()
});
