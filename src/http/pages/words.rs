//! What the pages call things: the field's own words, without underscores, and what to do.

use maud::{Markup, html};

use crate::domain::alert::{AlertKind, Severity};
use crate::domain::visit::Status;

/// A word of the interface as people read it: `part_delivered` is `part delivered`.
#[must_use]
pub fn plain(word: &str) -> String {
    word.replace('_', " ")
}

/// The same with a capital, for headings.
#[must_use]
pub fn heading(word: &str) -> String {
    sentence(&plain(word))
}

/// With a capital.
#[must_use]
pub fn sentence(text: &str) -> String {
    let mut text = text.to_owned();
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}

/// What a coordinator does about an alert of this kind.
#[must_use]
pub fn what_to_do(kind: AlertKind) -> &'static str {
    match kind {
        AlertKind::Tolerance | AlertKind::Late => {
            "Ring the carers. Speak to the client: who will come, when, and why so late."
        }
        AlertKind::ShortStaffed => "Ring the carer who is there. Send the second pair of hands.",
        AlertKind::Missed => "Nobody is known to have come. Find out now how the client is.",
        AlertKind::NotDelivered => {
            "Speak to the client, or to somebody who knows that all is well."
        }
        AlertKind::OverdueCheckout => "Ring the carer: is he or she safe?",
        AlertKind::NoPlan => "Ask for the rota, and import it.",
        AlertKind::OffSite => "Ask the carer where that was.",
        AlertKind::DeviceOffline => "Have the unit looked at.",
        AlertKind::SequenceGap => {
            "Ring the carer: the phone has sent something that did not arrive."
        }
        AlertKind::UnplannedVisit => "Nothing, unless it should have been planned.",
        AlertKind::MonitoringBlind => {
            "Silence proves nothing now. Ring the carers about the visits at risk."
        }
        AlertKind::NotificationFailed => "Tell them yourself. Correct where they are reached.",
    }
}

/// The sign of a severity: a shape, so that it needs no colour.
#[must_use]
pub fn sign(severity: Severity) -> Markup {
    let sign = match severity {
        Severity::Critical => "✖",
        Severity::High => "▲",
        Severity::Warning => "●",
        Severity::Info => "ℹ",
    };
    html! { span.sign aria-hidden="true" { (sign) } }
}

/// The class of a status in the style sheet: two letters, for there are many of them in a page.
#[must_use]
pub fn class(status: Status) -> &'static str {
    match status {
        Status::Planned => "pl",
        Status::Due => "du",
        Status::Overdue => "ov",
        Status::Late => "la",
        Status::InProgress => "ip",
        Status::Delivered => "de",
        Status::PartDelivered => "pd",
        Status::Frustrated => "fr",
        Status::Cancelled => "ca",
        Status::Missed => "mi",
        Status::Void => "vo",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_as_people_read_them() {
        assert_eq!(plain("part_delivered"), "part delivered");
        assert_eq!(heading("short_staffed"), "Short staffed");
        assert_eq!(heading(""), "");
    }

    #[test]
    fn every_status_has_a_class_of_its_own() {
        let classes: std::collections::BTreeSet<&str> =
            Status::ALL.iter().map(|status| class(*status)).collect();
        assert_eq!(classes.len(), Status::ALL.len());
    }
}
