//! The ceiling: the least that a program of this kind can do, with the same libraries as nightrun.
//!
//! It takes events from a broker, in its process or elsewhere, stores each once, acknowledges it
//! when the transaction has reached the disk, and answers with a receipt of its own for each. It
//! knows no plan, no rules, no alerts, keeps no receipts for after a crash, and does not reconnect.
//! What nightrun reaches of its speed is what rules and promises leave.
//!
//! It runs as a process of its own: the bench runs itself again, with `ceiling` as its argument.

mod intake;
mod store;

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use mqtt5::QoS;
use mqtt5::broker::router::MessageRouter;
use mqtt5::packet::publish::PublishPacket;
use nightrun::mqtt::Gathering;
use rumqttc::{AsyncClient, EventLoop, MqttOptions, NetworkOptions, PublishOptions};
use serde::Deserialize;
use tokio::sync::mpsc;

use store::Store;

use super::database::Engine;
use super::process::Process;
use super::rig::Rig;

/// Most events of one transaction, as in nightrun.
pub const BATCH_MAX: usize = 500;
/// Events that may be on their way to the store.
const AHEAD_MAX: u16 = 1_000;
/// Receipts that may be on their way to a broker elsewhere at one time, as in nightrun.
const IN_FLIGHT_MAX: u16 = 500;

/// How the program is asked for.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Where it stores.
    #[arg(long)]
    url: String,
    /// Where the broker is, or is to be.
    #[arg(long)]
    port: u16,
    /// Whether the broker is in the process.
    #[arg(long)]
    embedded: bool,
}

/// Starts it for a rig, and waits until it hears.
pub fn start(rig: &Rig) -> anyhow::Result<Process> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["ceiling", "--url", &rig.database.url, "--port", &rig.port.to_string()]);
    if rig.mosquitto.is_none() {
        command.arg("--embedded");
    }
    until_ready(&mut command)
}

/// Starts a program that writes a line when it is ready.
pub fn until_ready(command: &mut Command) -> anyhow::Result<Process> {
    let mut process = Process::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()))?;
    let output = process.output().context("it has no output")?;
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut line)?;
    anyhow::ensure!(line == "ready\n", "a program did not start");
    Ok(process)
}

/// Speed is measured on a fresh rig: all of its rows are of that run.
pub const ROWS: &str = "SELECT count(*) FROM event";

/// What it reads in an event.
#[derive(Deserialize)]
struct Content<'a> {
    event_id: &'a str,
    client_ref: &'a str,
}

/// An event on its way to the store.
pub(super) struct Arrived {
    event_id: String,
    client_ref: String,
    topic: String,
    payload: String,
    received_at: i64,
    /// What is to be done when it is committed.
    acknowledge: Box<dyn FnOnce() + Send>,
}

impl Arrived {
    fn read(
        topic: String,
        payload: &[u8],
        acknowledge: impl FnOnce() + Send + 'static,
    ) -> anyhow::Result<Self> {
        let content: Content = serde_json::from_slice(payload)?;
        Ok(Self {
            event_id: content.event_id.to_owned(),
            client_ref: content.client_ref.to_owned(),
            payload: String::from_utf8(payload.to_vec())?,
            topic,
            received_at: nightrun::clock::now().timestamp_micros(),
            acknowledge: Box::new(acknowledge),
        })
    }

    fn receipt(&self, is_new: bool) -> String {
        let Self { event_id, received_at, .. } = self;
        let status = if is_new { "accepted" } else { "duplicate" };
        format!(
            "{{\"event_id\":\"{event_id}\",\"status\":\"{status}\",\"received_at\":{received_at},\
             \"visit_ref\":null,\"visit\":\"unplaced\",\"dropped\":[],\"code\":null,\
             \"detail\":null}}"
        )
    }
}

