//! The session with an external broker, against a real Mosquitto.
#![allow(clippy::expect_used, reason = "a test fails by panicking, in its helpers as well")]

mod support;

use std::collections::BTreeSet;

use nightrun::clock;
use nightrun::message::{Inbound, Message};
use nightrun::mqtt;
use support::session::Session;
use support::{Client, Mosquitto, next_message, until_caught_up, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

const EVENT: &str = "nightrun/v1/default/carer/ann/event";

fn payloads(messages: &[Message]) -> Vec<&[u8]> {
    messages.iter().map(|message| message.payload.as_slice()).collect()
}

fn acknowledge(messages: Vec<Message>) {
    for message in messages {
        message.ack.send();
    }
}

/// Waits for the loss of the connection; a marker may come back before, and nothing else.
async fn until_lost(inbound: &mut mpsc::Receiver<Inbound>) {
    loop {
        match within("the loss", inbound.recv()).await.expect("the session runs") {
            Inbound::Lost { .. } => return,
            Inbound::CaughtUp { .. } => {}
            Inbound::Message(_) | Inbound::Connected { .. } => panic!("something else came"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_acknowledged_comes_again_and_what_was_does_not() {
    let broker = Mosquitto::start(&[]);
    let mut session = Session::start(broker.settings());
    until_caught_up(&mut session.inbound).await;
    let mut phone = Client::connect(broker.port, "phone").await;
    for payload in ["one", "two", "three"] {
        phone.send(EVENT, payload);
    }
    phone.acknowledged(3).await;
    let first = next_message(&mut session.inbound).await;
    assert_eq!((first.topic.as_str(), first.payload.as_slice()), (EVENT, &b"one"[..]));
    let second = next_message(&mut session.inbound).await;
    session.abort().await;
    // Too late: it must not reach the next connection, nor harm anything.
    second.ack.send();

    let mut session = Session::start(broker.settings());
    let again = until_caught_up(&mut session.inbound).await;
    assert_eq!(payloads(&again), [b"one".as_slice(), b"two", b"three"]);
    acknowledge(again);
    assert!(session.stop().await.is_empty());

    let mut session = Session::start(broker.settings());
    assert!(until_caught_up(&mut session.inbound).await.is_empty());
    drop(first);
    session.abort().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_backlog_comes_after_the_backlog() {
    let mut broker = Mosquitto::start(&[]);
    let mut session = Session::start(broker.settings());
    until_caught_up(&mut session.inbound).await;
    session.stop().await;

    let mut phone = Client::connect(broker.port, "phone").await;
    for number in 0..700 {
        phone.send(EVENT, number.to_string());
    }
    phone.acknowledged(700).await;
    broker.restart();

    let mut session = Session::start(broker.settings());
    let mut backlog = Vec::new();
    loop {
        match within("the backlog", session.inbound.recv()).await.expect("the session runs") {
            Inbound::Message(message) => {
                backlog.push(message.payload);
                message.ack.send();
            }
            Inbound::CaughtUp { .. } => break,
            Inbound::Connected { kept, .. } => assert!(kept, "it was kept"),
            Inbound::Lost { .. } => panic!("the broker is there"),
        }
    }
    let expected: Vec<_> = (0..700).map(|number| number.to_string().into_bytes()).collect();
    assert_eq!(backlog, expected);
    session.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn markers_tell_again_and_again_up_to_when_everything_was_heard() {
    let broker = Mosquitto::start(&[]);
    let mut session = Session::start(broker.settings());
    until_caught_up(&mut session.inbound).await;
    let mut phone = Client::connect(broker.port, "phone").await;
    phone.send(EVENT, "before the next marker".to_owned());
    phone.acknowledged(1).await;
    // The marker that is sent after the event comes back behind it.
    let sent = clock::now();
    let mut events = 0;
    loop {
        match within("the marker", session.inbound.recv()).await {
            Some(Inbound::Message(message)) => {
                message.ack.send();
                events += 1;
            }
            Some(Inbound::CaughtUp { as_of: Some(as_of), .. }) if as_of.at >= sent => break,
            Some(Inbound::CaughtUp { .. }) => {}
            _ => panic!("the connection lasts"),
        }
    }
    assert_eq!(events, 1);
    session.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_acknowledgements_stop_nothing_for_good() {
    let broker = Mosquitto::start(&[]);
    let mut session = Session::start(broker.settings());
    until_caught_up(&mut session.inbound).await;
    let mut phone = Client::connect(broker.port, "phone").await;
    for number in 0..2_000 {
        phone.send(EVENT, number.to_string());
    }
    let mut seen = BTreeSet::new();
    while seen.len() < 2_000 {
        // As many as the broker gives out unacknowledged; then all at once, from another task.
        let wanted = usize::from(mqtt::UNACKNOWLEDGED_MAX).min(2_000 - seen.len());
        let mut batch = Vec::new();
        while batch.len() < wanted {
            let message = next_message(&mut session.inbound).await;
            seen.insert(message.payload.clone());
            batch.push(message);
        }
        tokio::spawn(async move { acknowledge(batch) });
    }
    phone.acknowledged(2_000).await;
    session.stop().await;

    let mut session = Session::start(broker.settings());
    assert!(until_caught_up(&mut session.inbound).await.is_empty());
    session.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_goes_and_comes_is_lost_and_caught_up_with() {
    let mut broker = Mosquitto::start(&[]);
    let mut session = Session::start(broker.settings());
    until_caught_up(&mut session.inbound).await;
    let mut phone = Client::connect(broker.port, "phone").await;
    phone.send(EVENT, "before");
    phone.acknowledged(1).await;
    let before = next_message(&mut session.inbound).await;
    broker.stop();
    until_lost(&mut session.inbound).await;
    // An acknowledgement of the lost connection does not reach the next.
    before.ack.send();
    broker.start_again();
    let again = until_caught_up(&mut session.inbound).await;
    assert_eq!(payloads(&again), [b"before".as_slice()]);
    acknowledge(again);

    broker.kill9();
    until_lost(&mut session.inbound).await;
    broker.start_again();
    until_caught_up(&mut session.inbound).await;
    session.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_for_the_acknowledgements_and_hands_on_nothing_new() {
    let broker = Mosquitto::start(&[]);
    let mut session = Session::start(broker.settings());
    until_caught_up(&mut session.inbound).await;
    let mut phone = Client::connect(broker.port, "phone").await;
    phone.send(EVENT, "during");
    let during = next_message(&mut session.inbound).await;
    session.stop.send_replace(true);
    phone.send(EVENT, "after");
    phone.acknowledged(2).await;
    assert!(!session.task.is_finished());
    during.ack.send();
    assert!(session.stop().await.is_empty());

    let mut session = Session::start(broker.settings());
    let backlog = until_caught_up(&mut session.inbound).await;
    assert_eq!(payloads(&backlog), [b"after".as_slice()]);
    drop(backlog);
    session.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_payloads_arrive_to_be_rejected_and_too_large_ones_block_nothing() {
    let broker = Mosquitto::start(&[]);
    let mut session = Session::start(broker.settings());
    until_caught_up(&mut session.inbound).await;
    let phone = Client::connect(broker.port, "phone").await;
    phone.send(EVENT, vec![b'x'; 1_200_000]);
    phone.send(EVENT, vec![b'x'; 900_000]);
    phone.send(EVENT, "small");
    let large = next_message(&mut session.inbound).await;
    assert_eq!(large.payload.len(), 900_000);
    assert_eq!(next_message(&mut session.inbound).await.payload, b"small");
    session.abort().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_daemon_with_the_same_client_id_takes_the_session_and_the_first_steps_back() {
    let broker = Mosquitto::start(&[]);
    let mut first = Session::start(broker.settings());
    until_caught_up(&mut first.inbound).await;
    let mut second = Session::start(broker.settings());
    until_caught_up(&mut second.inbound).await;
    until_lost(&mut first.inbound).await;
    // The first waits for 10 s and more before it takes the session back.
    first.stop().await;
    let phone = Client::connect(broker.port, "phone").await;
    phone.send(EVENT, "one");
    next_message(&mut second.inbound).await.ack.send();
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_that_forbid_the_marker_do_not_stop_the_events() {
    let rules = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(rules.path(), "topic readwrite nightrun/v1/default/#\n").expect("written");
    let broker = Mosquitto::start(&[&format!("acl_file {}", rules.path().display())]);
    let mut session = Session::start(broker.settings());
    // This Mosquitto closes the connection over the marker, once.
    for connected in [true, false, true] {
        let inbound = within("the loss", session.inbound.recv()).await;
        match inbound {
            Some(Inbound::Connected { .. }) => assert!(connected),
            Some(Inbound::Lost { .. }) => assert!(!connected),
            _ => panic!("nothing else"),
        }
    }
    let mut phone = Client::connect(broker.port, "phone").await;
    for payload in ["one", "two", "three"] {
        phone.send(EVENT, payload);
        phone.acknowledged(1).await;
        match within("the event", session.inbound.recv()).await {
            Some(Inbound::Message(message)) => message.ack.send(),
            _ => panic!("the connection lasts"),
        }
    }
    assert!(session.stop().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_subscription_is_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let mut session = Session::start(support::settings(port));
    for _ in 0..2 {
        let (mut stream, _) = within("a connection", listener.accept()).await.expect("accepted");
        let mut buffer = [0; 1024];
        assert!(stream.read(&mut buffer).await.expect("CONNECT") > 0);
        stream.write_all(&[0x20, 3, 0, 0, 0]).await.expect("CONNACK");
        assert!(stream.read(&mut buffer).await.expect("SUBSCRIBE") > 0);
        let (high, low) = (buffer[2 + usize::from(buffer[1] > 127)], 1);
        assert_eq!(high, 0);
        let suback = [0x90, 7, high, low, 0, 1, 1, 0x87, 1];
        stream.write_all(&suback).await.expect("SUBACK");
        assert_eq!(within("the end", stream.read(&mut buffer)).await.unwrap_or(0), 0);
    }
    assert!(session.inbound.try_recv().is_err());
    session.stop().await;
}
