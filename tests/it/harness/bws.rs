//! What tests of the BWS Web API ask for, whatever the door.

use serde_json::Value;

use super::{Answer, Call, Door, Who, basic, pictures};

/// The calls of BWS. Those of the app itself are by [`Who::Main`].
pub(crate) trait Bws: Door {
    /// `Authorization` of an app.
    fn basic(&self, who: Who) -> String {
        let app = self.credentials(who);
        basic(&app.id, &app.secret)
    }

    /// A call of the app itself, without a body.
    fn ask(&self, method: &str, path: &str) -> Answer {
        self.ask_as(Who::Main, method, path)
    }

    /// A call of an app, without a body.
    fn ask_as(&self, who: Who, method: &str, path: &str) -> Answer {
        self.send(Call::new(method, path).by(self.basic(who)))
    }

    /// A call with this `Authorization` and a body that does not say what it is.
    fn call(
        &self,
        method: &str,
        path: &str,
        authorization: &str,
        body: impl Into<Vec<u8>>,
    ) -> Answer {
        self.send(Call::new(method, path).by(authorization).body(body))
    }

    /// Asks for a token, without liveness unless the query says otherwise.
    fn ask_token(&self, query: &str) -> Answer {
        let id = self.credentials(Who::Main).id;
        let live = match query.to_ascii_lowercase().contains("livedetection=") {
            true => "",
            false => "&livedetection=false",
        };
        let call = Call::new("GET", format!("token?id={id}&{query}{live}"));
        self.send(call.by(self.basic(Who::Main)).header("Accept", "*/*"))
    }

    /// A token, without liveness unless the query says otherwise.
    #[track_caller]
    fn token(&self, query: &str) -> String {
        let answer = self.ask_token(query);
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }

    /// A token with one sample, ready for its task.
    #[track_caller]
    fn ready(&self, query: &str) -> String {
        let token = self.token(query);
        self.accepted(&token, pictures::obama());
        token
    }

    fn upload(&self, token: &str, picture: &str) -> Answer {
        self.upload_to(token, "upload", picture)
    }

    /// Uploads with parameters, as in `upload?index=1`.
    fn upload_to(&self, token: &str, path: &str, picture: &str) -> Answer {
        let call = Call::new("POST", path).by_bearer(token);
        self.send(call.header("Content-Type", "text/plain").body(picture))
    }

    /// Uploads a picture that is accepted.
    #[track_caller]
    fn accepted(&self, token: &str, picture: &str) {
        self.accepted_at(token, "upload", picture);
    }

    /// Uploads a picture that is accepted, with parameters.
    #[track_caller]
    fn accepted_at(&self, token: &str, path: &str, picture: &str) {
        let answer = self.upload_to(token, path, picture);
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert!(is_true(&answer.result()["Accepted"]), "{}", answer.body);
    }

    /// A task call.
    fn task(&self, token: &str, path: &str) -> Answer {
        self.send(Call::new("GET", path).by_bearer(token))
    }

    /// Enrols a class with one picture.
    #[track_caller]
    fn enroll(&self, bcid: &str, picture: &str) {
        let token = self.token(&format!("bcid={bcid}&task=enroll"));
        self.accepted(&token, picture);
        let answer = self.task(&token, "enroll");
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert!(is_true(&answer.result()["Success"]), "{}", answer.body);
    }

    /// Whether a class is enrolled.
    #[track_caller]
    fn is_enrolled(&self, bcid: &str) -> bool {
        let answer = self.ask("GET", &format!("isenrolled?bcid={bcid}&trait=face"));
        assert!([200, 404].contains(&answer.status), "{answer:?}");
        answer.status == 200
    }

    /// What came of a token, as its app is told.
    fn result_of(&self, token: &str) -> Answer {
        self.ask("GET", &format!("result?access_token={token}"))
    }
}

impl<D: Door> Bws for D {}

/// A boolean in either format.
fn is_true(value: &Value) -> bool {
    value == true || value == "true"
}
