//! The night along its time line: a lane for each run, with each visit's planned and actual bar, the
//! present moment, and who is inside whose home (R14, R16).
//!
//! Bars are for the eye; the list under each lane says the same in words. A night of more visits than a
//! page can carry has joined bars, and lists what matters now; each run has a page of its own.

use std::collections::BTreeMap;
use std::fmt::Write;

use chrono::TimeDelta;
use maud::{Markup, PreEscaped, html};

use super::eyes::Eyes;
use super::wall::{self, TimeLine};
use super::words::{class, plain};
use crate::domain::attendance::Attendance;
use crate::domain::calendar::Night;
use crate::domain::instant::{Instant, format_instant};
use crate::domain::refs::RunRef;
use crate::domain::visit::{Flag, Status, Visit};

/// So many visits are listed one by one in one page, which is to stay below 300 kB.
pub const LISTED_MAX: usize = 400;
/// How high a lane is, in its own units.
const HEIGHT: i64 = 30;
/// Flags that a coordinator reads on the board; the others are in the visit's story.
const TELLING: [Flag; 8] = [
    Flag::Late,
    Flag::LateStart,
    Flag::NoCheckIn,
    Flag::NoCheckOut,
    Flag::OffSite,
    Flag::Overlap,
    Flag::Short,
    Flag::UnplannedCarer,
];

/// What a lane holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Row {
    /// A run of the plan.
    Run(RunRef),
    /// Planned visits without a run.
    NoRun,
    /// Visits that no plan knew of.
    Unplanned,
}

impl Row {
    fn of(visit: &Visit) -> Self {
        match &visit.plan {
            None => Self::Unplanned,
            Some(plan) => plan.visit.run.clone().map_or(Self::NoRun, Self::Run),
        }
    }

    /// Its name in the address of its own page.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Run(run) => run.as_str(),
            Self::NoRun => "-",
            Self::Unplanned => "U-",
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Run(run) => format!("Run {run}"),
            Self::NoRun => "No run".to_owned(),
            Self::Unplanned => "Unplanned".to_owned(),
        }
    }
}

/// What is drawn around the lanes.
pub struct Lanes<'a> {
    /// Who looks.
    pub eyes: Eyes<'a>,
    /// The night.
    pub night: Night,
    /// The present instant.
    pub now: Instant,
    /// The visits of the night.
    pub visits: &'a [Visit],
    /// The one row that is wanted, if not all.
    pub only: Option<&'a str>,
}

