//! The forms with which coordinators act. They work without JavaScript: each posts, and the answer
//! leads back to the page.
//!
//! Each form and each `details` has an id that stays the same, so that what is being typed survives
//! when the page is brought up to date.

use maud::{Markup, html};
use uuid::Uuid;

use super::eyes::Eyes;
use super::words::plain;
use crate::domain::alert::AlertKind;
use crate::domain::correction::{COMMENT_MAX_CHARS, Outcome};
use crate::domain::event::Reason;
use crate::domain::instant::format_instant;
use crate::domain::plan::Suspension;
use crate::domain::refs::VisitRef;
use crate::store::evidence::Recorded;

/// The outcome that takes back what was decided before.
const WITHDRAW: &str = "withdraw";

fn csrf(eyes: &Eyes<'_>) -> Markup {
    html! { input type="hidden" name="csrf" value=(eyes.csrf); }
}

/// A line of text to be typed.
fn text(label: &str, name: &str, required: bool) -> Markup {
    html! {
        label { (label)
            input name=(name) maxlength=(COMMENT_MAX_CHARS) required[required] autocomplete="off";
        }
    }
}

/// Somebody takes care of it.
#[must_use]
pub fn acknowledge(eyes: &Eyes<'_>, alert: Uuid) -> Markup {
    html! {
        form.inline id={ "ack-" (alert) } method="post" action={ "/alerts/" (alert) "/acknowledge" } {
            (csrf(eyes))
            button.go { "Acknowledge" }
        }
    }
}

/// The client was rung (R23).
#[must_use]
pub fn contact(eyes: &Eyes<'_>, alert: Uuid) -> Markup {
    let outcomes = [
        ("spoke", "Spoke to somebody"),
        ("left_message", "Left a message"),
        ("no_answer", "Nobody answered"),
    ];
    html! {
        details id={ "rang-" (alert) } {
            summary { "Record contact" }
            form id={ "contact-" (alert) } method="post" action={ "/alerts/" (alert) "/contact" } {
                (csrf(eyes))
                fieldset {
                    legend { "What came of ringing the client" }
                    @for (index, (word, says)) in outcomes.iter().enumerate() {
                        label.choice {
                            input type="radio" name="outcome" value=(word) checked[index == 0];
                            (says)
                        }
                    }
                }
                (text("Who was spoken to", "spoke_to", true))
                label { "When (empty: now)" input type="time" name="at"; }
                label { "Somebody will come at" input type="time" name="new_time"; }
                (text("Why it is late, as the client was told", "reason", false))
                (text("Note, stays inside", "note", false))
                button.go { "Record contact" }
            }
        }
    }
}

/// It has been dealt with.
#[must_use]
pub fn resolve(eyes: &Eyes<'_>, alert: Uuid, kind: AlertKind) -> Markup {
    if kind == AlertKind::MonitoringBlind {
        return html! {};
    }
    html! {
        details id={ "done-" (alert) } {
            summary { "Resolve" }
            form id={ "resolve-" (alert) } method="post" action={ "/alerts/" (alert) "/resolve" } {
                (csrf(eyes))
                (text("What was done, stays inside", "note", true))
                button.go { "Resolve" }
            }
        }
    }
}

/// What became of a visit, by a coordinator's decision. `place` tells forms of one page apart.
#[must_use]
pub fn correct(eyes: &Eyes<'_>, visit: &VisitRef, place: &str) -> Markup {
    let outcomes = Outcome::ALL.iter().map(|outcome| outcome.as_str());
    html! {
        details id={ "put-right-" (place) } {
            summary { "Correct" }
            form id={ "correct-" (place) } method="post" action={ (eyes.story(visit)) "/corrections" } {
                (csrf(eyes))
                label { "What became of the visit"
                    select name="outcome" required {
                        option value="" { "Choose" }
                        @for outcome in outcomes { option value=(outcome) { (plain(outcome)) } }
                    }
                }
                label { "Reason"
                    input name="reason" list="reasons" maxlength=(COMMENT_MAX_CHARS) required autocomplete="off";
                }
                (text("Comment, stays inside", "comment", false))
                (text("Comment for the return", "return_comment", false))
                button.go { "Correct" }
            }
        }
    }
}

/// Takes back what was decided: evidence counts again.
#[must_use]
pub fn withdraw(eyes: &Eyes<'_>, visit: &VisitRef) -> Markup {
    html! {
        details #take-back {
            summary { "Withdraw the correction" }
            form #withdraw method="post" action={ (eyes.story(visit)) "/corrections" } {
                (csrf(eyes))
                input type="hidden" name="outcome" value=(WITHDRAW);
                (text("Why", "reason", true))
                (text("Comment, stays inside", "comment", false))
                button.go { "Withdraw" }
            }
        }
    }
}

/// Where an event belongs (R12); the visits that it may be about are suggested.
#[must_use]
pub fn place(eyes: &Eyes<'_>, event: &Recorded, suggested: &[(VisitRef, String)]) -> Markup {
    let id = event.event.event_id;
    html! {
        form id={ "place-" (id) } method="post"
            action={ "/contracts/" (eyes.contract.id) "/events/" (id) "/place" } {
            (csrf(eyes))
            label { "Belongs to visit"
                input name="visit_ref" list={ "near-" (id) } maxlength="64" required autocomplete="off";
            }
            datalist id={ "near-" (id) } {
                @for (visit, about) in suggested { option value=(visit) { (about) } }
            }
            (text("Why", "reason", true))
            button.go { "Place" }
        }
    }
}

/// The reasons that `correct` suggests (R15), once in a page.
#[must_use]
pub fn reasons() -> Markup {
    html! {
        datalist #reasons {
            @for reason in Reason::ALL { option value=(reason.as_str()) {} }
        }
    }
}

/// A client is in hospital or away (R22a).
#[must_use]
pub fn suspend(eyes: &Eyes<'_>) -> Markup {
    html! {
        details #away-now {
            summary { "Suspend a client" }
            form #suspend method="post" action={ "/contracts/" (eyes.contract.id) "/suspensions" } {
                (csrf(eyes))
                label { "Client's reference"
                    input name="client_ref" maxlength="64" required autocomplete="off";
                }
                label { "From (empty: now)" input type="datetime-local" name="from"; }
                label { "Until (empty: further notice)" input type="datetime-local" name="to"; }
                (text("Why", "reason", true))
                button.go { "Suspend" }
            }
        }
    }
}

/// The client is back.
#[must_use]
pub fn back(eyes: &Eyes<'_>, suspension: &Suspension) -> Markup {
    let hidden = [
        ("client_ref", suspension.client_ref.to_string()),
        ("from", format_instant(suspension.from)),
        ("notified_at", format_instant(suspension.notified_at)),
        ("reason", suspension.reason.clone()),
        ("to", "now".to_owned()),
    ];
    html! {
        form.inline method="post" action={ "/contracts/" (eyes.contract.id) "/suspensions" } {
            (csrf(eyes))
            @for (name, value) in &hidden { input type="hidden" name=(name) value=(value); }
            button.go { "Back at home" }
        }
    }
}
