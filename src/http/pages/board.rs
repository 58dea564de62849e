//! The night board: what a coordinator has before her all night. What is not safe comes first.

use chrono::TimeDelta;
use maud::{Markup, html};

use super::alerts;
use super::controls;
use super::eyes::Eyes;
use super::lanes::Lanes;
use super::wall;
use super::words::plain;
use crate::domain::alert::AlertKind;
use crate::domain::calendar::{next_day, previous_day};
use crate::domain::event::{EventKind, Sender};
use crate::domain::instant::format_instant;
use crate::domain::refs::VisitRef;
use crate::domain::visit::{Status, Visit};
use crate::store::evidence::Recorded;
use crate::view::{AlertView, NightView};

/// So many events are offered to be placed; the rest follow when these have a place.
const UNPLACED_MAX: usize = 20;
/// So many visits are suggested for each.
const SUGGESTED_MAX: usize = 12;
/// How far from the event a visit that is suggested may lie.
const SUGGESTED_WITHIN: TimeDelta = TimeDelta::hours(3);

/// The board of a night.
pub struct Board<'a> {
    /// What it shows.
    pub view: &'a NightView,
    /// Who looks.
    pub eyes: Eyes<'a>,
    /// The one run that is wanted, if not all.
    pub run: Option<&'a str>,
    /// What is wrong with the daemon itself, if anything.
    pub trouble: Option<&'a str>,
}

