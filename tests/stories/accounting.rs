//! The ledger accounts for every message, while the daemon runs and after it, and finds whatever has
//! been changed since.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use nightrun::clock;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::daemon::{Installation, Ran, VISITS, ago, text};
use crate::support::engine::{Engine, on_both_engines};

const PLAN: &str = "cancelled_at,cancelled_by,cancel_reason";
const CLIENTS: &str = "contract,client_ref,lat,lon,fence_m";
const ANN: &str = "default/carer/ann";
const BEN: &str = "default/carer/ben";
const UNIT: &str = "default/device/unit-1";

fn event(kind: &str, minutes_ago: i64, fields: &Value) -> Value {
    let mut payload = json!({
        "event_id": Uuid::new_v4().to_string(), "type": kind,
        "occurred_at": text(ago(minutes_ago * 60)),
    });
    for (name, value) in fields.as_object().expect("an object") {
        payload[name] = value.clone();
    }
    payload
}

fn row(name: &str, client: &str, minutes_ago: i64, carers: u8, cancelled: &str) -> String {
    let start = ago(minutes_ago * 60);
    let (start, end) = (text(start), text(start + TimeDelta::minutes(30)));
    format!("default,{name},Night care,Standard,{client},run-1,{start},{end},{carers},{cancelled}")
}

fn ledger(installation: &Installation, more: &[&str]) -> Ran {
    let night = installation.tonight().to_string();
    let arguments = ["ledger", "--night", &night];
    installation.run(arguments.into_iter().chain(more.iter().copied()))
}

/// Plays a night with everything in it; how many messages were accepted, repeated and rejected.
pub(super) async fn play(installation: &Installation) -> (usize, usize, usize) {
    let error = format!("{},error,", text(ago(700 * 60)));
    installation.import("clients", CLIENTS, &["default,c-1,51.5,0.3,100".to_owned()]);
    installation.import(
        "visits",
        &format!("{VISITS},{PLAN}"),
        &[
            row("V-done", "c-1", 120, 1, ",,"),
            row("V-missed", "c-2", 300, 1, ",,"),
            row("V-now", "c-3", 40, 1, ",,"),
            row("V-void", "c-4", 200, 1, &error),
            row("V-refused", "c-5", 250, 1, ",,"),
            row("V-short", "c-6", 250, 2, ",,"),
        ],
    );
    let far = json!({"client_ref": "c-1", "seq": 1,
                     "position": {"lat": 51.6, "lon": 0.3, "accuracy_m": 5.0}});
    let first = event("check_in", 118, &far);
    let mut changed = first.clone();
    changed["note"] = json!("not what was said before");
    let accepted = [
        (ANN, first.clone()),
        (ANN, event("check_out", 92, &json!({"client_ref": "c-1", "seq": 2}))),
        (ANN, event("check_in", 90, &json!({"client_ref": "c-9", "seq": 5}))),
        (ANN, event("check_in", 88, &json!({"client_ref": "c-9"}))),
        (ANN, event("check_in", 70, &json!({"tag": "chip-nobody-knows"}))),
        (ANN, event("not_delivered", 60, &json!({"client_ref": "c-10", "reason": "other"}))),
        (BEN, event("check_in", 39, &json!({"visit_ref": "V-now"}))),
        (BEN, event("not_delivered", 249, &json!({"visit_ref": "V-refused", "reason": "refused"}))),
        (BEN, event("check_in", 248, &json!({"visit_ref": "V-short"}))),
        (BEN, event("check_out", 230, &json!({"visit_ref": "V-short"}))),
        (UNIT, event("check_in", 45, &json!({"carer_ref": "cyd", "client_ref": "c-11"}))),
    ];
    let mut phone = installation.sender().await;
    for (from, payload) in &accepted {
        phone.say(from, payload).await;
    }
    let again = [&accepted[0], &accepted[0], &accepted[4]];
    for (from, payload) in again {
        let receipt = phone.ask(from, payload.to_string()).await;
        assert_eq!(receipt["status"], "duplicate", "{receipt}");
    }
    let junk = [
        (ANN, changed.to_string()),
        (ANN, "what is this".to_owned()),
        (ANN, "what is this".to_owned()),
        (BEN, json!({"event_id": Uuid::new_v4().to_string()}).to_string()),
    ];
    for (from, payload) in &junk {
        let receipt = phone.ask(from, payload.clone()).await;
        assert_eq!(receipt["status"], "rejected", "{receipt}");
    }
    let receipt = phone.ask("elsewhere/carer/ann", first.to_string()).await;
    assert_eq!(receipt["code"], "unknown_contract");
    // States have no receipt: what comes after them has, and is taken after them.
    for state in [r#"{"state":"online"}"#, "no state"] {
        phone.client.send("nightrun/v1/default/device/unit-1/status", state);
    }
    phone.client.acknowledged(2).await;
    let last = event("check_out", 30, &json!({"carer_ref": "cyd", "client_ref": "c-11"}));
    phone.say(UNIT, &last).await;
    (accepted.len() + 1, again.len(), junk.len() + 1)
}

