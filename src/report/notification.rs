//! A notification in words: who must do what by when, about which visit, and since when (R23, R24).
//!
//! In the contract's local time, by references only: nobody is named, whoever it is for (R26). Holds
//! no line break or control character where a channel has one line.

use std::fmt::Write as _;

use chrono_tz::Tz;

use crate::domain::alert::AlertKind;
use crate::domain::instant::Instant;
use crate::domain::recipient::{Audience, Occasion};
use crate::domain::wording::clock;
use crate::wire::alert::AlertMessage;

/// Most visits that a text message names; the others are counted.
const BRIEF_MAX: usize = 5;
/// Longest line that a text message or a subject has, in characters.
const LINE_MAX_CHARS: usize = 200;

/// A notification, ready for every channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// One line: who must do what by when, and why.
    pub subject: String,
    /// The same and the visits, for a text message.
    pub brief: String,
    /// All of it.
    pub text: String,
    /// All of it as a document.
    pub html: String,
}

/// What is told to whom.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The contract's zone.
    pub zone: Tz,
    /// For whom.
    pub audience: Audience,
    /// Why.
    pub occasion: Occasion,
    /// The id under which it is sent.
    pub id: &'a str,
    /// The alerts, of one kind, contract, night and run: at least one.
    pub alerts: &'a [AlertMessage],
}

/// What is said of a kind of alert: of one visit, of several, and what a coordinator is to do.
struct Kind {
    one: &'static str,
    several: &'static str,
    action: &'static str,
}

fn kind(kind: AlertKind) -> Kind {
    let (one, several, action) = match kind {
        AlertKind::Tolerance => (
            "has not started",
            "have not started",
            "find out where the carers are; tell the client when somebody will come, and why it is late",
        ),
        AlertKind::Late => {
            ("is late", "are late", "tell the client when somebody will come, and why it is late")
        }
        AlertKind::ShortStaffed => (
            "has too few carers",
            "have too few carers",
            "send the carer who is missing now, and speak to the client",
        ),
        AlertKind::Missed => {
            ("was missed", "were missed", "send somebody now, and speak to the client")
        }
        AlertKind::NotDelivered => (
            "could not be delivered",
            "could not be delivered",
            "speak to the carers, and to the client or the family",
        ),
        AlertKind::OverdueCheckout => (
            "has a carer still inside",
            "have carers still inside",
            "ring the carer now, who may be in trouble",
        ),
        AlertKind::NoPlan => ("has no plan", "have no plan", "import the visits of the night"),
        AlertKind::OffSite => (
            "was attended from elsewhere",
            "were attended from elsewhere",
            "ask the carer where they were, and resolve the alert",
        ),
        AlertKind::UnplannedVisit => {
            ("was not planned", "were not planned", "note it; nothing else is to be done")
        }
        AlertKind::DeviceOffline => (
            "has a telecare unit that is silent",
            "have telecare units that are silent",
            "have the unit seen to",
        ),
        AlertKind::SequenceGap => (
            "has evidence that has not arrived",
            "have evidence that has not arrived",
            "have the carer open the app where there is a network",
        ),
        AlertKind::MonitoringBlind => (
            "is not monitored",
            "are not monitored",
            "ring the carers about the visits at risk, and see that the broker can be reached",
        ),
        AlertKind::NotificationFailed => (
            "has a recipient who was not told",
            "have recipients who were not told",
            "tell them by telephone, and correct the recipient's address",
        ),
    };
    Kind { one, several, action }
}

