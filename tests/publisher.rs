//! The publishing connection, against both kinds of broker.
#![allow(clippy::expect_used, reason = "a test fails by panicking, in its helpers as well")]

mod support;

use std::collections::BTreeSet;

use nightrun::broker;
use nightrun::clock;
use nightrun::mqtt::BrokerSession;
use nightrun::publish::{self, Outcome, Outgoing};
use nightrun::wire::status::DaemonStatus;
use rumqttc::{BrokerSessionResumePolicy, MqttOptions, SessionMode};
use support::{Client, Mosquitto, embedded, settings, within};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

const RECEIPT: &str = "nightrun/v1/default/carer/ann/receipt";
const STATUS: &str = "nightrun/v1/daemon/test/status";

struct Publisher {
    outgoing: mpsc::Sender<Outgoing>,
    outcomes: mpsc::Receiver<Outcome>,
    status: watch::Sender<DaemonStatus>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Publisher {
    fn start(settings: BrokerSession) -> Self {
        let (outgoing, taken) = mpsc::channel(16);
        let (reported, outcomes) = mpsc::channel(16);
        let (stop, shutdown) = watch::channel(false);
        let (status, beats) = watch::channel(DaemonStatus::Online { since: clock::now() });
        let run = async move { publish::run(&settings, taken, reported, beats, shutdown).await };
        Self { outgoing, outcomes, status, stop, task: tokio::spawn(run) }
    }

    async fn send(&self, id: i64) {
        let sent = self.outgoing.send(receipt(id));
        within("room in the channel", sent).await.expect("it runs");
    }

    async fn outcome(&mut self) -> Outcome {
        within("an outcome", self.outcomes.recv()).await.expect("it runs")
    }
}

fn receipt(id: i64) -> Outgoing {
    let payload = id.to_string().into_bytes();
    Outgoing { id: (id, 0), topic: RECEIPT.to_owned(), payload, retain: false }
}

async fn receipts_arrive(session: BrokerSession) {
    let port = session.port;
    let mut phone = Client::connect(port, "phone").await;
    phone.subscribe(RECEIPT).await;
    let mut publisher = Publisher::start(session.clone());
    for id in 1..=10 {
        publisher.send(id).await;
    }
    for id in 1..=10 {
        assert_eq!(publisher.outcome().await, Outcome::Published((id, 0)));
        assert_eq!(phone.message().await.payload, id.to_string());
    }
    let mut board = Client::connect(port, "board").await;
    board.subscribe(STATUS).await;
    let online = board.message().await;
    assert!(online.payload.starts_with(br#"{"state":"online","since":""#), "{online:?}");

    publisher.status.send_replace(DaemonStatus::Offline);
    assert_eq!(board.message().await.payload, r#"{"state":"offline"}"#, "it does not work");
    publisher.status.send_replace(DaemonStatus::Online { since: clock::now() });
    assert!(board.message().await.payload.starts_with(br#"{"state":"online""#), "again");

    // What is in the channel at the stop is still published, and then offline.
    publisher.send(11).await;
    publisher.stop.send_replace(true);
    assert_eq!(publisher.outcome().await, Outcome::Published((11, 0)));
    assert_eq!(phone.message().await.payload, "11");
    within("the end", publisher.task).await.expect("no panic");
    assert_eq!(board.message().await.payload, r#"{"state":"offline"}"#);

    // A kill leaves the will behind.
    let publisher = Publisher::start(session);
    assert!(board.message().await.payload.starts_with(br#"{"state":"online""#));
    publisher.task.abort();
    assert_eq!(board.message().await.payload, r#"{"state":"offline"}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_arrive_through_mosquitto() {
    let broker = Mosquitto::start(&[]);
    receipts_arrive(broker.settings()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_arrive_through_the_embedded_broker() {
    let (sender, _inbound) = mpsc::channel(16);
    let options = embedded("127.0.0.1:0");
    let own = options.own.clone();
    let broker = broker::start(options, sender).await.expect("it starts");
    let session = BrokerSession { instance: "test".to_owned(), ..own.session(broker.local_addr()) };
    receipts_arrive(session).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_the_broker_restarts() {
    let mut broker = Mosquitto::start(&[]);
    let mut options = MqttOptions::new("phone", ("127.0.0.1", broker.port));
    options.set_session_mode(SessionMode::Persistent);
    options.set_broker_session_resume_policy(BrokerSessionResumePolicy::AllowBrokerOnly);
    // It is away until the end; the broker keeps its messages over the restart.
    let mut phone = Client::connect_with(options.clone()).await;
    phone.subscribe(RECEIPT).await;
    drop(phone);

    let mut publisher = Publisher::start(broker.settings());
    let outgoing = publisher.outgoing.clone();
    let sender = tokio::spawn(async move {
        for id in 1..=3_000 {
            outgoing.send(receipt(id)).await.expect("it runs");
        }
    });
    let mut done = BTreeSet::new();
    while done.len() < 3_000 {
        match publisher.outcome().await {
            Outcome::Published((id, _)) => assert!(done.insert(id), "{id} has two outcomes"),
            Outcome::Refused((id, _), reason) => panic!("{id}: {reason}"),
        }
        if done.len() == 1_000 {
            broker.restart();
        }
    }
    sender.await.expect("no panic");
    let mut phone = Client::connect_with(options).await;
    let mut received = BTreeSet::new();
    while received.len() < 3_000 {
        received.insert(phone.message().await.payload);
    }
    publisher.stop.send_replace(true);
    within("the end", publisher.task).await.expect("no panic");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_broker_will_not_have_is_refused_and_the_rest_goes_on() {
    let broker = Mosquitto::start(&["max_packet_size 1000", "retain_available false"]);
    let mut publisher = Publisher::start(broker.settings());
    let large = Outgoing { payload: vec![b'x'; 1_001], ..receipt(1) };
    let wildcard = Outgoing { topic: "a/+".to_owned(), ..receipt(2) };
    let retained = Outgoing { retain: true, ..receipt(3) };
    for outgoing in [large, wildcard, retained, receipt(4)] {
        publisher.outgoing.send(outgoing).await.expect("it runs");
    }
    let mut refused = BTreeSet::new();
    let mut done = Vec::new();
    while refused.len() + done.len() < 4 {
        match publisher.outcome().await {
            Outcome::Refused((id, _), _) => {
                refused.insert(id);
            }
            Outcome::Published((id, _)) => done.push(id),
        }
    }
    assert_eq!((refused, done), (BTreeSet::from([1, 2, 3]), vec![4]));
    publisher.stop.send_replace(true);
    within("the end", publisher.task).await.expect("no panic");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_the_right_is_refused_by_name() {
    let rules = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(rules.path(), "topic readwrite nightrun/v1/daemon/#\n").expect("written");
    let broker = Mosquitto::start(&[&format!("acl_file {}", rules.path().display())]);
    let mut publisher = Publisher::start(broker.settings());
    publisher.send(1).await;
    let refused = publisher.outcome().await;
    assert!(
        matches!(&refused, Outcome::Refused((1, 0), reason) if reason.contains("NotAuthorized"))
    );
    publisher.stop.send_replace(true);
    within("the end", publisher.task).await.expect("no panic");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_even_if_the_broker_is_not_there() {
    let publisher = Publisher::start(settings(support::free_port()));
    publisher.send(1).await;
    publisher.stop.send_replace(true);
    within("the end", publisher.task).await.expect("no panic");
}
