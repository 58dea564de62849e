//! What the daemon says while it cannot hear, and when it hears again (R25), with the clock in the
//! test's hand.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "not all of the house is needed")]

#[path = "support/house.rs"]
mod house;
mod support;

use chrono::TimeDelta;
use house::{House, minutes, phone, ten_at_night};
use nightrun::blindness::BlindWatch;
use nightrun::config::Contracts;
use nightrun::domain::instant::Instant;
use nightrun::sight::{Fleet, Sights};
use nightrun::wire::alert::AlertMessage;
use support::engine::{Engine, on_both_engines};

/// A night in which a carer comes now and then.
struct Night {
    house: House,
    sights: Sights,
    blind: BlindWatch,
}

impl Night {
    /// Visits with their runs, so many minutes after ten.
    async fn with(engine: Engine, visits: &[(&str, &str, i64)]) -> Self {
        let house = House::on(engine).await;
        let t = ten_at_night();
        for (visit, run, after) in visits {
            let run = Some(*run).filter(|run| !run.is_empty());
            house.import(visit, run, t + minutes(*after), t).await;
        }
        house.apply(t).await;
        Self { house, sights: Sights::seeing(Instant::MIN_UTC), blind: BlindWatch::default() }
    }

    async fn come(&mut self, visit: &str, after: i64) {
        self.house.check_in(&mut self.sights, visit, at(after)).await;
    }

    /// What is said at that minute, one line each.
    async fn look(&mut self, after: i64) -> Vec<String> {
        self.look_at(at(after)).await
    }

    async fn look_at(&mut self, now: Instant) -> Vec<String> {
        self.house.look(&mut self.sights, &mut self.blind, now).await;
        self.house.said().await.iter().map(line).collect()
    }
}

fn at(after: i64) -> Instant {
    ten_at_night() + minutes(after)
}

fn line(message: &AlertMessage) -> String {
    let due = (message.due_at - ten_at_night()).num_minutes();
    let about: Vec<&str> = message
        .visit_ref
        .iter()
        .chain(&message.visits_at_risk)
        .map(nightrun::domain::refs::VisitRef::as_str)
        .collect();
    let unconfirmed = if message.unconfirmed { " unconfirmed" } else { "" };
    format!("{} {} {due} [{}]{unconfirmed}", message.kind, message.state, about.join(" "))
}

on_both_engines!(what_comes_to_hold_while_it_cannot_hear_is_told_when_it_can);
/// What is left of the backlog makes it short staffed after its deadline was dealt with.
async fn what_comes_to_hold_while_it_cannot_hear_is_told_when_it_can(engine: Engine) {
    let mut night = Night::with(engine, &[]).await;
    night.house.import_for(2, "V-1", Some("A"), at(90), at(0)).await;
    night.house.apply(at(0)).await;
    assert_eq!(night.look(150).await, ["missed open 150 [V-1]"]);
    night.sights.lose_broker(at(151));
    night.come("V-1", 152).await;
    let over_and_blind = ["missed resolved 150 [V-1]", "monitoring_blind open 152 [V-1]"];
    assert_eq!(night.look(152).await, over_and_blind);
    night.sights.hear_broker(at(153));
    let told = ["short_staffed open 150 [V-1] unconfirmed", "monitoring_blind resolved 152 []"];
    assert_eq!(night.look(153).await, told);
    let nothing: [&str; 0] = [];
    assert_eq!(night.look(154).await, nothing, "it is said once");
}

