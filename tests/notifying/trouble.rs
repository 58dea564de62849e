//! Receivers that are down, slow, unwilling or gone.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};

use nightrun::clock;

use crate::desk::{ANN, AT_ONCE, check_in, fates, plan, start, time_passes, until, visit};
use crate::receiver::{Answer, KEY, Receiver, Told};
use crate::support::daemon::{Installation, ago};
use crate::support::engine::{Engine, on_both_engines};

/// Who verifies signatures without anything of ours.
const VERIFY: &str = "
import base64, hashlib, hmac, sys
key, id, timestamp, signature, body = sys.stdin.read().split('\\0')
signed = hmac.new(base64.b64decode(key), f'{id}.{timestamp}.{body}'.encode(), hashlib.sha256)
sys.exit(signature != 'v1,' + base64.b64encode(signed.digest()).decode())
";

fn is_signed(told: &Told) -> bool {
    let Told { id, timestamp, signature, body, .. } = told;
    let mut python = Command::new("/usr/bin/python3")
        .args(["-c", VERIFY])
        .stdin(Stdio::piped())
        .spawn()
        .expect("python3");
    let parts = [KEY, id, timestamp, signature, body].join("\0");
    python.stdin.take().expect("its input").write_all(parts.as_bytes()).expect("it reads");
    python.wait().expect("its end").success()
}

on_both_engines!(a_receiver_that_was_down_is_told_of_everything_in_order);
async fn a_receiver_that_was_down_is_told_of_everything_in_order(engine: Engine) {
    let mut receiver = Receiver::down();
    let desk = receiver.recipient("desk", "");
    let installation =
        Installation::embedded().on(engine).with_sections(AT_ONCE.to_owned() + &desk);
    let (daemon, _phone) = start(&installation).await;
    plan(
        &installation,
        &[visit("A", "run-1", 40), visit("B", "run-2", 40), visit("C", "run-3", 70)],
    );
    until(&installation, "notification", "state = 'waiting'", 3).await;
    // It is tried, more seldom each time, and left alone in between.
    until(&installation, "recipient", "failures = 1", 1).await;
    let micros = clock::now().timestamp_micros();
    assert_eq!(
        installation.number("SELECT count(*) FROM recipient WHERE leased_until > 0").await,
        0
    );
    until(&installation, "recipient", &format!("free_at > {micros}"), 1).await;
    time_passes(&installation).await;
    until(&installation, "recipient", "failures >= 2", 1).await;

    // The daemon is killed meanwhile. Ten minutes later the receiver is there.
    daemon.kill9();
    let daemon = installation.start().await;
    receiver.go_up().await;
    installation.execute("UPDATE recipient SET leased_until = 0").await;
    time_passes(&installation).await;
    let told = receiver.until_told(3).await;
    let says: BTreeSet<_> = told.iter().map(Told::says).collect();
    let expected =
        ["desk opened late A", "desk opened late B", "desk opened missed C"].map(str::to_owned);
    assert_eq!(says, BTreeSet::from(expected));

    // What was missed was not: that is told after it, and nothing is told again.
    let mut phone = installation.sender().await;
    phone.say(ANN, &check_in("C", ago(68 * 60))).await;
    let withdrawn = receiver.until_says("desk withdrawn missed C").await;
    let opened = receiver.until_says("desk opened missed C").await;
    assert_eq!(
        withdrawn.json()["data"]["alerts"][0]["alert_id"],
        opened.json()["data"]["alerts"][0]["alert_id"]
    );
    until(&installation, "notification", "state = 'sent'", 4).await;
    let told = receiver.told();
    let ids: BTreeSet<_> = told.iter().map(|told| told.id.clone()).collect();
    assert_eq!((told.len(), ids.len()), (4, 4));
    for told in &told {
        assert!(is_signed(told), "{told:?}");
        assert!(!is_signed(&Told {
            body: told.body.replace("late", "lake") + " ",
            ..told.clone()
        }));
    }
    daemon.terminate().await;
    installation.ledger();
}

