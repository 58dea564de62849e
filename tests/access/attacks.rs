//! What nobody may do, at either broker; and what everybody may.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::clients::{Door, Phone, User};
use crate::support::daemon::{Installation, ago, text};

/// A broker to be attacked, and who is there.
pub struct Night<'a> {
    pub door: Door,
    pub installation: &'a Installation,
    /// Whether the broker says no, or does as if and lets it come to nothing.
    pub says_no: bool,
    pub amy: User,
    /// The attacker, with a name and a password of its own.
    pub eve: User,
    pub unit: User,
    pub board: User,
}

/// What eve would like to hear.
const EAVESDROPPING: [&str; 14] = [
    "#",
    "+/#",
    "nightrun/#",
    "nightrun/v1/default/carer/+/receipt",
    "nightrun/v1/default/carer/amy/receipt",
    "nightrun/v1/default/carer/amy/#",
    "nightrun/v1/default/device/unit/receipt",
    "nightrun/v1/+/carer/+/event",
    "nightrun/v1/+/device/+/status",
    "nightrun/v1/+/alert/#",
    "nightrun/v1/daemon/+/status",
    "$share/g/nightrun/v1/default/carer/amy/receipt",
    "$share/g/nightrun/v1/+/carer/+/event",
    "$SYS/#",
];

/// Where eve would like to speak.
const SPOOFING: [&str; 11] = [
    "nightrun/v1/default/carer/amy/event",
    "nightrun/v1/other/carer/eve/event",
    "nightrun/v1/default/device/eve/event",
    "nightrun/v1/default/device/unit/event",
    "nightrun/v1/default/device/unit/status",
    "nightrun/v1/default/carer/amy/receipt",
    "nightrun/v1/default/carer/eve/receipt",
    "nightrun/v1/default/alert/late",
    "nightrun/v1/daemon/nightrun/status",
    "nightrun/v1/daemon/nightrun/marker",
    "nightrun/v1/default/carer/eve",
];

/// A check-in, and its id.
pub fn check_in(client: &str) -> (String, Value) {
    let id = Uuid::new_v4().to_string();
    let at = text(ago(5));
    let event = json!({
        "event_id": id, "type": "check_in", "occurred_at": at, "client_ref": client,
        "carer_ref": "amy",
    });
    (id, event)
}

/// Sends a check-in and waits for its receipt, which must be the next thing heard.
pub async fn checks_in(phone: &mut Phone, user: &User, client: &str) {
    let (id, mut event) = check_in(client);
    if user.name.contains("/carer/") {
        event.as_object_mut().expect("an object").remove("carer_ref");
    }
    phone.send(&user.topic("event"), &event.to_string(), false);
    let (topic, receipt) = phone.message().await;
    assert_eq!(topic, user.topic("receipt"), "{receipt}");
    let receipt: Value = serde_json::from_str(&receipt).expect("JSON");
    assert_eq!((&receipt["event_id"], &receipt["status"]), (&json!(id), &json!("accepted")));
}

