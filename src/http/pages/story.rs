//! A visit's whole story on one page: what was planned, what was said and when, what was decided, and
//! where it counts.

use std::fmt::Write;

use maud::{Markup, html};

use super::alerts;
use super::board::did;
use super::controls;
use super::eyes::Eyes;
use super::wall;
use super::words::{class, heading, plain};
use crate::domain::calendar::local_date;
use crate::domain::correction::{Correction, CorrectionKind};
use crate::domain::event::{Event, Sender};
use crate::domain::instant::{Instant, format_instant};
use crate::domain::place::{Whereabouts, distance_m, whereabouts};
use crate::domain::plan::PlannedVisit;
use crate::domain::schedule3::Row;
use crate::view::{AlertView, EventView, StoryView};

/// The story of a visit.
pub struct Story<'a> {
    /// What it is made from.
    pub view: &'a StoryView,
    /// The Schedule 3 row that it goes into, if it counts in one.
    pub row: Option<&'a Row>,
    /// Who looks.
    pub eyes: Eyes<'a>,
}

impl Story<'_> {
    /// What is exchanged when something has changed.
    #[must_use]
    pub fn main(&self) -> Markup {
        let view = self.view;
        let open: Vec<&AlertView> = self.shown().filter(|alert| alert.is_open()).collect();
        html! {
            main #main data-now=(format_instant(view.now)) {
                (self.heading())
                @if !open.is_empty() {
                    section #alerts aria-labelledby="open-heading" {
                        h2 #open-heading { "Open alerts" }
                        @for alert in open { (alerts::card(alert, &self.eyes, view.now)) }
                    }
                }
                (self.facts())
                @if self.eyes.may_act { (self.decide()) }
                (self.row())
                (self.attendances())
                @if self.eyes.sees_people { (self.events()) }
                (self.alerts())
                (self.corrections())
                (self.plans())
                @if self.eyes.may_act { (controls::reasons()) }
            }
        }
    }

    /// The alerts that the visitor may see.
    fn shown(&self) -> impl Iterator<Item = &AlertView> {
        self.view.alerts.iter().filter(|alert| alerts::is_shown(alert, &self.eyes))
    }

    fn heading(&self) -> Markup {
        let visit = &self.view.visit;
        let board = format!("/?contract={}&night={}", self.eyes.contract.id, visit.night);
        html! {
            p { a href=(board) { "← Night of " (wall::night(visit.night)) } }
            h1 { (visit.visit_ref) " " small { (self.eyes.client(&visit.client)) } }
            p.status.(class(visit.status)) {
                b { (heading(visit.status.as_str())) }
                @if let Some(reason) = &visit.reason { ": " (plain(reason)) }
            }
        }
    }

    fn time(&self, at: Instant) -> String {
        wall::day_and_time(self.eyes.contract.zone, at)
    }

    fn facts(&self) -> Markup {
        let visit = &self.view.visit;
        let zone = self.eyes.contract.zone;
        let planned = visit.plan.as_ref().map(|plan| &plan.visit);
        let flags: Vec<String> = visit.flags.iter().map(|flag| plain(flag.as_str())).collect();
        let fact = |name: &str, value: Option<String>| {
            html! { @if let Some(value) = value { div { dt { (name) } dd { (value) } } } }
        };
        html! {
            section aria-labelledby="facts-heading" {
                h2 #facts-heading { "The visit" }
                dl.facts {
                    (fact("Planned", planned.map(|p| wall::from_to(zone, p.start, p.end))))
                    (fact("Planned", planned.is_none().then(|| "no plan knew of it".to_owned())))
                    (fact("Time-specific", visit.is_time_specific().then(|| "yes".to_owned())))
                    (fact("Run", planned.and_then(|p| Some(p.run.as_ref()?.to_string()))))
                    (fact("Service", planned.map(|p| format!("{}, {}", p.service, p.service_level))))
                    (fact("Carers needed", Some(visit.carers_required.to_string())))
                    (fact("Carers listed", planned.filter(|p| !p.carers.is_empty())
                        .map(|p| self.eyes.carers(&p.carers))))
                    (fact("Present", Some(visit.present.to_string())))
                    (fact("Start", visit.start.map(|at| wall::seconds(zone, at))))
                    (fact("End", visit.end.map(|at| wall::seconds(zone, at))))
                    (fact("Start less planned start", visit.deviation().map(|by| {
                        let sign = if by < chrono::TimeDelta::zero() { "−" } else { "+" };
                        format!("{sign}{}", wall::length(by))
                    })))
                    (fact("Call duration", visit.call.map(wall::length)))
                    (fact("Flags", (!flags.is_empty()).then(|| flags.join(", "))))
                    (fact("Missed from", planned.map(|_| wall::time(zone, visit.missed_at))))
                }
            }
        }
    }

    fn decide(&self) -> Markup {
        let visit = &self.view.visit;
        html! {
            section aria-labelledby="decide-heading" {
                h2 #decide-heading { "Put right" }
                p { "Evidence stays as it is. A correction is added to it, and can be withdrawn." }
                div.deeds {
                    (controls::correct(&self.eyes, &visit.visit_ref, "visit"))
                    @if visit.correction.is_some() { (controls::withdraw(&self.eyes, &visit.visit_ref)) }
                }
            }
        }
    }

    fn row(&self) -> Markup {
        html! {
            section aria-labelledby="row-heading" {
                h2 #row-heading { "Schedule 3" }
                @match self.row {
                    Some(row) => { (schedule3(row, &self.eyes)) }
                    None => { p { "It counts in no row." } }
                }
            }
        }
    }

    fn attendances(&self) -> Markup {
        let visit = &self.view.visit;
        let time = |at: Option<Instant>| {
            at.map_or("not known".to_owned(), |at| wall::seconds(self.eyes.contract.zone, at))
        };
        html! {
            section aria-labelledby="came-heading" {
                h2 #came-heading { "Who came" }
                @if visit.attendances.is_empty() { p { "Nobody is known to have come." } } @else {
                    div.wide tabindex="0" role="group" aria-labelledby="came-heading" {
                        table {
                            thead { tr { th scope="col" { "Carer" } th scope="col" { "Checked in" } th scope="col" { "Checked out" } } }
                            tbody {
                                @for attendance in &visit.attendances {
                                    tr {
                                        td { (self.eyes.carer(&attendance.carer))
                                            @if attendance.informal_carer() { " and an informal carer" } }
                                        td { (time(attendance.began())) }
                                        td { (time(attendance.ended())) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    fn events(&self) -> Markup {
        html! {
            section aria-labelledby="events-heading" {
                h2 #events-heading { "What was said" }
                @if self.view.events.is_empty() { p { "Nothing." } } @else {
                    div.wide tabindex="0" role="group" aria-labelledby="events-heading" {
                        table {
                            thead { tr {
                                @for name in ["What", "By", "Device's clock", "Received", "Counts as", "Where", "Placed by"] {
                                    th scope="col" { (name) }
                                }
                            } }
                            tbody {
                                @for EventView { recorded, placed_at, handed_in, .. } in &self.view.events {
                                    @let event = &recorded.event;
                                    tr {
                                        td { (did(event.kind)) }
                                        td { (self.eyes.carer(&event.carer_ref))
                                            @if let Sender::Device(device) = &event.sender { ", unit " (device) }
                                            @if let Some(handed_in) = handed_in { ", handed in by " (handed_in.by) } }
                                        td { (self.time(event.occurred_at)) }
                                        td { (self.time(event.received_at)) }
                                        td { (self.time(event.effective_at()))
                                            @if event.clock_ahead() { " (clock ahead)" } }
                                        td { (self.place(event)) }
                                        td { (recorded.by.map_or("nobody yet".to_owned(), |by| plain(by.as_str())))
                                            @if let Some(visit) = placed_at { ", at " (visit) } }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    /// Where an event was made, seen from the client's home and its fence (R19).
    fn place(&self, event: &Event) -> String {
        let view = self.view;
        let (contract, client) = (self.eyes.contract, &view.visit.client);
        let date = local_date(contract.zone, event.effective_at());
        let home = view.registers.home(client, date);
        let seen = whereabouts(contract, event, client, view.visit.night, &view.registers);
        let says = match seen {
            Whereabouts::OnSite => "at the home",
            Whereabouts::OffSite { .. } => "not at the home",
            Whereabouts::Unknown => "nobody knows where",
        };
        let Some((position, at)) = event.position.zip(home.and_then(|home| home.at)) else {
            return says.to_owned();
        };
        let fence = home.and_then(|home| home.fence_m);
        let fence = fence.unwrap_or(contract.policy(view.visit.night).fence_m);
        let distance = distance_m(position.at, at);
        format!("{says}: {distance:.0} m from it ± {:.0}, fence {fence:.0} m", position.accuracy_m)
    }

    fn alerts(&self) -> Markup {
        let zone = self.eyes.contract.zone;
        html! {
            section aria-labelledby="told-heading" {
                h2 #told-heading { "Alerts" }
                @if self.shown().next().is_none() { p { "None." } } @else {
                    ul.lines {
                        @for alert in self.shown() {
                            @let message = &alert.message;
                            li {
                                b { (plain(message.kind.as_str())) }
                                " due " (wall::seconds(zone, message.due_at))
                                ", raised " (wall::seconds(zone, message.raised_at))
                                @if alert.is_open() { ", open" }
                                @else { ", over: " (alerts::how_it_ended(alert, &self.eyes)) }
                                (alerts::acts(alert, &self.eyes))
                            }
                        }
                    }
                }
            }
        }
    }

    fn corrections(&self) -> Markup {
        html! {
            section aria-labelledby="decided-heading" {
                h2 #decided-heading { "What was decided" }
                @if self.view.corrections.is_empty() { p { "Nothing: the evidence decides." } } @else {
                    ol.lines {
                        @for correction in &self.view.corrections {
                            li { (self.decided(correction)) }
                        }
                    }
                }
            }
        }
    }

    /// A council sees what was decided and what is said in the return; not by whom, and no comment that
    /// stays inside.
    fn decided(&self, correction: &Correction) -> Markup {
        html! {
            (self.time(correction.at)) " "
            b {
                @match &correction.what {
                    CorrectionKind::Outcome { outcome, .. } => { (plain(outcome.as_str())) }
                    CorrectionKind::Withdraw { .. } => { "withdrawn" }
                    CorrectionKind::Place { event_id, .. } => { "event " (event_id) " placed here" }
                    CorrectionKind::Comment { .. } => { "commented" }
                }
            }
            @if let Some(reason) = &correction.reason { ", " (plain(reason)) }
            @if self.eyes.sees_people {
                ", by " (correction.by)
                @if let Some(comment) = &correction.comment { ". Inside: " (comment) }
            }
            @if let Some(comment) = &correction.return_comment { ". For the return: " (comment) }
        }
    }

    fn plans(&self) -> Markup {
        html! {
            section aria-labelledby="plans-heading" {
                h2 #plans-heading { "What the plan said" }
                @if self.view.versions.is_empty() { p { "Nothing: nobody planned it." } } @else {
                    ol.lines {
                        @for version in &self.view.versions {
                            li { "From " (self.time(version.known_from)) ": " (self.planned(&version.visit)) }
                        }
                    }
                }
            }
        }
    }

    fn planned(&self, plan: &PlannedVisit) -> String {
        let zone = self.eyes.contract.zone;
        let mut text = format!(
            "{}, {}, {} needed",
            self.eyes.client(&plan.client_ref),
            wall::day_and_time(zone, plan.start) + "–" + &wall::time(zone, plan.end),
            plan.carers_required
        );
        if let Some(run) = &plan.run {
            let _ = write!(text, ", run {run}");
        }
        if !plan.carers.is_empty() {
            let _ = write!(text, ", {}", self.eyes.carers(&plan.carers));
        }
        if let Some(cancelled) = &plan.cancellation {
            let at = wall::day_and_time(zone, cancelled.at);
            let _ = write!(text, "; cancelled by the {} {at}", cancelled.by);
        }
        text
    }
}

/// The row of Schedule 3, as the return has it (R28).
fn schedule3(row: &Row, eyes: &Eyes<'_>) -> Markup {
    let quantities = [
        ("Actual", row.actual),
        ("Frustrated", row.frustrated),
        ("Cancelled", row.cancelled),
        ("Missed", row.missed),
        ("Extra", row.extra),
    ];
    html! {
        p { (row.key.service) ", " (row.key.service_level) ", " (eyes.client(&row.key.client))
            ", week of " (row.key.start_date) }
        div.wide tabindex="0" role="group" aria-labelledby="row-heading" {
            table #schedule-3 {
                thead { tr {
                    @for (name, _) in &quantities { th scope="col" { (name) } }
                    th scope="col" { "Visits" } th scope="col" { "Minutes" }
                } }
                tbody { tr {
                    @for (name, quantity) in &quantities { td id={ "row-" (name) } { (quantity) } }
                    td { (row.visits) } td { (row.call_minutes) }
                } }
            }
        }
        @if !row.comments.is_empty() { p { (row.comments) } }
    }
}
