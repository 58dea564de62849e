//! Receipts hold nothing up (R7): events are taken, committed and acknowledged while none can be
//! published, and what was to be said is said later, after a restart too.

use std::collections::BTreeSet;
use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};

use chrono::TimeDelta;
use nightrun::clock;
use nightrun::mqtt::UNACKNOWLEDGED_MAX;
use serde_json::json;

use crate::support::Mosquitto;
use crate::support::daemon::{Installation, text};
use crate::support::people::Sender;

const ANN: &str = "default/carer/ann";
/// More than fit on the way to the broker, in the channel to there and in one transaction together.
const EVENTS: u32 = 1_500;

/// Sends them, and then one of which the daemon logs that it has been kept.
fn send_all(phone: &Sender) {
    let at = text(clock::now() - TimeDelta::minutes(1));
    for number in 0..EVENTS {
        let event = json!({
            "event_id": format!("6e6f7468-0000-4000-8000-{number:012}"), "type": "check_in",
            "client_ref": format!("client-{}", number % 50), "occurred_at": at,
        });
        phone.send(ANN, event.to_string());
    }
    phone.send(ANN, "the last");
}

const LAST_IS_KEPT: &str = "messages could not be used";

/// A way to that broker on which the daemon's publishing connection stays without an answer.
fn way_for_events_only(broker: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let from = connection.expect("a connection");
            std::thread::spawn(move || pass_on_events_only(from, broker));
        }
    });
    port
}

fn pass_on_events_only(mut from: TcpStream, broker: u16) -> io::Result<()> {
    let mut connect = [0; 512];
    let read = from.peek(&mut connect)?;
    if String::from_utf8_lossy(&connect[..read]).contains("nightrun-publish") {
        return io::copy(&mut from, &mut io::sink()).map(drop);
    }
    let mut to = TcpStream::connect(("127.0.0.1", broker))?;
    let (mut back_from, mut back_to) = (to.try_clone()?, from.try_clone()?);
    std::thread::spawn(move || io::copy(&mut back_from, &mut back_to));
    io::copy(&mut from, &mut to)?;
    to.shutdown(Shutdown::Both)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publishing_connection_that_is_stuck_holds_no_event_up() {
    let broker = Mosquitto::start(&[]);
    let installation = Installation::at(&broker);
    let directly = std::fs::read_to_string(installation.path("nightrun.toml")).expect("text");
    let way = way_for_events_only(broker.port);
    installation.write(
        "nightrun.toml",
        &directly.replace(&format!(":{}\"", broker.port), &format!(":{way}\"")),
    );
    let daemon = installation.start().await;
    let mut phone = installation.sender().await;
    send_all(&phone);
    daemon.logged(LAST_IS_KEPT).await;
    let events = i64::from(EVENTS);
    assert_eq!(installation.number("SELECT count(*) FROM event").await, events);
    daemon.kill9();

    installation.write("nightrun.toml", &directly);
    let daemon = installation.start().await;
    let mut answered = BTreeSet::new();
    while answered.len() <= EVENTS as usize {
        let (_, receipt) = phone.receipt().await;
        answered.insert(receipt["event_id"].to_string());
    }
    daemon.terminate().await;
    // The kill may have come before the last acknowledgements.
    let again = installation.number("SELECT sum(duplicates) FROM event").await;
    assert!(again <= i64::from(UNACKNOWLEDGED_MAX), "{again} had not been acknowledged");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_refuses_receipts_holds_no_event_up() {
    let rules = tempfile::NamedTempFile::new().expect("a file");
    let rights = "topic read nightrun/v1/#\ntopic write nightrun/v1/+/carer/+/event\n\
                  topic readwrite nightrun/v1/daemon/#\n";
    std::fs::write(rules.path(), rights).expect("written");
    let broker = Mosquitto::start(&[&format!("acl_file {}", rules.path().display())]);
    let installation = Installation::at(&broker);
    let daemon = installation.start().await;
    let phone = installation.sender().await;
    send_all(&phone);
    daemon.logged(LAST_IS_KEPT).await;
    daemon.logged("the broker refused a message, which is tried again").await;
    let events = i64::from(EVENTS);
    assert_eq!(installation.number("SELECT count(*) FROM event").await, events);
    let receipts = "SELECT count(DISTINCT m.value->>1) FROM outbox o, jsonb_each(o.messages) m \
                    WHERE o.kind = 'receipt'";
    assert_eq!(installation.number(receipts).await, events + 1);
    daemon.kill9();
}
