//! Brokers that are shared, capped, or hold up those who do not read.

use std::net::SocketAddr;

use nightrun::clock;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};

use crate::ear::Ear;
use crate::fleet::{Fleet, USUAL};
use crate::judge::Expected;
use crate::night::{Night, SEES, says};
use crate::support::daemon::{Installation, text};
use crate::support::{Client, Mosquitto};

#[tokio::test(flavor = "multi_thread")]
async fn two_daemons_have_one_client_id() {
    let broker = Mosquitto::start(&[]);
    let first = Installation::at(&broker);
    let second = Installation::at(&broker);
    let one = first.start().await;
    let fleet = Fleet::start(8, broker.port, USUAL);
    let ear = Ear::to_alerts(broker.port).await;
    let mut night = Night::with(first, 60, fleet, ear);
    night.happen(20);
    night.fleet.is_answered().await;
    let other = second.start().await;
    one.logged("another client connects with this client id").await;
    night.happen(20);
    // They take turns; whoever has the session answers.
    night.fleet.is_answered().await;
    other.logged("another client connects with this client id").await;
    night.happen(10);
    night.fleet.is_answered().await;
    other.kill9();
    one.logged_times(SEES, 2).await;
    says(&one, "another client connects with this client id", 2..=4);
    night.happen(10);
    night.fleet.is_answered().await;

    let book = night.fleet.book();
    let all = "SELECT event_id || ' ' || received_at FROM event";
    let mut stored = night.installation.texts(all).await;
    let here = stored.len();
    stored.extend(second.texts(all).await);
    let there = stored.len() - here;
    assert!(here > 40 && there > 0, "{here} here, {there} there");
    for id in book.said.keys() {
        assert!(stored.iter().any(|row| row.starts_with(id)), "{id} is stored nowhere");
    }
    night.receipts_have_rows(&stored);
    assert!(night.ear.heard().is_empty(), "{:#?}", night.ear.heard());
    one.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_daemons_have_one_database() {
    let installation = Installation::embedded();
    let daemon = installation.start().await;
    let mut night = Night::begin(installation, 20, USUAL).await;
    night.happen(10);
    let second = night.installation.run(["serve"]);
    second.failed(1, &["another nightrun", "database.url"]);
    night.happen(10);
    night.judge(&daemon).await;
    daemon.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_broker_s_queue_is_capped() {
    // As Mosquitto is if it is not told otherwise.
    let broker = Mosquitto::start(&["max_queued_messages 1000", "sys_interval 1"]);
    let installation = Installation::at(&broker);
    let daemon = installation.start().await;
    let mut night = Night::begin(installation, 800, USUAL).await;
    night.happen(10);
    night.fleet.is_answered().await;
    night.kill9(daemon);
    night.happen(790);
    night.fleet.until("PUBACKs", |book| book.acknowledged.len() == book.said.len()).await;
    let daemon = night.installation.start().await;
    let after_the_backlog = night.installation.number("SELECT count(*) FROM event").await;
    assert!(after_the_backlog < 1_600, "the broker was to lose some: {after_the_backlog}");
    daemon.logged("set max_queued_messages 0").await;
    night.judge(&daemon).await;
    says(&daemon, "set max_queued_messages 0", 1..=1);
    daemon.terminate().await;
}

/// A topic under which more is published than the buffers on the way to a client hold.
const BALLAST: &str = "ballast";

/// An MQTT 3.1.1 client that subscribes to its receipts and then never reads a byte.
async fn deaf_phone(port: u16, carer: &str, qos: u8) -> TcpStream {
    let string = |text: &str| {
        let length = u16::try_from(text.len()).expect("short").to_be_bytes();
        [&length[..], text.as_bytes()].concat()
    };
    let packet = |kind: u8, body: &[u8]| {
        [&[kind, u8::try_from(body.len()).expect("short")][..], body].concat()
    };
    let socket = TcpSocket::new_v4().expect("a socket");
    // So that little is on its way.
    socket.set_recv_buffer_size(4_096).expect("a small buffer");
    let broker = SocketAddr::from(([127, 0, 0, 1], port));
    let mut stream = socket.connect(broker).await.expect("the broker");
    // Clean session, no keep-alive.
    let connect = [&string("MQTT")[..], &[4, 2, 0, 0], &string(carer)].concat();
    let topic = string(&format!("nightrun/v1/default/carer/{carer}/receipt"));
    let subscribe = [&[0, 1][..], &topic, &[qos], &string(BALLAST), &[qos]].concat();
    stream.write_all(&packet(0x10, &connect)).await.expect("taken");
    stream.write_all(&packet(0x82, &subscribe)).await.expect("taken");
    stream
}

/// Receipts for each deaf phone.
const UNREAD: usize = 2_500;
/// Those who send for it: each waits for its PUBACKs.
const SENDERS: usize = 10;

async fn phones_never_read_their_receipts(installation: Installation) {
    let daemon = installation.start().await;
    let mut night = Night::begin(installation, 100, USUAL).await;
    night.watch("nobody", 8, Expected::Raised);
    night.watch("somebody", 8, Expected::Nothing);
    night.comes("somebody");
    let port = night.installation.port;
    let deaf = [deaf_phone(port, "deaf-0", 0).await, deaf_phone(port, "deaf-1", 1).await];
    // Their events come by another way: nobody can know who reads.
    let mut senders = Vec::new();
    for number in 0..SENDERS {
        senders.push(Client::connect(port, &format!("sender-{number}")).await);
    }
    for _ in 0..40 {
        senders[0].send(BALLAST, vec![0; 500_000]);
    }
    senders[0].acknowledged(40).await;
    for sender in &mut senders {
        night.happen(10);
        for number in 0..2 * UNREAD / SENDERS {
            let id = uuid::Uuid::new_v4().to_string();
            let at = text(clock::now());
            let event = json!({"event_id": id, "type": "check_in", "occurred_at": at});
            let topic = format!("nightrun/v1/default/carer/deaf-{}/event", number % 2);
            sender.send(&topic, event.to_string());
            night.others_said.insert(id);
        }
    }
    // Nobody else waits for them.
    night.fleet.is_answered().await;
    for sender in &mut senders {
        sender.acknowledged(2 * UNREAD / SENDERS).await;
    }
    night.judge(&daemon).await;
    night.installation.until_published().await;
    says(&daemon, "ERROR", 0..=0);
    daemon.terminate().await;
    drop(deaf);
}

#[tokio::test(flavor = "multi_thread")]
async fn phones_never_read_their_receipts_embedded() {
    phones_never_read_their_receipts(Installation::embedded()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn phones_never_read_their_receipts_mosquitto() {
    phones_never_read_their_receipts(Installation::at(&Mosquitto::start(&[]))).await;
}
