//! Phones, units and contracts about which time alone says something (R9, R21), with the clock in
//! the test's hand.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "not all of the house is needed")]

#[path = "support/house.rs"]
mod house;
mod support;

use chrono::TimeDelta;
use house::{House, device, minutes, phone, ten_at_night};
use nightrun::config::{Contracts, load};
use nightrun::domain::alert::{AlertKind, Sight};
use nightrun::domain::event::Sender;
use nightrun::domain::instant::{Instant, parse_instant};
use nightrun::senders;
use nightrun::watch::PlanWatch;
use nightrun::wire::alert::State;
use nightrun::wire::status::DeviceStatus;
use support::engine::{Engine, on_both_engines};

/// What has been said to others since the last time: kind, state, due instant.
async fn said(house: &House) -> Vec<(AlertKind, State, Instant)> {
    let said = house.said().await.into_iter();
    said.map(|message| (message.kind, message.state, message.due_at)).collect()
}

fn seeing() -> Sight {
    Sight::Seeing { since: Instant::MIN_UTC }
}

on_both_engines!(a_unit_that_the_broker_reports_lost_is_offline_after_a_quarter_of_an_hour);
async fn a_unit_that_the_broker_reports_lost_is_offline_after_a_quarter_of_an_hour(engine: Engine) {
    let house = House::on(engine).await;
    let t = ten_at_night();
    house.hear(t, |heard| heard.event(device(), None, t)).await;
    house.hear(t + minutes(5), |heard| heard.lost(device(), t + minutes(5))).await;
    let due_at = t + minutes(20);
    house.watch(due_at - TimeDelta::microseconds(1), seeing()).await;
    assert_eq!(said(&house).await, []);
    house.watch(due_at, Sight::Blind).await;
    assert_eq!(said(&house).await, [], "silence proves nothing while the daemon is blind");
    house.watch(due_at, seeing()).await;
    assert_eq!(said(&house).await, [(AlertKind::DeviceOffline, State::Open, due_at)]);
    house.watch(due_at + minutes(60), seeing()).await;
    assert_eq!(said(&house).await, [], "it is said once");
    let back = due_at + minutes(90);
    house.hear(back, |heard| heard.event(device(), None, back)).await;
    assert_eq!(said(&house).await, [(AlertKind::DeviceOffline, State::Resolved, due_at)]);
}

on_both_engines!(what_the_broker_had_retained_is_news_only_if_it_is_new);
/// What the broker repeats to a new subscriber sets no clock anew.
async fn what_the_broker_had_retained_is_news_only_if_it_is_new(engine: Engine) {
    let house = House::on(engine).await;
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
    assert_eq!(said(&house).await, [(AlertKind::DeviceOffline, State::Open, due_at)]);
    // An event shows that it is there; the broker still has what its will said.
    let back = t + minutes(30);
    house.hear(back, |heard| heard.event(device(), Some(1), back)).await;
    assert_eq!(said(&house).await, [(AlertKind::DeviceOffline, State::Resolved, due_at)]);
    kept(offline, 40).await;
    house.watch(t + minutes(120), seeing()).await;
    assert_eq!(said(&house).await, []);
    // Lost again: that it is online was said when there was no session. It is no sign of life.
    house.hear(t + minutes(130), |heard| heard.lost(device(), t + minutes(130))).await;
    kept(online, 140).await;
    house.watch(t + minutes(150), seeing()).await;
    assert_eq!(said(&house).await, []);
    let silent_at = back + TimeDelta::hours(24);
    house.watch(silent_at, seeing()).await;
    assert_eq!(said(&house).await, [(AlertKind::DeviceOffline, State::Open, silent_at)]);
}

on_both_engines!(a_loss_and_a_sign_of_life_at_the_same_instant_are_in_their_order);
/// Whatever the clock of the machine does, what comes later counts.
async fn a_loss_and_a_sign_of_life_at_the_same_instant_are_in_their_order(engine: Engine) {
    let t = ten_at_night();
    let due_at = t + minutes(15) + TimeDelta::microseconds(1);
    for lost_last in [true, false] {
        let house = House::on(engine).await;
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
        assert_eq!(said(&house).await, if lost_last { vec![open] } else { vec![] });
    }
}

on_both_engines!(a_unit_that_says_nothing_for_a_day_is_offline_and_a_phone_is_not);
async fn a_unit_that_says_nothing_for_a_day_is_offline_and_a_phone_is_not(engine: Engine) {
    let house = House::on(engine).await;
    let t = ten_at_night();
    house.hear(t, |heard| heard.event(device(), None, t)).await;
    house.hear(t, |heard| heard.event(phone(), None, t)).await;
    let due_at = t + TimeDelta::hours(24);
    house.watch(due_at - minutes(1), seeing()).await;
    assert_eq!(said(&house).await, []);
    house.watch(due_at, seeing()).await;
    assert_eq!(said(&house).await, [(AlertKind::DeviceOffline, State::Open, due_at)]);
}