impl Lanes<'_> {
    /// The section of the lanes.
    #[must_use]
    pub fn section(&self) -> Markup {
        let line = TimeLine::of(self.eyes.contract, self.night, self.visits);
        let mut rows: BTreeMap<Row, Vec<&Visit>> = BTreeMap::new();
        for visit in self.visits {
            let row = Row::of(visit);
            if self.only.is_none_or(|only| only == row.key()) {
                rows.entry(row).or_default().push(visit);
            }
        }
        let shown: usize = rows.values().map(Vec::len).sum();
        let all = shown <= LISTED_MAX;
        html! {
            section #runs aria-labelledby="runs-heading" {
                h2 #runs-heading { "Runs" }
                @if rows.is_empty() { p.calm { "No visit is planned or made in this night." } }
                @if self.only.is_some() {
                    p { a href={ "/?contract=" (self.eyes.contract.id) "&night=" (self.night) } { "All runs" } }
                }
                (self.axis(&line))
                @for (row, visits) in &rows { (self.lane(row, visits, &line, all)) }
                (legend())
            }
        }
    }

    /// The hours, and what every lane has in it: a line for each hour, and one for the present moment.
    fn axis(&self, line: &TimeLine) -> Markup {
        let ticks = line.ticks();
        let hours =
            (ticks.iter().filter(|tick| tick.hour)).fold(String::new(), |mut path, tick| {
                let _ = write!(path, "M{} 0v{HEIGHT}", tick.minute);
                path
            });
        let now = line.holds(self.now).then(|| line.minute(self.now));
        html! {
            svg.defs aria-hidden="true" width="0" height="0" {
                defs {
                    pattern #hatch width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                        rect.hatch0 width="6" height="6" {} rect.hatch1 width="3" height="6" {}
                    }
                    path.hours #h d=(hours) {}
                    @if let Some(now) = now {
                        path.now #n d={ "M" (now) " 0v" (HEIGHT) }
                            data-begin=(format_instant(line.begin))
                            data-minutes=(line.minutes()) {}
                    }
                }
            }
            svg.axis aria-hidden="true" {
                @for tick in &ticks {
                    @let edge = if tick.minute == 0 { "first" } else if tick.minute == line.minutes() { "last" } else { "" };
                    @let half = if tick.hour { "" } else if tick.zone.is_some() { "half twice" } else { "half" };
                    @let (hour, minute) = tick.label.split_at(2);
                    text.(edge).(half) x=(line.percent(tick.minute)) y="13" { (hour) tspan { (minute) } }
                    @if let Some(zone) = &tick.zone {
                        text.(half) x=(line.percent(tick.minute)) y="26" { (zone) }
                    }
                }
            }
        }
    }

    fn lane(&self, row: &Row, visits: &[&Visit], line: &TimeLine, all: bool) -> Markup {
        let listed: Vec<&&Visit> =
            visits.iter().filter(|visit| all || matters(visit, self.now)).collect();
        let page =
            format!("/?contract={}&night={}&run={}", self.eyes.contract.id, self.night, row.key());
        html! {
            section.lane {
                h3 { a href=(page) { (row.name()) } " " small { (tally(visits)) } }
                svg.bars aria-hidden="true" viewBox={ "0 0 " (line.minutes()) " " (HEIGHT) }
                    preserveAspectRatio="none" {
                    use href="#h" {}
                    @if all { (self.linked(visits, line)) } @else { (joined(visits, line, self.now)) }
                    @if line.holds(self.now) { use href="#n" {} }
                }
                ol.visits {
                    @for visit in &listed { (self.item(visit, all)) }
                }
            }
        }
    }

    /// The bars of a lane, each with the way to its visit.
    fn linked(&self, visits: &[&Visit], line: &TimeLine) -> Markup {
        html! {
            @for visit in visits {
                @let bars = Bars::of(visit, line, self.now);
                a href=(self.eyes.story(&visit.visit_ref)) tabindex="-1" {
                    title { (self.title(visit)) }
                    @for (class, path) in bars.paths() { path.(class) d=(path) {} }
                }
            }
        }
    }

    fn title(&self, visit: &Visit) -> String {
        let zone = self.eyes.contract.zone;
        let planned = wall::from_to(zone, visit.planned_start, visit.planned_end);
        let status = plain(visit.status.as_str());
        format!("{planned} {} {status}", self.eyes.client(&visit.client))
    }

    /// A visit in words.
    fn item(&self, visit: &Visit, all: bool) -> Markup {
        let zone = self.eyes.contract.zone;
        let client =
            if all { self.eyes.client(&visit.client) } else { visit.client.as_str().to_owned() };
        html! {
            li.(class(visit.status)) {
                a href=(self.eyes.story(&visit.visit_ref)) {
                    (wall::time(zone, visit.planned_start)) " " (client)
                }
                " " b { (plain(visit.status.as_str())) }
                (self.what_happened(visit))
            }
        }
    }

    fn what_happened(&self, visit: &Visit) -> Markup {
        let time = |at| wall::time(self.eyes.contract.zone, at);
        let inside: Vec<_> = visit.inside().collect();
        let since = inside.iter().map(|event| event.effective_at).min();
        let came = visit.attendances.iter().filter_map(Attendance::began).min();
        let flags: Vec<String> = (visit.flags.iter())
            .filter(|flag| TELLING.contains(flag))
            .map(|flag| plain(flag.as_str()))
            .collect();
        html! {
            @if let Some(since) = since {
                " " (self.eyes.carers(inside.iter().map(|event| &event.event.carer_ref)))
                " inside since " (time(since))
            } @else if let (Some(came), Some(end)) = (came, visit.end) {
                " " (time(came)) "–" (time(end))
            }
            @if visit.present > 0 && !visit.is_staffed() {
                " " (visit.present) " of " (visit.carers_required) " there"
            }
            @if let Some(reason) = &visit.reason { " " (plain(reason)) }
            @if !flags.is_empty() { " · " (flags.join(", ")) }
        }
    }
}