impl Board<'_> {
    /// What is exchanged when something has changed.
    #[must_use]
    pub fn main(&self) -> Markup {
        let view = self.view;
        let lanes = Lanes {
            eyes: self.eyes,
            night: view.night,
            now: view.now,
            visits: &view.visits,
            only: self.run,
        };
        html! {
            main #main data-now=(format_instant(view.now)) {
                (self.banners())
                (self.heading())
                (alerts::section(&view.alerts, &self.eyes, view.now))
                @if self.eyes.sees_people { (self.unplaced()) }
                (lanes.section())
                @if self.eyes.may_act { (controls::reasons()) }
            }
        }
    }

    /// What makes the whole board doubtful.
    fn banners(&self) -> Markup {
        let open = |kind: AlertKind| {
            self.view.alerts.iter().filter(move |a| a.is_open() && a.message.kind == kind)
        };
        let gaps: Vec<&AlertView> = open(AlertKind::SequenceGap).collect();
        html! {
            @for alert in open(AlertKind::MonitoringBlind) {
                div.banner.blind {
                    p { strong { "Monitoring is blind" } " since "
                        (wall::time(self.eyes.contract.zone, alert.message.due_at))
                        ". Whoever has not come may have: nobody can tell."
                        @match alert.message.visits_at_risk.len() {
                            0 => {},
                            1 => " One visit is at risk, listed below.",
                            number => { " " (number) " visits are at risk, listed below." }
                        }
                    }
                }
            }
            @if let Some(trouble) = self.trouble {
                div.banner.blind { p { strong { "nightrun has a problem: " } (trouble) } }
            }
            @if !gaps.is_empty() && self.eyes.sees_people {
                div.banner {
                    p { strong { "Events are missing." } " Something was sent that has not arrived: "
                        @for alert in &gaps { (alert.message.detail) ". " }
                    }
                }
            }
        }
    }

    fn heading(&self) -> Markup {
        let view = self.view;
        let to = |night| format!("/?contract={}&night={night}", view.contract.id);
        html! {
            div.head {
                h1 { "Night of " (wall::night(view.night)) " " small { (view.contract.id) } }
                p.nights {
                    a href=(to(previous_day(view.night))) rel="prev" { "Night before" } " "
                    a href=(to(next_day(view.night))) rel="next" { "Night after" }
                }
            }
            (self.numbers())
        }
    }

    /// The night in numbers, the ones that ask for something first.
    fn numbers(&self) -> Markup {
        let counted = |wanted: &[Status]| {
            self.view.visits.iter().filter(|visit| wanted.contains(&visit.status)).count()
        };
        let groups: [(&str, &str, &[Status]); 6] = [
            ("missed", "mi", &[Status::Missed, Status::PartDelivered]),
            ("late", "la", &[Status::Late]),
            ("due", "du", &[Status::Due, Status::Overdue]),
            ("in progress", "ip", &[Status::InProgress]),
            ("delivered", "de", &[Status::Delivered]),
            ("to come", "pl", &[Status::Planned]),
        ];
        let known: usize = groups.iter().map(|(_, _, wanted)| counted(wanted)).sum();
        let others = self.view.visits.len() - known;
        html! {
            ul.numbers aria-label="The visits of the night" {
                @for (name, class, wanted) in groups {
                    @let number = counted(wanted);
                    li.(class).none[number == 0] { b { (number) } " " (name) }
                }
                li.none[others == 0] { b { (others) } " frustrated, cancelled or void" }
            }
        }
    }

    fn unplaced(&self) -> Markup {
        let unplaced = &self.view.unplaced;
        html! {
            @if !unplaced.is_empty() {
                section #unplaced aria-labelledby="unplaced-heading" {
                    h2 #unplaced-heading { "Events without a place " span.count { (unplaced.len()) } }
                    p { "Nobody can tell whose home these are about." }
                    @for event in unplaced.iter().take(UNPLACED_MAX) { (self.event(event)) }
                    @if unplaced.len() > UNPLACED_MAX {
                        p { "And " (unplaced.len() - UNPLACED_MAX) " more." }
                    }
                }
            }
        }
    }

    fn event(&self, recorded: &Recorded) -> Markup {
        let event = &recorded.event;
        let zone = self.eyes.contract.zone;
        let from = match &event.sender {
            Sender::Carer(_) => "by phone".to_owned(),
            Sender::Device(device) => format!("by unit {device}"),
        };
        html! {
            article.event id={ "e-" (event.event_id) } {
                h3 {
                    (self.eyes.carer(&event.carer_ref)) " " (did(event.kind)) " "
                    (wall::seconds(zone, event.effective_at()))
                }
                p { (from) ", received " (wall::seconds(zone, event.received_at))
                    @if let Some(visit) = &event.visit_ref { ", names visit " (visit) }
                    @if let Some(tag) = &event.tag { ", tag " (tag) }
                    @if event.position.is_some() { ", with a position" }
                }
                @if self.eyes.may_act {
                    (controls::place(&self.eyes, recorded, &self.suggested(recorded)))
                }
            }
        }
    }

    /// The visits near the event in time; those first for which its carer is listed.
    fn suggested(&self, recorded: &Recorded) -> Vec<(VisitRef, String)> {
        let at = recorded.event.effective_at();
        let mut near: Vec<(bool, TimeDelta, &Visit)> = (self.view.visits.iter())
            .filter_map(|visit| {
                let plan = visit.plan.as_ref()?;
                let listed = plan.visit.carers.contains(&recorded.event.carer_ref);
                let distance = (visit.planned_start - at).abs();
                (distance <= SUGGESTED_WITHIN).then_some((!listed, distance, visit))
            })
            .collect();
        near.sort_by_key(|(stranger, distance, visit)| (*stranger, *distance, &visit.visit_ref));
        near.truncate(SUGGESTED_MAX);
        let zone = self.eyes.contract.zone;
        near.into_iter()
            .map(|(_, _, visit)| {
                let client = self.eyes.client(&visit.client);
                let planned = wall::time(zone, visit.planned_start);
                let status = plain(visit.status.as_str());
                (visit.visit_ref.clone(), format!("{planned} {client}, {status}"))
            })
            .collect()
    }
}

/// What an event says, in words.
#[must_use]
pub fn did(kind: EventKind) -> String {
    match kind {
        EventKind::CheckIn => "checked in".to_owned(),
        EventKind::CheckOut => "checked out".to_owned(),
        EventKind::NotDelivered(reason) => format!("could not deliver: {}", plain(reason.as_str())),
    }
}