on_both_engines!(a_gap_that_stays_open_is_flagged_and_ends_when_it_closes);
async fn a_gap_that_stays_open_is_flagged_and_ends_when_it_closes(engine: Engine) {
    let house = House::on(engine).await;
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
    assert_eq!(said(&house).await, []);
    house.watch(due_at, seeing()).await;
    assert_eq!(said(&house).await, [(AlertKind::SequenceGap, State::Open, due_at)]);
    hear(2, 20).await;
    assert_eq!(said(&house).await, [], "message 4 is missing for longer than that, too");
    hear(4, 21).await;
    assert_eq!(said(&house).await, [(AlertKind::SequenceGap, State::Resolved, due_at)]);
}

on_both_engines!(a_gap_that_closes_in_time_is_not_flagged);
async fn a_gap_that_closes_in_time_is_not_flagged(engine: Engine) {
    let house = House::on(engine).await;
    let t = ten_at_night();
    for (seq, after) in [(1, 0), (3, 2), (2, 16)] {
        let at = t + minutes(after);
        house.hear(at, move |heard| heard.event(phone(), Some(seq), at)).await;
    }
    house.watch(t + minutes(60), seeing()).await;
    assert_eq!(said(&house).await, []);
}

on_both_engines!(a_plan_that_has_not_come_two_hours_before_the_service_begins);
async fn a_plan_that_has_not_come_two_hours_before_the_service_begins(engine: Engine) {
    let house = House::on(engine).await;
    let t = ten_at_night();
    let yesterday = t - TimeDelta::hours(24);
    house.import("V-1", None, yesterday + minutes(120), yesterday).await;
    let due_at = parse_instant("2019-02-04T21:00:00Z").unwrap();
    let mut plans = PlanWatch::default();
    house.watch_plans(&mut plans, due_at - TimeDelta::microseconds(1)).await;
    assert_eq!(said(&house).await, []);
    house.watch_plans(&mut plans, due_at).await;
    assert_eq!(said(&house).await, [(AlertKind::NoPlan, State::Open, due_at)]);
    house.watch_plans(&mut PlanWatch::default(), due_at + minutes(5)).await;
    assert_eq!(said(&house).await, [], "it is said once, after a restart too");
    house.import("V-2", None, t + minutes(180), t).await;
    house.watch_plans(&mut plans, t).await;
    assert_eq!(said(&house).await, [(AlertKind::NoPlan, State::Resolved, due_at)]);
}

on_both_engines!(a_contract_without_visits_in_the_past_week_needs_no_plan);
async fn a_contract_without_visits_in_the_past_week_needs_no_plan(engine: Engine) {
    let house = House::on(engine).await;
    let t = ten_at_night();
    let long_ago = t - TimeDelta::days(8);
    house.import("V-1", None, long_ago, long_ago).await;
    house.watch_plans(&mut PlanWatch::default(), t).await;
    assert_eq!(said(&house).await, []);
}

on_both_engines!(units_of_a_contract_that_is_not_configured_any_more_hold_up_nobody);
/// More of them than are looked at in one transaction.
async fn units_of_a_contract_that_is_not_configured_any_more_hold_up_nobody(engine: Engine) {
    let mut house = House::on(engine).await;
    let t = ten_at_night();
    house
        .hear(t, |heard| {
            for number in 0..senders::DUE_MAX {
                let unit = Sender::Device(format!("D-{number}").parse().unwrap());
                heard.online(("default".parse().unwrap(), unit), t);
            }
        })
        .await;
    let another = load(None, []).unwrap().default_contract("another".parse().unwrap());
    house.contracts = Contracts::new([another], true);
    let unit = ("another".parse().unwrap(), device().1);
    let heard_at = t + minutes(1);
    house.hear(heard_at, |heard| heard.online(unit, heard_at)).await;
    let due_at = heard_at + TimeDelta::hours(24);
    house.watch(due_at, seeing()).await;
    assert_eq!(said(&house).await, [(AlertKind::DeviceOffline, State::Open, due_at)]);
}

on_both_engines!(what_is_said_of_a_unit_is_in_local_time_and_ends);
async fn what_is_said_of_a_unit_is_in_local_time_and_ends(engine: Engine) {
    let house = House::on(engine).await;
    let t = parse_instant("2019-07-01T21:05:30.25Z").unwrap();
    house.hear(t, |heard| heard.online(device(), t)).await;
    house.hear(t + minutes(1), |heard| heard.lost(device(), t + minutes(1))).await;
    house.watch(t + minutes(16), seeing()).await;
    house.hear(t + minutes(20), |heard| heard.event(device(), None, t + minutes(20))).await;
    let said: Vec<String> = house.said().await.into_iter().map(|said| said.detail).collect();
    let unit = "device D-1 has";
    assert_eq!(
        said,
        [
            format!("{unit} not been heard since 2019-07-01 22:05"),
            format!("{unit} been heard again")
        ]
    );
}