/// Says it.
#[must_use]
pub fn words(about: About<'_>) -> Words {
    let subject = line(&subject(about));
    let mut lines = Vec::new();
    if let Some(due) = by_when(about) {
        lines.push(format!("To do: {}.", due.action));
    }
    lines.push(format!("What: {}.", what(about)));
    if let Some(since) = about.alerts.iter().map(|alert| alert.due_at).min() {
        lines.push(format!("Since: {}.", clock(about.zone, since)));
    }
    let details = about.alerts.iter().map(|alert| detail(about, alert)).collect::<Vec<_>>();
    if about.alerts.iter().any(|alert| alert.unconfirmed) && about.occasion != Occasion::Withdrawn {
        lines.push(
            "Unconfirmed: nightrun could not hear at the time, and somebody may be there."
                .to_owned(),
        );
    }
    let contract = about.alerts.first().map(|alert| &alert.contract);
    let night = about.alerts.first().and_then(|alert| alert.night);
    let foot = format!(
        "Contract {}, night of {}. Notification {}, by nightrun.",
        contract.map_or("-", |contract| contract.as_str()),
        night.map_or("-".to_owned(), |night| night.to_string()),
        about.id,
    );
    Words {
        brief: brief(about, &subject),
        text: text(&lines, &details, &foot),
        html: html(&subject, &lines, &details, &foot),
        subject,
    }
}

/// What somebody is to do, as a sentence.
struct Due {
    /// In the subject.
    short: String,
    /// In the text.
    action: String,
}

/// What is to be done by when; nothing where there is nothing to do.
fn by_when(about: About<'_>) -> Option<Due> {
    let first = about.alerts.first()?;
    if about.occasion == Occasion::Withdrawn {
        return None;
    }
    if about.audience == Audience::Council {
        return Some(Due {
            short: "note".to_owned(),
            action: "note it; the provider's coordinators act on it".to_owned(),
        });
    }
    let action = kind(first.kind).action;
    let Some(by) = about.alerts.iter().filter_map(|alert| alert.contact_due_at).min() else {
        return Some(Due { short: short_of(first.kind).to_owned(), action: action.to_owned() });
    };
    let by = clock(about.zone, by);
    let whom = match about.alerts {
        [alert] => alert
            .client_ref
            .as_ref()
            .map_or("the client".to_owned(), |client| format!("client {client}")),
        several => format!("{} clients", several.len()),
    };
    Some(Due {
        short: format!("speak to {whom} by {by}"),
        action: format!("speak to {whom} by {by}: {action}"),
    })
}

/// What is to be done, in a few words: where no clock runs, at once.
fn short_of(kind: AlertKind) -> &'static str {
    match kind {
        AlertKind::Tolerance | AlertKind::Late => "find the carers now",
        AlertKind::ShortStaffed => "send a carer now",
        AlertKind::Missed => "send somebody now",
        AlertKind::NotDelivered => "speak to the client now",
        AlertKind::OverdueCheckout => "ring the carer now",
        AlertKind::NoPlan => "import the plan now",
        AlertKind::OffSite => "ask the carer today",
        AlertKind::UnplannedVisit => "note",
        AlertKind::DeviceOffline => "have the unit seen to today",
        AlertKind::SequenceGap => "have the phone go online today",
        AlertKind::MonitoringBlind => "ring the carers now",
        AlertKind::NotificationFailed => "tell them yourself now",
    }
}

fn subject(about: About<'_>) -> String {
    let who = match about.audience {
        Audience::Coordinator => "Coordinator",
        Audience::Council => "Council",
    };
    let what = what(about);
    match (about.occasion, by_when(about)) {
        (Occasion::Withdrawn, _) | (_, None) => format!("Withdrawn: {what}"),
        (Occasion::Escalated, Some(due)) => {
            format!("{who}: {}: {what}, and nobody has acknowledged it", due.short)
        }
        (Occasion::Opened, Some(due)) => format!("{who}: {}: {what}", due.short),
    }
}

