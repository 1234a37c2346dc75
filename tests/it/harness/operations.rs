//! What the service says that it can do.

use serde_json::Value;

use super::{Call, Door};

/// An operation that the service describes.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) method: String,
    /// From the root, with its parameters filled in.
    pub(crate) path: String,
    description: String,
    /// The schemes of which each is enough.
    schemes: Vec<String>,
}

impl Operation {
    /// Whether credentials of this scheme may be shown: `app`, `bws_token` or `api_key`.
    pub(crate) fn takes(&self, scheme: &str) -> bool {
        self.schemes.iter().any(|taken| taken == scheme)
    }

    /// The scopes that its description says a key needs, in the order in which they are asked for.
    pub(crate) fn scopes(&self) -> Vec<&str> {
        let said = self.description.split_once("Needs the scope ");
        let said = said.and_then(|(_, said)| said.split('.').next());
        let words = said.unwrap_or_default().split('`');
        words.skip(1).step_by(2).collect()
    }

    /// The name of a call of BWS.
    pub(crate) fn name(&self) -> &str {
        self.path.trim_start_matches("/extension/")
    }

    pub(crate) fn call(&self) -> Call {
        Call::new(&self.method[..], &self.path)
    }
}

/// The operations under a path, as the service itself describes them, so that rules for all of them
/// hold for those that are to come.
pub(crate) fn operations(door: &(impl Door + ?Sized), under: &str) -> Vec<Operation> {
    let described = door.send(Call::new("GET", "/openapi.json"));
    let described: Value = serde_json::from_str(&described.body).unwrap();
    let mut operations = Vec::new();
    for (path, item) in described["paths"].as_object().unwrap() {
        if !path.starts_with(under) {
            continue;
        }
        let path = path
            .replace("{partition}", "bws.1")
            .replace("{class}", "1")
            .replace("{id}", "1");
        let path = path.replace("{decision}", "00000000-0000-4000-8000-000000000000");
        for (method, operation) in item.as_object().unwrap() {
            let schemes = operation["security"].as_array().unwrap().iter();
            operations.push(Operation {
                method: method.to_ascii_uppercase(),
                path: path.clone(),
                description: operation["description"].as_str().unwrap_or("").to_owned(),
                schemes: schemes
                    .flat_map(|scheme| scheme.as_object().unwrap().keys().cloned())
                    .collect(),
            });
        }
    }
    operations
}
