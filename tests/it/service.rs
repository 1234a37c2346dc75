//! The real service in a process of its own, and a client of it that may find it dead.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use super::cli::{json_lines, success, text, vultus};

/// The credentials of an app.
pub(super) struct App {
    id: String,
    secret: String,
    basic: String,
}

impl App {
    /// Creates one for storage `bws` in a data directory, which nobody may be using.
    pub(super) fn create(data: &Path) -> App {
        App::create_for(data, "demo", "bws", None)
    }

    /// Creates one for a storage, or one partition of it.
    pub(super) fn create_for(
        data: &Path,
        name: &str,
        storage: &str,
        partition: Option<i32>,
    ) -> App {
        let verb = [
            "app",
            "create",
            "--name",
            name,
            "--storage",
            storage,
            "--json",
            "--data-dir",
            text(data),
        ];
        let number = partition.map(|number| format!("--partition={number}"));
        let arguments: Vec<&str> = verb.into_iter().chain(number.as_deref()).collect();
        let app = json_lines(&success(&vultus(&arguments))).remove(0);
        assert_eq!(
            (&app["storage"], &app["partition"]),
            (&storage.into(), &partition.into())
        );
        let (id, secret) = (app["id"].as_str().unwrap(), app["secret"].as_str().unwrap());
        let pair = BASE64_STANDARD.encode(format!("{id}:{secret}"));
        App {
            id: id.to_owned(),
            secret: secret.to_owned(),
            basic: format!("Basic {pair}"),
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn secret(&self) -> &str {
        &self.secret
    }
}

/// A server that is killed when the test ends.
pub(super) struct Server {
    child: Mutex<Child>,
    url: String,
    agent: ureq::Agent,
}

impl Server {
    pub(super) fn start(data: &Path) -> Server {
        let mut child = Command::new(env!("CARGO_BIN_EXE_vultus"))
            .args(["serve", "--data-dir", text(data), "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(60)))
            .build();
        Server {
            child: Mutex::new(child),
            agent: config.into(),
            url: ready["listening"].as_str().unwrap().to_owned(),
        }
    }

    /// Where it is, `http://` and an address.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The address alone.
    pub(super) fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// Ends the process as a power cut would: it gets no chance to do anything.
    pub(super) fn kill(&self) {
        let mut child = self.child.lock().unwrap();
        let _ = child.kill();
        let _ = child.wait();
    }

    /// A token for a task on a class of partition `bws.1`.
    pub(super) fn token(&self, app: &App, class: i32, task: &str) -> Result<String, ureq::Error> {
        let path = format!(
            "token?id={}&bcid=bws.1.{class}&task={task}&livedetection=false",
            app.id
        );
        let request = self.agent.get(self.at(&path));
        let mut answer = request.header("Authorization", &app.basic).call()?;
        answer.body_mut().read_to_string()
    }

    pub(super) fn upload(&self, token: &str, jpeg: &[u8]) -> Result<Value, ureq::Error> {
        let body = format!("data:image/jpeg;base64,{}", BASE64_STANDARD.encode(jpeg));
        let request = self.agent.post(self.at("upload"));
        let request = request.header("Authorization", format!("Bearer {token}"));
        json(request.send(body)?)
    }

    /// Calls a task with its token.
    pub(super) fn task(&self, token: &str, task: &str) -> Result<Value, ureq::Error> {
        let request = self.agent.get(self.at(task));
        let request = request.header("Authorization", format!("Bearer {token}"));
        json(request.call()?)
    }

    pub(super) fn delete_class(&self, app: &App, class: i32) -> Result<(), ureq::Error> {
        let path = format!("deleteclass?id={}&bcid=bws.1.{class}", app.id);
        let request = self.agent.delete(self.at(&path));
        request.header("Authorization", &app.basic).call()?;
        Ok(())
    }

    fn at(&self, path: &str) -> String {
        format!("{}/extension/{path}", self.url)
    }
}

fn json(mut answer: ureq::http::Response<ureq::Body>) -> Result<Value, ureq::Error> {
    let body = answer.body_mut().read_to_string()?;
    Ok(serde_json::from_str(&body).unwrap())
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
