//! The sessions of several daemons that share what phones and units say, at a real Mosquitto.
#![allow(clippy::expect_used, reason = "a test fails by panicking, in its helpers as well")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use nightrun::message::{Came, Inbound, Message};
use nightrun::mqtt::{self, BrokerSession, Line, Pulse, Seat, SlotNumber, Word};
use rumqttc::{ConnAck, MqttOptions, Packet, PublishOptions};
use support::session::Session;
use support::{Client, Mosquitto, next_message, until_caught_up, within};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant as Tick, timeout};

const EVENT: &str = "nightrun/v1/default/carer/ann/event";
const STATUS: &str = "nightrun/v1/default/device/unit/status";

fn seat(slot: SlotNumber) -> Seat {
    Seat { slot, group: Some("g".to_owned()), line: None }
}

fn of_slot(broker: &Mosquitto, slot: SlotNumber) -> BrokerSession {
    BrokerSession {
        client_id: format!("nightrun-test-{slot}"),
        instance: format!("test-{slot}"),
        ..broker.settings()
    }
}

async fn member(broker: &Mosquitto, slot: SlotNumber) -> Session {
    let mut session = Session::start_in(of_slot(broker, slot), seat(slot));
    let before = until_caught_up(&mut session.inbound).await;
    assert!(before.is_empty());
    session
}

/// How often each event was handed on and acknowledged.
#[derive(Default)]
struct Seen(BTreeMap<String, u32>);

impl Seen {
    fn take(&mut self, message: Message) {
        let payload = String::from_utf8(message.payload).expect("text");
        *self.0.entry(payload).or_default() += 1;
        message.ack.send();
    }

    /// That there are so many, and none came twice.
    fn are(&self, count: usize) -> bool {
        self.0.len() == count && self.0.values().all(|times| *times == 1)
    }
}

/// A slot that is drained.
struct Drain {
    inbound: mpsc::Receiver<Inbound>,
    stop: watch::Sender<bool>,
    task: JoinHandle<bool>,
}

impl Drain {
    fn start(broker: &Mosquitto, slot: SlotNumber) -> Self {
        let settings = of_slot(broker, slot);
        let (sender, inbound) = mpsc::channel(16);
        let (stop, shutdown) = watch::channel(false);
        let task =
            tokio::spawn(async move { mqtt::drain(&settings, seat(slot), sender, shutdown).await });
        Self { inbound, stop, task }
    }

    /// Takes what it hands on, to its end.
    async fn all(mut self, seen: &mut Seen) {
        while let Some(inbound) = within("the end of the drain", self.inbound.recv()).await {
            match inbound {
                Inbound::Message(message) => seen.take(message),
                _ => panic!("it says nothing of what the daemon hears"),
            }
        }
        assert!(self.task.await.expect("no panic"), "drained");
    }
}