on_both_engines!(every_message_is_accounted_for_and_tampering_is_found);
async fn every_message_is_accounted_for_and_tampering_is_found(engine: Engine) {
    let installation = Installation::embedded().on(engine);
    let daemon = installation.start().await;
    let mut alerts = installation.alerts().await;
    let (accepted, duplicate, rejected) = play(&installation).await;
    alerts.until("V-missed", "missed", "open").await;
    alerts.until("V-short", "short_staffed", "open").await;
    let all = accepted + duplicate + rejected;
    let agrees = format!(
        "the ledger agrees: {all} messages = {accepted} events + {duplicate} duplicates + \
         {rejected} rejected\n"
    );
    let account = ledger(&installation, &["--contract", "default"]).succeeded();
    assert!(account.ends_with(&agrees), "{account}");
    assert!(
        account.contains("carer ann: messages 3 to 4 have not arrived, although 5 has"),
        "{account}"
    );
    let squeezed = account.split_whitespace().collect::<Vec<_>>().join(" ");
    for line in
        ["1 states of units", "6 in planned", "4 in unplanned", "2 unplaced", "2 are provisional"]
    {
        assert!(squeezed.contains(line), "{line:?} is not in {account}");
    }
    // Without a contract: all of them, and what names none.
    let account = ledger(&installation, &[]).succeeded();
    assert!(account.contains(&agrees), "{account}");
    messages(&installation, all - duplicate);
    daemon.terminate().await;
    let account = ledger(&installation, &["--contract", "default", "--messages"]).succeeded();
    assert!(account.ends_with(&agrees), "{account}");
    assert!(account.contains("repeat of U-"), "{account}");
    tamper(&installation).await;
    if engine == Engine::Sqlite {
        of_before_the_ledger(&installation, accepted, duplicate, rejected + 1).await;
    }
    ledger(&installation, &["--contract", "other"]).failed(2, &["no contract other"]);
    assert_eq!(installation.run(["ledger", "--contract", "default"]).status, Some(2));
}

/// Who only reads leaves the tables of an older daemon alone. A database of before the ledger is brought
/// up to date; whose the rejected messages were is not known of it.
async fn of_before_the_ledger(
    installation: &Installation,
    accepted: usize,
    duplicate: usize,
    rejected: usize,
) {
    installation
        .execute(
            "DROP TRIGGER alert_is_counted; DROP TABLE ledger; DROP TABLE rejected_night; \
             DROP INDEX event_effective; DELETE FROM _sqlx_migrations WHERE version = 3",
        )
        .await;
    for _ in 0..2 {
        ledger(installation, &[]).failed(2, &["of version 2", "run `nightrun migrate`"]);
    }
    let migrated = installation.run(["migrate"]).succeeded();
    assert!(migrated.contains("from version 2 to version "), "{migrated}");
    let account = ledger(installation, &[]).succeeded();
    let known = accepted + duplicate;
    let verdict =
        format!("{known} messages = {accepted} events + {duplicate} duplicates + 0 rejected");
    assert!(account.contains(&verdict), "{account}");
    // They are on the page of the UTC date, which is not the night's after midnight.
    let today = clock::now().date_naive().to_string();
    let account = installation.run(["ledger", "--night", &today]).succeeded();
    let verdict = format!("{rejected} messages = 0 events + 0 duplicates + {rejected} rejected");
    assert!(account.contains(&verdict), "{account}");
}

