//! Open alerts: the gravest first, what to do about each, and how long there is to speak to the client
//! (R21, R23).

use std::cmp::Reverse;

use chrono::TimeDelta;
use maud::{Markup, html};

use super::controls;
use super::eyes::Eyes;
use super::wall;
use super::words::{heading, plain, sentence, sign, what_to_do};
use crate::domain::alert::{AlertKind, Severity};
use crate::domain::contact::{Act, ContactClock, ContactOutcome, Deed};
use crate::domain::instant::{Instant, format_instant};
use crate::view::AlertView;
use crate::wire::alert::AlertMessage;

/// So many alerts are shown whole; what is less grave has a line, and is dealt with on the visit's page.
const CARDS_MAX: usize = 20;
/// So many more have a line.
const LINES_MAX: usize = 100;
/// So many of those that are over are listed.
const OVER_MAX: usize = 10;

/// The alerts that are open, in the order in which somebody must see to them: the gravest, then those
/// that nobody has acknowledged, then by the time that is left.
#[must_use]
pub fn open<'a>(alerts: &'a [AlertView], eyes: &Eyes<'_>) -> Vec<&'a AlertView> {
    let mut open: Vec<&AlertView> =
        alerts.iter().filter(|alert| alert.is_open() && is_shown(alert, eyes)).collect();
    open.sort_by_key(|alert| {
        let message = &alert.message;
        let due = message.contact_due_at.unwrap_or(message.raised_at);
        (Reverse(message.severity), acknowledged(alert), due, message.alert_id)
    });
    open
}

fn acknowledged(alert: &AlertView) -> bool {
    alert.acts.iter().any(|act| act.deed == Deed::Acknowledged)
}

/// A council sees the alerts of which councils are told (R21).
#[must_use]
pub fn is_shown(alert: &AlertView, eyes: &Eyes<'_>) -> bool {
    eyes.sees_people || (alert.told && alert.message.kind.is_for_council())
}

/// The section of the open alerts.
#[must_use]
pub fn section(alerts: &[AlertView], eyes: &Eyes<'_>, now: Instant) -> Markup {
    let open = open(alerts, eyes);
    let (cards, rest) = open.split_at(open.len().min(CARDS_MAX));
    let (lines, unlisted) = rest.split_at(rest.len().min(LINES_MAX));
    html! {
        section #alerts aria-labelledby="alerts-heading" {
            h2 #alerts-heading { "Open alerts " span.count { (open.len()) } }
            @if open.is_empty() {
                p.calm { "No alert is open." }
            }
            @for alert in cards { (card(alert, eyes, now)) }
            @if !lines.is_empty() {
                ul.lines {
                    @for alert in lines { (line(alert, eyes)) }
                }
            }
            @if !unlisted.is_empty() {
                p { "And " (unlisted.len()) " more, none of them graver than these." }
            }
            (over(alerts, eyes))
        }
    }
}

/// An alert with all that can be done about it.
#[must_use]
pub fn card(alert: &AlertView, eyes: &Eyes<'_>, now: Instant) -> Markup {
    let message = &alert.message;
    let id = message.alert_id;
    let zone = eyes.contract.zone;
    html! {
        article.alert.(message.severity) id={ "a-" (id) } aria-labelledby={ "h-" (id) }
            data-alert=(id) data-says=(says(message, eyes)) {
            h3 id={ "h-" (id) } {
                (sign(message.severity))
                " " (heading(message.kind.as_str())) " "
                span.severity { (message.severity) }
                @if message.unconfirmed { " " span.severity { "unconfirmed" } }
            }
            p.whom { (whom(message, eyes)) }
            p { (sentence(&detail(message, eyes))) "." }
            @if eyes.may_act { p.todo { (what_to_do(message.kind)) } }
            (countdown(alert, eyes, now))
            @if !message.visits_at_risk.is_empty() {
                p { "At risk: "
                    @for visit in message.visits_at_risk.iter().take(LINES_MAX) { (eyes.visit(visit)) " " }
                }
            }
            (acts(alert, eyes))
            p.when { "Raised " (wall::seconds(zone, message.raised_at)) }
            @if eyes.may_act {
                div.deeds {
                    @if !acknowledged(alert) { (controls::acknowledge(eyes, id)) }
                    @if message.visit_ref.is_some() { (controls::contact(eyes, id)) }
                    (controls::resolve(eyes, id, message.kind))
                    @if let Some(visit) = message.visit_ref.as_ref().filter(|_| message.kind.is_exclusive()) {
                        (controls::correct(eyes, visit, &id.to_string()))
                    }
                }
            }
        }
    }
}

fn line(alert: &AlertView, eyes: &Eyes<'_>) -> Markup {
    let message = &alert.message;
    html! {
        li.(message.severity) id={ "a-" (message.alert_id) } data-alert=(message.alert_id) {
            (sign(message.severity)) " " (plain(message.kind.as_str())) " " (whom(message, eyes))
        }
    }
}

