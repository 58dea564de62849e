//! A thousand messages from paho phones, with duplicates, disorder and nonsense among them: each
//! gets the receipt that it should (R6, R7), a killed daemon loses nothing, and the visit log of the
//! database is that of a replay of what was sent (R8).

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta};
use nightrun::clock;
use nightrun::domain::instant::Instant;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::Mosquitto;
use crate::support::daemon::{Installation, VISITS, by_line, csv, text};
use crate::support::engine::{Engine, on_both_engines};
use crate::support::people::Phones;

/// Repeatable disorder.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("small") % sides
    }

    fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            list.swap(last, self.roll(last + 1));
        }
    }

    fn uuid(&mut self) -> String {
        let mut half = || {
            self.roll(2);
            self.0
        };
        uuid::Uuid::from_u64_pair(half(), half()).to_string()
    }
}

const CARERS: usize = 20;
const VISITS_PLANNED: usize = 330;

/// A message, with what must come of it.
#[derive(Clone)]
struct Message {
    carer: usize,
    contract: &'static str,
    payload: String,
    expected: Expected,
    last: bool,
}

#[derive(Clone, PartialEq, Eq)]
enum Expected {
    /// The first with its id is accepted, the others are duplicates; all belong to this visit.
    Event { id: String, visit: Option<String> },
    /// Rejected, with this code.
    Rejected { id: Option<String>, code: &'static str },
}

impl Message {
    fn event(carer: usize, event: &Value, visit: Option<String>) -> Self {
        let id = event["event_id"].as_str().expect("text").to_owned();
        let expected = Expected::Event { id, visit };
        Self { carer, contract: "default", payload: event.to_string(), expected, last: false }
    }

