//! SIGTERM: what was taken is committed, acknowledged and answered, and does not come again.

use chrono::{DateTime, TimeDelta};
use nightrun::clock;
use nightrun::domain::instant::Instant;
use rumqttc::Packet;
use serde_json::{Value, json};

use crate::support::daemon::{Installation, ago, text};
use crate::support::engine::{Engine, on_both_engines};
use crate::support::people::Sender;
use crate::support::{Client, Mosquitto};

const EVENTS: u32 = 3_000;
const ANN: &str = "default/carer/ann";

fn send_all(phone: &Sender, at: Instant) {
    let at = text(at);
    for number in 0..EVENTS {
        let client = number % 50;
        let event = json!({
            "event_id": format!("6e6f7468-0000-4000-8000-{number:012}"), "type": "check_in",
            "client_ref": format!("client-{client}"), "occurred_at": at,
        });
        phone.send(ANN, event.to_string());
    }
}

on_both_engines!(what_was_taken_does_not_come_again_through_mosquitto);
async fn what_was_taken_does_not_come_again_through_mosquitto(engine: Engine) {
    let broker = Mosquitto::start(&[]);
    let installation = Installation::at(&broker).on(engine);
    let daemon = installation.start().await;
    let mut phone = installation.sender().await;
    send_all(&phone, ago(300));
    let mut accepted = 0;
    while accepted < 10 {
        assert_eq!(phone.receipt().await.1["status"], "accepted");
        accepted += 1;
    }
    daemon.terminate().await;
    let taken = installation.number("SELECT count(*) FROM event").await;
    assert!((10..i64::from(EVENTS)).contains(&taken), "it was to be in the middle: {taken}");
    assert_eq!(installation.number("SELECT count(*) FROM outbox").await, 0);

    let daemon = installation.start().await;
    while accepted < EVENTS {
        assert_eq!(phone.receipt().await.1["status"], "accepted");
        accepted += 1;
    }
    // Whatever was to come again would have come before this.
    let last = json!({
        "event_id": "6e6f7468-0000-4000-8000-999999999999", "type": "check_in",
        "client_ref": "client-0", "occurred_at": text(clock::now()),
    });
    phone.say(ANN, &last).await;
    let events = i64::from(EVENTS) + 1;
    assert_eq!(installation.number("SELECT count(*) FROM event").await, events);
    assert_eq!(installation.number("SELECT sum(duplicates) FROM event").await, 0);
    daemon.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_what_is_kept_through_the_embedded_broker() {
    let installation = Installation::embedded();
    let daemon = installation.start().await;
    let mut phone = installation.sender().await;
    let at = ago(300);
    send_all(&phone, at);
    phone.client.acknowledged(10).await;
    daemon.ask_to_stop();
    let mut acknowledged = 10;
    let mut answered = 0;
    for packet in phone.client.until_disconnected().await {
        match packet {
            Packet::PubAck(_) => acknowledged += 1,
            Packet::Publish(_) => answered += 1,
            _ => {}
        }
    }
    let (status, log) = daemon.ended().await;
    assert!(status.success(), "{log}");
    let taken = installation.number("SELECT count(*) FROM event").await;
    assert!((10..i64::from(EVENTS)).contains(&taken), "it was to be in the middle: {taken}");
    assert_eq!(taken, acknowledged);
    // Receipts that came before the tenth PUBACK have been passed over.
    assert!(answered >= taken - 10 && answered <= taken, "{answered} of {taken}");
    assert_eq!(installation.number("SELECT count(*) FROM outbox").await, 0);

    let daemon = installation.start().await;
    let mut phone = installation.sender().await;
    send_all(&phone, at);
    let mut again = 0;
    for _ in 0..EVENTS {
        match phone.receipt().await.1["status"].as_str() {
            Some("accepted") => {}
            Some("duplicate") => again += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(again, taken);
    daemon.terminate().await;
}

/// A broker that is away is no reason to end, nor to keep an operator waiting.
#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_without_its_broker_waits_and_stops_when_asked() {
    let mut broker = Mosquitto::start(&[]);
    let installation = Installation::at(&broker);
    broker.stop();
    let daemon = installation.spawn();
    daemon.logged("no session with the broker").await;
    daemon.terminate().await;

    let daemon = installation.spawn();
    daemon.logged("no session with the broker").await;
    broker.start_again();
    daemon.ready().await;
    let mut phone = installation.sender().await;
    let event = json!({
        "event_id": "6e6f7468-0000-4000-8000-000000000001", "type": "check_in",
        "client_ref": "client-1", "occurred_at": text(clock::now()),
    });
    phone.say(ANN, &event).await;
    broker.stop();
    daemon.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_broker_says_whether_the_daemon_runs() {
    let broker = Mosquitto::start(&[]);
    let installation = Installation::at(&broker);
    let started_at = clock::now();
    let daemon = installation.start().await;
    let mut watcher = Client::connect(installation.port, "watcher").await;
    watcher.subscribe("nightrun/v1/daemon/nightrun/status").await;
    online(&mut watcher, started_at).await;
    daemon.terminate().await;
    assert_eq!(status(&mut watcher).await, json!({"state": "offline"}));
    let started_at = clock::now();
    let daemon = installation.start().await;
    online(&mut watcher, started_at).await;
    daemon.kill9();
    assert_eq!(status(&mut watcher).await, json!({"state": "offline"}));
    // It is kept for whoever asks later.
    let mut later = Client::connect(installation.port, "later").await;
    later.subscribe("nightrun/v1/daemon/nightrun/status").await;
    assert_eq!(status(&mut later).await, json!({"state": "offline"}));
}

async fn status(watcher: &mut Client) -> Value {
    serde_json::from_slice(&watcher.message().await.payload).expect("JSON")
}

/// Waits until the daemon says that it works: it hears and commits.
async fn online(watcher: &mut Client, started_at: Instant) {
    let mut status = status(watcher).await;
    while status["state"] == "offline" {
        status = self::status(watcher).await;
    }
    assert_eq!(status["state"], "online");
    let since = DateTime::parse_from_rfc3339(status["since"].as_str().expect("text"));
    let since = since.expect("an instant").to_utc();
    // Its fraction is cut off.
    assert!(started_at < since + TimeDelta::seconds(1) && since <= clock::now(), "{since}");
}
