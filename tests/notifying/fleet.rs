//! Several daemons on one PostgreSQL tell each once, and what one leaves another tells.

use std::collections::BTreeSet;

use crate::desk::{AT_ONCE, heard, plan, until, visit};
use crate::receiver::Receiver;
use crate::support::Mosquitto;
use crate::support::daemon::{Daemon, Installation, quiet_port};
use crate::support::engine::Engine;

const RUNS: usize = 12;

fn spawn(installation: &Installation) -> Daemon {
    let mut command = installation.command(["serve"]);
    let http = format!("127.0.0.1:{}", quiet_port());
    Installation::spawned(command.env("NIGHTRUN__HTTP__LISTEN", http))
}

fn visits(names: &str) -> Vec<String> {
    (0..RUNS).map(|run| visit(&format!("{names}-{run}"), &format!("run-{run}"), 40)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn several_daemons_tell_each_once_and_what_one_leaves_another_tells() {
    let broker = Mosquitto::start(&[]);
    let receiver = Receiver::up().await;
    let lines = format!("url = \"mqtt://127.0.0.1:{}\"\nshared_group = \"g-1\"", broker.port);
    let sections = [AT_ONCE, &receiver.recipient("desk", ""), &receiver.recipient("other", "")];
    let installation = Installation::at(&broker)
        .on(Engine::Postgres)
        .with_broker(&lines)
        .with_sections(sections.concat());
    let (first, second) = (spawn(&installation), spawn(&installation));
    first.ready().await;
    second.ready().await;
    let _phone = heard(&installation).await;

    plan(&installation, &visits("A"));
    until(&installation, "notification", "state = 'sent'", 2 * 12).await;
    let told = receiver.told();
    let ids: BTreeSet<_> = told.iter().map(|told| &told.id).collect();
    assert_eq!((told.len(), ids.len()), (2 * RUNS, 2 * RUNS));

    // One is killed in the midst of it; what it had in hand is free after a minute.
    plan(&installation, &visits("B"));
    receiver.until_told(2 * RUNS + 4).await;
    first.kill9();
    installation.execute("UPDATE recipient SET leased_until = 0").await;
    until(&installation, "notification", "state = 'sent'", 4 * 12).await;
    let ids: BTreeSet<_> = receiver.told().into_iter().map(|told| told.id).collect();
    assert_eq!(ids.len(), 4 * RUNS);
    second.terminate().await;
}
