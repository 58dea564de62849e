//! What goes wrong together is told together; and who is told of what.

use crate::desk::{AT_ONCE, fates, plan, start, until, visit};
use crate::receiver::{Receiver, Told};
use crate::support::daemon::{Daemon, Installation};
use crate::support::engine::{Engine, on_both_engines};

on_both_engines!(ten_visits_of_one_run_are_one_notification);
async fn ten_visits_of_one_run_are_one_notification(engine: Engine) {
    let receiver = Receiver::up().await;
    let sections = AT_ONCE.replace("within_seconds = 0", "within_seconds = 1")
        + &receiver.recipient("desk", "");
    let installation = Installation::embedded().on(engine).with_sections(sections);
    let (daemon, _phone) = start(&installation).await;
    let mut visits: Vec<_> =
        (0..10).map(|number| visit(&format!("V-{number}"), "run-1", 40)).collect();
    visits.push(visit("other-run", "run-2", 40));
    visits.push(visit("other-kind", "run-1", 70));
    plan(&installation, &visits);
    until(&installation, "notification", "state = 'sent'", 12).await;
    let told = receiver.told();
    assert_eq!(told.len(), 3, "{told:#?}");
    let ten = told.iter().find(|told| told.visits().len() == 10).expect("ten together");
    let says: Vec<_> = (0..10).map(|number| format!("V-{number}")).collect();
    assert_eq!(ten.visits(), says);
    let subject = ten.json()["data"]["subject"].as_str().expect("text").to_owned();
    assert!(subject.starts_with("Coordinator: speak to 10 clients by "), "{subject}");
    assert!(subject.ends_with(": 10 visits of run run-1 are late"), "{subject}");
    daemon.terminate().await;
}

on_both_engines!(each_is_told_what_concerns_it);
async fn each_is_told_what_concerns_it(engine: Engine) {
    let receiver = Receiver::up().await;
    let sections = [
        AT_ONCE,
        &receiver.recipient("desk", "least_severity = 'high'"),
        &receiver.recipient("grave", "least_severity = 'critical'"),
        &receiver.recipient("late-only", "kinds = ['late']"),
        &receiver.recipient("council", "audience = 'council'"),
    ];
    let installation = Installation::embedded().on(engine).with_sections(sections.concat());
    let (daemon, _phone) = start(&installation).await;
    let visits = [visit("T", "run-1", 20), visit("L", "run-1", 40), visit("M", "run-1", 70)];
    plan(&installation, &visits);
    until(&installation, "notification", "state = 'sent'", 5).await;
    let mut says: Vec<_> = receiver.told().iter().map(Told::says).collect();
    says.sort();
    assert_eq!(
        says,
        [
            "council opened missed M",
            "desk opened late L",
            "desk opened missed M",
            "grave opened missed M",
            "late-only opened late L",
        ]
    );
    restart_tells_nothing(&installation, daemon, &receiver).await;
}

/// Nothing is told again after a kill.
async fn restart_tells_nothing(installation: &Installation, daemon: Daemon, receiver: &Receiver) {
    let (told, fates_before) = (receiver.told().len(), fates(installation).await);
    daemon.kill9();
    let daemon = installation.start().await;
    // Everything is looked at again, and something new is told after it.
    let now = nightrun::clock::now().timestamp_micros();
    installation.execute(&format!("UPDATE night SET due_at = {now}")).await;
    plan(installation, &[visit("new", "run-9", 40)]);
    receiver.until_says("desk opened late new").await;
    receiver.until_says("late-only opened late new").await;
    assert_eq!(receiver.told().len(), told + 2);
    assert_eq!(fates(installation).await.len(), fates_before.len() + 2);
    daemon.terminate().await;
}
