//! How well it went, week by week: punctuality against its target, contact within 30 minutes, and
//! missed visits (R17, R23).

use std::cmp::Reverse;
use std::collections::BTreeMap;

use chrono::NaiveDate;
use maud::{Markup, html};

use super::eyes::Eyes;
use crate::domain::punctuality::{TARGET_PERCENT, Tally};
use crate::domain::refs::ClientRef;

/// So many clients are listed, those first for whom most went wrong.
const CLIENTS_MAX: usize = 20;

/// The page of a contract's weeks.
pub struct Performance<'a> {
    /// Who looks.
    pub eyes: Eyes<'a>,
    /// The first day of the first week.
    pub from: NaiveDate,
    /// What the weeks came to, by their first days.
    pub weeks: &'a BTreeMap<NaiveDate, Tally>,
    /// What they came to for each client.
    pub clients: &'a BTreeMap<ClientRef, Tally>,
}

/// A column of a table: its name, and what is in it.
type Column = (&'static str, fn(&Tally) -> u32);

/// A share of something, and the two numbers that make it.
struct Share {
    id: &'static str,
    name: &'static str,
    about: &'static str,
    percent: fn(&Tally) -> Option<f64>,
    part: Column,
    whole: Column,
    also: Option<Column>,
    /// What it is to reach, in percent.
    target: Option<u32>,
}

const SHARES: [Share; 3] = [
    Share {
        id: "punctuality",
        name: "Punctuality",
        about: "Delivered within tolerance, of the visits that were the provider's to deliver. The target is 90 %.",
        percent: Tally::punctuality,
        part: ("Within tolerance", |tally| tally.within_tolerance),
        whole: ("To deliver", |tally| tally.to_deliver),
        also: Some(("Start unknown", |tally| tally.start_unknown)),
        target: Some(TARGET_PERCENT),
    },
    Share {
        id: "contact",
        name: "Contact within 30 minutes",
        about: "The client was spoken to in time, of those who were to be told that somebody is late.",
        percent: Tally::contact,
        part: ("In time", |tally| tally.contacts_in_time),
        whole: ("Owed", |tally| tally.contacts_due),
        also: None,
        target: None,
    },
    Share {
        id: "missed",
        name: "Missed",
        about: "Missed, of the visits that were planned.",
        percent: Tally::missed_of_planned,
        part: ("Missed", |tally| tally.missed),
        whole: ("Planned", |tally| tally.planned),
        also: Some(("Late", |tally| tally.late)),
        target: None,
    },
];

impl Share {
    fn is_below(&self, tally: &Tally) -> bool {
        let target = self.target.map(f64::from);
        target.zip((self.percent)(tally)).is_some_and(|(target, percent)| percent < target)
    }

    fn said(&self, tally: &Tally) -> String {
        match (self.percent)(tally) {
            Some(percent) if self.is_below(tally) => format!("{percent:.1} %, below target"),
            Some(percent) => format!("{percent:.1} %"),
            None => "–".to_owned(),
        }
    }
}

impl Performance<'_> {
    /// What is on the page.
    #[must_use]
    pub fn main(&self) -> Markup {
        html! {
            main #main {
                div.head { h1 { "Performance " small { (self.eyes.contract.id) } } }
                form.inline method="get" action="/performance" {
                    input type="hidden" name="contract" value=(self.eyes.contract.id);
                    label { "From the week of " input type="date" name="from" value=(self.from); }
                    label { "Weeks " input type="number" name="weeks" min="1" max="13" value=(self.weeks.len()); }
                    button { "Show" }
                }
                @for share in &SHARES { (self.section(share)) }
                (self.clients())
            }
        }
    }

    fn section(&self, share: &Share) -> Markup {
        html! {
            section aria-labelledby=(share.id) {
                h2 #(share.id) { (share.name) }
                p { (share.about) }
                div.side {
                    (self.plot(share))
                    div.wide tabindex="0" role="group" aria-labelledby=(share.id) {
                        table {
                            thead { tr {
                                th scope="col" { "Week of" } th scope="col" { "Share" }
                                th scope="col" { (share.part.0) } th scope="col" { (share.whole.0) }
                                @if let Some((name, _)) = share.also { th scope="col" { (name) } }
                            } }
                            tbody {
                                @for (start, tally) in self.weeks {
                                    tr.below[share.is_below(tally)] {
                                        th scope="row" { (start) }
                                        td { (share.said(tally)) }
                                        td { ((share.part.1)(tally)) } td { ((share.whole.1)(tally)) }
                                        @if let Some((_, count)) = share.also { td { (count(tally)) } }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    /// A bar for each week, and a line at the target. The table says the same.
    fn plot(&self, share: &Share) -> Markup {
        let width = self.weeks.len().max(1) * 30;
        html! {
            svg.plot aria-hidden="true" width=(width) height="110" viewBox={ "0 0 " (width) " 110" } {
                path.axis d={ "M0 105h" (width) } {}
                @for (index, tally) in self.weeks.values().enumerate() {
                    @if let Some(percent) = (share.percent)(tally) {
                        rect.below[share.is_below(tally)] x=(index * 30 + 5) width="20"
                            y=(format!("{:.1}", 105.0 - percent)) height=(format!("{percent:.1}")) {}
                    }
                }
                @if let Some(target) = share.target { path.target d={ "M0 " (105 - target) "h" (width) } {} }
            }
        }
    }

    /// The clients for whom most went wrong.
    fn clients(&self) -> Markup {
        let wrong = |tally: &Tally| tally.to_deliver - tally.within_tolerance;
        let mut clients: Vec<(&ClientRef, &Tally)> =
            self.clients.iter().filter(|(_, tally)| wrong(tally) > 0).collect();
        clients.sort_by_key(|(client, tally)| (Reverse(wrong(tally)), *client));
        html! {
            section aria-labelledby="clients" {
                h2 #clients { "Clients" }
                @if clients.is_empty() { p.calm { "Every visit of these weeks was within tolerance." } } @else {
                    p { "Those first for whom most visits were not within tolerance." }
                    div.wide tabindex="0" role="group" aria-labelledby="clients" {
                        table {
                            thead { tr {
                                @for name in ["Client", "Punctuality", "Not within tolerance", "Late", "Missed"] {
                                    th scope="col" { (name) }
                                }
                            } }
                            tbody {
                                @for (client, tally) in clients.iter().take(CLIENTS_MAX) {
                                    tr {
                                        th scope="row" { (self.eyes.client(client)) }
                                        td { (SHARES[0].said(tally)) }
                                        td { (wrong(tally)) } td { (tally.late) } td { (tally.missed) }
                                    }
                                }
                            }
                        }
                    }
                    @if clients.len() > CLIENTS_MAX { p { "And " (clients.len() - CLIENTS_MAX) " more." } }
                }
            }
        }
    }
}