on_both_engines!(what_may_have_been_heard_is_told_again_under_the_same_id);
async fn what_may_have_been_heard_is_told_again_under_the_same_id(engine: Engine) {
    let receiver = Receiver::up().await;
    receiver.answers(Answer::Never);
    let desk = receiver.recipient("desk", "");
    let installation =
        Installation::embedded().on(engine).with_sections(AT_ONCE.to_owned() + &desk);
    let (daemon, _phone) = start(&installation).await;
    plan(&installation, &[visit("A", "run-1", 40), visit("B", "run-1", 40)]);
    let first = receiver.until_told(1).await.remove(0);
    // Nobody knows whether the receiver has it.
    daemon.kill9();
    receiver.answers(Answer::Status(200));
    let daemon = installation.start().await;
    installation.execute("UPDATE recipient SET leased_until = 0").await;
    until(&installation, "notification", "state = 'sent'", 2).await;
    let told = receiver.told();
    assert_eq!(told.len(), 2);
    assert_eq!((&told[1].id, &told[1].body), (&first.id, &first.body));
    assert_eq!(told[1].visits(), ["A", "B"]);
    daemon.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_never_answers_holds_up_nobody_else() {
    let (silent, receiver) = (Receiver::up().await, Receiver::up().await);
    silent.answers(Answer::Never);
    let sections = [AT_ONCE, &silent.recipient("silent", ""), &receiver.recipient("desk", "")];
    let installation = Installation::embedded().with_sections(sections.concat());
    let (daemon, _phone) = start(&installation).await;
    plan(&installation, &[visit("A", "run-1", 40)]);
    silent.until_told(1).await;
    plan(&installation, &[visit("B", "run-2", 40)]);
    receiver.until_says("desk opened late B").await;
    assert_eq!(silent.told().len(), 1, "it has not answered yet");
    let trouble = "recipient = 'silent' AND trouble = 'no answer within 15 s' AND heard = 1";
    until(&installation, "notification", trouble, 1).await;
    daemon.terminate().await;
}

on_both_engines!(a_receiver_that_is_unwilling_is_told_later_and_one_that_is_gone_is_an_alert);
async fn a_receiver_that_is_unwilling_is_told_later_and_one_that_is_gone_is_an_alert(
    engine: Engine,
) {
    let (receiver, other) = (Receiver::up().await, Receiver::up().await);
    let sections = [AT_ONCE, &receiver.recipient("desk", ""), &other.recipient("other", "")];
    let installation = Installation::embedded().on(engine).with_sections(sections.concat());
    let (daemon, _phone) = start(&installation).await;
    let desk = |is_so: &str| format!("recipient = 'desk' AND {is_so}");

    receiver.answers(Answer::Status(500));
    plan(&installation, &[visit("A", "run-1", 40)]);
    let trouble = desk("trouble = 'it answers 500 Internal Server Error' AND heard = 1");
    until(&installation, "notification", &trouble, 1).await;

    receiver.answers(Answer::After(429, 1_000));
    let before = clock::now().timestamp_micros();
    time_passes(&installation).await;
    until(&installation, "notification", &desk("trouble LIKE '%429%'"), 1).await;
    // It is left alone for as long as it asks.
    let free_at = installation.number("SELECT free_at FROM recipient WHERE name = 'desk'").await;
    let seconds = (free_at - before) / 1_000_000;
    assert!((1_000..1_100).contains(&seconds), "{seconds}");

    receiver.answers(Answer::Status(200));
    time_passes(&installation).await;
    until(&installation, "notification", &desk("state = 'sent' AND tries >= 3"), 1).await;
    let ids: BTreeSet<_> = receiver.told().into_iter().map(|told| told.id).collect();
    assert_eq!(ids.len(), 1);

    // Gone: that is the end at once, and the others are told.
    receiver.answers(Answer::Status(410));
    plan(&installation, &[visit("B", "run-2", 40)]);
    let failed = other.until_says("other opened notification_failed ").await;
    let detail = failed.json()["data"]["alerts"][0]["detail"].clone();
    assert_eq!(detail, "desk was not told of late of visit B: it answers 410 Gone");
    until(&installation, "notification", &desk("state = 'failed' AND heard = 0"), 1).await;
    // Once, however often.
    plan(&installation, &[visit("C", "run-3", 40)]);
    until(&installation, "notification", &desk("state = 'failed'"), 2).await;
    let open = "kind = 'notification_failed' AND resolved_at IS NULL";
    until(&installation, "alert", open, 1).await;

    // Until it is reached again.
    receiver.answers(Answer::Status(200));
    plan(&installation, &[visit("D", "run-4", 40)]);
    receiver.until_says("desk opened late D").await;
    until(&installation, "alert", open, 0).await;
    assert_eq!(
        fates(&installation).await.iter().filter(|fate| fate.contains("notification")).count(),
        1,
        "desk is not told that it was not told"
    );
    daemon.terminate().await;
    installation.ledger();
}

on_both_engines!(what_cannot_be_told_for_a_day_has_failed);
async fn what_cannot_be_told_for_a_day_has_failed(engine: Engine) {
    let (receiver, other) = (Receiver::down(), Receiver::up().await);
    let sections = [AT_ONCE, &receiver.recipient("desk", ""), &other.recipient("other", "")];
    let installation = Installation::embedded().on(engine).with_sections(sections.concat());
    let (daemon, _phone) = start(&installation).await;
    plan(&installation, &[visit("A", "run-1", 40)]);
    until(&installation, "recipient", "name = 'desk' AND failures = 1", 1).await;
    installation.execute("UPDATE notification SET give_up_at = 1 WHERE recipient = 'desk'").await;
    time_passes(&installation).await;
    other.until_says("other opened notification_failed ").await;
    let failed = "recipient = 'desk' AND state = 'failed' AND due_at IS NULL \
                  AND trouble = 'it could not be sent for 24 hours'";
    until(&installation, "notification", failed, 1).await;
    daemon.terminate().await;
    // Nobody has that name any more: what it was to be told has an end as well.
    installation.execute("UPDATE notification SET recipient = 'nobody', due_at = 0, state = 'waiting' WHERE recipient = 'desk'").await;
    let daemon = installation.start().await;
    until(&installation, "notification", "recipient = 'nobody' AND state = 'failed'", 1).await;
    daemon.terminate().await;
}