/// How long the database alone takes to store this, in batches of [`BATCH_MAX`].
pub async fn store_alone(
    engine: Engine,
    url: &str,
    events: impl Iterator<Item = (String, String)>,
) -> anyhow::Result<Duration> {
    let mut store = Store::open(engine, url).await?;
    let arrived: Vec<_> = events
        .map(|(topic, payload)| Arrived::read(topic, payload.as_bytes(), || {}))
        .collect::<anyhow::Result<_>>()?;
    let began = Instant::now();
    for batch in arrived.chunks(BATCH_MAX) {
        store.insert(batch).await?;
    }
    Ok(began.elapsed())
}

/// Runs until it is killed.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let Options { url, port, embedded } = options;
    let engine = if url.starts_with("sqlite:") { Engine::Sqlite } else { Engine::Postgres };
    let store = Store::open(engine, &url).await?;
    let (events, arrived) = mpsc::channel(usize::from(AHEAD_MAX));
    // The broker inside ends when this is dropped.
    let mut inside = None;
    let receipts = if embedded {
        let broker = intake::embedded(port, events).await?;
        let outlet = Outlet::to_router(broker.router());
        inside = Some(broker);
        outlet
    } else {
        intake::session(port, events).await?;
        Outlet::Elsewhere(publisher(port).await?)
    };
    println!("ready");
    write(store, arrived, receipts).await?;
    drop(inside);
    Ok(())
}

/// Where receipts go, each by itself, in the ways of nightrun. Unbounded in form only: phones send no
/// more than a few events ahead of their receipts.
enum Outlet {
    Inside(mpsc::UnboundedSender<PublishPacket>),
    Elsewhere(AsyncClient),
}

impl Outlet {
    fn to_router(router: Arc<MessageRouter>) -> Self {
        let (sender, mut receipts) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(receipt) = receipts.recv().await {
                router.route_message(&receipt, None).await;
            }
        });
        Self::Inside(sender)
    }

    fn publish(&self, topic: String, receipt: String) -> anyhow::Result<()> {
        match self {
            Self::Inside(to) => {
                Ok(to.send(PublishPacket::new(topic, receipt, QoS::AtLeastOnce))?)
            }
            Self::Elsewhere(client) => {
                Ok(client.try_publish(topic, receipt, PublishOptions::at_least_once())?)
            }
        }
    }
}

/// The one task that stores: a batch is a transaction; acknowledgements and receipts follow it.
async fn write(
    mut store: Store,
    mut arrived: mpsc::Receiver<Arrived>,
    receipts: Outlet,
) -> anyhow::Result<()> {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while arrived.recv_many(&mut batch, BATCH_MAX).await > 0 {
        let mut new = store.insert(&batch).await?;
        for event in batch.drain(..) {
            // Of the same event twice in a batch, the second is a duplicate.
            let receipt = event.receipt(new.remove(&event.event_id));
            let topic = event.topic.replace("/event", "/receipt");
            (event.acknowledge)();
            receipts.publish(topic, receipt)?;
        }
    }
    Ok(())
}

/// The connection on which receipts go to a broker elsewhere.
async fn publisher(port: u16) -> anyhow::Result<AsyncClient> {
    let mut options = options("ceiling-publish", port);
    options.set_outgoing_inflight_upper_limit(IN_FLIGHT_MAX);
    let (client, mut eventloop) = AsyncClient::builder(options).unbounded().try_build()?;
    connected(&mut eventloop).await?;
    tokio::spawn(async move { while eventloop.poll().await.is_ok() {} });
    Ok(client)
}

/// A connection to a broker elsewhere, in the ways of nightrun.
pub(super) fn options(client_id: &str, port: u16) -> MqttOptions {
    let mut options = MqttOptions::new(client_id, ("127.0.0.1", port));
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    options.set_network_options(network);
    options.set_socket_connector(|address, network| async {
        rumqttc::default_socket_connect(address, network).await.map(Gathering::new)
    });
    options
}

/// Waits for the CONNACK.
async fn connected(eventloop: &mut EventLoop) -> anyhow::Result<()> {
    use rumqttc::{Event, Packet};
    let wait = async {
        loop {
            if let Event::Incoming(Packet::ConnAck(_)) = eventloop.poll().await? {
                return Ok(());
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait).await?
}
