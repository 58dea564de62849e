//! Phones, units and contracts about which time alone says something (R9, R21), with the clock in
//! the test's hand.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::path::PathBuf;

use chrono::TimeDelta;
use nightrun::config::{Contracts, load};
use nightrun::domain::alert::{AlertKind, Sight};
use nightrun::domain::event::Sender;
use nightrun::domain::instant::{Instant, parse_instant};
use nightrun::domain::plan::PlannedVisit;
use nightrun::import::Import;
use nightrun::senders::{self, Heard};
use nightrun::store::Store;
use nightrun::store::senders::SenderKey;
use nightrun::watch::PlanWatch;
use nightrun::wire::alert::{AlertMessage, State};
use nightrun::wire::status::DeviceStatus;

struct House {
    store: Store,
    contracts: Contracts,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

/// 22:00 on a winter's night, the zone of the default contract being London's.
fn ten_at_night() -> Instant {
    parse_instant("2019-02-04T22:00:00Z").unwrap()
}

fn minutes(count: i64) -> TimeDelta {
    TimeDelta::minutes(count)
}

fn device() -> SenderKey {
    ("default".parse().unwrap(), Sender::Device("D-1".parse().unwrap()))
}

fn phone() -> SenderKey {
    ("default".parse().unwrap(), Sender::Carer("w1".parse().unwrap()))
}

impl House {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nightrun.db");
        let store = Store::open(&path).await.unwrap();
        let contracts = load(None, []).unwrap().contracts;
        Self { store, contracts, path, _folder: folder }
    }

