//! Those who speak and listen to the daemon: coordinators, senders, phones.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nightrun::clock;
use nightrun::domain::instant::Instant;
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::daemon::{Installation, Process, by_line};
use super::{Client, within};

/// An alert message, and when it came.
pub type Heard = (Instant, Value);

/// Somebody who hears every alert.
pub struct Alerts {
    pub client: Client,
    /// All that was heard.
    pub heard: Vec<Heard>,
    /// What was heard again: after a kill, the daemon cannot know what it has said.
    pub repeated: Vec<Heard>,
}

impl Alerts {
    /// The next change of an alert.
    pub async fn next(&mut self) -> Heard {
        loop {
            let heard = self.next_or_again().await;
            if !self.heard.iter().any(|(_, alert)| *alert == heard.1) {
                self.heard.push(heard.clone());
                return heard;
            }
            self.repeated.push(heard);
        }
    }

    async fn next_or_again(&mut self) -> Heard {
        let message = self.client.message().await;
        let at = clock::now();
        let alert: Value = serde_json::from_slice(&message.payload).expect("JSON");
        let (contract, kind) = (&alert["contract"], &alert["kind"]);
        assert_eq!(
            message.topic,
            format!(
                "nightrun/v1/{}/alert/{}",
                contract.as_str().expect("text"),
                kind.as_str().expect("text")
            )
        );
        (at, alert)
    }

    /// Waits until this has been heard of that visit: the kind and the state. Returns it.
    pub async fn until(&mut self, visit: &str, kind: &str, state: &str) -> Heard {
        let is = |(_, alert): &&Heard| {
            alert["visit_ref"] == visit && alert["kind"] == kind && alert["state"] == state
        };
        loop {
            if let Some(heard) = self.heard.iter().find(is) {
                return heard.clone();
            }
            self.next().await;
        }
    }

    /// What has been heard of a visit: kind, state, resolution.
    pub fn of(&self, visit: &str) -> Vec<String> {
        let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        self.heard
            .iter()
            .filter(|(_, alert)| alert["visit_ref"] == visit)
            .map(|(_, alert)| {
                let words = [&alert["kind"], &alert["state"], &alert["resolution"]];
                words.map(word).join(" ")
            })
            .collect()
    }
}

/// Somebody who sends events and hears every receipt.
pub struct Sender {
    pub client: Client,
}

impl Sender {
    /// Sends under this topic's events, without waiting.
    pub fn send(&self, from: &str, payload: impl Into<Vec<u8>>) {
        self.client.send(&format!("nightrun/v1/{from}/event"), payload);
    }

    /// The next receipt: whom it is for, and what it says.
    pub async fn receipt(&mut self) -> (String, Value) {
        let message = self.client.message().await;
        let topic = String::from_utf8(message.topic.to_vec()).expect("text");
        let topic = topic.strip_prefix("nightrun/v1/").expect("ours");
        let whom = topic.strip_suffix("/receipt").expect("a receipt").to_owned();
        (whom, serde_json::from_slice(&message.payload).expect("JSON"))
    }

    /// Sends one and waits for its receipt, which must be the next.
    pub async fn ask(&mut self, from: &str, payload: impl Into<Vec<u8>>) -> Value {
        self.send(from, payload);
        let (whom, receipt) = self.receipt().await;
        assert_eq!(whom, from);
        receipt
    }

    /// Sends one that must be accepted.
    pub async fn say(&mut self, from: &str, payload: &Value) -> Value {
        let receipt = self.ask(from, payload.to_string()).await;
        assert_eq!(receipt["status"], "accepted", "{receipt}");
        receipt
    }
}

/// Paho as the phones of many carers: `phone.py` with a script.
pub struct Phones {
    process: Process,
    receipts: PathBuf,
    /// Rung at each receipt.
    rung: UnboundedReceiver<()>,
}

impl Phones {
    /// Starts them with this script; they send again after so many seconds.
    pub fn start(
        installation: &Installation,
        version: &str,
        script: &[Value],
        resend: u32,
    ) -> Self {
        let lines = by_line(script);
        let script = installation.write(&format!("script-{version}.jsonl"), &lines);
        let receipts = installation.path(&format!("receipts-{version}.jsonl"));
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/phone.py");
        let mut child = Command::new("/usr/bin/python3")
            .arg(program)
            .args(["--port", &installation.port.to_string(), "--version", version])
            .args(["--resend", &resend.to_string()])
            .args([OsStr::new("--script"), script.as_os_str()])
            .args([OsStr::new("--receipts"), receipts.as_os_str()])
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 with paho-mqtt is installed");
        let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let (ring, rung) = unbounded_channel();
        std::thread::spawn(move || {
            for _ in lines.map_while(Result::ok) {
                // Nobody need listen.
                let _ = ring.send(());
            }
        });
        Self { process: Process(child), receipts, rung }
    }

    /// Waits until they have so many more receipts.
    pub async fn have_receipts(&mut self, number: usize) {
        for _ in 0..number {
            within("a receipt", self.rung.recv()).await.expect("they go on");
        }
    }

    /// Waits until each message has its receipt; all receipts with their topics.
    pub async fn finish(mut self) -> Vec<(String, Value)> {
        let ended = tokio::task::spawn_blocking(move || self.process.wait());
        assert!(ended.await.expect("no panic").success(), "some messages have no receipt");
        let receipts = std::fs::read_to_string(&self.receipts).expect("the receipts");
        receipts
            .lines()
            .map(|line| {
                let line: Value = serde_json::from_str(line).expect("JSON");
                (line["topic"].as_str().expect("text").to_owned(), line["receipt"].clone())
            })
            .collect()
    }
}