/// Which visit, of whom, when.
fn whom(message: &AlertMessage, eyes: &Eyes<'_>) -> Markup {
    let zone = eyes.contract.zone;
    html! {
        @if let Some(visit) = &message.visit_ref {
            (eyes.visit(visit)) " "
        }
        @if let Some(client) = &message.client_ref {
            strong { (eyes.client(client)) } " "
            @if let Some(phone) = eyes.phone(client) {
                a.phone href={ "tel:" (phone.replace(' ', "")) } { (phone) } " "
            }
        }
        @if let Some(planned) = message.planned_start { "· planned " (wall::time(zone, planned)) " " }
        @if let Some(run) = &message.run { "· run " (run) " " }
        @if let Some((present, required)) = message.present.zip(message.carers_required) {
            "· " (present) " of " (required) " there"
        }
    }
}

/// What is wrong, as a sentence. The daemon's own may name carers, which a council does not see.
fn detail(message: &AlertMessage, eyes: &Eyes<'_>) -> String {
    if eyes.sees_people {
        return message.detail.clone();
    }
    match message.kind {
        AlertKind::NotDelivered => "the visit could not be delivered".to_owned(),
        AlertKind::ShortStaffed => "fewer people came than the visit needs".to_owned(),
        _ => "the visit was missed".to_owned(),
    }
}

/// What is read out when it is new.
fn says(message: &AlertMessage, eyes: &Eyes<'_>) -> String {
    let client = message.client_ref.as_ref().map(|client| format!(", {}", eyes.client(client)));
    let kind = heading(message.kind.as_str());
    format!("{kind}{}, {}", client.unwrap_or_default(), message.severity)
}

/// How long there is to speak to the client, or what came of that (R23).
fn countdown(alert: &AlertView, eyes: &Eyes<'_>, now: Instant) -> Markup {
    let time = |at| wall::time(eyes.contract.zone, at);
    match alert.clock {
        ContactClock::None => html! {},
        ContactClock::Met(at) => {
            html! { p.contact.met { "✔ Client spoken to at " (time(at)) ", in time." } }
        }
        ContactClock::MetLate(at) => html! {
            p.contact.late { "Client spoken to at " (time(at)) ", too late." }
        },
        ContactClock::Runs(due) | ContactClock::Missed(due) => {
            let late = due < now;
            html! {
                p.contact.owed.late[late] {
                    "Speak to the client by " (time(due)) ": "
                    b.left data-until=(format_instant(due)) role="timer" { (left(due - now)) }
                }
            }
        }
    }
}

/// `4 min left`, `12 min too late`; the script counts the seconds.
fn left(time: TimeDelta) -> String {
    let says = if time < TimeDelta::zero() { "too late" } else { "left" };
    format!("{} {says}", wall::length(time))
}

/// What coordinators did about it. What they noted stays inside.
#[must_use]
pub fn acts(alert: &AlertView, eyes: &Eyes<'_>) -> Markup {
    if alert.acts.is_empty() || !eyes.sees_people {
        return html! {};
    }
    html! {
        ul.acts {
            @for act in &alert.acts { li { (did(act, eyes)) } }
        }
    }
}

fn did(act: &Act, eyes: &Eyes<'_>) -> String {
    let time = |at| wall::time(eyes.contract.zone, at);
    let mut text = match &act.deed {
        Deed::Acknowledged => format!("{} acknowledged by {}", time(act.at), act.by),
        Deed::Resolved => format!("{} resolved by {}", time(act.at), act.by),
        Deed::Contact(contact) => {
            let did = match contact.outcome {
                ContactOutcome::Spoke => "spoke to",
                ContactOutcome::LeftMessage => "left a message for",
                ContactOutcome::NoAnswer => "rang, nobody answered:",
            };
            let (at, by, whom) = (time(contact.at), &act.by, &contact.spoke_to);
            let new = contact.new_time.map(|at| format!(", new time {}", time(at)));
            let why = contact.reason.as_ref().map(|reason| format!(", {reason}"));
            format!("{at} {by} {did} {whom}{}{}", new.unwrap_or_default(), why.unwrap_or_default())
        }
    };
    if let Some(note) = &act.note {
        text.push_str(": ");
        text.push_str(note);
    }
    text
}

/// What was open, and is over: the last ones.
fn over(alerts: &[AlertView], eyes: &Eyes<'_>) -> Markup {
    let mut over: Vec<&AlertView> = (alerts.iter())
        .filter(|alert| !alert.is_open() && is_shown(alert, eyes))
        .filter(|alert| alert.message.severity > Severity::Info)
        .collect();
    over.sort_by_key(|alert| (Reverse(alert.message.raised_at), alert.message.alert_id));
    html! {
        @if !over.is_empty() {
            details #over {
                summary { "Over: " (over.len()) }
                ul.lines {
                    @for alert in over.iter().take(OVER_MAX) {
                        li {
                            (wall::time(eyes.contract.zone, alert.message.raised_at)) " "
                            (plain(alert.message.kind.as_str())) " " (whom(&alert.message, eyes)) " "
                            (how_it_ended(alert, eyes))
                        }
                    }
                }
            }
        }
    }
}

/// How an alert ended: by its word and, for those who may know who it was, in words.
#[must_use]
pub fn how_it_ended(alert: &AlertView, eyes: &Eyes<'_>) -> String {
    let word = alert.message.resolution.map(|resolution| plain(resolution.as_str()));
    match word {
        Some(word) if eyes.sees_people => format!("{word}: {}", alert.message.detail),
        Some(word) => word,
        None => String::new(),
    }
}
