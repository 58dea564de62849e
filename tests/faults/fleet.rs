//! Phones that keep to the protocol: each keeps every event until it has a receipt, sends it again
//! until then, and connects again whenever it is cut off. They remember all that they were told.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rumqttc::{
    AsyncClient, Event, MqttOptions, Outgoing, Packet, PubAckReason, Publish, PublishOptions, QoS,
};
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant as Tick, sleep, sleep_until, timeout};

/// Longer than all phones together need to come back and to be answered.
const PATIENCE: Duration = Duration::from_secs(100);

/// How phones send.
#[derive(Clone, Copy)]
pub struct Habits {
    /// How often each event is published at each attempt.
    pub times: usize,
    /// Whether what is sent again is sent from the last to the first.
    pub backwards: bool,
    /// How long a phone waits for a receipt before it sends again.
    pub patience: Duration,
}

/// An event is said once, by each phone in its order, and again if there is no receipt.
pub const USUAL: Habits = Habits { times: 1, backwards: false, patience: Duration::from_secs(3) };

/// What phones have said, and what they were told.
#[derive(Debug, Default, Clone)]
pub struct Book {
    /// Every event, by its id.
    pub said: BTreeMap<String, Value>,
    /// The ids to whose message a broker has sent a PUBACK.
    pub acknowledged: BTreeSet<String>,
    /// The ids of which a receipt has come.
    pub answered: BTreeSet<String>,
    /// Every receipt.
    pub receipts: Vec<Value>,
}

/// What a phone is told to do.
enum Order {
    /// To say this until it is answered.
    Say(Value),
    /// To say all that it ever said once more.
    SayAgain,
}

/// Some phones. Dropping them ends them.
pub struct Fleet {
    phones: Vec<UnboundedSender<Order>>,
    book: Arc<watch::Sender<Book>>,
    _tasks: JoinSet<()>,
}

impl Fleet {
    /// So many phones, which find the broker there.
    pub fn start(number: usize, port: u16, habits: Habits) -> Self {
        let book = Arc::new(watch::Sender::new(Book::default()));
        let mut tasks = JoinSet::new();
        let phones = (0..number).map(|number| {
            let (say, to_say) = unbounded_channel();
            tasks.spawn(phone(carer(number), port, habits, to_say, Arc::clone(&book)));
            say
        });
        Self { phones: phones.collect(), book, _tasks: tasks }
    }

    pub fn number(&self) -> usize {
        self.phones.len()
    }

    /// Something happens; that phone says so from now on until it has a receipt.
    pub fn say(&self, phone: usize, event: Value) {
        self.book.send_modify(|book| {
            book.said.insert(id(&event), event.clone());
        });
        self.phones[phone].send(Order::Say(event)).expect("the phone runs");
    }

    /// Every phone says all that it ever said once more, as if it had heard no receipt.
    pub fn say_again(&self) {
        self.book.send_modify(|book| book.answered.clear());
        for phone in &self.phones {
            phone.send(Order::SayAgain).expect("the phone runs");
        }
    }

    /// What is known now.
    pub fn book(&self) -> Book {
        self.book.borrow().clone()
    }

    /// Waits until this is so.
    pub async fn until(&self, what: &str, is_so: impl FnMut(&Book) -> bool) {
        let mut news = self.book.subscribe();
        let waited = timeout(PATIENCE, news.wait_for(is_so)).await;
        if waited.is_err() {
            let book = self.book();
            let (said, answered) = (book.said.len(), book.answered.len());
            panic!("waited in vain for {what}: {answered} of {said} events have receipts");
        }
    }

    /// Waits until so many events have a receipt.
    pub async fn has_receipts(&self, number: usize) {
        self.until(&format!("{number} receipts"), |book| book.answered.len() >= number).await;
    }

    /// Waits until each event has a receipt.
    pub async fn is_answered(&self) {
        self.until("every receipt", |book| book.answered.len() >= book.said.len()).await;
    }
}

/// The reference of a phone's carer.
pub fn carer(number: usize) -> String {
    format!("carer-{number:02}")
}

/// What has no receipt yet, in the order in which it happened.
struct Pocket {
    carer: String,
    habits: Habits,
    events: VecDeque<Value>,
}

/// One connection's sending side.
struct Line {
    client: AsyncClient,
    subscribed: bool,
    /// What was given to the library and has no packet identifier yet, in order.
    queued: VecDeque<String>,
    /// What each identifier stands for.
    sent: BTreeMap<u16, String>,
}