/// What happened, and to which visit.
fn what(about: About<'_>) -> String {
    let Some(first) = about.alerts.first() else { return String::new() };
    let Kind { one, several, .. } = kind(first.kind);
    let run = first.run.as_ref().map(|run| format!(" of run {run}")).unwrap_or_default();
    let withdrawn = about.occasion == Occasion::Withdrawn;
    match (about.alerts, first.visit_ref.as_ref()) {
        ([_], Some(visit)) if withdrawn => {
            format!("it is not so any more that visit {visit}{run} {one}")
        }
        ([_], Some(visit)) => format!("visit {visit}{run} {one}"),
        ([_], None) => format!("contract {} {one}", first.contract),
        (many, None) => format!("contract {} {one}, {} times", first.contract, many.len()),
        (many, Some(_)) if withdrawn => {
            format!("it is not so any more that {} visits{run} {several}", many.len())
        }
        (many, Some(_)) => format!("{} visits{run} {several}", many.len()),
    }
}

/// One alert of it, on one line.
fn detail(about: About<'_>, alert: &AlertMessage) -> String {
    let mut names = Vec::new();
    names.extend(alert.visit_ref.as_ref().map(|visit| format!("visit {visit}")));
    names.extend(alert.client_ref.as_ref().map(|client| format!("client {client}")));
    let planned = |at: Instant| format!("planned for {}", clock(about.zone, at));
    // The sentence says it already, unless it is about the end.
    if about.occasion == Occasion::Withdrawn {
        names.extend(alert.planned_start.map(planned));
    }
    let names = names.join(", ");
    let between = if names.is_empty() { "" } else { ": " };
    line(&format!("{names}{between}{}", alert.detail))
}

