//! How well it went, week by week: punctuality against its target, contact within 30 minutes, and
//! missed visits (R17, R23).

use std::collections::BTreeMap;

use chrono::NaiveDate;
use maud::{Markup, html};

use super::eyes::Eyes;
use super::model::AlertView;
use crate::domain::contact::{Act, ContactClock, contact_clock};
use crate::domain::instant::Instant;
use crate::domain::policy::Contract;
use crate::domain::refs::VisitRef;
use crate::domain::visit::{Status, Visit};

/// So many of a hundred visits are to be within tolerance [IP 4].
pub const TARGET_PERCENT: u64 = 90;

/// A part of a whole; the whole may be nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Share {
    /// The part.
    pub part: u64,
    /// The whole.
    pub whole: u64,
}

impl Share {
    fn add(&mut self, counts: bool) {
        self.whole += 1;
        self.part += u64::from(counts);
    }

    /// In thousandths, rounded half up; none of nothing.
    fn thousandths(self) -> Option<u64> {
        (self.whole > 0).then(|| (self.part * 2_000 + self.whole) / (2 * self.whole))
    }

    fn percent(self) -> String {
        match self.thousandths() {
            Some(thousandths) => format!("{}.{} %", thousandths / 10, thousandths % 10),
            None => "–".to_owned(),
        }
    }
}

/// What a week came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Week {
    /// Delivered within tolerance, of what was the provider's to deliver (R17).
    pub punctual: Share,
    /// Of these, staffed with an unknown start: they count as not within tolerance.
    pub start_unknown: u64,
    /// Spoken to within 30 minutes, of those to whom that was owed (R23).
    pub contact: Share,
    /// Missed, of those planned.
    pub missed: Share,
    /// Not final yet: in none of these.
    pub open: u64,
}

impl Week {
    fn count(&mut self, contract: &Contract, visit: &Visit) {
        if visit.plan.is_none() || visit.status == Status::Void {
            return;
        }
        if !visit.status.is_final() {
            self.open += 1;
            return;
        }
        self.missed.add(visit.status == Status::Missed);
        let delivered = visit.status == Status::Delivered;
        if delivered || matches!(visit.status, Status::PartDelivered | Status::Missed) {
            let tolerance = contract.policy(visit.night).tolerance;
            let deviation = visit.deviation().map(|by| by.abs());
            self.punctual.add(delivered && deviation.is_some_and(|by| by <= tolerance));
            self.start_unknown += u64::from(delivered && deviation.is_none());
        }
    }
}

/// The weeks into which these visits fall, by their first days.
#[must_use]
pub fn weeks(
    contract: &Contract,
    visits: &[Visit],
    alerts: &[AlertView],
    now: Instant,
) -> BTreeMap<NaiveDate, Week> {
    let mut weeks: BTreeMap<NaiveDate, Week> = BTreeMap::new();
    let mut owed: BTreeMap<&VisitRef, (Instant, Vec<Act>)> = BTreeMap::new();
    for alert in alerts {
        let message = &alert.message;
        if let (Some(visit), Some(due)) = (&message.visit_ref, message.contact_due_at) {
            let (_, acts) = owed.entry(visit).or_insert_with(|| (due, Vec::new()));
            acts.extend(alert.acts.iter().cloned());
        }
    }
    for visit in visits {
        let week = weeks.entry(contract.week_of(visit.night, visit.planned_start)).or_default();
        week.count(contract, visit);
        if let Some((due, acts)) = owed.get(&visit.visit_ref) {
            match contact_clock(Some(*due), acts, now) {
                ContactClock::Met(_) => week.contact.add(true),
                ContactClock::MetLate(_) | ContactClock::Missed(_) => week.contact.add(false),
                ContactClock::Runs(_) | ContactClock::None => {}
            }
        }
    }
    weeks
}

/// The page of a contract's weeks.
pub struct Performance<'a> {
    /// Who looks.
    pub eyes: Eyes<'a>,
    /// The first day of the first week.
    pub from: NaiveDate,
    /// How many weeks.
    pub number: u32,
    /// What they came to.
    pub weeks: &'a BTreeMap<NaiveDate, Week>,
}

impl Performance<'_> {
    /// What is exchanged when something has changed.
    #[must_use]
    pub fn main(&self) -> Markup {
        let target = format!("target {TARGET_PERCENT} %");
        html! {
            main #main {
                div.head { h1 { "Performance " small { (self.eyes.contract.id) } } }
                form.inline method="get" action="/performance" {
                    input type="hidden" name="contract" value=(self.eyes.contract.id);
                    label { "From the week of " input type="date" name="from" value=(self.from); }
                    label { "Weeks " input type="number" name="weeks" min="1" max="13" value=(self.number); }
                    button { "Show" }
                }
                (self.table(
                    "punctuality", "Punctuality", &target,
                    "Started within tolerance, of the visits that were the provider's to deliver.",
                    |week| week.punctual, Some(TARGET_PERCENT),
                    Some(("Start unknown", |week| week.start_unknown)),
                ))
                (self.table(
                    "contact", "Contact within 30 minutes", "the client was spoken to",
                    "Of the visits about which the client was to be told that they are late.",
                    |week| week.contact, None, None,
                ))
                (self.table(
                    "missed", "Missed", "of those planned",
                    "Nobody came, and the provider is responsible.",
                    |week| week.missed, None,
                    Some(("Not final yet", |week| week.open)),
                ))
            }
        }
    }

    #[allow(clippy::too_many_arguments, reason = "the columns of a table")]
    fn table(
        &self,
        id: &str,
        name: &str,
        aside: &str,
        about: &str,
        share: fn(&Week) -> Share,
        target: Option<u64>,
        also: Option<(&str, fn(&Week) -> u64)>,
    ) -> Markup {
        let below = |share: Share| {
            target.zip(share.thousandths()).is_some_and(|(target, is)| is < target * 10)
        };
        html! {
            section aria-labelledby=(id) {
                h2 #(id) { (name) " " small { (aside) } }
                p { (about) }
                div.side {
                    (self.plot(share, target))
                    div.wide tabindex="0" role="region" aria-labelledby=(id) {
                        table {
                            thead { tr {
                                th scope="col" { "Week of" } th scope="col" { "Share" }
                                th scope="col" { "Visits" } th scope="col" { "Of" }
                                @if let Some((name, _)) = also { th scope="col" { (name) } }
                            } }
                            tbody {
                                @for (start, week) in self.weeks {
                                    @let share = share(week);
                                    tr.below[below(share)] {
                                        th scope="row" { (start) }
                                        td { (share.percent()) @if below(share) { " below target" } }
                                        td { (share.part) } td { (share.whole) }
                                        @if let Some((_, count)) = also { td { (count(week)) } }
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
    fn plot(&self, share: fn(&Week) -> Share, target: Option<u64>) -> Markup {
        let width = self.weeks.len().max(1) * 30;
        html! {
            svg.plot aria-hidden="true" width=(width) height="110" viewBox={ "0 0 " (width) " 110" } {
                path.axis d={ "M0 105h" (width) } {}
                @for (index, week) in self.weeks.values().enumerate() {
                    @if let Some(thousandths) = share(week).thousandths() {
                        @let high = thousandths / 10;
                        rect x=(index * 30 + 5) y=(105 - high) width="20" height=(high)
                            .below[target.is_some_and(|target| thousandths < target * 10)] {}
                    }
                }
                @if let Some(target) = target { path.target d={ "M0 " (105 - target) "h" (width) } {} }
            }
        }
    }
}
