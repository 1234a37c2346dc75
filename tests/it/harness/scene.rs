//! What a fact is tried with.

use super::{Answer, Call, Credentials, Door, Format, Who};

/// A partition that nobody else uses. In queries, paths and texts `{p}` stands for it, as in
/// `bcid={p}.7`. Answers are asked for in the format, unless a request says what it wants.
pub(crate) struct Scene<'a> {
    pub(crate) door: &'a dyn Door,
    pub(crate) format: Format,
    pub(crate) partition: i32,
}

impl Scene<'_> {
    /// The text with the partition in it.
    pub(crate) fn fill(&self, text: &str) -> String {
        text.replace("{p}", &format!("bws.{}", self.partition))
    }
}

impl Door for Scene<'_> {
    fn send(&self, mut call: Call) -> Answer {
        call.path = self.fill(&call.path);
        let says = call.headers.iter().any(|(name, _)| *name == "Accept");
        if !says && self.format == Format::Xml {
            call = call.header("Accept", "application/xml");
        }
        let mut answer = self.door.send(call);
        answer.format = self.format;
        answer
    }

    fn credentials(&self, who: Who) -> Credentials {
        self.door.credentials(who)
    }

    fn key(&self) -> String {
        self.door.key()
    }

    fn public_url(&self) -> String {
        self.door.public_url()
    }

    fn advance(&self, seconds: u64) {
        self.door.advance(seconds);
    }
}
