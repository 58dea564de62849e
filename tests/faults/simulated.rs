//! A simulated night, whose phones misbehave in every way, while the daemon is killed and the network
//! cut: the simulator knows the truth, and compares.

use crate::killed::random_moment;
use crate::night::SEES;
use crate::support::daemon::{Installation, Ran};
use crate::support::proxy::{Proxy, Wire};
use crate::support::{Mosquitto, within};

async fn everything_at_once(installation: Installation) {
    let mut daemon = installation.start().await;
    let proxy = Proxy::to(installation.port).await;
    let broker = format!("mqtt://127.0.0.1:{}", proxy.port);
    let play = ["simulate", "--seed", "20261122", "--visits", "200", "--rate", "60/s", "--verify"];
    let simulator = installation.command(play.into_iter().chain(["--broker", &broker]));
    let simulator = { simulator }.spawn().expect("it starts");
    for _ in 0..8 {
        random_moment(1_500).await;
        daemon.kill9();
        random_moment(100).await;
        daemon = installation.spawn();
        random_moment(500).await;
        proxy.becomes(Wire::Cut);
        random_moment(500).await;
        proxy.becomes(Wire::Whole);
    }
    daemon.logged(SEES).await;
    let ended = tokio::task::spawn_blocking(move || simulator.wait_with_output());
    let ended = within("the simulated night's end", ended).await.expect("no panic");
    let verdict = Ran::from(ended.expect("it ends")).succeeded();
    assert!(verdict.contains("verified: "), "{verdict}");
    installation.ledger();
    daemon.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_at_once_embedded() {
    everything_at_once(Installation::embedded()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_at_once_mosquitto() {
    everything_at_once(Installation::at(&Mosquitto::start(&[]))).await;
}