/// Whether a coordinator has to know of it now, where not all can be listed.
fn matters(visit: &Visit, now: Instant) -> bool {
    match visit.status {
        Status::Due | Status::Overdue | Status::Late | Status::InProgress => true,
        Status::Missed | Status::PartDelivered => now < visit.planned_end + TimeDelta::hours(1),
        _ => false,
    }
}

/// How many of a lane's visits came to what, in the order of the words.
fn tally(visits: &[&Visit]) -> String {
    let mut counts: BTreeMap<Status, usize> = BTreeMap::new();
    for visit in visits {
        *counts.entry(visit.status).or_default() += 1;
    }
    let said: Vec<String> = counts
        .iter()
        .map(|(status, number)| format!("{number} {}", plain(status.as_str())))
        .collect();
    let visits = if visits.len() == 1 { "visit" } else { "visits" };
    format!("{} {visits}: {}", counts.values().sum::<usize>(), said.join(" · "))
}

/// The bars of one visit, in minutes of the time line.
struct Bars {
    planned: Option<(i64, i64)>,
    actual: Option<(i64, i64)>,
    status: Status,
}

impl Bars {
    fn of(visit: &Visit, line: &TimeLine, now: Instant) -> Self {
        let bar = |from: Instant, to: Instant| {
            let (from, to) = (line.minute(from), line.minute(to));
            (from, (to - from).max(2))
        };
        let came = (visit.attendances.iter()).filter_map(|a| a.began().or(a.ended())).min();
        let left = if visit.inside().next().is_some() { Some(now) } else { visit.end };
        Self {
            planned: visit.plan.as_ref().map(|_| bar(visit.planned_start, visit.planned_end)),
            actual: came.map(|came| bar(came, left.unwrap_or(came).max(came))),
            status: visit.status,
        }
    }

    /// A planned bar shows what became of the visit, unless an actual one does.
    fn paths(&self) -> Vec<(String, String)> {
        let kind = class(self.status);
        let planned = if self.actual.is_some() { "p".to_owned() } else { format!("p{kind}") };
        let planned = self.planned.map(|bar| (planned, path(bar, 3, HEIGHT - 6)));
        let actual = self.actual.map(|bar| (kind.to_owned(), path(bar, 9, HEIGHT - 18)));
        planned.into_iter().chain(actual).collect()
    }
}

fn path((from, width): (i64, i64), top: i64, height: i64) -> String {
    format!("M{from} {top}h{width}v{height}h-{width}z")
}

/// All bars of a lane, joined by their class: a few bytes for each.
fn joined(visits: &[&Visit], line: &TimeLine, now: Instant) -> Markup {
    let mut joined: BTreeMap<String, String> = BTreeMap::new();
    for visit in visits {
        for (class, path) in Bars::of(visit, line, now).paths() {
            joined.entry(class).or_default().push_str(&path);
        }
    }
    html! {
        @for (class, path) in &joined { path.(class) d=(PreEscaped(path)) {} }
    }
}

fn legend() -> Markup {
    let shown = [
        Status::Planned,
        Status::Due,
        Status::Late,
        Status::InProgress,
        Status::Delivered,
        Status::PartDelivered,
        Status::Missed,
        Status::Frustrated,
    ];
    html! {
        ul.legend aria-label="What the bars mean" {
            @for status in shown {
                @let came = matches!(status, Status::InProgress | Status::Delivered | Status::PartDelivered);
                @let kind = if came { class(status).to_owned() } else { format!("p{}", class(status)) };
                li {
                    svg aria-hidden="true" width="28" height="16" viewBox="0 0 28 16" {
                        path.(kind) d=(if came { "M1 4h26v8h-26z" } else { "M1 1h26v14h-26z" }) {}
                    }
                    " " (plain(status.as_str()))
                }
            }
            li { "wide: as planned, narrow: as it was" }
        }
    }
}
