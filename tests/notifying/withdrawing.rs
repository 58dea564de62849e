//! What was not so after all is taken back, from those who heard it.

use crate::desk::{ANN, AT_ONCE, check_in, fates, plan, start, time_passes, until, visit};
use crate::receiver::Receiver;
use crate::support::daemon::{Installation, ago};
use crate::support::engine::{Engine, on_both_engines};

on_both_engines!(who_was_told_is_told_that_it_is_not_so_and_nobody_else);
async fn who_was_told_is_told_that_it_is_not_so_and_nobody_else(engine: Engine) {
    let (receiver, mut away) = (Receiver::up().await, Receiver::down());
    let sections = [
        AT_ONCE,
        &receiver.recipient("council", "audience = 'council'"),
        &receiver.recipient("desk", "escalate_to = ['manager']"),
        &receiver.recipient("manager", ""),
        &away.recipient("away", ""),
    ];
    let installation = Installation::embedded().on(engine).with_sections(sections.concat());
    let (daemon, mut phone) = start(&installation).await;
    plan(&installation, &[visit("A", "run-1", 70)]);
    receiver.until_says("desk opened missed A").await;
    receiver.until_says("council opened missed A").await;
    until(&installation, "recipient", "name = 'away' AND failures = 1", 1).await;

    phone.say(ANN, &check_in("A", ago(68 * 60))).await;
    let withdrawn = receiver.until_says("council withdrawn missed A").await;
    let json = withdrawn.json();
    let alert = &json["data"]["alerts"][0];
    assert_eq!((&alert["state"], &alert["resolution"]), (&"resolved".into(), &"staffed".into()));
    assert!(alert["detail"].as_str().expect("text").contains("reported"), "{alert}");
    receiver.until_says("desk withdrawn missed A").await;
    until(&installation, "notification", "state = 'waiting'", 0).await;

    // Who was away is told neither, though it comes back; and what did not escalate is not withdrawn.
    away.go_up().await;
    time_passes(&installation).await;
    plan(&installation, &[visit("B", "run-2", 40)]);
    away.until_says("away opened late B").await;
    assert_eq!(away.told().len(), 1);
    until(&installation, "notification", "state = 'waiting'", 1).await;
    assert_eq!(
        fates(&installation).await,
        [
            "away opened missed not_needed",
            "away opened late sent",
            "council opened missed sent",
            "council withdrawn missed sent",
            "desk opened missed sent",
            "desk withdrawn missed sent",
            "desk opened late sent",
            "manager escalated missed not_needed",
            "manager escalated late waiting",
        ]
    );
    daemon.terminate().await;
}
