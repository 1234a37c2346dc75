//! What tests of the native API ask for, whatever the door.

use serde_json::json;

use super::{Answer, Body, Call, Door};

/// The calls of `/v1`, by a key that may do everything unless another is given. Paths are those
/// behind `/v1/`.
pub(crate) trait Native: Door {
    /// A call with a key.
    fn call_by(&self, key: &str, method: &str, path: &str, body: impl Into<Body>) -> Answer {
        let call = Call::new(method, format!("/v1/{path}")).by_bearer(key);
        self.send(call.with(body))
    }

    fn get(&self, path: &str) -> Answer {
        self.call_by(&self.key(), "GET", path, ())
    }

    fn post(&self, path: &str, body: impl Into<Body>) -> Answer {
        self.call_by(&self.key(), "POST", path, body)
    }

    fn delete(&self, path: &str) -> Answer {
        self.call_by(&self.key(), "DELETE", path, ())
    }

    /// Enrols one embedding of the encoder `test`.
    #[track_caller]
    fn enroll_embedding(&self, partition: &str, class: i64, embedding: &[f32]) {
        let path = format!("partitions/{partition}/classes/{class}/enroll");
        let body = json!({ "embeddings": [embedding], "encoder": "test" });
        let answer = self.post(&path, body);
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
}

impl<D: Door> Native for D {}

/// An embedding of 16 values that points along one axis, a little towards the next.
pub(crate) fn axis(at: usize) -> Vec<f32> {
    let mut values = vec![0.0; 16];
    values[at] = 1.0;
    values[(at + 1) % 16] = 0.25;
    values
}

pub(crate) fn bytes_of(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}
