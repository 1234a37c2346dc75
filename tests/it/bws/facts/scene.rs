//! What a fact is tried with.

use super::super::app::basic;
use super::answers::Answer;
use super::door::Who;
use super::{Call, Door, pictures};

/// The format that answers are asked for in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Xml,
}

/// A partition that nobody else uses. In queries, paths and texts `{p}` stands for it, as in
/// `bcid={p}.7`.
pub(super) struct Scene<'a> {
    pub(super) door: &'a dyn Door,
    pub(super) format: Format,
    pub(super) partition: i32,
}

impl<'a> Scene<'a> {
    pub(super) fn new(door: &'a dyn Door, format: Format, partition: i32) -> Scene<'a> {
        Scene {
            door,
            format,
            partition,
        }
    }

    /// The text with the partition in it.
    pub(super) fn fill(&self, text: &str) -> String {
        text.replace("{p}", &format!("bws.{}", self.partition))
    }

    /// `Authorization` of an app.
    pub(super) fn basic(&self, who: Who) -> String {
        let app = self.door.credentials(who);
        basic(&app.id, &app.secret)
    }

    /// Sends a request to a path behind `/extension/`, and asks for the format unless the request
    /// says what it wants.
    pub(super) fn send(&self, mut call: Call) -> Answer {
        call.path = self.fill(&format!("/extension/{}", call.path));
        let says = call.headers.iter().any(|(name, _)| *name == "Accept");
        if !says && self.format == Format::Xml {
            call = call.header("Accept", "application/xml");
        }
        Answer {
            format: self.format,
            root: root(&call.path),
            reply: self.door.send(&call),
        }
    }

    /// A call of the app itself, without a body.
    pub(super) fn ask(&self, method: &'static str, path: &str) -> Answer {
        self.ask_as(Who::Main, method, path)
    }

    /// A call of an app, without a body.
    pub(super) fn ask_as(&self, who: Who, method: &'static str, path: &str) -> Answer {
        self.send(Call::new(method, path).header("Authorization", self.basic(who)))
    }

    /// Asks for a token, without liveness unless the query says otherwise.
    pub(super) fn ask_token(&self, query: &str) -> Answer {
        let id = self.door.credentials(Who::Main).id;
        let live = if query.to_ascii_lowercase().contains("livedetection=") {
            ""
        } else {
            "&livedetection=false"
        };
        let call = Call::new("GET", format!("token?id={id}&{query}{live}"));
        let call = call.header("Authorization", self.basic(Who::Main));
        self.send(call.header("Accept", "*/*"))
    }

    /// A token, without liveness unless the query says otherwise.
    #[track_caller]
    pub(super) fn token(&self, query: &str) -> String {
        let answer = self.ask_token(query);
        assert_eq!(answer.status(), 200, "{}", answer.reply.body);
        answer.reply.body
    }

    /// A token with one sample, ready for its task.
    #[track_caller]
    pub(super) fn ready(&self, query: &str) -> String {
        let token = self.token(query);
        self.accepted(&token, pictures::obama());
        token
    }

    pub(super) fn upload(&self, token: &str, picture: &str) -> Answer {
        self.upload_to(token, "upload", picture)
    }

    /// Uploads with parameters, as in `upload?index=1`.
    pub(super) fn upload_to(&self, token: &str, path: &str, picture: &str) -> Answer {
        let call = Call::new("POST", path).header("Authorization", format!("Bearer {token}"));
        self.send(call.header("Content-Type", "text/plain").body(picture))
    }

    /// Uploads a picture that is accepted.
    #[track_caller]
    pub(super) fn accepted(&self, token: &str, picture: &str) {
        let answer = self.upload(token, picture);
        let accepted = answer.result()["Accepted"].clone();
        assert!(accepted == true || accepted == "true", "{:?}", answer.reply);
    }

    /// A task call.
    pub(super) fn task(&self, token: &str, path: &str) -> Answer {
        self.send(Call::new("GET", path).header("Authorization", format!("Bearer {token}")))
    }

    /// Enrols a class of the partition with one picture.
    #[track_caller]
    pub(super) fn enroll(&self, class: i32, picture: &str) {
        let token = self.token(&format!("bcid={{p}}.{class}&task=enroll"));
        self.accepted(&token, picture);
        let answer = self.task(&token, "enroll");
        assert_eq!(answer.status(), 200, "{}", answer.reply.body);
        let success = answer.result()["Success"].clone();
        assert!(success == true || success == "true", "{:?}", answer.reply);
    }

    /// Whether a class of the partition is enrolled.
    #[track_caller]
    pub(super) fn is_enrolled(&self, class: i32) -> bool {
        let path = format!("isenrolled?bcid={{p}}.{class}&trait=face");
        let answer = self.ask("GET", &path);
        assert!([200, 404].contains(&answer.status()), "{:?}", answer.reply);
        answer.status() == 200
    }
}

/// What the result of a call is named in XML.
fn root(path: &str) -> &'static str {
    let name = path.trim_start_matches("/extension").trim_matches('/');
    let end = name.find(['?', '/']).unwrap_or(name.len());
    match &name[..end].to_ascii_lowercase()[..] {
        "upload" => "UploadResult",
        "enroll" => "EnrollResult",
        "verify" => "VerifyResult",
        "identify" => "IdentifyResult",
        "livenessdetection" => "LivenessDetectionResult",
        "result" => "OperationResult",
        "status" => "StatusResult",
        "qualitycheck" => "QualityCheckResult",
        "livedetection" | "passivelivedetection" | "videolivedetection" => "LiveDetectionResult",
        "photoverify2" => "PhotoVerifyResult",
        _ => "Error",
    }
}
