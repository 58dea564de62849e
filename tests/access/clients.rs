//! Clients of other makes at a broker that asks who they are.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::support::within;

/// Where a broker speaks TLS, and who vouches for it.
#[derive(Clone)]
pub struct Door {
    pub port: u16,
    pub authority: PathBuf,
}

/// A user of it.
#[derive(Clone)]
pub struct User {
    pub name: &'static str,
    pub password: String,
}

impl User {
    pub fn topic(&self, leaf: &str) -> String {
        format!("nightrun/v1/{}/{leaf}", self.name)
    }

    pub fn client_id(&self) -> String {
        self.name.replace('/', "~")
    }
}

impl Door {
    /// A `mosquitto_pub` with QoS 1, as that user and under its client id.
    pub fn publish(&self, user: &User, topic: &str, payload: &str) -> Output {
        self.publish_with(user, &user.client_id(), topic, payload, &[])
    }

    pub fn publish_with(
        &self,
        user: &User,
        client_id: &str,
        topic: &str,
        payload: &str,
        options: &[&str],
    ) -> Output {
        let who = ["-u", user.name, "-P", &user.password, "-i", client_id];
        self.mosquitto_pub(&[&who[..], &["-t", topic, "-m", payload], options].concat())
    }

    /// A `mosquitto_pub` to its end.
    pub fn mosquitto_pub(&self, arguments: &[&str]) -> Output {
        Command::new("mosquitto_pub")
            .args(["-h", "localhost", "-p", &self.port.to_string(), "-q", "1", "--cafile"])
            .arg(&self.authority)
            .args(arguments)
            .output()
            .expect("mosquitto_pub is installed")
    }

    /// Somebody who listens there as that user.
    pub fn listen(&self, user: &User, filters: &[&str]) -> Phone {
        self.listen_with(user, &user.client_id(), filters, &[])
    }

    pub fn listen_with(
        &self,
        user: &User,
        client_id: &str,
        filters: &[&str],
        options: &[&str],
    ) -> Phone {
        let mut arguments = vec!["--user", user.name, "--password", &user.password];
        arguments.extend(["--id", client_id]);
        arguments.extend(options);
        arguments.extend(filters);
        Phone::start(self.port, Some(&self.authority), &arguments)
    }
}

/// A client that stays: a process of `client.py`. Dropping it kills it.
pub struct Phone {
    child: Child,
    lines: UnboundedReceiver<Value>,
}

impl Phone {
    pub fn start(port: u16, authority: Option<&Path>, arguments: &[&str]) -> Self {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/access/client.py");
        let ca = authority.map(|file| [OsStr::new("--ca"), file.as_os_str()]);
        let mut child = Command::new("/usr/bin/python3")
            .arg(program)
            .args(["--port", &port.to_string()])
            .args(ca.iter().flatten())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 with paho-mqtt is installed");
        let output = BufReader::new(child.stdout.take().expect("its output")).lines();
        let (sender, lines) = unbounded_channel();
        std::thread::spawn(move || {
            for line in output.map_while(Result::ok) {
                // Nobody need listen.
                let _ = sender.send(serde_json::from_str(&line).expect("JSON"));
            }
        });
        Self { child, lines }
    }

    async fn line(&mut self) -> Option<Value> {
        within("news of a client", self.lines.recv()).await
    }

    /// The code with which it was let in, or not.
    pub async fn connected(&mut self) -> i64 {
        let line = self.line().await.expect("an answer");
        line["connected"].as_i64().unwrap_or_else(|| panic!("{line}"))
    }

    /// The codes for its filters, once it was let in.
    pub async fn subscribed(&mut self) -> Vec<i64> {
        assert_eq!(self.connected().await, 0);
        let line = self.line().await.expect("an answer");
        let codes = line["subscribed"].as_array().unwrap_or_else(|| panic!("{line}"));
        codes.iter().map(|code| code.as_i64().expect("a code")).collect()
    }

    /// The next message: its topic and its payload.
    pub async fn message(&mut self) -> (String, String) {
        let line = self.line().await.expect("a message");
        let text = |key: &str| {
            line[key].as_str().unwrap_or_else(|| panic!("not a message: {line}")).to_owned()
        };
        (text("topic"), text("payload"))
    }

    /// Publishes.
    pub fn send(&mut self, topic: &str, payload: &str, retain: bool) {
        let line = json!({"topic": topic, "payload": payload, "retain": retain});
        let input = self.child.stdin.as_mut().expect("its input");
        writeln!(input, "{line}").expect("it reads");
    }

    /// Waits until it is no longer connected.
    pub async fn disconnected(&mut self) {
        while let Some(line) = self.line().await {
            if line.get("disconnected").is_some() {
                return;
            }
        }
    }

    /// Ends it without a word to the broker.
    pub fn kill(mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("it ends");
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