/// Whether the broker has a session of that slot.
async fn is_kept(broker: &Mosquitto, slot: SlotNumber) -> bool {
    let id = of_slot(broker, slot).client_id;
    let mut options = MqttOptions::new(id, ("127.0.0.1", broker.port));
    options.set_clean_start(false);
    // As long as the connection lasts.
    options.set_session_expiry_interval(Some(0));
    let (client, mut eventloop) = rumqttc::AsyncClient::builder(options).unbounded().build();
    let kept = loop {
        match within("CONNACK", eventloop.poll()).await {
            // The library does not go on with a session that it does not know, and says so.
            Ok(rumqttc::Event::Incoming(Packet::ConnAck(ConnAck { session_present, .. })))
            | Err(rumqttc::ConnectionError::SessionStateMismatch { session_present, .. }) => {
                break session_present;
            }
            Ok(_) => {}
            Err(error) => panic!("{error}"),
        }
    };
    drop(client);
    kept
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_dead_member_is_drained_and_its_session_ends() {
    let broker = Mosquitto::start(&[]);
    let (mut one, mut two) = (member(&broker, 1).await, member(&broker, 2).await);
    let three = member(&broker, 3).await;
    let mut phone = Client::connect(broker.port, "phone").await;
    three.abort().await;
    for number in 0..30 {
        phone.send(EVENT, number.to_string());
    }
    phone.acknowledged(30).await;
    let mut seen = Seen::default();
    // This broker goes round, whether a member is there or not.
    for _ in 0..10 {
        seen.take(next_message(&mut one.inbound).await);
        seen.take(next_message(&mut two.inbound).await);
    }
    assert!(seen.are(20));
    Drain::start(&broker, 3).all(&mut seen).await;
    assert!(seen.are(30), "{:?}", seen.0);
    assert!(!is_kept(&broker, 3).await && is_kept(&broker, 1).await);
    for number in 30..60 {
        phone.send(EVENT, number.to_string());
    }
    phone.acknowledged(30).await;
    for _ in 0..30 {
        let message = tokio::select! {
            message = next_message(&mut one.inbound) => message,
            message = next_message(&mut two.inbound) => message,
        };
        seen.take(message);
    }
    assert!(seen.are(60), "nothing goes to who is not there any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_only_when_everything_was_acknowledged() {
    let broker = Mosquitto::start(&[]);
    member(&broker, 1).await.abort().await;
    let mut phone = Client::connect(broker.port, "phone").await;
    for payload in ["one", "two"] {
        phone.send(EVENT, payload);
    }
    phone.acknowledged(2).await;
    let mut drain = Drain::start(&broker, 1);
    next_message(&mut drain.inbound).await.ack.send();
    // The writer gives it up.
    drop(next_message(&mut drain.inbound).await);
    let again = next_message(&mut drain.inbound).await;
    assert_eq!(again.payload, b"two");
    drain.stop.send_replace(true);
    drop(again);
    assert!(!within("the stop", drain.task).await.expect("no panic"));
    let mut seen = Seen::default();
    Drain::start(&broker, 1).all(&mut seen).await;
    assert!(seen.are(1) && seen.0.contains_key("two"));
    // There is nothing left, and nobody who would have it.
    Drain::start(&broker, 1).all(&mut seen).await;
    assert!(seen.are(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn members_come_and_go_under_load_and_nothing_is_lost() {
    const EVENTS: usize = 4_000;
    let broker = Mosquitto::start(&[]);
    let (everybody, mut all) = mpsc::channel(16);
    let start = |slot: SlotNumber| {
        let (settings, sender) = (of_slot(&broker, slot), everybody.clone());
        tokio::spawn(async move {
            let (_never, shutdown) = watch::channel(false);
            mqtt::run(&settings, seat(slot), sender, shutdown).await;
        })
    };
    let drain = |slot: SlotNumber| {
        let (settings, sender) = (of_slot(&broker, slot), everybody.clone());
        tokio::spawn(async move {
            let (_never, shutdown) = watch::channel(false);
            mqtt::drain(&settings, seat(slot), sender, shutdown).await
        })
    };
    let mut members: Vec<_> = (1..=3).map(|slot| (slot, start(slot))).collect();
    for _ in 1..=3 {
        let joined =
            async { while !matches!(all.recv().await, Some(Inbound::Connected { .. })) {} };
        within("a member", joined).await;
    }
    let port = broker.port;
    let phone = tokio::spawn(async move {
        let mut phone = Client::connect(port, "phone").await;
        for number in 0..EVENTS {
            phone.send(EVENT, number.to_string());
            if number % 100 == 99 {
                phone.acknowledged(100).await;
            }
        }
    });
    let mut seen = Seen::default();
    let mut drains = Vec::new();
    let mut next_slot = 4;
    while seen.0.len() < EVENTS {
        let inbound = within("an event", all.recv()).await.expect("members are there");
        let Inbound::Message(message) = inbound else { continue };
        seen.take(message);
        // In the middle of what it has been handed, each in turn.
        if seen.0.len() / 400 > drains.len() && drains.len() < 8 {
            let (slot, dead) = members.remove(0);
            dead.abort();
            drains.push(drain(slot));
            members.push((next_slot, start(next_slot)));
            next_slot += 1;
        }
    }
    phone.await.expect("no panic");
    for drain in drains {
        // What comes twice was handed on and not yet acknowledged when its daemon died.
        let ended = async {
            tokio::pin!(drain);
            loop {
                tokio::select! {
                    ended = &mut drain => return ended,
                    Some(inbound) = all.recv() => {
                        if let Inbound::Message(message) = inbound {
                            seen.take(message);
                        }
                    }
                }
            }
        };
        assert!(within("the drain", ended).await.expect("no panic"));
    }
    assert_eq!(seen.0.len(), EVENTS);
    for slot in 1..=8 {
        assert!(!is_kept(&broker, slot).await, "slot {slot}");
    }
    assert_eq!(next_slot, 12);
}

/// The keeper's end of a line.
struct Keeper {
    word: watch::Sender<Word>,
    pulse: watch::Receiver<Pulse>,
}

impl Keeper {
    fn new() -> (Self, Line) {
        let (word, of_session) = watch::channel(Word { held_at: Tick::now(), hears_units: false });
        let (pulse, of_keeper) = watch::channel(Pulse::default());
        let line = Line { word: of_session, pulse, bell: Arc::default() };
        (Self { word, pulse: of_keeper }, line)
    }

    async fn until(&mut self, what: &str, is: impl FnMut(&Pulse) -> bool) {
        within(what, self.pulse.wait_for(is)).await.expect("the session runs");
    }

    fn yours(&self, hears_units: bool) {
        self.word.send_replace(Word { held_at: Tick::now(), hears_units });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_connects_and_subscribes_only_while_the_slot_is_its_own() {
    let broker = Mosquitto::start(&[]);
    let (mut keeper, line) = Keeper::new();
    let mut session = Session::start_in(of_slot(&broker, 1), Seat { line: Some(line), ..seat(1) });
    keeper.until("a question", |pulse| pulse.asked_at.is_some() && !pulse.connected).await;
    keeper.yours(false);
    keeper.until("another", |pulse| pulse.asked_at.is_some() && pulse.connected).await;
    let mut phone = Client::connect(broker.port, "phone").await;
    phone.send(EVENT, "nobody has subscribed");
    phone.acknowledged(1).await;
    keeper.yours(false);
    keeper.until("the subscription", |pulse| pulse.subscribed && pulse.answered_at.is_some()).await;
    phone.send(EVENT, "one");
    let first = next_message(&mut session.inbound).await;
    assert_eq!(first.payload, b"one");
    // Another takes it: who does not know that it still has it does not take it back.
    let mut other = Session::start_in(of_slot(&broker, 1), seat(1));
    keeper.until("a question", |pulse| pulse.asked_at.is_some() && !pulse.connected).await;
    let again = next_message(&mut other.inbound).await;
    assert_eq!(again.payload, b"one");
    let not_taken_back = timeout(Duration::from_millis(50), keeper.pulse.changed()).await;
    assert!(not_taken_back.is_err() && !keeper.pulse.borrow().connected);
    other.abort().await;
    session.abort().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_session_of_all_hears_how_units_are_and_what_was_retained() {
    let broker = Mosquitto::start(&[]);
    let mut unit = Client::connect(broker.port, "unit").await;
    let retained = PublishOptions::at_least_once().retained();
    unit.client.try_publish(STATUS, "before", retained).expect("queued");
    unit.acknowledged(1).await;
    let (mut keeper, line) = Keeper::new();
    let mut session = Session::start_in(of_slot(&broker, 1), Seat { line: Some(line), ..seat(1) });
    let mut other = member(&broker, 2).await;
    for connected in [false, true] {
        keeper.until("a question", |p| p.asked_at.is_some() && p.connected == connected).await;
        keeper.yours(false);
    }
    assert!(until_caught_up(&mut session.inbound).await.is_empty());
    keeper.yours(true);
    let before = next_message(&mut session.inbound).await;
    assert_eq!((before.payload.as_slice(), before.came), (&b"before"[..], Came::Retained));
    before.ack.send();
    unit.send(STATUS, "after");
    unit.acknowledged(1).await;
    let after = next_message(&mut session.inbound).await;
    assert_eq!((after.payload.as_slice(), after.came), (&b"after"[..], Came::Said));
    after.ack.send();
    assert!(session.stop().await.is_empty());
    assert!(until_caught_up(&mut other.inbound).await.is_empty(), "the other hears no units");
    // What has come for it meanwhile is drained with the rest.
    unit.send(STATUS, "while nobody was there");
    unit.acknowledged(1).await;
    let mut seen = Seen::default();
    Drain::start(&broker, 1).all(&mut seen).await;
    assert!(seen.are(1));
    other.abort().await;
}
