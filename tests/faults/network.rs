//! The network between daemon, broker and phones: cut, slow, half-open.

use std::time::Duration;

use chrono::TimeDelta;

use crate::ear::Ear;
use crate::fleet::{Fleet, USUAL};
use crate::judge::Expected;
use crate::night::{Night, SEES, says};
use crate::support::Mosquitto;
use crate::support::daemon::Installation;
use crate::support::proxy::{Proxy, Wire};

const SLOW: Wire = Wire::Slow(Duration::from_millis(100));

/// Between the daemon and its broker; the phones reach the broker all the time.
async fn between_daemon_and_broker(wire: Wire) {
    let broker = Mosquitto::start(&[]);
    let proxy = Proxy::to(broker.port).await;
    let mut installation = Installation::at_port(proxy.port);
    installation.port = broker.port;
    let daemon = installation.start().await;
    let mut night = Night::begin(installation, 30, USUAL).await;
    if wire == SLOW {
        // The wire's own delay: of the marker, there and back, and of the alert.
        night.late_at_most = TimeDelta::seconds(3);
    }
    let blind = wire != SLOW;
    night.watch("nobody", 4, if blind { Expected::Unconfirmed } else { Expected::Raised });
    night.watch("somebody", 4, Expected::Nothing);
    night.happen(10);
    night.fleet.has_receipts(20).await;
    proxy.becomes(wire);
    night.happen(10);
    night.comes("somebody");
    night.all_due().await;
    if blind {
        daemon.logged("no session with the broker").await;
    } else {
        night.fleet.is_answered().await;
        night.ear.until("nobody", "tolerance", "open").await;
    }
    proxy.becomes(Wire::Whole);
    night.happen(10);
    let times = usize::from(blind);
    daemon.logged_times(SEES, 1 + times).await;
    night.judge(&daemon).await;
    says(&daemon, "check that the broker runs", 2 * times..=2 * times);
    daemon.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_is_cut_off() {
    between_daemon_and_broker(Wire::Cut).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_s_connection_is_half_open() {
    between_daemon_and_broker(Wire::Vanishing).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_s_connection_is_slow() {
    between_daemon_and_broker(SLOW).await;
}

/// Between the phones and their broker; the daemon hears all the time that nobody says anything.
async fn between_phones_and_broker(installation: Installation, wire: Wire) {
    let daemon = installation.start().await;
    let proxy = Proxy::to(installation.port).await;
    let fleet = Fleet::start(8, proxy.port, USUAL);
    let ear = Ear::to_alerts(installation.port).await;
    let mut night = Night::with(installation, 30, fleet, ear);
    let deaf = wire != SLOW;
    night.watch("nobody", 4, Expected::Raised);
    night.watch("somebody", 4, if deaf { Expected::Over } else { Expected::Nothing });
    night.happen(10);
    night.fleet.has_receipts(20).await;
    proxy.becomes(wire);
    night.happen(10);
    night.comes("somebody");
    night.ear.until("nobody", "tolerance", "open").await;
    proxy.becomes(Wire::Whole);
    night.happen(10);
    night.judge(&daemon).await;
    says(&daemon, "ERROR", 0..=0);
    says(&daemon, "WARN", 0..=0);
    daemon.terminate().await;
}

async fn phones_at_both_brokers(wire: Wire) {
    between_phones_and_broker(Installation::at(&Mosquitto::start(&[])), wire).await;
    between_phones_and_broker(Installation::embedded(), wire).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_phones_are_cut_off() {
    phones_at_both_brokers(Wire::Cut).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_phones_connections_are_half_open() {
    phones_at_both_brokers(Wire::Vanishing).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_phones_connections_are_slow() {
    phones_at_both_brokers(SLOW).await;
}
