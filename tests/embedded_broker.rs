//! The embedded broker, against `mosquitto_pub` and other clients.
#![allow(clippy::expect_used, reason = "a test fails by panicking, in its helpers as well")]

mod support;

use nightrun::broker::{self, BrokerError, EmbeddedBroker};
use nightrun::message::Inbound;
use rumqttc::{LastWill, MqttOptions, PublishOptions, QoS};
use support::{Client, MosquittoPub, embedded, next_message, until_caught_up, within};
use tokio::sync::mpsc;

const EVENT: &str = "nightrun/v1/default/carer/ann/event";
const STATUS: &str = "nightrun/v1/default/device/unit/status";

async fn start() -> (EmbeddedBroker, mpsc::Receiver<Inbound>) {
    let (sender, mut inbound) = mpsc::channel(16);
    let broker = broker::start(embedded("127.0.0.1:0"), sender).await.expect("it starts");
    assert!(until_caught_up(&mut inbound).await.is_empty());
    (broker, inbound)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_puback_means_committed_in_both_versions() {
    let (broker, mut inbound) = start().await;
    let port = broker.local_addr().port();
    for version in ["mqttv311", "mqttv5"] {
        let mut publisher =
            MosquittoPub::start(port, &["-V", version, "-t", EVENT, "-m", "payload"]);
        let message = next_message(&mut inbound).await;
        assert_eq!((message.topic.as_str(), message.payload.as_slice()), (EVENT, &b"payload"[..]));
        assert!(!publisher.has_ended());
        message.ack.send();
        assert!(publisher.succeeds().await);
    }
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_sent_what_was_not_committed_is_disconnected_without_a_puback() {
    let (broker, mut inbound) = start().await;
    let port = broker.local_addr().port();
    for version in ["mqttv311", "mqttv5"] {
        let arguments = ["-V", version, "-t", EVENT, "-m", "payload"];
        let refused = MosquittoPub::start(port, &arguments);
        drop(next_message(&mut inbound).await);
        assert!(!refused.succeeds().await);
        let again = MosquittoPub::start(port, &arguments);
        next_message(&mut inbound).await.ack.send();
        assert!(again.succeeds().await);
    }
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_payload_and_one_with_qos_0_or_2_reach_the_writer() {
    let (broker, mut inbound) = start().await;
    let phone = Client::connect(broker.local_addr().port(), "phone").await;
    phone.send(EVENT, vec![b'x'; 900_000]);
    let large = next_message(&mut inbound).await;
    assert_eq!(large.payload.len(), 900_000);
    large.ack.send();
    for (payload, options) in
        [("zero", PublishOptions::at_most_once()), ("two", PublishOptions::exactly_once())]
    {
        phone.client.try_publish(EVENT, payload, options).expect("queued");
        let message = next_message(&mut inbound).await;
        assert_eq!(message.payload, payload.as_bytes());
        message.ack.send();
    }
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_are_routed_and_events_are_for_the_daemon_alone() {
    let (broker, mut inbound) = start().await;
    let port = broker.local_addr().port();
    let mut phone = Client::connect(port, "phone").await;
    phone.subscribe("nightrun/v1/default/carer/ann/#").await;
    let mut other = Client::connect(port, "other").await;
    other.send(EVENT, "event");
    next_message(&mut inbound).await.ack.send();
    other.send("nightrun/v1/default/carer/ann/receipt", "receipt");
    other.acknowledged(2).await;
    assert_eq!(phone.message().await.payload, "receipt");
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_vanishes_says_so_by_its_will_and_its_state_is_retained() {
    let (broker, mut inbound) = start().await;
    let port = broker.local_addr().port();
    let mut options = MqttOptions::new("unit", ("127.0.0.1", port));
    options.set_last_will(LastWill::new(STATUS, "offline", QoS::AtLeastOnce, true, None));
    let mut device = Client::connect_with(options).await;
    let retained = PublishOptions::at_least_once().retained();
    device.client.try_publish(STATUS, "online", retained).expect("queued");
    let online = next_message(&mut inbound).await;
    assert_eq!((online.topic.as_str(), online.payload.as_slice()), (STATUS, &b"online"[..]));
    online.ack.send();
    device.acknowledged(1).await;
    let mut board = Client::connect(port, "board").await;
    board.subscribe("nightrun/v1/default/device/+/status").await;
    let state = board.message().await;
    assert!(state.retain);
    assert_eq!(state.payload, "online");
    // An event whose commit fails disconnects the device, which does not come back here.
    device.send("nightrun/v1/default/device/unit/event", "fall");
    drop(next_message(&mut inbound).await);
    drop(device);
    loop {
        let message = next_message(&mut inbound).await;
        message.ack.send();
        if message.topic == STATUS && message.payload == b"offline" {
            break;
        }
    }
    assert_eq!(board.message().await.payload, "offline");
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_intake_ends_the_channel_and_acknowledges_only_what_was_handed_on() {
    let (broker, mut inbound) = start().await;
    let port = broker.local_addr().port();
    let before = MosquittoPub::start(port, &["-t", EVENT, "-m", "before"]);
    let message = next_message(&mut inbound).await;
    broker.close_intake();
    assert!(within("the channel's end", inbound.recv()).await.is_none());
    let mut phone = Client::connect(port, "phone").await;
    phone.send(EVENT, "after");
    // Routing goes on: this is answered after the event, which is not.
    phone.send("nightrun/v1/default/carer/ann/receipt", "receipt");
    phone.acknowledged(1).await;
    message.ack.send();
    assert!(before.succeeds().await);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_does_not_wait_for_a_client_that_went_while_its_event_was_committed() {
    let (broker, mut inbound) = start().await;
    let phone = Client::connect(broker.local_addr().port(), "phone").await;
    phone.send(EVENT, "one");
    let message = next_message(&mut inbound).await;
    drop(phone);
    message.ack.send();
    within("the stop", broker.stop()).await;
    assert!(within("the channel's end", inbound.recv()).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_that_comes_back_while_its_event_is_committed_is_served() {
    let (broker, mut inbound) = start().await;
    let port = broker.local_addr().port();
    let first = Client::connect(port, "phone").await;
    first.send(EVENT, "one");
    let one = next_message(&mut inbound).await;
    let mut second = Client::connect(port, "phone").await;
    second.send(EVENT, "two");
    let two = next_message(&mut inbound).await;
    assert_eq!(two.payload, b"two");
    two.ack.send();
    second.acknowledged(1).await;
    one.ack.send();
    second.send(EVENT, "three");
    next_message(&mut inbound).await.ack.send();
    second.acknowledged(1).await;
    within("the stop", broker.stop()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemons_client_ids_are_the_daemons_alone() {
    let (broker, mut inbound) = start().await;
    let port = broker.local_addr().port();
    for version in ["mqttv311", "mqttv5"] {
        for id in ["nightrun-test", "nightrun-test-publish"] {
            let as_daemon = ["-V", version, "-i", id, "-t", EVENT, "-m", "spoof"];
            assert!(!MosquittoPub::start(port, &as_daemon).succeeds().await);
            let guessed = ["-u", "nightrun-test", "-P", "password"];
            let guessed = [&as_daemon[..], &guessed].concat();
            assert!(!MosquittoPub::start(port, &guessed).succeeds().await);
        }
    }
    let other = MosquittoPub::start(port, &["-i", "nightrun", "-t", EVENT, "-m", "payload"]);
    let message = next_message(&mut inbound).await;
    assert_eq!(message.payload, b"payload");
    message.ack.send();
    assert!(other.succeeds().await);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_and_an_open_address_name_the_key_to_change() {
    let (broker, _inbound) = start().await;
    let (sender, _receiver) = mpsc::channel(1);
    let taken = broker::start(embedded(&broker.local_addr().to_string()), sender.clone()).await;
    let error = taken.err().expect("the port is taken");
    assert!(matches!(error, BrokerError::InUse { .. }));
    assert!(error.to_string().contains("broker.listen"));
    let error =
        broker::start(embedded("0.0.0.0:0"), sender).await.err().expect("it is open to all");
    assert!(matches!(error, BrokerError::NotLoopback(_)));
    broker.stop().await;
}
