//! The reference client, `docs/phone.py`, as app makers copy it: nothing that it keeps is lost, whatever
//! is killed, and it does with each answer what the protocol asks.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use serde_json::{Value, json};
use sqlx::{Connection, SqliteConnection};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::support::daemon::Installation;
use crate::support::engine::{Engine, on_both_engines};
use crate::support::{Client, Mosquitto, within};

const EVENTS: u32 = 200;
const AMY: &str = "default/carer/amy";

/// The program, with amy's events in a file.
struct Phone {
    process: Child,
    input: Option<ChildStdin>,
    answers: UnboundedReceiver<Value>,
}

fn kept_in(installation: &Installation) -> PathBuf {
    installation.path("amy.db")
}

impl Phone {
    fn start(installation: &Installation) -> Self {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/phone.py");
        let mut process = Command::new("/usr/bin/python3")
            .arg(program)
            .args(["--broker", &format!("127.0.0.1:{}", installation.port)])
            .args(["--user", AMY, "--pause", "1"])
            .arg(kept_in(installation))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("python3 with paho-mqtt is installed");
        let lines = BufReader::new(process.stdout.take().expect("its output")).lines();
        let (sender, answers) = unbounded_channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // Nobody need listen.
                let _ = sender.send(serde_json::from_str(&line).expect("JSON"));
            }
        });
        let input = process.stdin.take();
        Self { process, input, answers }
    }

    fn say(&mut self, event: &Value) {
        writeln!(self.input.as_mut().expect("open"), "{event}").expect("it reads");
    }

    /// Half of all events.
    fn say_half(&mut self) {
        for number in 0..EVENTS / 2 {
            let client = format!("client-{}", number % 20);
            self.say(&json!({"type": "check_in", "client_ref": client}));
        }
    }

    async fn answer(&mut self) -> Value {
        within("an answer", self.answers.recv()).await.expect("it goes on")
    }

    async fn answers(&mut self, number: u32) -> Vec<Value> {
        let mut answers = Vec::new();
        for _ in 0..number {
            answers.push(self.answer().await);
        }
        answers
    }

    /// Has nothing more to say; what it had still to be told.
    async fn ends(mut self) -> Vec<Value> {
        self.input = None;
        let mut answers = Vec::new();
        while let Some(answer) = within("its end", self.answers.recv()).await {
            answers.push(answer);
        }
        // It has closed its output.
        assert!(self.process.wait().expect("it ends").success());
        answers
    }

    fn kill9(self) {
        drop(self);
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The ids of the answers, which must be of other events each, and have this status.
#[track_caller]
fn ids(answers: &[Value], statuses: &[&str]) -> BTreeSet<String> {
    let id = |answer: &Value| {
        assert!(statuses.contains(&answer["status"].as_str().expect("a word")), "{answer}");
        answer["event_id"].as_str().expect("text").to_owned()
    };
    let ids: BTreeSet<String> = answers.iter().map(id).collect();
    assert_eq!(ids.len(), answers.len(), "it shows one answer to each event");
    ids
}

/// The daemon has just these events, in one unbroken count of the phone's.
async fn the_daemon_has(installation: &Installation, ids: &BTreeSet<String>) {
    let stored = installation.texts("SELECT event_id FROM event").await;
    assert_eq!(stored.len(), ids.len());
    assert_eq!(stored.into_iter().collect::<BTreeSet<_>>(), *ids);
    let number = |payload: &String| -> Option<u64> {
        serde_json::from_str::<Value>(payload).expect("JSON")["seq"].as_u64()
    };
    let payloads = installation.texts("SELECT payload FROM event").await;
    let numbers: BTreeSet<Option<u64>> = payloads.iter().map(number).collect();
    assert_eq!(numbers.len(), ids.len());
    let gaps = "SELECT count(*) FROM alert WHERE kind = 'sequence_gap'";
    assert_eq!(installation.number(gaps).await, 0);
}

/// What the phone still keeps.
async fn kept(installation: &Installation) -> Vec<Option<String>> {
    let url = format!("sqlite:{}?mode=ro", kept_in(installation).display());
    let mut database = SqliteConnection::connect(&url).await.expect("the phone's events");
    let query = "SELECT rejected FROM event ORDER BY seq";
    sqlx::query_scalar(query).fetch_all(&mut database).await.expect("texts")
}

async fn each_answer_has_its_consequence(installation: &Installation) {
    let daemon = installation.start().await;
    let mut phone = Phone::start(installation);
    phone.say(&json!({"type": "check_in", "client_ref": "C-1"}));
    assert_eq!(phone.answer().await["status"], "accepted");
    phone.say(&json!({"type": "looked_in"}));
    // Its receipt tells it by the hash of the message, since the id cannot be read.
    phone.say(&json!({"type": "check_out", "client_ref": "C-1", "event_id": "16"}));
    phone.say(&json!({"type": "check_out", "client_ref": "C-1"}));
    let answers = phone.ends().await;
    let said: Vec<_> = answers.iter().map(|answer| (&answer["status"], &answer["code"])).collect();
    let (bad, good) =
        ((&json!("rejected"), &json!("bad_field")), (&json!("accepted"), &Value::Null));
    assert_eq!(said, [bad, bad, good]);
    assert!(answers[1]["event_id"].is_null());

    // Accepted ones are forgotten; rejected ones are kept and shown again, but not sent.
    let rejected = &answers[..2];
    let parsed = |text: &Option<String>| -> Value {
        serde_json::from_str(text.as_ref().expect("a rejection")).expect("JSON")
    };
    assert_eq!(kept(installation).await.iter().map(parsed).collect::<Vec<_>>(), rejected);
    assert_eq!(Phone::start(installation).ends().await, rejected);
    assert_eq!(installation.number("SELECT sum(times) FROM rejected").await, 2);
    daemon.terminate().await;
}

on_both_engines!(each_answer_has_its_consequence_through_mosquitto);
async fn each_answer_has_its_consequence_through_mosquitto(engine: Engine) {
    each_answer_has_its_consequence(&Installation::at(&Mosquitto::start(&[])).on(engine)).await;
}

on_both_engines!(each_answer_has_its_consequence_through_the_embedded_broker);
async fn each_answer_has_its_consequence_through_the_embedded_broker(engine: Engine) {
    each_answer_has_its_consequence(&Installation::embedded().on(engine)).await;
}

async fn the_daemon_is_killed(installation: &Installation) {
    let daemon = installation.start().await;
    let mut phone = Phone::start(installation);
    phone.say_half();
    let mut answers = phone.answers(20).await;
    daemon.kill9();
    phone.say_half();
    let daemon = installation.start().await;
    answers.extend(phone.ends().await);
    let ids = ids(&answers, &["accepted", "duplicate"]);
    assert_eq!(ids.len(), EVENTS as usize);
    the_daemon_has(installation, &ids).await;
    assert!(kept(installation).await.is_empty());
    daemon.terminate().await;
}

on_both_engines!(the_daemon_is_killed_behind_mosquitto);
async fn the_daemon_is_killed_behind_mosquitto(engine: Engine) {
    the_daemon_is_killed(&Installation::at(&Mosquitto::start(&[])).on(engine)).await;
}

on_both_engines!(the_daemon_is_killed_with_its_broker_inside);
async fn the_daemon_is_killed_with_its_broker_inside(engine: Engine) {
    the_daemon_is_killed(&Installation::embedded().on(engine)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_broker_is_restarted() {
    let mut broker = Mosquitto::start(&[]);
    let installation = Installation::at(&broker);
    let daemon = installation.start().await;
    let mut phone = Phone::start(&installation);
    phone.say_half();
    let mut answers = phone.answers(20).await;
    broker.stop();
    phone.say_half();
    broker.start_again();
    answers.extend(phone.ends().await);
    let ids = ids(&answers, &["accepted", "duplicate"]);
    assert_eq!(ids.len(), EVENTS as usize);
    the_daemon_has(&installation, &ids).await;
    daemon.terminate().await;
}

/// The broker acknowledges, nobody answers, and the phone goes: it has forgotten nothing. The answers
/// come while it is away, so that it misses them all; it asks again, and they come again.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_phone_asks_again_with_the_same_ids() {
    let broker = Mosquitto::start(&[]);
    let installation = Installation::at(&broker);
    installation.start().await.terminate().await;
    let mut listener = Client::connect(broker.port, "listener").await;
    listener.subscribe(&format!("nightrun/v1/{AMY}/event")).await;
    let mut phone = Phone::start(&installation);
    phone.say_half();
    phone.say_half();
    let mut sent = BTreeSet::new();
    while sent.len() < EVENTS as usize {
        let event: Value = serde_json::from_slice(&listener.message().await.payload).expect("JSON");
        sent.insert(event["event_id"].as_str().expect("text").to_owned());
    }
    phone.kill9();
    assert_eq!(kept(&installation).await, vec![None; EVENTS as usize]);

    let daemon = installation.start().await;
    the_daemon_has(&installation, &sent).await;
    let mut phone = Phone::start(&installation);
    phone.say(&json!({"type": "check_out", "client_ref": "client-0"}));
    let mut answers = phone.ends().await;
    let last = answers.iter().position(|answer| answer["status"] == "accepted");
    answers.remove(last.expect("the last is new"));
    assert_eq!(ids(&answers, &["duplicate"]), sent);
    assert!(kept(&installation).await.is_empty());
    daemon.terminate().await;
}
