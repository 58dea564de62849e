//! Before the night: what is odd about its plan, and who is in hospital or away (R22a).

use maud::{Markup, html};

use super::controls;
use super::eyes::Eyes;
use super::wall;
use super::words::{plain, sentence};
use crate::domain::calendar::{Night, next_day, previous_day};
use crate::domain::instant::Instant;
use crate::domain::plan::Suspension;
use crate::domain::plan_check::Remark;
use crate::http::api::clients::HELD_MAX_DAYS;

/// So many remarks are listed.
const REMARKS_MAX: usize = 200;

/// The plan of a night, looked at before it begins.
pub struct Plan<'a> {
    /// Who looks.
    pub eyes: Eyes<'a>,
    /// The night.
    pub night: Night,
    /// The present instant.
    pub now: Instant,
    /// What is odd about its plan.
    pub remarks: &'a [Remark],
    /// The suspensions that are not over, the oldest first.
    pub suspensions: &'a [&'a Suspension],
}

impl Plan<'_> {
    /// What is on the page.
    #[must_use]
    pub fn main(&self) -> Markup {
        let to = |night| format!("/plan?contract={}&night={night}", self.eyes.contract.id);
        html! {
            main #main {
                div.head {
                    h1 { "Before the night of " (wall::night(self.night)) }
                    p.nights {
                        a href=(to(previous_day(self.night))) rel="prev" { "Night before" } " "
                        a href=(to(next_day(self.night))) rel="next" { "Night after" }
                    }
                }
                (self.remarks())
                (self.suspensions())
            }
        }
    }

    fn remarks(&self) -> Markup {
        html! {
            section aria-labelledby="odd" {
                h2 #odd { "What is odd about the plan " span.count { (self.remarks.len()) } }
                @if self.remarks.is_empty() { p.calm { "Nothing." } }
                ul.lines {
                    @for remark in self.remarks.iter().take(REMARKS_MAX) {
                        li { (sentence(&remark.text())) "." }
                    }
                }
                @if self.remarks.len() > REMARKS_MAX {
                    p { "And " (self.remarks.len() - REMARKS_MAX) " more." }
                }
            }
        }
    }

    fn suspensions(&self) -> Markup {
        let zone = self.eyes.contract.zone;
        html! {
            section aria-labelledby="away" {
                h2 #away { "In hospital or away " span.count { (self.suspensions.len()) } }
                p { "Their visits count as cancelled, or as frustrated if notice was short, and raise no alarm." }
                @for one in self.suspensions {
                    article.event id={ "s-" (one.client_ref) } {
                        h3 { (self.eyes.client(&one.client_ref)) ": " (plain(&one.reason)) }
                        p { "From " (wall::day_and_time(zone, one.from))
                            @match one.to {
                                Some(to) => { " to " (wall::day_and_time(zone, to)) },
                                None => ", until further notice",
                            }
                            ". Hours held for " ((self.now - one.from).num_days().max(0))
                            " of " (HELD_MAX_DAYS) " days."
                        }
                        (controls::back(&self.eyes, one))
                    }
                }
                (controls::suspend(&self.eyes))
            }
        }
    }
}