    fn topic(&self) -> String {
        format!("nightrun/v1/{}/carer/{}/event", self.contract, carer_ref(self.carer))
    }
}

fn carer_ref(carer: usize) -> String {
    format!("carer-{carer:02}")
}

/// The start of a visit: from eight hours ago to four hours ago, in the night that is now; all are
/// final by now.
fn start_of(visit: usize, from: Instant) -> Instant {
    from + TimeDelta::seconds(i64::try_from(visit).expect("small") * 40)
}

/// What happened at a home, as the phones of those who came say it.
fn at_home(visit: usize, from: Instant, dice: &mut Dice, messages: &mut Vec<Message>) {
    let carer = visit % CARERS;
    let at = |minutes: usize, seconds: usize| {
        let seconds = i64::try_from(minutes * 60 + seconds).expect("small");
        text(start_of(visit, from) + TimeDelta::seconds(seconds))
    };
    let visit_ref = format!("V-{visit:03}");
    let client_ref = format!("client-{visit:03}");
    let kind = visit % 11;
    let mut event = |kind: &str, at: String| {
        let id = dice.uuid();
        // What an app knows differs.
        let mut event = match visit % 3 {
            0 => json!({"event_id": id, "client_ref": client_ref, "visit_ref": visit_ref}),
            1 => json!({"event_id": id, "visit_ref": visit_ref}),
            _ => json!({"event_id": id, "client_ref": client_ref}),
        };
        event["type"] = json!(kind);
        event["occurred_at"] = json!(at);
        event
    };
    let late = [0, 4, 17, 33][visit % 4];
    let mut events = vec![];
    match kind {
        0 => {
            let mut refused = event("not_delivered", at(late, 0));
            refused["reason"] = json!("refused");
            events.push(refused);
        }
        1 => {
            let mut first = event("check_in", at(late, 0));
            first["informal_carer"] = json!(true);
            events.push(first);
        }
        _ => {
            let mut first = event("check_in", at(late, 7));
            first["position"] = json!({"lat": 51.5, "lon": 0.3, "accuracy_m": 8.5});
            events.push(first);
            events.push(event("check_out", at(late + 20, 3)));
        }
    }
    messages
        .extend(events.iter().map(|event| Message::event(carer, event, Some(visit_ref.clone()))));
}

/// The messages in the order in which each phone sends its own.
fn messages(from: Instant) -> Vec<Message> {
    let mut dice = Dice(0x6e69_6768_7472_756e);
    let mut good = Vec::new();
    for visit in 0..VISITS_PLANNED {
        at_home(visit, from, &mut dice, &mut good);
    }
    // Emergencies at homes that no plan has, each of two events a minute apart.
    for home in 0..20 {
        let first = dice.uuid();
        for (minute, kind, id) in [(0, "check_in", first.clone()), (1, "check_out", dice.uuid())] {
            let at = start_of(home, from) + TimeDelta::minutes(minute);
            let client = format!("emergency-{home}");
            let event = json!({
                "event_id": id, "type": kind, "client_ref": client, "occurred_at": text(at),
            });
            good.push(Message::event(home, &event, None));
        }
    }
    let mut all = good.clone();
    while all.len() < 880 {
        let mut again = good[dice.roll(good.len())].clone();
        let event: Value = serde_json::from_str(&again.payload).expect("JSON");
        let sent_at = text(from + TimeDelta::seconds(i64::try_from(all.len()).expect("small")));
        if dice.roll(2) == 0 {
            // The same content, in other words (R6).
            let fields = event.as_object().expect("an object").iter().rev();
            let fields: Vec<String> = fields.map(|(k, v)| format!("\"{k}\" : {v}")).collect();
            again.payload = format!("{{\"sent_at\":\"{sent_at}\", {} }}", fields.join(" , "));
        }
        all.push(again);
    }
    dice.shuffle(&mut all);
    while all.len() < 930 {
        let mut reused = good[dice.roll(good.len())].clone();
        let mut event: Value = serde_json::from_str(&reused.payload).expect("JSON");
        event["note"] = json!(format!("other content {}", all.len()));
        reused.payload = event.to_string();
        let id = event["event_id"].as_str().map(ToOwned::to_owned);
        reused.expected = Expected::Rejected { id, code: "event_id_reused" };
        all.push(reused);
    }
    while all.len() < 980 {
        all.push(unusable(all.len(), &mut dice));
    }
    // The end of each phone's night: what comes before it, has come when it is answered.
    for carer in 0..CARERS {
        let event = json!({
            "event_id": dice.uuid(), "type": "check_in", "client_ref": "the-last-of-all",
            "occurred_at": text(from),
        });
        all.push(Message { last: true, ..Message::event(carer, &event, None) });
    }
    all
}

fn unusable(number: usize, dice: &mut Dice) -> Message {
    let carer = number % CARERS;
    let id = dice.uuid();
    let mut event = json!({
        "event_id": id, "type": "check_in", "occurred_at": "2019-02-04T02:00:00Z",
        "client_ref": "client-000",
    });
    let (contract, payload, id, code) = match number % 4 {
        0 => ("default", format!("{{ \"event_id\": {number}"), None, "bad_json"),
        1 => {
            event["carer_ref"] = json!("somebody-else");
            ("default", event.to_string(), Some(id), "wrong_sender")
        }
        2 => {
            event["type"] = json!("looked_in");
            ("default", event.to_string(), Some(id), "bad_field")
        }
        _ => ("elsewhere", event.to_string(), Some(id), "unknown_contract"),
    };
    Message { carer, contract, payload, expected: Expected::Rejected { id, code }, last: false }
}

fn plan(from: Instant) -> Vec<String> {
    let row = |visit: usize| {
        let start = start_of(visit, from);
        let end = start + TimeDelta::minutes(30);
        let carers = if visit % 11 == 1 { 2 } else { 1 };
        format!(
            "default,V-{visit:03},Night care,Standard,client-{visit:03},run-{},{},{},{carers}",
            visit % CARERS,
            text(start),
            text(end)
        )
    };
    (0..VISITS_PLANNED).map(row).collect()
}

#[derive(PartialEq, Eq, Clone, Copy)]
enum Night {
    Quiet,
    Killed,
}

/// Half of the phones speak MQTT 3.1.1, the others 5.
async fn a_thousand(installation: &Installation, night: Night) {
    let from = clock::now() - TimeDelta::hours(8);
    let rows = plan(from);
    installation.import("visits", VISITS, &rows);
    let messages = messages(from);
    assert_eq!(messages.len(), 1_000);
    let script = |half: usize| -> Vec<Value> {
        let lines = messages.iter().filter(|message| message.carer % 2 == half);
        lines
            .map(|message| {
                json!({
                    "phone": carer_ref(message.carer), "topic": message.topic(),
                    "payload": message.payload, "last": message.last,
                })
            })
            .collect()
    };
    let resend = if night == Night::Killed { 2 } else { 60 };
    let mut daemon = installation.start().await;
    let mut three = Phones::start(installation, "3.1.1", &script(0), resend);
    let five = Phones::start(installation, "5", &script(1), resend);
    if night == Night::Killed {
        three.have_receipts(150).await;
        daemon.kill9();
        let events = installation.number("SELECT count(*) FROM event").await;
        assert!((1..700).contains(&events), "it was to be in the middle: {events} events");
        daemon = installation.start().await;
    }
    let mut receipts = three.finish().await;
    receipts.extend(five.finish().await);
    match night {
        Night::Quiet => exactly(&messages, &receipts),
        Night::Killed => at_least(&messages, &receipts),
    }

    let ids: BTreeSet<&String> = messages.iter().filter_map(accepted_id).collect();
    let once = i64::try_from(ids.len()).expect("small");
    assert_eq!(installation.number("SELECT count(DISTINCT event_id) FROM event").await, once);
    assert_eq!(installation.number("SELECT count(*) FROM event").await, once);
    let received = received_at(&receipts);
    let stored = installation.texts("SELECT event_id FROM event").await;
    assert_eq!(stored.iter().collect::<BTreeSet<_>>(), ids);

    installation.write("plan.csv", &csv(VISITS, &rows));
    installation.write("events.jsonl", &as_received(&messages, &received));
    let replayed = installation.replay(&[("--visits", "plan.csv"), ("--events", "events.jsonl")]);
    assert!(replayed.lines().count() > VISITS_PLANNED + 20);
    assert_eq!(installation.report("visits"), replayed);
    let tonight = installation.tonight().to_string();
    installation.run(["ledger", "--night", &tonight]).succeeded();
    let schedule = std::fs::read_to_string(installation.path("replayed/schedule-3.csv"));
    assert_eq!(installation.report("schedule-3"), schedule.expect("the schedule"));
    daemon.terminate().await;
}

fn accepted_id(message: &Message) -> Option<&String> {
    match &message.expected {
        Expected::Event { id, .. } => Some(id),
        Expected::Rejected { .. } => None,
    }
}

/// What must be said of a receipt: its topic, whom it is about, its status, its code, its visit.
type Said = (String, String, String, String);

fn said(topic: &str, receipt: &Value) -> Said {
    let word = |key: &str| receipt[key].as_str().unwrap_or("-").to_owned();
    let id = if receipt["event_id"].is_null() { word("payload_sha256") } else { word("event_id") };
    (topic.to_owned(), id, word("status"), word("code"))
}

fn of_message(message: &Message, heard: &mut BTreeSet<String>) -> Said {
    let topic = message.topic().replace("/event", "/receipt");
    match &message.expected {
        Expected::Event { id, .. } => {
            let status = if heard.insert(id.clone()) { "accepted" } else { "duplicate" };
            (topic, id.clone(), status.to_owned(), "-".to_owned())
        }
        Expected::Rejected { id, code } => {
            let hash = Sha256::digest(&message.payload);
            let hash = hash.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
            let id = id.clone().unwrap_or(hash);
            (topic, id, "rejected".to_owned(), (*code).to_owned())
        }
    }
}

/// One receipt for each message, and no other.
fn exactly(messages: &[Message], receipts: &[(String, Value)]) {
    let mut heard = BTreeSet::new();
    let mut expected: Vec<_> = messages.iter().map(|m| of_message(m, &mut heard)).collect();
    let mut are: Vec<_> = receipts.iter().map(|(topic, receipt)| said(topic, receipt)).collect();
    expected.sort();
    are.sort();
    let wrong: Vec<_> = are.iter().filter(|said| !expected.contains(said)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(are, expected);
    check_visits(messages, receipts);
}

/// After a kill a receipt may come twice, and a message too; but nothing else may be said of any.
fn at_least(messages: &[Message], receipts: &[(String, Value)]) {
    let mut heard = BTreeSet::new();
    let mut allowed: BTreeSet<Said> =
        messages.iter().map(|message| of_message(message, &mut heard)).collect();
    for (topic, id, _, _) in allowed.clone() {
        if heard.contains(&id) {
            allowed.insert((topic, id, "duplicate".to_owned(), "-".to_owned()));
        }
    }
    for (topic, receipt) in receipts {
        assert!(allowed.contains(&said(topic, receipt)), "{topic} {receipt}");
    }
    check_visits(messages, receipts);
}

/// Events that name a visit, or whose home has one, are told that they belong there.
fn check_visits(messages: &[Message], receipts: &[(String, Value)]) {
    let visits: BTreeMap<&String, &Option<String>> = messages
        .iter()
        .filter_map(|message| match &message.expected {
            Expected::Event { id, visit } => Some((id, visit)),
            Expected::Rejected { .. } => None,
        })
        .collect();
    for (_, receipt) in receipts.iter().filter(|(_, receipt)| receipt["status"] != "rejected") {
        let id = receipt["event_id"].as_str().expect("text").to_owned();
        match visits[&id] {
            // A statement has no attendance, and is told its visit all the same.
            Some(visit) => {
                assert_eq!(
                    (&receipt["visit"], &receipt["visit_ref"]),
                    (&json!("planned"), &json!(visit))
                );
            }
            None => assert_eq!(receipt["visit"], "unplanned"),
        }
    }
}

/// When each event was received, as its receipts say: all of them the same.
fn received_at(receipts: &[(String, Value)]) -> BTreeMap<String, Instant> {
    let mut received = BTreeMap::new();
    for (_, receipt) in receipts.iter().filter(|(_, receipt)| receipt["status"] != "rejected") {
        let id = receipt["event_id"].as_str().expect("text").to_owned();
        let at = receipt["received_at"].as_str().expect("text");
        let at = DateTime::parse_from_rfc3339(at).expect("an instant").to_utc();
        assert_eq!(*received.entry(id).or_insert(at), at, "{receipt}");
    }
    received
}

/// The file of what was received. What came again, came later.
fn as_received(messages: &[Message], received: &BTreeMap<String, Instant>) -> String {
    let mut heard = BTreeSet::new();
    let mut lines = Vec::new();
    for message in messages {
        let id = match &message.expected {
            Expected::Event { id, .. }
            | Expected::Rejected { id: Some(id), code: "event_id_reused" } => id,
            Expected::Rejected { .. } => continue,
        };
        let first = heard.insert(id);
        let at = received[id] + TimeDelta::seconds(i64::from(!first));
        let (topic, payload) = (message.topic(), &message.payload);
        let at = text(at);
        lines.push(format!(
            "{{\"topic\":\"{topic}\",\"received_at\":\"{at}\",\"payload\":{payload}}}"
        ));
    }
    by_line(lines)
}

on_both_engines!(through_mosquitto);
async fn through_mosquitto(engine: Engine) {
    a_thousand(&Installation::at(&Mosquitto::start(&[])).on(engine), Night::Quiet).await;
}

on_both_engines!(through_the_embedded_broker);
async fn through_the_embedded_broker(engine: Engine) {
    a_thousand(&Installation::embedded().on(engine), Night::Quiet).await;
}

on_both_engines!(through_mosquitto_and_the_daemon_is_killed);
async fn through_mosquitto_and_the_daemon_is_killed(engine: Engine) {
    a_thousand(&Installation::at(&Mosquitto::start(&[])).on(engine), Night::Killed).await;
}

on_both_engines!(through_the_embedded_broker_and_the_daemon_is_killed);
async fn through_the_embedded_broker_and_the_daemon_is_killed(engine: Engine) {
    a_thousand(&Installation::embedded().on(engine), Night::Killed).await;
}