on_both_engines!(a_broker_that_is_away_is_one_alert_with_the_visits_at_risk);
async fn a_broker_that_is_away_is_one_alert_with_the_visits_at_risk(engine: Engine) {
    let mut night = Night::with(
        engine,
        &[("V-1", "A", 90), ("V-2", "B", 95), ("V-3", "A", 100), ("V-4", "B", 300)],
    )
    .await;
    night.come("V-3", 89).await;
    night.sights.lose_broker(at(90));
    let nothing: [&str; 0] = [];
    assert_eq!(night.look_at(at(91) - TimeDelta::microseconds(1)).await, nothing, "not for 60 s");
    assert_eq!(night.look(91).await, ["monitoring_blind open 91 []"]);
    assert_eq!(night.look(104).await, nothing, "nothing new");
    assert_eq!(night.look(105).await, ["monitoring_blind open 91 [V-1]"]);
    assert_eq!(night.look(110).await, ["monitoring_blind open 91 [V-1 V-2]"]);
    assert_eq!(night.look(150).await, nothing, "no late, no missed: one alert is enough");
    // What the broker had kept is read first.
    night.come("V-2", 151).await;
    assert_eq!(night.look(152).await, ["monitoring_blind open 91 [V-1]"]);
    night.sights.hear_broker(at(153));
    assert_eq!(
        night.look(153).await,
        ["missed open 150 [V-1] unconfirmed", "monitoring_blind resolved 91 []"]
    );
    assert_eq!(night.look(160).await, nothing, "once");
    assert_eq!(
        night.look(315).await,
        ["overdue_checkout open 185 [V-2]", "tolerance open 315 [V-4]"],
        "as on any night"
    );
}

on_both_engines!(an_alert_that_a_killed_daemon_left_open_is_taken_up);
async fn an_alert_that_a_killed_daemon_left_open_is_taken_up(engine: Engine) {
    let mut night = Night::with(engine, &[("V-1", "A", 90)]).await;
    night.sights.lose_broker(at(80));
    assert_eq!(night.look(81).await, ["monitoring_blind open 81 []"]);
    // Another process begins, and hears nothing either.
    night.sights = Sights::starting(at(110), std::collections::BTreeMap::new());
    night.blind = BlindWatch::default();
    let nothing: [&str; 0] = [];
    assert_eq!(night.look_at(at(110) + TimeDelta::seconds(30)).await, nothing);
    assert_eq!(night.look(111).await, ["monitoring_blind open 81 [V-1]"], "the same one");
    // And another, which hears.
    night.blind = BlindWatch::default();
    night.sights.hear_broker(at(112));
    assert_eq!(
        night.look(112).await,
        ["tolerance open 105 [V-1] unconfirmed", "monitoring_blind resolved 81 []"]
    );
}

on_both_engines!(outside_service_hours_nobody_is_told_but_nothing_is_claimed_either);
async fn outside_service_hours_nobody_is_told_but_nothing_is_claimed_either(engine: Engine) {
    let mut night = Night::with(engine, &[("V-1", "A", 10)]).await;
    night.sights.lose_broker(at(-60));
    let nothing: [&str; 0] = [];
    assert_eq!(night.look(30).await, nothing, "22:30");
    assert_eq!(night.look(60).await, ["monitoring_blind open 60 [V-1]"], "23:00");
    assert_eq!(night.look(60 * 10).await, nothing, "it does not end with the service hours");
    night.sights.hear_broker(at(60 * 10 + 1));
    assert_eq!(
        night.look(60 * 10 + 1).await,
        ["missed open 70 [V-1] unconfirmed", "monitoring_blind resolved 60 []"]
    );
}