    async fn hear(&self, at: Instant, say: impl FnOnce(&mut Heard)) {
        let mut heard = Heard::default();
        say(&mut heard);
        let mut tx = self.store.write().await.unwrap();
        senders::save(&mut tx, &self.contracts, heard, at).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn watch(&self, now: Instant, sight: Sight) {
        let mut tx = self.store.write().await.unwrap();
        senders::watch(&mut tx, &self.contracts, now, sight).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn watch_plans(&self, plans: &mut PlanWatch, now: Instant) {
        if plans.is_due(&self.contracts, now) {
            let mut tx = self.store.write().await.unwrap();
            plans.look(&mut tx, &self.contracts, now).await.unwrap();
            tx.commit().await.unwrap();
        }
    }

    async fn import(&self, name: &str, start: Instant, now: Instant) {
        let visit = PlannedVisit {
            contract: "default".parse().unwrap(),
            visit_ref: name.parse().unwrap(),
            service: "S".to_owned(),
            service_level: "L".to_owned(),
            client_ref: "C-1".parse().unwrap(),
            run: None,
            start,
            end: start + minutes(30),
            carers_required: 1,
            carers: Vec::new(),
            time_specific: false,
            quantity: None,
            cancellation: None,
        };
        let mut import =
            Import::begin(&self.store, &self.contracts, "visits", false, now).await.unwrap();
        assert!(import.visits(vec![(2, visit)]).await.unwrap().is_empty());
        assert_eq!(import.finish().await.unwrap().unwrap().changed, 1);
    }

    /// What has been said to others since the last time: kind, state, due instant.
    async fn said(&self) -> Vec<(AlertKind, State, Instant)> {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&self.path);
        let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
        let rows: Vec<(String,)> =
            sqlx::query_as("DELETE FROM outbox RETURNING payload").fetch_all(&pool).await.unwrap();
        pool.close().await;
        rows.into_iter()
            .map(|(payload,)| serde_json::from_str::<AlertMessage>(&payload).unwrap())
            .map(|message| (message.kind, message.state, message.due_at))
            .collect()
    }
}

fn seeing() -> Sight {
    Sight::Seeing { since: Instant::MIN_UTC }
}

#[tokio::test]
async fn a_unit_that_the_broker_reports_lost_is_offline_after_a_quarter_of_an_hour() {
    let house = House::new().await;
    let t = ten_at_night();
    house.hear(t, |heard| heard.event(device(), None, t)).await;
    house.hear(t + minutes(5), |heard| heard.lost(device(), t + minutes(5))).await;
    let due_at = t + minutes(20);
    house.watch(due_at - TimeDelta::microseconds(1), seeing()).await;
    assert_eq!(house.said().await, []);
    house.watch(due_at, Sight::Blind).await;
    assert_eq!(house.said().await, [], "silence proves nothing while the daemon is blind");
    house.watch(due_at, seeing()).await;
    assert_eq!(house.said().await, [(AlertKind::DeviceOffline, State::Open, due_at)]);
    house.watch(due_at + minutes(60), seeing()).await;
    assert_eq!(house.said().await, [], "it is said once");
    let back = due_at + minutes(90);
    house.hear(back, |heard| heard.event(device(), None, back)).await;
    assert_eq!(house.said().await, [(AlertKind::DeviceOffline, State::Resolved, due_at)]);
}

/// What the broker repeats to a new subscriber sets no clock anew.
#[tokio::test]
async fn what_the_broker_had_retained_is_news_only_if_it_is_new() {
    let house = House::new().await;
    let t = ten_at_night();
    let kept = |status, after: i64| {
        let at = t + minutes(after);
        house.hear(at, move |heard| heard.kept(device(), status, at))
    };
    let (online, offline) = (DeviceStatus::Online, DeviceStatus::Offline);
    house.hear(t, |heard| heard.online(device(), t)).await;
    // The daemon had no session when the unit was lost.
    kept(offline, 5).await;
    kept(offline, 10).await;
    let due_at = t + minutes(20);
    house.watch(due_at, seeing()).await;
    assert_eq!(house.said().await, [(AlertKind::DeviceOffline, State::Open, due_at)]);
    // An event shows that it is there; the broker still has what its will said.
    let back = t + minutes(30);
    house.hear(back, |heard| heard.event(device(), Some(1), back)).await;
    assert_eq!(house.said().await, [(AlertKind::DeviceOffline, State::Resolved, due_at)]);
    kept(offline, 40).await;
    house.watch(t + minutes(120), seeing()).await;
    assert_eq!(house.said().await, []);
    // Lost again: that it is online was said when there was no session. It is no sign of life.
    house.hear(t + minutes(130), |heard| heard.lost(device(), t + minutes(130))).await;
    kept(online, 140).await;
    house.watch(t + minutes(150), seeing()).await;
    assert_eq!(house.said().await, []);
    let silent_at = back + TimeDelta::hours(24);
    house.watch(silent_at, seeing()).await;
    assert_eq!(house.said().await, [(AlertKind::DeviceOffline, State::Open, silent_at)]);
}

/// Whatever the clock of the machine does, what comes later counts.
#[tokio::test]
async fn a_loss_and_a_sign_of_life_at_the_same_instant_are_in_their_order() {
    let t = ten_at_night();
    let due_at = t + minutes(15) + TimeDelta::microseconds(1);
    for lost_last in [true, false] {
        let house = House::new().await;
        house.hear(t, |heard| heard.online(device(), t)).await;
        house
            .hear(t, |heard| {
                if lost_last {
                    heard.event(device(), None, t);
                    heard.lost(device(), t);
                } else {
                    heard.lost(device(), t);
                    heard.event(device(), None, t);
                }
            })
            .await;
        house.watch(due_at, seeing()).await;
        let open = (AlertKind::DeviceOffline, State::Open, due_at);
        assert_eq!(house.said().await, if lost_last { vec![open] } else { vec![] });
    }
}

#[tokio::test]
async fn a_unit_that_says_nothing_for_a_day_is_offline_and_a_phone_is_not() {
    let house = House::new().await;
    let t = ten_at_night();
    house.hear(t, |heard| heard.event(device(), None, t)).await;
    house.hear(t, |heard| heard.event(phone(), None, t)).await;
    let due_at = t + TimeDelta::hours(24);
    house.watch(due_at - minutes(1), seeing()).await;
    assert_eq!(house.said().await, []);
    house.watch(due_at, seeing()).await;
    assert_eq!(house.said().await, [(AlertKind::DeviceOffline, State::Open, due_at)]);
}

#[tokio::test]
async fn a_gap_that_stays_open_is_flagged_and_ends_when_it_closes() {
    let house = House::new().await;
    let t = ten_at_night();
    let hear = |seq, after: i64| {
        let at = t + minutes(after);
        house.hear(at, move |heard| heard.event(phone(), Some(seq), at))
    };
    hear(1, 0).await;
    hear(3, 2).await;
    hear(5, 4).await;
    let due_at = t + minutes(17);
    house.watch(due_at - TimeDelta::microseconds(1), seeing()).await;
    assert_eq!(house.said().await, []);
    house.watch(due_at, seeing()).await;
    assert_eq!(house.said().await, [(AlertKind::SequenceGap, State::Open, due_at)]);
    hear(2, 20).await;
    assert_eq!(house.said().await, [], "message 4 is missing for longer than that, too");
    hear(4, 21).await;
    assert_eq!(house.said().await, [(AlertKind::SequenceGap, State::Resolved, due_at)]);
}

#[tokio::test]
async fn a_gap_that_closes_in_time_is_not_flagged() {
    let house = House::new().await;
    let t = ten_at_night();
    for (seq, after) in [(1, 0), (3, 2), (2, 16)] {
        let at = t + minutes(after);
        house.hear(at, move |heard| heard.event(phone(), Some(seq), at)).await;
    }
    house.watch(t + minutes(60), seeing()).await;
    assert_eq!(house.said().await, []);
}

#[tokio::test]
async fn a_plan_that_has_not_come_two_hours_before_the_service_begins() {
    let house = House::new().await;
    let t = ten_at_night();
    let yesterday = t - TimeDelta::hours(24);
    house.import("V-1", yesterday + minutes(120), yesterday).await;
    let due_at = parse_instant("2019-02-04T21:00:00Z").unwrap();
    let mut plans = PlanWatch::default();
    house.watch_plans(&mut plans, due_at - TimeDelta::microseconds(1)).await;
    assert_eq!(house.said().await, []);
    house.watch_plans(&mut plans, due_at).await;
    assert_eq!(house.said().await, [(AlertKind::NoPlan, State::Open, due_at)]);
    house.watch_plans(&mut PlanWatch::default(), due_at + minutes(5)).await;
    assert_eq!(house.said().await, [], "it is said once, after a restart too");
    house.import("V-2", t + minutes(180), t).await;
    house.watch_plans(&mut plans, t).await;
    assert_eq!(house.said().await, [(AlertKind::NoPlan, State::Resolved, due_at)]);
}

#[tokio::test]
async fn a_contract_without_visits_in_the_past_week_needs_no_plan() {
    let house = House::new().await;
    let t = ten_at_night();
    let long_ago = t - TimeDelta::days(8);
    house.import("V-1", long_ago, long_ago).await;
    house.watch_plans(&mut PlanWatch::default(), t).await;
    assert_eq!(house.said().await, []);
}
