//! While nobody acknowledges, the next is told.

use crate::desk::{AT_ONCE, fates, plan, time_passes, until, visit};
use crate::receiver::Receiver;
use crate::support::daemon::Installation;
use crate::support::engine::{Engine, on_both_engines};

on_both_engines!(while_nobody_acknowledges_the_next_is_told);
async fn while_nobody_acknowledges_the_next_is_told(engine: Engine) {
    let receiver = Receiver::up().await;
    let sections = [
        AT_ONCE,
        &receiver.recipient("desk", "escalate_to = ['manager', 'director']"),
        &receiver.recipient("manager", ""),
        &receiver.recipient("director", ""),
    ];
    let installation = Installation::embedded().on(engine).with_sections(sections.concat());
    let daemon = installation.start().await;
    plan(&installation, &[visit("A", "run-1", 40)]);
    receiver.until_says("desk opened late A").await;
    // Ten minutes for each.
    let waits = "SELECT (due_at - written_at) / 60000000 FROM notification WHERE recipient = ";
    assert_eq!(installation.number(&format!("{waits}'manager'")).await, 10);
    assert_eq!(installation.number(&format!("{waits}'director'")).await, 20);

    let ten_minutes_pass = "UPDATE notification SET due_at = 0 WHERE recipient = 'manager'";
    installation.execute(ten_minutes_pass).await;
    let escalated = receiver.until_says("manager escalated late A").await;
    let subject = escalated.json()["data"]["subject"].as_str().expect("text").to_owned();
    assert!(subject.ends_with("visit A of run run-1 is late, and nobody has acknowledged it"));

    // Somebody does.
    let acknowledged = "UPDATE alert SET message = replace(message, '\"state\":\"open\"', '\"state\":\"acknowledged\"')";
    installation.execute(acknowledged).await;
    time_passes(&installation).await;
    until(&installation, "notification", "recipient = 'director' AND state = 'not_needed'", 1)
        .await;
    assert_eq!(
        fates(&installation).await,
        [
            "desk opened late sent",
            "director escalated late not_needed",
            "manager escalated late sent",
        ]
        .map(|fate| fate.to_owned())
    );
    assert_eq!(receiver.told().len(), 2);
    daemon.terminate().await;
}