on_both_engines!(phones_that_are_all_silent_while_two_runs_are_waited_for_are_blindness);
async fn phones_that_are_all_silent_while_two_runs_are_waited_for_are_blindness(engine: Engine) {
    let mut night = Night::with(
        engine,
        &[("V-1", "A", 90), ("V-2", "A", 92), ("V-3", "B", 100), ("V-4", "", 101)],
    )
    .await;
    night.come("V-4", 88).await;
    assert_eq!(night.look(105).await, ["tolerance open 105 [V-1]"], "phones were heard at 88");
    assert_eq!(night.look(108).await, ["tolerance open 107 [V-2]"], "one run");
    assert_eq!(night.look(115).await, ["monitoring_blind open 115 [V-3]"], "two runs");
    let nothing: [&str; 0] = [];
    assert_eq!(night.look(119).await, nothing);
    assert_eq!(night.look(122).await, ["monitoring_blind open 115 [V-1 V-2 V-3]"], "late is held");
    night.come("V-2", 125).await;
    let mut said = night.look(125).await;
    said.sort();
    assert_eq!(
        said,
        [
            "late open 120 [V-1] unconfirmed",
            "monitoring_blind resolved 115 []",
            "tolerance open 115 [V-3] unconfirmed",
            "tolerance resolved 105 [V-1]",
            "tolerance resolved 107 [V-2]",
        ]
    );
}

on_both_engines!(phones_that_another_daemon_hears_are_not_silent);
/// The same, but another daemon of the fleet hears a phone: before, and when it was blindness.
async fn phones_that_another_daemon_hears_are_not_silent(engine: Engine) {
    let visits = [("V-1", "A", 90), ("V-2", "B", 91), ("V-3", "A", 115), ("V-4", "B", 116)];
    let mut night = Night::with(engine, &visits).await;
    let others = Fleet { up_to: None, since: Some(Instant::MIN_UTC), works: true };
    night.sights.follow(Some(others), at(0));
    night.house.hear(at(95), |heard| heard.event(phone(), None, at(95))).await;
    let separately = ["tolerance open 105 [V-1]", "tolerance open 106 [V-2]"];
    assert_eq!(night.look(108).await, separately);
    assert_eq!(night.look(130).await, ["monitoring_blind open 130 [V-1 V-2 V-3]"]);
    night.house.hear(at(131), |heard| heard.event(phone(), None, at(131))).await;
    let over = ["monitoring_blind resolved 130 []"];
    assert_eq!(night.look(132).await, over, "it is heard that a phone was heard");
    let said = night.look(133).await;
    assert!(said.contains(&"tolerance open 131 [V-4] unconfirmed".to_owned()), "{said:?}");
}

on_both_engines!(what_another_daemon_may_have_in_hand_is_waited_for);
/// Somebody came to V-1.a in time, and another daemon has that in hand; nobody came to V-1.c.
async fn what_another_daemon_may_have_in_hand_is_waited_for(engine: Engine) {
    let visits = [("V-1.a", "", 90), ("V-1.b", "", 150), ("V-1.c", "", 90)];
    let mut night = Night::with(engine, &visits).await;
    let others = Fleet { up_to: Some(at(104)), since: Some(Instant::MIN_UTC), works: true };
    night.sights.follow(Some(others), at(106));
    let nothing: [&str; 0] = [];
    night.come("V-1.b", 106).await;
    let said: Vec<String> = night.house.said().await.iter().map(line).collect();
    assert_eq!(said, nothing, "what one daemon receives says nothing of the others");
    night.come("V-1.a", 104).await;
    assert_eq!(night.look(106).await, ["tolerance open 105 [V-1.c]"]);
}

on_both_engines!(one_run_that_nobody_works_is_no_blindness);
async fn one_run_that_nobody_works_is_no_blindness(engine: Engine) {
    let mut night =
        Night::with(engine, &[("V-1", "A", 90), ("V-2", "A", 92), ("V-3", "", 95)]).await;
    let mut said = night.look(110).await;
    said.sort();
    assert_eq!(
        said,
        ["tolerance open 105 [V-1]", "tolerance open 107 [V-2]", "tolerance open 110 [V-3]"]
    );
}

on_both_engines!(deadlines_of_a_contract_wait_until_the_configuration_has_it_again);
/// Somebody takes the contract out of the configuration, and puts it back.
async fn deadlines_of_a_contract_wait_until_the_configuration_has_it_again(engine: Engine) {
    let mut night = Night::with(engine, &[("V-1", "A", 90)]).await;
    let without = Contracts::new([], true);
    let with = std::mem::replace(&mut night.house.contracts, without);
    let nothing: [&str; 0] = [];
    assert_eq!(night.look(120).await, nothing);
    night.house.contracts = with;
    assert_eq!(night.look(125).await, ["late open 120 [V-1]"]);
}