impl Line {
    fn say(&mut self, carer: &str, event: &Value, times: usize) {
        for _ in 0..times {
            let topic = format!("nightrun/v1/default/carer/{carer}/event");
            let options = PublishOptions::at_least_once();
            // It fails if the connection has just ended; the next one says everything again.
            let _ = self.client.try_publish(topic, event.to_string(), options);
            self.queued.push_back(id(event));
        }
    }

    fn say_all(&mut self, pocket: &Pocket) {
        let mut events: Vec<&Value> = pocket.events.iter().collect();
        if pocket.habits.backwards {
            events.reverse();
        }
        for event in events {
            self.say(&pocket.carer, event, pocket.habits.times);
        }
    }
}

async fn phone(
    carer: String,
    port: u16,
    habits: Habits,
    mut orders: UnboundedReceiver<Order>,
    book: Arc<watch::Sender<Book>>,
) {
    let mut pocket = Pocket { carer, habits, events: VecDeque::new() };
    let mut ever = VecDeque::new();
    loop {
        let mut options = MqttOptions::new(pocket.carer.as_str(), ("127.0.0.1", port));
        options.set_keep_alive(5).set_connect_timeout(Duration::from_secs(3));
        options.set_outgoing_inflight_upper_limit(50);
        let (client, mut eventloop) = AsyncClient::builder(options).unbounded().build();
        let (pass_on, mut events) = unbounded_channel();
        // Polled by itself: a step that is left half-way is lost.
        let mut polling = JoinSet::new();
        polling.spawn(async move {
            while let Ok(event) = eventloop.poll().await {
                // An error means that nobody listens any more.
                let _ = pass_on.send(event);
            }
        });
        let mut line =
            Line { client, subscribed: false, queued: VecDeque::new(), sent: BTreeMap::new() };
        let mut again_at = Tick::now() + habits.patience;
        loop {
            tokio::select! {
                order = orders.recv() => {
                    let event = match order {
                        Some(Order::Say(event)) => event,
                        Some(Order::SayAgain) => {
                            pocket.events.clone_from(&ever);
                            if line.subscribed {
                                line.say_all(&pocket);
                            }
                            continue;
                        }
                        None => return,
                    };
                    ever.push_back(event.clone());
                    if line.subscribed {
                        line.say(&pocket.carer, &event, habits.times);
                    }
                    pocket.events.push_back(event);
                }
                () = sleep_until(again_at) => {
                    again_at = Tick::now() + habits.patience;
                    // Not while the last attempt is still on its way.
                    if line.subscribed && line.queued.is_empty() && line.sent.is_empty() {
                        line.say_all(&pocket);
                    }
                }
                event = events.recv() => {
                    let Some(event) = event else { break };
                    hear(event, &mut line, &mut pocket, &book);
                }
            }
        }
        sleep(Duration::from_millis(100)).await;
    }
}

fn hear(event: Event, line: &mut Line, pocket: &mut Pocket, book: &watch::Sender<Book>) {
    match event {
        Event::Incoming(Packet::ConnAck(_)) => {
            let topic = format!("nightrun/v1/default/carer/{}/receipt", pocket.carer);
            // As above.
            let _ = line.client.try_subscribe(topic, QoS::AtLeastOnce);
        }
        Event::Incoming(Packet::SubAck(_)) => {
            line.subscribed = true;
            line.say_all(pocket);
        }
        Event::Outgoing(Outgoing::Publish(packet)) => {
            if let Some(id) = line.queued.pop_front() {
                line.sent.insert(packet, id);
            }
        }
        Event::Incoming(Packet::PubAck(puback)) => {
            let taken = matches!(
                puback.reason,
                PubAckReason::Success | PubAckReason::NoMatchingSubscribers
            );
            if let Some(id) = line.sent.remove(&puback.pkid).filter(|_| taken) {
                book.send_modify(|book| {
                    book.acknowledged.insert(id);
                });
            }
        }
        Event::Incoming(Packet::Publish(publish)) => answered(&publish, pocket, book),
        _ => {}
    }
}

fn answered(publish: &Publish, pocket: &mut Pocket, book: &watch::Sender<Book>) {
    let receipt: Value = serde_json::from_slice(&publish.payload).expect("JSON");
    let of = id(&receipt);
    pocket.events.retain(|event| id(event) != of);
    book.send_modify(|book| {
        book.answered.insert(of);
        book.receipts.push(receipt);
    });
}

/// The `event_id` of an event or a receipt; empty if it has none.
pub fn id(of: &Value) -> String {
    of["event_id"].as_str().unwrap_or_default().to_owned()
}