/// All of it in one night. What is false says "spoof".
pub async fn attack(night: &Night<'_>) {
    let Night { door, amy, eve, unit, board, .. } = night;
    // A stranger who is silent keeps nobody waiting.
    let mut silent = TcpStream::connect(("127.0.0.1", door.port)).expect("a connection");
    let readable = ["nightrun/v1/+/alert/#", "nightrun/v1/daemon/+/status"];
    let mut board_phone = door.listen(board, &readable);
    let mut amys_phone = door.listen(amy, &[&amy.topic("receipt")]);
    let mut units_phone = door.listen_with(
        unit,
        &unit.client_id(),
        &[&unit.topic("receipt")],
        &["--version", "5", "--will", &unit.topic("status")],
    );
    assert_eq!(board_phone.subscribed().await, [1, 1]);
    let mut status = String::new();
    while !status.contains("online") {
        let (topic, payload) = board_phone.message().await;
        assert_eq!(topic, "nightrun/v1/daemon/nightrun/status");
        status = payload;
    }
    assert_eq!(amys_phone.subscribed().await, [1]);
    assert_eq!(units_phone.subscribed().await, [1]);

    strangers(night).await;
    spoofs(night);
    wills(night).await;

    let own = eve.topic("receipt");
    let wishes = [&[own.as_str()], &EAVESDROPPING[..]].concat();
    drop(listens(night, &wishes, "3.1.1", 128).await);
    let mut eves_phone = listens(night, &wishes, "5", 135).await;

    units_phone.send(&unit.topic("status"), r#"{"state":"online"}"#, true);
    checks_in(&mut units_phone, unit, "C-2").await;
    checks_in(&mut amys_phone, amy, "C-1").await;
    // It is the first thing that she hears.
    checks_in(&mut eves_phone, eve, "C-3").await;

    // What a program reads is what the daemon said, of what was true.
    for _ in 0..3 {
        let (topic, payload) = board_phone.message().await;
        assert_eq!(topic, "nightrun/v1/default/alert/unplanned_visit", "{payload}");
    }
    let mut later = door.listen(board, &readable);
    assert_eq!(later.subscribed().await, [1, 1]);
    let (topic, payload) = later.message().await;
    assert_eq!(topic, "nightrun/v1/daemon/nightrun/status");
    assert!(payload.contains("online"));

    let installation = night.installation;
    let heard = installation.number("SELECT count(*) FROM event").await;
    let nonsense = installation.number("SELECT count(*) FROM rejected").await;
    assert_eq!((heard, nonsense), (3, 0));
    // It was there all the time.
    silent.write_all(b"hello?").expect("it is open");
    drop(silent);
}

/// Eve asks for more than her own receipts.
async fn listens(night: &Night<'_>, wishes: &[&str], version: &str, no: i64) -> Phone {
    let Night { door, eve, says_no, .. } = night;
    let mut phone = door.listen_with(eve, &eve.client_id(), wishes, &["--version", version]);
    let granted = phone.subscribed().await;
    assert_eq!(granted[0], 1);
    assert!(!says_no || granted[1..].iter().all(|code| *code == no), "{granted:?}");
    phone
}

/// Nobody without a good name and password comes in, nor without TLS.
async fn strangers(night: &Night<'_>) {
    let Night { door, amy, eve, .. } = night;
    let nobody = User { name: "default/carer/nobody", password: eve.password.clone() };
    let wrong = User { password: eve.password.clone(), ..amy.clone() };
    for version in ["3.1.1", "5"] {
        for user in [&nobody, &wrong] {
            let options = ["--version", version];
            let mut phone = door.listen_with(user, &user.client_id(), &[], &options);
            // 3.1.1: a bad user name or password, or not authorised.
            let refused = if version == "5" { [134, 135] } else { [4, 5] };
            let code = phone.connected().await;
            // The broker inside gives the first of the two.
            let good = if night.says_no { code == refused[0] } else { refused.contains(&code) };
            assert!(good, "{}: {code}", user.name);
        }
    }
    let event = amy.topic("event");
    let anonymous = ["-i", &amy.client_id(), "-t", &event, "-m", "spoof"];
    assert!(!door.mosquitto_pub(&anonymous).status.success());

    let mut plain = TcpStream::connect(("127.0.0.1", door.port)).expect("a connection");
    plain.write_all(b"\x10\x0d\0\x04MQTT\x04\x02\0\x3c\0\x01e").expect("it is sent");
    let mut answer = Vec::new();
    // It may be cut off without an answer, or told in TLS.
    let _ = plain.read_to_end(&mut answer);
    assert_ne!(answer.first(), Some(&0x20), "a CONNACK in the clear");
}

/// Eve speaks where she may not, and as those who she is not.
fn spoofs(night: &Night<'_>) {
    let Night { door, eve, amy, .. } = night;
    for topic in SPOOFING {
        for options in [&["-V", "mqttv311"][..], &["-V", "mqttv5", "-r"]] {
            let ended = door.publish_with(eve, &eve.client_id(), topic, "spoof", options);
            assert!(!night.says_no || !ended.status.success(), "{topic}: {ended:?}");
        }
    }
    for client_id in [&amy.client_id(), "nightrun", "nightrun-publish"] {
        let ended = door.publish_with(eve, client_id, &amy.topic("event"), "spoof", &[]);
        assert!(!night.says_no || !ended.status.success(), "{client_id}: {ended:?}");
    }
}

/// Eve dies, and leaves something behind.
async fn wills(night: &Night<'_>) {
    let Night { door, eve, amy, .. } = night;
    for topic in [amy.topic("receipt"), amy.topic("event"), "nightrun/v1/default/alert/late".into()]
    {
        let mut phone = door.listen_with(eve, &eve.client_id(), &[], &["--will", topic.as_str()]);
        let refused = phone.connected().await;
        assert!(!night.says_no || refused == 5, "{topic}: {refused}");
        phone.kill();
    }
}