on_both_engines!(a_plan_that_came_before_its_contract_has_deadlines);
/// Somebody adds the contract and imports its plan, and only then restarts the daemon.
async fn a_plan_that_came_before_its_contract_has_deadlines(engine: Engine) {
    let mut night = Night::with(engine, &[]).await;
    night.house.import("V-1", Some("A"), at(90), at(0)).await;
    let without = Contracts::new([], true);
    let with = std::mem::replace(&mut night.house.contracts, without);
    night.house.apply(at(0)).await;
    night.house.contracts = with;
    night.house.apply(at(1)).await;
    assert_eq!(night.look(105).await, ["tolerance open 105 [V-1]"]);
}

on_both_engines!(
    what_a_clock_that_was_ahead_raised_is_over_when_it_is_put_back_and_due_in_its_time
);
async fn what_a_clock_that_was_ahead_raised_is_over_when_it_is_put_back_and_due_in_its_time(
    engine: Engine,
) {
    let mut night = Night::with(engine, &[("V-1", "A", 90)]).await;
    assert_eq!(night.look(151).await, ["missed open 150 [V-1]"], "the clock is two hours ahead");
    night.house.put_back(at(31)).await;
    assert_eq!(night.look(31).await, ["missed resolved 150 [V-1]"]);
    assert_eq!(night.look(105).await, ["tolerance open 105 [V-1]"]);
    assert_eq!(night.look(120).await, ["tolerance resolved 105 [V-1]", "late open 120 [V-1]"]);
    assert_eq!(night.look(150).await, ["late resolved 120 [V-1]", "missed open 150 [V-1]"]);
}

on_both_engines!(a_carer_who_is_seen_elsewhere_confirms_nothing_that_was_due_before);
/// The carer is heard of elsewhere before the night that the carer had not left has been looked at.
async fn a_carer_who_is_seen_elsewhere_confirms_nothing_that_was_due_before(engine: Engine) {
    let visits = [("V-1.early", "A", 60), ("V-1.late", "A", 140), ("V-2", "A", 300)];
    let mut night = Night::with(engine, &visits).await;
    night.come("V-1.early", 60).await;
    assert_eq!(night.look(150).await, ["overdue_checkout open 150 [V-1.early]"]);
    night.sights.lose_broker(at(151));
    night.sights.hear_broker(at(161));
    night.come("V-2", 162).await;
    assert_eq!(
        night.look(162).await,
        ["overdue_checkout resolved 150 [V-1.early]", "tolerance open 155 [V-1.late] unconfirmed"]
    );
}

on_both_engines!(what_is_read_late_over_a_slow_connection_raises_nothing_that_was_put_right);
/// A connection that lags: the check-in may have been at the broker before the deadline.
async fn what_is_read_late_over_a_slow_connection_raises_nothing_that_was_put_right(
    engine: Engine,
) {
    let mut night = Night::with(engine, &[("V-1", "A", 90), ("V-2", "A", 90)]).await;
    night.sights.heard_up_to(Some(at(104)));
    night.come("V-1", 106).await;
    let nothing: [&str; 0] = [];
    assert_eq!(night.look(104).await, nothing, "V-1 is staffed, V-2 is not due yet");
    night.sights.heard_up_to(Some(at(106)));
    assert_eq!(night.look(106).await, ["tolerance open 105 [V-2]"]);
    // As it is on a good connection.
    night.sights.heard_up_to(Some(at(120) - TimeDelta::milliseconds(300)));
    night.come("V-2", 120).await;
    assert_eq!(night.look(120).await, ["tolerance resolved 105 [V-2]"]);
}
