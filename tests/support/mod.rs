//! A real Mosquitto, its command line clients, and what tests wait with.
#![allow(dead_code, reason = "each test uses its part of it")]

pub mod certificates;
pub mod daemon;
pub mod disk;
pub mod engine;
pub mod http;
pub mod people;
pub mod postgres;
pub mod proxy;
pub mod session;

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nightrun::broker::{self, Own};
use nightrun::message::{Inbound, Message};
use nightrun::mqtt::BrokerSession;
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, Publish, PublishOptions, QoS};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Waits for something that must come.
pub async fn within<T>(what: &str, waited_for: impl Future<Output = T>) -> T {
    let waited = timeout(Duration::from_secs(30), waited_for).await;
    waited.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// A Mosquitto on a free port, with its own directory. Dropping it kills it.
pub struct Mosquitto {
    pub port: u16,
    directory: TempDir,
    child: Child,
}

impl Mosquitto {
    /// Starts one that keeps what it has when it is stopped, with these lines in its configuration
    /// as well.
    pub fn start(config_lines: &[&str]) -> Self {
        Self::start_with(|directory, port| {
            format!(
                "listener {port} 127.0.0.1\nallow_anonymous true\nuser root\nlog_dest stderr\n\
                 persistence true\npersistence_location {}/\nmax_queued_messages 0\n{}\n",
                directory.display(),
                config_lines.join("\n"),
            )
        })
    }

    /// Starts one with a configuration for its directory and its port.
    pub fn start_with(mut config: impl FnMut(&Path, u16) -> String) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        // A port that was free a moment ago; another process may take it in between.
        for _ in 0..10 {
            let port = free_port();
            let config = config(directory.path(), port);
            std::fs::write(directory.path().join("mosquitto.conf"), config).expect("a file");
            if let Some(child) = run(&directory) {
                return Self { port, directory, child };
            }
        }
        panic!("Mosquitto does not start");
    }

    /// Stops it as an operator would, and waits until it has written what it keeps.
    pub fn stop(&mut self) {
        let pid = self.child.id().to_string();
        // One that has only just started does not hear the first.
        for _ in 0..200 {
            Command::new("kill").args(["-TERM", &pid]).status().expect("kill");
            for _ in 0..20 {
                if self.child.try_wait().expect("it is ours").is_some() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        panic!("Mosquitto does not stop");
    }

    /// Kills it; what it had not written is lost.
    pub fn kill9(&mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("it ends");
    }

    /// Starts it again on the same port, after [`Self::stop`] or [`Self::kill9`].
    pub fn start_again(&mut self) {
        self.child = run(&self.directory).expect("Mosquitto starts again");
    }

    /// Stops and starts it.
    pub fn restart(&mut self) {
        self.stop();
        self.start_again();
    }

    /// What the daemon needs to know of it.
    pub fn settings(&self) -> BrokerSession {
        settings(self.port)
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs it until it says that it runs.
fn run(directory: &TempDir) -> Option<Child> {
    let mut child = Command::new("mosquitto")
        .arg("-c")
        .arg(directory.path().join("mosquitto.conf"))
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("mosquitto is installed");
    let mut log = BufReader::new(child.stderr.take().expect("its log"));
    let mut line = String::new();
    while log.read_line(&mut line).expect("its log") > 0 {
        if line.contains(" running") {
            // It must always find a reader.
            std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
            return Some(child);
        }
        line.clear();
    }
    let _ = child.wait();
    None
}

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address").port()
}

/// A daemon named `test` at a broker on this port.
pub fn settings(port: u16) -> BrokerSession {
    BrokerSession {
        host: "127.0.0.1".to_owned(),
        port,
        username: None,
        password: None,
        client_id: "nightrun-test".to_owned(),
        instance: "test".to_owned(),
        tls: None,
    }
}

/// An embedded broker there, which lets everybody in, for the daemon named `test`.
pub fn embedded(listen: &str) -> broker::Options {
    broker::Options {
        listen: listen.parse().expect("an address"),
        tls: None,
        users_file: None,
        own: Own::new("nightrun-test"),
    }
}

/// The next message for the writer; anything else before it is passed over.
pub async fn next_message(inbound: &mut mpsc::Receiver<Inbound>) -> Message {
    loop {
        match within("a message", inbound.recv()).await.expect("the session runs") {
            Inbound::Message(message) => return message,
            Inbound::Connected { .. } | Inbound::CaughtUp { .. } | Inbound::Lost { .. } => {}
        }
    }
}

/// Waits for the backlog to end; the messages before it.
pub async fn until_caught_up(inbound: &mut mpsc::Receiver<Inbound>) -> Vec<Message> {
    let mut messages = Vec::new();
    loop {
        match within("the backlog's end", inbound.recv()).await.expect("the session runs") {
            Inbound::Message(message) => messages.push(message),
            Inbound::CaughtUp { .. } => return messages,
            Inbound::Connected { .. } | Inbound::Lost { .. } => {}
        }
    }
}

/// A `mosquitto_pub` that publishes with QoS 1, and ends when it has its PUBACK.
pub struct MosquittoPub(Child);

impl MosquittoPub {
    pub fn start(port: u16, arguments: &[&str]) -> Self {
        let port = port.to_string();
        let child = Command::new("mosquitto_pub")
            .args(["-h", "127.0.0.1", "-p", &port, "-q", "1"])
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("mosquitto_pub is installed");
        Self(child)
    }

    pub fn has_ended(&mut self) -> bool {
        self.0.try_wait().expect("its state").is_some()
    }

    /// Waits for its end; whether it is content.
    pub async fn succeeds(mut self) -> bool {
        let ended = tokio::task::spawn_blocking(move || self.0.wait().expect("its end").success());
        within("mosquitto_pub to end", ended).await.expect("no panic")
    }
}

/// A client that publishes and subscribes with QoS 1 and is told what comes of it.
pub struct Client {
    pub client: AsyncClient,
    packets: mpsc::UnboundedReceiver<Packet>,
}

impl Client {
    /// Connects and waits until it is connected.
    pub async fn connect(port: u16, id: &str) -> Self {
        Self::connect_with(MqttOptions::new(id, ("127.0.0.1", port))).await
    }

    pub async fn connect_with(mut options: MqttOptions) -> Self {
        options.set_max_packet_size(Some(2 * 1024 * 1024));
        let (client, mut eventloop) = AsyncClient::builder(options).unbounded().build();
        let (sender, packets) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok(event) = eventloop.poll().await {
                if let Event::Incoming(packet) = event
                    && sender.send(packet).is_err()
                {
                    return;
                }
            }
        });
        let mut this = Self { client, packets };
        this.until("its CONNACK", |packet| matches!(packet, Packet::ConnAck(_)).then_some(()))
            .await;
        this
    }

    /// The first packet that `wanted` takes.
    pub async fn until<T>(&mut self, what: &str, wanted: impl Fn(Packet) -> Option<T>) -> T {
        loop {
            let packet = within(what, self.packets.recv()).await;
            let packet = packet.unwrap_or_else(|| panic!("disconnected before {what}"));
            if let Some(found) = wanted(packet) {
                return found;
            }
        }
    }

    /// What comes until the connection ends.
    pub async fn until_disconnected(&mut self) -> Vec<Packet> {
        let mut packets = Vec::new();
        while let Some(packet) = within("the end of the connection", self.packets.recv()).await {
            packets.push(packet);
        }
        packets
    }

    pub fn send(&self, topic: &str, payload: impl Into<Vec<u8>>) {
        self.client
            .try_publish(topic, payload.into(), PublishOptions::at_least_once())
            .expect("queued");
    }

    /// Waits for so many PUBACKs.
    pub async fn acknowledged(&mut self, number: usize) {
        for _ in 0..number {
            self.until("a PUBACK", |packet| matches!(packet, Packet::PubAck(_)).then_some(()))
                .await;
        }
    }

    pub async fn subscribe(&mut self, filter: &str) {
        self.client.subscribe(filter, QoS::AtLeastOnce).await.expect("queued");
        self.until("its SUBACK", |packet| matches!(packet, Packet::SubAck(_)).then_some(())).await;
    }

    /// The next message that it receives.
    pub async fn message(&mut self) -> Publish {
        self.until("a message", |packet| match packet {
            Packet::Publish(publish) => Some(publish),
            _ => None,
        })
        .await
    }
}