/// Each message is one line of the list, with where it went.
fn messages(installation: &Installation, number: usize) {
    let list = ledger(installation, &["--contract", "default", "--format", "csv"]).succeeded();
    let mut reader = ::csv::Reader::from_reader(list.as_bytes());
    let rows: Vec<BTreeMap<String, String>> =
        reader.deserialize().map(|row| row.expect("a row")).collect();
    // Junk that came twice is one row.
    assert_eq!(rows.len(), number - 1, "{list}");
    let find = |visit: &str, part: &str| {
        let found = rows.iter().find(|row| row["visit_ref"] == visit && row["part"] == part);
        found.unwrap_or_else(|| panic!("{part} of {visit} is not in {list}"))
    };
    let came = find("V-done", "check_in");
    assert_eq!((came["times"].as_str(), came["service"].as_str()), ("3", "Night care"), "{list}");
    assert!(came["alerts"].contains("off_site+"), "{list}");
    assert_eq!(find("V-now", "check_in")["status"], "in_progress");
    assert_eq!(find("V-refused", "statement")["status"], "frustrated");
    let twice = rows.iter().find(|row| row["says"] == "bad_json").expect("junk");
    assert_eq!((twice["times"].as_str(), twice["went"].as_str()), ("2", "rejected"));
}

/// What is done to the database, and what the ledger then says among other things.
const TAMPERED: [(&str, &str); 23] = [
    (
        "DELETE FROM event WHERE payload LIKE '%\"seq\":2%'",
        "12 events were accepted, and 11 are kept",
    ),
    (
        "INSERT INTO event (contract, event_id, content, topic, payload, received_at, effective_at, \
         carer_ref, night, client_ref, placed_by) \
         SELECT contract, '00000000-0000-4000-8000-000000000000', content, topic, payload, \
         received_at, effective_at, carer_ref, night, client_ref, placed_by FROM event LIMIT 1",
        "event_id differs",
    ),
    ("DELETE FROM rejected WHERE code = 'bad_json'", "and its row it is gone"),
    (
        "DELETE FROM rejected_night; \
         DELETE FROM rejected WHERE code = 'bad_json'",
        "5 messages were rejected, and 0 are kept",
    ),
    ("UPDATE rejected SET times = times + 1 WHERE code = 'bad_json'", "and its row says 3"),
    ("UPDATE rejected SET payload = substr(payload, 2)", "not as it was received"),
    ("UPDATE ledger SET accepted = accepted + 1", "13 events were accepted"),
    ("UPDATE ledger SET received = received + 1", "all nights: 22 messages were received, and 21"),
    ("UPDATE ledger SET duplicate = 0", "0 duplicates came"),
    ("UPDATE event SET duplicates = 0", "and 0 are counted at their events"),
    (
        "UPDATE event SET client_ref = 'c-2' WHERE payload LIKE '%\"seq\":2%'",
        "kept at client c-2 by client",
    ),
    ("UPDATE event SET placed_by = 'tag' WHERE payload LIKE '%V-now%'", "by tag, night"),
    ("UPDATE event SET night = '2020-01-01' WHERE payload LIKE '%V-now%'", "night 2020-01-01, and"),
    (
        "UPDATE event SET payload = replace(payload, '\"refused\"', '\"deceased\"')",
        "not as it was received: content differs",
    ),
    ("UPDATE event SET payload = '{'", "cannot be read: bad_json"),
    ("DELETE FROM alert WHERE kind = 'missed'", "visit V-missed: missed is so since"),
    ("DELETE FROM alert WHERE resolved_at IS NOT NULL", "alerts were raised, and"),
    (
        "INSERT INTO alert (id, contract, night, client_ref, visit_ref, sender_kind, sender_ref, \
         carer_ref, kind, due_at, raised_at, told, resolved_at, resolution, message) \
         SELECT '00000000-0000-4000-8000-000000000000', contract, night, \
         client_ref, visit_ref, sender_kind, sender_ref, carer_ref, kind, due_at, raised_at, told, \
         resolved_at, resolution, replace(message, id, \
         '00000000-0000-4000-8000-000000000000') FROM alert WHERE kind = 'missed' AND \
         visit_ref = 'V-missed'; UPDATE ledger SET alerts = alerts - 1",
        "is one open alert too many",
    ),
    (
        "UPDATE alert SET resolved_at = 1, resolution = 'over', message = \
         replace(replace(message, '\"open\"', '\"resolved\"'), '\"resolution\":null', \
         '\"resolution\":\"over\"') WHERE kind = 'short_staffed'",
        "visit V-short: short_staffed is so since",
    ),
    ("UPDATE alert SET due_at = 1 WHERE kind = 'missed'", "not as it was said: due_at differs"),
    ("DELETE FROM planned_visit WHERE visit_ref = 'V-missed'", "missed is open, and is over"),
    ("UPDATE night SET due_at = NULL", "nobody is to look then"),
    (
        "UPDATE night SET settled = replace(settled, '\"frustrated\"', '\"delivered\"')",
        "what is settled is not what happened",
    ),
];

