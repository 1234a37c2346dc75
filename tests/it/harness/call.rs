//! What is sent.

use serde_json::Value;

use super::{Credentials, basic};

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: String,
    /// From the root, with its query.
    pub(crate) path: String,
    pub(crate) headers: Vec<(&'static str, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

/// A body and what it says it is.
pub(crate) struct Body {
    /// Empty if it says nothing.
    kind: String,
    bytes: Vec<u8>,
}

impl Call {
    /// A call of BWS, whose path is that behind `/extension/`. One that begins with a slash is from
    /// the root.
    pub(crate) fn new(method: impl Into<String>, path: impl AsRef<str>) -> Call {
        let path = path.as_ref();
        Call {
            method: method.into(),
            path: match path.starts_with('/') {
                true => path.to_owned(),
                false => format!("/extension/{path}"),
            },
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<Vec<u8>>) -> Call {
        self.headers.push((name, value.into()));
        self
    }

    /// With this `Authorization`.
    pub(crate) fn by(self, authorization: impl Into<Vec<u8>>) -> Call {
        self.header("Authorization", authorization)
    }

    /// By an app.
    pub(crate) fn by_app(self, app: &Credentials) -> Call {
        self.by(basic(&app.id, &app.secret))
    }

    /// By whoever has a token or a key.
    pub(crate) fn by_bearer(self, token: &str) -> Call {
        self.by(format!("Bearer {token}"))
    }

    /// With a body that says what it is.
    pub(crate) fn with(self, body: impl Into<Body>) -> Call {
        let body = body.into();
        let call = match body.kind.is_empty() {
            true => self,
            false => self.header("Content-Type", body.kind),
        };
        call.body(body.bytes)
    }

    /// With a body that does not say what it is.
    pub(crate) fn body(mut self, bytes: impl Into<Vec<u8>>) -> Call {
        self.body = bytes.into();
        self
    }
}

impl From<()> for Body {
    fn from((): ()) -> Body {
        Body::new("", [])
    }
}

impl From<&Value> for Body {
    fn from(body: &Value) -> Body {
        Body::new("application/json", body.to_string())
    }
}

impl From<Value> for Body {
    fn from(body: Value) -> Body {
        Body::from(&body)
    }
}

impl Body {
    pub(crate) fn new(kind: &str, bytes: impl Into<Vec<u8>>) -> Body {
        Body {
            kind: kind.to_owned(),
            bytes: bytes.into(),
        }
    }

    /// A form with these fields.
    pub(crate) fn form(fields: &[(&str, &[u8])]) -> Body {
        let mut bytes = Vec::new();
        for (name, value) in fields {
            let head = format!(
                "--frontier\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"f\"\r\n\
                 Content-Type: application/octet-stream\r\n\r\n"
            );
            bytes.extend(head.as_bytes());
            bytes.extend(*value);
            bytes.extend(b"\r\n");
        }
        bytes.extend(b"--frontier--\r\n");
        Body::new("multipart/form-data; boundary=frontier", bytes)
    }
}
