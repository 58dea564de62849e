//! While nobody acknowledges, the next is told.

use crate::desk::{AT_ONCE, fates, plan, start, time_passes, until, visit};
use crate::receiver::Receiver;
use crate::support::daemon::Installation;
use crate::support::engine::{Engine, on_both_engines};
use crate::support::http::request;

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
    let (daemon, _phone) = start(&installation).await;
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
    let create = ["token", "create", "--role", "coordinator", "--name", "ann"];
    let token = installation.run(create).succeeded();
    let json = escalated.json();
    let id = json["data"]["alerts"][0]["alert_id"].as_str().expect("text");
    let path = format!("/api/v1/alerts/{id}/acknowledge");
    request(installation.http, "POST", &path).token(token.trim()).answer().json(200);
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
        .map(ToOwned::to_owned)
    );
    assert_eq!(receiver.told().len(), 2);
    let path = "/api/v1/contracts/default/visits/A";
    let story = request(installation.http, "GET", path).token(token.trim()).answer().json(200);
    let told = story["notifications"].as_array().expect("notifications").iter();
    let states: Vec<_> = told.map(|one| (&one["recipient"], &one["state"])).collect();
    let text = |text: &str| serde_json::Value::from(text);
    let expected = [("desk", "sent"), ("director", "not_needed"), ("manager", "sent")]
        .map(|(recipient, state)| (text(recipient), text(state)));
    assert!(states.into_iter().eq(expected.iter().map(|(name, state)| (name, state))), "{story}");
    daemon.terminate().await;
}