async fn tamper(installation: &Installation) {
    installation.database.lower_its_guard().await;
    let whole = installation.database.keep();
    for (change, says) in TAMPERED {
        installation.execute(change).await;
        let account = ledger(installation, &["--contract", "default"]);
        assert_eq!(account.status, Some(1), "{change}: {}", account.out);
        assert!(account.out.contains("DISAGREES: "), "{change}: {}", account.out);
        assert!(account.out.contains(says), "{change}: {says:?} is not in {}", account.out);
        assert!(account.out.contains("the ledger does not agree"), "{change}: {}", account.out);
        installation.database.put_back(&whole);
    }
    // What was done to it was found, and nothing else is wrong with it.
    ledger(installation, &["--contract", "default"]).succeeded();
}

on_both_engines!(the_ledger_agrees_at_every_moment_of_a_busy_night);
async fn the_ledger_agrees_at_every_moment_of_a_busy_night(engine: Engine) {
    let installation = Installation::embedded().on(engine);
    let _daemon = installation.start().await;
    let mut phones = installation.sender().await;
    let mut receipts = 0;
    for number in 0..600 {
        let client = json!({"client_ref": format!("c-{}", number % 40), "seq": number / 2 + 1});
        let kind = if number % 2 == 0 { "check_in" } else { "check_out" };
        let payload = event(kind, 60 - number % 50, &client).to_string();
        let from = format!("default/carer/w-{}", number % 7);
        phones.send(&from, payload.clone());
        receipts += 1;
        if number % 3 == 0 {
            phones.send(&from, payload);
            receipts += 1;
        }
        if number % 100 == 99 {
            ledger(&installation, &["--contract", "default"]).succeeded();
        }
    }
    for _ in 0..receipts {
        phones.receipt().await;
    }
    let account = ledger(&installation, &["--contract", "default"]).succeeded();
    assert!(account.contains("800 messages = 600 events + 200 duplicates"), "{account}");
}

on_both_engines!(the_database_refuses_to_edit_and_to_delete_evidence);
/// By whatever program somebody tries it (R7).
async fn the_database_refuses_to_edit_and_to_delete_evidence(engine: Engine) {
    let installation = Installation::embedded().on(engine);
    let daemon = installation.start().await;
    let mut phone = installation.sender().await;
    phone.ask("default/carer/amy", "{").await;
    let event = json!({
        "event_id": "6e6f7468-0000-4000-8000-000000000001", "type": "check_in",
        "client_ref": "c-1", "occurred_at": text(clock::now()),
    });
    phone.say("default/carer/amy", &event).await;
    daemon.terminate().await;
    for (change, says) in [
        ("DELETE FROM event", "evidence is never deleted"),
        ("UPDATE event SET payload = '{}'", "evidence is never edited"),
        ("DELETE FROM rejected", "never deleted"),
        ("UPDATE rejected SET payload = substr(payload, 2)", "never edited"),
    ] {
        let refused = installation.database.try_execute(change).await.expect_err(change);
        assert!(refused.to_string().contains(says), "{change}: {refused}");
    }
}
