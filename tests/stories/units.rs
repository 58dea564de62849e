//! Telecare units with a last will: lost, back, gone in order, and known to the broker from before;
//! with the daemon stopped in between (R21). What a unit reports is on site (R19).

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::support::daemon::{Installation, VISITS, ago, text};
use crate::support::engine::{Engine, on_both_engines};
use crate::support::people::Sender;
use crate::support::{Mosquitto, MosquittoPub, within};

const ONLINE: &str = r#"{"state":"online"}"#;
const OFFLINE: &str = r#"{"state":"offline"}"#;

fn status(unit: &str) -> String {
    format!("nightrun/v1/default/device/{unit}/status")
}

async fn retain(installation: &Installation, unit: &str, state: &str) {
    let topic = status(unit);
    let publisher = MosquittoPub::start(installation.port, &["-r", "-t", &topic, "-m", state]);
    assert!(publisher.succeeds().await);
}

/// A unit that is connected, with a will. Dropping it kills it.
struct Unit(Child);

impl Unit {
    /// Connects and says that it is online. After so many messages, its own first, it leaves in
    /// order.
    async fn start(installation: &Installation, name: &str, leaves_after: u32) -> Self {
        let (topic, port) = (status(name), installation.port.to_string());
        let mut child = Command::new("mosquitto_sub")
            .args(["-h", "127.0.0.1", "-p", &port, "-i", name, "-q", "1", "-t", &topic])
            .args(["-C", &leaves_after.to_string(), "--will-topic", &topic])
            .args(["--will-payload", OFFLINE, "--will-qos", "1", "--will-retain"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("mosquitto_sub is installed");
        let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let this = Self(child);
        retain(installation, name, ONLINE).await;
        let (say, heard) = oneshot::channel();
        std::thread::spawn(move || {
            if lines.map_while(Result::ok).any(|line| line == ONLINE) {
                // Nobody need listen.
                let _ = say.send(());
            }
        });
        within("a unit to hear itself", heard).await.expect("it does");
        this
    }

    /// Takes its power away.
    fn kill9(mut self) {
        self.0.kill().expect("kill");
        self.0.wait().expect("it ends");
    }

    async fn leaves(mut self) {
        let ended = tokio::task::spawn_blocking(move || self.0.wait().expect("it ends").success());
        assert!(within("the unit's end", ended).await.expect("no panic"));
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until the query finds something, with a phone that says the same again in between.
async fn until(installation: &Installation, phone: &mut Sender, query: &'static str) {
    let event_id = "6e6f7468-0000-4000-8000-000000000001";
    let again = json!({"event_id": event_id, "type": "check_in", "client_ref": "c-9",
                       "occurred_at": "2019-02-04T23:00:00Z"});
    let found = async {
        while installation.number(query).await == 0 {
            phone.ask("default/carer/ann", again.to_string()).await;
        }
    };
    within(query, found).await;
}

fn seen(unit: &str) -> (String, Value) {
    let event_id = uuid::Uuid::new_v4().to_string();
    let event = json!({"event_id": event_id, "type": "check_in", "carer_ref": "amy",
                       "occurred_at": text(ago(60))});
    (format!("default/device/{unit}"), event)
}

/// Plays five units; returns the daemon, which has been stopped for a quarter of an hour.
async fn units_come_and_go(installation: &Installation, known_before: i64) {
    let daemon = installation.start().await;
    let mut phone = installation.sender().await;
    let lost = Unit::start(installation, "unit-1", 99).await;
    Unit::start(installation, "unit-2", 1).await.leaves().await;
    let back = Unit::start(installation, "unit-3", 99).await;
    let heard = Unit::start(installation, "unit-4", 99).await;
    back.kill9();
    until(installation, &mut phone, "SELECT COUNT(lost_at) FROM sender WHERE ref = 'unit-3'").await;
    let _back = Unit::start(installation, "unit-3", 99).await;
    heard.kill9();
    until(installation, &mut phone, "SELECT COUNT(lost_at) FROM sender WHERE ref = 'unit-4'").await;
    let (from, event) = seen("unit-4");
    phone.say(&from, &event).await;
    lost.kill9();
    until(installation, &mut phone, "SELECT COUNT(lost_at) FROM sender WHERE ref = 'unit-1'").await;
    let lost = "SELECT ref FROM sender WHERE lost_at > heard_at ORDER BY ref";
    let are_lost = if known_before == 1 { vec!["unit-1", "unit-5"] } else { vec!["unit-1"] };
    assert_eq!(installation.texts(lost).await, are_lost);
    daemon.terminate().await;
    let night = installation.tonight().to_string();
    installation.run(["ledger", "--contract", "default", "--night", &night]).succeeded();

    // A quarter of an hour passes.
    let later = "UPDATE sender SET heard_at = heard_at - 1000000000, \
                 lost_at = lost_at - 1000000000, due_at = 0 WHERE kind = 'device'";
    installation.execute(later).await;
    let lost_at = "SELECT lost_at FROM sender WHERE ref = 'unit-1'";
    let was_lost_at = installation.number(lost_at).await;
    let daemon = installation.start().await;
    let mut phone = installation.sender().await;
    let mut alerts = installation.alerts().await;
    let open = "SELECT COUNT(*) FROM alert WHERE sender_ref = 'unit-1' AND kind = 'device_offline' \
                AND resolved_at IS NULL";
    until(installation, &mut phone, open).await;
    // What the broker repeated has set no clock anew.
    assert_eq!(installation.number(lost_at).await, was_lost_at);
    let due_at = "SELECT due_at FROM alert WHERE sender_ref = 'unit-1'";
    assert_eq!(installation.number(due_at).await, was_lost_at + 15 * 60 * 1_000_000);
    assert_eq!(installation.texts(lost).await, are_lost);
    let offline = "SELECT COUNT(*) FROM alert WHERE kind = 'device_offline'";
    assert_eq!(installation.number(offline).await, 1 + known_before);

    let (from, event) = seen("unit-1");
    phone.say(&from, &event).await;
    let resolved = loop {
        let (_, alert) = alerts.next().await;
        if alert["kind"] == "device_offline" && alert["state"] == "resolved" {
            break alert;
        }
    };
    assert_eq!(resolved["resolution"], "over");
    daemon.terminate().await;
}

on_both_engines!(units_that_come_and_go_at_the_broker_inside);
async fn units_that_come_and_go_at_the_broker_inside(engine: Engine) {
    units_come_and_go(&Installation::embedded().on(engine), 0).await;
}

on_both_engines!(units_that_come_and_go_at_mosquitto);
async fn units_that_come_and_go_at_mosquitto(engine: Engine) {
    let broker = Mosquitto::start(&[]);
    let installation = Installation::at(&broker).on(engine);
    // The broker knows a unit that the daemon has never heard.
    retain(&installation, "unit-5", OFFLINE).await;
    units_come_and_go(&installation, 1).await;
}

on_both_engines!(what_a_unit_reports_is_on_site_at_its_own_clients);
async fn what_a_unit_reports_is_on_site_at_its_own_clients(engine: Engine) {
    let installation = Installation::embedded().on(engine);
    let _daemon = installation.start().await;
    let mut alerts = installation.alerts().await;
    let mut phone = installation.sender().await;
    let home = |client: &str| format!("default,{client},51.5,0.3,100");
    installation.import(
        "clients",
        "contract,client_ref,lat,lon,fence_m",
        &[home("c-1"), home("c-2")],
    );
    let unit = "default,unit-7,c-1".to_owned();
    installation.import("devices", "contract,device_ref,client_ref", &[unit]);
    let (start, end) = (text(ago(300)), text(ago(-1500)));
    let row = |visit: &str, client: &str| {
        format!("default,{visit},Night care,Standard,{client},run-1,{start},{end},1")
    };
    installation.import("visits", VISITS, &[row("V-unit", "c-1"), row("V-phone", "c-2")]);
    let (from, event) = seen("unit-7");
    let receipt = phone.say(&from, &event).await;
    assert_eq!((&receipt["visit_ref"], &receipt["visit"]), (&json!("V-unit"), &json!("planned")));
    let (_, mut event) = seen("unit-7");
    event["carer_ref"] = json!("ben");
    event["client_ref"] = json!("c-2");
    event["position"] = json!({"lat": 51.6, "lon": 0.3});
    phone.say("default/carer/ben", &event).await;
    alerts.until("V-phone", "off_site", "open").await;
    assert!(alerts.of("V-unit").is_empty(), "{:?}", alerts.of("V-unit"));
    let log = installation.report("visits");
    let flags = |visit: &str| {
        let line = log.lines().find(|line| line.contains(visit)).expect("the visit");
        line.contains("off_site")
    };
    assert!(flags("V-phone") && !flags("V-unit"), "{log}");
}