fn brief(about: About<'_>, subject: &str) -> String {
    let visits: Vec<&str> =
        about.alerts.iter().filter_map(|alert| Some(alert.visit_ref.as_ref()?.as_str())).collect();
    if visits.len() < 2 {
        return subject.to_owned();
    }
    let more = match visits.len().saturating_sub(BRIEF_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let named = visits.into_iter().take(BRIEF_MAX).collect::<Vec<_>>().join(", ");
    line(&format!("{subject}: {named}{more}"))
}

fn text(lines: &[String], details: &[String], foot: &str) -> String {
    let mut text = lines.join("\n");
    text.push_str("\n\n");
    for detail in details {
        _ = writeln!(text, "- {detail}");
    }
    _ = write!(text, "\n{foot}\n");
    text
}

fn html(subject: &str, lines: &[String], details: &[String], foot: &str) -> String {
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{0}</title></head>\
         <body>\n<h1>{0}</h1>\n",
        escaped(subject)
    );
    for line in lines {
        _ = writeln!(html, "<p>{}</p>", escaped(line));
    }
    html.push_str("<ul>\n");
    for detail in details {
        _ = writeln!(html, "<li>{}</li>", escaped(detail));
    }
    _ = write!(html, "</ul>\n<p><small>{}</small></p>\n</body></html>\n", escaped(foot));
    html
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Text as one line, of which nothing is a command to anybody.
fn line(text: &str) -> String {
    let mut line: String = text
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .take(LINE_MAX_CHARS + 1)
        .collect();
    if line.chars().count() > LINE_MAX_CHARS {
        line.pop();
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::instant::parse_instant;

    fn alert(kind: AlertKind, visit: &str) -> AlertMessage {
        let at = |text| parse_instant(text).unwrap();
        let open = AlertMessage::open(
            uuid::Uuid::nil(),
            "thurrock".parse().unwrap(),
            kind,
            "2026-06-30".parse().unwrap(),
            at("2026-07-01T01:30:00Z"),
            "planned for 02:00, late: nobody has come".to_owned(),
        );
        AlertMessage {
            run: Some("R2".parse().unwrap()),
            visit_ref: Some(visit.parse().unwrap()),
            client_ref: Some(format!("C-{visit}").parse().unwrap()),
            planned_start: Some(at("2026-07-01T01:00:00Z")),
            ..open
        }
    }

    fn said(audience: Audience, occasion: Occasion, alerts: &[AlertMessage]) -> Words {
        let zone = chrono_tz::Europe::London;
        words(About { zone, audience, occasion, id: "n-1", alerts })
    }

    #[test]
    fn the_subject_says_who_must_do_what_by_when() {
        use Audience::{Coordinator, Council};
        use Occasion::{Escalated, Opened, Withdrawn};
        let clocked = |visit: &str| AlertMessage {
            contact_due_at: parse_instant("2026-07-01T01:30:00Z").ok(),
            ..alert(AlertKind::Late, visit)
        };
        let ten: Vec<_> = (0..10).map(|number| clocked(&format!("V-{number}"))).collect();
        let missed = || vec![alert(AlertKind::Missed, "V-1")];
        for (audience, occasion, alerts, subject) in [
            (
                Coordinator,
                Opened,
                vec![clocked("V-1")],
                "Coordinator: speak to client C-V-1 by 02:30: visit V-1 of run R2 is late",
            ),
            (
                Coordinator,
                Opened,
                ten,
                "Coordinator: speak to 10 clients by 02:30: 10 visits of run R2 are late",
            ),
            (
                Coordinator,
                Escalated,
                missed(),
                "Coordinator: send somebody now: visit V-1 of run R2 was missed, and nobody has \
                 acknowledged it",
            ),
            (Council, Opened, missed(), "Council: note: visit V-1 of run R2 was missed"),
            (
                Council,
                Withdrawn,
                missed(),
                "Withdrawn: it is not so any more that visit V-1 of run R2 was missed",
            ),
        ] {
            assert_eq!(said(audience, occasion, &alerts).subject, subject);
        }
        for kind in AlertKind::ALL {
            let words = said(Coordinator, Opened, &[alert(*kind, "V-1")]);
            assert!(words.subject.starts_with("Coordinator: "), "{}", words.subject);
            assert!(words.text.starts_with("To do: "), "{}", words.text);
        }
    }

    #[test]
    fn the_text_says_what_happened_since_when_and_what_to_do() {
        let one = AlertMessage {
            contact_due_at: parse_instant("2026-07-01T01:30:00Z").ok(),
            unconfirmed: true,
            ..alert(AlertKind::Late, "V-1")
        };
        let words = said(Audience::Coordinator, Occasion::Opened, &[one]);
        assert_eq!(
            words.text,
            "To do: speak to client C-V-1 by 02:30: tell the client when somebody will come, and \
             why it is late.\n\
             What: visit V-1 of run R2 is late.\n\
             Since: 02:30.\n\
             Unconfirmed: nightrun could not hear at the time, and somebody may be there.\n\n\
             - visit V-1, client C-V-1: planned for 02:00, late: nobody has come\n\n\
             Contract thurrock, night of 2026-06-30. Notification n-1, by nightrun.\n"
        );
        assert!(words.html.contains("<li>visit V-1, client C-V-1: planned for 02:00"));
        assert_eq!(words.brief, words.subject);
    }

    #[test]
    fn a_text_message_names_a_few_and_counts_the_others() {
        let eight: Vec<_> =
            (0..8).map(|number| alert(AlertKind::Missed, &format!("V-{number}"))).collect();
        let words = said(Audience::Council, Occasion::Opened, &eight);
        assert!(words.brief.ends_with(": V-0, V-1, V-2, V-3, V-4 and 3 more"), "{}", words.brief);
    }

    #[test]
    fn nothing_that_somebody_wrote_is_a_command_to_a_channel() {
        let hostile = AlertMessage {
            detail: "a\r\nBcc: x@example.org\r\n\r\n<script>alert(1)</script>&\u{7}".to_owned()
                + &"x".repeat(500),
            ..alert(AlertKind::Missed, "V-1")
        };
        let words = said(Audience::Coordinator, Occasion::Opened, &[hostile]);
        assert!(!words.text.contains("\nBcc"), "{}", words.text);
        assert!(!words.html.contains("<script>"), "{}", words.html);
        assert!(words.html.contains("&lt;script&gt;alert(1)&lt;/script&gt;&amp;"));
        for one_line in [&words.subject, &words.brief] {
            assert!(!one_line.chars().any(char::is_control));
            assert!(one_line.chars().count() <= LINE_MAX_CHARS);
        }
    }
}
